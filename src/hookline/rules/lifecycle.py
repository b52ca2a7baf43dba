"""The life of a delivery, as one table.

A delivery is owed from the commit of its event (or of its campaign's chunk) until it reaches an end.
It is either *pending* (``waiting`` for a time, or ``queued`` for a hand), *held by one process*
(``sending``), or *at rest* (``succeeded``, ``failed``, ``cancelled``, ``held``). Three things follow:

- only the process that holds a delivery may end an attempt, and it ends it once: storage refuses a
  settlement whose owner or attempt number is not the stored one;
- ``next_at`` is set just while it is pending, ``owner`` just while it is held: the database checks both;
- nothing leaves an end by itself: only a person's retry, or enabling a hook, makes it pending again.

Who may make which step stands beside it: ``accept`` (birth), ``claim``, ``settle``, ``user``, ``hook``
(a hook that is disabled, enabled or deleted).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hookline.model import DAY, SECOND, AttemptError, Delivery, Kind, Outcome, State

Actor = Literal["accept", "claim", "settle", "user", "hook"]
ENDS: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})
TRANSITIONS: dict[tuple[State, State], Actor] = {
    ("waiting", "sending"): "claim",
    ("queued", "sending"): "claim",
    ("queued", "waiting"): "claim",  # for its place under a throttle
    ("sending", "succeeded"): "settle",
    ("sending", "failed"): "settle",
    ("sending", "waiting"): "settle",
    ("sending", "queued"): "settle",
    ("sending", "cancelled"): "settle",
    ("waiting", "held"): "hook",
    ("queued", "held"): "hook",
    ("sending", "held"): "settle",
    ("held", "queued"): "user",
    ("held", "cancelled"): "user",
    ("failed", "queued"): "user",
    ("waiting", "queued"): "user",
    ("waiting", "cancelled"): "hook",
    ("queued", "cancelled"): "hook",
}
# What is done a second time by mistake only costs a receiver that dedupes by `webhook-id`.
REPEATABLE: frozenset[Kind] = frozenset({"webhook", "slack", "contact"})
LONGEST_RETRY_AFTER = DAY
JITTER = 0.1
SMTP_SCHEDULE = tuple(minutes * 60 * SECOND for minutes in (5, 15, 30, 60, 120, 240, 480, 960, 1440))


class Policy(Struct, frozen=True):
    """When a delivery is tried again: microseconds to wait after the first, second … failed try."""

    schedule: Sequence[int]


def allowed(before: State, after: State) -> bool:
    return (before, after) in TRANSITIONS


def settle(delivery: Delivery, outcome: Outcome, policy: Policy, now: int, chance: float) -> Delivery:
    """What becomes of a delivery that is being sent, after this outcome.

    ``chance`` in [0, 1) spreads retries by up to ten per cent either way, so that the deliveries that
    failed together do not come back together. A receiver's Retry-After moves a retry, never forward of
    what the schedule says, and it is not jittered: the receiver knows best.
    """
    attempted = replace(
        delivery,
        attempts=delivery.attempts + 1,
        owner=None,
        next_at=None,
        error=outcome.error,
        updated_at=now,
    )
    if outcome.result == "ok":
        return replace(attempted, state="succeeded", error=None, resume_state=None, resume_at=None)
    if outcome.error == "crashed" and delivery.kind not in REPEATABLE:
        return replace(attempted, state="failed")
    if (
        outcome.error == "crashed" and not outcome.fault
    ):  # back to work at once: the receiver did nothing wrong
        return replace(attempted, state="queued", next_at=now)
    if delivery.resume_state is not None:
        return _resumed(attempted, delivery.resume_state, now)
    tries = delivery.tries + 1
    attempted = replace(attempted, tries=tries)
    if outcome.result == "permanent" or tries > len(policy.schedule):
        return replace(attempted, state="failed")
    wait = policy.schedule[tries - 1]
    at = now + round(wait * (1 - JITTER + 2 * JITTER * chance))
    if outcome.retry_after is not None:
        at = max(at, now + min(outcome.retry_after, LONGEST_RETRY_AFTER))
    return replace(attempted, state="waiting", next_at=at)


def is_retry(delivery: Delivery) -> bool:
    """Whether the next attempt repeats one that failed. One that a person asks for counts as a first."""
    return delivery.tries > 0 and delivery.resume_state is None


def extra_attempt(delivery: Delivery, now: int) -> Delivery | None:
    """A delivery with one more attempt, now, at a person's wish; ``None`` where its state allows none.

    The schedule stays as it was: if the attempt fails, the delivery waits on, or is at the end that it had.
    """
    if delivery.state not in ("waiting", "failed", "held"):
        return None
    return replace(
        delivery,
        state="queued",
        next_at=now,
        updated_at=now,
        resume_state=delivery.state,
        resume_at=delivery.next_at,
    )


def _resumed(attempted: Delivery, state: State, now: int) -> Delivery:
    at = attempted.resume_at if state == "waiting" else None
    return replace(
        attempted,
        state=state,
        next_at=None if at is None else max(at, now),
        resume_state=None,
        resume_at=None,
    )


def faulted(detail: str) -> Outcome:
    """The outcome of an attempt that a fault of ours broke off: it goes by the schedule, lest it spin."""
    return Outcome(result="retry", error="crashed", detail=detail, fault=True)


def crashed(detail: str) -> Outcome:
    """The outcome of an attempt whose process died: nobody knows whether it was done."""
    error: AttemptError = "crashed"
    return Outcome(result="retry", error=error, detail=detail)
