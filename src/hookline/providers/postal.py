"""Postal's webhooks: one event a call, ``{"event", "timestamp", "payload", "uuid"}``.

Signed with the RSA key of the installation (PKCS #1 v1.5) over the body: ``X-Postal-Signature-256`` with SHA-256,
``X-Postal-Signature`` with SHA-1 from older versions, which alone do without the first. ``X-Postal-Signature-KID``
names the key: the SHA-256 of its RSAPublicKey (RFC 8017, A.1.1). ``postal default-dkim-record`` shows the key.
``uuid`` is the same on each of the six tries, and a mail's Message-ID comes back as it was.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider

NAME = "postal"
SIGNATURE, OLD_SIGNATURE = "x-postal-signature-256", "x-postal-signature"

TYPES = {
    "MessageSent": "email.delivered",
    "MessageDelayed": "email.deferred",
    "MessageDeliveryFailed": "email.bounced",
    "MessageBounced": "email.bounced",
    "MessageHeld": "email.blocked",
    "MessageLinkClicked": "email.clicked",
    "MessageLoaded": "email.opened",
}
# What we have no word for, and understand none the less.
OTHERS = frozenset({"SendLimitApproaching", "SendLimitExceeded", "DomainDNSError"})
_PEM_LINES = re.compile(r"-----[A-Z ]+-----|\s+")


@lru_cache(64)
def _key(text: str) -> rsa.RSAPublicKey:
    """The public key as PEM, as base64 of DER, or as the DKIM record that has it behind ``p=``."""
    inner = _PEM_LINES.sub("", text)
    if "p=" in inner:
        inner = inner.partition("p=")[2].partition(";")[0].strip('"')
    try:
        key = load_der_public_key(base64.b64decode(inner, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError(
            "public_key is no public key: give what `postal default-dkim-record` shows"
        ) from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("public_key is a public key of another kind than RSA's")
    return key


def check(credentials: Credentials) -> None:
    _key(credentials["public_key"])


def verify(call: Incoming, credentials: Credentials) -> None:
    # Where both are there, the weaker one is no way round the stronger.
    old = SIGNATURE not in call.headers and OLD_SIGNATURE in call.headers
    given = proofs.header(call, OLD_SIGNATURE if old else "X-Postal-Signature-256")
    key = _key(credentials["public_key"])
    try:
        signature = base64.b64decode(given, validate=True)
        key.verify(signature, call.body, padding.PKCS1v15(), hashes.SHA1() if old else hashes.SHA256())  # noqa: S303
    except (ValueError, InvalidSignature):
        named = call.headers.get("x-postal-signature-kid", "")
        ours = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.PKCS1)).hexdigest()
        other = named and not proofs.same(named.lower(), ours)
        why = (
            "it was made with another key than public_key"
            if other
            else "another public_key, or an altered body"
        )
        raise NotSigned(f"the signature does not match: {why}") from None


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    return [_event(raw, event) for raw, event in fields.split(call.body)]


def _event(raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name, payload = event.get("event"), fields.mapping(event.get("payload"))
    if not isinstance(name, str):
        raise ValueError("there is no `event`, a text such as MessageSent")
    message = fields.mapping(payload.get("original_message" if name == "MessageBounced" else "message"))
    email, incoming = fields.address(message.get("to")), message.get("direction") == "incoming"
    time = fields.moment(payload.get("timestamp")) or fields.moment(event.get("timestamp"))
    id = fields.text(event.get("uuid")) or ""
    if name not in TYPES or incoming:  # mail that Postal takes in for the user is not about a recipient
        kind, known = fields.unknown(NAME, name), incoming or name in OTHERS
        return ParsedEvent(type=kind, raw=raw, id=id, email=email, time=time, known=known)
    if time is None:
        raise ValueError(f"the event ({name}) has no `timestamp`, the seconds since 1970")
    if email is None:
        raise ValueError(f"the event ({name}) has no `to` in its message, an address")
    return ParsedEvent(
        type=TYPES[name],
        raw=raw,
        id=id,
        email=email,
        time=time,
        message=fields.message_id(message.get("message_id"), message.get("tag")),
        facts=_facts(name, payload) | fields.told(tags=fields.texts(message.get("tag"))),
    )


def _facts(name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    said = fields.answer(payload.get("output") or payload.get("details"))
    match name:
        case "MessageLinkClicked" | "MessageLoaded":
            agent = fields.text(payload.get("user_agent"))
            told = fields.told(
                url=fields.text(payload.get("url")) if name == "MessageLinkClicked" else None,
                ip=fields.text(payload.get("ip_address")),
                user_agent=agent,
            )
            return told | fields.by_machine(TYPES[name], agent)
        case "MessageDeliveryFailed" | "MessageBounced":
            return said | fields.bounce(said, None, None)
        case "MessageDelayed":
            return said | {"reason": fields.verdict(said)[0]}
        case "MessageHeld":
            why = fields.text(payload.get("details")) or ""
            return {"reason": "blocked" if "suppression" in why else "policy"} | fields.told(
                detail=why or None
            )
    return said


PROVIDER = Provider(
    name=NAME,
    credentials={"public_key": "the installation's public key: what `postal default-dkim-record` shows"},
    check=check,
    verify=verify,
    parse=parse,
)
