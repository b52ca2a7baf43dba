"""Shopify's webhooks."""

from __future__ import annotations

import base64
import hmac

import pytest

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import shopify

PROVIDER = shopify.PROVIDER
SECRET = {"secret": "hush"}
ORDER = b'{"id":820982911946154508,"email":"jon@example.com","total_price":"199.00"}'


def signed(body: bytes, prefix: str = "x-", by: bytes = b"hush") -> Incoming:
    mac = base64.b64encode(hmac.digest(by, body, "sha256")).decode()
    headers = {
        "shopify-hmac-sha256": mac,
        "shopify-topic": "orders/create",
        "shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "shopify-triggered-at": "2023-03-29T18:00:27.877041743Z",
        "shopify-shop-domain": "shop.myshopify.com",
    }
    return Incoming({prefix + name: text for name, text in headers.items()}, body)


@pytest.mark.parametrize("prefix", ["x-", ""])
def test_an_order(prefix: str) -> None:
    PROVIDER.verify(signed(ORDER, prefix), SECRET)
    [event] = PROVIDER.parse(signed(ORDER, prefix), SECRET)
    assert (event.type, event.id) == ("shopify.orders.create", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043")
    assert (event.subject, event.time, event.raw) == ("jon@example.com", 1_680_112_827_877_041, ORDER)


def test_without_an_id_a_digest_of_topic_and_body_is_one() -> None:
    first, same, other, moved = (
        PROVIDER.parse(Incoming({"x-shopify-topic": topic}, body), SECRET)[0].id
        for topic, body in (("a/b", ORDER), ("a/b", ORDER), ("a/b", ORDER + b" "), ("a/c", ORDER))
    )
    assert first == same
    assert len({first, other, moved}) == 3


def test_another_call_is_not() -> None:
    for call in (signed(ORDER, by=b"other"), Incoming(signed(ORDER).headers, b"{}"), Incoming({}, ORDER)):
        with pytest.raises(NotSigned):
            PROVIDER.verify(call, SECRET)
    with pytest.raises(NotSigned, match="no secret yet"):
        PROVIDER.verify(signed(ORDER), {})
    [event] = PROVIDER.parse(Incoming({}, ORDER), SECRET)
    assert event.type == "shopify.event", "a call without its topic"
