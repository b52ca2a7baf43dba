"""Mailtrap's webhooks for what it sends: ``{"events": […]}``, or one event a line (JSON Lines), as is chosen there.

Signed with HMAC-SHA256 of the body, hexadecimal, in ``Mailtrap-Signature``. ``event_id`` is the same on each of
its 40 retries; ``custom_variables`` brings back what the mail was given (header ``X-MT-Custom-Variables``).
Names of events come with spaces or underscores, as the page of the documentation likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider
from hookline.rules.bounces import Reason
from hookline.rules.correlation import KEY

NAME = "mailtrap"

TYPES = {
    "delivery": "email.delivered",
    "soft_bounce": "email.bounced",
    "bounce": "email.bounced",
    "suspension": "email.blocked",
    "reject": "email.blocked",
    "open": "email.opened",
    "click": "email.clicked",
    "unsubscribe": "email.unsubscribed",
    "spam": "email.complained",
    "spam_complaint": "email.complained",
}

# `bounce_category`, without its hyphens and underscores.
BOUNCED: Mapping[str, Reason] = {
    "badrecipient": "user_unknown",
    "badmailbox": "user_unknown",
    "baddomain": "host_unknown",
    "inactivemailbox": "mailbox_inactive",
    "quotaissues": "mailbox_full",
    "mailboxfull": "mailbox_full",
    "spam": "spam",
    "spamrelated": "spam",
    "policyrelated": "policy",
    "relayingissues": "policy",
    "contentrelated": "content",
    "virusrelated": "content",
    "messageexpired": "expired",
    "noanswerfromhost": "network",
    "badconnection": "network",
    "routingerrors": "network",
    "protocolerrors": "protocol",
    "badconfiguration": "system",
}


def verify(call: Incoming, credentials: Credentials) -> None:
    proofs.verify_hmac(
        proofs.need(credentials, "signing_secret"), call.body, proofs.header(call, "Mailtrap-Signature")
    )


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    events = fields.split(_array(call.body))
    return [_event(place, raw, event) for place, (raw, event) in enumerate(events)]


def _array(body: bytes) -> bytes:
    """The events as an array, whichever way they came."""
    try:
        return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("events", body))
    except (ValueError, RecursionError):
        if body.lstrip()[:1] != b"{" or body.count(b"\n") > fields.MOST_EVENTS:
            return body
        return b"[" + b",".join(line for line in body.split(b"\n") if line.strip()) + b"]"


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    named = event.get("event")
    if not isinstance(named, str):
        raise ValueError(f"event {place} has no `event`, a text such as open")
    name = named.lower().replace(" ", "_")
    email, time = fields.address(event.get("email")), fields.moment(event.get("timestamp"))
    id = fields.text(event.get("event_id")) or fields.digest(event)
    if name not in TYPES:
        kind, known = fields.unknown(NAME, name.replace(".", "_")), name.startswith("activity_log.")
        return ParsedEvent(type=kind, raw=raw, id=id, email=email, time=time, known=known)
    if time is None:
        raise ValueError(f"event {place} ({name}) has no `timestamp`, the seconds since 1970")
    if email is None:
        raise ValueError(f"event {place} ({name}) has no `email`, an address")
    variables = fields.mapping(event.get("custom_variables"))
    return ParsedEvent(
        type=TYPES[name],
        raw=raw,
        id=id,
        email=email,
        time=time,
        message=fields.message_id(variables.get(KEY)),
        facts=_facts(name, event)
        | fields.told(tags=fields.texts(event.get("category")), metadata=fields.plain(variables, KEY)),
    )


def _facts(name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    agent, ip = fields.text(event.get("user_agent")), fields.text(event.get("ip"))
    said = fields.answer(event.get("response") or event.get("reason"), event.get("response_code"))
    match TYPES[name]:
        case "email.opened" | "email.clicked":
            url = fields.text(event.get("url")) if name == "click" else None
            return fields.told(url=url, ip=ip, user_agent=agent) | fields.by_machine(TYPES[name], agent)
        case "email.unsubscribed":
            return fields.told(ip=ip, user_agent=agent)
        case "email.bounced":
            category = fields.text(event.get("bounce_category")) or ""
            classified = BOUNCED.get(category.lower().replace("-", "").replace("_", ""))
            hard = False if name == "soft_bounce" else classified in ("user_unknown", "host_unknown") or None
            return said | fields.bounce(said, classified, hard)
        case "email.blocked":
            return said | {"reason": "policy" if name == "suspension" else "blocked"}
    return said


PROVIDER = Provider(
    name=NAME,
    credentials={"signing_secret": "the webhook's signing secret, which Mailtrap shows among its settings"},
    late=True,
    id_per_type=True,
    verify=verify,
    parse=parse,
)
