"""Postmark's webhooks: one object a call, told apart by ``RecordType``.

Postmark does not sign: basic auth in the URL, or a header of the user's choice. ``X-PM-Webhook-Trace-Id``
stays the same when a call is repeated. ``Metadata`` of the mail (headers ``X-PM-Metadata-…``) comes back. What
Postmark calls a bounce is more than that: the types of its Bounce API, some of which are no bounces at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider
from hookline.rules.correlation import KEY

NAME = "postmark"
TRACE = "x-pm-webhook-trace-id"


class Kind(Struct, frozen=True):
    """What a type of Postmark's bounces is; ``type`` is "" where we have no word for it. ``reason`` and ``hard`` are
    as ``fields.bounce`` takes them."""

    type: str = ""
    reason: str | None = None
    hard: bool | None = None


# By `Type` of a bounce.
BOUNCES: Mapping[str, Kind] = {
    "HardBounce": Kind("email.bounced", "user_unknown", True),
    "SoftBounce": Kind("email.bounced", None, False),
    "Transient": Kind("email.deferred"),
    "DnsError": Kind("email.bounced", "network", False),
    "Blocked": Kind("email.bounced", "blocked", False),
    "SpamNotification": Kind("email.bounced", "spam", False),
    "VirusNotification": Kind("email.bounced", "content", False),
    "DMARCPolicy": Kind("email.bounced", "auth_failure", False),
    "BadEmailAddress": Kind("email.bounced", "user_unknown", True),
    "Unknown": Kind("email.bounced"),
    "SpamComplaint": Kind("email.complained"),
    "Unsubscribe": Kind("email.unsubscribed"),
    "ManuallyDeactivated": Kind("email.blocked", "manual"),
    "SMTPApiError": Kind("email.blocked", "protocol"),
    "TemplateRenderingFailed": Kind("email.blocked", "content"),
    "AddressChange": Kind(),
    "AutoResponder": Kind(),
    "ChallengeVerification": Kind(),
    "InboundError": Kind(),
    "OpenRelayTest": Kind(),
    "Subscribe": Kind(),
    "Unconfirmed": Kind(),
}
# By `RecordType`: the type, and where the recipient and the time stand.
RECORDS = {
    "Delivery": ("email.delivered", "Recipient", "DeliveredAt"),
    "Open": ("email.opened", "Recipient", "ReceivedAt"),
    "Click": ("email.clicked", "Recipient", "ReceivedAt"),
    "Bounce": ("email.bounced", "Email", "BouncedAt"),
    "SpamComplaint": ("email.complained", "Email", "BouncedAt"),
    "SubscriptionChange": ("email.unsubscribed", "Recipient", "ChangedAt"),
}


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    found = fields.split(call.body)
    trace = call.headers.get(TRACE, "") if len(found) == 1 else ""
    return [_event(place, raw, event, trace) for place, (raw, event) in enumerate(found)]


def _event(place: int, raw: bytes, event: Mapping[str, Any], trace: str) -> ParsedEvent:
    name = event.get("RecordType")
    if not isinstance(name, str):
        raise ValueError(f"event {place} has no `RecordType`, a text such as Delivery")
    if name not in RECORDS:
        return ParsedEvent(type=fields.unknown(NAME, name), raw=raw, id=trace)
    type, recipient, moment = RECORDS[name]
    email = fields.address(event.get(recipient))
    if email is None:
        raise ValueError(f"event {place} ({name}) has no `{recipient}`, an address")
    facts: Mapping[str, Any] = {}
    known = True
    match name:
        case "Bounce":
            type, facts = _bounce(event)
            known = fields.text(event.get("Type")) in BOUNCES
        case "SubscriptionChange" if not _left(event):
            type = f"{NAME}.{name}"
        case "Open" | "Click":
            facts = _seen(type, event)
        case _:
            facts = fields.told(detail=fields.text(event.get("Details")))
    metadata = fields.mapping(event.get("Metadata"))
    about = fields.told(tags=fields.texts(event.get("Tag")), metadata=fields.plain(metadata, KEY))
    return ParsedEvent(
        type=type,
        raw=raw,
        id=trace,
        email=email,
        time=fields.iso(event.get(moment)),
        message=fields.message_id(metadata.get(KEY)),
        facts={**facts, **about},
        known=known,
    )


def _bounce(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The type and the facts of what Postmark calls a bounce."""
    name = fields.text(event.get("Type"))
    kind = BOUNCES.get(name or "")
    if kind is None or not kind.type:
        return fields.unknown(NAME, name), {}
    said = fields.answer(event.get("Details") or event.get("Description"))
    match kind.type:
        case "email.bounced":
            return kind.type, said | fields.bounce(said, kind.reason, kind.hard)
        case "email.deferred":
            return kind.type, said | {"reason": fields.verdict(said)[0]}
    return kind.type, said | fields.told(reason=kind.reason)


def _left(event: Mapping[str, Any]) -> bool:
    """Whether the recipient himself wants no more. Of bounces and complaints their own records tell."""
    return (
        event.get("SuppressSending") is True
        and event.get("Origin") == "Recipient"
        and event.get("SuppressionReason") not in ("HardBounce", "SpamComplaint")
    )


def _seen(type: str, event: Mapping[str, Any]) -> dict[str, Any]:
    agent = fields.text(event.get("UserAgent"))
    told = fields.told(
        url=fields.text(event.get("OriginalLink")) if type == "email.clicked" else None,
        ip=fields.text(fields.mapping(event.get("Geo")).get("IP")),
        user_agent=agent,
    )
    return told | fields.by_machine(type, agent)


PROVIDER = Provider(
    name=NAME,
    credentials=proofs.PLAIN,
    optional=frozenset(proofs.PLAIN),
    challenge=proofs.BASIC,
    check=proofs.check_plain,
    verify=proofs.verify_plain,
    parse=parse,
)
