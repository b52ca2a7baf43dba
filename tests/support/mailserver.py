"""A real SMTP server on loopback (aiosmtpd) that keeps its mail and refuses whom it is told to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


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
        self.logins: list[str] = []
        self.sessions: list[SMTP] = []
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

    @property
    def connected(self) -> int:
        """How many connections are open."""
        transports = [one.transport for one in self.sessions]
        return sum(one is not None and not one.is_closing() for one in transports)

    def sender_of(self, address: str) -> str:
        """The envelope's sender of the last mail to an address."""
        return self.paths[address]

    def to(self, address: str) -> list[EmailMessage]:
        return [message for recipient, message in self.mails if recipient == address]


@asynccontextmanager
async def serving_mail(
    login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[MailServer]:
    """With a ``login`` nobody else is served, and with ``tls`` nobody who has not said STARTTLS."""
    keeper = MailServer()
    loop = asyncio.get_running_loop()

    def allow(_server: object, _session: object, _envelope: object, _how: str, given: object) -> AuthResult:
        assert isinstance(given, LoginPassword)
        name, password = given.login.decode(), given.password.decode()
        keeper.logins.append(name)
        return AuthResult(success=(name, password) == login, handled=False)

    def session() -> SMTP:
        keeper.sessions.append(
            SMTP(
                keeper,
                enable_SMTPUTF8=True,
                loop=loop,
                tls_context=tls,
                require_starttls=tls is not None,
                authenticator=allow if login else None,
                auth_required=login is not None,
                auth_require_tls=tls is not None,
            )
        )
        return keeper.sessions[-1]

    server = await loop.create_server(session, "127.0.0.1", 0)

    def die() -> None:
        server.close()
        for one in keeper.sessions:
            if isinstance(one.transport, asyncio.Transport):
                one.transport.abort()

    keeper.die = die
    keeper.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield keeper
    finally:
        server.close()
