"""The bench's receiver: it notes what arrives when, and answers as the path tells it to.

``/fast/7`` is the address of a receiver that is well, with a number of its own. It runs in a process of its
own, and shares nothing with what is measured.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

from msgspec import Struct

from hookline.cli.bench.child import obey
from hookline.cli.bench.counting import key
from hookline.cli.bench.messages import split
from hookline.cli.bench.sample import number_in

MANNERS = ("fast", "slow", "failing", "hanging")
SLOW_SECONDS = 1.0
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Asked(Struct, frozen=True):
    """With ``save``, what arrived since the last time is written there (see ``Arrivals``) and forgotten."""

    save: str = ""


class Told(Struct, frozen=True):
    """``arrived`` are the requests that the fast ones took since the last save."""

    port: int
    arrived: int


class Arrivals:
    """What arrived, as ``counting.key``, and when, by the monotonic clock."""

    def __init__(self) -> None:
        self.keys = array("Q")
        self.times = array("d")

    def save(self, path: Path) -> None:
        """First all keys, then all times; then begin anew."""
        path.write_bytes(self.keys.tobytes() + self.times.tobytes())
        self.keys, self.times = array("Q"), array("d")


def read_arrivals(path: Path) -> list[tuple[int, float]]:
    """Each key with its time, as they were saved."""
    raw = path.read_bytes()
    keys, times = array("Q"), array("d")
    keys.frombytes(raw[: len(raw) // 2])
    times.frombytes(raw[len(raw) // 2 :])
    return list(zip(keys, times, strict=True))


class Connection(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        messages, self._rest = split(self._rest + data if self._rest else data)
        for head, body in messages:
            self._take(head, body)

    def _take(self, head: bytes, body: bytes) -> None:
        _, manner, receiver = head.split(b" ", 2)[1].split(b"/")
        if manner == b"fast":
            self._arrivals.keys.append(key(int(receiver), number_in(body)))
            self._arrivals.times.append(time.monotonic())
            self._transport.write(TAKEN)
        elif manner == b"failing":
            self._transport.write(FAILED)
        elif manner == b"slow":
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._transport.write, TAKEN)


async def receiving() -> AsyncIterator[Callable[[Asked], Awaitable[Told]]]:
    arrivals = Arrivals()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(arrivals), "127.0.0.1", 0, backlog=2048)
    port = server.sockets[0].getsockname()[1]

    async def tell(asked: Asked) -> Told:
        arrived = len(arrivals.keys)
        if asked.save:
            arrivals.save(Path(asked.save))
        return Told(port, arrived)

    yield tell
    server.close()


if __name__ == "__main__":
    obey(Asked, receiving)
