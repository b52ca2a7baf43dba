"""Stripe's webhooks.

``Stripe-Signature`` is ``t=…,v1=…`` with a ``v1`` for each secret while they are rolled: HMAC-SHA256 of the time, a
point and the body, hexadecimal ("Verify webhook signatures manually"). Each try is signed anew, so what is more
than five minutes old is refused. The event's ``id`` is the same on every try.
"""

from __future__ import annotations

from hookline.providers import fields, proofs
from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider

NAME = "stripe"
ADDRESSES = (
    "customer_email", "receipt_email", "customer_details.email", "billing_details.email", "customer.email", "email",
    "customer",
)  # fmt: skip


def verify(call: Incoming, credentials: Credentials) -> None:
    secret = proofs.need(credentials, "signing_secret")
    parts = [part.strip().partition("=") for part in proofs.header(call, "Stripe-Signature").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if not times:
        raise NotSigned("Stripe-Signature has no t=")
    given = [value for name, _, value in parts if name == "v1"]
    stamp = proofs.unix(times[0], "t of Stripe-Signature")
    proofs.verify_hmac(secret, times[0].encode() + b"." + call.body, given)
    proofs.check_age(call, stamp, proofs.window(credentials))


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    body = events.read(call)
    id, name, created = (events.at(body.value, key) for key in ("id", "type", "created"))
    about = events.first(body.value, *(f"data.object.{path}" for path in ADDRESSES))
    time = fields.moment(created) or fields.iso(created)
    return [
        events.event(events.under(NAME, name), body, events.identity(fields.text(id), body.mark), about, time)
    ]


PROVIDER = Provider(
    name=NAME,
    credentials={
        "signing_secret": "the endpoint's signing secret, whsec_…, which Stripe shows once it is made",
        **proofs.WINDOW,
    },
    optional=frozenset(proofs.WINDOW),
    shown=frozenset(proofs.WINDOW),
    late=True,
    check=proofs.check_window,
    verify=verify,
    parse=parse,
)
