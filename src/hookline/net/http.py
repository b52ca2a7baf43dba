"""The only HTTP client: one request to a checked address, one answer, whatever the network does.

What it promises, and a leaner engine behind the same two structs would have to:

- The host is resolved here, every address is judged by ``Targets``, and a connection is opened to an
  address that was judged, with the URL's own Host and SNI. There is no second look-up to be lied to
  (DNS rebinding). A kept-alive connection leads where it led when it was checked.
- Redirects are answers. No cookies, no proxies from the environment, no decompression.
- The status decides: a body that is long, slow or broken is cut off and costs its connection only.
- A request goes out once. When a kept-alive connection turns out closed, GET and other idempotent
  requests are repeated by aiohttp; a POST is not, because the receiver may have acted on it (RFC 9110
  9.2.2): it is reported as ``reset``, and the delivery's schedule repeats it. Idle connections are
  given up after ``KEEP_ALIVE`` seconds, before the common servers do, so that this stays rare.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import io
import ipaddress
import os
import re
import select
import socket
import ssl
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from msgspec import Struct
from yarl import URL

from hookline.model import AttemptError
from hookline.net.dns import Dns, Resolver
from hookline.net.targets import TargetRefused, Targets

Headers = tuple[tuple[str, str], ...]

KEEP_BODY = 16 * 1024
"""Bytes of an answer's body that are kept."""
READ_BODY = 64 * 1024
"""Bytes that are read in the hope of using the connection again; beyond them it is closed."""
BODY_SECONDS = 2.0
"""How long a body may take once the status is known, within the request's own limit."""
LARGE = 1024 * 1024
KEEP_HEADERS = 16 * 1024
KEEP_ALIVE = 4.0
"""Node, uvicorn and Apache close idle connections after 5 seconds."""
DNS_SECONDS = 10
"""How long checked addresses of a name are used for new connections."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_OURS = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection",
        "te", "trailer", "upgrade", "expect",
    }
)  # fmt: skip


class Request(Struct, frozen=True, kw_only=True):
    """One request. Times are seconds: ``timeout`` for the answer's head to be complete, from the call on;
    ``connect_timeout`` for DNS, TCP and TLS; ``first_byte_timeout`` for silence once the request is sent
    (None: as long as ``timeout`` lasts). Headers are sent as given, beside Host and Content-Length."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    timeout: float = 15.0
    connect_timeout: float = 5.0
    first_byte_timeout: float | None = None


class Response(Struct, frozen=True, kw_only=True):
    """What came of a request: a ``status``, or an ``error`` of the closed list with its ``detail`` in words.

    ``body`` is at most ``KEEP_BODY`` bytes as received (not decompressed); ``truncated`` says that there was
    or may have been more. ``connect_ms`` is 0 where a kept-alive connection served or none came about.
    """

    status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    truncated: bool = False
    error: AttemptError | None = None
    detail: str = ""
    address: str | None = None
    connect_ms: float = 0.0
    total_ms: float = 0.0


class HttpClient:
    """Sends requests to allowed targets. ``resolver`` replaces the system's;
    ``max_connections`` are open at once, those above wait within their ``connect_timeout``; ``tls`` replaces
    the system's certificate authorities."""

    def __init__(
        self,
        targets: Targets,
        *,
        resolver: Resolver | None = None,
        max_connections: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._targets = targets
        self._resolver = _CheckedResolver(Dns(targets, resolver))
        self._max_connections = max_connections
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def check(self, url: str) -> None:
        """Raises ``TargetRefused`` for a URL that no request would ever be sent to. Asks no DNS."""
        self._targets.check_url(url)

    async def send(self, request: Request) -> Response:
        """Sends it once. What the network does is in the answer; only cancellation passes."""
        started = time.monotonic()
        try:
            url = self._targets.check_url(request.url)
        except TargetRefused as refused:
            return Response(error="blocked_address", detail=str(refused))
        if (complaint := _complaint(request)) is not None:
            return Response(error="protocol", detail=complaint)
        trace = _Trace()
        until = asyncio.get_running_loop().time() + request.timeout
        try:
            async with asyncio.timeout_at(until):
                answer = await self._open(request, URL(str(url), encoded=True), trace)
        except TargetRefused as refused:
            error: AttemptError = "blocked_address"
            detail = str(refused)
        except TimeoutError as late:
            error, detail = _lateness(late, request, trace)
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            error, detail = _explain(trouble)
        else:
            body, truncated = await _read(answer, until)
            return Response(
                status=answer.status,
                headers=_headers(answer.raw_headers),
                body=body,
                truncated=truncated,
                address=answer.address,
                connect_ms=trace.connect_ms,
                total_ms=_since(started),
            )
        return Response(error=error, detail=detail, connect_ms=trace.connect_ms, total_ms=_since(started))

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _open(self, request: Request, url: URL, trace: _Trace) -> _Answer:
        """Sends the request and waits for the head of its answer."""
        if self._session is None:
            self._session = self._start()
        answer = await self._session.request(
            request.method,
            url,
            headers=request.headers,
            # aiohttp wants large bodies as files, which it sends piece by piece.
            data=io.BytesIO(request.body) if len(request.body) > LARGE else request.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=request.connect_timeout, sock_read=request.first_byte_timeout
            ),
            trace_request_ctx=trace,
        )
        return cast(_Answer, answer)

    def _start(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            ttl_dns_cache=DNS_SECONDS,
            socket_factory=self._socket,
            ssl=self._tls or True,
            limit=self._max_connections,
            keepalive_timeout=KEEP_ALIVE,
        )
        handler: type[ResponseHandler] = _HeadFirst
        connector._factory = functools.partial(handler, loop=asyncio.get_running_loop())
        return aiohttp.ClientSession(
            connector=connector,
            response_class=_Answer,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            trace_configs=[_tracing()],
        )

    def _socket(self, info: Any) -> socket.socket:
        """Every connection begins here, so no way around the resolver leads past the rules."""
        family, kind, proto, _, (host, port, *_) = info
        self._targets.check_address(ipaddress.ip_address(host), port)
        return socket.socket(family, kind, proto)


class _CheckedResolver(AbstractResolver):
    """Shows aiohttp just the addresses that may be reached."""

    def __init__(self, dns: Dns) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=0)
            for address in await self._dns.lookup(host, port)
        ]

    async def close(self) -> None:
        await self._dns.close()


class _HeadFirst(ResponseHandler):
    """One connection, stricter than aiohttp's own in two ways.

    The head of an answer is parsed before what follows in the same packet: a parser that meets broken
    bytes drops the complete head before them, but for a webhook the status has been said by then.
    And a connection with something to read while it is idle is not used again: either its server has
    closed it, or it speaks out of turn.
    """

    _body: StreamReader | None = None

    def set_response_params(self, **params: Any) -> None:
        self._body = None
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if data[0].code >= 200:
            self._body = data[1]
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        for _ in range(8):  # interim answers (1xx) have heads, too; a flood of them is taken as it comes
            end = data.find(b"\r\n\r\n") + 4
            if self._body is not None or end < 4:
                break
            super().data_received(data[:end])
            data = data[end:]
            if not data or self.exception() is not None:
                return
        super().data_received(data)
        if self._body is not None and not self._body.is_eof() and self.exception() is not None:
            self._body.set_exception(aiohttp.ClientPayloadError("broken body"))

    def is_connected(self) -> bool:
        if self.transport is None or self.transport.is_closing():
            return False
        idle = select.poll()
        idle.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not idle.poll(0)


class _Answer(aiohttp.ClientResponse):
    """Remembers where it came from: its connection is gone by the time anyone asks."""

    address: str | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        if connection.transport is not None and (peer := connection.transport.get_extra_info("peername")):
            self.address = peer[0]
        return await super().start(connection)


class _Trace(Struct):
    """When the connection in the making was begun, and how long the one that was made took."""

    connecting: float | None = None
    connect_ms: float = 0.0


def _tracing() -> aiohttp.TraceConfig:
    async def begin(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.connecting = time.monotonic()

    async def end(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        trace = context.trace_request_ctx
        trace.connecting, trace.connect_ms = None, _since(trace.connecting)

    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(begin)
    config.on_connection_create_end.append(end)
    return config


async def _read(answer: _Answer, until: float) -> tuple[bytes, bool]:
    """The first bytes of the body, and whether there was more. Never fails; closes what is not at its end
    (at the end, the connection has been handed back already)."""
    body = bytearray()
    read = 0
    ended = False
    try:
        async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + BODY_SECONDS)):
            while read <= READ_BODY:
                chunk = await answer.content.readany()
                if not chunk:
                    ended = True
                    break
                read += len(chunk)
                body += chunk[: KEEP_BODY - len(body)]
    except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        pass
    finally:
        answer.close()
    return bytes(body), not ended or read > len(body)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    kept: list[tuple[str, str]] = []
    room = KEEP_HEADERS
    for name, value in raw:
        room -= len(name) + len(value)
        if room < 0:
            break
        kept.append((name.decode("latin-1"), value.decode("latin-1")))
    return tuple(kept)


def _complaint(request: Request) -> str | None:
    """What makes a request unfit to be written to the wire (RFC 9110 5, RFC 9112 3)."""
    if not _NAME.fullmatch(request.method):
        return "the method is no HTTP token"
    for name, value in request.headers:
        if not _NAME.fullmatch(name):
            return f"{name!r} is no header name"
        if name.lower() in _OURS:
            return f"the header {name} is the client's own"
        if _UNSENDABLE.search(value):
            return f"the header {name} holds a line break or another control character"
    return None


def _lateness(late: TimeoutError, request: Request, trace: _Trace) -> tuple[AttemptError, str]:
    if isinstance(late, aiohttp.ConnectionTimeoutError):
        return "timeout_connect", f"no connection within {request.connect_timeout:g} s"
    if isinstance(late, aiohttp.SocketTimeoutError):
        return "timeout_read", f"connected, but nothing came for {request.first_byte_timeout:g} s"
    if trace.connecting is not None:
        return "timeout_connect", f"no connection within {request.timeout:g} s"
    return "timeout_total", f"no complete answer within {request.timeout:g} s"


def _explain(trouble: Exception) -> tuple[AttemptError, str]:
    """The word of the closed list for what went wrong, and a line for people."""
    if isinstance(trouble, aiohttp.ClientConnectorDNSError):
        return "dns", f"the host could not be resolved: {trouble.os_error.strerror or trouble.os_error}"
    if isinstance(trouble, aiohttp.ClientConnectorCertificateError):
        return "tls", f"the certificate was not accepted: {trouble.certificate_error}"
    if isinstance(trouble, aiohttp.ClientSSLError):
        return "tls", f"TLS failed: {trouble.os_error}"
    if isinstance(trouble, aiohttp.ClientConnectorError):
        number = trouble.os_error.errno
        if number == errno.ETIMEDOUT:
            return "timeout_connect", "the network gave up connecting"
        if number in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
            return "reset", "the connection was closed while it was being set up"
        return "refused", f"no connection: {os.strerror(number) if number else trouble.os_error}"
    if isinstance(trouble, aiohttp.ClientResponseError):
        return "protocol", f"the answer is no HTTP: {' '.join(trouble.message.split())[:200]}"
    if isinstance(trouble, aiohttp.ClientConnectionError | ConnectionError):
        return "reset", "the connection was closed before an answer came"
    return "protocol", f"the exchange failed: {' '.join(str(trouble).split())[:200]}"


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.monotonic() - started) * 1000
