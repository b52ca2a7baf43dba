"""``hookline migrate`` and ``hookline check``."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.utils import parseaddr
from typing import Annotated

import typer

from hookline.cli.common import EVERYTHING, PLACE, TENANT, Mistake, database, with_settings
from hookline.net.targets import Targets
from hookline.rules.ids import new_id
from hookline.settings import Settings, dkim_keys


@with_settings(*PLACE)
async def migrate(settings: Settings) -> None:
    """Make the database, or bring it to the newest schema. serve does it by itself."""
    async with database(settings) as storage:
        print(f"the database ({_where(settings, storage.dialect)}) is at the newest schema")


@with_settings(*EVERYTHING)
async def check(
    settings: Settings,
    *,
    campaign: Annotated[
        str, typer.Option(metavar="CAMPAIGN_ID", help="See which of the receivers' rules it keeps.")
    ] = "",
    nameserver: Annotated[str, typer.Option(metavar="ADDRESS", help="Whom to ask for DNS records.")] = "",
) -> int:
    """Try the settings, the database and the SMTP server. Exit code 1 when one does not work."""
    if campaign:
        return await _check_campaign(settings, campaign, nameserver)
    results = [
        _check_settings(settings),
        await _check_database(settings),
        await _check_smtp(settings),
        (
            "public URL",
            True,
            settings.public_url or "not set: HOOKLINE_PUBLIC_URL is needed to send campaigns",
        ),
    ]
    for name, well, detail in results:
        print(f"{'ok  ' if well else 'FAIL'}  {name:<10}  {detail}")
    return 0 if all(well for _, well, _ in results) else 1


async def _check_campaign(settings: Settings, name: str, nameserver: str) -> int:
    from hookline.actions.email import campaign_values
    from hookline.app import build
    from hookline.mail.sender import Letter, prepare_campaign
    from hookline.model import Contact, Delivery
    from hookline.net.txt import lookup
    from hookline.rules.dkim import signer, signer_for
    from hookline.rules.receivers import findings

    app = await build(settings)
    try:
        campaign = await app.services.storage.campaigns.get(TENANT, name)
        mailer = app.services.mailer
        if campaign is None or mailer is None:
            raise Mistake(
                f"there is no campaign {name}" if campaign is None else "HOOKLINE_SMTP_URL is not set"
            )
        reader = Contact(tenant=TENANT, id="ctc_x", email="reader@example.com", created_at=0, updated_at=0)
        delivery = Delivery(
            tenant=TENANT, id=new_id("dlv"), lane=name, kind="email", state="sending", campaign=name,
            created_at=0, updated_at=0,
        )  # fmt: skip
        letter = Letter(
            prepared=prepare_campaign(campaign.spec),
            variables=campaign_values(campaign, reader, app.services.clock.now()),
            address="reader@example.com",
            list=campaign.list,
        )
        path, raw = mailer.compose(delivery, letter)
        sender = parseaddr(str(message_from_bytes(raw)["from"]))[1]
        by = signer_for([signer(*key) for key in dkim_keys(settings)], sender)
        found = await asyncio.to_thread(findings, raw, sender, by, path, lambda n: lookup(n, nameserver))
    finally:
        await app.stop()
    for one in found:
        print(f"{one.verdict:<9} {one.rule:<25} {one.detail}".rstrip())
    return int(any(one.verdict == "does not" for one in found))


def _check_settings(settings: Settings) -> tuple[str, bool, str]:
    try:
        Targets.parse(settings.allow_targets)
    except ValueError as error:
        return "settings", False, str(error)
    return "settings", True, f"data in {settings.home}, HTTP on {settings.listen}"


async def _check_database(settings: Settings) -> tuple[str, bool, str]:
    try:
        async with database(settings) as storage:
            await storage.events.last_place()
            return "database", True, _where(settings, storage.dialect)
    except Mistake as error:
        return "database", False, str(error)


async def _check_smtp(settings: Settings) -> tuple[str, bool, str]:
    from hookline.net.relays import parse_smtp_urls
    from hookline.net.smtp import SmtpClient
    from hookline.rules.correlation import relay_of

    if not settings.smtp_url:
        return "SMTP", True, "not set: HOOKLINE_SMTP_URL is needed to send mail"
    well, told = True, []
    try:
        servers = parse_smtp_urls(settings.smtp_url)
        relays = [relay_of(server.host, server.provider) for server in servers]
    except ValueError as error:
        return "SMTP", False, str(error)
    for server, relay in zip(servers, relays, strict=True):
        client = SmtpClient(server)
        try:
            trouble = await client.check()
        finally:
            await client.close()
        where = f"{server.host}:{server.port}" + (f" ({relay})" if relay else "")
        well = well and trouble is None
        told.append(where if trouble is None else f"{where}: {trouble.detail}")
    return "SMTP", well, ", ".join(told)


def _where(settings: Settings, dialect: str) -> str:
    # The address may hold a password.
    return "PostgreSQL" if dialect == "postgres" else str(settings.storage_url)
