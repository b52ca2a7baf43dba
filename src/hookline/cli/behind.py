"""What is behind the door: uvicorn's reader of HTTP, with bounds for a head, and deaf to offers of other protocols."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD = 64 * 1024
"""Bytes that a request's head may have."""
# An offer to speak another protocol may be ignored (RFC 9110, 7.8). The parser would leave the body to that one.
_OFFER = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)


def is_odd(start: bytes) -> bool:
    """Whether a request's first line ends as no ordinary one does: there is nothing to wait for then."""
    end = start.find(b"\n")
    return end >= 0 and start[end - 1 : end] != b"\r"


def refusal(status: HTTPStatus) -> bytes:
    """The last words to a client whose request is not read to its end."""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
    )


class Behind(HttpToolsProtocol):
    """One connection. A head has ``seconds`` to arrive."""

    def __init__(
        self, seconds: float, config: Config, state: ServerState, app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        super().__init__(config, state, app_state, loop)
        self._seconds = seconds
        self._start = b""  # of a request of which nothing was read yet
        self._begun = self._in_head = False
        self._size = 0
        self._slow: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._start += data
            end = self._start.find(b"\r\n\r\n")
            if (len(self._start) if end < 0 else end) > HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            if end < 0 and self._start[:1].isupper() and not is_odd(self._start):
                self._unset_keepalive_if_required()
                self._await_more()
                return
            whole, self._start = self._start, b""
            data = _OFFER.sub(b"", whole[: end + 2]) + whole[end + 2 :] if end > 0 else whole
        known = self._in_head
        super().data_received(data)
        if not self._in_head:
            self._forget_timer()
            return
        self._size += len(data) if known else 0
        if self._size > HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._await_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._begun = self._in_head = True
        self._size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            raise ValueError("a request names its host once")  # which the parser makes a 400 of
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._begun = False
        super().on_message_complete()

    def _await_more(self) -> None:
        if self._slow is None:
            self._slow = self.loop.call_later(self._seconds, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _forget_timer(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _refuse(self, status: HTTPStatus) -> None:
        if not self.transport.is_closing():
            self.transport.write(refusal(status))
            self.transport.close()
