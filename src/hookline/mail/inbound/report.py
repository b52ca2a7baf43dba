"""What one mail reports of one recipient, whatever shape it came in."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from hookline.rules.addresses import normalise
from hookline.rules.answers import read_answer
from hookline.rules.bounces import Reason, classify

Kind = Literal[
    "bounced", "deferred", "delivered", "relayed", "complained", "unsubscribed",
    "auto_reply", "not_spam", "auth_failure", "other",
]  # fmt: skip
Shape = Literal["dsn", "notice", "arf", "forward", "mail"]
MAX_DETAIL = 1000
MAX_REPORTS = 100
MAX_ABOUT = 32 * 1024

# Bounded and without overlap between its parts, so that no text makes it slow.
ADDRESS = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}(?<![_-])"
)


class Report(Struct, frozen=True, kw_only=True):
    """``kind`` says what happened: the name of the event that it is, or why it is none.

    ``recipients`` are addresses that it may be about, the likeliest first. ``about`` are texts in which our
    own marks may stand (tokens, ids of messages): the fields of the returned mail before all else.
    ``time`` is in microseconds.
    """

    kind: Kind
    shape: Shape
    recipients: tuple[str, ...] = ()
    reason: Reason = "other"
    hard: bool = False
    smtp_code: int | None = None
    enhanced_code: str | None = None
    detail: str = ""
    about: tuple[str, ...] = ()
    time: int | None = None


def judged(
    kind: Kind,
    shape: Shape,
    recipients: tuple[str, ...],
    said: str,
    *,
    status: str | None = None,
    notice: str = "",
    about: tuple[str, ...] = (),
) -> Report:
    """A report of what a server said; where that tells nothing, ``notice`` is what people are told.

    Where the server said nothing at all, what the notice says of the recipient is the detail.
    """
    answer = read_answer(said, status)
    code, enhanced, detail = answer.code, answer.enhanced, answer.whole
    reason, hard = classify(code, enhanced, answer.text, "report")
    if reason == "other":
        reason, hard = classify(code, enhanced, answer.whole, "report")
    if reason == "other" and notice:
        told = read_answer(notice, enhanced)
        code, enhanced, detail = code or told.code, told.enhanced, detail or told.whole
        reason, hard = classify(code, enhanced, told.whole, "report")
    if not detail and notice:
        told = read_answer(_behind(notice, recipients), enhanced)
        code, detail = code or told.code, told.whole
    return Report(
        kind=kind,
        shape=shape,
        recipients=recipients,
        reason=reason,
        hard=hard and kind == "bounced",
        smtp_code=code,
        enhanced_code=enhanced,
        detail=detail[:MAX_DETAIL],
        about=about,
    )


def _behind(notice: str, recipients: tuple[str, ...]) -> str:
    """What stands behind a recipient in a notice, to the end of the paragraph."""
    low = notice.lower()
    for name in recipients:
        at = low.find(name.lower())
        if at >= 0:
            return notice[at + len(name) :].partition("\n\n")[0].lstrip(">)]:,; \n")[:MAX_DETAIL]
    return ""


def addresses(text: str) -> tuple[str, ...]:
    """The addresses in a text, normalised, each once, in their order."""
    return tuple(dict.fromkeys(normalise(found) for found in ADDRESS.findall(text[: 64 * 1024])))
