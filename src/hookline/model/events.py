"""Events: facts, and drafts of them."""

from __future__ import annotations

from msgspec import Struct

from hookline.model.common import VerdictKind


class Verdict(Struct, frozen=True, omit_defaults=True):
    """What one hook said to one event, in a word of the closed list and in words."""

    hook: str
    verdict: VerdictKind
    detail: str = ""


class Event(Struct, frozen=True, kw_only=True):
    """A fact. ``envelope`` holds CloudEvents attributes that have no column of their own, as JSON."""

    tenant: str
    id: str
    type: str
    source: str
    time: int
    accepted_at: int
    data: bytes = b""
    source_id: str | None = None
    subject: str | None = None
    cause: str | None = None
    depth: int = 0
    envelope: bytes | None = None
    campaign: str | None = None
    message: str | None = None
    seq: int = 0
    verdicts: tuple[Verdict, ...] = ()


class EventDraft(Struct, frozen=True, kw_only=True):
    """An event before it has an id and a place: what publishers, providers and actions hand to intake.

    ``time`` is ``None`` where the publisher gave none; it becomes the time of acceptance. ``cause`` is the
    delivery that led to it and ``cause_hook`` that delivery's hook, which must not see the event.
    ``first_wins``: the same ``source_id`` again is a duplicate, though its body may be another.
    """

    type: str
    source: str
    data: bytes = b""
    source_id: str | None = None
    subject: str | None = None
    time: int | None = None
    envelope: bytes | None = None
    cause: str | None = None
    cause_hook: str | None = None
    depth: int = 0
    first_wins: bool = False
