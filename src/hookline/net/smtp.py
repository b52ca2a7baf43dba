"""The only SMTP client (RFC 5321): one message to one recipient over kept connections, one result.

- Connections are kept and shared; one that turns out dead before the server took the sender is
  replaced once, silently. A transaction that was left open is reset before the next.
- What the server says decides: 4xx is temporary, 5xx is permanent. Trouble with the connection, its
  TLS or the login says nothing about the message, so it is always temporary.
- Once the content is on its way, a lost connection leaves open whether the server took the message:
  the result is ``ambiguous``, and the caller chooses between losing it and sending it twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections.abc import Collection
from typing import Literal, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import aiosmtplib
import idna
from msgspec import Struct

from hookline.net.dns import Dns
from hookline.net.smtp_session import Broken, Ending, Session
from hookline.net.targets import TargetRefused

Stage = Literal["connect", "tls", "auth", "mail", "rcpt", "data"]
Tls = Literal["none", "auto", "starttls", "implicit"]
# What goes wrong there is the server's trouble, whatever the message.
BEFORE_MAIL: frozenset[Stage] = frozenset({"connect", "tls", "auth"})

MAX_DETAIL = 500
QUIT_SECONDS = 2.0

_STARTTLS: dict[str, Tls] = {"auto": "auto", "always": "starttls", "never": "none"}
_LOGIN_NEEDED = frozenset({530, 534, 535, 538})
_ENHANCED = re.compile(r"(?:^|#)([245]\.\d{1,3}\.\d{1,3})(?![\d.])")  # the # as qmail and others write it
_PREFIX = re.compile(r"^#?[245]\.\d{1,3}\.\d{1,3}(?![\d.])\s*")
_NO_GREETING = "ready message"  # in the library's words for a server that is connected and silent
_UNSAFE = re.compile(r"[\x00-\x20<>\x7f\ud800-\udfff]")


class SmtpSettings(Struct, frozen=True, kw_only=True):
    """A server to hand mail to. ``tls``: "auto" encrypts where the server offers it, "starttls" insists,
    "implicit" is TLS from the first byte; the certificate is always verified. ``timeout`` is seconds for
    each step, ``data_timeout`` for the answer to the content (RFC 5321 4.5.3.2.6 is patient there). ``provider``
    says whose relay is behind the host, "" where its name tells."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: Tls = "auto"
    timeout: float = 30.0
    data_timeout: float = 300.0
    provider: str = ""


class SmtpResult(Struct, frozen=True, kw_only=True):
    """How it ended: the server's ``code`` and ``enhanced`` code (RFC 3463) where it gave one, its text in one
    line as ``detail``, and the ``stage`` that was reached."""

    ok: bool
    stage: Stage
    temporary: bool = False
    ambiguous: bool = False
    code: int | None = None
    enhanced: str | None = None
    detail: str = ""


def parse_smtp_url(url: str, login: tuple[str, str] | None = None) -> SmtpSettings:
    """Reads ``smtp://user:password@host:port?starttls=auto|always|never`` or ``smtps://…``, and ``provider=…``.

    ``login`` is what the URL may lack. Ports default to 465 for smtps, 587 with a login, else 25. Raises ``ValueError``
    in words that do not repeat the URL, since it may hold a password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError("the SMTP URL has a malformed host or port") from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("the SMTP URL must begin with smtp:// or smtps://")
    if not parts.hostname:
        raise ValueError("the SMTP URL names no host")
    if any(char.isspace() or char == "," for char in parts.hostname):
        raise ValueError("each server is an SMTP URL of its own, which must begin with smtp:// or smtps://")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError("the SMTP URL ends after the port, but for ?starttls=… and ?provider=…")
    username, password = login or _login(parts)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    provider = options.pop("provider", "")
    tls = _tls_mode(parts.scheme, options)
    default = 465 if tls == "implicit" else 25 if username is None else 587
    return SmtpSettings(
        host=parts.hostname,
        port=port or default,
        username=username,
        password=password,
        tls=tls,
        provider=provider,
    )


def _login(parts: SplitResult) -> tuple[str | None, str | None]:
    if parts.username is None and parts.password is None:
        return None, None
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not username or parts.password is None:
        raise ValueError("the SMTP URL needs both a user name and a password, or neither")
    if any(ord(char) < 32 for char in username + password):
        raise ValueError("the user name or password of the SMTP URL holds a control character")
    return username, password


def _tls_mode(scheme: str, options: dict[str, str]) -> Tls:
    choice = options.pop("starttls", None)
    if options:
        raise ValueError(
            f"the SMTP URL has an unknown option {next(iter(options))!r}; there are starttls and provider"
        )
    if scheme == "smtps":
        if choice is not None:
            raise ValueError("smtps:// is encrypted from the start: leave out starttls")
        return "implicit"
    if choice is not None and choice not in _STARTTLS:
        raise ValueError("starttls must be auto, always or never")
    return _STARTTLS[choice or "auto"]


class SmtpClient:
    """Hands messages to one server over at most ``connections`` connections; further sends wait for one.
    ``tls`` replaces the system's certificate authorities. ``dns`` says whether the server may be reached, where that
    is a question: not for one that the operator has set."""

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        connections: int = 4,
        tls: ssl.SSLContext | None = None,
        dns: Dns | None = None,
    ) -> None:
        self._settings = settings
        self._dns = dns
        self._tls = tls
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[Session] = []
        self._hello: str | None = None
        self._closed = False

    async def send(self, mail_from: str, rcpt_to: str, message: bytes) -> SmtpResult:
        """Sends a whole message (headers and body) to one address; an empty ``mail_from`` is the null
        sender. Raises ``ValueError`` for an address that cannot be written to the wire, else nothing."""
        sender, recipient = _wire(mail_from), _wire(rcpt_to)
        async with self._slots:
            while self._idle:
                kept = self._idle.pop()
                if not kept.fit:
                    kept.close()
                    continue
                result = await self._transact(kept, sender, recipient, message)
                if result.stage != "mail" or result.code not in (None, 421):
                    return result
                # It was dead, or the server is tired of it; nothing has been taken from us yet.
                # The others are no younger.
                self._drop_idle()
            fresh = await self._connect()
            if isinstance(fresh, SmtpResult):
                return fresh
            return await self._transact(fresh, sender, recipient, message)

    @property
    def host(self) -> str:
        return self._settings.host

    async def check(self) -> SmtpResult | None:
        """Connects, greets and logs in as for a message; None when all that went well, else what did not."""
        async with self._slots:
            connection = await self._connect()
            if isinstance(connection, SmtpResult):
                return connection
            self._idle.append(connection)
        return None

    async def close(self) -> None:
        """Says goodbye on idle connections; those in use close when their message is through."""
        self._closed = True
        for session in self._idle:
            with contextlib.suppress(Broken):
                await session.ask(b"QUIT", QUIT_SECONDS)
        self._drop_idle()

    def _drop_idle(self) -> None:
        for session in self._idle:
            session.close()
        self._idle.clear()

    async def _connect(self) -> Session | SmtpResult:
        """A connection that is ready for MAIL (greeted, encrypted as set, logged in), or why there is none."""
        settings = self._settings
        line = None
        if self._dns is not None:
            try:
                async with asyncio.timeout(settings.timeout):
                    line = await self._dns.connect(settings.host, settings.port)
            except (TargetRefused, OSError) as trouble:  # a time-out is an OSError
                why = str(trouble) or f"no connection to {settings.host} within {settings.timeout:g} s"
                return SmtpResult(ok=False, stage="connect", temporary=True, detail=_plain(why))
        connection = aiosmtplib.SMTP(
            hostname=settings.host,  # the name that the certificate has to have, also where there is a line
            port=None if line else settings.port,
            sock=line,
            timeout=settings.timeout,
            use_tls=settings.tls == "implicit",
            start_tls=False,
            local_hostname=self._hello,
            tls_context=self._tls,
        )
        stage: Stage = "connect"
        ready = False
        try:
            await connection.connect()
            self._hello = connection.local_hostname
            await connection.ehlo()
            stage = "tls"
            encrypted = await self._encrypt(connection)
            stage = "auth"
            if settings.username is not None:
                if not encrypted and settings.tls != "none" and not _is_local(settings.host):
                    raise aiosmtplib.SMTPException(
                        "the server offers no encryption, and the password is not sent in the clear"
                        " (unless the URL says starttls=never)"
                    )
                await connection.login(settings.username, settings.password or "")
            if connection.transport is None:
                raise aiosmtplib.SMTPServerDisconnected("the connection was lost")
            session = Session(cast("asyncio.Transport", connection.transport), connection.esmtp_extensions)
            ready = True
        except (aiosmtplib.SMTPException, OSError, ValueError) as trouble:
            if isinstance(trouble, aiosmtplib.SMTPConnectTimeoutError) and _NO_GREETING in str(trouble):
                trouble = TimeoutError(_not_greeted(settings))
            return _no_connection(trouble, "tls" if isinstance(trouble.__cause__, ssl.SSLError) else stage)
        finally:
            if not ready:
                connection.close()
        return session

    async def _encrypt(self, connection: aiosmtplib.SMTP) -> bool:
        if self._settings.tls in ("implicit", "none"):
            return self._settings.tls == "implicit"
        if connection.supports_extension("starttls"):
            await connection.starttls()
            await connection.ehlo()
            return True
        if self._settings.tls == "starttls":
            raise aiosmtplib.SMTPException("the server offers no STARTTLS, and the URL insists on it")
        return False

    async def _transact(
        self, session: Session, sender: bytes, recipient: bytes, message: bytes
    ) -> SmtpResult:
        """One transaction; puts the session back if it can serve again, else closes it."""
        reusable = False
        try:
            needs_utf8 = not (sender.isascii() and recipient.isascii())
            if needs_utf8 and "smtputf8" not in session.extensions:
                reusable = True
                return _NO_UTF8
            options = b"".join(_options(session.extensions, message, needs_utf8))
            commands = (
                b"MAIL FROM:<%b>%b\r\n" % (sender, options),
                b"RCPT TO:<%b>\r\n" % recipient,
                b"DATA\r\n",
            )
            ending = await session.deliver(
                commands, message, patience=self._settings.timeout, data_patience=self._settings.data_timeout
            )
            result = _result(ending)
            reusable = result.ok or await self._reset(session)
            return result
        finally:
            if reusable and session.fit and not self._closed:
                self._idle.append(session)
            else:
                session.close()

    async def _reset(self, session: Session) -> bool:
        """Ends an open transaction; says whether the session is fit for another."""
        try:
            return session.fit and (await session.ask(b"RSET", self._settings.timeout)).code == 250
        except Broken:
            return False


def _options(offered: Collection[str], message: bytes, needs_utf8: bool) -> list[bytes]:
    """What MAIL says about the message, each behind a space: RFC 1870, RFC 6152, RFC 6531."""
    options = []
    if "size" in offered:
        options.append(b" SIZE=%d" % len(message))
    if "8bitmime" in offered and not message.isascii():
        options.append(b" BODY=8BITMIME")
    if needs_utf8:
        options.append(b" SMTPUTF8")
    return options


def _wire(address: str) -> bytes:
    """The address as the wire takes it: the domain in ASCII (IDNA), the local part as it is."""
    if _UNSAFE.search(address):
        raise ValueError("the address holds a space, an angle bracket or a control character")
    local, at, domain = address.rpartition("@")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode()
    return (local + at + domain).encode()


def _verdict(code: int, text: str, stage: Stage, *, handed_over: bool = False) -> SmtpResult:
    """Judges a reply. What is neither a yes nor a no leaves it open whether a message was taken."""
    enhanced = _ENHANCED.search(text)
    detail = _plain(" ".join(_PREFIX.sub("", line) for line in text.splitlines()))
    ok = handed_over and code // 100 == 2
    if code in _LOGIN_NEEDED:
        stage = "auth"
    about_message = stage in ("mail", "rcpt", "data")
    return SmtpResult(
        ok=ok,
        stage=stage,
        temporary=not ok and (code // 100 != 5 or not about_message),
        ambiguous=handed_over and code // 100 not in (2, 4, 5),
        code=code if code > 0 else None,
        enhanced=enhanced[1] if enhanced else None,
        detail=detail,
    )


def _result(ending: Ending) -> SmtpResult:
    if ending.reply is not None:
        return _verdict(ending.reply.code, ending.reply.text, ending.step, handed_over=ending.handed_over)
    return SmtpResult(
        ok=False,
        stage=ending.step,
        temporary=True,
        ambiguous=ending.handed_over,
        detail=_plain(ending.trouble),
    )


def _not_greeted(settings: SmtpSettings) -> str:
    """A server that speaks TLS from the first byte waits for us to begin, as we wait for it."""
    hint = "" if settings.tls == "implicit" else "; if it is encrypted from the start, try smtps://"
    return f"no greeting from {settings.host} within {settings.timeout:g} s{hint}"


def _no_connection(trouble: Exception, stage: Stage) -> SmtpResult:
    """Why there is nothing to talk to."""
    if isinstance(trouble, aiosmtplib.SMTPResponseException):
        return _verdict(trouble.code, trouble.message, stage)
    return SmtpResult(ok=False, stage=stage, temporary=True, detail=_plain(str(trouble)))


def _plain(text: str) -> str:
    """One printable line; what is no character (bytes that were no UTF-8) becomes a question mark."""
    text = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return text[:MAX_DETAIL]


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_NO_UTF8 = SmtpResult(
    ok=False,
    stage="rcpt",
    code=553,
    enhanced="5.6.7",
    detail="the address needs SMTPUTF8 (RFC 6531), which the mail server does not offer",
)
