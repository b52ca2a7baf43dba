"""Brevo's webhooks, transactional and marketing: one object a call, or an array where they are batched.

Brevo does not sign: a token (``Authorization: Bearer``) or basic auth. There is no event id: a digest of the
event tells repeats apart. ``date`` is in the account's time zone, so the time is ``ts_epoch``, in milliseconds
(in Brevo's own examples it has seconds), or ``ts_event``. ``X-Mailin-custom`` of the mail comes back, and its
Message-ID where the relay kept it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from hookline.model import SECOND
from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider
from hookline.rules import cel
from hookline.rules.correlation import KEY

NAME = "brevo"
MILLISECOND = SECOND // 1000
LONG_AGO = 100_000_000_000  # in milliseconds, a time before 1973
TYPES = {
    "request": "email.sent",
    "delivered": "email.delivered",
    "deferred": "email.deferred",
    "hard_bounce": "email.bounced",
    "soft_bounce": "email.bounced",
    "invalid_email": "email.bounced",
    "blocked": "email.blocked",
    "error": "email.blocked",
    "spam": "email.complained",
    "complaint": "email.complained",
    "opened": "email.opened",
    "unique_opened": "email.opened",
    "proxy_open": "email.opened",
    "unique_proxy_open": "email.opened",
    "click": "email.clicked",
    "unsubscribe": "email.unsubscribed",
    "unsubscribed": "email.unsubscribed",
}
OTHERS = frozenset(
    {"list_addition", "contact_updated", "contact_deleted", "inbound_email_processed", "reply"}
)
# What the settings, the statistics or the marketing side of Brevo call them.
SPELLED = {
    "sent": "request",
    "clicked": "click",
    "invalid": "invalid_email",
    "loaded_by_proxy": "proxy_open",
    "proxy_opened": "proxy_open",
    "unique_proxy_opened": "unique_proxy_open",
}
HARD = {"hard_bounce": True, "invalid_email": True, "soft_bounce": False}


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    return [_event(place, raw, event) for place, (raw, event) in enumerate(fields.split(call.body))]


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    told = event.get("event")
    if not isinstance(told, str):
        raise ValueError(f"event {place} has no `event`, a text such as opened")
    name = _name(told)
    email = fields.address(event.get("email"))
    # Of the marketing webhooks `ts` and `ts_event` are seconds, and there is no `ts_epoch`.
    epoch = event.get("ts_epoch")
    time = fields.moment(epoch, MILLISECOND)
    if time is None:
        time = fields.moment(event.get("ts_event") or event.get("ts"))
    elif time < LONG_AGO * MILLISECOND:
        time = fields.moment(epoch)
    if name not in TYPES:
        type = fields.unknown(NAME, told)
        return ParsedEvent(type=type, raw=raw, email=email, time=time, known=name in OTHERS)
    if email is None:
        raise ValueError(f"event {place} ({told}) has no `email`, an address")
    mark = fields.text(event.get("X-Mailin-custom")) or ""
    return ParsedEvent(
        type=TYPES[name],
        ours=f"{NAME}.{name}" if name == "request" else None,
        raw=raw,
        email=email,
        time=time,
        message=fields.message_id(*_ours(mark), event.get("message-id")),
        facts=_facts(name, event) | fields.told(tags=_tags(event), metadata=_attached(mark)),
    )


def _name(told: str) -> str:
    """The name as the transactional webhooks spell it; the marketing ones have hardBounce and proxyOpen, too."""
    name = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", told).lower()
    return SPELLED.get(name, name)


def _ours(mark: str) -> list[str]:
    """What stands under our name in ``name:value|name:value``."""
    pairs = (pair.partition(":") for pair in mark.split("|"))
    return [value for name, _, value in pairs if name.strip() == KEY]


def _attached(mark: str) -> dict[str, Any] | None:
    """What the sender wrote into the header: ``name:value|name:value``, or a JSON object."""
    if mark.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            return fields.plain(cel.from_json(mark.encode()), KEY)
    pairs = [part.partition(":") for part in mark[: fields.LONGEST_TEXT].split("|")]
    return {
        name.strip(): value.strip() for name, colon, value in pairs if colon and name.strip() not in ("", KEY)
    } or None


def _facts(name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    type = TYPES[name]
    match type:
        case "email.bounced":
            said = fields.answer(event.get("reason"))
            classified = "user_unknown" if name == "invalid_email" else None
            return said | fields.bounce(said, classified, HARD[name])
        case "email.deferred":
            said = fields.answer(event.get("reason"))
            return said | {"reason": fields.verdict(said)[0]}
        case "email.blocked":
            reason = "blocked" if name == "blocked" else "other"
            return fields.told(reason=reason, detail=fields.text(event.get("reason")))
        case "email.opened" | "email.clicked":
            agent = fields.text(event.get("user_agent"))
            told = fields.told(
                url=fields.text(event.get("link") or event.get("URL")) if name == "click" else None,
                ip=fields.text(event.get("ip")),
                user_agent=agent,
            )
            proxy = "apple_privacy_proxy" if "proxy" in name else None
            return told | fields.by_machine(type, agent, proxy)
    return {}


def _tags(event: Mapping[str, Any]) -> list[str] | None:
    """``tags``, or ``tag``, which may be the text of an array."""
    tags = event.get("tags") or event.get("tag")
    if isinstance(tags, str) and tags.startswith("["):
        with contextlib.suppress(ValueError):
            tags = cel.from_json(tags.encode())
    return fields.texts(tags)


PROVIDER = Provider(
    name=NAME,
    credentials=proofs.PLAIN,
    optional=frozenset(proofs.PLAIN),
    challenge=proofs.BASIC,
    check=proofs.check_plain,
    verify=proofs.verify_plain,
    parse=parse,
)
