"""Contacts as rows of a CSV file and as lines of JSON, so that an import reads them back as they were: pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from msgspec import Struct

from hookline.model import Contact
from hookline.rules import cel
from hookline.rules.rows import ATTRIBUTES, FIELDS, NUMBER, TYPES

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Listed(Struct, frozen=True):
    """A contact with the names of the lists that it is on, and of those that it has left."""

    contact: Contact
    lists: Sequence[str]
    left: Sequence[str]


def line_of(listed: Listed) -> bytes:
    """One line of JSON, as an import takes it."""
    contact = listed.contact
    fields: dict[str, Any] = {
        "email": contact.email,
        "phone": contact.phone,
        "status": contact.status,
        "tags": list(contact.tags),
        "lists": list(listed.lists),
        "unsubscribed_lists": list(listed.left),
        "attributes": cel.from_json(contact.attributes),
    }
    return cel.to_json({name: value for name, value in fields.items() if value is not None}) + b"\n"


def note_types(contact: Contact, types: dict[str, str]) -> None:
    """Put down of what type each attribute's column has to be, for this contact and those before."""
    for name, value in _attributes(contact).items():
        type_ = _type(value)
        if types.setdefault(name, type_) != type_:
            types[name] = "json"


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | Decimal):
        return "number" if NUMBER.fullmatch(_json(value)) else "json"
    return "text" if isinstance(value, str) and value else "json"  # an empty cell would be no text at all


def header_of(types: Mapping[str, str]) -> list[str]:
    return [*FIELDS, *(ATTRIBUTES + _named(name, type_) for name, type_ in types.items())]


def _named(name: str, type_: str) -> str:
    plain = type_ == "text" and name.rpartition(":")[2] not in TYPES and name == name.strip()
    return name if plain else f"{name}:{type_}"


def cells_of(listed: Listed, types: Mapping[str, str], *, safe: bool) -> list[str]:
    """One row, below ``header_of(types)``; ``safe`` keeps spreadsheets from taking a text for a formula."""
    contact = listed.contact
    attributes = _attributes(contact)
    texts = [_several(contact.tags), _several(listed.lists), _several(listed.left)]
    guard = _guarded if safe else str
    cells = [guard(contact.email or ""), contact.phone or "", contact.status, *map(guard, texts)]
    for name, type_ in types.items():
        value = attributes.get(name)
        if name not in attributes:
            cells.append("")
        elif type_ != "json" and isinstance(value, str):
            cells.append(guard(value))
        else:
            cells.append(_json(value))
    return cells


def _attributes(contact: Contact) -> dict[str, Any]:
    return cast("dict[str, Any]", cel.from_json(contact.attributes))


def _json(value: object) -> str:
    return cel.to_json(value).decode()


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _several(names: Sequence[str]) -> str:
    plain = not any(
        ";" in name or "," in name or name != name.strip() or name.startswith("[") for name in names
    )
    return ";".join(names) if plain else _json(list(names))


def csv_of(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as RFC 4180 has them."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode()
