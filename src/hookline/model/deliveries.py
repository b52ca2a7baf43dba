"""Deliveries, their attempts and outcomes, and replays."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hookline.model.common import AttemptError, Kind, ReplayState, State, Strict
from hookline.model.events import EventDraft


class Delivery(Struct, frozen=True, kw_only=True):
    """One action owed. ``owner`` is the epoch of the process that holds it, set just while ``sending``.

    ``order_key`` is what it is in order with, if with anything. ``attempts`` counts all tries, ``tries`` those
    that the schedule counts. ``resume_state`` and ``resume_at`` are where an extra attempt leads back to when
    it fails. A batch has ``size`` events of ``weight`` bytes together, of which ``event`` is the first; what is
    no batch has the size 0.
    """

    tenant: str
    id: str
    lane: str
    kind: Kind
    state: State
    created_at: int
    updated_at: int
    next_at: int | None = None
    hook: str | None = None
    campaign: str | None = None
    event: str | None = None
    contact: str | None = None
    address: str | None = None
    attempts: int = 0
    tries: int = 0
    order_key: str | None = None
    owner: str | None = None
    error: AttemptError | None = None
    resume_state: State | None = None
    resume_at: int | None = None
    replay: str | None = None
    depth: int = 0
    size: int = 0
    weight: int = 0
    seq: int = 0


class ReplayInput(Strict, frozen=True, kw_only=True):
    """Which deliveries of a hook to make anew. ``disabled`` stands for events that it did not see for that."""

    hook: str
    types: list[str] = []
    states: Annotated[list[ReplayState], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["failed", "held"]
    )
    since: str | None = None
    until: str | None = None
    dry_run: bool = False


class Replay(Struct, frozen=True, kw_only=True):
    """``done`` of ``total`` deliveries are made anew; ``cursor`` is the last place that was looked at."""

    tenant: str
    id: str
    spec: ReplayInput
    state: Literal["running", "finished", "stopped"]
    created_at: int
    since: int | None = None
    until: int | None = None
    cursor: int = 0
    until_seq: int = 0
    total: int = 0
    done: int = 0
    finished_at: int | None = None
    seq: int = 0


class Attempt(Struct, frozen=True, kw_only=True):
    """One try. ``request`` and ``response`` are JSON for people to read; secrets never show in them."""

    tenant: str
    id: str
    delivery: str
    number: int
    started_at: int
    finished_at: int
    outcome: Literal["ok", "retry", "permanent"]
    error: AttemptError | None = None
    detail: str = ""
    status: int | None = None
    request: bytes | None = None
    response: bytes | None = None


class ContactChange(Struct, frozen=True, kw_only=True):
    """A change of one contact that holds only if the contact is still at ``revision``."""

    contact: str
    revision: int
    attributes: bytes
    tags: tuple[str, ...]
    subscribe: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one attempt, before the lifecycle decides what follows.

    ``follow_ups`` are events that become true with this outcome; ``retry_after`` is in microseconds;
    ``fault`` says that it was our own code that failed.
    """

    result: Literal["ok", "retry", "permanent"]
    error: AttemptError | None = None
    detail: str = ""
    status: int | None = None
    request: bytes | None = None
    response: bytes | None = None
    retry_after: int | None = None
    disable_hook: str | None = None
    fault: bool = False
    follow_ups: tuple[EventDraft, ...] = ()
    change: ContactChange | None = None
