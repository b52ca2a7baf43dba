"""A conversation with an SMTP server that is ready for MAIL: commands out, replies in, in step.

The connection, its TLS and the login are the library's work; here its transport is taken over, because the library
asks one thing at a time, and a server that offers PIPELINING (RFC 2920) is told the whole envelope at once.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

Step = Literal["mail", "rcpt", "data"]
STEPS: tuple[Step, ...] = ("mail", "rcpt", "data")
MAX_REPLY = 64 * 1024  # bytes; RFC 5321 4.5.3.1.5 wants lines of 512
GO_ON = 354
CLOSING = b"421"
_BREAK = re.compile(rb"\r\n|\r|\n")


class Reply(NamedTuple):
    """What a server said: its lines without the code, with line feeds between them."""

    code: int
    text: str


class Broken(Exception):
    """The conversation is over: the connection was lost, the server was silent, or made no sense."""


class Ending(Struct, frozen=True):
    """How a transaction ended: the ``step`` that decided it, with the server's ``reply``, or with what went wrong.
    ``handed_over`` says that the content was on its way."""

    step: Step
    reply: Reply | None
    trouble: str = ""
    handed_over: bool = False


class Session(asyncio.Protocol):
    """``extensions`` are what the server offers, in lower case."""

    def __init__(self, transport: asyncio.Transport, extensions: Collection[str]) -> None:
        self.extensions = frozenset(extensions)
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._received = bytearray()
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._owed = 0
        self._waiter: asyncio.Future[None] | None = None
        self._end: Broken | None = None
        transport.set_protocol(self)

    @property
    def fit(self) -> bool:
        """Whether it can serve for another transaction: it stands, and nobody spoke out of turn."""
        in_step = not (self._owed or self._replies or self._received or self._lines)
        return in_step and self._end is None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport.get_write_buffer_size():  # perhaps to one who reads no more
            self._transport.abort()
        self._transport.close()

    async def deliver(
        self, commands: Sequence[bytes], content: bytes, *, patience: float, data_patience: float
    ) -> Ending:
        """One transaction: MAIL, RCPT and DATA as given, with their line ends, and the content. Raises nothing.

        ``patience`` is seconds for each answer, ``data_patience`` for the one to the content.
        """
        step: Step = "mail"
        handed_over = False
        at_once = "pipelining" in self.extensions
        try:
            if at_once:
                self._say(b"".join(commands), len(commands))
            for step, command in zip(STEPS, commands, strict=True):
                if not at_once:
                    self._say(command)
                reply = await self._reply(patience)
                if not (reply.code == GO_ON if step == "data" else reply.code // 100 == 2):
                    await self._leave(step, patience)
                    return Ending(step, reply)
            self._say(on_the_wire(content))
            handed_over = True
            return Ending(step, await self._reply(data_patience), handed_over=True)
        except Broken as trouble:
            return Ending(step, None, str(trouble), handed_over)

    async def _leave(self, refused: Step, patience: float) -> None:
        """After a refusal, hear what was asked at the same time. A server that would have the content all the same
        gets none (RFC 2920 3.1)."""
        try:
            reply = None
            for _ in range(self._owed + len(self._replies)):
                reply = await self._reply(patience)
            if refused != "data" and reply is not None and reply.code == GO_ON:
                self._say(b".\r\n")
                await self._reply(patience)
        except Broken:  # the refusal stands, and this is used no more
            self.close()

    async def ask(self, command: bytes, patience: float) -> Reply:
        """One command, without its line end. Raises Broken."""
        self._say(command + b"\r\n")
        return await self._reply(patience)

    def _say(self, words: bytes, replies: int = 1) -> None:
        if self._end is not None or self._transport.is_closing():
            raise self._end or Broken("the connection was lost")
        self._owed += replies
        self._transport.write(words)

    async def _reply(self, patience: float) -> Reply:
        if not self._replies and self._end is None:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(patience, self._late, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._replies:
            return self._replies.popleft()
        raise self._end or Broken("the connection was lost")

    # --- what the transport calls

    def data_received(self, data: bytes) -> None:
        if self._end is not None:
            return
        self._received += data
        if len(self._received) > MAX_REPLY:
            self._break_off("the server's answer is too long")
            return
        while self._end is None and (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[: end + 1])
            del self._received[: end + 1]
            self._hear(line.strip(b" \t\r\n"))
        if self._waiter is not None and self._replies and not self._waiter.done():
            self._waiter.set_result(None)

    def _hear(self, line: bytes) -> None:
        if not (line[:3].isdigit() and len(line) >= 3):
            said = line[:100].decode(errors="replace")
            self._break_off(f"what the server said is no reply of SMTP: {said}")
            return
        self._lines.append(line[4:].strip(b" \t"))
        if sum(map(len, self._lines)) > MAX_REPLY:
            self._break_off("the server's answer is too long")
        elif line[3:4] != b"-":
            text = b"\n".join(self._lines).decode(errors="surrogateescape")
            self._lines.clear()
            self._owed -= 1
            if self._owed < 0:
                self._break_off("the server spoke out of turn")
            else:
                self._replies.append(Reply(int(line[:3]), text))
                if line.startswith(CLOSING):
                    self._break_off("the server is about to close")

    def eof_received(self) -> None:
        self._break_off("the connection was lost")

    def connection_lost(self, exc: Exception | None) -> None:
        self._break_off(f"the connection was lost: {exc}" if exc else "the connection was lost")

    def _late(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            self._break_off("the server did not answer in time")

    def _break_off(self, why: str) -> None:
        if self._end is None:
            self._end = Broken(why)
            self._transport.abort()  # what is still to be sent is sent no more, now that this is said
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def on_the_wire(content: bytes) -> bytes:
    """Content with plain CRLF breaks (a bare one can smuggle a second message past some servers), doubled leading dots
    (RFC 5321 4.5.2), and the end of it."""
    breaks = content.count(b"\r\n")
    if not content.count(b"\n") == content.count(b"\r") == breaks:
        content = _BREAK.sub(b"\r\n", content)
    content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
