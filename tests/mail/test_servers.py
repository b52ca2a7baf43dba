"""A tenant's own SMTP servers: their order, their logins, and where they may be."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hookline.mail.servers import Servers
from hookline.model import Connection
from hookline.net.dns import Dns
from hookline.net.relays import Relay, Relays, Sent, parse_smtp_urls
from hookline.net.smtp import SmtpClient
from hookline.net.targets import Targets
from hookline.storage import Storage, open_storage
from support.certificates import Authority
from support.mailserver import MailServer, serving_mail
from support.waiting import until

LOOPBACK = Targets.parse("127.0.0.0/8")


def connection(url: str, name: str = "con_a", tenant: str = "default", **more: Any) -> Connection:
    return Connection(
        tenant=tenant, id=name, name="relay", kind="smtp", base_url=url, created_at=0,
        **{"credentials": {}} | more,
    )  # fmt: skip


@asynccontextmanager
async def servers_of(storage: Storage, settings: str = "", **more: Any) -> AsyncIterator[Servers]:
    own = [Relay(SmtpClient(server)) for server in parse_smtp_urls(settings)] if settings else []
    made = Servers(
        storage, Relays(own) if own else None, more.pop("dns", None) or Dns(LOOPBACK.for_mail()), **more
    )
    try:
        yield made
    finally:
        await made.close()


async def send(servers: Servers, tenant: str = "default") -> Sent:
    relays = await servers.of(tenant)
    assert relays is not None
    return await relays.send(lambda _: ("shop@example.com", b"Subject: Hi\r\n\r\nHi\r\n"), "ada@example.com")


async def closed(server: MailServer) -> None:
    await until("the end of its connections", lambda: not server.connected)


async def test_a_tenants_servers_stand_in_their_order_and_for_nobody_else(storage: Storage) -> None:
    put = storage.access.put_connection
    async with (
        serving_mail() as own,
        serving_mail() as first,
        serving_mail() as second,
        servers_of(storage, own.url) as servers,
    ):
        assert (await send(servers)).connection == "" and len(own.mails) == 1
        await put(connection(second.url, "con_b", priority=20))
        await put(connection(first.url, "con_a"))
        await put(connection(own.url, "con_c", tenant="other"))
        await servers.changed("default")
        assert [(await send(servers)).connection for _ in range(2)] == ["con_a", "con_a"]
        first.closing = True
        assert (await send(servers)).connection == "con_b", "the next one takes over"
        second.closing = True
        assert (await send(servers)).result.code == 421, "and never those of the settings"
        assert (len(own.mails), len(first.mails), len(second.mails)) == (1, 2, 1)
        assert (await send(servers, "other")).connection == "con_c"
        assert (await send(servers, "third")).connection == ""


async def test_connections_stay_open_until_theirs_is_changed_or_deleted(storage: Storage) -> None:
    now = 0.0
    access = storage.access
    async with (
        serving_mail() as one,
        serving_mail() as two,
        servers_of(storage, monotonic=lambda: now) as servers,
    ):
        await access.put_connection(connection(one.url, "con_a"))
        await send(servers)
        await access.put_connection(connection(two.url, "con_b", priority=1))
        assert (await send(servers)).connection == "con_a", "another process sees it a second later"
        now += 1.1
        assert (await send(servers)).connection == "con_b"
        assert (len(one.sessions), one.connected, two.connected) == (1, 1, 1)
        await access.put_connection(connection(one.url + "?starttls=never", "con_a", priority=0))
        await servers.changed("default")
        await closed(one)
        assert (await send(servers)).connection == "con_a" and two.connected == 1
        assert await access.delete_connection("default", "con_a")
        assert await access.delete_connection("default", "con_b")
        await servers.changed("default")
        await closed(one)
        await closed(two)
        assert await servers.of("default") is None


async def test_encrypted_and_logged_in(tmp_path: Path) -> None:
    authority = Authority("Test")
    trust = ssl.create_default_context(cadata=authority.pem)
    storage = await open_storage(tmp_path / "hookline.db", bytes(32))

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async with serving_mail(("ada", "pä:ss"), authority.context("mx.example")) as server:
        port = server.url.rpartition(":")[2]

        async def tried(host: str, password: str, **more: Any) -> tuple[str, int | None]:
            new = connection(
                f"smtp://{host}:{port}?starttls=always",
                credentials={"username": "ada", "password": password},
            )
            async with servers_of(storage, dns=Dns(LOOPBACK.for_mail(), here), **more) as servers:
                client = servers.client(new)
                trouble = await client.check()
                await client.close()
            return ("done", None) if trouble is None else (trouble.stage, trouble.code)

        # The connection goes to the address that was checked, the certificate is that of the name.
        assert await tried("mx.example", "pä:ss", tls=trust) == ("done", None)
        assert await tried("mx.example", "wrong", tls=trust) == ("auth", 535)
        logins = len(server.logins)
        assert await tried("other.example", "pä:ss", tls=trust) == ("tls", None)
        assert await tried("mx.example", "pä:ss") == ("tls", None)
        assert len(server.logins) == logins > 0, "nobody else is told the password"
    assert await tried("mx.example", "pä:ss", tls=trust) == ("connect", None)
    await storage.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_inside_is_connected_to_by_nobody(tmp_path: Path, address: str) -> None:
    asked = []

    async def rebound(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [address]

    storage = await open_storage(tmp_path / "hookline.db", bytes(32))
    async with serving_mail() as mailserver:
        await storage.access.put_connection(connection(mailserver.url.replace("127.0.0.1", "mx.example")))
        async with servers_of(storage, dns=Dns(Targets().for_mail(), rebound)) as servers:
            sent = await send(servers)
    await storage.close()
    assert (sent.result.ok, sent.result.stage, sent.result.temporary) == (False, "connect", True)
    assert "leads to no address" in sent.result.detail and address not in sent.result.detail
    assert asked == ["mx.example"] and mailserver.sessions == []


async def test_the_next_address_is_tried_where_one_refuses() -> None:
    async def two(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    dns = Dns(LOOPBACK.for_mail(), two)
    async with serving_mail() as mailserver:
        line = await dns.connect("mx.example", int(mailserver.url.rpartition(":")[2]))
        assert line.getpeername()[0] == "127.0.0.1"
        line.close()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await dns.connect("mx.example", nobody.getsockname()[1])
    await dns.close()
