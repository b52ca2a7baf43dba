"""Stripe's webhooks as its documentation has them verified by hand."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import stripe

PROVIDER = stripe.PROVIDER
SECRET = {"signing_secret": "whsec_test_secret"}
NOW = 1_492_774_577


def body(**inside: Any) -> bytes:
    event = {"id": "evt_1", "object": "event", "type": "charge.succeeded", "created": NOW - 7}
    return json.dumps(event | {"data": {"object": inside}}).encode()


def mac(raw: bytes, at: object = NOW, secret: str = SECRET["signing_secret"]) -> str:
    return hmac.digest(secret.encode(), f"{at}.".encode() + raw, "sha256").hex()


def call(raw: bytes, header: str) -> Incoming:
    return Incoming({"stripe-signature": header}, raw, now=float(NOW))


def test_any_of_several_signatures_does() -> None:
    raw = body()
    for header in (
        f"t={NOW},v1={mac(raw)},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
        f"t={NOW},v1={mac(raw, secret='old')},v1={mac(raw)}",
        f"v1={mac(raw)}, t={NOW}",
        f"t={NOW - 299},v1={mac(raw, NOW - 299)}",
    ):
        PROVIDER.verify(call(raw, header), SECRET)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (f"t={NOW},v0={mac(body())}", "does not match"),
        (f"t={NOW},v1={mac(body(), secret='other')}", "does not match"),
        (f"t={NOW - 1},v1={mac(body())}", "does not match"),
        (f"t={NOW - 3600},v1={mac(body(), NOW - 3600)}", "signed 3600 s ago"),
        (f"t={NOW + 3600},v1={mac(body(), NOW + 3600)}", "in the future"),
        (f"t=now,v1={mac(body(), 'now')}", "whole number"),
        (f"v1={mac(body())}", "no t="),
        ("", "missing"),
        ("t=1,v1=é", "does not match"),
    ],
)
def test_another_call_is_not(header: str, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        PROVIDER.verify(call(body(), header), SECRET)


@pytest.mark.parametrize(
    ("inside", "subject"),
    [
        ({"billing_details": {"email": "ada@example.com"}, "customer": "cus_1"}, "ada@example.com"),
        ({"customer_email": "bob@example.com", "receipt_email": "x@example.com"}, "bob@example.com"),
        ({"object": "customer", "email": "cleo@example.com"}, "cleo@example.com"),
        ({"customer": "cus_1"}, "cus_1"),
        ({"customer": "a\0b"}, None),
        ({}, None),
    ],
)
def test_an_event(inside: dict[str, Any], subject: str | None) -> None:
    [event] = PROVIDER.parse(call(body(**inside), ""), SECRET)
    assert (event.type, event.id, event.subject) == ("stripe.charge.succeeded", "evt_1", subject)
    assert (event.time, event.raw) == ((NOW - 7) * 1_000_000, body(**inside))


def test_thin_events_and_others() -> None:
    thin = b'{"id": "evt_2", "type": "v2.core.account.created", "created": "2024-09-17T06:20:52.246Z"}'
    [event] = PROVIDER.parse(call(thin, ""), SECRET)
    assert (event.type, event.time) == ("stripe.v2.core.account.created", 1_726_554_052_246_000)
    for raw in (b'{"id": "evt_test_webhook", "object": "event"}', b"[]", b"x"):
        [event] = PROVIDER.parse(call(raw, ""), SECRET)
        assert event.type == "stripe.event"
    with pytest.raises(ValueError, match="not JSON"):
        PROVIDER.parse(call(b"{", ""), SECRET)
