"""Mandrill's webhooks (Mailchimp Transactional): a form whose field ``mandrill_events`` is an array of events.

Signed with HMAC-SHA1 in ``X-Mandrill-Signature``, base64, over the URL as it was typed into Mandrill and the
form's names and values, sorted by name ("How to Authenticate Webhook Requests"). The key is shown once the
webhook is made; making it, Mandrill tries the address with HEAD, or with an empty array that it signs with the
key ``test-webhook``. There is no event id: a digest tells repeats apart. ``msg.metadata`` brings back what the
mail was given (header ``X-MC-Metadata``).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider
from hookline.rules.bounces import Reason
from hookline.rules.correlation import KEY

NAME = "mandrill"
TEST_KEY = "test-webhook"

TYPES = {
    "send": "email.sent",
    "delivered": "email.delivered",
    "deferral": "email.deferred",
    "hard_bounce": "email.bounced",
    "soft_bounce": "email.bounced",
    "reject": "email.blocked",
    "open": "email.opened",
    "click": "email.clicked",
    "spam": "email.complained",
    "unsub": "email.unsubscribed",
}
# What we have no word for, and understand none the less: mail that comes in, and changes of Mandrill's own lists.
OTHERS = frozenset({"inbound", "blacklist", "whitelist", "allowlist", "denylist"})

# Of mails that it has forgotten meanwhile, Mandrill still tells these, without `msg`.
SEEN = frozenset({"open", "click"})

# `bounce_description`; "general" leaves it to the words.
BOUNCED: Mapping[str, Reason] = {
    "bad_mailbox": "user_unknown",
    "invalid_domain": "host_unknown",
    "mailbox_full": "mailbox_full",
    "mailbox_inactive": "mailbox_inactive",
}
# Why Mandrill did not try: `msg.reject.reason`.
REJECTED = {
    "hard-bounce": "hard_bounce",
    "soft-bounce": "blocked",
    "spam": "complaint",
    "unsub": "unsubscribe",
    "custom": "manual",
    "invalid": "invalid",
    "invalid-sender": "policy",
    "unsigned": "auth_failure",
    "test-mode-limit": "rate_limited",
    "rule": "policy",
}


def verify(call: Incoming, credentials: Credentials) -> None:
    given = proofs.header(call, "X-Mandrill-Signature")
    try:
        form = fields.form(call.body)
    except ValueError as error:
        raise NotSigned(str(error)) from None
    url = credentials.get("url") or call.url
    signed = (url + "".join(name + value for name, value in sorted(form.items()))).encode()
    # An empty array tells nothing, so that its key need not be a secret.
    tried = form.get("mandrill_events", "").strip() == "[]" and proofs.same(
        given, _signature(TEST_KEY, signed)
    )
    if not tried and not proofs.same(given, _signature(proofs.need(credentials, "key"), signed)):
        raise NotSigned(
            "the signature does not match: another key, another address than ours, or an altered body"
        )


def _signature(key: str, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key.encode(), signed, "sha1")).decode()


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    events = fields.form(call.body).get("mandrill_events")
    if events is None:
        raise ValueError("the form has no `mandrill_events`")
    return [_event(place, raw, event) for place, (raw, event) in enumerate(fields.split(events.encode()))]


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name = event.get("event") or event.get("type")
    if not isinstance(name, str):
        raise ValueError(f"event {place} has no `event`, a text such as open")
    told = fields.mapping(event.get("msg") or event.get("reject") or event.get("entry"))
    email, time = fields.address(told.get("email")), fields.moment(event.get("ts"))
    if name not in TYPES:
        return ParsedEvent(
            type=fields.unknown(NAME, name),
            raw=raw,
            id=fields.digest(event),
            email=email,
            time=time,
            known=name in OTHERS,
        )
    if time is None:
        raise ValueError(f"event {place} ({name}) has no `ts`, the seconds since 1970")
    if email is None and ("msg" in event or name not in SEEN):
        raise ValueError(f"event {place} ({name}) has no `msg.email`, an address")
    metadata = fields.mapping(told.get("metadata"))
    return ParsedEvent(
        type=TYPES[name],
        ours=f"{NAME}.{name}" if name == "send" else None,
        raw=raw,
        id=fields.digest(event),
        email=email,
        time=time,
        message=fields.message_id(metadata.get(KEY)),
        facts=_facts(name, event, told)
        | fields.told(tags=fields.texts(told.get("tags")), metadata=fields.plain(metadata, KEY)),
    )


def _facts(name: str, event: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    match name:
        case "hard_bounce" | "soft_bounce":
            said = fields.answer(_diagnosis(message))
            classified = BOUNCED.get(fields.text(message.get("bounce_description")) or "")
            return said | fields.bounce(said, classified, name == "hard_bounce")
        case "deferral":
            said = fields.answer(_diagnosis(message))
            return said | {"reason": fields.verdict(said)[0]}
        case "reject":
            reject = fields.mapping(message.get("reject"))
            why = fields.text(reject.get("reason")) or fields.text(message.get("reject_reason"))
            detail = fields.text(reject.get("detail")) or why
            return fields.told(reason=REJECTED.get(why or "", "blocked"), detail=detail)
        case "open" | "click" | "unsub":
            agent = fields.text(event.get("user_agent"))
            told = fields.told(
                url=fields.text(event.get("url")) if name == "click" else None,
                ip=fields.text(event.get("ip")),
                user_agent=agent,
            )
            kind = fields.text(fields.mapping(event.get("user_agent_parsed")).get("type")) or ""
            return told | fields.by_machine(
                TYPES[name], agent, "scanner" if kind.lower() == "robot" else None
            )
    return fields.told(detail=_diagnosis(message))


def _diagnosis(message: Mapping[str, Any]) -> str | None:
    """What the other server said: ``diag`` without its ``smtp;`` (RFC 3464, 2.3.6), or that of the last try."""
    found = fields.text(message.get("diag"))
    tries = message.get("smtp_events")
    if found is None and isinstance(tries, list) and tries:
        found = fields.text(fields.mapping(tries[-1]).get("diag"))
    return found.removeprefix("smtp;").strip() or None if found else None


PROVIDER = Provider(
    name=NAME,
    credentials={
        "key": "the webhook's key, which Mandrill shows in its list of webhooks",
        "url": "the address exactly as Mandrill has it, where that is not the source's own",
    },
    optional=frozenset({"url"}),
    late=True,
    verify=verify,
    parse=parse,
)
