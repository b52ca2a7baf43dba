"""The plain text of an HTML mail, for those who read it so and for the filters that expect it.

In two steps: markup becomes marks between words (``_marked``), and marks become line breaks (``laid_out``).
``to_text`` does both to finished HTML. For a template the first step is done once, on its source
(``text_source``), and only the second for each mail.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape

from hookline.mail.markup import attribute_value, attributes, scan
from hookline.rules.tags import Tag, tags, words

_BREAK, _BULLET, _PARAGRAPH, _LINE, _ITEM_END = "\x0b", "\x1c", "\x1d", "\x1e", "\x1f"
_SPACES = re.compile(r"[ \t\r\n\f]{2,}|[\t\r\n\f]")
_GAP = re.compile(r"[\x0b\x1c-\x1f][ \x0b\x1c-\x1f]*")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none", re.I)
_UNSEEN = frozenset(("head", "template", "noscript", "object", "svg", "select"))
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)
_PARAGRAPHS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "blockquote", "pre", "dl"))
_BOXES = frozenset(("section", "article", "header", "footer", "main", "figure", "figcaption", "fieldset"))
_LINES = _BOXES.union(("div", "tr", "dt", "dd", "address", "center", "form", "caption", "body"))
_DEEPEST = 9  # lists in lists are indented so far and no further

# Template syntax is carried through as characters of Unicode's private planes, one for each tag.
_EXPRESSION, _STATEMENT, _MOST_TAGS = 0xF0000, 0x100000, 0xFFFD
_STAND_IN = re.compile("[\U000f0000-\U0010ffff]")
_STAND_IN_FOR_A_STATEMENT = re.compile("[\U00100000-\U0010ffff]")
_LINK = re.compile("https?://|mailto:|tel:|[\U000f0000-\U0010ffff]", re.I)
_OF_MARKUP = frozenset(("safe", "autoescape", "filter", "e", "escape"))  # make or expect HTML when rendered


def to_text(html: str) -> str:
    """Paragraphs set apart by blank lines, links as ``text (url)``, lists with dashes or numbers."""
    return laid_out("".join(_marked(html).out))


def text_source(source: str, captured: str) -> str | None:
    """The source of a template whose result, once ``laid_out``, is the text of what ``source`` renders.

    ``None`` where only the finished HTML can tell: values that are markup, statements inside of tags,
    numbered lists with statements. ``captured`` is the name whose ``set`` blocks hold no markup.
    """
    pieces, position, syntax = [], 0, dict[str, str]()
    for tag in tags(source):
        if len(syntax) == _MOST_TAGS or _needs_html(source, tag, captured):
            return None
        stand_in = chr((_EXPRESSION if tag.kind == "expression" else _STATEMENT) + len(syntax))
        syntax[stand_in] = source[tag.start : tag.end]
        pieces += [source[position : tag.start], stand_in]
        position = tag.end
    marker = _marked("".join([*pieces, source[position:]]))
    marked = "".join(marker.out)
    statements = [stand_in for stand_in in syntax if ord(stand_in) >= _STATEMENT]
    if _STAND_IN_FOR_A_STATEMENT.findall(marked) != statements:
        return None
    if marker.counts_statements or re.search(r"\{[{%#]", marked) or _STAND_IN.search(source):
        return None
    return _STAND_IN.sub(lambda found: syntax[found[0]], marked)


def _needs_html(source: str, tag: Tag, captured: str) -> bool:
    if tag.kind in ("comment", "raw"):
        return tag.kind == "raw"
    found = [word.text for word in words(source, tag)]
    block = found[:1] == ["set"] and "=" not in found and found[1:] != [captured]
    return block or not _OF_MARKUP.isdisjoint(found)


def laid_out(marked: str) -> str:
    """Marks as line breaks, white space as a browser would collapse it."""
    text = _GAP.sub(lambda found: _gap(found[0]), _SPACES.sub(" ", marked))
    text = text.replace(" \n", "\n").strip(" \n")
    return re.sub(r" +(?=\n|$)", "", text.replace("\xa0", " ")) if "\xa0" in text else text


@lru_cache(256)  # a mail has hundreds of gaps, of a few kinds
def _gap(marks: str) -> str:
    if _BULLET in marks and _ITEM_END not in marks:
        return " "
    lines = any(mark in marks for mark in (_LINE, _ITEM_END, _BULLET))
    return "\n" * min(2, max(2 * (_PARAGRAPH in marks), lines, marks.count(_BREAK)))


def _marked(html: str) -> _Marker:
    """The text of ``html`` with marks where its elements set words apart."""
    marker = _Marker()
    hidden, depth = "", 0  # inside of an element that shows nothing
    for piece in scan(html):
        if hidden:
            depth += (piece.name == hidden) * {"start": 1, "end": -1}.get(piece.kind, 0)
            hidden = hidden if depth else ""
        elif piece.kind == "text":
            marker.text(unescape(html[piece.start : piece.end]))
        elif piece.kind == "end":
            marker.end(piece.name)
        elif piece.kind == "start":
            found = {
                item.name: attribute_value(html[item.start : item.end])
                for item in reversed([*attributes(html, piece)])
            }
            unseen = (
                piece.name in _UNSEEN or "hidden" in found or _HIDDEN_STYLE.search(found.get("style", ""))
            )
            if unseen and piece.name not in _VOID:
                hidden, depth = piece.name, 1
            else:
                marker.start(piece.name, found)
    return marker


class _Marker:
    """Turns the pieces of a document into text and marks, ``out``."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.counts_statements = False  # a numbered list holds some, so its numbers are not known
        self._link: tuple[str, int] | None = None  # its address, and where its text begins
        self._lists: list[int] = []  # the next number of each open list, 0 where it has none
        self._preformatted = 0

    def text(self, text: str) -> None:
        if self._preformatted:
            text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", _BREAK).replace(" ", "\xa0")
        if self._lists and any(self._lists) and _STAND_IN_FOR_A_STATEMENT.search(text):
            self.counts_statements = True
        self.out.append(_SPACES.sub(" ", text))

    def start(self, name: str, found: dict[str, str]) -> None:
        self._block(name)
        if name == "br":
            self.out.append(_BREAK)
        elif name == "hr":
            self.out.append(f"{_PARAGRAPH}---{_PARAGRAPH}")
        elif name == "img":
            self.text(found.get("alt", ""))
        elif name == "a":
            self._link = (found.get("href", "").strip(), len(self.out))
        elif name in ("ul", "ol"):
            self._lists.append(int(name == "ol"))
        elif name == "li":
            self._item()
        elif name in ("td", "th"):
            self.out.append(" ")
        elif name == "pre":
            self._preformatted += 1

    def end(self, name: str) -> None:
        if name == "a" and self._link:
            (url, start), self._link = self._link, None
            shown = laid_out("".join(self.out[start:]))
            if _LINK.match(url) and shown not in (url, url.partition(":")[2]):
                self.out.append(f" ({url})" if shown else url)
        elif name == "li":
            self.out.append(_ITEM_END)
        elif name in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif name == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        self._block(name)

    def _block(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self.out.append(_PARAGRAPH)
        elif name in ("ul", "ol"):
            self.out.append(_LINE if self._lists else _PARAGRAPH)
        elif name in _LINES:
            self.out.append(_LINE)

    def _item(self) -> None:
        number = self._lists[-1] if self._lists else 0
        if number:
            self._lists[-1] = number + 1
        indent = "\xa0\xa0" * min(len(self._lists) - 1, _DEEPEST)
        self.out.append(f"{_ITEM_END}{indent}{f'{number}.' if number else '-'}{_BULLET}")
