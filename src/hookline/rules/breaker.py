"""When a lane stops knocking at a receiver that is ill, and how it finds out that it is well again.

*Closed*, everything begins. Ten deliveries that failed in a row, over fifteen seconds at least, *open* it: a
count alone would punish a hiccup of many at once, a duration alone a single bad night; and what failed more
than a minute before the next did is forgotten, for such a lane does not knock too often. While it is
open nothing begins, for five seconds at first and a minute at most. Then it is *half open*: one delivery at
a time is the probe; an answer closes it, another failure opens it for longer.

Ill is a receiver that cannot be reached, does not answer, answers rubbish, or says itself that it fails
(5xx of HTTP, 429). Any other answer, even a refusal, comes from one that is at work.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hookline.model import SECOND, AttemptError, Outcome

FAILURES = 10
SPAN = 15 * SECOND
FORGOTTEN = 60 * SECOND
FIRST_PAUSE = 5 * SECOND
LONGEST_PAUSE = 60 * SECOND
JITTER = 0.1
UNREACHABLE: frozenset[AttemptError] = frozenset(
    {"timeout_connect", "timeout_read", "timeout_total", "dns", "refused", "reset", "tls", "protocol"}
)
Standing = Literal["closed", "open", "half_open"]
Health = Literal["well", "ill", "unknown"]


class Breaker(Struct, frozen=True):
    """``failures`` in a row: ``since`` then the first of them had begun, the newest was of the delivery ``last``
    and ended ``at``.

    ``until`` is when it is half open again, ``pause`` how long it was opened for, 0 while it is closed;
    ``probe`` is the delivery that is trying it out, "" while there is none.
    """

    failures: int = 0
    since: int = 0
    last: str = ""
    at: int = 0
    until: int = 0
    pause: int = 0
    probe: str = ""

    def standing(self, now: int) -> Standing:
        if self.pause == 0:
            return "closed"
        # A clock that was set back does not stretch the pause.
        return "open" if now < self.until <= now + round(LONGEST_PAUSE * (1 + JITTER)) else "half_open"


CLOSED = Breaker()


def health(outcome: Outcome) -> Health:
    """What an attempt says of its receiver. A pause that the receiver asked for is not for us to judge."""
    if outcome.error in UNREACHABLE:
        return "ill"
    if outcome.error == "smtp_permanent":  # a word about one recipient or one mail
        return "well"
    if outcome.status is None or (outcome.retry_after is not None and outcome.status in (429, 503)):
        return "unknown"
    return "ill" if outcome.status >= 500 or outcome.status == 429 else "well"


def probing(breaker: Breaker, delivery: str) -> Breaker:
    """A probe is on its way."""
    return replace(breaker, probe=delivery)


def heard(breaker: Breaker, said: Health, delivery: str, *, began: int, now: int, chance: float) -> Breaker:
    """The breaker after an attempt at ``delivery`` that ``began`` then and ended ``now``.

    ``chance`` in [0, 1) spreads the pauses of many processes by a tenth either way.
    """
    if said == "well":
        return CLOSED
    if said == "unknown":
        return replace(breaker, probe="") if breaker.probe == delivery else breaker
    if breaker.pause:
        if breaker.probe != delivery:  # what was under way when it opened says nothing new
            return breaker
        return _opened(breaker, min(breaker.pause * 2, LONGEST_PAUSE), now, chance)
    if breaker.failures == 0 or not breaker.at <= now <= breaker.at + FORGOTTEN:
        return Breaker(failures=1, since=min(began, now), last=delivery, at=now)
    # One delivery that fails again and again by its schedule is one bad delivery.
    failures = breaker.failures + (delivery != breaker.last)
    counted = replace(breaker, failures=failures, last=delivery, at=now)
    if failures < FAILURES or now - breaker.since < SPAN:
        return counted
    return _opened(counted, FIRST_PAUSE, now, chance)


def _opened(breaker: Breaker, pause: int, now: int, chance: float) -> Breaker:
    wait = round(pause * (1 - JITTER + 2 * JITTER * chance))
    return replace(breaker, until=now + wait, pause=pause, probe="")
