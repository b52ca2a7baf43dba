"""Which connection serves a request: one at rest, or a new one, and no more than so many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Coroutine, Hashable, Sequence
from typing import Any

from hookline.net.targets import Address
from hookline.net.wire import Connection, first_to_connect

KEEP_ALIVE = 4.0
"""Seconds that a connection may rest. Node, uvicorn and Apache close idle connections after 5."""

Dial = Callable[[Address, set[Connection]], Coroutine[Any, Any, Connection]]
"""Opens a connection to an address and enters it into the set."""


class Pool:
    """Hands connections out, ``limit`` at a time, and keeps those that come back in order, the last on top.

    A connection at rest serves requests with its own key only, and only while its address is among those
    that were checked for them. Where more are open than ``limit``, those at rest give way.
    """

    def __init__(self, limit: int, keep_alive: float = KEEP_ALIVE) -> None:
        self._limit = limit
        self._keep_alive = keep_alive
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open: set[Connection] = set()
        self._resting: dict[Hashable, list[Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def take(self, key: Hashable, addresses: Container[Address]) -> Connection | None:
        """A connection at rest, if there is one and nobody waits for his turn."""
        if not self._free or (connection := self._rested(key, addresses)) is None:
            return None
        self._free -= 1
        return connection

    async def turn(self) -> None:
        """Return with a place for a connection, which ``give_back`` or ``pass_on`` gives up."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment
                self.pass_on()
            raise

    async def open(self, key: Hashable, addresses: Sequence[Address], dial: Dial) -> Connection:
        """A connection to one of the addresses, for whom there is a place."""
        if (connection := self._rested(key, addresses)) is not None:
            return connection
        if len(self._open) >= self._limit:
            self._make_room()
        return await first_to_connect(addresses, lambda address: dial(address, self._open))

    def give_back(self, connection: Connection) -> None:
        """Every connection that was handed out comes back here, whatever became of it."""
        if connection.reusable():
            loop = asyncio.get_running_loop()
            connection.resting_since = loop.time()
            if (resting := self._resting.get(connection.key)) is None:
                resting = self._resting[connection.key] = []
            resting.append(connection)
            if self._sweeping is None:
                self._sweeping = loop.call_later(self._keep_alive / 4, self._sweep)
        else:
            connection.abort()
        self.pass_on()

    def pass_on(self) -> None:
        """A place is free: for who has waited longest, if anybody waits."""
        while self._waiting:
            if not (turn := self._waiting.popleft()).done():
                turn.set_result(None)
                return
        self._free += 1

    async def close(self) -> None:
        """Close every connection, those in use included."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._resting.clear()
        gone = [connection.closed for connection in self._open]
        for connection in self._open:
            connection.abort()
        if gone:
            await asyncio.wait(gone)

    def _rested(self, key: Hashable, addresses: Container[Address]) -> Connection | None:
        resting = self._resting.get(key)
        while resting:
            connection = resting.pop()
            if connection.address in addresses and not self._spent(connection):
                return connection
            connection.abort()
        return None

    def _spent(self, connection: Connection) -> bool:
        rested = asyncio.get_running_loop().time() - connection.resting_since
        return rested > self._keep_alive or not connection.reusable() or connection.readable()

    def _make_room(self) -> None:
        for resting in self._resting.values():
            if resting:
                resting.pop(0).abort()
                return

    def _sweep(self) -> None:
        """Close what has rested too long, and forget what its server has closed."""
        for key, resting in list(self._resting.items()):
            fresh = [connection for connection in resting if not self._spent(connection)]
            for connection in set(resting).difference(fresh):
                connection.abort()
            if fresh:
                self._resting[key] = fresh
            else:
                del self._resting[key]
        self._sweeping = None
        if self._resting:
            self._sweeping = asyncio.get_running_loop().call_later(self._keep_alive / 4, self._sweep)
