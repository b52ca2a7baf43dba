"""Whoever signs by Standard Webhooks 1.0, as Svix and Hookline do: ``webhook-id``, ``-timestamp``, ``-signature``.

``v1`` by a secret or ``v1a`` by a public key (see ``rules.signing``); Svix's older names of the headers count as well.
A try that is more than five minutes old is refused. ``webhook-id`` is the same on every try.
"""

from __future__ import annotations

from hookline.providers import fields, proofs
from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider
from hookline.rules import signing

NAME = "standard"


def _key(text: str) -> str:
    """A key as senders show it: some put its version in front, some leave its prefix away."""
    text = text.strip().removeprefix("v1,")
    return text if text.startswith((signing.SECRET, signing.PUBLIC)) else signing.SECRET + text


def check(credentials: Credentials) -> None:
    signing.check_key(_key(credentials["secret"]))
    proofs.check_window(credentials)


def _header(call: Incoming, name: str) -> str:
    return call.headers.get(f"webhook-{name}") or call.headers.get(f"svix-{name}", "")


def verify(call: Incoming, credentials: Credentials) -> None:
    key = _key(proofs.need(credentials, "secret"))
    given = {f"webhook-{name}": _header(call, name) for name in ("id", "timestamp", "signature")}
    try:
        signing.verify(key, given, call.body, call.now, proofs.window(credentials))
    except signing.SignatureError as error:
        raise NotSigned(str(error)) from None


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    body = events.read(call)
    name = (
        events.at(body.value, "type") or events.at(body.value, "event_type") or events.at(body.value, "event")
    )
    return [
        events.event(
            events.free(NAME, name),
            body,
            events.identity(_header(call, "id"), body.mark),
            events.first(body.value, "subject", "data.email", "data.customer.email", "data.customer_email"),
            fields.iso(events.at(body.value, "timestamp")) or fields.iso(events.at(body.value, "created_at")),
        )
    ]


PROVIDER = Provider(
    name=NAME,
    credentials={
        "secret": "the signing secret, whsec_…, or the public key of Ed25519 signatures, whpk_…",
        **proofs.WINDOW,
    },
    optional=frozenset(proofs.WINDOW),
    shown=frozenset(proofs.WINDOW),
    late=True,
    check=check,
    verify=verify,
    parse=parse,
)
