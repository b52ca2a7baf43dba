"""Signatures of webhooks by Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec).

``webhook-signature`` is a space-delimited list of signatures over ``{id}.{timestamp}.{body}``, each a version,
a comma and base64: ``v1`` is HMAC-SHA256 under a secret that both sides know (``whsec_`` and 24 to 64 bytes in
base64), ``v1a`` Ed25519 (RFC 8032) by a key pair of which the receiver knows the public half only (``whpk_`` and
its 32 bytes). The specification leaves open which bytes ``whsk_`` stands for: here it is the seed, as RFC 8032
has it, and keys of 64 bytes, the seed and the public key, are read as well.

While keys are rotated, the old and the new ones sign side by side; a receiver takes what any of them signed.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hookline.model import SigningKey

SECRET, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
KEY_OF = {"v1": SECRET, "v1a": PRIVATE}
TOLERANCE = 300  # seconds that a timestamp may be off, as the public libraries have it
REMEMBERED = 1024  # keys that are kept as they are used, and need not be read for each signature
MOST_KEYS = 5  # of one kind that sign side by side: each makes the header longer


class SignatureError(Exception):
    """Why a request is not taken as signed; ``reason`` is for programs, the text for people."""

    def __init__(
        self, reason: Literal["missing_header", "bad_timestamp", "too_old", "too_new", "mismatch"], text: str
    ) -> None:
        super().__init__(text)
        self.reason = reason


# --- keys ------------------------------------------------------------------------------------------


def new_secret(random: bytes) -> str:
    """The secret made of these random bytes, 24 to 64 of them."""
    if not 24 <= len(random) <= 64:
        raise ValueError("a signing secret has 24 to 64 random bytes")
    return SECRET + b64encode(random).decode()


def new_private_key(seed: bytes) -> str:
    """The Ed25519 key made of these 32 random bytes."""
    return PRIVATE + b64encode(Ed25519PrivateKey.from_private_bytes(seed).private_bytes_raw()).decode()


def public_key(private: str) -> str:
    """What a receiver is given to verify what this key signed."""
    return PUBLIC + b64encode(_private(private).public_key().public_bytes_raw()).decode()


def parse_secret(text: str) -> bytes:
    """The key inside a secret; ``ValueError`` says what is wrong, without repeating the secret."""
    key = _decoded(text, SECRET, "a signing secret")
    if not 24 <= len(key) <= 64:
        raise ValueError(f"a signing secret has 24 to 64 bytes in base64, this one has {len(key)}")
    return key


def check_key(text: str) -> None:
    """ValueError, in words, for what can verify nothing: neither a secret nor half of an Ed25519 key pair."""
    if text.startswith(PUBLIC):
        _public(text)
    elif text.startswith(PRIVATE):
        _private(text)
    else:
        parse_secret(text)


def alive(keys: Iterable[SigningKey], now: int) -> tuple[SigningKey, ...]:
    """The keys that sign at this moment."""
    return tuple(key for key in keys if key.until is None or now < key.until)


def rotated(keys: Iterable[SigningKey], fresh: Sequence[str], now: int, grace: int) -> tuple[SigningKey, ...]:
    """``fresh`` keys in front of those that there were, which sign for ``grace`` microseconds at most.

    ValueError when more than ``MOST_KEYS`` of one kind would sign.
    """
    last = now + grace
    before = [
        SigningKey(key.text, last if key.until is None else min(last, key.until))
        for key in keys
        if key.text not in fresh
    ]
    after = (*map(SigningKey, fresh), *alive(before, now))
    for prefix in KEY_OF.values():
        if sum(key.text.startswith(prefix) for key in after) > MOST_KEYS:
            raise ValueError(
                f"{MOST_KEYS} keys sign already, and more would not fit into a header;"
                ' wait for the end of their grace, or shorten it: "0s" ends all of them now'
            )
    return after


# --- signatures ------------------------------------------------------------------------------------


def sign(keys: Iterable[str], id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: a signature by each key, in their order; ``timestamp`` in seconds."""
    content = f"{id}.{timestamp}.".encode() + body
    return " ".join([_signature(key, content) for key in keys])


def signers(keys: Iterable[SigningKey], versions: Sequence[str], now: int) -> list[str]:
    """The keys that sign at this moment, as ``sign`` takes them: by version, the newest first."""
    living = alive(keys, now)
    return [key.text for version in versions for key in living if key.text.startswith(KEY_OF[version])]


def verify(
    key: str, headers: Mapping[str, str], body: bytes, now: float, tolerance: float | None = TOLERANCE
) -> None:
    """Raise ``SignatureError`` unless one signature of the headers is this key's; ValueError for what is no key.

    ``key`` is a secret, or either half of an Ed25519 key pair. ``now`` and ``tolerance`` are in seconds, ``None`` for
    any age; names of headers count in any case.
    """
    found = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not found.get(name):
            raise SignatureError("missing_header", f"the header {name} is missing")
    id, timestamp = found["webhook-id"], found["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise SignatureError("bad_timestamp", "webhook-timestamp is not a whole number of seconds")
    age = now - int(timestamp)
    if tolerance is not None and age > tolerance:
        raise SignatureError(
            "too_old", f"signed {age:.0f} s ago, more than {tolerance:.0f} s are not accepted"
        )
    if tolerance is not None and age < -tolerance:
        raise SignatureError("too_new", f"signed {-age:.0f} s in the future: one of the clocks is wrong")
    content = f"{id}.{timestamp}.".encode() + body
    given = found["webhook-signature"].split(" ")
    if key.startswith((PUBLIC, PRIVATE)):
        version, matches = "v1a", _signed_by(key, given, content)
    else:
        expected = _signature(key, content).encode()
        version = "v1"
        matches = any([hmac.compare_digest(one.encode(), expected) for one in given])  # noqa: C419 - always all
    if not matches:
        raise SignatureError("mismatch", f"no {version} signature matches: another key, or an altered body")


def _signature(key: str, content: bytes) -> str:
    if key.startswith(PRIVATE):
        return "v1a," + b64encode(_private(key).sign(content)).decode()
    return "v1," + b64encode(hmac.digest(_secret(key), content, "sha256")).decode()


@lru_cache(maxsize=REMEMBERED)
def _secret(text: str) -> bytes:
    return parse_secret(text)


def _signed_by(key: str, given: Iterable[str], content: bytes) -> bool:
    public = _public(key) if key.startswith(PUBLIC) else _private(key).public_key()
    for version, _, signature in (one.partition(",") for one in given):
        try:
            if version == "v1a":
                public.verify(b64decode(signature, validate=True), content)
                return True
        except (InvalidSignature, ValueError):
            continue
    return False


@lru_cache(maxsize=REMEMBERED)
def _private(text: str) -> Ed25519PrivateKey:
    raw = _decoded(text, PRIVATE, "a private key")
    if len(raw) not in (32, 64):
        raise ValueError(f"a private key has 32 or 64 bytes in base64, this one has {len(raw)}")
    return Ed25519PrivateKey.from_private_bytes(raw[:32])


def _public(text: str) -> Ed25519PublicKey:
    raw = _decoded(text, PUBLIC, "a public key")
    if len(raw) != 32:
        raise ValueError(f"a public key has 32 bytes in base64, this one has {len(raw)}")
    return Ed25519PublicKey.from_public_bytes(raw)


def _decoded(text: str, prefix: str, what: str) -> bytes:
    if not text.startswith(prefix):
        raise ValueError(f"{what} begins with {prefix}")
    try:
        return b64decode(text.removeprefix(prefix).encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(f"what follows {prefix} is not base64 (A-Z a-z 0-9 + / and = at its end)") from None
