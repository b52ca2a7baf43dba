"""What a server said, taken apart: reply code (RFC 5321), enhanced code (RFC 3463), and its words."""

from __future__ import annotations

import re

from msgspec import Struct

MAX_ANSWER = 4000

_CODE = re.compile(r"(?<![\w.#:/=-])([245]\d\d)(?=[\s\-:;,>]|$)")
_ENHANCED = re.compile(r"(?<![\d.\w])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
# The class's name says what the part before a quoted answer only repeats: "5.1.0 - Unknown address error 550-'…'".
_WRAPPED = re.compile(r"[245]\.\d\.\d - [\w ()]{1,60}?(?=[ ]?(?:[245]\d\d)?-?')")
_REPEATED = re.compile(r"(?<=[ \n])[245]\d\d-(?:[245]\.\d{1,3}\.\d{1,3} )?")
_TYPE = re.compile(r"^\s*(?:smtp|x-[\w-]+|dns|local|unix|x400|mailbox)\s*;\s*", re.I)
_SILENT = re.compile(r"[245]\.(?:0\.\d+|[1235]\.0)")


class Answer(Struct, frozen=True):
    """``code`` and ``enhanced`` are ``None`` where none was given; ``text`` is in one line."""

    code: int | None
    enhanced: str | None
    text: str


def read_answer(said: str, status: str | None = None) -> Answer:
    """Take apart what a server said, such as a Diagnostic-Code or a line of a notice.

    ``status`` is the Status field of a report: it counts where the words bring no code that says more.
    """
    text = " ".join(_TYPE.sub("", said[:MAX_ANSWER]).split())
    plain = _WRAPPED.sub("", text)
    codes = _CODE.findall(plain)
    # A quoted answer is the other server's own, and comes last; within one, all lines have the same code.
    code = next((int(found) for found in codes if found[0] in "45"), None)
    enhanced = [*_ENHANCED.findall(plain), *([status] if status else [])]
    telling = [found for found in enhanced if not _SILENT.fullmatch(found)]
    chosen = next(iter(telling or enhanced), None)
    return Answer(code, chosen, _REPEATED.sub("", plain))
