"""API keys: ``hl_`` and 256 random bits. We keep a SHA-256, which is enough for what cannot be guessed."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Literal

from hookline.model import Key
from hookline.rules.ids import new_id

Scope = Literal["read", "publish", "manage"]
# Each scope reaches what those before it reach: read all, publish events, change everything.
SCOPES: tuple[Scope, ...] = ("read", "publish", "manage")
RANDOM_BYTES = 32


def new_key(tenant: str, name: str, scope: Scope, now: int, random: bytes) -> tuple[Key, str]:
    """A key to store, and its text, which is shown once. ``random`` are 32 bytes that nobody can guess."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an API key needs {RANDOM_BYTES} random bytes")
    text = "hl_" + urlsafe_b64encode(random).rstrip(b"=").decode()
    return Key(tenant=tenant, id=new_id("key"), name=name, scope=scope, created_at=now), text


def digest(text: str) -> bytes:
    """What is stored and looked up instead of the key."""
    return hashlib.sha256(text.encode()).digest()
