"""How a lane stands in this process: what holds it back, and until when."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hookline.dispatch.lanes import Lane
from hookline.model import Delivery
from hookline.rules import breaker

Reason = Literal["asked", "ill", "probing", "rate", "concurrency"]


class Wait(Struct, frozen=True):
    """Why what is due does not begin, and when it may, where that is known.

    ``asked``: the receiver wants to be left alone for a while; ``ill``: it fails, so it is left alone;
    ``probing``: one delivery at a time finds out whether it still does; ``rate`` and ``concurrency``: of the hook.
    """

    reason: Reason
    until: int | None = None


class Health(Struct, frozen=True):
    """What this process thinks of a lane's receiver: ``failures`` in a row, ``until`` of a breaker that is open."""

    breaker: breaker.Standing = "closed"
    failures: int = 0
    until: int | None = None


def health(lane: Lane | None, now: int) -> Health:
    if lane is None:
        return Health()
    standing = lane.breaker.standing(now)
    return Health(standing, lane.breaker.failures, lane.breaker.until if standing == "open" else None)


def wait(lane: Lane | None, delivery: Delivery, now: int) -> Wait | None:
    """What keeps a delivery waiting beyond its time."""
    if lane is None or delivery.next_at is None:
        return None
    until = lane.waits_until(now)
    if lane.paused_until > now:
        return Wait("asked", lane.paused_until)
    standing = lane.breaker.standing(now)
    if standing == "open":
        return Wait("ill", lane.breaker.until)
    if delivery.state == "waiting" and delivery.next_at > now:
        return None
    if standing == "half_open":
        return Wait("probing")
    if lane.held_up == "rate" and until is not None:
        return Wait("rate", until)
    return Wait("concurrency") if lane.held_up == "concurrency" else None
