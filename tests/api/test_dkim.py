"""Signed on the way out: what a real SMTP server got is verified by dkimpy."""

from __future__ import annotations

from pathlib import Path

import dkim as independent
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hookline.app import build
from hookline.rules.dkim import signer
from hookline.settings import Settings, load
from support.client import client_of
from support.mailserver import MailServer


async def test_a_mail_arrives_signed_by_the_domain_of_its_sender_and_no_other(
    tmp_path: Path, mailserver: MailServer
) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "dkim.pem").write_bytes(pem)
    environment = {
        "HOOKLINE_HOME": str(tmp_path),
        "HOOKLINE_SMTP_URL": mailserver.url,
        "HOOKLINE_PUBLIC_URL": "https://mail.example",
        "HOOKLINE_DKIM_DOMAIN": "shop.example, other.example",
        "HOOKLINE_DKIM_SELECTOR": "h1",
        "HOOKLINE_DKIM_KEY": str(tmp_path / "dkim.pem"),
    }
    by = signer("shop.example", "h1", pem)
    mail = {"to": "ada@example.com", "subject": "Grüße", "html": "<p>.\nHi, Jørn  </p>"}
    async with client_of(load(environment, {})) as api:
        for sender in ("Shop <a@news.shop.example>", "a@stranger.example"):
            assert (await api.post("/v1/messages", mail | {"from": sender})).status == 202
        await api.settled()
    (signed,) = [raw for raw in mailserver.raw if b"shop.example" in raw]
    (plain,) = [raw for raw in mailserver.raw if b"shop.example" not in raw]
    assert b"DKIM-Signature" not in plain and b"d=shop.example;" in signed
    covered = signed.partition(b"h=")[2].partition(b";")[0].replace(b"\r\n ", b"").split(b":")
    assert covered.count(b"from") == 2 and {b"list-unsubscribe", b"list-unsubscribe-post"} <= set(covered)
    record = f"v=DKIM1; k=ed25519; p={by.public}".encode()
    assert independent.verify(signed, dnsfunc=lambda name, timeout=5: record)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"HOOKLINE_DKIM_DOMAIN": "a.example"}, "HOOKLINE_DKIM_SELECTOR"),
        ({"HOOKLINE_DKIM_KEY": "x.pem"}, "HOOKLINE_DKIM_DOMAIN"),
        (
            {
                "HOOKLINE_DKIM_DOMAIN": "a.example",
                "HOOKLINE_DKIM_SELECTOR": "x",
                "HOOKLINE_DKIM_KEY": "no.pem",
            },
            "no.pem",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(more: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load(more, {})


async def test_what_is_no_key_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "dkim.pem").write_text("no key")
    settings = Settings(
        home=str(tmp_path), dkim_domain="a.example", dkim_selector="x", dkim_key=str(tmp_path / "dkim.pem")
    )
    with pytest.raises(ValueError, match="PEM"):
        await build(settings)
