"""The bench's readers: they ask for pixels and links at their times, whatever the answers do, in a process of its own.

A request is due at its time, and is timed from then (an open loop): waiting for a connection that is busy counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from msgspec import Struct

from hookline.cli.bench.child import obey
from hookline.cli.bench.load import LAST_ANSWER_SECONDS, TICK
from hookline.cli.bench.messages import split

EXPECTED = ("200", "302")
# Readers come from everywhere: what many have in common would be a machine's.
HEAD = (
    "Host: 127.0.0.1\r\nX-Forwarded-For: {}\r\nAccept: */*\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\r\n"
)


class Asked(Struct, frozen=True, kw_only=True):
    """Ask for ``paths``, one after another, at ``rate`` a second for ``seconds``."""

    port: int
    paths: list[str]
    rate: float
    seconds: float
    connections: int


class Answered(Struct, frozen=True, kw_only=True):
    """Milliseconds from when a request was due to its answer; ``failed`` were answered otherwise, or not at all."""

    requests: int
    failed: int
    p50: float
    p95: float
    p99: float
    most: float


class Visits:
    """One piece of work under way; ``over`` is set when all is answered."""

    def __init__(self, asked: Asked) -> None:
        chance = random.Random(1)
        self._asked = asked
        self._requests = [
            f"GET {path} HTTP/1.1\r\n{HEAD.format(f'8.{chance.randrange(250)}.{chance.randrange(250)}.8')}".encode()
            for path in asked.paths
        ]
        self._loop = asyncio.get_running_loop()
        self._all = int(asked.rate * asked.seconds)
        self._sent = self._failed = 0
        self._began = 0.0
        self._times: list[float] = []
        self.over = asyncio.Event()

    def begin(self, readers: list[Reader]) -> None:
        self._readers = readers
        self._began = time.monotonic()
        self._ask()

    def _ask(self) -> None:
        now = time.monotonic()
        while self._sent < self._all and (due := self._began + self._sent / self._asked.rate) <= now:
            place = self._sent
            self._sent += 1
            self._readers[place % len(self._readers)].ask(due, self._requests[place % len(self._requests)])
        if self._sent < self._all:
            due = self._began + self._sent / self._asked.rate
            self._loop.call_later(max(TICK, due - time.monotonic()), self._ask)

    def answered(self, due: float, status: str) -> None:
        self._times.append(time.monotonic() - due)
        self._failed += status not in EXPECTED
        if len(self._times) == self._all:
            self.over.set()

    def figures(self) -> Answered:
        ordered = sorted(self._times) or [0.0]
        p50, p95, p99, most = (
            round(1000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 2)
            for percent in (50, 95, 99, 100)
        )
        failed = self._failed + self._all - len(self._times)
        return Answered(requests=self._all, failed=failed, p50=p50, p95=p95, p99=p99, most=most)


class Reader(asyncio.Protocol):
    """One connection, with what it has no answer for yet."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._due: list[float] = []
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, due: float, request: bytes) -> None:
        self._due.append(due)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        messages, self._rest = split(self._rest + data)
        for head, _ in messages:
            self._visits.answered(self._due.pop(0), head[9:12].decode())

    def close(self) -> None:
        self._transport.close()


async def visit(asked: Asked) -> Answered:
    visits = Visits(asked)
    loop = asyncio.get_running_loop()
    readers: list[Reader] = []
    for _ in range(asked.connections):
        readers.append((await loop.create_connection(lambda: Reader(visits), "127.0.0.1", asked.port))[1])
    visits.begin(readers)
    with contextlib.suppress(TimeoutError):  # what is missing then has failed
        await asyncio.wait_for(visits.over.wait(), asked.seconds + LAST_ANSWER_SECONDS)
    for reader in readers:
        reader.close()
    return visits.figures()


async def visiting() -> AsyncIterator[Callable[[Asked], Awaitable[Answered]]]:
    yield visit


if __name__ == "__main__":
    obey(Asked, visiting)
