"""Signatures, against the public library of the specification in both directions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from hookline.model import SigningKey
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


PAIR = signing.new_private_key(bytes(range(32)))


def theirs(public: str) -> Ed25519PublicKey:
    """A receiver's key, read as the specification writes it down."""
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))


@given(st.binary(min_size=32, max_size=32), st.binary())
def test_anybody_with_the_public_key_verifies_v1a(seed: bytes, body: bytes) -> None:
    private = signing.new_private_key(seed)
    public = signing.public_key(private)
    signature = signing.sign([private], "evt_1", NOW, body)
    raw = base64.b64decode(signature.removeprefix("v1a,"), validate=True)
    theirs(public).verify(raw, f"evt_1.{NOW}.".encode() + body)
    with pytest.raises(InvalidSignature):
        theirs(public).verify(raw, f"evt_1.{NOW}.".encode() + body + b" ")
    for key in (public, private, private[:5] + base64.b64encode(seed + bytes(32)).decode()):
        signing.verify(key, headers(signature), body, NOW)


def test_a_known_key_pair() -> None:
    """RFC 8032, section 7.1, test 1: the seed and the public key that belongs to it."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert signing.public_key(signing.new_private_key(seed)) == "whpk_" + base64.b64encode(public).decode()


def test_both_kinds_stand_side_by_side_and_each_verifies_its_own() -> None:
    now = int(datetime.now(UTC).timestamp())
    keys = (
        SigningKey(SECRET),
        SigningKey(PAIR),
        SigningKey(OTHER, until=9),
        SigningKey("whsec_gone", until=8),
    )
    assert signing.signers(keys, ["v1"], 8) == [SECRET, OTHER]
    assert signing.signers(keys, ["v1a"], 8) == [PAIR]
    assert signing.signers(keys, ["v1", "v1a"], 9) == [SECRET, PAIR]
    signed = headers(signing.sign(signing.signers(keys, ["v1", "v1a"], 8), "evt_1", now, BODY), timestamp=now)
    assert [one.partition(",")[0] for one in signed["webhook-signature"].split(" ")] == ["v1", "v1", "v1a"]
    for key in (SECRET, OTHER, signing.public_key(PAIR)):
        signing.verify(key, signed, BODY, now)
    assert Webhook(OTHER).verify(BODY, signed) == {"type": "order.paid"}
    assert reason(signed, now, secret=signing.public_key(signing.new_private_key(bytes(32)))) == "mismatch"
    for broken in ("v1a,", "v1a,!", "v1a,AAAA", "v1," + signed["webhook-signature"].rpartition("v1a,")[2]):
        altered = signed | {"webhook-signature": broken}
        assert reason(altered, now, secret=signing.public_key(PAIR)) == "mismatch"


@pytest.mark.parametrize("text", ["whpk_", "whpk_AAAA", "whpk_!", "whsk_AAAA", "whsk_" + "A" * 48, "whpk_é"])
def test_a_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"bytes|base64"):
        signing.verify(text, headers("v1a,AAAA"), BODY, NOW)


def test_old_keys_sign_through_their_grace_and_no_longer() -> None:
    keys: Any = (SigningKey("whsec_a"),)
    keys = signing.rotated(keys, ["whsec_b"], 100, 50)
    assert keys == (SigningKey("whsec_b"), SigningKey("whsec_a", 150))
    keys = signing.rotated(keys, ["whsec_c"], 110, 1000)
    assert keys[2] == SigningKey("whsec_a", 150), "a later grace does not bring back"
    assert signing.signers(keys, ["v1"], 149) == ["whsec_c", "whsec_b", "whsec_a"]
    assert signing.signers(keys, ["v1"], 150) == ["whsec_c", "whsec_b"]
    keys = signing.rotated(keys, ["whsec_d"], 200, 0)
    assert keys == (SigningKey("whsec_d"),), "no grace, and nothing left of the old"


def test_no_more_keys_sign_than_fit_into_a_header() -> None:
    keys: Any = ()
    for place in range(signing.MOST_KEYS):
        keys = signing.rotated(keys, [f"whsec_{place}", f"whsk_{place}"], place, 100)
    with pytest.raises(ValueError, match='"0s"'):
        signing.rotated(keys, ["whsec_more"], 50, 100)
    assert len(signing.rotated(keys, ["whsec_more"], 50, 0)) == 1
