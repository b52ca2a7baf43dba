"""HTML taken apart as browsers do, in one pass and linear time, with the place of each piece.

The tokenizer of the HTML standard (section 13.2.5), no more of it than mail needs: comments (the
conditional ones too), elements with raw text, quoted and unquoted attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.entities import html5
from typing import Literal, NamedTuple

from hookline.rules.tags import tags

# Placeholders of template syntax in what is scanned: a statement counts as space, an expression as text.
STATEMENT, EXPRESSION = "\x01", "\x02"

_NEXT = re.compile(r"<(?:!--|[!?/]|[a-zA-Z])")
_COMMENT_END = re.compile(r"-?>|.*?--!?>", re.S)
_ELEMENT = re.compile(
    r"""<(/?)([a-zA-Z][^\s/>\x01]*+)((?:[^>"'=]++|=[\s\x01]*+(?:"[^"]*"|'[^']*')?+|["'])*+)>"""
)
_ATTRIBUTE = re.compile(
    r"""([^\s/>=\x01]++)(?:[\s\x01]*+=[\s\x01]*+(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*+)))?+"""
)
_NAMED = re.compile(r"&([a-zA-Z][a-zA-Z0-9]*+;?+)(?=(=?))")
_RAW_TEXT = frozenset(("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"))


class Piece(NamedTuple):
    """``html[start:end]``: text, an element's start or end tag, or what shows nothing (comments, raw text)."""

    kind: Literal["text", "start", "end", "other"]
    start: int
    end: int
    name: str = ""


class Attribute(NamedTuple):
    """An attribute's name in lower case, and where its value stands (nowhere: ``start == end``)."""

    name: str
    start: int
    end: int


def scan(html: str) -> Iterator[Piece]:
    """The pieces of ``html``, in order and without gaps."""
    position = 0
    while opening := _NEXT.search(html, position):
        start = opening.start()
        if start > position:
            yield Piece("text", position, start)
        element = _ELEMENT.match(html, start)
        if element is None:
            position = _after_other(html, start, opening[0])
            yield Piece("other", start, position)
            continue
        name, position = element[2].lower(), element.end()
        yield Piece("end" if element[1] else "start", start, position, name)
        if name in _RAW_TEXT and not element[1]:
            closing = re.compile(rf"</{name}(?=[\s/>])", re.I).search(html, position)
            end = closing.start() if closing else len(html)
            yield Piece("other", position, end)
            position = end
    if position < len(html):
        yield Piece("text", position, len(html))


def _after_other(html: str, start: int, opening: str) -> int:
    """Where a comment, a declaration or a tag that is never closed ends."""
    if opening == "<!--":
        comment = _COMMENT_END.match(html, start + len(opening))
        return comment.end() if comment else len(html)
    end = html.find(">", start) if opening[1] in "!?/" else -1
    return end + 1 if end >= 0 else len(html)


def attributes(html: str, tag: Piece) -> Iterator[Attribute]:
    """The attributes of a start tag; of two with one name the first counts."""
    start = tag.start + 1 + len(tag.name)
    for found in _ATTRIBUTE.finditer(html, start, tag.end - 1):
        value = found.lastindex or 1
        first, last = found.span(value) if value > 1 else (found.end(), found.end())
        yield Attribute(found[1].lower(), first, last)


def attribute_value(source: str) -> str:
    """What an attribute's source means, as browsers have it.

    They are stricter there than in text: a name without a semicolon is a character only if neither a letter, a digit
    nor ``=`` follows (HTML standard, 13.2.5.73), so that ``?a=1&copy=2&region=eu`` stays what it is.
    """
    return unescape(_NAMED.sub(_bare, source))


def _bare(found: re.Match[str]) -> str:
    name = found[1]
    meant = name in html5 and (name.endswith(";") or not found[2])
    return found[0] if meant else f"&amp;{name}"


def masked(source: str) -> str:
    """The source with all template syntax replaced by placeholders of the same length."""
    pieces, position = [], 0
    for tag in tags(source):
        placeholder = EXPRESSION if tag.kind == "expression" else STATEMENT
        pieces += [source[position : tag.start], placeholder * (tag.end - tag.start)]
        position = tag.end
    return "".join([*pieces, source[position:]])
