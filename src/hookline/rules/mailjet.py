"""Mailjet's Event API as its receivers know it: our email events as the objects that Mailjet would send.

Facts are from Mailjet's public guide to its event API. What it identifies by numbers we identify by texts,
so the numbers are made from our ids: the same id is always the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from hookline.model import SECOND, Event

TYPES: Mapping[str, str] = {
    "sent": "email.sent",
    "open": "email.opened",
    "click": "email.clicked",
    "bounce": "email.bounced",
    "blocked": "email.blocked",
    "spam": "email.complained",
    "unsub": "email.unsubscribed",
}
NAMES: Mapping[str, str] = {ours: theirs for theirs, ours in TYPES.items()} | {"email.delivered": "sent"}
HEADER = "List-Unsubscribe"
"""The agent of those who left by the header of that name."""
PAYLOAD = "Payload"
BATCH = 1000
EVERY = SECOND
"""A grouped call holds the events of one second."""

# `error_related_to` and `error` by our reasons: those of bounces, then those of suppressions.
ERRORS: Mapping[str, tuple[str, str]] = {
    "user_unknown": ("recipient", "user unknown"),
    "mailbox_inactive": ("recipient", "mailbox inactive"),
    "mailbox_full": ("recipient", "quota exceeded"),
    "host_unknown": ("domain", "invalid domain"),
    "greylisted": ("domain", "greylisted"),
    "message_too_large": ("spam", "policy issue"),
    "content": ("spam", "content blocked"),
    "spam": ("spam", "content blocked"),
    "blocked": ("spam", "sender blocked"),
    "policy": ("spam", "policy issue"),
    "auth_failure": ("spam", "policy issue"),
    "rate_limited": ("system", "connection issue"),
    "network": ("system", "connection issue"),
    "expired": ("system", "connection issue"),
    "protocol": ("system", "protocol issue"),
    "hard_bounce": ("mailjet", "preblocked"),
    "invalid": ("mailjet", "preblocked"),
    "manual": ("recipient", "blacklisted"),
    "unsubscribe": ("recipient", "blacklisted"),
    "complaint": ("recipient", "spam reporter"),
}
UNKNOWN = ("system", "system issue")


def passes_over(event: Event) -> str:
    """Why Mailjet would say nothing of an event, in words; "" where it would.

    It says ``sent`` once for a mail. For one of our own that is when the mailer handed it over.
    """
    if event.type not in NAMES:
        return f"Mailjet's format has no event for {event.type}"
    if event.type == "email.delivered" and event.message is not None:
        return "Mailjet's format tells of a mail's sending once, and email.sent has told of it"
    return ""


def encode(event: Event) -> bytes:
    """One event as Mailjet's object, in JSON."""
    return msgspec.json.encode(to_object(event))


def to_object(event: Event) -> dict[str, Any]:
    """One email event as Mailjet's object.

    ``MessageID`` is an integer of up to 63 bits as Mailjet's are, so JavaScript cannot hold it:
    ``mj_message_id`` is the same as text. ``CustomID`` is our message's id, ``customcampaign`` our campaign's,
    ``Payload`` the mail's metadata.
    """
    data = msgspec.json.decode(event.data) if event.data else {}
    name = NAMES[event.type]
    message, campaign = _text(data, "message"), _text(data, "campaign")
    number = number_of(message or event.source_id or event.id, 63)
    return {
        "event": name,
        "time": event.time // SECOND,
        "MessageID": number,
        "Message_GUID": str(UUID(bytes=_digest(message or event.source_id or event.id), version=4)),
        "email": _text(data, "email") or event.subject or "",
        "mj_campaign_id": number_of(campaign, 53),
        "mj_contact_id": number_of(_text(data, "contact"), 53),
        "customcampaign": campaign,
        "mj_message_id": str(number),
        "CustomID": message,
        "Payload": _payload(data.get("metadata")),
    } | _more(name, data)


def number_of(name: str, bits: int) -> int:
    """The number that stands for an id, never 0; 0 for "", as Mailjet has it where there is none."""
    return (int.from_bytes(_digest(name)) >> (128 - bits)) or 1 if name else 0


def _more(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that only this event has."""
    related, error = ERRORS.get(_text(data, "reason"), UNKNOWN)
    seen = {"ip": _text(data, "ip"), "geo": "", "agent": _text(data, "user_agent")}
    match name:
        case "sent":
            said = _answer(data) or "250 2.0.0 OK"
            return {"smtp_reply": said if said.startswith("sent (") else f"sent ({said})"}
        case "open":
            return seen
        case "click":
            return {"url": _text(data, "url")} | seen
        case "bounce":
            hard = data.get("hard") is True
            return {
                "blocked": hard,
                "hard_bounce": hard,
                "error_related_to": related,
                "error": error,
                "comment": _answer(data),
            }
        case "blocked":
            return {"error_related_to": related, "error": error}
        case "spam":
            return {"source": _text(data, "detail") or _text(data, "provider")}
        case _:
            if data.get("method") == "one-click":
                seen["agent"] = HEADER
            return {"mj_list_id": number_of(_text(data, "list"), 53)} | seen


def _payload(metadata: object) -> str:
    """What the sender attached to a mail; as it was where it came from Mailjet."""
    if not isinstance(metadata, dict) or not metadata:
        return ""
    whole = metadata.get(PAYLOAD)
    return whole if isinstance(whole, str) and len(metadata) == 1 else msgspec.json.encode(metadata).decode()


def _answer(data: Mapping[str, Any]) -> str:
    """The server's answer as it stood: Mailjet has the codes before the words."""
    code, words = data.get("smtp_code"), _text(data, "detail")
    if not isinstance(code, int) or str(code) in words[:20]:
        return words
    return " ".join(part for part in (str(code), _text(data, "enhanced_code"), words) if part)


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16, person=b"mailjet-number").digest()
