"""Where publishers come in: a plain ``POST /v1/events`` is answered here, everything else by uvicorn.

A connection begins here, and stays here while all that it brings are such requests: HTTP/1.1, with a length, whole
within ``LARGE`` bytes. At the first that is anything else, the connection is uvicorn's from that request on, so that
what is unusual, large, broken or hostile meets one reader of HTTP alone. The way through its scopes, tasks and
messages costs a request more than storing the event does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

Fields = Sequence[tuple[bytes, bytes]]
Reply = Callable[[Fields, bytes, bytes], Awaitable[tuple[int, Fields, bytes]]]
"""Headers with names in lower case, a query and a body in; a status, headers and a body out."""

START = b"POST /v1/events HTTP/1.1\r\n"
LARGE = 64 * 1024
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
# RFC 9112, section 5: no space before the colon, no folded lines; of the values what every reader takes alike.
_FIELD = rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)\r\n"
_HEAD = re.compile(b"(?:" + _FIELD.replace(b"(", b"(?:") + b")*")
_FIELDS = re.compile(_FIELD)
# What changes where a request ends, or what is to follow it.
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"proxy-connection"})


class Door(asyncio.Protocol):
    """One connection. ``config``, ``server_state`` and ``app_state`` are what uvicorn hands to its own protocols."""

    def __init__(
        self,
        reply: Reply,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._reply = reply
        self._config, self._state, self._app_state = config, server_state, app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._rest = b""
        self._busy = self._full = self._stopping = False
        self._known: tuple[bytes, Fields, int] = (b"", (), 0)
        self._timer: asyncio.TimerHandle | None = None
        self._answered_at = 0.0

    # What the event loop and the server call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))

    def data_received(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data
        if not self._busy:
            self._go_on()
        elif len(self._rest) > LARGE:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if not self._busy:
            self._go_on()

    def connection_lost(self, _problem: Exception | None) -> None:
        self._state.connections.discard(cast("Any", self))
        self._forget_timer()

    def shutdown(self) -> None:
        """Close as soon as the request under way is answered."""
        self._stopping = True
        if not self._busy:
            self._transport.close()

    # One request after the other.

    def _go_on(self) -> None:
        """Answer the next request, if all of it is there."""
        rest = self._rest
        if not rest or self._full or self._transport.is_closing():
            return
        end = rest.find(b"\r\n\r\n")
        if not rest.startswith(START[: len(rest)]):
            self._hand_over()
        elif end >= 0:
            head = rest[len(START) : end + 2]
            if head != self._known[0] and not self._read(head):
                self._hand_over()
                return
            _, fields, length = self._known
            if end + 4 + length > LARGE:
                self._hand_over()
            elif len(rest) >= end + 4 + length:
                self._rest = rest[end + 4 + length :]
                self._busy = True
                task = self._loop.create_task(self._answer(fields, rest[end + 4 : end + 4 + length]))
                self._state.tasks.add(task)
                task.add_done_callback(self._state.tasks.discard)
        elif len(rest) > LARGE:
            self._hand_over()

    def _read(self, head: bytes) -> bool:
        """Take a head to pieces, and keep them: the next request's is mostly the same. False for an unusual one."""
        if _HEAD.fullmatch(head) is None:
            return False
        fields = [(name.lower(), value.rstrip(b"\t ")) for name, value in _FIELDS.findall(head)]
        lengths = [value for name, value in fields if name == b"content-length"]
        if len(lengths) != 1 or not (lengths[0].isdigit() and len(lengths[0]) < 8):
            return False
        for name, value in fields:
            if name in _UNUSUAL or (name == b"connection" and value.lower() != b"keep-alive"):
                return False
        self._known = head, fields, int(lengths[0])
        return True

    async def _answer(self, fields: Fields, body: bytes) -> None:
        status, answer, content = await self._reply(fields, b"", body)
        self._busy = False
        if self._transport.is_closing():
            return
        parts = [_STATUS[status]]
        for name, value in (*self._state.default_headers, *answer):
            parts += name, b": ", value, b"\r\n"
        if self._stopping:
            parts.append(b"connection: close\r\n")
        parts += b"\r\n", content
        self._transport.write(b"".join(parts))
        if self._stopping:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._answered_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._config.timeout_keep_alive, self._look)
        self._go_on()

    def _look(self) -> None:
        """Close a connection that has been quiet for long; one timer for all its requests."""
        self._timer = None
        quiet = self._loop.time() - self._answered_at
        if not self._busy and not self._rest and quiet >= self._config.timeout_keep_alive:
            self._transport.close()
        else:
            again = max(self._config.timeout_keep_alive - quiet, 0.1)
            self._timer = self._loop.call_later(again, self._look)

    def _hand_over(self) -> None:
        """From what is here and unread on, the connection is uvicorn's."""
        self._state.connections.discard(cast("Any", self))
        self._forget_timer()
        self._transport.resume_reading()
        behind = HttpToolsProtocol(self._config, self._state, self._app_state, self._loop)
        self._transport.set_protocol(behind)
        behind.connection_made(self._transport)
        behind.data_received(self._rest)
        self._rest = b""

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
