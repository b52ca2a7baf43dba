"""DKIM signatures (RFC 6376): RSA with SHA-256, and Ed25519 (RFC 8463); relaxed/relaxed.

A mail is signed with the key of the domain of its ``From``, or of a domain above that one: another domain's
signature is not aligned (RFC 7489 3.1.1) and would prove nothing about the sender.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from msgspec import Struct

# From is named once more than it occurs, so that nobody adds another (RFC 6376 8.15).
SIGNED = (
    "from", "from", "reply-to", "to", "subject", "date", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post", "feedback-id",
)  # fmt: skip
LEAST_BITS = 1024  # RFC 8301 3.2
_SPACES = re.compile(rb"[ \t]+")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*?)(?=\r\n[^ \t]|\Z)", re.S)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")


class Signer(Struct, frozen=True):
    """What signs the mails of ``domain``; its public key is in the DNS at ``record``."""

    domain: str
    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def record(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def algorithm(self) -> str:
        return "ed25519" if isinstance(self.key, Ed25519PrivateKey) else "rsa"

    @property
    def public(self) -> str:
        """The ``p=`` of the DNS record."""
        public = self.key.public_key()
        if isinstance(self.key, Ed25519PrivateKey):
            return b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
        return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    def sign(self, message: bytes, at: int) -> bytes:
        """The message with the signature in front. ``at`` is seconds since the epoch; lines end in CRLF."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields: dict[bytes, list[bytes]] = {}
        for match in _FIELD.finditer(head):
            fields.setdefault(match[1].lower(), []).append(match[2])
        names, signed = [], []
        for name in SIGNED:
            found = fields.get(name.encode())
            if found:
                signed.append(_relaxed(name.encode(), found.pop()))
            if found is not None:
                names.append(name)
        digest = b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
        value = (
            f" v=1; a={self.algorithm}-sha256; c=relaxed/relaxed; d={self.domain}; s={self.selector};\r\n"
            f" t={at}; h={_folded(names)};\r\n bh={digest};\r\n b="
        )
        data = b"\r\n".join([*signed, _relaxed(b"dkim-signature", value.encode())])
        signature = b64encode(self._signature(data)).decode()
        lines = "\r\n ".join(signature[start : start + 72] for start in range(0, len(signature), 72))
        return f"DKIM-Signature:{value}{lines}\r\n".encode() + message

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(hashlib.sha256(data).digest())
        return self.key.sign(data, PKCS1v15(), hashes.SHA256())


def signer(domain: str, selector: str, pem: bytes) -> Signer:
    """Raises ``ValueError``, in words for the user, for what cannot sign."""
    for what, name in (("domain", domain), ("selector", selector)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no {what} for DKIM")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the DKIM key is no private key in PEM without a password") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("a DKIM key is of RSA or Ed25519")
    if isinstance(key, RSAPrivateKey) and key.key_size < LEAST_BITS:
        raise ValueError(f"an RSA key for DKIM has {LEAST_BITS} bits at least")
    return Signer(domain.lower(), selector, key)


def signer_for(signers: Sequence[Signer], address: str) -> Signer | None:
    """The one whose domain is the address's, or the nearest above it."""
    domain = address.rpartition("@")[2].lower()
    fit = [one for one in signers if domain == one.domain or domain.endswith("." + one.domain)]
    return max(fit, key=lambda one: len(one.domain), default=None)


def _folded(names: Sequence[str]) -> str:
    return ":\r\n ".join(":".join(names[start : start + 6]) for start in range(0, len(names), 6))


def _relaxed(name: bytes, value: bytes) -> bytes:
    """RFC 6376 3.4.2, without the line's end."""
    return name + b":" + _SPACES.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")


def _relaxed_body(body: bytes) -> bytes:
    """RFC 6376 3.4.4."""
    text = body.replace(b"\t", b" ")
    while b"  " in text:  # ever fewer: many times as quick as a pattern
        text = text.replace(b"  ", b" ")
    text = text.replace(b" \r\n", b"\r\n").rstrip(b" ").rstrip(b"\r\n")
    return text + b"\r\n" if text else b""
