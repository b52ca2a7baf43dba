"""Mailgun's webhooks: ``{"signature": …, "event-data": …}``, one event a call.

The signature is in the body: the HMAC-SHA256 of timestamp and token, in hex, by the account's webhook signing
key. It does not cover the event, so a token is good for one event only: it is the id by which repeats are told
apart. ``user-variables`` of the mail (header ``X-Mailgun-Variables``) come back, and so does its Message-ID.
The legacy webhooks, which are forms, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider
from hookline.rules.bounces import Reason
from hookline.rules.correlation import KEY

NAME = "mailgun"
TYPES = {
    "accepted": "email.sent",
    "delivered": "email.delivered",
    "failed": "email.bounced",
    "rejected": "email.blocked",
    "opened": "email.opened",
    "clicked": "email.clicked",
    "complained": "email.complained",
    "unsubscribed": "email.unsubscribed",
}
OTHERS = frozenset({"stored", "list_member_uploaded", "list_member_upload_error", "list_uploaded"})

# Mailgun did not try: by `reason` of a failure.
NOT_TRIED = {
    "suppress-bounce": "hard_bounce",
    "suppress-complaint": "complaint",
    "suppress-unsubscribe": "unsubscribe",
}
FAILED: Mapping[str, Reason] = {"old": "expired", "espblock": "blocked", "greylisted": "greylisted"}
# Whether such an address is dead: by `reason`, where `bounce-type` does not say it.
HARD: Mapping[str, bool] = {"bounce": True, "old": False, "espblock": False}
# By `client-info`.`bot`.
BOTS = {"apple": "apple_privacy_proxy", "gmail": "gmail_prefetch", "generic": "scanner"}


def verify(call: Incoming, credentials: Credentials) -> None:
    try:
        [(_, body)] = fields.split(call.body)
    except ValueError:
        raise NotSigned(
            "it is no object in JSON; legacy webhooks are not taken, set up the new ones"
        ) from None
    given = fields.mapping(body.get("signature"))
    stamp, token, signature = (fields.text(given.get(name)) for name in ("timestamp", "token", "signature"))
    if stamp is None and isinstance(given.get("timestamp"), int):
        stamp = str(given["timestamp"])
    if not (stamp and token and signature):
        raise NotSigned("`signature` has no timestamp, token and signature")
    proofs.verify_hmac(proofs.need(credentials, "signing_key"), (stamp + token).encode(), signature)
    proofs.check_age(call, proofs.unix(stamp, "timestamp"), proofs.window(credentials, None))


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    found = fields.split(call.body)
    if len(found) != 1:
        raise ValueError("one event is expected")
    [(_, body)] = found
    event = body.get("event-data")
    if not isinstance(event, dict):
        raise ValueError("there is no `event-data`, an object")
    raw = fields.member(call.body, "event-data")  # the signature is not for others to see
    name = event.get("event")
    if not isinstance(name, str):
        raise ValueError("`event-data` has no `event`, a text such as opened")
    id = fields.text(fields.mapping(body.get("signature")).get("token")) or ""
    email, time = fields.address(event.get("recipient")), fields.moment(event.get("timestamp"))
    if name not in TYPES:
        type = fields.unknown(NAME, name)
        return [ParsedEvent(type=type, raw=raw, id=id, email=email, time=time, known=name in OTHERS)]
    if email is None:
        raise ValueError(f"`event-data` ({name}) has no `recipient`, an address")
    type, facts = _facts(name, event)
    variables = fields.mapping(event.get("user-variables"))
    headers = fields.mapping(fields.mapping(event.get("message")).get("headers"))
    about = fields.told(tags=fields.texts(event.get("tags")), metadata=fields.plain(variables, KEY))
    return [
        ParsedEvent(
            type=type,
            ours=f"{NAME}.{name}" if name == "accepted" else None,
            raw=raw,
            id=id,
            email=email,
            time=time,
            message=fields.message_id(variables.get(KEY), headers.get("message-id")),
            facts={**facts, **about},
        )
    ]


def _facts(name: str, event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The type, which for a failure depends on how bad it is, and what is told."""
    type = TYPES[name]
    status = fields.mapping(event.get("delivery-status"))
    words = fields.text(status.get("message")) or fields.text(status.get("description"))
    match name:
        case "failed":
            return _failure(event, status, words)
        case "delivered":
            return type, fields.told(detail=words)
        case "rejected":
            reject = fields.mapping(event.get("reject"))
            detail = fields.text(reject.get("description")) or fields.text(reject.get("reason"))
            return type, fields.told(reason="policy", detail=detail)
        case "opened" | "clicked":
            return type, _seen(type, event)
        case "unsubscribed":
            return type, fields.told(
                ip=fields.text(event.get("ip")),
                user_agent=fields.text(fields.mapping(event.get("client-info")).get("user-agent")),
            )
    return type, {}


def _failure(
    event: Mapping[str, Any], status: Mapping[str, Any], words: str | None
) -> tuple[str, dict[str, Any]]:
    why = fields.text(event.get("reason")) or ""
    if why in NOT_TRIED:
        return "email.blocked", fields.told(reason=NOT_TRIED[why], detail=words)
    temporary, code = event.get("severity") == "temporary", fields.integer(status.get("code"))
    if not temporary and code is not None and 400 <= code < 500:
        code = None  # Mailgun's own (498: there is no MX): it has given up
    said = fields.answer(words, code, status.get("enhanced-code"))
    if temporary:
        reason = fields.verdict(said)[0]
        return "email.deferred", said | {"reason": FAILED.get(why, reason) if reason == "other" else reason}
    kind = status.get("bounce-type")
    hard = kind == "hard" if kind in ("hard", "soft") else HARD.get(why)
    return "email.bounced", said | fields.bounce(said, FAILED.get(why), hard)


def _seen(type: str, event: Mapping[str, Any]) -> dict[str, Any]:
    client = fields.mapping(event.get("client-info"))
    agent = fields.text(client.get("user-agent"))
    bot = BOTS.get(fields.text(client.get("bot")) or "")
    if bot == "gmail_prefetch" and "GoogleImageProxy" in (agent or ""):
        bot = None  # Gmail's proxy fetches when somebody reads
    told = fields.told(
        url=fields.text(event.get("url")) if type == "email.clicked" else None,
        ip=fields.text(event.get("ip")),
        user_agent=agent,
    )
    return told | fields.by_machine(type, agent, bot)


PROVIDER = Provider(
    name=NAME,
    credentials={
        "signing_key": "the HTTP webhook signing key of your account (API security)",
        **proofs.WINDOW,
    },
    optional=frozenset(proofs.WINDOW),
    shown=frozenset(proofs.WINDOW),
    late=True,
    check=proofs.check_window,
    verify=verify,
    parse=parse,
)
