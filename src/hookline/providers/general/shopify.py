"""Shopify's webhooks.

Signed with HMAC-SHA256 of the body, base64, in ``X-Shopify-Hmac-SHA256``; the name is in ``X-Shopify-Topic``, the id,
the same on every try, in ``X-Shopify-Webhook-Id``; newer ones have these without the ``X-``. There is no time in
what is signed.
"""

from __future__ import annotations

from hookline.providers import fields, proofs
from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider

NAME = "shopify"


def _header(call: Incoming, name: str) -> str | None:
    return call.headers.get(f"x-shopify-{name}") or call.headers.get(f"shopify-{name}")


def verify(call: Incoming, credentials: Credentials) -> None:
    secret = proofs.need(credentials, "secret")
    given = _header(call, "hmac-sha256") or proofs.header(call, "X-Shopify-Hmac-SHA256")
    proofs.verify_hmac(secret, call.body, given, encoding="base64")


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    topic = _header(call, "topic") or ""
    body = events.read(call)
    return [
        events.event(
            events.under(NAME, topic.replace("/", ".").lower()),
            body,
            events.identity(_header(call, "webhook-id"), topic, body.mark),
            events.first(body.value, "email", "contact_email", "customer.email", "phone", "customer.phone"),
            fields.iso(_header(call, "triggered-at")),
        )
    ]


PROVIDER = Provider(
    name=NAME,
    credentials={
        "secret": "the app's client secret, or what the shop's notifications page says it signs with"
    },
    late=True,
    verify=verify,
    parse=parse,
)
