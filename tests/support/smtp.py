"""Another mail server, as it speaks to ours: with the standard library's client, or word for word."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Address = tuple[str, int]


async def hand_in(server: Address, raw: bytes, to: str, sender: str = "") -> None:
    """Hand a mail in; the client's exceptions for refusals."""

    def hand() -> None:
        with smtplib.SMTP(*server, local_hostname="mx.reader.example") as client:
            client.sendmail(sender, [to], raw)

    await asyncio.to_thread(hand)


class Conversation:
    """A session, line by line; ``greeting`` is the code that it began with."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.greeting = 0

    @classmethod
    async def open(cls, server: Address) -> Conversation:
        made = cls(*await asyncio.open_connection(*server))
        made.greeting = await made._answer()
        return made

    async def say(self, line: str) -> int:
        """The code of the answer to a line."""
        self._writer.write(line.encode() + b"\r\n")
        await self._writer.drain()
        return await self._answer()

    async def _answer(self) -> int:
        while True:
            line = await self._reader.readline()
            if line[3:4] != b"-":
                return int(line[:3])

    async def hears_the_end(self) -> bool:
        """Whether the server says no more and hangs up."""
        return await self._reader.read() == b""

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def conversation(server: Address) -> AsyncIterator[Conversation]:
    talk = await Conversation.open(server)
    try:
        yield talk
    finally:
        await talk.close()
