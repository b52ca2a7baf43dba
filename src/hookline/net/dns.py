"""Names to addresses that may be reached, asked once for each connection."""

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


class Dns:
    """Looks names up with ``resolver``, by default the system's, and judges every address."""

    def __init__(self, targets: Targets, resolver: Resolver | None = None) -> None:
        self._targets = targets
        self._resolver = resolver or self._ask_system
        self._threads: ThreadPoolExecutor | None = None

    async def lookup(self, host: str, port: int) -> list[Address]:
        """The addresses of a host that may be connected to, at least one.

        Raises ``TargetRefused`` when there are others only, ``OSError`` when there are none.
        """
        found = [ipaddress.ip_address(text) for text in await self._resolver(host, port)]
        objections = [self._targets.objection(address, port) for address in found]
        allowed = [address for address, why in zip(found, objections, strict=True) if why is None]
        if found and not allowed:
            # The address itself stays unsaid: names of an inner network are not the user's to look up.
            raise TargetRefused(f"{host} leads to no address that hooks may reach: {objections[0]}")
        if not found:
            raise OSError(f"{host} has no address")
        return allowed

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_system(self, host: str, port: int) -> list[str]:
        """Asks in threads of our own: a name server that hangs must not stop what else needs threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hookline-dns")
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [str(sockaddr[0]) for *_, sockaddr in found]
