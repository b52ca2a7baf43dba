"""An event as it is shown, with the trace of what the hooks made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from hookline.model import AttemptError, Delivery, Event, State, VerdictKind
from hookline.rules.times import format_time
from hookline.storage import Storage

WORDS: Mapping[State, str] = {
    "waiting": "it asked for this event; the delivery waits for the time of its next attempt",
    "queued": "it asked for this event; the delivery is next in its lane",
    "sending": "it asked for this event; the delivery is under way",
    "succeeded": "it asked for this event; the delivery succeeded",
    "failed": "it asked for this event; the delivery failed",
    "cancelled": "it asked for this event; the delivery was cancelled",
    "held": "it asked for this event; the delivery is held while the hook is switched off",
}

PAGE = 250


class EventShown(Struct, kw_only=True):
    """``data`` is as its publisher sent it; ``envelope`` holds the attributes of a CloudEvent beside ours."""

    id: str
    type: str
    source: str
    source_id: str | None
    subject: str | None
    time: str
    accepted_at: str
    data: Any = UNSET
    envelope: Any = UNSET
    cause: str | None
    depth: int
    campaign: str | None
    message: str | None


class Trace(Struct, frozen=True, kw_only=True):
    """What one hook made of an event. ``hook_name`` is ``null`` once the hook is deleted."""

    hook: str
    hook_name: str | None
    verdict: VerdictKind
    detail: str
    delivery: str | None = None
    state: State | None = None
    attempts: int | None = None
    next_attempt_at: str | None = None
    error: AttemptError | None = None


class EventTraced(EventShown, kw_only=True):
    """``note`` says in words when no hook acted."""

    trace: list[Trace]
    note: str | UnsetType = UNSET


def fields(event: Event) -> dict[str, Any]:
    """The fields of ``EventShown``."""
    return {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "source_id": event.source_id,
        "subject": event.subject,
        "time": format_time(event.time),
        "accepted_at": format_time(event.accepted_at),
        "data": Raw(event.data) if event.data else UNSET,
        "envelope": Raw(event.envelope) if event.envelope else UNSET,
        "cause": event.cause,
        "depth": event.depth,
        "campaign": event.campaign,
        "message": event.message,
    }


def shown(event: Event) -> EventShown:
    return EventShown(**fields(event))


async def traced(storage: Storage, event: Event) -> EventTraced:
    """An event with what each hook that looked at it said, and how its newest delivery stands."""
    deliveries = await _newest_deliveries(storage, event) if event.verdicts else {}
    trace: list[Trace] = []
    for verdict in event.verdicts:
        hook = await storage.hooks.get(event.tenant, verdict.hook)
        delivery = deliveries.get(verdict.hook)
        trace.append(
            Trace(
                hook=verdict.hook,
                hook_name=hook.spec.name if hook else None,
                verdict=verdict.verdict,
                detail=verdict.detail or (WORDS[delivery.state] if delivery else ""),
                **(_standing(delivery) if delivery else {}),
            )
        )
    return EventTraced(**fields(event), trace=trace, note=_note(event))


async def _newest_deliveries(storage: Storage, event: Event) -> dict[str | None, Delivery]:
    """The newest of each hook: a replay may have brought the event many times."""
    newest: dict[str | None, Delivery] = {}
    before: int | None = None
    while True:
        found = await storage.deliveries.page(event.tenant, event=event.id, limit=PAGE, before=before)
        for delivery in found:
            newest.setdefault(delivery.hook, delivery)
        if len(found) < PAGE:
            return newest
        before = found[-1].seq


def _standing(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery": delivery.id,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": None if delivery.next_at is None else format_time(delivery.next_at),
        "error": delivery.error,
    }


def _note(event: Event) -> str | UnsetType:
    if not event.verdicts:
        return f"no hook asked for {event.type} events"
    if not any(verdict.verdict == "matched" for verdict in event.verdicts):
        return f"hooks asked for {event.type} events, but none acted on this one; the trace says why"
    return UNSET
