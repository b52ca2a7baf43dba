"""A row of a CSV file as a change of a contact: what its columns mean, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from hookline.rules import cel, payload
from hookline.rules.charsets import Charset, Unreadable
from hookline.rules.contacts import Change, Wrong, check_email, check_name, check_phone, check_tags

MAX_COLUMNS = 500
TYPES = ("text", "number", "boolean", "json")
ATTRIBUTES = "attributes."
FIELDS = ("email", "phone", "status", "tags", "lists", "unsubscribed_lists")
_EMAIL = ("e-mail", "mail", "email address", "e-mail address", "email_address")
NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_STATUSES = {"active": "active", "subscribed": "active", "unsubscribed": "unsubscribed"}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Column(Struct, frozen=True):
    """``field`` is one of ``FIELDS``, or "" for the attribute ``name`` of ``type``."""

    field: str
    name: str = ""
    type: str = "text"


class Row(Struct, frozen=True):
    """One row, or one line of JSON, checked: lists are as they are named there."""

    change: Change
    lists: tuple[str, ...] = ()
    unsubscribed_lists: tuple[str, ...] = ()


def read_header(names: Sequence[str], types: Mapping[str, str]) -> list[Column | None]:
    """What the columns mean, ``None`` for one without a name; ValueError, in words, for what cannot be.

    ``types`` are those of attributes, by their columns' names; a header may name one itself, as in
    ``balance:number``.
    """
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"a file has at most {MAX_COLUMNS} columns; this one has {len(names)}")
    columns = [_column(name.strip(), types) if name.strip() else None for name in names]
    seen: set[tuple[str, str]] = set()
    for column in columns:
        if column is not None and (column.field, column.name) in seen:
            raise ValueError(f"two columns are named {column.field or column.name!r}")
        if column is not None:
            seen.add((column.field, column.name))
    if ("email", "") not in seen:
        shown = ", ".join(repr(name.strip()[:40]) for name in names[:10])
        raise ValueError(
            f"no column is named email; the first line names the columns, and here it is: {shown}"
        )
    known = {column.name for column in columns if column is not None and not column.field}
    for name in types:
        if name not in known:
            raise ValueError(f"there is no column {name!r} to be of a type")
    return columns


def _column(name: str, types: Mapping[str, str]) -> Column:
    field = name.lower().replace(" ", "_") if name.lower() not in _EMAIL else "email"
    if field in FIELDS:
        return Column(field)
    name = name[len(ATTRIBUTES) :] if name.lower().startswith(ATTRIBUTES) else name
    shorter, colon, type_ = name.rpartition(":")
    if colon and type_ in TYPES:
        name = shorter
    else:
        type_ = types.get(name, "text")
    try:
        check_name(name)
    except Wrong as error:
        raise ValueError(f"the column {name[:40]!r}: {error.detail}") from None
    return Column("", name, type_)


def read_types(text: str) -> dict[str, str]:
    """``balance:number,vip:boolean`` as types by columns' names; ValueError for what is not."""
    types: dict[str, str] = {}
    for part in text.split(","):
        name, colon, type_ = part.strip().rpartition(":")
        if not colon or not name or type_ not in TYPES:
            raise ValueError(f"types are as in balance:number,vip:boolean; there are {', '.join(TYPES)}")
        types[name.removeprefix(ATTRIBUTES)] = type_
    return types


def read_row(columns: Sequence[Column | None], cells: Sequence[bytes], charset: Charset) -> Row | None:
    """One row; ``None`` for an empty one. An empty cell leaves things as they are. Raises Wrong."""
    if len(cells) != len(columns) and not (len(cells) > len(columns) and not any(cells[len(columns) :])):
        if len(cells) == 1 and not cells[0].strip():
            return None
        raise Wrong("", f"the line has {len(cells)} columns, the first line has {len(columns)}")
    fields: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for column, cell in zip(columns, cells, strict=False):
        if not cell:
            continue
        if column is None:
            raise Wrong("", "there is something in a column without a name")
        pointer = f"/{column.field}" if column.field else f"/attributes/{column.name}"
        try:
            text = charset.text(cell)
        except Unreadable as error:
            raise Wrong(pointer, str(error)) from None
        if "\0" in text:
            raise Wrong(pointer, "a text cannot contain NUL characters")
        if not column.field:
            attributes[column.name] = _value(pointer, column.type, text)
        elif column.field in ("lists", "unsubscribed_lists"):
            lists[column.field] = tuple(_several(pointer, text))
        elif text.strip():
            fields[column.field] = _field(column.field, text.strip())
    if not (fields or attributes or lists):
        return None
    if "email" not in fields:
        raise Wrong("/email", "there is no address")
    return Row(Change(fields=fields, attributes=attributes), **lists)


def _field(name: str, text: str) -> object:
    if name == "email":
        return check_email(text)
    if name == "phone":
        return check_phone(text)
    if name == "tags":
        return check_tags(_several("/tags", text))
    if text.lower() not in _STATUSES:
        raise Wrong("/status", f"a status is active or unsubscribed, not {text[:40]!r}")
    return _STATUSES[text.lower()]


def _several(pointer: str, text: str) -> list[str]:
    """``a;b``, ``a,b`` or ``["a","b"]``."""
    if not text.lstrip().startswith("["):
        parts = [part.strip() for part in text.split(";" if ";" in text else ",")]
        return [part for part in parts if part]
    value = _json(pointer, text)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Wrong(pointer, 'several are written a;b or ["a","b"]')
    return value


def _value(pointer: str, type_: str, text: str) -> object:
    if type_ == "text":
        return text
    short = text.strip()
    if type_ == "number":
        if not NUMBER.fullmatch(short):
            raise Wrong(pointer, f"{short[:40]!r} is no number such as 1000.50")
        return Decimal(short) if "." in short else int(short)
    if type_ == "boolean":
        if short.lower() not in _TRUTHS:
            raise Wrong(pointer, f"{short[:40]!r} is not true or false")
        return _TRUTHS[short.lower()]
    return _json(pointer, text)


def _json(pointer: str, text: str) -> object:
    raw = text.encode()
    try:
        value = cel.from_json(raw)
        payload.check_depth(raw, value)
    except ValueError as error:
        raise Wrong(pointer, f"this cannot be read as JSON: {error}") from None
    if "\\u0000" in text:
        raise Wrong(pointer, "a text cannot contain NUL characters")
    return value
