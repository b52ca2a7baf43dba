"""Standard Webhooks as others' libraries sign them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook
from svix.webhooks import Webhook as Svix

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import standard

PROVIDER = standard.PROVIDER
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000
BODY = b'{"type": "bank.withdrawal", "timestamp": "2023-11-14T22:13:19.5Z", "data": {"email": "ada@example.com"}}'


def signed(body: bytes = BODY, at: int = NOW, names: str = "webhook", by: Any = Webhook) -> Incoming:
    signature = by(SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), body.decode())
    headers = {f"{names}-id": "msg_1", f"{names}-timestamp": str(at), f"{names}-signature": signature}
    return Incoming(headers, body, now=float(NOW))


def test_what_the_public_libraries_sign_is_taken() -> None:
    for call in (signed(), signed(by=Svix), signed(names="svix", by=Svix), signed(at=NOW - 299)):
        for secret in (SECRET, SECRET.removeprefix("whsec_"), f"v1,{SECRET}", f" {SECRET}\n"):
            PROVIDER.check({"secret": secret})
            PROVIDER.verify(call, {"secret": secret})
        [event] = PROVIDER.parse(call, {})
        assert (event.type, event.id, event.subject) == ("bank.withdrawal", "msg_1", "ada@example.com")
        assert (event.raw, event.time, event.known) == (BODY, 1_699_999_999_500_000, True)


def test_a_public_key_verifies_the_other_kind() -> None:
    private = Ed25519PrivateKey.generate()
    key = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    signature = base64.b64encode(private.sign(f"msg_1.{NOW}.".encode() + BODY)).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW)}
    PROVIDER.check({"secret": key})
    PROVIDER.verify(
        Incoming({**headers, "webhook-signature": f"v1a,{signature}"}, BODY, now=NOW), {"secret": key}
    )
    with pytest.raises(NotSigned):
        PROVIDER.verify(
            Incoming({**headers, "webhook-signature": f"v1,{signature}"}, BODY, now=NOW), {"secret": key}
        )


@pytest.mark.parametrize(
    "call",
    [
        Incoming(signed().headers, BODY + b" ", now=NOW),
        Incoming({**signed().headers, "webhook-id": "msg_2"}, BODY, now=NOW),
        Incoming({**signed().headers, "webhook-signature": "v1,é"}, BODY, now=NOW),
        Incoming({}, BODY, now=NOW),
        signed(at=NOW - 3600),
        signed(at=NOW + 3600),
    ],
)
def test_another_call_is_not(call: Incoming) -> None:
    with pytest.raises(NotSigned):
        PROVIDER.verify(call, {"secret": SECRET})


def test_without_a_secret_nothing_is() -> None:
    with pytest.raises(NotSigned, match="no secret yet"):
        PROVIDER.verify(signed(), {})
    for secret in ("whsec_é", "whpk_AAAA", "short"):
        with pytest.raises(ValueError, match="base64"):
            PROVIDER.check({"secret": secret})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"event_type": "order.paid"}', "order.paid"),
        (b'{"event": "order"}', "order"),
        (b"{}", "standard.event"),
        (b"[1]", "standard.event"),
        (b'{"type": ["a"]}', "standard.event"),
        (b'{"type": " a  b*\\u0000c. "}', "a__b__c"),
        (b'{"type": "email.opened"}', "standard.email.opened"),
        (b'{"type": " hook.disabled"}', "standard.hook.disabled"),
        (b'{"type": ".email.opened"}', "standard.email.opened"),
        (b'{"type": "pool.low"}', "standard.pool.low"),
    ],
)
def test_types_are_the_senders_but_none_of_ours(body: bytes, kind: str) -> None:
    [event] = PROVIDER.parse(Incoming({}, body), {})
    assert (event.type, event.raw, len(event.id)) == (kind, body, 32)
