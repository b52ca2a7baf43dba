"""Contacts, their lists and segments, imports and erasing."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hookline.model.common import Strict


class Contact(Struct, frozen=True, kw_only=True):
    """``attributes`` is a JSON object as text; numbers in it are exact decimals."""

    tenant: str
    id: str
    email: str | None
    created_at: int
    updated_at: int
    phone: str | None = None
    attributes: bytes = b"{}"
    tags: tuple[str, ...] = ()
    status: Literal["active", "unsubscribed"] = "active"
    revision: int = 1
    seq: int = 0


class DoubleOptIn(Strict, frozen=True, kw_only=True):
    """How members of a list are asked whether they want to be on it; ``redirect`` is where they go then."""

    from_: str = msgspec.field(name="from")
    subject: Annotated[str, Meta(min_length=1, max_length=998)] = "Please confirm your subscription"
    html: str | None = None
    text: str | None = None
    redirect: str | None = None


class ContactList(Struct, frozen=True, kw_only=True):
    tenant: str
    id: str
    name: str
    created_at: int
    double_opt_in: DoubleOptIn | None = None
    seq: int = 0


class ImportSpec(Struct, frozen=True, kw_only=True):
    """How a file is read into contacts. ``list`` is the id of one to join, ``size`` the file's, where known."""

    format: Literal["csv", "ndjson"]
    list: str | None = None
    charset: str | None = None
    types: dict[str, str] = {}
    events: bool = True
    resubscribe: bool = False
    confirmed: bool = False
    size: int | None = None


class Import(Struct, frozen=True, kw_only=True):
    """A file being read. Up to ``position`` bytes and ``line`` lines are committed; ``digest`` is of these.

    ``kept_out`` are rows whose contact has left a list, or all, and was not put back.
    """

    tenant: str
    id: str
    spec: ImportSpec
    created_at: int
    updated_at: int
    state: Literal["running", "stopped", "finished"] = "running"
    position: int = 0
    line: int = 0
    digest: bytes = b""
    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    kept_out: int = 0
    bad: int = 0
    seq: int = 0


class LineFault(Struct, frozen=True):
    """What is wrong with a line of a file; ``field`` is "" where it is the line as a whole."""

    line: int
    field: str
    detail: str


class Erasure(Struct, frozen=True, kw_only=True):
    """A person who is being erased: ``cursor`` is the last place looked at, up to ``until_seq``.

    ``email`` and ``phone`` are forgotten when it is done; ``mark`` stands in their place. ``erased`` counts events.
    """

    tenant: str
    id: str
    contact: str
    mark: str
    created_at: int
    email: str | None = None
    phone: str | None = None
    state: Literal["running", "finished"] = "running"
    cursor: int = 0
    until_seq: int = 0
    erased: int = 0
    finished_at: int | None = None
    seq: int = 0


class Segment(Struct, frozen=True, kw_only=True):
    """The contacts for whom ``condition``, in CEL, holds."""

    tenant: str
    id: str
    name: str
    condition: str
    created_at: int
    updated_at: int
    seq: int = 0


class Suppression(Struct, frozen=True, kw_only=True):
    """An address that is not mailed. ``list`` is "" where all lists are meant."""

    tenant: str
    address: str
    reason: Literal["hard_bounce", "complaint", "unsubscribe", "manual", "invalid"]
    created_at: int
    list: str = ""
    event: str | None = None
    seq: int = 0
