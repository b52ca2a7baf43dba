"""Secrets at rest: AES-256-GCM under a key derived from the installation's secret key.

The context (table and row) is authenticated with each secret, so that one cannot be moved to another row.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(secret_key: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose, by HKDF-SHA256 (RFC 5869)."""
    return HKDF(hashes.SHA256(), 32, None, f"hookline {purpose}".encode()).derive(secret_key)


def fingerprint(secret_key: bytes) -> str:
    """What the database keeps to tell a wrong key from the right one; it says nothing about the key."""
    return hashlib.sha256(derive(secret_key, "fingerprint")).hexdigest()


class Sealer:
    def __init__(self, secret_key: bytes) -> None:
        self._cipher = AESGCM(derive(secret_key, "sealing"))

    def seal(self, clear: bytes, context: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, clear, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The clear bytes; ValueError where they were altered, moved, or sealed under another key."""
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], context.encode())
        except InvalidTag:
            raise ValueError(f"the secret of {context} does not open with this secret key") from None
