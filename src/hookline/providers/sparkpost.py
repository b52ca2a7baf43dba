"""SparkPost's webhooks: an array of ``{"msys": {"message_event": {…}}}``, its classes and types in one.

Nothing is signed. SparkPost brings basic auth, a header of the user's choice, the bearer token that an OAuth
server gave it, or (older webhooks) ``X-MessageSystems-Webhook-Token``. A new webhook is tried with
``[{"msys": {}}]``. ``event_id`` is the same on each of its retries, 8 hours long; ``rcpt_meta`` brings back
what the mail was given as metadata (header ``X-MSYS-API``). Sources: SparkPost's event reference and its table
of bounce classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider
from hookline.rules.bounces import Reason
from hookline.rules.correlation import KEY

NAME = "sparkpost"

TYPES = {
    "injection": "email.sent",
    "delivery": "email.delivered",
    "delay": "email.deferred",
    "bounce": "email.bounced",
    "out_of_band": "email.bounced",
    "policy_rejection": "email.blocked",
    "generation_failure": "email.blocked",
    "generation_rejection": "email.blocked",
    "open": "email.opened",
    "initial_open": "email.opened",
    "amp_open": "email.opened",
    "amp_initial_open": "email.opened",
    "click": "email.clicked",
    "amp_click": "email.clicked",
    "spam_complaint": "email.complained",
    "list_unsubscribe": "email.unsubscribed",
    "link_unsubscribe": "email.unsubscribed",
}
# Classes whose events have no `type`: mail that comes in.
UNTYPED = frozenset({"relay_message"})
# What we have no word for, and understand none the less.
OTHERS = frozenset(
    {
        "sms_status", "relay_message", "relay_injection", "relay_rejection", "relay_delivery", "relay_tempfail",
        "relay_permfail", "ab_test_completed", "ab_test_cancelled", "success", "error",
    }
)  # fmt: skip
# The pixel at the top of a mail, which proxies fetch before anybody looks; a reader fetches the lower one, too.
INITIAL = frozenset({"initial_open", "amp_initial_open"})

# `bounce_class`. "other" leaves it to the words; what is no bounce at all is in NO_BOUNCE.
CLASSES: Mapping[int, Reason] = {
    1: "other", 10: "user_unknown", 20: "other", 21: "host_unknown", 22: "mailbox_full", 23: "message_too_large",
    24: "expired", 25: "policy", 26: "policy", 30: "user_unknown", 40: "other", 50: "blocked", 51: "blocked",
    52: "spam", 53: "content", 54: "policy", 70: "system",
}  # fmt: skip
HARD = frozenset({10, 30})
UNDETERMINED = 1
NOT_TRIED = frozenset({25, 26})
NO_BOUNCE = {60: "auto_reply", 80: "subscribe_request", 100: "challenge_response"}
UNSUBSCRIBE_REQUEST = 90


def verify(call: Incoming, credentials: Credentials) -> None:
    token, given = credentials.get("token"), call.headers.get("x-messagesystems-webhook-token", "")
    if not token or not proofs.same(given, token):
        proofs.verify_plain(call, credentials)


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    found: list[ParsedEvent] = []
    for place, (raw, event) in enumerate(fields.split(call.body)):
        inner = event.get("msys")
        if not isinstance(inner, dict):
            raise ValueError(f"event {place} has no `msys`, an object")
        if inner:  # without, it is a ping
            name, values = next(iter(inner.items()))
            if not isinstance(values, dict):
                raise ValueError(f"event {place} has no object in `msys.{name[:50]}`")
            found.append(_event(place, raw, {"type": name, **values} if name in UNTYPED else values))
    return found


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name = event.get("type")
    if not isinstance(name, str):
        raise ValueError(f"event {place} has no `type`, a text such as open")
    email = fields.address(event.get("raw_rcpt_to")) or fields.address(event.get("rcpt_to"))
    time = fields.moment(event.get("timestamp")) or fields.iso(event.get("timestamp"))
    found = ParsedEvent(
        type=fields.unknown(NAME, name),
        raw=raw,
        id=fields.text(event.get("event_id")) or "",
        email=email,
        time=time,
        known=name in OTHERS,
    )
    if name not in TYPES:
        return found
    if time is None:
        raise ValueError(f"event {place} ({name}) has no `timestamp`, the seconds since 1970")
    if email is None:
        raise ValueError(f"event {place} ({name}) has no `rcpt_to`, an address")
    kind, code = TYPES[name], fields.integer(event.get("bounce_class"))
    if kind == "email.bounced" and code is not None:
        if code in NO_BOUNCE:
            return replace(found, type=f"{NAME}.{NO_BOUNCE[code]}", known=True)
        if code == UNSUBSCRIBE_REQUEST:
            kind = "email.unsubscribed"
        elif code in NOT_TRIED:
            kind = "email.blocked"
    metadata = fields.mapping(event.get("rcpt_meta"))
    return replace(
        found,
        type=kind,
        ours=f"{NAME}.{name}" if name == "injection" else None,
        message=fields.message_id(metadata.get(KEY), event.get("msg_id")),
        facts=_facts(name, kind, event)
        | fields.told(tags=fields.texts(event.get("rcpt_tags")), metadata=fields.plain(metadata, KEY)),
    )


def _facts(name: str, kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    code = fields.integer(event.get("bounce_class"))
    said = fields.answer(event.get("raw_reason") or event.get("reason"), event.get("error_code"))
    match kind:
        case "email.opened" | "email.clicked":
            return _seen(name, kind, event)
        case "email.bounced":
            hard = None if code in (None, UNDETERMINED) else code in HARD
            return said | fields.bounce(said, CLASSES.get(code or 0), hard)
        case "email.deferred":
            return said | {"reason": fields.bounce(said, CLASSES.get(code or 0), None)["reason"]}
        case "email.blocked":
            classified = "content" if name == "generation_failure" else CLASSES.get(code or 0, "policy")
            return said | {"reason": "policy" if classified == "other" else classified}
        case "email.complained":
            return fields.told(detail=fields.text(event.get("fbtype")))
        case "email.unsubscribed":
            agent = fields.text(event.get("user_agent"))
            return fields.told(ip=fields.text(event.get("ip_address")) if agent else None, user_agent=agent)
    return {}


def _seen(name: str, kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    agent = fields.text(event.get("user_agent"))
    told = fields.told(
        url=fields.text(event.get("target_link_url")) if kind == "email.clicked" else None,
        ip=fields.text(event.get("ip_address")),
        user_agent=agent,
    )
    prefetched = fields.mapping(event.get("user_agent_parsed")).get("is_prefetched") is True
    why = "prefetch" if prefetched or name in INITIAL else None
    return told | fields.by_machine(kind, agent, why)


PROVIDER = Provider(
    name=NAME,
    credentials=proofs.PLAIN,
    optional=frozenset(proofs.PLAIN),
    challenge=proofs.BASIC,
    check=proofs.check_plain,
    id_per_type=True,
    verify=verify,
    parse=parse,
)
