"""A real SMTP server on loopback (aiosmtpd) that keeps its mail and refuses whom it is told to."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class MailServer:
    """``closing`` answers 421 to whoever brings a mail, ``die`` ends the server and all its connections.

    ``refuse`` maps an address to the answers to its next RCPTs, the last of which stays; ``hold`` is awaited
    when a mail is there, before it is taken."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.senders: list[str] = []
        self.raw: list[bytes] = []
        self.paths: dict[str, str] = {}
        self.refuse: dict[str, list[str]] = {}
        self.url = ""
        self.closing = False
        self.die: Callable[[], None] = lambda: None
        self.hold: Callable[[], Awaitable[None]] | None = None

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.closing:
            return "421 4.3.2 Closing down"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answers = self.refuse.get(address, [])
        answer = answers.pop(0) if len(answers) > 1 else answers[0] if answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        message = email.message_from_bytes(raw, policy=email.policy.default)
        self.raw.append(raw)
        self.senders.append(envelope.mail_from or "")
        for address in envelope.rcpt_tos:
            self.mails.append((address, message))
            self.paths[address] = envelope.mail_from or ""
        if self.hold is not None:
            await self.hold()
        return "250 2.0.0 OK kept"

    def sender_of(self, address: str) -> str:
        """The envelope's sender of the last mail to an address."""
        return self.paths[address]

    def to(self, address: str) -> list[EmailMessage]:
        return [message for recipient, message in self.mails if recipient == address]


@asynccontextmanager
async def serving_mail() -> AsyncIterator[MailServer]:
    keeper = MailServer()
    loop = asyncio.get_running_loop()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(keeper, enable_SMTPUTF8=True, loop=loop))
        return sessions[-1]

    server = await loop.create_server(session, "127.0.0.1", 0)

    def die() -> None:
        server.close()
        for one in sessions:
            if isinstance(one.transport, asyncio.Transport):
                one.transport.abort()

    keeper.die = die
    keeper.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield keeper
    finally:
        server.close()
