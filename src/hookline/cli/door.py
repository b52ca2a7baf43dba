"""Where publishers and readers come in: what comes by the thousand is answered here, everything else by uvicorn.

That is a plain ``POST /v1/events``, and a plain GET or HEAD of a pixel or a link of a mail. A connection begins here,
and stays here while all that it brings are such requests: HTTP/1.1, whole within ``LARGE`` bytes. At the first
that is anything else, the connection is uvicorn's from that request on, so that what is unusual, large, broken or
hostile meets one reader of HTTP alone. The way through its scopes, tasks and messages costs a request more than
storing the event does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, cast

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.server import ServerState

from hookline.cli.behind import Behind, is_odd, refusal

Fields = Sequence[tuple[bytes, bytes]]
Reply = Callable[[Fields, bytes, bytes], Awaitable[tuple[int, Fields, bytes]]]
"""Headers with names in lower case, a query and a body in; a status, headers and a body out."""


class Found(Protocol):
    """An answer to a reader, and what it may wait for."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Fields: ...
    @property
    def body(self) -> bytes: ...
    @property
    def told(self) -> asyncio.Future[None] | None: ...


class Visit(Protocol):
    """The answer to a method, a path, headers and a client's address, if it is an easy one."""

    def __call__(self, method: str, path: str, headers: Fields, client: str | None, /) -> Found | None: ...


class Waits(NamedTuple):
    """Seconds: how long a connection may be quiet, a request take to arrive, and a reader wait to be recorded."""

    idle: float = 60.0
    request: float = 15.0
    told: float = 0.2


class Quick(NamedTuple):
    """Who answers what is answered here."""

    publish: Reply
    visit: Visit | None = None


WAITS = Waits()
START = b"POST /v1/events HTTP/1.1\r\n"
LARGE = 64 * 1024
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_TOO_SLOW = refusal(HTTPStatus.REQUEST_TIMEOUT)
_VISIT = re.compile(rb"(GET|HEAD) (/t/[och]/[A-Za-z0-9_-]+) HTTP/1\.1\r\n")
# RFC 9112, section 5: no space before the colon, no folded lines; of the values what every reader takes alike.
# Nothing is gone back to (the second plus): a head full of spaces would take a minute.
_FIELD = rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[\t ]*+([\t\x20-\x7e\x80-\xff]*+)\r\n"
_HEAD = re.compile(b"(?:" + _FIELD.replace(b"(", b"(?:") + b")*+")
_FIELDS = re.compile(_FIELD)
# What changes where a request ends, or what is to follow it.
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"te", b"trailer", b"proxy-connection"})
# What is ignored: a connection goes on anyhow, and an offer of another protocol may be passed over (RFC 9110, 7.8).
_IDLE_WORDS = frozenset({b"keep-alive", b"upgrade", b"http2-settings"})


class Door(asyncio.Protocol):
    """One connection. ``config``, ``server_state`` and ``app_state`` are what uvicorn hands to its own protocols."""

    def __init__(
        self,
        quick: Quick,
        waits: Waits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._quick, self._waits = quick, waits
        self._config, self._state, self._app_state = config, server_state, app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._rest = b""
        self._busy = self._full = self._stopping = self._ended = False
        self._known: tuple[bytes, Fields, int | None] = (b"-", (), None)
        self._quiet: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._answered_at = 0.0

    # What the event loop and the server call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))
        self._answered_at = self._loop.time()
        self._quiet = self._loop.call_later(self._waits.idle, self._look)

    def data_received(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data
        if not self._busy:
            self._go_on()
        if len(self._rest) > LARGE and not self._transport.is_closing():  # until that is answered
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Nothing more will come: stay open for as long as there are whole requests to be answered."""
        self._ended = True
        return self._busy or (bool(self._rest) and self._slow is None)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if not self._busy:
            self._go_on()

    def connection_lost(self, _problem: Exception | None) -> None:
        self._state.connections.discard(cast("Any", self))
        self._forget_timers()

    def shutdown(self) -> None:
        """Close as soon as the request under way is answered."""
        self._stopping = True
        if not self._busy:
            self._transport.close()

    # One request after the other.

    def _go_on(self) -> None:
        """Answer the next request, if all of it is there."""
        rest = self._rest
        if not rest or self._busy or self._full or self._transport.is_closing():
            return
        end = rest.find(b"\r\n\r\n")
        if end < 0:
            # What could still become an ordinary request may take its time, within limits.
            if len(rest) > LARGE or not rest[:1].isupper() or is_odd(rest):
                self._hand_over()
            else:
                self._await_more()
        elif end > LARGE:
            self._hand_over()
        elif rest.startswith(START):
            self._publish(rest, end + 4)
        else:
            self._visit(rest, end + 4)

    def _visit(self, rest: bytes, end: int) -> None:
        line = _VISIT.match(rest)
        fields = self._read(rest[line.end() : end - 2]) if line else None
        found = None
        if line and fields is not None and self._known[2] is None and self._quick.visit is not None:
            found = self._quick.visit(line[1].decode(), line[2].decode(), fields, self._client(fields))
        if line is None or found is None:
            self._hand_over()
            return
        self._take(end)
        body = b"" if line[1] == b"HEAD" else found.body
        if found.told is None:
            self._write(found.status, found.headers, body)
        else:
            self._start(self._tell(found.told, found.status, found.headers, body))

    def _publish(self, rest: bytes, start: int) -> None:
        fields = self._read(rest[len(START) : start - 2])
        length = self._known[2]
        if fields is None or length is None or start + length > LARGE:
            self._hand_over()
        elif len(rest) < start + length:
            self._await_more()
        else:
            self._take(start + length)
            self._start(self._answer(fields, rest[start : start + length]))

    def _take(self, end: int) -> None:
        """The request that ends there is whole."""
        self._rest = self._rest[end:]
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        task = self._loop.create_task(work)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _read(self, head: bytes) -> Fields | None:
        """Take a head to pieces, and keep them: the next request's is mostly the same. None for an unusual one."""
        if head == self._known[0]:
            return self._known[1]
        if _HEAD.fullmatch(head) is None:
            return None
        fields = [(name.lower(), value.rstrip(b"\t ")) for name, value in _FIELDS.findall(head)]
        lengths = [value for name, value in fields if name == b"content-length"]
        hosts = sum(name == b"host" for name, _ in fields)
        if hosts != 1 or len(lengths) > 1 or not all(value.isdigit() and len(value) < 8 for value in lengths):
            return None
        for name, value in fields:
            if name in _UNUSUAL:
                return None
            if name == b"connection" and not _IDLE_WORDS.issuperset(
                value.lower().replace(b" ", b"").split(b",")
            ):
                return None
        self._known = head, fields, int(lengths[0]) if lengths else None
        return fields

    def _client(self, fields: Fields) -> str | None:
        """Whose request it is: as uvicorn says it, of one that came through a proxy that is trusted."""
        peer = self._transport.get_extra_info("peername")
        address = str(peer[0]) if peer else None
        forwarded = [value for name, value in fields if name == b"x-forwarded-for"]
        proxies = self._config.loaded_app
        if forwarded and isinstance(proxies, ProxyHeadersMiddleware) and address in proxies.trusted_hosts:
            told = b", ".join(forwarded).decode("latin-1")
            return proxies.trusted_hosts.get_trusted_client_address(told)[0] or address
        return address

    async def _tell(self, told: asyncio.Future[None], status: int, fields: Fields, body: bytes) -> None:
        await asyncio.wait({told}, timeout=self._waits.told)
        self._busy = False
        self._write(status, fields, body)

    async def _answer(self, fields: Fields, body: bytes) -> None:
        status, answer, content = await self._quick.publish(fields, b"", body)
        self._busy = False
        self._write(status, answer, content)

    def _write(self, status: int, fields: Fields, content: bytes) -> None:
        if self._transport.is_closing():
            return
        last = self._stopping or (self._ended and not self._rest)
        parts = [_STATUS[status]]
        for name, value in (*self._state.default_headers, *fields):
            parts += name, b": ", value, b"\r\n"
        if last:
            parts.append(b"connection: close\r\n")
        parts += b"\r\n", content
        self._transport.write(b"".join(parts))
        if last:
            self._transport.close()
            return
        if len(self._rest) <= LARGE:
            self._transport.resume_reading()
        self._answered_at = self._loop.time()
        if self._rest:
            self._loop.call_soon(self._go_on)  # many that came at once do not keep others waiting

    # What takes too long.

    def _await_more(self) -> None:
        if self._ended:
            self._transport.close()
        elif self._slow is None:
            self._slow = self._loop.call_later(self._waits.request, self._too_slow)

    def _too_slow(self) -> None:
        """A request has not come to its end in time (RFC 9110, 15.5.9)."""
        self._transport.write(_TOO_SLOW)
        self._transport.close()

    def _look(self) -> None:
        """Close a connection that has been quiet for long; one timer for all its requests."""
        left = self._answered_at + self._waits.idle - self._loop.time()
        if left > 0 or self._busy or self._slow is not None:
            self._quiet = self._loop.call_later(max(left, self._waits.idle / 4), self._look)
        elif self._full:  # nobody reads the answers
            self._transport.abort()
        else:
            self._transport.close()

    def _hand_over(self) -> None:
        """From what is here and unread on, the connection is uvicorn's."""
        self._state.connections.discard(cast("Any", self))
        self._forget_timers()
        self._transport.resume_reading()
        behind = Behind(self._waits.request, self._config, self._state, self._app_state, self._loop)
        self._transport.set_protocol(behind)
        behind.connection_made(self._transport)
        behind.data_received(self._rest)
        self._rest = b""

    def _forget_timers(self) -> None:
        for timer in (self._quiet, self._slow):
            if timer is not None:
                timer.cancel()
        self._quiet = self._slow = None
