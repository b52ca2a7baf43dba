"""``hookline check --campaign``, with a real little name server."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

from hookline.cli import setup
from hookline.cli.checking import check_campaign
from hookline.cli.common import Mistake
from hookline.model import Campaign, CampaignInput, Connection, Template
from hookline.rules.dkim import signer
from hookline.settings import Settings, secret_key
from hookline.storage import open_storage
from support.mailserver import serving_mail
from support.zone import serving_zone

PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
ZONE = {
    "b.shop.example TXT": ["v=spf1 ip4:192.0.2.10 -all"],
    "relay.shop.example A": ["192.0.2.10"],
    "h1._domainkey.shop.example TXT": [f"v=DKIM1; k=ed25519; p={signer('shop.example', 'h1', PEM).public}"],
    "_dmarc.shop.example TXT": ["v=DMARC1; p=reject"],
}


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """With a campaign ``cmp_x``, whose texts are a template's."""
    (tmp_path / "dkim.pem").write_bytes(PEM)
    made = Settings(
        home=str(tmp_path / "home"), public_url="https://m.example", smtp_url="smtp://relay.shop.example",
        bounce_domain="b.shop.example", dkim_domain="shop.example", dkim_selector="h1",
        dkim_key=str(tmp_path / "dkim.pem"),
    )  # fmt: skip
    key = secret_key(made)
    storage = await open_storage(made.storage_url, key)
    html = '<p>Hi</p><a href="{{ unsubscribe_url }}">Leave</a>'
    await storage.templates.put(
        Template(tenant="default", id="tpl_x", name="x", subject="Hi", html=html, created_at=1, updated_at=1)
    )
    spec = CampaignInput(name="x", list="lst_x", from_="Shop <a@news.shop.example>", template="tpl_x")
    await storage.campaigns.put(
        Campaign(tenant="default", id="cmp_x", spec=spec, list="lst_x", state="draft", created_at=1)
    )
    await storage.close()
    return made


async def test_each_rule_is_told_with_what_to_do(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving_zone(ZONE) as server:
        assert await check_campaign(settings, "cmp_x", server, "") == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 7 and all(line.startswith("holds  ") for line in lines), lines
        storage = await open_storage(settings.storage_url, secret_key(settings))
        own = Connection(
            tenant="default", id="con_a", name="x", kind="smtp", base_url="smtp://in-v3.mailjet.com",
            credentials={}, created_at=1,
        )  # fmt: skip
        await storage.access.put_connection(own)
        assert await check_campaign(settings, "cmp_x", server, "") == 0
        assert "the SPF record of spf.mailjet.com could not be read" in capsys.readouterr().out
        await storage.close()
    async with serving_zone({}) as server:
        assert await check_campaign(settings, "cmp_x", server, "") == 1
        told = capsys.readouterr().out
    assert "publish TXT at b.shop.example: v=spf1 include:spf.mailjet.com -all" in told
    assert "publish TXT at h1._domainkey.shop.example: v=DKIM1; k=ed25519; p=" in told


async def test_what_cannot_be_checked(settings: Settings) -> None:
    with pytest.raises(Mistake, match="no campaign cmp_y"):
        await check_campaign(settings, "cmp_y", "", "")
    with pytest.raises(Mistake, match="IP address"):
        await check_campaign(settings, "cmp_x", "", "relay.example")


async def test_servers_kept_as_connections_are_tried_too(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = await open_storage(settings.storage_url, secret_key(settings))
    async with serving_mail() as server:
        for name, url in (("con_a", server.url), ("con_b", "smtp://127.0.0.1:1")):
            new = Connection(
                tenant="default", id=name, name="x", kind="smtp", base_url=url, credentials={}, created_at=1
            )
            await storage.access.put_connection(new)
        await storage.close()
        here = replace(settings, allow_targets="127.0.0.0/8", smtp_url="")
        assert await setup.checked(here) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines if "con_" in line] == [
        ["ok", "SMTP", "con_a,"],
        ["FAIL", "SMTP", "con_b,"],
    ]
