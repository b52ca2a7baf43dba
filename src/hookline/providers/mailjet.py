"""Mailjet's Event API: one object a call (version 1) or an array of the last second's (version 2).

There is no signature: the user puts basic auth into the URL that he gives Mailjet. There is no event id:
a digest of the event tells repeats apart. ``CustomID`` (the header ``X-MJ-CustomID`` of a mail) brings our
message id back. ``MessageID`` is larger than 2^53, so events are never read as JavaScript would.

Mailjet's ``sent`` says that the recipient's server took the mail. For a mail of ours the mailer has said
``email.sent`` already when Mailjet took it, so ``sent`` is ``email.delivered``; for a mail that we know
nothing of it is the first that we hear, and is ``email.sent``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from typing import Any

from hookline.model import SECOND
from hookline.providers.parsed import Incoming, ParsedEvent, digest, split
from hookline.rules.ids import is_id
from hookline.rules.machines import classify_click, classify_open

NAME = "mailjet"
CREDENTIALS: Mapping[str, str] = {
    "username": "the name in the URL that you give Mailjet: https://username:password@…",
    "password": "the password in that URL",
}
CHALLENGE = 'Basic realm="Hookline", charset="UTF-8"'

TYPES = {
    "sent": "email.sent",
    "open": "email.opened",
    "click": "email.clicked",
    "bounce": "email.bounced",
    "blocked": "email.blocked",
    "spam": "email.complained",
    "unsub": "email.unsubscribed",
}

# By `error_related_to` and `error`; what Mailjet may add later falls back to the first alone.
REASONS = {
    ("recipient", "user unknown"): "user_unknown",
    ("recipient", "mailbox inactive"): "mailbox_inactive",
    ("recipient", "quota exceeded"): "mailbox_full",
    ("recipient", "blacklisted"): "blocked",
    ("recipient", "spam reporter"): "blocked",
    ("domain", "invalid domain"): "host_unknown",
    ("domain", "no mail host"): "host_unknown",
    ("domain", "relay/access denied"): "policy",
    ("domain", "greylisted"): "greylisted",
    ("domain", "typofix"): "host_unknown",
    ("content", "bad or empty template"): "content",
    ("content", "error in template language"): "content",
    ("spam", "sender blocked"): "blocked",
    ("spam", "content blocked"): "spam",
    ("spam", "policy issue"): "policy",
    ("system", "system issue"): "system",
    ("system", "protocol issue"): "protocol",
    ("system", "connection issue"): "network",
    ("mailjet", "preblocked"): "blocked",
    ("mailjet", "duplicate in campaign"): "other",
}
RELATED = {"content": "content", "spam": "spam", "system": "system"}

LAST_SECOND = 253_402_300_799  # of the year 9999
LONGEST_ADDRESS = 320  # characters: 64, @, 255 (RFC 5321, 4.5.3.1)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)


def check_credentials(credentials: Mapping[str, str]) -> None:
    if ":" in credentials["username"]:
        raise ValueError("a name for basic auth has no colon")


def verify(call: Incoming, credentials: Mapping[str, str]) -> bool:
    """Basic auth (RFC 7617), in UTF-8."""
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, f"{credentials['username']}:{credentials['password']}".encode())


def parse(body: bytes) -> list[ParsedEvent]:
    return [_event(place, raw, event) for place, (raw, event) in enumerate(split(body))]


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name, seconds, email = event.get("event"), event.get("time"), event.get("email")
    if not isinstance(name, str):
        raise ValueError(f"event {place} has no `event`, a text such as open")
    if name not in TYPES:
        kind = name if _NAME.fullmatch(name) else "unknown"
        return ParsedEvent(type=f"{NAME}.{kind}", raw=raw, id=digest(event), email=_address(email))
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= LAST_SECOND:
        raise ValueError(f"event {place} ({name}) has no `time`, the seconds since 1970 as a whole number")
    if _address(email) is None:
        raise ValueError(f"event {place} ({name}) has no `email`, an address")
    custom = event.get("CustomID")
    message = custom if isinstance(custom, str) and is_id(custom, "dlv") else None
    return ParsedEvent(
        type="email.delivered" if name == "sent" and message else TYPES[name],
        raw=raw,
        id=digest(event),
        email=_address(email),
        time=seconds * SECOND,
        message=message,
        facts=_facts(name, event),
    )


def _facts(name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    agent = _text(event.get("agent"))
    error = _text(event.get("error"))
    machine: dict[str, Any] = {}
    if name in ("open", "click"):
        # No agent in the report says nothing about who it was.
        classify = classify_open if name == "open" else classify_click
        judged = classify(agent) if agent else (False, None)
        machine = {"machine": judged[0], "machine_reason": judged[1]}
    told = {
        "url": _text(event.get("url")) if name == "click" else None,
        "ip": _text(event.get("ip")),
        "user_agent": agent,
        "hard": event.get("hard_bounce") is True if name == "bounce" else None,
        "reason": _reason(event) if name in ("bounce", "blocked") else None,
        # What the other server said, or the name of the feedback loop.
        "detail": _text(event.get("smtp_reply") or event.get("comment") or event.get("source")) or error,
    }
    return {key: value for key, value in told.items() if value is not None} | machine


def _reason(event: Mapping[str, Any]) -> str:
    """Why, as a word of the closed list."""
    related, error = _text(event.get("error_related_to")) or "", _text(event.get("error")) or ""
    return REASONS.get((related, error)) or RELATED.get(related, "other")


def _address(value: object) -> str | None:
    text = _text(value)
    return text if text and len(text) <= LONGEST_ADDRESS and text.isprintable() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
