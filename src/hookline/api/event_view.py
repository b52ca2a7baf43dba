"""An event as it is shown, with the trace of what the hooks made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from hookline.api import waiting
from hookline.api.hook_view import is_on
from hookline.dispatch.standing import Wait
from hookline.model import AttemptError, Delivery, Event, Hook, State, Verdict, VerdictKind
from hookline.rules.effects import HITS
from hookline.rules.times import format_time
from hookline.storage import Storage

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
    """``note`` says in words when no hook acted. ``machine`` and ``machine_reason`` of an open or a click are what is
    known of it now; its data says what was known then."""

    trace: list[Trace]
    machine: bool | UnsetType = UNSET
    machine_reason: str | UnsetType | None = UNSET
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


async def traced(
    storage: Storage, event: Event, waits: Callable[[Delivery], Wait | None] = lambda delivery: None
) -> EventTraced:
    """An event with what each hook that looked at it said, and how its newest delivery stands."""
    deliveries = await _newest_deliveries(storage, event) if event.verdicts else {}
    trace: list[Trace] = []
    for verdict in event.verdicts:
        hook = await storage.hooks.get(event.tenant, verdict.hook)
        delivery = deliveries.get(verdict.hook)
        wait = waits(delivery) if delivery else None
        trace.append(
            Trace(
                hook=verdict.hook,
                hook_name=hook.spec.name if hook else None,
                verdict=verdict.verdict,
                detail=in_words(verdict, delivery, hook) + (f": {waiting.in_words(wait)}" if wait else ""),
                **(_standing(delivery) if delivery else {}),
            )
        )
    shown = EventTraced(**fields(event), trace=trace, note=_note(event))
    if event.type in HITS and event.message is not None:
        marks = await storage.figures.marks(event.tenant, [(event.message, event.id)])
        if event.id in marks:
            shown.machine, shown.machine_reason = marks[event.id]
    return shown


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


def in_words(verdict: Verdict, delivery: Delivery | None, hook: Hook | None) -> str:
    """What a hook made of an event, how its delivery stands and why, and what comes next."""
    said = verdict.detail or "it asked for this event"
    if delivery is not None and verdict.verdict == "matched":
        said += f"; the delivery {_state(delivery, hook)}"
    elif delivery is not None:
        said += f"; a replay brought it since, and that delivery {_state(delivery, hook)}"
    return said if hook is not None else f"{said}; the hook was deleted since"


def _state(delivery: Delivery, hook: Hook | None) -> str:
    failed = f"the last attempt failed ({delivery.error})" if delivery.error else ""
    at = "" if delivery.next_at is None else f" at {format_time(delivery.next_at)}"
    match delivery.state:
        case "waiting":
            return f"waits: {failed or 'its time has not come'}, the next is{at}"
        case "queued" if delivery.resume_state is not None:
            return "is next in its lane, for the extra attempt that was asked for"
        case "queued":
            return "is next in its lane" + (f"; {failed}" if failed else "")
        case "sending":
            return "is under way" + (f"; {failed}" if failed else "")
        case "succeeded":
            return "succeeded"
        case "failed":
            count = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
            return f"failed for good after {count} ({delivery.error}); a retry or a replay sends it again"
        case "held" if hook is not None and is_on(hook):
            return "was held when the hook was switched off, which it is no more; a replay sends it"
        case "held":
            return "is held while the hook is switched off; switched on, a replay sends it"
    return "was cancelled; nothing more comes of it"


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
