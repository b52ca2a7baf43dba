"""HTTP/1.1 messages cut out of a stream of bytes: only what our own server and client send (RFC 9112).

Whoever measures has to cost little, so this knows ``Content-Length`` and nothing else of framing.
"""

from __future__ import annotations

import re

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")
_END = b"\r\n\r\n"


def split(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The whole messages at the beginning of ``data``, as head and body, and the bytes that are left."""
    found: list[tuple[bytes, bytes]] = []
    start = 0
    while (end := data.find(_END, start)) >= 0:
        length = _LENGTH.search(data, start, end)
        body = end + len(_END)
        after = body + (int(length[1]) if length else 0)
        if after > len(data):
            break
        found.append((data[start:end], data[body:after]))
        start = after
    return found, data[start:]
