"""The plain text of an HTML mail, for those who read it so and for the filters that expect it.

``to_text`` converts finished HTML. ``text_source`` does the same to the source of a template, once for all
recipients: its template syntax is carried through as single characters of Unicode's private planes.
"""

from __future__ import annotations

import re
from html import unescape

from hookline.mail.markup import attributes, scan
from hookline.rules.tags import Tag, tags, words

_SPACE = re.compile(r"[ \t\r\n\f]+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none", re.I)
_UNSEEN = frozenset(("head", "template", "noscript", "object", "svg", "select"))
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)
_PARAGRAPHS = frozenset(
    ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "dl", "hr")
)
_BOXES = frozenset(("section", "article", "header", "footer", "main", "figure", "figcaption", "fieldset"))
_LINES = _BOXES.union(("div", "li", "tr", "dt", "dd", "address", "center", "form", "caption", "body"))
_LINK = re.compile("https?://|mailto:|tel:|[\U000f0000-\U0010ffff]", re.I)
_EXPRESSION, _STATEMENT = 0xF0000, 0x100000  # the first characters that stand for template syntax
_MOST_TAGS = 0xFFFD
_DEEPEST = 9  # lists in lists are indented so far and no further
_STANDS_FOR_A_STATEMENT = re.compile("([\U00100000-\U0010ffff])")
_STANDS_FOR_SYNTAX = re.compile("[\U000f0000-\U0010ffff]")
_OF_MARKUP = frozenset(("safe", "autoescape", "filter", "e", "escape"))  # make or expect HTML when rendered


def to_text(html: str) -> str:
    """Paragraphs set apart by blank lines, links as ``text (url)``, lists with dashes or numbers."""
    writer = _Writer()
    hidden, depth = "", 0  # inside of an element that shows nothing
    for piece in scan(html):
        if hidden:
            depth += (piece.name == hidden) * {"start": 1, "end": -1}.get(piece.kind, 0)
            hidden = hidden if depth else ""
        elif piece.kind == "text":
            writer.text(unescape(html[piece.start : piece.end]))
        elif piece.kind == "start":
            found = {
                item.name: unescape(html[item.start : item.end])
                for item in reversed([*attributes(html, piece)])
            }
            if piece.name not in _VOID and (
                piece.name in _UNSEEN or "hidden" in found or _HIDDEN_STYLE.search(found.get("style", ""))
            ):
                hidden, depth = piece.name, 1
            else:
                writer.start(piece.name, found)
        elif piece.kind == "end":
            writer.end(piece.name)
    return writer.finished()


def text_source(source: str, captured: str) -> str | None:
    """The source of a template for the text of what ``source`` renders, or ``None`` where only the finished
    HTML can tell. ``captured`` is the name whose ``set`` blocks hold no markup.

    Differs from ``to_text`` of the finished HTML in the white space that values bring, and in not leaving out
    a link whose address turns out to be none; ``tidy`` what it renders.
    """
    pieces, position, syntax = [], 0, dict[str, str]()
    for tag in tags(source):
        first = _EXPRESSION if tag.kind == "expression" else _STATEMENT
        if len(syntax) == _MOST_TAGS or _needs_html(source, tag, captured):
            return None
        stand_in = chr(first + len(syntax))
        syntax[stand_in] = source[tag.start : tag.end]
        pieces += [source[position : tag.start], stand_in]
        position = tag.end
    pieces.append(source[position:])
    if _STANDS_FOR_SYNTAX.search(source):
        return None
    text = to_text("".join(pieces))
    statements = [stand_in for stand_in in syntax if ord(stand_in) >= _STATEMENT]
    if sorted(_STANDS_FOR_A_STATEMENT.findall(text)) != statements or re.search(r"\{[{%#]", text):
        return None
    return _STANDS_FOR_SYNTAX.sub(lambda found: syntax[found[0]], text)


def tidy(text: str) -> str:
    """Without the blank lines that empty values leave."""
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def _needs_html(source: str, tag: Tag, captured: str) -> bool:
    if tag.kind in ("comment", "raw"):
        return tag.kind == "raw"
    found = [word.text for word in words(source, tag)]
    block = found[:1] == ["set"] and "=" not in found and found[1:] != [captured]
    return block or not _OF_MARKUP.isdisjoint(found)


class _Writer:
    """Gathers text; breaks and spaces wait until something follows them."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._breaks = 0
        self._space = False
        self._link: tuple[str, int] | None = None  # its address, and where its text begins
        self._lists: list[int] = []  # the next number of each open list, 0 where it has none
        self._preformatted = 0

    def text(self, text: str) -> None:
        if self._preformatted:
            self._put(text.replace("\r\n", "\n").replace("\r", "\n"))
            return
        for index, run in enumerate(_STANDS_FOR_A_STATEMENT.split(_SPACE.sub(" ", text))):
            if index % 2:  # takes no room: breaks and spaces that wait come after it
                self._out.append(run)
                continue
            self._space = self._space or run.startswith(" ")
            if run.strip(" "):
                self._put(run.strip(" "))
                self._space = run.endswith(" ")

    def start(self, name: str, found: dict[str, str]) -> None:
        self._block(name)
        if name == "br":
            self._breaks += 1
        elif name == "hr":
            self._put("---")
            self._break(2)
        elif name == "img":
            self.text(found.get("alt", ""))
        elif name == "a":
            self._link = (found.get("href", "").strip(), len(self._out))
        elif name in ("ul", "ol"):
            self._lists.append(int(name == "ol"))
        elif name == "li":
            self._item()
        elif name in ("td", "th"):
            self._space = True
        elif name == "pre":
            self._preformatted += 1

    def end(self, name: str) -> None:
        if name == "a" and self._link:
            (url, start), self._link = self._link, None
            shown = "".join(self._out[start:]).strip()
            if _LINK.match(url) and shown not in (url, url.partition(":")[2]):
                self._space = bool(shown)
                self._put(f"({url})" if shown else url)
        elif name in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif name == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        self._block(name)

    def finished(self) -> str:
        lines = "".join(self._out).replace("\xa0", " ").split("\n")
        return "\n".join(line.rstrip() for line in lines).strip("\n")

    def _block(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self._break(1 if self._lists and name in ("ul", "ol") else 2)
        elif name in _LINES:
            self._break(1)

    def _item(self) -> None:
        number = self._lists[-1] if self._lists else 0
        if number:
            self._lists[-1] = number + 1
        self._put("  " * min(len(self._lists) - 1, _DEEPEST) + (f"{number}." if number else "-"))
        self._space = True

    def _break(self, count: int) -> None:
        self._breaks = max(self._breaks, count)

    def _put(self, text: str) -> None:
        if self._breaks:
            self._out.append("\n" * min(self._breaks, 2) if self._out else "")
        elif self._space and self._out and not self._out[-1].endswith("\n"):
            self._out.append(" ")
        self._out.append(text)
        self._breaks, self._space = 0, False
