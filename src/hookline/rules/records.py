"""Files of records, read piece by piece: CSV (RFC 4180, and what programs really write) and lines of JSON.

Bytes go in, records come out, each with the number of its first line. Whatever comes in, memory and time
are bounded: a record has at most ``MAX_RECORD`` bytes, and after one that is broken the reader goes on at the
line after the one where it began, so that a quote that nobody closed costs that line and not the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

MAX_RECORD = 256 * 1024  # bytes
# Pieces are put together up to this size, so that many small ones are not looked at again and again.
BLOCK = 64 * 1024
DELIMITERS = (b",", b";", b"\t")
Format = Literal["csv", "ndjson"]


class Record(Struct, frozen=True):
    """``fields`` as they stand in the file (one, the whole line, of JSON), or ``fault``, which says what is broken."""

    line: int
    fields: list[bytes]
    fault: str | None = None


class OtherFile(ValueError):
    """What was read before is not the beginning of this file."""


class Reader:
    """Reads one file. ``position`` bytes and ``line`` lines are behind the last record that came out.

    ``delimiter`` is found out from the first line where it is ``None``; for JSON it means nothing. Set
    ``width`` to the number of columns once it is known: a record over several lines that has another is a
    broken quote.
    """

    def __init__(self, format: Format, delimiter: bytes | None = None) -> None:
        self.width: int | None = None
        self.delimiter = delimiter
        self.position = 0
        self.line = 0
        self._csv = format == "csv"
        self._hash = blake2b(digest_size=16)
        self._pending: list[bytes] = []
        self._size = 0
        self._buffer = b""
        self._at = 0
        self._newline: bytes | None = None
        self._dropping = False  # within a line that is too long
        self._skip = 0
        self._expected: tuple[int, bytes] | None = None

    @property
    def digest(self) -> bytes:
        """16 bytes of BLAKE2b of what is behind ``position``."""
        return self._hash.copy().digest()

    def resume(self, position: int, line: int, digest: bytes) -> None:
        """Pass over what was read before; ``OtherFile`` comes out later when this is another file.

        The first line of a CSV file is read all the same, before this is called.
        """
        self._skip, self._expected = position - self.position, (line, digest)

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that are complete with this."""
        self._pending.append(data)
        self._size += len(data)
        if self._size >= BLOCK:
            yield from self._read(last=False)

    def finish(self) -> Iterator[Record]:
        """The records that are left at the file's end."""
        yield from self._read(last=True)
        if self._skip:
            raise OtherFile("the file is shorter than what was read of it before")

    def _read(self, *, last: bool) -> Iterator[Record]:
        self._buffer = self._buffer[self._at :] + b"".join(self._pending)
        self._at = self._size = 0
        self._pending.clear()
        if self._newline is None:
            # Line ends of the old Macintosh are those of a file that has no other.
            head = self._buffer[:BLOCK]
            self._newline = b"\r" if b"\r" in head[:-1] and b"\n" not in head else b"\n"
        while self._passed_over() and self._at < len(self._buffer):
            blank = None if self._dropping else _BLANK[self._newline].match(self._buffer, self._at)
            if blank:  # any number at once: there may be millions
                self._take(blank.end())
                continue
            record = self._next(self._newline, last)
            if record is None:
                return
            if record.fault is not None or any(record.fields):
                yield record
        if last and self._dropping:  # nothing ends the line that is too long, not even one more byte
            self._dropping = False
            self.line += 1
            yield Record(self.line, [], _LONG)

    def _passed_over(self) -> bool:
        """Whether all that was read before is behind us."""
        taken = min(self._skip, len(self._buffer) - self._at)
        if taken:
            self._hash.update(self._buffer[self._at : self._at + taken])
            self._at, self._skip = self._at + taken, self._skip - taken
            self.position += taken
        if self._skip == 0 and self._expected is not None:
            line, digest = self._expected
            if self.digest != digest:
                raise OtherFile("what was read before is not the beginning of this file")
            self.line, self._expected = line, None
        return self._skip == 0

    def _take(self, end: int) -> int:
        """Put everything before ``end`` behind us; the number of the line that it began in."""
        raw = self._buffer[self._at : end]
        self._hash.update(raw)
        self.position += len(raw)
        self._at = end
        first = self.line + 1
        newline = self._newline or b"\n"
        self.line += raw.count(newline)
        if not (self._dropping or raw.endswith(newline)):
            self.line += 1  # the last line, which nothing ends
        return first

    def _next(self, newline: bytes, last: bool) -> Record | None:
        """The next record, with what was read put behind us; ``None`` when more of the file is needed."""
        found = self._buffer.find(newline, self._at)
        if found < 0 and not last:
            if not self._dropping and len(self._buffer) - self._at <= MAX_RECORD:
                return None
            self._dropping = True
            self._take(len(self._buffer))
            return None
        end = found if found >= 0 else len(self._buffer)
        after = min(end + 1, len(self._buffer))
        if self._dropping or end - self._at > MAX_RECORD:
            self._dropping = False
            return Record(self._take(after), [], _LONG)
        line = self._buffer[self._at : end].removesuffix(b"\r")
        if not self._csv:
            return Record(self._take(after), [line])
        if self.delimiter is None:
            self.delimiter = sniff(line)
        if b'"' in line:
            return self._quoted(newline, self.delimiter, after, last)
        return Record(self._take(after), line.split(self.delimiter))

    def _quoted(self, newline: bytes, delimiter: bytes, next_line: int, last: bool) -> Record | None:
        """A record with quotes in it, which may go on over lines; ``next_line`` is where the second begins."""
        scan = _scan(self._buffer, self._at, newline, delimiter)
        if isinstance(scan, str):
            open_ = scan == _OPEN
            if open_ and not last and len(self._buffer) - self._at <= MAX_RECORD:
                return None
            return Record(self._take(next_line), [], scan)
        fields, end = scan
        if end > next_line and (
            end - self._at > MAX_RECORD or (self.width is not None and len(fields) != self.width)
        ):
            return Record(self._take(next_line), [], _OPEN)
        if end == len(self._buffer) and not last and not self._buffer.endswith(newline):
            return None
        return Record(self._take(end), fields)


_LONG = f"the line is longer than {MAX_RECORD} bytes"
_OPEN = "a quote is opened and not closed"
_BLANK = {b"\n": re.compile(rb"(?:\r?\n)+"), b"\r": re.compile(rb"\r+")}
_STRAY = "there is text between a closing quote and the next delimiter"


def _scan(buffer: bytes, at: int, newline: bytes, delimiter: bytes) -> tuple[list[bytes], int] | str:
    """The fields of the record at ``at`` and where it ends, or what is wrong with it."""
    fields: list[bytes] = []
    stops = _stops(delimiter, newline)
    size = len(buffer)
    while True:
        start = at
        while buffer[start : start + 1] == b" ":
            start += 1
        if buffer[start : start + 1] == b'"':
            close = _closing(buffer, start + 1)
            if close < 0:
                return _OPEN
            fields.append(buffer[start + 1 : close].replace(b'""', b'"'))
            at = close + 1
            while buffer[at : at + 1] == b" ":
                at += 1
            if buffer[at : at + 1] == b"\r" and newline == b"\n" and buffer[at + 1 : at + 2] in (b"\n", b""):
                at += 1
        else:
            found = stops.search(buffer, at)
            stop = found.start() if found else size
            value = buffer[at:stop]
            ends_line = buffer[stop : stop + 1] != delimiter
            fields.append(value.removesuffix(b"\r") if ends_line else value)
            at = stop
        following = buffer[at : at + 1]
        if following == delimiter:
            at += 1
        elif following in (newline, b""):
            return fields, min(at + 1, size)
        else:
            return _STRAY


def _closing(buffer: bytes, at: int) -> int:
    """Where the quote is that closes a field whose text begins at ``at``; -1 for nowhere."""
    while True:
        close = buffer.find(b'"', at)
        if close < 0 or buffer[close + 1 : close + 2] != b'"':
            return close
        at = close + 2


_PATTERNS = {
    (delimiter, newline): re.compile(b"[" + re.escape(delimiter) + newline + b"]")
    for delimiter in DELIMITERS
    for newline in (b"\n", b"\r")
}


def _stops(delimiter: bytes, newline: bytes) -> re.Pattern[bytes]:
    return _PATTERNS[delimiter, newline]


def sniff(line: bytes) -> bytes:
    """The delimiter of a file, by its first line: of comma, semicolon and tab the one that it has most of."""
    plain = re.sub(rb'"[^"]*"', b"", line)
    return max(DELIMITERS, key=plain.count)
