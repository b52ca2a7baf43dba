"""Names to addresses that may be reached."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from hookline.net.targets import Address, TargetRefused, Targets

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host (for a port), or raises ``OSError``."""

THREADS = 32
REMEMBERED = 10.0
"""Seconds for which checked addresses of a name are used for new requests."""

VETTING = 2.0
"""Seconds that a user who saves something waits for a name server at most."""

Name = tuple[str, int]


class Dns:
    """Looks names up with ``resolver``, by default the system's, and judges every address."""

    def __init__(self, targets: Targets, resolver: Resolver | None = None) -> None:
        self._targets = targets
        self._resolver = resolver or self._ask_system
        self._threads: ThreadPoolExecutor | None = None
        self._known: dict[Name, tuple[float, tuple[Address, ...]]] = {}
        self._asking: dict[Name, asyncio.Task[tuple[Address, ...]]] = {}

    def known(self, host: str, port: int) -> tuple[Address, ...] | None:
        """What ``lookup`` gave a short while ago."""
        until, addresses = self._known.get((host, port), (0.0, None))
        return addresses if until > asyncio.get_running_loop().time() else None

    async def lookup(self, host: str, port: int) -> tuple[Address, ...]:
        """The addresses of a host that may be connected to, at least one. Those who ask at once ask once.

        Raises ``TargetRefused`` when there are others only, ``OSError`` when there are none.
        """
        name = (host, port)
        if (task := self._asking.get(name)) is None:
            task = self._asking[name] = asyncio.create_task(self._ask(host, port))
            task.add_done_callback(functools.partial(self._asked, name))
        return await asyncio.shield(task)

    def check(self, host: str, port: int) -> None:
        """Judges what can be judged of a server without asking for it; raises ``TargetRefused``."""
        self._targets.check_server(host, port)

    async def vet(self, host: str, port: int, seconds: float = VETTING) -> None:
        """Raises ``TargetRefused`` where the host leads by now to no address that may be connected to.

        What has no answer within ``seconds`` is taken, unless the port is right for allowed addresses only: the name
        may come to be later, and each attempt judges anew.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.lookup(host, port)
        except (OSError, ValueError):
            self._targets.check_port(port)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection to the first address that takes one. Raises what ``lookup`` does, and ``OSError``."""
        loop = asyncio.get_running_loop()
        trouble: OSError | None = None
        for address in await self.lookup(host, port):
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            line = socket.socket(family, socket.SOCK_STREAM)
            try:
                line.setblocking(False)
                await loop.sock_connect(line, (str(address), port))
            except BaseException as error:
                line.close()
                if not isinstance(error, OSError):
                    raise
                trouble = trouble or error
            else:
                return line
        raise trouble or OSError(f"{host} has no address")

    async def close(self) -> None:
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _asked(self, name: Name, task: asyncio.Task[tuple[Address, ...]]) -> None:
        del self._asking[name]
        if task.cancelled() or task.exception() is not None:
            return
        now = asyncio.get_running_loop().time()
        self._known.pop(name, None)  # so that the oldest comes first
        self._known[name] = (now + REMEMBERED, task.result())
        while (oldest := next(iter(self._known))) and self._known[oldest][0] <= now:
            del self._known[oldest]

    async def _ask(self, host: str, port: int) -> tuple[Address, ...]:
        found = [ipaddress.ip_address(text) for text in await self._resolver(host, port)]
        objections = [self._targets.objection(address, port) for address in found]
        allowed = [address for address, why in zip(found, objections, strict=True) if why is None]
        if found and not allowed:
            # The address itself stays unsaid: names of an inner network are not the user's to look up.
            raise TargetRefused(f"{host} leads to no address that hooks may reach: {objections[0]}")
        if not found:
            raise OSError(f"{host} has no address")
        return tuple(allowed)

    async def _ask_system(self, host: str, port: int) -> list[str]:
        """Asks in threads of our own: a name server that hangs must not stop what else needs threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hookline-dns")
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [str(sockaddr[0]) for *_, sockaddr in found]
