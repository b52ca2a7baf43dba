"""Postal's events as its documentation has them, signed as it signs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, postal
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = postal.PROVIDER
NOW = 1_477_945_177
PRIVATE = rsa.generate_private_key(65537, 2048)


def shown(key: Any) -> str:
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
KEY = {"public_key": PEM}
KID = hashlib.sha256(PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)).hexdigest()
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MESSAGE: Mapping[str, Any] = {
    "id": 12345,
    "token": "abcdef123",
    "direction": "outgoing",
    "message_id": "5817a64332f44_4ec93ff59e79d154565eb@app34.mail",
    "to": "ada@example.com",
    "from": "sales@awesomeapp.com",
    "subject": "Welcome to AwesomeApp",
    "timestamp": 1477945177.12994,
    "spam_status": "NotSpam",
    "tag": "welcome",
}


def status(status: str, output: str, details: str = "") -> dict[str, Any]:
    return {
        "status": status,
        "details": details,
        "output": output,
        "time": 0.22,
        "timestamp": 1477945177.12994,
    }


SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "MessageSent": status("Sent", "250 2.0.0 OK 1477944899 ly2si31746747wjb.95 - gsmtp"),
    "MessageDelayed": status("SoftFail", "451 4.7.1 greylisted, try again later"),
    "MessageDeliveryFailed": status("HardFail", "550 5.1.1 no such user", "Permanent SMTP delivery error"),
    "MessageHeld": status("Held", "", "Recipient (ada@example.com) is on the suppression list"),
    "MessageBounced": {"original_message": MESSAGE, "bounce": {"id": 12347, "direction": "incoming"}},
    "MessageLinkClicked": {
        "url": "https://shop.example/a?b=c",
        "token": "VJzsFA0S",
        "ip_address": "192.0.2.7",
        "user_agent": AGENT,
    },
    "MessageLoaded": {"ip_address": "192.0.2.7", "user_agent": AGENT},
}


def sample(name: str, message: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    place = "original_message" if name == "MessageBounced" else "message"
    payload = {**SAMPLES.get(name, {}), place: {**MESSAGE, **(message or {})}, **changes}
    return {"event": name, "timestamp": NOW + 0.5, "uuid": "0de47bd7-5b5e", "payload": payload}


def parse(event: Any) -> ParsedEvent:
    [found] = PROVIDER.parse(Incoming({}, as_json(event)), KEY)
    return found


def signed(
    body: bytes,
    private: Any = PRIVATE,
    more: Mapping[str, str] | None = None,
    *,
    new: bool = True,
    old: bool = True,
) -> Incoming:
    headers = dict(more or {})
    for asked, name, digest in (
        (new, "x-postal-signature-256", hashes.SHA256()),
        (old, "x-postal-signature", hashes.SHA1()),  # noqa: S303 - older versions have nothing better
    ):
        if asked:
            headers.setdefault(
                name, base64.b64encode(private.sign(body, padding.PKCS1v15(), digest)).decode()
            )
    return Incoming(headers, body)


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("MessageSent", "email.delivered", {"smtp_code": 250}),
        (
            "MessageDelayed",
            "email.deferred",
            {"smtp_code": 451, "enhanced_code": "4.7.1", "reason": "greylisted"},
        ),
        (
            "MessageDeliveryFailed",
            "email.bounced",
            {"smtp_code": 550, "enhanced_code": "5.1.1", "reason": "user_unknown", "hard": True},
        ),
        ("MessageHeld", "email.blocked", {"reason": "blocked"}),
        ("MessageBounced", "email.bounced", {"reason": "other", "hard": False}),
        ("MessageLinkClicked", "email.clicked", {"url": "https://shop.example/a?b=c", "machine": False}),
        ("MessageLoaded", "email.opened", {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False}),
    ],
)
def test_the_events(name: str, kind: str, facts: dict[str, Any]) -> None:
    event = parse(sample(name))
    assert (event.type, event.email, event.id) == (kind, "ada@example.com", "0de47bd7-5b5e")
    assert event.facts == {**event.facts, **facts, "tags": ["welcome"]}
    assert event.time is not None
    assert event.time // 1_000_000 == NOW


def test_our_message_comes_back_by_its_message_id() -> None:
    message = new_id("dlv")
    for name in SAMPLES:
        assert parse(sample(name, {"message_id": f"{message}@shop.example"})).message == message


def test_what_has_no_word_of_ours_is_kept() -> None:
    dns = parse(
        {"event": "DomainDNSError", "timestamp": NOW, "uuid": "u", "payload": {"domain": "example.com"}}
    )
    assert (dns.type, dns.known) == ("postal.DomainDNSError", True)
    assert (parse(sample("Snooze")).type, parse(sample("Snooze")).known) == ("postal.Snooze", False)
    # What Postal takes in and hands to the user's own server was not delivered to a recipient.
    incoming = parse(sample("MessageSent", {"direction": "incoming"}))
    assert (incoming.type, incoming.known) == ("postal.MessageSent", True)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "no `event`"),
        ({**sample("MessageBounced"), "timestamp": None}, "no `timestamp`"),
        (sample("MessageSent", {"to": 17}), "no `to`"),
    ],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(event)


def test_the_signature_is_checked() -> None:
    body = as_json(sample("MessageSent"))
    dkim = f"v=DKIM1; t=s; h=sha256; p={shown(PRIVATE.public_key())};"
    for text in (PEM, shown(PRIVATE.public_key()), dkim, f'"{dkim}"'):
        PROVIDER.check({"public_key": text})
        PROVIDER.verify(signed(body, more={"x-postal-signature-kid": KID}), {"public_key": text})
    PROVIDER.verify(signed(body, new=False), KEY)  # an older Postal
    PROVIDER.verify(signed(body, old=False), KEY)
    right = signed(body)
    other = rsa.generate_private_key(65537, 2048)
    for wrong in (
        Incoming(right.headers, body + b" "),
        Incoming({}, body),
        signed(body, other),
        signed(body, more={"x-postal-signature-256": right.headers["x-postal-signature"]}),
        signed(body, more={"x-postal-signature-256": "é"}),
        signed(body, more={"x-postal-signature": ""}, new=False),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, KEY)
    with pytest.raises(NotSigned, match="another key than public_key"):
        PROVIDER.verify(signed(body, other, {"x-postal-signature-kid": "ab" * 32}), KEY)
    with pytest.raises(NotSigned, match="or an altered body"):
        PROVIDER.verify(signed(body, other, {"x-postal-signature-kid": KID}), KEY)


@pytest.mark.parametrize(
    "text", ["hello", "aGVsbG8=", shown(ec.generate_private_key(ec.SECP256R1()).public_key())]
)
def test_keys_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match="public_key"):
        PROVIDER.check({"public_key": text})


@given(mutated(*[sample(name) for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(PROVIDER, as_json(value))
