"""``hookline migrate`` and ``hookline check``."""

from __future__ import annotations

from typing import Annotated

import typer

from hookline.cli.checking import check_campaign
from hookline.cli.common import EVERYTHING, PLACE, TENANT, Mistake, database, with_settings
from hookline.net.targets import Targets
from hookline.settings import Settings


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
    address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="What your own SMTP server is seen as by the world.")
    ] = "",
) -> int:
    """Try the settings, the database and the SMTP server. Exit code 1 when one does not work."""
    if campaign:
        return await check_campaign(settings, campaign, nameserver, address)
    return await checked(settings)


async def checked(settings: Settings) -> int:
    """Print a line for each of them."""
    results = [
        _check_settings(settings),
        await _check_database(settings),
        await _check_smtp(settings),
        *await _check_connections(settings),
        (
            "public URL",
            True,
            settings.public_url or "not set: HOOKLINE_PUBLIC_URL is needed to send campaigns",
        ),
    ]
    for name, well, detail in results:
        print(f"{'ok  ' if well else 'FAIL'}  {name:<10}  {detail}")
    return 0 if all(well for _, well, _ in results) else 1


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
        return (
            "SMTP",
            True,
            "not set: HOOKLINE_SMTP_URL, or a connection of kind smtp, is needed to send mail",
        )
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


async def _check_connections(settings: Settings) -> list[tuple[str, bool, str]]:
    """The SMTP servers that are kept as connections; none where the settings or the database, which are told of, are
    in the way."""
    from hookline.mail.servers import Servers
    from hookline.net.dns import Dns

    results = []
    try:
        targets = Targets.parse(settings.allow_targets)
        async with database(settings) as storage:
            servers = Servers(storage, None, Dns(targets.for_mail()))
            for connection in await storage.access.smtp_connections(TENANT):
                client = servers.client(connection)
                trouble = await client.check()
                await client.close()
                where = f"{connection.id}, {connection.base_url}"
                results.append(
                    ("SMTP", trouble is None, where if trouble is None else f"{where}: {trouble.detail}")
                )
            await servers.close()
    except (Mistake, ValueError):
        return []
    return results


def _where(settings: Settings, dialect: str) -> str:
    # The address may hold a password.
    return "PostgreSQL" if dialect == "postgres" else str(settings.storage_url)
