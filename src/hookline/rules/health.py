"""When a hook is given up: nothing but failures, for so long and so many of them.

Time alone would switch off a hook of one event a week for one bad afternoon, a count alone one that is busy for a
bad minute.
"""

from __future__ import annotations

from hookline.model import DAY, AttemptError, Outcome
from hookline.rules.times import format_time

LONG = 5 * DAY
MANY = 50
# What the receiver has no part in.
OURS: frozenset[AttemptError] = frozenset({"suppressed", "cancelled", "crashed"})


def well(outcome: Outcome) -> bool | None:
    """Whether the hook can be delivered to, as far as this outcome tells; ``None`` where it tells nothing."""
    if outcome.result == "ok":
        return True
    return None if outcome.error in OURS else False


def given_up(since: int, failures: int, now: int) -> str | None:
    """Why a hook of which everything failed ``since`` then, ``failures`` deliveries, is switched off now, if it is."""
    if failures < MANY or now - since < LONG:
        return None
    days = (now - since) // DAY
    return f"every delivery failed for {days} days, {failures} of them since {format_time(since)}"
