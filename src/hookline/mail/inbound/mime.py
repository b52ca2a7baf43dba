"""A reader of MIME (RFC 2045, 2046) for mail from anybody: it never raises, and its cost is bounded.

The standard library's parser nests a generator for each level and looks at each line once for each of
them, so a mail of a thousand nested parts costs it minutes. Here a part is a range of bytes; levels, parts,
header fields and decoded text have limits, and what lies beyond them is passed over.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator
from email.header import decode_header
from html import unescape

from msgspec import Struct

MAX_DEPTH = 10
MAX_PARTS = 200
MAX_FIELDS = 300
MAX_FIELD = 16 * 1024
MAX_HEAD = 256 * 1024
MAX_TEXT = 128 * 1024

_BLANKS = (b"\n\n", b"\n\r\n")
_FIELD = re.compile(rb"^([!-9;-~]{1,76})[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)", re.M)
_PARAMETER = re.compile(r";\s*([\w*.-]{1,40})\s*=\s*(?:\"([^\"]{0,500})\"|([^;\s]{0,500}))")
_TAGS = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|/?pre|hr)\b[^<>]{0,1000}>", re.I)
_TAG = re.compile(r"<[!/]?[a-z][^<>]{0,4000}>|<!--[^<>]{0,4000}-->", re.I)
_HIDDEN = re.compile(r"<(style|script|head)\b[^<>]{0,1000}>[^<]*</\1>", re.I)
_SOUND = re.compile(
    r"utf|ascii|iso8859|latin|cp\d|windows|koi8|iso2022|shift_jis|euc|gb|big5|hz|mac|johab|tis"
)
_WRAPPERS = ("message/rfc822", "message/global", "message/rfc822-headers", "text/rfc822-headers")
HEADERS_ONLY = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
ORIGINALS = (*_WRAPPERS, *HEADERS_ONLY)


class Part(Struct, frozen=True, kw_only=True):
    """A part: its fields by name in lower case, its content's bytes, the parts in it. ``within`` counts the
    enclosing messages, 0 for a part of the mail itself."""

    type: str
    parameters: dict[str, str]
    fields: dict[str, list[str]]
    content: memoryview
    parts: list[Part]
    within: int = 0

    def field(self, name: str) -> str:
        """The first field of this name, in one line and decoded (RFC 2047); "" where there is none."""
        found = self.fields.get(name)
        return decoded(found[0]) if found else ""

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in the order in which they stand."""
        open_ = [self]
        while open_:
            part = open_.pop()
            yield part
            open_.extend(reversed(part.parts))

    def text(self) -> str:
        """The content as text, from whatever encoding, its beginning only; HTML without its markup."""
        text = _decode(self._plain(), self.parameters.get("charset", ""))
        return strip_html(text) if self.type == "text/html" else text

    def _plain(self) -> bytes:
        encoding = self.field("content-transfer-encoding").strip().lower()
        if encoding == "base64":
            raw = re.sub(rb"[^A-Za-z0-9+/]", b"", bytes(self.content[: MAX_TEXT * 3 // 2]))
            return binascii.a2b_base64(raw[: len(raw) // 4 * 4] + _padded(raw[len(raw) // 4 * 4 :]))
        raw = bytes(self.content[:MAX_TEXT])
        return binascii.a2b_qp(raw) if encoding == "quoted-printable" else raw


def read(raw: bytes) -> Part:
    """The mail as parts."""
    content = memoryview(raw)
    left = [MAX_PARTS]
    return _part(content, "text/plain", 0, 0, left)


def _part(content: memoryview, default: str, depth: int, within: int, left: list[int]) -> Part:
    fields, body = split_head(content)
    kind, parameters = _content_type(fields, default)
    parts: list[Part] = []
    encoded = fields.get("content-transfer-encoding", [""])[0].strip().lower() == "base64"
    if depth < MAX_DEPTH:
        if kind.startswith("multipart/") and parameters.get("boundary"):
            inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
            for piece in _pieces(body, parameters["boundary"], left):
                parts.append(_part(piece, inner, depth + 1, within, left))
        elif kind in _WRAPPERS and left[0] > 0:
            left[0] -= 1
            itself = Part(type=kind, parameters={}, fields=fields, content=body, parts=[])
            whole = memoryview(itself._plain()) if encoded else body
            parts.append(_part(whole, "text/plain", depth + 1, within + 1, left))
    return Part(type=kind, parameters=parameters, fields=fields, content=body, parts=parts, within=within)


def _pieces(body: memoryview, boundary: str, left: list[int]) -> Iterator[memoryview]:
    """What stands between the boundary's lines; a part that is not closed ends where its parent does."""
    mark = re.escape(boundary.encode("utf-8", "replace"))
    line = re.compile(rb"\n--" + mark + rb"(--)?[ \t]*+(?=\r?\n|\Z)")
    start: int | None = None
    opening = b"\n" + bytes(body[:200])
    if (found := line.match(opening)) and found.end() <= len(body):
        left[0] -= 1
        start = found.end() - 1
    for found in line.finditer(body):
        if start is not None:
            yield body[start : found.start()]
        if found[1] or left[0] <= 0:
            return
        left[0] -= 1
        start = found.end()
    if start is not None:
        yield body[start:]


def split_head(content: memoryview) -> tuple[dict[str, list[str]], memoryview]:
    """The fields of a header, and what follows it."""
    skipped = 0
    while skipped < min(len(content), 100) and content[skipped] in b"\r\n":
        skipped += 1
    content = content[skipped:]
    if bytes(content[:1]) != b"" and bytes(content[:5]) in (b"From ", b">From"):  # as mailboxes are stored
        end = bytes(content[:1000]).find(b"\n")
        content = content[end + 1 :]
    size, after = _head_size(content)
    head, body = content[:size], content[after:]
    if len(head) > MAX_HEAD:  # a line of megabytes somewhere in it is passed over
        head = memoryview(bytes(head[: MAX_HEAD // 2]) + b"\n" + bytes(head[-MAX_HEAD // 2 :]))
    fields = read_fields(head)
    if not fields:  # no header at all: a text
        return {}, content
    return fields, body


def _head_size(content: memoryview) -> tuple[int, int]:
    """Where the header ends, and where the rest begins."""
    for window in (64 * 1024, len(content)):
        seen = bytes(content[:window])
        ends = [(at, at + len(blank)) for blank in _BLANKS if (at := seen.find(blank)) >= 0]
        if ends:
            return min(ends)
    return len(content), len(content)


def read_fields(head: memoryview | bytes) -> dict[str, list[str]]:
    """Header fields by name in lower case, unfolded; those that are too long are cut."""
    fields: dict[str, list[str]] = {}
    for place, found in enumerate(_FIELD.finditer(head)):
        if place >= MAX_FIELDS:
            break
        start, end = found.span(2)
        value = bytes(head[start : min(end, start + MAX_FIELD)]).replace(b"\0", b"")
        name = found[1].decode("ascii").lower()
        fields.setdefault(name, []).append(" ".join(_decode(value, "utf-8").split()))
    return fields


def _content_type(fields: dict[str, list[str]], default: str) -> tuple[str, dict[str, str]]:
    given = fields.get("content-type", [""])[0]
    kind = given.partition(";")[0].strip().strip('"').lower()
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind):
        kind = "text/plain" if kind else default
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(given[:4000])}
    return kind, parameters


def decoded(value: str) -> str:
    """A field's value with its encoded words (RFC 2047) spelled out."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value[:4000])
        return "".join(
            piece if isinstance(piece, str) else _decode(piece, charset or "") for piece, charset in pieces
        )
    except (ValueError, LookupError, binascii.Error):
        return value


def _decode(raw: bytes, charset: str) -> str:
    """Text from bytes of any charset: the named one if it is a sound one, else UTF-8, else Windows-1252."""
    for name in (charset.strip().strip("'\"").lower(), "utf-8"):
        try:
            if _SOUND.match(codecs.lookup(name).name.replace("-", "_").replace("_", "")):
                return raw.decode(name).replace("\0", "")
        except (LookupError, ValueError):
            continue
    return raw.decode("cp1252", "replace").replace("\0", "")


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (-len(rest) % 4) if len(rest) > 1 else b""


def strip_html(text: str) -> str:
    """The words of HTML, with a line for each block."""
    text = _HIDDEN.sub(" ", text)
    text = _TAG.sub("", _TAGS.sub("\n", text.replace("\n", " ")))
    return unescape(text).replace("\xa0", " ")
