"""The event that is published over and over: an order of about 1 KB, with a number to know it again by."""

from __future__ import annotations

DATA_BYTES = 1024
MOST = 10**10  # numbers of events are below this
_MARK = b'"n":"'
_DIGITS = 10
_LINE = b'{"sku":"LINEN-%03d","title":"Shirt, light blue","quantity":1,"price":"43.30"}'


def _data() -> bytes:
    head = b'{"n":"%010d","customer":{"name":"Ada","country":"PT"},"currency":"EUR","lines":['
    lines: list[bytes] = []
    while len(head) + sum(len(line) + 1 for line in lines) < DATA_BYTES - len(_LINE):
        lines.append(_LINE % len(lines))
    return head + b",".join(lines) + b"]}"


DATA = _data()
"""To be filled in with the number."""


def event_form(type: str, run: str) -> bytes:
    """The body of a publishing request, to be filled in with the number three times. ``run`` makes ids unique."""
    head = f'{{"type":"{type}","source":"bench","id":"{run}-%010d","subject":"customer-%d","data":'
    return head.encode() + DATA + b"}"


def number_in(body: bytes) -> int:
    """The number of the event that a delivery is about."""
    place = body.index(_MARK) + len(_MARK)
    return int(body[place : place + _DIGITS])
