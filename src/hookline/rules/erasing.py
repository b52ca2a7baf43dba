"""Which stored texts are about a person, and what is left of an event when the person is erased: pure."""

from __future__ import annotations

import contextlib
import hmac
import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import idna
import msgspec

from hookline.rules import cel

# What statistics, replays and the trace of an event are explained by, and no person is known by.
KEPT = (
    "message",
    "campaign",
    "list",
    "machine",
    "hard",
    "link",
    "import",
    "event",
    "hook",
    "delivery",
    "provider",
)
MARK = "erased:"


def mark_of(key: bytes, tenant: str, address: str) -> str:
    """What stands in an address's place: a keyed hash, by which the address is known when it comes again."""
    if address.startswith(MARK):
        return address
    digest = hmac.digest(key, f"{tenant}\0{address}".encode(), "sha256")
    return MARK + blake2b(digest, digest_size=16).hexdigest()


class Needle:
    """Finds a person's id, addresses and number in what is stored, however it is spelt as JSON."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = {text.lower() for text in texts if text}
        for text in tuple(words):
            with contextlib.suppress(idna.IDNAError, UnicodeError):
                local, at, domain = text.rpartition("@")
                words |= {f"{local}@{idna.decode(domain)}"} if at and "xn--" in domain else set()
        either = "|".join(re.escape(word) for word in sorted(words))
        # `ada@shop.example` is no part of `nada@shop.example`, nor of `ada@shop.example.org`.
        self._pattern = re.compile(rf"(?<![\w.+-])(?:{either})(?![\w-]|\.\w)", re.IGNORECASE)

    def in_text(self, text: str | None) -> bool:
        return text is not None and self._pattern.search(text) is not None

    def in_json(self, raw: bytes | None) -> bool:
        if not raw:
            return False
        text = raw.decode(errors="replace")
        if self._pattern.search(text):
            return True
        if "\\" not in text:
            return False
        with contextlib.suppress(ValueError):  # what is escaped is looked at as it is meant
            return self._pattern.search(cel.to_json(cel.from_json(raw)).decode()) is not None
        return False


def remains(event_type: str, raw: bytes) -> bytes:
    """The data of an event whose person is erased."""
    kept: dict[str, Any] = {"erased": True}
    with contextlib.suppress(ValueError):
        data = cel.from_json(raw)
        if isinstance(data, dict) and event_type.startswith(("email.", "contact.")):
            names = (*KEPT, "reason") if event_type.startswith("email.") else KEPT
            kept |= {name: data[name] for name in names if isinstance(data.get(name), str | bool | int)}
    return msgspec.json.encode(kept)
