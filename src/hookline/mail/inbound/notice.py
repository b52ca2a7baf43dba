"""Notices for people: what qmail, old Exim, Sendmail, Exchange, Domino, gateways and others write for a report.

There is no format to them. What they share: they come from the mail system or say in the subject what
they are, they name the recipient on a line of its own or behind a word or two, they quote what the other
server said, and the returned mail begins below a line that says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hookline.mail.inbound.mime import Part
from hookline.mail.inbound.phrases import (
    COPY,
    DAEMONS,
    DELAYS,
    GAVE_UP,
    LEADS,
    NOTICES,
    PHRASES,
    QUOTED,
    SYSTEMS,
)
from hookline.mail.inbound.report import ADDRESS, MAX_ABOUT, MAX_REPORTS, Kind, Report, addresses, judged
from hookline.rules.addresses import normalise

MAX_NOTICE = 32 * 1024
MAX_TEXTS = 10


def notice_of(mail: Part) -> tuple[str, str]:
    """The notice and what is below it, from the texts of the mail itself."""
    parts = [
        part
        for part in mail.walk()
        if part.within == 0 and part.type in ("text/plain", "text/html", "text/enriched") and not part.parts
    ]
    texts = [(part.type == "text/html", part.text()) for part in parts[:MAX_TEXTS]]
    plain = [text for html, text in texts if not html and text.strip()]
    text = "\n".join(plain or [text for _, text in texts])
    # A page of advice around a line of fact: the plain text is often the shorter and better one, not always.
    found = COPY.search(text[: 4 * MAX_NOTICE])
    at = found.start() if found and text[: found.start()].strip() else len(text)
    return text[: min(at, MAX_NOTICE)], text[at : at + 4 * MAX_NOTICE]


def is_from_system(mail: Part) -> bool:
    """Whether a mail server says that it wrote it."""
    return bool(SYSTEMS.search(mail.field("from")[:300]))


def read_notice(
    mail: Part, notice: str, rest: str, about: tuple[str, ...], original: Sequence[str]
) -> list[Report]:
    """The recipients that a notice names; nothing for a mail that is no notice.

    ``original`` are the addresses that the returned mail was for.
    """
    failed = addresses(" ".join(mail.fields.get("x-failed-recipients", [])))
    subject = mail.field("subject")[:500]
    if not failed and not _is_notice(mail, subject, notice):
        return []
    delayed = DELAYS.search(f"{subject}\n{notice}") and not GAVE_UP.search(notice)
    kind: Kind = "deferred" if delayed else "bounced"
    found = _named(mail, notice, failed, original)
    reports = []
    for place, (address, start) in enumerate(found[:MAX_REPORTS]):
        end = next((later for _, later in found[place + 1 :] if later > start), len(notice))
        said = notice[start:end] if start >= 0 else notice
        said = re.sub(r"^[<\[(\"' ]*[^\s>]*[>\])\"']*[:,]?", "", said)
        report = judged(
            kind,
            "notice",
            (address,),
            said,
            notice=f"{subject} {notice}",
            about=(*about, rest[:MAX_ABOUT]),
        )
        reports.append(report)
    if not found:  # it does not say whose mail it is: our own marks may
        reports.append(judged(kind, "notice", (), notice, notice=subject, about=(*about, rest[:MAX_ABOUT])))
    return reports


def _is_notice(mail: Part, subject: str, notice: str) -> bool:
    nobody = any(value.strip() == "<>" for value in mail.fields.get("return-path", []))
    signs = (
        nobody or is_from_system(mail),
        bool(NOTICES.search(subject)),
        bool(PHRASES.search(notice) or DELAYS.search(notice)),
    )
    return sum(signs) >= 2


def _named(mail: Part, notice: str, failed: Sequence[str], original: Sequence[str]) -> list[tuple[str, int]]:
    """Recipients, and where each begins in the notice (-1 where it is not there)."""
    others = set(
        addresses(
            " ".join(
                value
                for name in ("from", "to", "cc", "reply-to", "return-path", "delivered-to")
                for value in mail.fields.get(name, [])
            )
        )
    )
    places: dict[str, int] = {}
    leading: dict[str, int] = {}
    starts: dict[str, int] = {}  # of their lines
    for found in ADDRESS.finditer(notice):
        address = normalise(found[0])
        places.setdefault(address, found.start())
        line = notice.rfind("\n", 0, found.start()) + 1
        lead = notice[line : found.start()]
        if LEADS.match(lead) and (address not in leading or QUOTED.match(notice, starts[address])):
            leading[address], starts[address] = found.start(), line
    if failed:
        return [(address, places.get(address, -1)) for address in failed]
    wanted = [address for address in original if address in places]
    if wanted:
        return [(address, leading.get(address, places[address])) for address in wanted]
    named = {a: at for a, at in leading.items() if a not in others and not DAEMONS.match(a)}
    named = named or {a: at for a, at in places.items() if a not in others and not DAEMONS.match(a)}
    return sorted(named.items(), key=lambda item: item[1]) or [(address, -1) for address in original[:1]]
