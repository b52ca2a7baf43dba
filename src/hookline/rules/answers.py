"""What a server said, taken apart: reply code (RFC 5321), enhanced code (RFC 3463), and its words."""

from __future__ import annotations

import re

from msgspec import Struct

MAX_ANSWER = 4000

_CODE = re.compile(r"(?:(?<![\w.:/=-])|(?<= :))([45]\d\d)(?=[\s\-:;,>]|$)")
_ENHANCED = re.compile(r"(?<![\d.\w])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
# The class's name says what the part before a quoted answer only repeats: "5.1.0 - Unknown address error 550-'…'".
_WRAPPED = re.compile(r"[245]\.\d\.\d - [\w ()]{1,60}?(?=[ ]?(?:[245]\d\d)?-?')")
_REPEATED = re.compile(r"(?<=[ \n])[245]\d\d-(?:[245]\.\d{1,3}\.\d{1,3} )?")
_TYPE = re.compile(r"^\s*(?:smtp|x-[\w-]+|dns|local|unix|x400|mailbox)\s*;\s*", re.I)
_SILENT = re.compile(r"[245]\.(?:0\.\d+|[1235]\.0)")


class Answer(Struct, frozen=True):
    """``code`` and ``enhanced`` are ``None`` where none was given. ``whole`` is all of it in one line, ``text``
    what the other server said: without the words before its code, which are the reporting server's."""

    code: int | None
    enhanced: str | None
    text: str
    whole: str


def read_answer(said: str, status: str | None = None) -> Answer:
    """Take apart what a server said, such as a Diagnostic-Code or a line of a notice.

    ``status`` is the Status field of a report: it counts where the words bring no code that says more.
    """
    text = " ".join(_TYPE.sub("", said[:MAX_ANSWER]).split())
    plain = _WRAPPED.sub("", text)
    found = _CODE.search(plain)
    enhanced = [*_ENHANCED.findall(plain), *([status] if status else []), *_ENHANCED.findall(text)]
    telling = [one for one in enhanced if not _SILENT.fullmatch(one)]
    chosen = next(iter(telling or enhanced), None)
    whole = _REPEATED.sub("", plain)
    return Answer(
        code=int(found[1]) if found else None,
        enhanced=chosen,
        text=_REPEATED.sub("", plain[found.start() :]) if found else whole,
        whole=whole,
    )
