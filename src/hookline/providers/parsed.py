"""What a provider's module is handed, and what it hands back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from hookline.rules import cel, payload


class Incoming(Struct, frozen=True):
    """A call as it came: names of headers in lower case, the body's bytes unchanged."""

    headers: Mapping[str, str]
    body: bytes


class ParsedEvent(Struct, frozen=True, kw_only=True):
    """One event of a provider.

    ``type`` is one of ``email.*``, or ``<provider>.<its name>`` where we do not know its meaning; ``raw`` is
    its JSON as it came. ``id`` tells repeats apart, ``time`` is in microseconds, ``message`` a ``dlv_`` id
    that the provider gave back. ``facts`` are further keys of the event's ``data``, by the contract's names.
    """

    type: str
    raw: bytes
    id: str
    email: str | None = None
    time: int | None = None
    message: str | None = None
    facts: Mapping[str, Any] = {}


def split(body: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """The objects of a JSON array, or the one object, each as it came and as values with exact numbers.

    ValueError for anything else.
    """
    pieces: list[msgspec.Raw]
    try:
        if body.lstrip()[:1] == b"[":
            pieces = msgspec.json.decode(body, type=list[msgspec.Raw])
        else:
            pieces = [msgspec.json.decode(body, type=msgspec.Raw)]
        values = [cel.from_json(bytes(piece)) for piece in pieces]
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    found: list[tuple[bytes, dict[str, Any]]] = []
    for place, (piece, value) in enumerate(zip(pieces, values, strict=True)):
        if not isinstance(value, dict):
            raise ValueError(f"event {place} is not a JSON object")
        try:
            payload.check_depth(bytes(piece), value)
        except ValueError as error:
            raise ValueError(f"event {place}: {error}") from None
        found.append((bytes(piece), value))
    return found


def digest(value: Mapping[str, Any]) -> str:
    """An id for an event that has none: the same for the same event, however its JSON is spelled."""
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
