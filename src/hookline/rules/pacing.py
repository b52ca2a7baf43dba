"""How fast a lane may go: at most ``count`` attempts in any span of ``per``, and what that leaves now.

A sliding window and not a bucket that refills: a bucket lets twice its size pass within one period, and a
receiver that allows ten a second answers the eleventh with 429, whatever average was meant. What was spent
is kept as a short row of (time, number), neighbours joined once they lie closer together than a
thirty-second of the period, at the later of their times: that may delay an attempt by as much, and
never lets one through too early.

Between being taken and being on the wire passes some time, and not always as much. So what begins now counts as spent
a *leeway* later: begun by then, no span holds too many. What has not begun by then is counted anew.

Times are integer microseconds by the clock that is handed in. One that was set back finds what was spent in
its future: that counts as spent now (with its leeway), so that the lane neither stands still for an hour nor floods.
"""

from __future__ import annotations

from msgspec import Struct

from hookline.model import SECOND
from hookline.rules.addresses import normalise

PARTS = 32
MOST_LEEWAY = SECOND // 20
Spent = tuple[tuple[int, int], ...]


class Rate(Struct, frozen=True):
    """At most ``count`` in any ``per`` microseconds."""

    count: int
    per: int

    @property
    def leeway(self) -> int:
        """How much later than it was taken an attempt may begin, in microseconds."""
        return min(2 * self.per // PARTS, MOST_LEEWAY)


class Pace(Struct, frozen=True):
    """What holds a lane back, whichever process works on it. A lane that has one is *paced*.

    ``concurrency`` is how many may be under way at once in all processes together; ``ordered`` says that
    one delivery of a subject follows another.
    """

    rate: Rate | None = None
    concurrency: int | None = None
    ordered: bool = False

    def order_key(self, subject: str | None, delivery: str, batches: str | None) -> str | None:
        """What a delivery is in order with, if with anything: see ``order_key``."""
        return order_key(subject, delivery, batches) if self.ordered else None


def current(spent: Spent, rate: Rate, now: int) -> Spent:
    """What still counts of what was spent."""
    kept = [(min(at, now + rate.leeway), count) for at, count in spent]
    return tuple((at, count) for at, count in kept if at > now - rate.per)


def left(spent: Spent, rate: Rate, now: int) -> int:
    """How many attempts may begin now."""
    return max(0, rate.count - sum(count for _, count in current(spent, rate, now)))


def spend(spent: Spent, rate: Rate, now: int, count: int) -> Spent:
    """What is spent after ``count`` attempts that begin now, or within the leeway."""
    kept = current(spent, rate, now)
    if count == 0:
        return kept
    by = now + rate.leeway
    if len(kept) > 1 and by - kept[-2][0] <= rate.per // PARTS:
        return (*kept[:-1], (by, kept[-1][1] + count))
    return (*kept, (by, count))


def postpone(spent: Spent, rate: Rate, at: int, now: int, count: int) -> Spent:
    """What is spent where ``count`` attempts that were taken at ``at`` begin only now."""
    rest, kept = count, []
    for by, number in spent:
        ours = min(number, rest) if by >= at + rate.leeway else 0  # joined with neighbours it may stand later
        rest -= ours
        kept += [(by, number - ours)] if number > ours else []
    return spend(tuple(kept), rate, now, count)


def next_free(spent: Spent, rate: Rate, now: int) -> int:
    """When the next attempt may begin: now, or when enough of what was spent has become old."""
    kept = current(spent, rate, now)
    excess = sum(count for _, count in kept) - rate.count
    for at, count in kept:
        if excess < 0:
            break
        excess -= count
        now = at + rate.per
    return now


def order_key(subject: str | None, delivery: str, batches: str | None) -> str:
    """What a delivery is in order with: its event's subject; without one it is alone, under its own name.

    A batch has many subjects: ``batches``, the name of its lane, is what all batches are in order with.
    """
    if batches is not None or not subject:
        return batches or delivery
    return normalise(subject) if "@" in subject else subject
