"""Our signatures, verified by dkimpy, which shares no code with us."""

from __future__ import annotations

import dkim as independent
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.rules.dkim import Signer, signer, signer_for

MESSAGE = (
    b"From: Shop <shop@shop.example>\r\nTo: ada@example.com\r\nSubject: a  folded\r\n\tline \r\nDate: x\r\n"
    b"List-Unsubscribe: <https://mail.example/t/u/x>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"Message-ID: <a@shop.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nHi \t there  \r\n\r\n"
    b"bye\r\n\r\n\r\n"
)


def pem(key: object) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined,no-any-return]


SIGNERS = [
    signer("Shop.example", "h1", pem(rsa_key(65537, 2048))),
    signer("shop.example", "h2", pem(Ed25519PrivateKey.generate())),
]


def verified(signed: bytes, by: Signer) -> bool:
    def lookup(name: bytes, timeout: int = 5) -> bytes:
        assert name.decode().rstrip(".") == by.record
        return f"v=DKIM1; k={by.algorithm}; p={by.public}".encode()

    return bool(independent.verify(signed, dnsfunc=lookup))


@pytest.mark.parametrize("by", SIGNERS, ids=["rsa", "ed25519"])
def test_a_signature_is_verified_by_another_library(by: Signer) -> None:
    signed = by.sign(MESSAGE, 1_790_000_000)
    assert signed.endswith(MESSAGE) and max(map(len, signed.split(b"\r\n"))) < 100
    assert verified(signed, by)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"bye", b"buy"),
        (b"a  folded", b"another"),
        (b"One-Click", b"Two-Clicks"),
        (b"<https://mail.example", b"<https://evil.example"),
        (b"To: ada", b"From: evil@shop.example\r\nTo: ada"),
        (b"\r\nFrom: Shop", b"\r\nFrom: Evil <evil@shop.example>\r\nFrom: Shop"),
    ],
)
def test_what_is_changed_or_added_on_the_way_shows(before: bytes, after: bytes) -> None:
    signed = SIGNERS[0].sign(MESSAGE, 1_790_000_000)
    changed = signed.replace(before, after, 1)
    assert changed != signed and not verified(changed, SIGNERS[0])


@settings(max_examples=60, deadline=None)
@given(st.text("ab \t\r\n.=", max_size=60))
def test_any_body_is_canonicalised_as_others_do(body: str) -> None:
    text = (body.replace("\r", "").replace("\n", "\r\n") + "\r\n").encode()
    head = MESSAGE.partition(b"\r\n\r\n")[0]
    assert verified(SIGNERS[1].sign(head + b"\r\n\r\n" + text, 1), SIGNERS[1])


def test_only_the_domain_of_from_or_one_above_it_signs() -> None:
    news, shop = (
        signer(domain, "x", pem(Ed25519PrivateKey.generate())) for domain in ("news.a.example", "a.example")
    )
    for address, expected in (
        ("x@news.a.example", news),
        ("x@A.example", shop),
        ("x@b.a.example", shop),
        ("x@b-a.example", None),
        ("x@example", None),
    ):
        assert signer_for([shop, news], address) is expected


@pytest.mark.parametrize(
    ("domain", "selector", "key", "words"),
    [
        ("a..b", "x", b"", "domain"),
        ("a.example", "x y", b"", "selector"),
        ("a.example", "x", b"no", "PEM"),
        ("a.example", "x", pem(ec_key(SECP256R1())), "Ed25519"),
    ],
)
def test_what_cannot_sign_is_refused_in_words(domain: str, selector: str, key: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        signer(domain, selector, key)
