"""What may stand at a place of a body, where that is one of a few words: for errors that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.inspect import (
    CollectionType,
    DictType,
    EnumType,
    LiteralType,
    Metadata,
    StructType,
    Type,
    UnionType,
    type_info,
)

MOST_SHOWN = 50


def choices(kind: Any, steps: Sequence[str] = ()) -> list[str]:
    """The words that may stand where ``steps`` (names and places) lead to in a value of type ``kind``; none where it is
    not words that stand there."""
    found: list[Type] = [type_info(kind)]
    for step in steps:
        found = [inner for one in found for inner in _inside(one, step)]
    return list(dict.fromkeys(word for one in found for word in _words(one)))


def said(value: str, words: Sequence[str]) -> str:
    """What to say of a ``value``, as it was quoted, that is none of the words."""
    value = value if len(value) <= MOST_SHOWN else value[:MOST_SHOWN] + "…'"
    return f"must be {'one of ' if len(words) > 1 else ''}{', '.join(words)}; not {value}"


def _inside(kind: Type, step: str) -> Iterator[Type]:
    match kind:
        case UnionType(types=types):
            for one in types:
                yield from _inside(one, step)
        case Metadata(type=inner):
            yield from _inside(inner, step)
        case StructType(fields=fields, tag_field=tag_field, tag=tag):
            if tag is not None and step == tag_field:
                yield LiteralType((tag,))
            yield from (field.type for field in fields if field.encode_name == step)
        case CollectionType(item_type=inner) | DictType(value_type=inner):
            yield inner


def _words(kind: Type) -> Iterator[str]:
    match kind:
        case UnionType(types=types):
            for one in types:
                yield from _words(one)
        case Metadata(type=inner):
            yield from _words(inner)
        case LiteralType(values=values):
            yield from map(str, values)
        case EnumType(cls=cls):
            yield from (str(one.value) for one in cls)
