"""Signatures of webhooks by Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec).

``webhook-signature`` is a space-delimited list of ``v1,`` and the base64 of HMAC-SHA256 over
``{id}.{timestamp}.{body}``; a secret is ``whsec_`` and the base64 of 24 to 64 bytes.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Literal

PREFIX = "whsec_"
TOLERANCE = 300  # seconds that a timestamp may be off, as the public libraries have it


class SignatureError(Exception):
    """Why a request is not taken as signed; ``reason`` is for programs, the text for people."""

    def __init__(
        self, reason: Literal["missing_header", "bad_timestamp", "too_old", "too_new", "mismatch"], text: str
    ) -> None:
        super().__init__(text)
        self.reason = reason


def new_secret(random: bytes) -> str:
    """The secret made of these random bytes, 24 to 64 of them."""
    if not 24 <= len(random) <= 64:
        raise ValueError("a signing secret has 24 to 64 random bytes")
    return PREFIX + b64encode(random).decode()


def parse_secret(text: str) -> bytes:
    """The key inside a secret; ``ValueError`` says what is wrong, without repeating the secret."""
    if not text.startswith(PREFIX):
        raise ValueError(f"a signing secret begins with {PREFIX}")
    try:
        key = b64decode(text.removeprefix(PREFIX).encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(f"what follows {PREFIX} is not base64 (A-Z a-z 0-9 + / and = at its end)") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"a signing secret has 24 to 64 bytes in base64, this one has {len(key)}")
    return key


def sign(secrets: Sequence[str], id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one ``v1`` signature for each secret; ``timestamp`` in seconds."""
    content = f"{id}.{timestamp}.".encode() + body
    return " ".join("v1," + _signature(parse_secret(secret), content) for secret in secrets)


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, now: float, tolerance: int = TOLERANCE
) -> None:
    """Raise ``SignatureError`` unless one ``v1`` signature of the headers is this secret's.

    ``now`` and ``tolerance`` are in seconds; names of headers count in any case.
    """
    found = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not found.get(name):
            raise SignatureError("missing_header", f"the header {name} is missing")
    id, timestamp = found["webhook-id"], found["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise SignatureError("bad_timestamp", "webhook-timestamp is not a whole number of seconds")
    age = now - int(timestamp)
    if age > tolerance:
        raise SignatureError("too_old", f"signed {age:.0f} s ago, more than {tolerance} s are not accepted")
    if age < -tolerance:
        raise SignatureError("too_new", f"signed {-age:.0f} s in the future: one of the clocks is wrong")
    expected = "v1," + _signature(parse_secret(secret), f"{id}.{timestamp}.".encode() + body)
    given = [signature.encode() for signature in found["webhook-signature"].split(" ")]
    if not any([hmac.compare_digest(signature, expected.encode()) for signature in given]):  # noqa: C419 - always all
        raise SignatureError("mismatch", "no v1 signature matches: another secret, or an altered body")


def _signature(key: bytes, content: bytes) -> str:
    return b64encode(hmac.digest(key, content, "sha256")).decode()
