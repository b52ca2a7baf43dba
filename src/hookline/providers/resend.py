"""Resend's webhooks: ``{"type", "created_at", "data"}``, signed by Svix, that is by Standard Webhooks.

``svix-id`` is the event's and stays the same on every try, each of which is signed anew. ``to`` can hold several
recipients. Over SMTP nothing of ours comes back but headers and the Message-ID, where a report has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider
from hookline.rules import signing
from hookline.rules.correlation import KEY

NAME = "resend"
TYPES = {
    "email.sent": "email.sent",
    "email.delivered": "email.delivered",
    "email.delivery_delayed": "email.deferred",
    "email.bounced": "email.bounced",
    "email.complained": "email.complained",
    "email.opened": "email.opened",
    "email.clicked": "email.clicked",
    "email.failed": "email.blocked",
    "email.suppressed": "email.blocked",
}
OTHERS = ("email.scheduled", "email.received", "contact.", "domain.")
HARD = {"Permanent": True, "Transient": False}
SEEN = {"email.opened": "open", "email.clicked": "click"}


def check(credentials: Credentials) -> None:
    signing.parse_secret(credentials["signing_secret"])


def verify(call: Incoming, credentials: Credentials) -> None:
    secret = proofs.need(credentials, "signing_secret")
    given = {
        f"webhook-{name}": proofs.header(call, f"svix-{name}") for name in ("id", "timestamp", "signature")
    }
    try:
        signing.verify(secret, given, call.body, call.now)
    except signing.SignatureError as error:
        raise NotSigned(str(error).replace("webhook-", "svix-")) from None


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    found = fields.split(call.body)
    if len(found) != 1 or not isinstance(found[0][1].get("type"), str):
        raise ValueError("there is no `type`, a text such as email.delivered")
    [(raw, event)] = found
    name, data = str(event["type"]), fields.mapping(event.get("data"))
    id = call.headers.get("svix-id", "")
    time = fields.iso(event.get("created_at"))
    if name not in TYPES:
        known = name.startswith(OTHERS)
        type = fields.unknown(NAME, name.replace(".", "_"))
        return [ParsedEvent(type=type, raw=raw, id=id, time=time, known=known)]
    recipients = [one for one in map(fields.address, _recipients(data)) if one]
    if not recipients:
        raise ValueError(f"`data` ({name}) has no `to`, addresses")
    type = TYPES[name]
    facts, at = _facts(name, type, data)
    tags, headers = _named(data.get("tags")), _named(data.get("headers"))
    message = fields.message_id(
        tags.get(KEY), headers.get("x-hookline-message"), headers.get("message-id"), data.get("message_id")
    )
    # Which of several recipients it was that read, is not told.
    given = [None] if name in SEEN and len(recipients) > 1 else recipients
    return [
        ParsedEvent(
            type=type,
            ours=f"{NAME}.sent" if type == "email.sent" else None,
            raw=raw,
            id=f"{id}/{email}" if id and len(given) > 1 else id,
            email=email,
            time=at or time,
            message=message,
            facts=facts | fields.told(metadata=fields.plain(tags, KEY)),
        )
        for email in given
    ]


def _facts(name: str, type: str, data: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
    """What is told, and when it was, where that is told apart."""
    match name:
        case "email.bounced":
            bounce = fields.mapping(data.get("bounce"))
            # The server's own words are in `diagnosticCode`, Resend's for people in `message`.
            words = fields.texts(bounce.get("diagnosticCode")) or fields.texts(bounce.get("message")) or []
            said = fields.answer("; ".join(words))
            hard = HARD.get(fields.text(bounce.get("type")) or "")
            return said | fields.bounce(said, None, hard), None
        case "email.delivery_delayed":
            return {"reason": "other"}, None
        case "email.failed":
            why = fields.text(fields.mapping(data.get("failed")).get("reason"))
            return fields.told(reason="rate_limited" if "quota" in (why or "") else "other", detail=why), None
        case "email.suppressed":
            told = fields.mapping(data.get("suppressed"))
            detail = fields.text(told.get("message")) or fields.text(told.get("type"))
            return fields.told(reason="blocked", detail=detail), None
        case "email.opened" | "email.clicked":
            seen = fields.mapping(data.get(SEEN[name]))
            agent = fields.text(seen.get("userAgent"))
            facts = fields.told(
                url=fields.text(seen.get("link")) if name == "email.clicked" else None,
                ip=fields.text(seen.get("ipAddress")),
                user_agent=agent,
            )
            return facts | fields.by_machine(type, agent), fields.iso(seen.get("timestamp"))
    return {}, None


def _recipients(data: Mapping[str, Any]) -> list[str]:
    return fields.texts(data.get("to")) or []


def _named(value: object) -> Mapping[str, Any]:
    """Names, in lower case, and values, of an object or of an array of ``{"name", "value"}``."""
    if isinstance(value, list):
        pairs = [fields.mapping(one) for one in value]
        return {str(one.get("name")).lower(): one.get("value") for one in pairs}
    return {name.lower(): one for name, one in fields.mapping(value).items()}


PROVIDER = Provider(
    name=NAME,
    credentials={"signing_secret": "the signing secret that Resend shows beside the webhook (whsec_…)"},
    late=True,
    check=check,
    verify=verify,
    parse=parse,
)
