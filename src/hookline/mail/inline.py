"""Style sheets written into the elements that they are about, once, in a template's source.

Many mail programs read no ``<style>``. css-inline does the cascade, on a skeleton of the source: its elements,
numbered, and its style sheets, without text, comments and template syntax, so that a parser of HTML has
nothing to move about. Only ``style`` attributes come back from it; all else in the source stays byte for byte, the
style sheets too, for what cannot be inlined (media queries, ``:hover``).
"""

from __future__ import annotations

import re
from html import escape, unescape

import css_inline

from hookline.mail.markup import EXPRESSION, STATEMENT, Attribute, Piece, attributes, masked, scan

MARK = "data-hookline-element"
MAX_WORK = 2_000_000
"""Selectors times elements: what is more would keep others waiting."""
MAX_WRITTEN = 20_000_000
"""Characters of the longest rule times elements."""
MAX_OPEN = 4000
"""Elements that are open at once: css-inline recurses on the native stack, of which 8 MiB end at some 15,000."""
MAX_REPEATED = 300_000
"""Elements that a parser may make anew because those of ``_REPEATED`` are never closed."""

# Comments, texts and braces of CSS; the group is empty where a comment or text is never closed.
_CLOSABLE = re.compile(r"""/\*.*?(\*/|\Z)|"(?:[^"\\\n]|\\.)*("?)|'(?:[^'\\\n]|\\.)*('?)|([{}])""", re.S)
_RULE = re.compile(r"\{[^{}]*\}")
_VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
))  # fmt: skip
# What other tags close (HTML standard, 13.1.2.4); and what goes on until it is closed (13.2.4.3).
_CLOSED_BY_OTHERS = frozenset((
    "p", "li", "dt", "dd", "tr", "td", "th", "tbody", "thead", "tfoot", "option", "optgroup", "rt", "rp",
))  # fmt: skip
_REPEATED = frozenset((
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
))  # fmt: skip
_SYNTAX = re.compile(rf"{STATEMENT}+|{EXPRESSION}+")
_TOKEN = re.compile(r"hookline-(\d+)-syntax")
_inliner = css_inline.CSSInliner(keep_style_tags=False, load_remote_stylesheets=False)


class StyleError(ValueError):
    """Why the style sheets of a source cannot be inlined, in words."""


def inline(source: str) -> str:
    """The source with its ``<style>`` elements inlined. Raises StyleError."""
    hidden = masked(source)
    pieces = list(scan(hidden))
    if not any(piece.kind == "start" and piece.name == "style" for piece in pieces):
        return source
    _check_nesting(pieces)
    syntax: list[str] = []
    skeleton, tags = _skeleton(source, hidden, pieces, syntax)
    try:
        styles = _styles(_inliner.inline(skeleton))
    except css_inline.InlineError as error:
        raise StyleError(f"the style sheet cannot be read: {error}") from None
    changes: list[tuple[int, int, str]] = []
    for number, tag in enumerate(tags):
        style = styles.get(number)
        own = next((item for item in attributes(hidden, tag) if item.name == "style"), None)
        before = hidden[own.start : own.end] if own else ""
        # What is only sometimes there cannot be merged with.
        if style and STATEMENT not in before and style != _with_tokens(source, hidden, own, []):
            text = _TOKEN.sub(lambda found: syntax[int(found[1])], escape(style))
            changes.append(_change(source, tag, own, text))
    return _changed(source, changes)


def _skeleton(source: str, hidden: str, pieces: list[Piece], syntax: list[str]) -> tuple[str, list[Piece]]:
    """Elements and style sheets alone, the elements numbered; and these elements."""
    made: list[str] = []
    tags: list[Piece] = []
    selectors = longest = 0
    within = ""
    for piece in pieces:
        if piece.kind == "start":
            inside = piece.start + 1 + len(piece.name)
            rest = _with_tokens(source, hidden, piece._replace(start=inside), syntax)
            made.append(f'<{piece.name} {MARK}="{len(tags)}"{rest}')
            tags.append(piece)
        elif piece.kind == "end":
            made.append(f"</{piece.name}>")
        elif piece.kind == "other" and within == "style" and STATEMENT not in hidden[piece.start : piece.end]:
            sheet = _with_tokens(source, hidden, piece, syntax)
            within = ""
            if not _closed(sheet):  # its end would be taken from what follows: it stays as it is
                continue
            without = _RULE.sub("{", sheet)
            selectors += without.count("{") + without.count(",")
            longest = max([longest, *(len(rule) for rule in _RULE.findall(sheet))])
            made.append(sheet)
        within = piece.name if piece.kind == "start" else ""
    if selectors * len(tags) > MAX_WORK:
        raise StyleError(f"{selectors} selectors for {len(tags)} elements are too many to be inlined")
    if longest * len(tags) > MAX_WRITTEN:
        raise StyleError(f"a rule of {longest} characters is too long for {len(tags)} elements")
    return "".join(made), tags


def _closed(sheet: str) -> bool:
    """Whether all that a style sheet opens is closed."""
    depth = 0
    for found in _CLOSABLE.finditer(sheet):
        mark = found[found.lastindex or 0]
        if not mark:
            return False
        depth = depth + 1 if mark == "{" else max(0, depth - 1) if mark == "}" else depth
    return depth == 0


def _check_nesting(pieces: list[Piece]) -> None:
    """StyleError for what a parser could not hold: it closes no less than what is taken for closed here."""
    open_: list[str] = []
    repeated = unclosed = 0
    for piece in pieces:
        if piece.kind == "start" and piece.name not in _VOID:
            open_.append(piece.name)
            unclosed += piece.name in _REPEATED
            repeated += unclosed
        elif piece.kind == "end":
            last = len(open_) - 1
            while last >= 0 and open_[last] != piece.name and open_[last] in _CLOSED_BY_OTHERS:
                last -= 1
            if last >= 0 and open_[last] == piece.name:
                unclosed -= piece.name in _REPEATED
                del open_[last:]
        if len(open_) > MAX_OPEN or repeated > MAX_REPEATED:
            raise StyleError("too many elements are within each other, or never closed")


def _with_tokens(source: str, hidden: str, part: Piece | Attribute | None, syntax: list[str]) -> str:
    """A part of the source, its expressions replaced by words of CSS that say which they were."""
    if part is None:
        return ""

    def token(found: re.Match[str]) -> str:
        if found[0][0] == STATEMENT:
            return " "
        syntax.append(source[part.start + found.start() : part.start + found.end()])
        return f"hookline-{len(syntax) - 1}-syntax"

    return _SYNTAX.sub(token, hidden[part.start : part.end])


def _styles(html: str) -> dict[int, str]:
    """The ``style`` of each numbered element."""
    found: dict[int, str] = {}
    for piece in scan(html):
        if piece.kind == "start":
            values = {item.name: html[item.start : item.end] for item in attributes(html, piece)}
            if MARK in values and "style" in values:
                found[int(values[MARK])] = unescape(values["style"])
    return found


def _change(source: str, tag: Piece, own: Attribute | None, style: str) -> tuple[int, int, str]:
    """What to put where: into the element's own ``style``, or behind its name."""
    if own is None or own.start == own.end:
        place = tag.start + 1 + len(tag.name)
        return place, place, f' style="{style}"'
    quoted = source[own.start - 1] in "\"'"
    return own.start, own.end, style if quoted else f'"{style}"'


def _changed(source: str, changes: list[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end, text in changes:
        pieces += [source[position:start], text]
        position = end
    return "".join([*pieces, source[position:]])
