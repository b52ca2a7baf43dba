"""Which SMTP servers a tenant's mail goes through: those of its connections, else those of the settings.

A tenant with servers of its own sends through them alone. Another's relay is not in its domains' SPF records, and
would only make its mails look forged.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from hookline.model import Connection
from hookline.net.dns import Dns
from hookline.net.relays import Relay, Relays
from hookline.net.smtp import SmtpClient, SmtpSettings, parse_smtp_url
from hookline.rules.correlation import relay_of
from hookline.storage import Storage

FRESH_SECONDS = 1.0
"""A changed connection counts so soon on other processes; on the one that changed it, at once."""
IDLE_SECONDS = 300.0


def smtp_settings(connection: Connection) -> SmtpSettings:
    """A connection of kind ``smtp`` as the client takes it. Raises ``ValueError`` for one that cannot be."""
    given = connection.credentials
    login = (given["username"], given.get("password", "")) if "username" in given else None
    return parse_smtp_url(connection.base_url or "", login)


class _Kept(Struct):
    """A tenant's servers as they were ``read`` at some time; ``relays`` is ``None`` where it has none."""

    read: float
    servers: dict[str, tuple[Connection, Relay]]
    relays: Relays | None


class Servers:
    """``own`` are the servers of the settings. ``dns`` judges where tenants' servers lead to; to each at most
    ``connections`` are open."""

    def __init__(
        self,
        storage: Storage,
        own: Relays | None,
        dns: Dns,
        *,
        connections: int = 4,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._own = own
        self._dns = dns
        self._connections = connections
        self._tls = tls
        self._monotonic = monotonic
        self._kept: dict[str, _Kept] = {}
        self._turn = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def of(self, tenant: str) -> Relays | None:
        """Where the tenant's mail goes; ``None`` where there is no server for it."""
        kept = self._kept.get(tenant)
        if kept is None or kept.read < self._monotonic() - FRESH_SECONDS:
            async with self._turn:
                kept = self._kept.get(tenant)
                if kept is None or kept.read < self._monotonic() - FRESH_SECONDS:
                    kept = await self._read(tenant)
        return kept.relays or self._own

    async def changed(self, tenant: str) -> None:
        """The tenant's connections are not what they were: what leads elsewhere is closed."""
        async with self._turn:
            if tenant in self._kept:
                await self._read(tenant)

    def check(self, connection: Connection) -> None:
        """Judges an SMTP server without asking for it. Raises ``ValueError``, or ``TargetRefused`` for one that nobody
        would ever connect to."""
        settings = smtp_settings(connection)
        relay_of(settings.host, settings.provider)
        self._dns.check(settings.host, settings.port)

    async def vet(self, connection: Connection) -> None:
        """Asks DNS where a checked server is (see ``Dns.vet``). Raises ``TargetRefused``."""
        settings = smtp_settings(connection)
        await self._dns.vet(settings.host, settings.port)

    def client(self, connection: Connection, timeout: float | None = None) -> SmtpClient:
        """A client of this server alone, with another ``timeout`` in seconds for each step if one is given; the caller
        closes it. Raises ``ValueError``."""
        settings = smtp_settings(connection)
        if timeout is not None:
            settings = replace(settings, timeout=timeout)
        return SmtpClient(settings, connections=self._connections, tls=self._tls, dns=self._dns)

    async def close(self) -> None:
        if self._own is not None:
            await self._own.close()
        for tenant in list(self._kept):
            self._drop(self._kept.pop(tenant).servers)
        await asyncio.gather(*self._closing)
        await self._dns.close()

    async def _read(self, tenant: str) -> _Kept:
        """What is unchanged keeps its open connections, and what is known of its health."""
        before = self._kept[tenant].servers if tenant in self._kept else {}
        now: dict[str, tuple[Connection, Relay]] = {}
        for connection in await self._storage.access.smtp_connections(tenant):
            known = before.pop(connection.id, None)
            if known is not None and _leads_to(known[0]) == _leads_to(connection):
                now[connection.id] = (connection, known[1])
                continue
            if known is not None:
                before[connection.id] = known
            settings = smtp_settings(connection)
            provider = relay_of(settings.host, settings.provider)
            now[connection.id] = (connection, Relay(self.client(connection), provider, connection.id))
        self._drop(before)
        relays = Relays([relay for _, relay in now.values()]) if now else None
        kept = self._kept[tenant] = _Kept(self._monotonic(), now, relays)
        for other in [name for name, one in self._kept.items() if one.read < kept.read - IDLE_SECONDS]:
            self._drop(self._kept.pop(other).servers)
        return kept

    def _drop(self, servers: dict[str, tuple[Connection, Relay]]) -> None:
        """Close what is not used any more; mails under way there are finished, and nobody waits for it."""
        for _, relay in servers.values():
            task = asyncio.create_task(relay.client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _leads_to(connection: Connection) -> tuple[str | None, dict[str, str]]:
    return connection.base_url, connection.credentials
