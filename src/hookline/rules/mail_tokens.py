"""The signed local parts of addresses that answers to a mail come to: bounces (``b-…``), unsubscribing (``u-…``).

A local part has 64 octets at most (RFC 5321 4.5.3.1.1), and servers on the way may change its case, so a
token is base32hex in lower case of: the 16 bytes of the message's UUID, a 10-byte tag, and the tenant in
UTF-8 (nothing for ``default``). The tag is keyed BLAKE2b (RFC 7693), personalised for this use, over the
kind and the rest: 80 bits, which nobody guesses by sending mail. No list fits beside it; a message knows its own.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b32hexdecode, b32hexencode
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from hookline.rules.ids import is_id

Purpose = Literal["b", "u"]
MAX_LOCAL = 64
_TAG = 10
_UUID = 16
_TENANT = "default"
_PREFIX = "dlv"
# Found anywhere in a text: others put marks of their own before an address (BATV's prvs=, SRS).
_FOUND = re.compile(r"(?<![0-9a-z])([bu])-([0-9a-v]{42,61})(?![0-9a-z])")


class MailToken(Struct, frozen=True):
    """An answer to this message; ``purpose`` is "b" for what went wrong, "u" for unsubscribing."""

    purpose: Purpose
    tenant: str
    message: str


def make_local(key: bytes, purpose: Purpose, tenant: str, message: str) -> str | None:
    """The local part of an address; ``None`` for a tenant whose name is too long (more than 12 bytes)."""
    if not is_id(message, _PREFIX):
        return None
    number = int(message[len(_PREFIX) + 1 :], 32)
    body = (number >> 2).to_bytes(_UUID, "big") + (b"" if tenant == _TENANT else tenant.encode())
    raw = body[:_UUID] + _tag(key, purpose, body) + body[_UUID:]
    local = f"{purpose}-{b32hexencode(raw).decode().rstrip('=').lower()}"
    return local if len(local) <= MAX_LOCAL and _spell(body[:_UUID]) == message else None


def find_tokens(key: bytes, text: str) -> Iterator[MailToken]:
    """Every token in a text that was made with this key, in whatever case it came back."""
    for purpose, spelled in _FOUND.findall(text.lower()):
        found = _read(key, purpose, spelled)
        if found is not None:
            yield found


def _read(key: bytes, purpose: Purpose, spelled: str) -> MailToken | None:
    try:
        raw = b32hexdecode(spelled.upper() + "=" * (-len(spelled) % 8))
        tenant = raw[_UUID + _TAG :].decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    body, tag = raw[:_UUID] + raw[_UUID + _TAG :], raw[_UUID : _UUID + _TAG]
    if not hmac.compare_digest(tag, _tag(key, purpose, body)):
        return None
    return MailToken(purpose, tenant or _TENANT, _spell(body[:_UUID]))


def _tag(key: bytes, purpose: Purpose, body: bytes) -> bytes:
    return blake2b(purpose.encode() + body, digest_size=_TAG, key=key, person=b"hookline @").digest()


def _spell(raw: bytes) -> str:
    return f"{_PREFIX}_{b32hexencode(raw)[:26].decode().lower()}"
