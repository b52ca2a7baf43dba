"""An SMTP server that takes whatever comes and keeps nothing but its number: it must never be what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from msgspec import Struct

from hookline.cli.bench.child import obey

END = b"\r\n.\r\n"
EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n"
OK, GO_ON, BYE = b"250 2.0.0 OK\r\n", b"354 Go on\r\n", b"221 2.0.0 Bye\r\n"


class Asked(Struct):
    pass


class Told(Struct):
    port: int
    mails: int
    bytes: int


class Taken:
    def __init__(self) -> None:
        self.mails = self.bytes = 0


class Session(asyncio.Protocol):
    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._buffer = b""
        self._in_content = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = END if self._in_content else b"\r\n"
            piece, found, rest = self._buffer.partition(end)
            if not found:
                return
            self._buffer = rest
            if self._in_content:
                self._taken.mails += 1
                self._taken.bytes += len(piece)
                self._in_content = False
                self._transport.write(OK)
            else:
                self._answer(piece[:4].upper())

    def _answer(self, command: bytes) -> None:
        if command == b"DATA":
            self._in_content = True
        answers = {b"EHLO": EHLO, b"DATA": GO_ON, b"QUIT": BYE}
        self._transport.write(answers.get(command, OK))


async def sinking() -> AsyncIterator[Callable[[Asked], Awaitable[Told]]]:
    taken = Taken()
    server = await asyncio.get_running_loop().create_server(lambda: Session(taken), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def tell(_: Asked) -> Told:
        return Told(port, taken.mails, taken.bytes)

    yield tell
    server.close()


if __name__ == "__main__":
    obey(Asked, sinking)
