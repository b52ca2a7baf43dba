"""Reading an answer from its bytes: whether it is HTTP/1, where it ends, and what of it is kept.

The grammar is httptools' business (llhttp, in its strict mode but for lines of the head that end with a bare LF:
RFC 9112, 2.2); here are the bounds. Nothing here knows of a network or of time, so what is true of one cut of the
bytes into packets is true of all.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

Headers = tuple[tuple[str, str], ...]

KEEP_BODY = 16 * 1024
"""Bytes of an answer's body that are kept."""
READ_BODY = 64 * 1024
"""Bytes that are read in the hope of using the connection again; beyond them it is closed."""
KEEP_HEADERS = 16 * 1024
HEAD = 64 * 1024
"""Bytes that an answer's head may have, interim answers (1xx) before it included."""
HEADER_COST = 32
"""Counted for each header beside its name and value, as HTTP/2 does (RFC 9113, 6.5.2)."""
FRAMING = 2 * (HEAD + READ_BODY)
"""Bytes of an answer in all, with chunk sizes, extensions and trailers."""
MAGIC = b"HTTP/1."


class NotHttp(Exception):
    """What came is no answer; the text says why."""


class AnswerReader:
    """Reads the answers that come on one connection: ``begin``, then ``feed`` until it says that this was all.

    ``status`` is 0 until the head is complete. ``whole`` says that the body came to its proper end, and
    ``keep_alive`` that another answer may follow it.
    """

    __slots__ = (
        "_body",
        "_fed",
        "_headers",
        "_parser",
        "_read",
        "_room",
        "_start",
        "keep_alive",
        "status",
        "whole",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self.begin()

    def begin(self) -> None:
        self.status = 0
        self.whole = False
        self.keep_alive = False
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._start = b""
        self._fed = 0
        self._read = 0
        self._room = HEAD

    @property
    def headers(self) -> Headers:
        """As received, up to ``KEEP_HEADERS``."""
        return tuple(self._headers)

    @property
    def body(self) -> bytes:
        """The first ``KEEP_BODY`` bytes, as received."""
        return bytes(self._body)

    @property
    def truncated(self) -> bool:
        """There was more of the body than is kept, or may have been."""
        return not self.whole or self._read > len(self._body)

    def feed(self, data: bytes) -> bool:
        """Whether the answer is over: complete, or cut off where it breaks the rules after its status.

        Raises ``NotHttp`` when it breaks them before."""
        fed = self._fed
        self._fed = fed + len(data)
        try:
            if fed < len(MAGIC):
                self._check_start(data)
            self._parser.feed_data(data)
            if self._fed > HEAD and (not self.status or self._fed > FRAMING):
                raise HttpParserError("it is too long")
        except (HttpParserError, HttpParserUpgrade) as problem:
            if not self.status:
                raise NotHttp(str(problem.__context__ or problem)) from None
            self.keep_alive = False
            return True
        return self.whole

    def end(self) -> None:
        """The server has closed its side: that is where a body without a length ends (RFC 9112, 6.3)."""
        self.whole = self.whole or not any(
            name.lower() in ("content-length", "transfer-encoding") for name, _ in self._headers
        )

    def _check_start(self, data: bytes) -> None:
        """llhttp would take RTSP, ICE, HTTP/0.9 and HTTP/2.0, too."""
        self._start = (self._start + data)[: len(MAGIC)]
        if not MAGIC.startswith(self._start):
            raise HttpParserError("it does not begin with HTTP/1")

    # What follows is called by the parser, which reports what they raise as its own error.

    def on_message_begin(self) -> None:
        if self.whole:
            raise HttpParserError("more follows the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer
        self._room -= len(name) + len(value) + HEADER_COST
        if self._room < 0:
            raise HttpParserError("its headers are too long")
        if self._room >= HEAD - KEEP_HEADERS:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100:
            raise HttpParserError("its status is below 100")
        if status >= 200 or status == 101:
            self.status = status
        else:
            self._headers.clear()

    def on_body(self, data: bytes) -> None:
        if self.status:
            self._read += len(data)
            self._body += data[: KEEP_BODY - len(self._body)]
            if self._read > READ_BODY:
                raise HttpParserError("its body is too long")

    def on_message_complete(self) -> None:
        if self.status:
            self.whole = True
            self.keep_alive = self._parser.should_keep_alive()
