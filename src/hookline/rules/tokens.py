"""The signed tokens behind ``/t/o``, ``/t/c`` and ``/t/u``: what was sent to whom, and where a click goes.

A token is unpadded base64url (RFC 4648 section 5) of a body and a 16-byte tag, keyed BLAKE2b (RFC 7693)
personalised for this use. The body: a byte for the kind, then fields. A text field is its UTF-8 with a
two-byte length before it; an id of the usual shape (``dlv_`` and a UUID in lower-case base32hex) takes
its 16 bytes alone, told apart by the length 65535.
Because the tag covers the body and the base64 is checked to be canonical, a token has one spelling.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b32hexencode, urlsafe_b64decode
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar, overload

from msgspec import Struct

from hookline.rules.ids import is_id

MAX_TOKEN = 8 * 1024  # characters
MAX_LINK = 2**16 - 1

_TAG = 16
_UUID = b"\xff\xff"
_MESSAGE = "dlv"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class OpenToken(Struct, frozen=True):
    """An image of this message was fetched."""

    tenant: str
    message: str


class ClickToken(Struct, frozen=True):
    """A link of this message was followed; ``link`` counts the message's links from 0."""

    tenant: str
    message: str
    url: str
    link: int


class UnsubscribeToken(Struct, frozen=True):
    """The recipient of this message wants no more of ``list`` (of anything, where it is "")."""

    tenant: str
    message: str
    list: str


class TrapToken(Struct, frozen=True):
    """A link of this message that nobody can see was followed."""

    tenant: str
    message: str


class ConfirmToken(Struct, frozen=True):
    """Whoever reads mail to ``email`` may put this contact on ``list``, before ``until`` (microseconds)."""

    tenant: str
    contact: str
    list: str
    email: str
    until: int


Token = OpenToken | ClickToken | UnsubscribeToken | ConfirmToken | TrapToken
T = TypeVar("T", bound=Token)


class BadToken(Exception):
    """Not a token that was made here with this key."""


class MessageTokens:
    """Makes the tokens of one message: what they have in common is worked out once. ``key`` has 16 to 64 bytes."""

    __slots__ = ("_about", "_keyed")

    def __init__(self, key: bytes, tenant: str, message: str) -> None:
        self._keyed = _keyed(key)
        self._about = _text(tenant) + _id(message)

    def open(self) -> str:
        """The token of the pixel."""
        return _seal(self._keyed, b"\x01" + self._about)

    def click(self, url: str, link: int) -> str:
        """The token of a link; ``ValueError`` where it would be longer than ``MAX_TOKEN``."""
        body = b"\x02" + self._about + link.to_bytes(2, "big") + _kept_text(url)
        return _seal(self._keyed, body)

    def unsubscribe(self, list: str) -> str:
        """The token of the unsubscribe link."""
        return _seal(self._keyed, b"\x03" + self._about + _text(list))

    def trap(self) -> str:
        """The token of the invisible link."""
        return _seal(self._keyed, b"\x05" + self._about)


def make_open(key: bytes, tenant: str, message: str) -> str:
    """The token of a message's pixel; ``key`` has 16 to 64 bytes."""
    return MessageTokens(key, tenant, message).open()


def make_click(key: bytes, tenant: str, message: str, url: str, link: int) -> str:
    """The token of a link; ``ValueError`` where it would be longer than ``MAX_TOKEN``."""
    return MessageTokens(key, tenant, message).click(url, link)


def make_unsubscribe(key: bytes, tenant: str, message: str, list: str) -> str:
    """The token of a message's unsubscribe link."""
    return MessageTokens(key, tenant, message).unsubscribe(list)


def make_confirm(key: bytes, token: ConfirmToken) -> str:
    """The token of a link that confirms a subscription."""
    texts = b"".join(map(_text, (token.tenant, token.contact, token.list, token.email)))
    return _seal(_keyed(key), b"\x04" + texts + token.until.to_bytes(8, "big"))


@overload
def read(key: bytes, token: str) -> Token: ...
@overload
def read(key: bytes, token: str, kind: type[T]) -> T: ...
def read(key: bytes, token: str, kind: Any = None) -> Any:
    """What the token says; ``BadToken`` if it was not made with this key, or is not of that ``kind``."""
    if len(token) > MAX_TOKEN:
        raise BadToken("too long")
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (binascii.Error, UnicodeEncodeError):
        raise BadToken("not base64url") from None
    body, tag = raw[:-_TAG], raw[-_TAG:]
    tagged = _keyed(key)
    tagged.update(body)
    if _spell(raw) != token or not hmac.compare_digest(tag, tagged.digest()):
        raise BadToken("not signed here")
    found = _Reader(body).token()
    if kind is not None and not isinstance(found, kind):
        raise BadToken("of another kind")
    return found


def _seal(keyed: blake2b, body: bytes) -> str:
    hashed = keyed.copy()
    hashed.update(body)
    token = _spell(body + hashed.digest())
    if len(token) > MAX_TOKEN:
        raise ValueError(f"the token would be longer than {MAX_TOKEN} characters")
    return token


def _keyed(key: bytes) -> blake2b:
    if not 16 <= len(key) <= blake2b.MAX_KEY_SIZE:
        raise ValueError("a token key has 16 to 64 bytes")
    return blake2b(digest_size=_TAG, key=key, person=b"hookline /t/")


def _spell(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def _text(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) >= MAX_TOKEN:
        raise ValueError("too long for a token")
    return len(encoded).to_bytes(2, "big") + encoded


_kept_text = lru_cache(256)(_text)  # a campaign has a few links, and many mails


def _id(value: str) -> bytes:
    if is_id(value, _MESSAGE):
        number = int(value[len(_MESSAGE) + 1 :], 32)
        if number % 4 == 0:  # the last character has two bits that no UUID reaches
            return _UUID + (number >> 2).to_bytes(16, "big")
    return _text(value)


def _spell_id(raw: bytes) -> str:
    return f"{_MESSAGE}_{b32hexencode(raw)[:26].decode().lower()}"


class _Reader:
    """Reads the fields of a body whose tag was right, so that its shape is what ``make_…`` made."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def token(self) -> Token:
        kind = self._take(1)
        if kind == b"\x04":
            tenant, contact, list_id, email = (self._text() for _ in range(4))
            return ConfirmToken(tenant, contact, list_id, email, int.from_bytes(self._take(8), "big"))
        tenant, message = self._text(), self._id()
        if kind == b"\x01":
            return OpenToken(tenant, message)
        if kind == b"\x02":
            link = int.from_bytes(self._take(2), "big")
            return ClickToken(tenant, message, self._text(), link)
        if kind == b"\x03":
            return UnsubscribeToken(tenant, message, self._text())
        if kind == b"\x05":
            return TrapToken(tenant, message)
        raise BadToken("of an unknown kind")

    def _take(self, size: int) -> bytes:
        taken = self._body[self._at : self._at + size]
        self._at += size
        return taken

    def _text(self) -> str:
        return self._take(int.from_bytes(self._take(2), "big")).decode()

    def _id(self) -> str:
        if self._body[self._at : self._at + 2] != _UUID:
            return self._text()
        self._at += 2
        return _spell_id(self._take(16))
