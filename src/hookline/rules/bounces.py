"""Why a mail came back: a reason of the closed list, and whether the address is dead.

The reply code says least and the words most. "5.x.x is hard" is wrong about half the time: refusals by
policy (5.7.x), full mailboxes (5.2.2) and rate limits come as permanent answers from living addresses.
So the verdict takes, in this order: words that can mean one thing only, the exact enhanced code
(RFC 3463, RFC 5248 and its registry, Microsoft's 5.7.5xx and 5.7.6xx), words that are vaguer, the class
of the enhanced code, the reply code (RFC 5321 4.2). Hard is just a permanent answer that says there is
no such user or host; where that is in doubt, the bounce is soft, because a living address that is
never mailed again costs more than one more bounce.
"""

from __future__ import annotations

import re
from typing import Literal

Reason = Literal[
    "user_unknown", "host_unknown", "mailbox_full", "mailbox_inactive", "message_too_large", "blocked",
    "policy", "content", "spam", "auth_failure", "rate_limited", "greylisted", "network", "protocol",
    "expired", "system", "other",
]  # fmt: skip
Stage = Literal["connect", "auth", "mail", "rcpt", "data", "report"]
"""Where the answer came: a step of the SMTP session, or a delivery report (RFC 3464) afterwards."""

MAX_TEXT = 1000

_DEAD: tuple[Reason, ...] = ("user_unknown", "host_unknown")

_Table = tuple[tuple[Reason, re.Pattern[str]], ...]


def _table(*rows: tuple[Reason, str]) -> _Table:
    return tuple((reason, re.compile(words)) for reason, words in rows)


# Names, addresses and links are not words: "spam@example.com" is no spam, "relay.example.com" no relaying.
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}")
# … but for the lists of senders of ill repute, which are often known by their links alone.
_LISTS = re.compile(r"spamhaus|spamcop|barracudacentral|sorbs\.net|uceprotect|dnsbl|\brbl\b|blackhole")

# fmt: off
_CLEAR = _table(
    ("greylisted", r"gr[ae]y[ -]?list"),
    ("rate_limited", r"rate[ -]?limit|throttl|at a rate|unusual rate|too (?:fast|frequent|quickly)|slow down"
        r"|too many (?:messages|connections|mails|emails|requests|concurrent|recipients)|unexpected volume"
        r"|(?:sending|hourly|daily) (?:message |mail )?(?:limit|quota)|(?:messages|connections) per"),
    ("auth_failure", r"\bspf\b|\bdkim\b|\bdmarc\b|unauthenticated|not authenticated|authentication (?:required"
        r"|checks?|failed|level)"),
    ("mailbox_full", r"quota|(?:mailbox|inbox|mail ?drop|account|folder)(?: \w+){0,4} (?:full|over)\b"
        r"|mailbox size limit|(?:user|mailbox|account)(?: \w+){0,4} storage|storage(?: \w+){0,3} exceeded"),
    ("message_too_large", r"(?:message|mail|size|header)\b.{0,40}(?:too (?:large|big|long)|exceed|limit)"
        r"|too (?:large|big)|larger than"),
    ("blocked", r"black ?list|block ?list|deny ?list|reputation|banned|blocked (?:by|using|due|for|because)"
        r"|listed (?:at|by|in|on)|\b(?:ip|ips|host|client|network|sender|domain|server)\b.{0,40}"
        r"(?:blocked|listed|blacklisted)"),
    ("spam", r"\bspam|\bjunk\b|unsolicited|\bbulk mail"),
    ("content", r"virus|malware|phish|infected|malicious|attachment|suspicious|(?:message|mail) content"
        r"|content.{0,20}(?:reject|block|not accept|denied|polic)"),
    ("policy", r"\brelay|\bsender (?:address|domain|verif|unknown|rejected|not)|(?:domain|address) of sender"
        r"|(?:return|reverse)[ -]path|\bhelo\b|\behlo\b|\bptr\b|reverse dns|\brdns\b"),
    ("host_unknown", r"(?:host|domain)(?: \w+){0,4} (?:unknown|not found|not exist|doesn't exist|invalid)"
        r"|(?:unknown|no such|non-?existent|invalid|bad) (?:\w+ )?(?:host|domain)|nxdomain|null ?mx"
        r"|name or service not known|does(?: not|n't) accept (?:any )?mail|no (?:mx|mail exchanger)"),
    ("mailbox_inactive", r"inactive|deactivated|\bdisabled|suspended|discontinued|dormant|not active"
        r"|no longer active|locked"),
    ("user_unknown", r"(?:user|recipient|mailbox|address|account|addressee|alias|destination)s?\b.{0,60}"
        r"(?:unknown|unavailable|not (?:found|exist|known|valid|recogni[sz]ed|a known|local|listed)|n't exist"
        r"|no longer|invalid)|(?:unknown|no such|invalid|non-?existent|undeliverable|unrouteable) (?:local )?"
        r"(?:user|recipient|mailbox|address|account|person|part|addressee|alias)|no (?:mailbox|user|account)\b"
        r"|doesn't have an? .{0,30}account|recipient address rejected: access denied|who are you looking for"),
)
_VAGUE = _table(
    ("expired", r"expired|retry time|too long in the queue|queue (?:life)?time|undelivered for"),
    ("policy", r"polic|not (?:permitted|allowed|authori[sz]ed)|access denied|prohibited|administrativ"),
    ("network", r"timed? ?out|unreachable|no route|lost connection|connection (?:refused|reset|lost|closed)"
        r"|connect to|temporary (?:lookup|resolution)|name server|\btls\b|\bssl\b"),
    ("system", r"insufficient|disk|out of memory|(?:local|internal|server|system|configuration) (?:\w+ )?error"
        r"|system (?:busy|problem|not)|server busy|unavailable|try again|try later|\bloop|too many hops"),
    ("protocol", r"syntax|sequence|command|unrecogni[sz]ed|smtputf8|bare lf|line (?:is )?too long|protocol"),
)
_ENHANCED: dict[str, Reason] = {  # by subject and detail; the class does not change the reason
    "1.1": "user_unknown", "1.2": "host_unknown", "1.3": "user_unknown", "1.4": "user_unknown",
    "1.6": "user_unknown", "1.7": "policy", "1.8": "policy", "1.9": "protocol", "1.10": "host_unknown",
    "2.1": "mailbox_inactive", "2.2": "mailbox_full", "2.3": "message_too_large", "2.4": "system",
    "3.4": "message_too_large", "3.6": "system",
    "4.4": "host_unknown", "4.6": "system", "4.7": "expired", "4.310": "host_unknown",
    "5.3": "rate_limited", "6.7": "protocol", "6.8": "protocol", "6.9": "protocol",
    "7.8": "auth_failure", "7.9": "auth_failure", "7.17": "mailbox_inactive", "7.18": "mailbox_inactive",
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
    words = " ".join(word for word in text.split() if not _is_name(word))
    clear: Reason | None = "blocked" if _LISTS.search(text) else _match(_CLEAR, words)
    if clear in _DEAD and (subject in ("6", "7") or not (exact is None or exact in _DEAD)):
        clear = None  # a code that is about a living address outweighs "user … not …" in its words
    silent: Reason = "network" if code is None and enhanced is None and stage != "report" else "other"
    reason: Reason = (
        clear
        or exact
        or _match(_VAGUE, words)
        or _SUBJECT.get(subject)
        or (_CODE.get(code) if code is not None else None)
        or silent
    )
    if reason in _DEAD and stage in ("connect", "mail"):
        reason = "policy"  # nobody has named the recipient yet: this is about us
    permanent = code >= 500 if code is not None else (enhanced or "").startswith("5")
    return reason, permanent and reason in _DEAD


def _exact(subject: str, detail: str) -> Reason | None:
    if subject == "7" and detail.isdecimal() and 606 <= int(detail) < 650:  # Microsoft: banned addresses
        return "blocked"
    return _ENHANCED.get(f"{subject}.{detail}")


def _is_name(word: str) -> bool:
    return "@" in word or "://" in word or _HOST.fullmatch(word.strip("<>()[]{},;:.'\"")) is not None


def _match(table: _Table, words: str) -> Reason | None:
    return next((reason for reason, pattern in table if pattern.search(words)), None)
