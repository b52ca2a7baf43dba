"""The only SMTP server (RFC 5321): takes the mail that comes back to us, and nobody else's.

It relays nothing: who is not ours is refused at RCPT. It answers 250 only when the mail was taken in for
good, 451 when that failed, so that the other server keeps it and comes again. It faces the whole world, so
everything is bounded: size, time for a mail and for a session, connections in all and from one address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP

MAX_MAIL = 25 * 1024 * 1024
MAX_RECIPIENTS = 100
MAX_CONNECTIONS = 100
MAX_FROM_ONE = 20
MAX_HELD = 4 * MAX_MAIL  # bytes of all mails that are coming in
MAIL_SECONDS = 300.0
SESSION_SECONDS = 900.0
COMMANDS = {"RCPT": 1000, "*": 200}

log = structlog.get_logger("hookline.inbox")
Ours = Callable[[str], bool]
Take = Callable[[bytes, list[str]], Awaitable[None]]


class Inbox:
    """Listens for mail. ``ours`` says whether an address is one of ours; ``take`` takes a mail in for good, and
    raises where it cannot now."""

    def __init__(
        self, domain: str, ours: Ours, take: Take, *, session_seconds: float = SESSION_SECONDS
    ) -> None:
        self._domain, self._ours, self._take = domain, ours, take
        self._session_seconds = session_seconds
        self._server: asyncio.Server | None = None
        self._open: dict[_Session, asyncio.TimerHandle] = {}
        self.held = 0
        self._peers: Counter[str] = Counter()
        self._taking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # the library's: a line for each command

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Begin to listen; where it does, for port 0 takes any that is free. OSError where it cannot."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self, loop), host, port)
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def close(self, grace: float) -> None:
        """Take no more; what is being taken in gets ``grace`` seconds."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), grace)
        for session in tuple(self._open):
            session.end()

    # What sessions ask.

    def enter(self, session: _Session, peer: str) -> bool:
        """Whether there is room for one more."""
        if len(self._open) >= MAX_CONNECTIONS or self._peers[peer] >= MAX_FROM_ONE:
            return False
        self._peers[peer] += 1
        self._open[session] = asyncio.get_running_loop().call_later(self._session_seconds, session.end)
        return True

    def leave(self, session: _Session, peer: str) -> None:
        timer = self._open.pop(session, None)
        if timer is not None:
            timer.cancel()
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not self._ours(address):
            return "550 5.1.1 This server takes the answers to its own mail only"
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self._taking += 1
        self._quiet.clear()
        try:
            await self._take(envelope.content, list(envelope.rcpt_tos))
        except Exception as error:  # noqa: BLE001 - the other server keeps the mail and comes again
            log.warning("a mail could not be taken in now", error=str(error) or type(error).__name__)
            return "451 4.3.0 It cannot be taken in now, please come again"
        finally:
            self._taking -= 1
            if not self._taking:
                self._quiet.set()
        return "250 2.0.0 OK"

    async def handle_VRFY(self, server: Any, session: Any, envelope: Any, address: str) -> str:
        return "252 2.5.2 Send it and see"

    @property
    def domain(self) -> str:
        return self._domain


class _Session(SMTP):
    """One connection. The content is read in pieces: the library keeps each line by itself, and a mail of
    empty lines would cost it twenty times its size."""

    def __init__(self, inbox: Inbox, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            inbox,
            hostname=inbox.domain,
            ident="Hookline",
            data_size_limit=MAX_MAIL,
            enable_SMTPUTF8=True,
            timeout=MAIL_SECONDS,
            command_call_limit=COMMANDS,
            loop=loop,
        )
        self._inbox = inbox
        self._peer = ""

    def connection_made(self, transport: Any) -> None:
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._admitted = self._inbox.enter(self, self._peer)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._inbox.leave(self, self._peer)
        super().connection_lost(error)

    def end(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.close()

    async def _handle_client(self) -> None:
        if self._admitted:
            await super()._handle_client()
        else:
            await self.push("421 4.7.0 Too many connections, please come again")
            self.end()

    async def smtp_DATA(self, arg: str) -> None:
        if await self.check_helo_needed():
            return
        envelope: Any = self.envelope
        if not envelope.rcpt_tos:
            await self.push("503 5.5.1 RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = bytearray()
        try:
            answer = await self._read(content)
            if not answer:
                envelope.content = bytes(content)
                answer = await self._call_handler_hook("DATA")
        finally:
            self._inbox.held -= len(content)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(answer)

    async def _read(self, content: bytearray) -> str:
        """Read up to the line with a dot, which only CRLF makes one; the refusal, "" for none."""
        refusal, fresh = "", True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:
                piece = await self._reader.readexactly(error.consumed)
            if fresh and piece.startswith(b"."):
                if piece == b".\r\n":
                    return refusal
                piece = piece[1:]
            fresh = piece.endswith(b"\r\n")
            if refusal:
                continue
            if len(content) + len(piece) > MAX_MAIL:
                refusal = f"552 5.3.4 A mail has at most {MAX_MAIL} bytes"
            elif self._inbox.held + len(piece) > MAX_HELD:
                refusal = "452 4.3.1 Too much mail at once, please come again"
            if refusal:
                self._inbox.held -= len(content)
                content.clear()
            else:
                self._inbox.held += len(piece)
                content += piece
