"""The events that Hookline and its sources raise: their names, what they mean, and what their ``data`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from msgspec import Struct

from hookline.rules.bounces import Reason

_TEXT: Mapping[str, Any] = {"type": "string"}
_MAYBE: Mapping[str, Any] = {"type": ["string", "null"]}
_NUMBER: Mapping[str, Any] = {"type": "integer"}
_FLAG: Mapping[str, Any] = {"type": "boolean"}
# Why a mail came back, or why its address is suppressed.
_REASONS = [*get_args(Reason), "hard_bounce", "complaint", "unsubscribe", "manual", "invalid"]


class Field(Struct, frozen=True):
    """A field of ``data``: its JSON Schema, its meaning and an example."""

    schema: Mapping[str, Any]
    meaning: str
    example: Any


class EventType(Struct, frozen=True):
    """A type of event. ``example`` is a whole event; ``data`` of it fits ``schema``."""

    name: str
    meaning: str
    schema: dict[str, Any]
    example: dict[str, Any]


FIELDS: Mapping[str, Field] = {
    "message": Field(_TEXT, "The mail: the id of its delivery.", "dlv_06a9cl0q8dt7v3e5g1m2n4p6r8"),
    "campaign": Field(_MAYBE, "The campaign, if it was one's mail.", "cmp_06a9ckv2h5t0b7c9d1f3g5j7k9"),
    "contact": Field(_MAYBE, "The contact, if there is one.", "ctc_06a9ckq4n8v2d6f0h4k8m2p6s0"),
    "email": Field(_MAYBE, "The address.", "ada@example.com"),
    "sent_at": Field({**_TEXT, "format": "date-time"}, "When the mail was sent.", "2026-05-04T12:30:00Z"),
    "tags": Field({"type": "array", "items": _TEXT}, "The mail's tags.", ["spring"]),
    "metadata": Field({"type": "object"}, "What the sender attached to the mail.", {"order": "17"}),
    "provider": Field(_TEXT, "Who reported it.", "smtp"),
    "provider_event": Field({"type": "object"}, "The provider's report, as it came.", {"event": "open"}),
    "url": Field(_TEXT, "The link that was followed.", "https://shop.example/spring"),
    "ip": Field(_TEXT, "Where the request came from.", "192.0.2.17"),
    "user_agent": Field(_TEXT, "What the program called itself.", "Mozilla/5.0 (X11; Linux x86_64)"),
    "method": Field(
        {**_TEXT, "enum": ["one-click", "page", "mail"]},
        "How it was asked for: by the header's button (RFC 8058), on the page, by a mail; where that is known.",
        "one-click",
    ),
    "machine": Field(_FLAG, "Whether a program did it, and not a person.", False),
    "machine_reason": Field(_MAYBE, "What gave the program away.", None),
    "hard": Field(_FLAG, "Whether the address is dead.", True),
    "reason": Field({**_TEXT, "enum": _REASONS}, "Why, of a closed list.", "user_unknown"),
    "smtp_code": Field(_NUMBER, "The server's reply code (RFC 5321).", 550),
    "enhanced_code": Field(_TEXT, "The server's enhanced code (RFC 3463).", "5.1.1"),
    "detail": Field(_TEXT, "What was said, in words.", "550 5.1.1 there is no such user"),
    "list": Field(_MAYBE, "The list, if it is about one.", "lst_06a9cks6p0x4f8h2k6m0q4t8w2"),
    "event": Field(_MAYBE, "The event that led to it.", "evt_06a9cm1s2u4w6y8a0c2e4g6i8k"),
    "import": Field(_TEXT, "The import that did it, if one did.", "imp_06a9cn2s4u6w8y0a2c4e6g8i0k"),
    "changed": Field(
        {"type": "object", "additionalProperties": {"type": "object"}},
        "The attributes that changed, with the values before and after.",
        {"balance": {"from": 1000, "to": 800}},
    ),
    "why": Field(_TEXT, "Why, in words.", "the balance is too low"),
    "name": Field(_TEXT, "The campaign's name.", "Spring"),
    "hook": Field(_MAYBE, "The hook.", "hook_06a9cl5w6y8a0c2e4g6i8k0m2o"),
    "delivery": Field(_TEXT, "The delivery.", "dlv_06a9cl0q8dt7v3e5g1m2n4p6r8"),
    "error": Field(_TEXT, "The error of the last attempt, of a closed list.", "http_status"),
    "attempts": Field(_NUMBER, "How many attempts were made.", 10),
}

_MAIL = "message campaign contact email! sent_at tags metadata provider provider_event list"
_SEEN = "ip user_agent machine! machine_reason"
_ANSWER = "reason smtp_code enhanced_code detail"
_WHO = "contact email event"

# name, meaning, fields of `data`: `!` marks what is always there, `field=other` another name for a field.
_TYPES = (
    ("email.sent", "The server that mail is handed to took the mail.", f"{_MAIL} smtp_code enhanced_code detail"),
    ("email.delivered", "The recipient's server took the mail, where that is known.", f"{_MAIL} detail"),
    ("email.deferred", "The mail was put off; it is tried again.", f"{_MAIL} {_ANSWER}"),
    ("email.opened", "The mail was opened: its picture was fetched.", f"{_MAIL} {_SEEN}"),
    ("email.clicked", "A link of the mail was followed.", f"{_MAIL} url! {_SEEN}"),
    ("email.bounced", "The mail came back.", f"{_MAIL} hard! {_ANSWER}"),
    ("email.blocked", "The mail was not tried: the address is suppressed, or policy forbade it.", f"{_MAIL} {_ANSWER}"),
    ("email.complained", "The recipient marked the mail as spam.", f"{_MAIL} detail"),
    ("email.unsubscribed", "The recipient wants no more such mail.", f"{_MAIL} method ip user_agent"),
    ("contact.created", "There is a new contact.", "contact! email import"),
    ("contact.updated", "Attributes of a contact changed.", f"{_WHO} import changed!"),
    ("contact.refused", "A change of a contact was refused; nothing was changed.", f"{_WHO} reason=why!"),
    ("contact.pending", "A contact was asked, by a mail, whether it wants to join a list.", f"{_WHO} import list!"),
    ("contact.subscribed", "A contact joined a list.", f"{_WHO} import list!"),
    ("contact.unsubscribed", "A contact left a list, or all.", f"{_WHO} import list"),
    ("campaign.started", "A campaign began to send.", "campaign! name! list!"),
    ("campaign.finished", "Every mail of a campaign has reached an end.", "campaign! name! list!"),
    ("hook.disabled", "A hook was switched off, by a user or for its receiver's sake.", "hook! reason=why! delivery"),
    ("hook.enabled", "A hook was switched on again.", "hook!"),
    ("delivery.failed", "A delivery failed for good.", "delivery! message hook campaign event error! detail attempts!"),
)  # fmt: skip


def _event_type(name: str, meaning: str, fields: str) -> EventType:
    properties: dict[str, Any] = {}
    required: list[str] = []
    data: dict[str, Any] = {}
    for word in fields.split():
        shown, _, other = word.removesuffix("!").partition("=")
        field = FIELDS[other or shown]
        properties[shown] = {**field.schema, "description": field.meaning}
        data[shown] = field.example
        if word.endswith("!"):
            required.append(shown)
    subject = data.get("email") or data.get(name.partition(".")[0])
    return EventType(
        name=name,
        meaning=meaning,
        schema={"type": "object", "properties": properties, "required": required},
        example={
            "id": "evt_06a9cm3u4w6y8a0c2e4g6i8k0m",
            "type": name,
            "timestamp": "2026-05-04T12:31:07Z",
            "source": "mailer" if name.startswith("email.") else "hookline",
            "subject": subject,
            "data": data,
        },
    )


def catalogue() -> list[EventType]:
    """All of them, in the order of the contract."""
    return [_event_type(*row) for row in _TYPES]


def known_types() -> tuple[str, ...]:
    """Their names."""
    return tuple(name for name, _, _ in _TYPES)
