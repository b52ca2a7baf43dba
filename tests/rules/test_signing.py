"""Signatures, against the public library of the specification in both directions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from hookline.rules import signing

SECRET = signing.new_secret(bytes(range(24)))
OTHER = signing.new_secret(bytes(range(40, 104)))
BODY = b'{"type": "order.paid"}'
NOW = 1_760_000_000


def headers(signature: str, id: str = "evt_1", timestamp: int | str = NOW) -> dict[str, str]:
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def reason(given_headers: dict[str, str], now: float = NOW, body: bytes = BODY, secret: str = SECRET) -> str:
    with pytest.raises(signing.SignatureError) as caught:
        signing.verify(secret, given_headers, body, now)
    return caught.value.reason


@given(st.binary(min_size=24, max_size=64), st.text(), st.from_regex(r"[a-z]{3}_[0-9a-z]+", fullmatch=True))
def test_the_public_library_makes_the_same_signature(key: bytes, body: str, id: str) -> None:
    secret = signing.new_secret(key)
    body = body.encode(errors="replace").decode()
    theirs = Webhook(secret).sign(id, datetime.fromtimestamp(NOW, UTC), body)
    assert signing.sign([secret], id, NOW, body.encode()) == theirs
    signing.verify(secret, headers(theirs, id), body.encode(), NOW)


def test_the_public_library_accepts_ours_while_a_secret_is_rotated() -> None:
    now = int(datetime.now(UTC).timestamp())
    signed = headers(signing.sign([OTHER, SECRET], "evt_1", now, BODY), timestamp=now)
    assert signed["webhook-signature"].count("v1,") == 2
    assert Webhook(SECRET).verify(BODY, signed) == {"type": "order.paid"}
    assert Webhook(OTHER).verify(BODY, signed) == {"type": "order.paid"}


def test_a_known_signature() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = signing.sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_says_why_a_request_is_refused() -> None:
    good = headers(signing.sign([SECRET], "evt_1", NOW, BODY))
    signing.verify(SECRET, {name.title(): value for name, value in good.items()}, BODY, NOW)
    signing.verify(SECRET, good, BODY, NOW + 300)
    signing.verify(SECRET, good, BODY, NOW - 300)
    assert reason(good, now=NOW + 300.5) == "too_old"
    assert reason(good, now=NOW - 301) == "too_new"
    assert reason(good, body=BODY + b" ") == "mismatch"
    assert reason(good, secret=OTHER) == "mismatch"
    assert reason(good | {"webhook-id": "evt_2"}) == "mismatch"
    assert (
        reason(good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")}) == "mismatch"
    )
    assert reason(good | {"webhook-signature": "v1,é"}) == "mismatch"
    assert reason({name: value for name, value in good.items() if name != "webhook-id"}) == "missing_header"
    for timestamp in ("now", "-1", "1.5", "٣", "9" * 400):
        assert reason(good | {"webhook-timestamp": timestamp}) == "bad_timestamp"


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_back(key: bytes) -> None:
    assert signing.parse_secret(signing.new_secret(key)) == key


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_"),
        ("whsec_", "has 0"),
        ("whsec_MfKQ9r8G", "has 6"),
        ("whsec_" + "A" * 88 + "AA==", "has 67"),
        ("whsec_not base64!", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "not base64"),
        ("whsec_é", "not base64"),
    ],
)
def test_a_secret_that_is_none_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        signing.parse_secret(text)


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_is_made_of_24_to_64_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        signing.new_secret(bytes(size))
