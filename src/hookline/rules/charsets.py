"""Which characters the bytes of a file stand for: told, marked, or found out."""

from __future__ import annotations

import codecs
import re

# By their names in Python. Of what the web calls ISO-8859-1 it means Windows-1252 (WHATWG Encoding, 4.2).
_SINGLE = re.compile(r"iso8859-\d+|cp125\d|koi8-[ru]|mac-roman")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FOREIGN = (
    (codecs.BOM_UTF32_LE, "this is UTF-32; save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "this is UTF-32; save it as UTF-8"),
    (b"PK\x03\x04", "this is a ZIP or Excel file; save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "this is an Excel file; save it as CSV"),
    (b"\x1f\x8b", "this is compressed by gzip; send what is in it"),
)
LONGEST_MARK = 4


class Unreadable(ValueError):
    """Bytes that are not of the file's charset, in words."""


def known(charset: str) -> str:
    """The charset's name in Python; ValueError for one that files are not read in."""
    try:
        name = codecs.lookup(charset.strip()).name
    except LookupError:
        name = ""
    if name in ("ascii", "iso8859-1"):
        return "cp1252" if name != "ascii" else "utf-8"
    if name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be") or _SINGLE.fullmatch(name):
        return name.removesuffix("-sig")
    raise ValueError(f"{charset[:40]!r} is no charset that is read here; save the file as UTF-8")


class Charset:
    """Turns a file into bytes in which ASCII is ASCII (``open``, ``feed``), and then its fields into text.

    Without a charset that is told or a mark at the beginning, a field that is UTF-8 is read as that. One
    that is not is Windows-1252, unless the file has shown to be UTF-8: then it is broken.
    """

    def __init__(self, told: str | None) -> None:
        self.name = told
        self._decoder: codecs.IncrementalDecoder | None = None
        self._proved = False

    def open(self, head: bytes) -> bytes:
        """The first bytes of the file, ``LONGEST_MARK`` at least where it has so many. Raises Unreadable."""
        for mark, why in _FOREIGN:
            if head.startswith(mark):
                raise Unreadable(why)
        for mark, name in _MARKS:
            if head.startswith(mark) and self.name in (None, name, "utf-16"):
                self.name, head = name, head[len(mark) :]
                break
        if self.name is None and len(head) >= 4 and head[1] == head[3] == 0 and head[0] and head[2]:
            self.name = "utf-16-le"
        if self.name is None and len(head) >= 4 and head[0] == head[2] == 0 and head[1] and head[3]:
            self.name = "utf-16-be"
        if self.name is not None and self.name.startswith("utf-16"):
            name = "utf-16-le" if self.name == "utf-16" else self.name
            self._decoder = codecs.getincrementaldecoder(name)("replace")
        return self.feed(head)

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """What follows, the same way."""
        if self._decoder is None:
            return data
        return self._decoder.decode(data, last).encode()

    def text(self, raw: bytes) -> str:
        """A field's text. Raises Unreadable."""
        if raw.isascii():
            return raw.decode("ascii")
        if self._decoder is not None:
            text = raw.decode()
            if "\ufffd" in text:
                raise Unreadable("this is not UTF-16")
            return text
        if self.name is not None:
            return self._as(raw, self.name)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            if self._proved:
                raise Unreadable("this is not UTF-8, which the file is in") from None
            return self._as(raw, "cp1252")
        self._proved = True
        return text

    def _as(self, raw: bytes, name: str) -> str:
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            shown = {"cp1252": "Windows-1252", "utf-8": "UTF-8"}.get(name, name)
            raise Unreadable(f"this is not {shown}") from None
