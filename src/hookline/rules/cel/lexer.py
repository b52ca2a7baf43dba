"""Source text to tokens, after the lexis of the CEL language definition (section "Syntax")."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, NamedTuple

from hookline.rules.cel.errors import CelError, error_at
from hookline.rules.cel.values import EXACT, INT_LIMIT

Kind = Literal["literal", "name", "quoted", "mark", "end"]

_TOKEN = re.compile(
    r"""
      (?P<space>  (?: [\t\n\f\r\ ]+ | //[^\r\n]* )+ )
    | (?P<string> [bB]? [rR]? (?: ''' | \"\"\" | ' | " ) )
    | (?P<double> [0-9]* \. [0-9]+ (?: [eE] [+-]? [0-9]+ )? | [0-9]+ [eE] [+-]? [0-9]+ )
    | (?P<int>    (?: 0[xX] [0-9a-fA-F]+ | [0-9]+ ) [uU]? )
    | (?P<name>   [A-Za-z_] [A-Za-z0-9_]* )
    | (?P<quoted> ` [A-Za-z0-9_.\-/\ ]+ ` )
    | (?P<mark>   && | \|\| | == | != | <= | >= | [-+*/%!?:.,<>()\[\]{}] )
    """,
    re.VERBOSE,
)
# The inside of a string, from behind the opening quote up to the closing one.
_INSIDE = {
    "'": re.compile(r"(?:[^'\\\r\n]|\\[^\r\n])*"),
    '"': re.compile(r'(?:[^"\\\r\n]|\\[^\r\n])*'),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*", re.DOTALL),
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*', re.DOTALL),
}
_INSIDE_RAW = {
    "'": re.compile(r"[^'\r\n]*"),
    '"': re.compile(r'[^"\r\n]*'),
    "'''": re.compile(r"(?:[^']|'(?!''))*"),
    '"""': re.compile(r'(?:[^"]|"(?!""))*'),
}
_ESCAPE = re.compile(
    r"""\\ (?: (?P<plain> [abfnrtv?"'`\\] )
    | (?: [xX] (?P<byte> [0-9a-fA-F]{2} ) | (?P<octal> [0-3] [0-7]{2} ) )
    | (?: u (?P<short> [0-9a-fA-F]{4} ) | U (?P<long> [0-9a-fA-F]{8} ) )
    | (?P<wrong> . ) )""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HINTS = {
    "=": "; '==' compares",
    "&": "; 'and' is written '&&'",
    "|": "; 'or' is written '||'",
}


class Token(NamedTuple):
    """One word of the source. A literal carries its value."""

    kind: Kind
    text: str
    start: int
    end: int
    value: int | Decimal | str | bytes | None = None


def tokenize(source: str) -> list[Token]:
    """The tokens of ``source``, the last of kind ``end``. Raises ``CelError``."""
    tokens = []
    position = 0
    while position < len(source):
        found = _TOKEN.match(source, position)
        if found is None:
            character = source[position]
            hint = _HINTS.get(character, "")
            raise error_at(source, position, f"the character {character!r} does not belong here{hint}")
        kind, end = found.lastgroup, found.end()
        if kind == "string":
            token = _string(source, position, end)
        elif kind in ("int", "double"):
            token = Token("literal", found[0], position, end, _number(source, position, found[0], kind))
        elif kind == "quoted":
            token = Token("quoted", found[0][1:-1], position, end)
        else:
            token = Token("name" if kind == "name" else "mark", found[0], position, end)
        if kind != "space":
            tokens.append(token)
        position = token.end
    tokens.append(Token("end", "", position, position))
    return tokens


def _number(source: str, start: int, text: str, kind: str) -> int | Decimal:
    if kind == "double":
        try:
            return EXACT.create_decimal(text)
        except ArithmeticError:
            detail = "decimals have up to 34 digits and lie between 1e-100 and 1e100"
            raise error_at(source, start, f"the number {text} cannot be kept exactly: {detail}") from None
    digits = text.rstrip("uU")
    value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    if value >= INT_LIMIT:
        raise error_at(source, start, f"the number {text} is too large: whole numbers have up to 127 bits")
    return value


def _string(source: str, start: int, inside: int) -> Token:
    opening = source[start:inside]
    prefix = opening.rstrip("'\"").lower()
    quote = opening[len(prefix) :]
    found = (_INSIDE_RAW if "r" in prefix else _INSIDE)[quote].match(source, inside)
    end = found.end() if found else inside
    if not source.startswith(quote, end):
        raise error_at(source, start, f"this string is not closed: {quote} is missing")
    body = source[inside:end]
    value: str | bytes
    if "r" in prefix:
        value = body.encode() if "b" in prefix else body
    elif "b" in prefix:
        value = _bytes(source, inside, body)
    else:
        value = _text(source, inside, body)
    return Token("literal", source[start : end + len(quote)], start, end + len(quote), value)


def _text(source: str, inside: int, body: str) -> str:
    def replace(escape: re.Match[str]) -> str:
        code = escape["byte"] or escape["short"] or escape["long"]
        if escape["plain"]:
            return _PLAIN.get(escape["plain"], escape["plain"])
        number = int(code, 16) if code else int(escape["octal"] or "-1", 8)
        if not 0 <= number <= 0x10FFFF:
            raise _wrong_escape(source, inside, escape)
        return chr(number)

    text = _ESCAPE.sub(replace, body)
    try:  # two surrogates make a character, one alone makes none
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise error_at(source, inside, "this string holds half of a surrogate pair") from None


def _bytes(source: str, inside: int, body: str) -> bytes:
    parts = []
    position = 0
    for escape in _ESCAPE.finditer(body):
        parts.append(body[position : escape.start()].encode())
        position = escape.end()
        if escape["plain"]:
            parts.append(_PLAIN.get(escape["plain"], escape["plain"]).encode())
        elif escape["byte"] or escape["octal"]:
            octet = int(escape["byte"], 16) if escape["byte"] else int(escape["octal"], 8)
            parts.append(bytes([octet]))
        else:
            raise _wrong_escape(source, inside, escape)
    return b"".join(parts) + body[position:].encode()


def _wrong_escape(source: str, inside: int, escape: re.Match[str]) -> CelError:
    offset = inside + escape.start()
    return error_at(source, offset, f"the escape {escape[0]} is not known here; a backslash is written \\\\")
