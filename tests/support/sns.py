"""Envelopes of Amazon SNS, signed as it signs, with a certificate of our own."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hookline.providers import Incoming

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b2c3d.pem"
NOW = datetime(2026, 5, 4, 12, 31, tzinfo=UTC)
PRIVATE = rsa.generate_private_key(65537, 2048)


def certificate(private: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    return made.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


CERTIFICATE = certificate(PRIVATE)


def envelope(message: Any, **changes: Any) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": "2026-05-04T12:30:30.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=x",
        **changes,
    }


CONFIRMATION = envelope(
    "You have chosen to subscribe to the topic",
    Type="SubscriptionConfirmation",
    Token="2336412f37fb687f5d51e6e241d09c805a5a57b30d712f794cc5f6a9",
    SubscribeURL=f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f",
)


def signed(told: Mapping[str, Any], private: rsa.RSAPrivateKey = PRIVATE, now: datetime = NOW) -> Incoming:
    """As SNS does: name and value of each, in lines, in this order."""
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{told[name]}\n" for name in names if name in told)
    digest = hashes.SHA1() if told["SignatureVersion"] == "1" else hashes.SHA256()  # noqa: S303 - as SNS does
    signature = private.sign(text.encode(), padding.PKCS1v15(), digest)
    body = json.dumps({**told, "Signature": base64.b64encode(signature).decode()}).encode()
    return Incoming(
        {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": told["Type"]},
        body,
        now=now.timestamp(),
        fetched={CERTIFICATE_URL: CERTIFICATE},
    )
