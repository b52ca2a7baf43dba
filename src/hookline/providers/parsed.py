"""What a provider's module is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Incoming(Struct, frozen=True):
    """A call as it came: names of headers in lower case, the body's bytes unchanged.

    ``url`` is the public URL that was called, with its query; ``now`` is real time in seconds; ``fetched``
    holds what was at the URL that the provider's ``wanted`` named.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    query: Mapping[str, str] = {}
    now: float = 0.0
    fetched: Mapping[str, bytes] = {}


class ParsedEvent(Struct, frozen=True, kw_only=True):
    """One event of a provider; ``raw`` is its JSON as it came.

    ``type`` is one of ``email.*``; or ``<provider>.<its name>``, which ``known`` says is meant so and not
    just a name that we do not know. ``id`` tells repeats apart; where it is "", a digest of ``raw`` does.
    ``time`` is in microseconds. ``message`` is a ``dlv_`` id that the provider gave back, ``email`` the
    recipient; a report is about our message only where that was its recipient. ``ours`` is the type instead
    for such a message, of which the mailer has told more than the provider knows. ``facts`` are further keys of
    the event's ``data``, by the contract's names.

    The others are for events that are not about mail, whose ``data`` is ``raw``: ``subject`` is what
    it is about, ``envelope`` CloudEvents attributes that have no field of their own, as JSON.
    """

    type: str
    raw: bytes
    id: str = ""
    email: str | None = None
    time: int | None = None
    message: str | None = None
    ours: str | None = None
    facts: Mapping[str, Any] = {}
    known: bool = False
    subject: str | None = None
    envelope: bytes | None = None
