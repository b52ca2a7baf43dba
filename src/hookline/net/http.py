"""The only HTTP client: one request to a checked address, one answer, whatever the network does.

What it promises:

- The host is resolved here, every address is judged by ``Targets``, and a connection is opened to an
  address that was judged, with the URL's own Host and SNI. There is no second look-up to be lied to
  (DNS rebinding). A kept-alive connection serves a host only while it leads where that host leads.
- Redirects are answers. No cookies, no proxies from the environment, no decompression.
- The status decides: a body that is long, slow or broken is cut off and costs its connection only.
- A request goes out once. When a kept-alive connection turns out closed, nobody knows what the receiver
  has done (RFC 9110 9.2.2): it is reported as ``reset``, and the delivery's schedule repeats it. Idle
  connections are given up after ``KEEP_ALIVE`` seconds, before the common servers do, so that this stays
  rare.

It is our own because delivering is what this project is for: the parser is httptools', the rest is
``wire`` (one connection), ``pool`` (which connection) and ``answers`` (what counts as an answer).
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import ssl
import time

from cryptography.x509 import load_pem_x509_certificates
from msgspec import Struct

from hookline.model import AttemptError
from hookline.net.answers import KEEP_BODY, KEEP_HEADERS, READ_BODY, Headers
from hookline.net.dns import Dns, Resolver
from hookline.net.pool import KEEP_ALIVE, Pool
from hookline.net.targets import Address, TargetRefused, Targets
from hookline.net.wire import Connection, Failure

__all__ = [
    "KEEP_ALIVE",
    "KEEP_BODY",
    "KEEP_HEADERS",
    "READ_BODY",
    "HttpClient",
    "Request",
    "Response",
    "check_ca",
]

LARGE = 64 * 1024
"""Bytes from which on a body is not copied behind its head."""
REMEMBERED_URLS = 4096
REMEMBERED_FORMS = 1024
REMEMBERED_CAS = 64

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_OURS = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection",
        "te", "trailer", "upgrade", "expect",
    }
)  # fmt: skip
_NO_BODY_MEANT = frozenset({"GET", "OPTIONS", "TRACE"})

_Key = tuple[tuple[str, str, int], str | None]
"""Scheme, host and port, and the certificates that vouch for them."""


class Request(Struct, frozen=True, kw_only=True):
    """One request. Times are seconds: ``timeout`` for the answer's head to be complete, from the moment when there
    is a place for it;
    ``connect_timeout`` for DNS, TCP and TLS; ``first_byte_timeout`` for silence once the request is sent
    (None: as long as ``timeout`` lasts). Headers are sent as given, beside Host and Content-Length.
    ``ca`` are certificates in PEM form that are trusted instead of the client's own. HEAD is not spoken."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    timeout: float = 15.0
    connect_timeout: float = 5.0
    first_byte_timeout: float | None = None
    ca: str | None = None


class Response(Struct, frozen=True, kw_only=True):
    """What came of a request: a ``status``, or an ``error`` of the closed list with its ``detail`` in words.

    ``body`` is at most ``KEEP_BODY`` bytes as received (not decompressed); ``truncated`` says that there was
    or may have been more. ``connect_ms`` is what TCP and TLS took, 0 where a kept-alive connection served or
    none came about.
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


class _Aim(Struct, frozen=True):
    """What is to be known of a URL: whom to connect to and how to name it in the request."""

    origin: tuple[str, str, int]
    addresses: tuple[Address, ...]
    target: str
    authority: str


class HttpClient:
    """Sends requests to allowed targets. ``resolver`` replaces the system's;
    ``max_connections`` are in use at once, those above wait, which takes nothing of their time; ``tls`` replaces
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
        self._dns = Dns(targets, resolver)
        self._pool = Pool(max_connections)
        self._tls = tls
        self._aim = functools.lru_cache(REMEMBERED_URLS)(functools.partial(_aim, targets))
        self._form = functools.lru_cache(REMEMBERED_FORMS)(_form)
        self._trust = functools.lru_cache(REMEMBERED_CAS)(_trust)

    def check(self, url: str) -> None:
        """Raises ``TargetRefused`` for a URL that no request would ever be sent to. Asks no DNS."""
        self._targets.check_url(url)

    async def vet(self, url: str) -> None:
        """The same, and asks DNS where the host leads (see ``Dns.vet``)."""
        checked = self._targets.check_url(url)
        if checked.literal is None:
            await self._dns.vet(checked.host, checked.port)

    async def send(self, request: Request) -> Response:
        """Sends it once. What the network does is in the answer; only cancellation passes."""
        started = time.monotonic()
        try:
            aim = self._aim(request.url)
            wire = self._wire(request, aim)
            connection = self._rested(request, aim)
            if connection is None:
                await self._pool.turn()  # that others have all the places is no fault of the receiver
                started = time.monotonic()
                connection = await self._connect(request, aim)
        except (TargetRefused, OSError, ValueError) as trouble:
            failure = _explain(trouble, request)
            return Response(error=failure.error, detail=failure.detail, total_ms=_since(started))
        connect_ms, connection.connect_ms = connection.connect_ms, 0.0
        try:
            left = request.timeout - (time.monotonic() - started)
            until = asyncio.get_running_loop().time() + left
            problem = await connection.ask(wire, until, request.first_byte_timeout)
            if problem is not None:
                return Response(
                    error=problem.error,
                    detail=problem.detail,
                    address=connection.address_text,
                    connect_ms=connect_ms,
                    total_ms=_since(started),
                )
            answer = connection.answer
            return Response(
                status=answer.status,
                headers=answer.headers,
                body=answer.body,
                truncated=answer.truncated,
                address=connection.address_text,
                connect_ms=connect_ms,
                total_ms=_since(started),
            )
        finally:
            self._pool.give_back(connection)

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()
        await self._dns.close()

    def _rested(self, request: Request, aim: _Aim) -> Connection | None:
        """A kept-alive connection, while its address is one of those that the host has."""
        _, host, port = aim.origin
        addresses = aim.addresses or self._dns.known(host, port)
        return self._pool.take((aim.origin, request.ca), addresses) if addresses else None

    async def _connect(self, request: Request, aim: _Aim) -> Connection:
        """A connection to a checked address, within the time for it, where there is a place for one; a place that
        comes to nothing is passed on."""
        key = (aim.origin, request.ca)
        _, host, port = aim.origin
        try:
            async with asyncio.timeout(min(request.connect_timeout, request.timeout)):
                try:
                    addresses = aim.addresses or self._dns.known(host, port)
                    addresses = addresses or await self._dns.lookup(host, port)
                except (OSError, ValueError) as trouble:
                    raise _Unresolved(getattr(trouble, "strerror", None) or str(trouble)) from None
                return await self._pool.open(key, addresses, functools.partial(self._dial, key))
        except BaseException:
            self._pool.pass_on()
            raise

    async def _dial(self, key: _Key, address: Address, among: set[Connection]) -> Connection:
        """Every connection begins here, so no way around the resolver leads past the rules."""
        (scheme, host, port), ca = key
        self._targets.check_address(address, port)
        tls = None
        if scheme == "https":
            tls = self._tls if self._tls is not None and ca is None else self._trust(ca)
        began = time.monotonic()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(key, address, among),
            str(address),
            port,
            ssl=tls,
            server_hostname=host if tls else None,
        )
        connection.connect_ms = _since(began)
        return connection

    def _wire(self, request: Request, aim: _Aim) -> list[bytes]:
        """The request's bytes. ``ValueError`` for what is unfit for them."""
        body = request.body
        names = tuple([name for name, _ in request.headers])
        values = [value for _, value in request.headers]
        form = self._form(request.method, names, bool(body))
        if not "".join(values).isprintable():
            _refuse_controls(request.headers)
        head = (form % (aim.target, aim.authority, *values, len(body))).encode()
        return [head + body] if len(body) < LARGE else [head, body]


class _Unresolved(OSError):
    """The host has no address; the text says why."""


def _aim(targets: Targets, text: str) -> _Aim:
    url = targets.check_url(text)
    host = f"[{url.host}]" if ":" in url.host else url.host
    usual = url.port == (443 if url.scheme == "https" else 80)
    return _Aim(
        origin=(url.scheme, url.host, url.port),
        addresses=() if url.literal is None else (url.literal,),
        target=url.target,
        authority=host if usual else f"{host}:{url.port}",
    )


def _form(method: str, names: tuple[str, ...], has_body: bool) -> str:
    """The head of a request, to be filled in with target, authority, values and length (RFC 9112 3, 6.2)."""
    if not _NAME.fullmatch(method):
        raise ValueError("the method is no HTTP token")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no header name")
        if name.lower() in _OURS:
            raise ValueError(f"the header {name} is the client's own")
    # A GET without a body has no length to tell, so the number is filled into nothing.
    length = "Content-Length: %d\r\n" if has_body or method not in _NO_BODY_MEANT else "%.0s"
    start, *lines = [text.replace("%", "%%") for text in (method, *names)]
    return "".join(
        [f"{start} %s HTTP/1.1\r\nHost: %s\r\n", *[f"{line}: %s\r\n" for line in lines], length, "\r\n"]
    )


def _refuse_controls(headers: Headers) -> None:
    for name, value in headers:
        if _UNSENDABLE.search(value):
            raise ValueError(f"the header {name} holds a line break or another control character")


def check_ca(ca: str) -> None:
    """ValueError, in words for users, unless this text is certificates in PEM form (RFC 7468), one or more."""
    try:
        if not load_pem_x509_certificates(ca.encode()):
            raise ValueError("there is none")
        _trust(ca)
    except (ValueError, ssl.SSLError):
        raise ValueError(
            "these are no certificates in PEM form: -----BEGIN CERTIFICATE----- and so on, one or more"
        ) from None


def _trust(ca: str | None) -> ssl.SSLContext:
    """Verifies by the given authorities only, or by the system's."""
    context = ssl.create_default_context(cadata=ca)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _explain(trouble: Exception, request: Request) -> Failure:
    """The word of the closed list for what went wrong before the request was sent, and a line for people."""
    match trouble:
        case TargetRefused():
            return Failure("blocked_address", str(trouble))
        case _Unresolved():
            return Failure("dns", f"the host could not be resolved: {trouble}")
        case ssl.SSLCertVerificationError():
            return Failure("tls", f"the certificate was not accepted: {trouble.verify_message}")
        case ssl.SSLError():
            return Failure("tls", f"TLS failed: {trouble}")
        case TimeoutError():
            if trouble.errno is not None:
                return Failure("timeout_connect", "the network gave up connecting")
            limit = min(request.connect_timeout, request.timeout)
            return Failure("timeout_connect", f"no connection within {limit:g} s")
        case ConnectionRefusedError():
            return Failure("refused", "no connection: the receiver's port refused it")
        case ConnectionError():
            return Failure("reset", "the connection was closed while it was being set up")
        case OSError():
            return Failure(
                "refused", f"no connection: {os.strerror(trouble.errno) if trouble.errno else trouble}"
            )
        case _:
            return Failure("protocol", str(trouble)[:200])


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.monotonic() - started) * 1000
