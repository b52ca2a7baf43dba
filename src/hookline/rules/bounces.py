"""Why a mail came back: a reason of the closed list, and whether the address is dead.

The reply code says least and the words most. "5.x.x is hard" is wrong about half the time: refusals by
policy (5.7.x), full mailboxes (5.2.2) and rate limits come as permanent answers from living addresses.
So the verdict takes, in this order: words that can mean one thing only, the exact enhanced code
(RFC 3463, RFC 5248 and its registry, Microsoft's 5.4.3xx, 5.7.5xx and 5.7.6xx), words that are vaguer, the
class of the enhanced code, the reply code (RFC 5321 4.2). Hard is just a permanent answer that says there
is no such user or host; where that is in doubt, the bounce is soft, because a living address that is
never mailed again costs more than one more bounce.
"""

from __future__ import annotations

import re
from typing import Literal

from hookline.rules.bounce_words import CLEAR, DEAD_FOR_SURE, KEPT_OUT, LISTS, VAGUE, Reason, Table

__all__ = ["MAX_TEXT", "Reason", "Stage", "classify"]

Stage = Literal["connect", "tls", "auth", "mail", "rcpt", "data", "report"]
"""Where the answer came: a step of the SMTP session, or a delivery report (RFC 3464) afterwards."""

MAX_TEXT = 2000

_DEAD: tuple[Reason, ...] = ("user_unknown", "host_unknown")
_MARKS = ("resolver.", "storedrv.", "#resolver.")

# Names, addresses and links are not words: "spam@example.com" is no spam, "relay.example.com" no relaying.
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}")

# fmt: off
_ENHANCED: dict[str, Reason] = {  # by subject and detail; the class does not change the reason
    "1.1": "user_unknown", "1.2": "host_unknown", "1.3": "user_unknown", "1.4": "user_unknown",
    "1.6": "user_unknown", "1.7": "policy", "1.8": "policy", "1.9": "protocol", "1.10": "host_unknown",
    "2.1": "mailbox_inactive", "2.2": "mailbox_full", "2.3": "message_too_large", "2.4": "system",
    "3.4": "message_too_large", "3.6": "system",
    "1.351": "user_unknown", "1.90": "rate_limited", "2.121": "rate_limited", "2.122": "rate_limited",
    "4.4": "host_unknown", "4.6": "system", "4.7": "expired", "4.14": "system", "4.300": "expired",
    "4.310": "host_unknown", "4.316": "expired", "4.317": "expired", "5.3": "rate_limited",
    "6.7": "protocol", "6.8": "protocol", "6.9": "protocol",
    "7.8": "auth_failure", "7.9": "auth_failure", "7.13": "mailbox_inactive",
    "7.17": "mailbox_inactive", "7.18": "mailbox_inactive",
    "7.20": "auth_failure", "7.21": "auth_failure", "7.22": "auth_failure", "7.23": "auth_failure",
    "7.24": "auth_failure", "7.26": "auth_failure", "7.28": "rate_limited", "7.29": "auth_failure",
    "7.500": "rate_limited", "7.501": "blocked", "7.502": "blocked", "7.503": "blocked", "7.509": "auth_failure",
    "7.511": "blocked", "7.515": "auth_failure", "7.705": "rate_limited", "7.708": "blocked",
}
_SUBJECT: dict[str, Reason] = {
    "1": "user_unknown", "3": "system", "4": "network", "5": "protocol", "6": "content", "7": "policy",
}
_CODE: dict[int, Reason] = {
    421: "system", 451: "system", 452: "system", 454: "auth_failure",
    500: "protocol", 501: "protocol", 502: "protocol", 503: "protocol", 504: "protocol",
    521: "blocked", 523: "message_too_large", 530: "auth_failure", 535: "auth_failure",
    551: "user_unknown", 552: "mailbox_full", 555: "protocol", 556: "host_unknown",
}
# fmt: on


def classify(code: int | None, enhanced: str | None, text: str, stage: Stage) -> tuple[Reason, bool]:
    """The reason, and whether the bounce is hard: the address is dead and should not be mailed again.

    ``code`` is the SMTP reply code, ``enhanced`` the enhanced one like "5.1.1", ``text`` the server's words;
    ``None`` and "" where there were none. Temporary answers have reasons, too, and are never hard.
    """
    if stage == "auth":
        return "auth_failure", False
    subject, _, detail = (enhanced or "").partition(".")[2].partition(".")
    exact = _exact(subject, detail)
    text = text.lower()[:MAX_TEXT]
    words = _words(text)
    clear: Reason | None = "blocked" if LISTS.search(text) else _match(CLEAR, words)
    if clear in _DEAD and subject in ("6", "7"):  # policy and content, unless the words leave no doubt
        clear = clear if DEAD_FOR_SURE.search(words) else None
    elif clear in _DEAD and not (exact is None or exact in _DEAD):
        clear = None  # a code that is about a living address outweighs "user … not …" in its words
    if clear in _DEAD and KEPT_OUT.search(text):
        clear = "policy"
    silent: Reason = "network" if code is None and enhanced is None and stage != "report" else "other"
    reason: Reason = (
        clear
        or exact
        or _match(VAGUE, words)
        or _SUBJECT.get(subject)
        or (_CODE.get(code) if code is not None else None)
        or silent
    )
    if reason in _DEAD and stage in ("connect", "mail"):
        reason = "policy"  # nobody has named the recipient yet: this is about us
    if not enhanced and stage == "report":
        enhanced = "5"  # a report without any code is of what its server has given up
    permanent = code >= 500 if code is not None else (enhanced or "").startswith("5")
    if stage == "report" and code is None and ("nxdomain" in text or "null mx" in text):
        permanent = True  # Gmail says so with 4.0.0; nobody has to wait for a name that there is not
    return reason, permanent and reason in _DEAD


def _exact(subject: str, detail: str) -> Reason | None:
    if subject == "7" and detail.isdecimal() and 606 <= int(detail) < 650:  # Microsoft: banned addresses
        return "blocked"
    return _ENHANCED.get(f"{subject}.{detail}")


def _words(text: str) -> str:
    """The text without addresses, links and names of hosts; Microsoft's dotted marks become words."""
    kept = (word.replace(".", " ") if word.startswith(_MARKS) else word for word in text.split())
    return " ".join(word for word in kept if not _is_name(word))


def _is_name(word: str) -> bool:
    return "@" in word or "://" in word or _HOST.fullmatch(word.strip("<>()[]{},;:.'\"")) is not None


def _match(table: Table, words: str) -> Reason | None:
    return next((reason for reason, pattern in table if pattern.search(words)), None)
