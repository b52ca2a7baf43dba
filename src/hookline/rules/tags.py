"""Where template syntax stands in a source, and what of it is refused before minijinja sees it.

minijinja's fuel bounds loops, strings and most filters, but it is spent only after a list was written
out, and its compiler recurses on the native stack. So four things are settled here, on the source:

* an expression is short (``MAX_TAG``) and ``elif`` chains are, so that the compiler's stack suffices;
* what composes templates (macros, blocks, includes) is not offered: a macro may call itself;
* ``set`` cannot double a list again and again: each name gets a *weight*, the sum of the weights of what
  it is made from plus one, and a weight has a ceiling;
* ``*`` multiplies numbers and repeats text, never a list: both its operands pass a filter (``number``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

MAX_TAG = 4_000  # characters; 4,000 nested operators compile on a stack of 2 MiB
MAX_ELIF = 500
MAX_WEIGHT = 50
OPERAND_FILTER = "_operand"

_OPEN = re.compile(r"\{\{|\{%|\{#")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_ENDRAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_STRING = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'"
_PIECE = re.compile(_STRING + r"|[{}]|%\}", re.S)
_TOKEN = re.compile(_STRING + r"|[^\W\d]\w*|\d\w*(?:\.\d\w*)?|\*\*|//|[=!<>]=|\S", re.S)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CONSTANTS = frozenset(("true", "false", "none", "True", "False", "None"))
_WORDS = _CONSTANTS.union(("and", "or", "not", "in", "is", "if", "else", "elif", "for", "recursive"))
_REFUSED = frozenset(("include", "import", "from", "extends", "block", "macro", "call"))
# What minijinja has for text, maps, lists and ``loop``: nothing that a template is given has another.
_METHODS = frozenset(
    (
        "capitalize", "changed", "count", "cycle", "endswith", "find", "get", "isalnum", "isalpha", "isascii",
        "isdigit", "islower", "isnumeric", "isspace", "isupper", "items", "join", "keys", "lower", "lstrip",
        "replace", "rfind", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper", "values",
    )
)  # fmt: skip
_BINDING = frozenset(("set", "with", "for", "filter", "do"))


class TemplateError(Exception):
    """A template that cannot be used, or that failed; ``line`` and ``column`` count from 1 where known."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column

    def __str__(self) -> str:
        if self.line is None:
            return self.message
        place = f"line {self.line}" + (f", column {self.column}" if self.column is not None else "")
        return f"{place}: {self.message}"


def error_at(source: str, position: int, message: str) -> TemplateError:
    """The error at a character position of the source."""
    before = source[:position]
    return TemplateError(message, before.count("\n") + 1, position - before.rfind("\n"))


class Tag(NamedTuple):
    """One piece of template syntax: ``source[start:end]``, delimiters included."""

    kind: Literal["expression", "statement", "comment", "raw"]
    start: int
    end: int


def tags(source: str) -> Iterator[Tag]:
    """The template syntax of a source, in order; a ``raw`` block is one tag.

    Raises ``TemplateError`` at a tag that is never closed.
    """
    position = 0
    while opening := _OPEN.search(source, position):
        start, mark = opening.start(), opening[0]
        if raw := _RAW.match(source, start):
            endraw = _ENDRAW.search(source, raw.end())
            tag = Tag("raw", start, endraw.end() if endraw else -1)
        elif mark == "{#":
            end = source.find("#}", start + 2)
            tag = Tag("comment", start, end + 2)
        else:
            end = _end(source, start + 2, mark)
            tag = Tag("expression" if mark == "{{" else "statement", start, end)
        if tag.end < start + 2:
            raise error_at(source, start, f"{mark} is never closed")
        yield tag
        position = tag.end


def _end(source: str, position: int, mark: str) -> int:
    """Where an expression or statement ends, or -1; braces of maps are balanced, strings skipped."""
    depth = 0
    for piece in _PIECE.finditer(source, position):
        if piece[0] == "%}" and mark == "{%":
            return piece.end()
        if piece[0] == "{":
            depth += 1
        elif piece[0] in ("}", "%}"):
            if depth == 0 and mark == "{{" and source.startswith("}}", piece.end() - 1):
                return piece.end() + 1
            depth -= depth > 0
    return -1


class Word(NamedTuple):
    """A token of a tag, with its place in the source."""

    text: str
    start: int
    end: int


def words(source: str, tag: Tag) -> list[Word]:
    """The tokens between the delimiters of an expression or statement."""
    matches = _TOKEN.finditer(source, tag.start + 2, tag.end - 2)
    found = [Word(match[0], match.start(), match.end()) for match in matches]
    if found and found[0].text in "-+":
        del found[0]
    return found[:-1] if found and found[-1].text == "-" else found


def references(found: list[Word]) -> list[Word]:
    """The names of an expression that stand for values: no attributes, filters, tests or keywords."""
    names = []
    for index, word in enumerate(found):
        before = found[index - 1].text if index else ""
        if word.text[0].isidentifier() and word.text not in _WORDS and before not in (".", "|", "is"):
            names.append(word)
    return names


def used_names(source: str) -> Iterator[tuple[Literal["filter", "test"], Word]]:
    """The filters and tests that a source names."""
    for tag in tags(source):
        if tag.kind not in ("expression", "statement"):
            continue
        found = words(source, tag)
        for index, word in enumerate(found[1:], 1):
            if not word.text[0].isidentifier() or word.text in _WORDS:
                continue
            before = found[index - 1].text
            if before == "|" or (index == 1 and before == "filter" and tag.kind == "statement"):
                yield "filter", word
            elif before == "is" or (before == "not" and index > 1 and found[index - 2].text == "is"):
                yield "test", word


def guarded(source: str) -> str:
    """The source as the engine may have it; ``TemplateError`` for what is refused (see above)."""
    weights: dict[str, int] = {}
    inserts: list[int] = []
    elifs = 0
    for tag in tags(source):
        if tag.kind not in ("expression", "statement"):
            continue
        if tag.end - tag.start > MAX_TAG:
            raise error_at(source, tag.start, f"an expression is longer than {MAX_TAG} characters")
        found = words(source, tag)
        if not found:
            continue
        keyword = found[0].text if tag.kind == "statement" else ""
        elifs += keyword == "elif"
        if keyword in _REFUSED:
            raise error_at(source, found[0].start, f"{keyword!r} is not available in templates")
        if elifs > MAX_ELIF:
            raise error_at(source, found[0].start, f"more than {MAX_ELIF} elif")
        _refuse_words(source, found)
        if keyword in _BINDING or tag.kind == "expression":
            _weigh(source, found, keyword, weights)
        inserts += _operands(source, found)
    for position in sorted(inserts, reverse=True):
        source = f"{source[:position]}|{OPERAND_FILTER}{source[position:]}"
    return source


def _refuse_words(source: str, found: list[Word]) -> None:
    for index, word in enumerate(found[1:], 1):
        before = found[index - 1].text
        after = found[index + 1].text if index + 1 < len(found) else ""
        if before == "." and word.text == "format":  # its width pads before any fuel is spent
            raise error_at(source, word.start, "the method 'format' is not available: use the filter")
        if before == "." and after == "(" and word.text not in _METHODS:
            raise error_at(source, word.start, f"unknown method {word.text!r}")
        if before in (")", "]") and word.text == "(":
            raise error_at(source, word.start, "a value cannot be called")
        if before == "|" and word.text == "tojson" and after == "(":  # so does its indentation
            raise error_at(source, word.start, "'tojson' takes no arguments")
        if word.text == "recursive" and found[0].text == "for":
            raise error_at(source, word.start, "recursive loops are not available")


def _weigh(source: str, found: list[Word], keyword: str, weights: dict[str, int]) -> None:
    """Add up what an expression is made from, and give the sum to the names that it binds."""
    split = next((i for i, word in enumerate(found) if word.text in ("=", "in")), 0) if keyword else 0
    made_from = found[split + 1 :] if keyword else found
    weight = 1 + sum(weights.get(word.text, 1) for word in references(made_from))
    if weight > MAX_WEIGHT:
        raise error_at(source, found[0].start, f"made of too much: more than {MAX_WEIGHT} values in one")
    bound = references(found[1:split])
    bound += [word for word, after in pairwise(found) if after.text == "="]
    for word in bound:
        weights[word.text] = max(weight, weights.get(word.text, 1))


def _operands(source: str, found: list[Word]) -> list[int]:
    """The positions behind both operands of each ``*``."""
    positions = []
    for index, word in enumerate(found):
        if word.text == "*" and 0 < index < len(found) - 1 and found[index - 1].text not in "(,":
            positions += [found[index - 1].end, found[_operand_end(found, index + 1)].end]
    return positions


def _operand_end(found: list[Word], index: int) -> int:
    """The index of the last token of the unary expression that begins at ``index``."""
    last = len(found) - 1
    while index < last and found[index].text in ("-", "+", "not"):
        index += 1
    index = _group_end(found, index)
    while index < last:
        following = found[index + 1].text
        if following in (".", "|") and index + 2 <= last:
            index += 2
        elif following in ("(", "["):
            index = _group_end(found, index + 1)
        else:
            break
    return index


def _group_end(found: list[Word], index: int) -> int:
    """The index of the bracket that closes the one at ``index``; ``index`` where there is none."""
    opening = found[index].text
    closing = _CLOSING.get(opening)
    depth = 0
    for place in range(index, len(found)) if closing else ():
        depth += (found[place].text == opening) - (found[place].text == closing)
        if depth == 0:
            return place
    return index
