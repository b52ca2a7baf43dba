"""The clock that everything is handed: real time in production, the test's or the demo's own elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

log = structlog.get_logger("hookline")

STEP = 1_000_000_000  # nanoseconds: less than that is a clock that is kept in step


class Clock(Protocol):
    def now(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        ...

    async def wait(self, event: asyncio.Event, until: int | None) -> None:
        """Return when ``event`` is set or this clock has reached ``until`` (``None``: only by the event)."""
        ...


async def keep_going(
    name: str, clock: Clock, wake: asyncio.Event, step: Callable[[], Awaitable[int | None]], poll: int
) -> None:
    """Take ``step`` until cancelled: when woken, when it said that it would have more to do, and each ``poll``.

    Trouble, of whatever kind, is said once, waited out, and never ends the loop.
    """
    troubled = False
    while True:
        wake.clear()
        until: int | None = None
        try:
            until = await step()
            troubled = False
        except Exception as error:  # noqa: BLE001 - a loop that ends silently is worse than any error
            if not troubled:
                log.warning("trouble, waiting", loop=name, error=f"{type(error).__name__}: {error}")
            troubled = True
        at = clock.now() + poll
        await clock.wait(wake, at if until is None or troubled else min(until, at))


class Turns:
    """Steps that cost much, of many tasks that are ready at once, are taken over several rounds of the event loop:
    who else waits for it, such as a reader's request, waits for ``seconds`` of them and not for all. While there is
    something more ``urgent``, each is put off for ``pause`` seconds, which slows them down and never stops them."""

    def __init__(
        self,
        seconds: float = 0.0005,
        steady: Callable[[], float] = time.perf_counter,
        pause: float = 0.1,
    ) -> None:
        self._seconds, self._steady, self._pause = seconds, steady, pause
        self.urgent: Callable[[], bool] = lambda: False
        self._began: float | None = None

    async def mine(self) -> None:
        """Return when the next step is ours."""
        if self.urgent():
            await asyncio.sleep(self._pause)
        while self._began is not None and self._steady() - self._began > self._seconds:  # noqa: ASYNC110 - a round is waited for
            await asyncio.sleep(0)
        if self._began is None:
            self._began = self._steady()
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._began = None


class RealClock:
    """The machine's clock, as long as it does not go back.

    When somebody sets it back, time goes on from where it was, until the next start: nothing that waits for its
    time waits the difference longer, and nothing ends before it began. A step forward is followed. ``wall`` and
    ``steady``, which nobody can set, are in nanoseconds.
    """

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall, self._steady = wall, steady
        self._offset = self._lowest = wall() - steady()

    def now(self) -> int:
        wall = self._wall()  # read first: a pause between the two must not look like a step forward
        steady = self._steady()
        offset = wall - steady
        if offset > self._offset:
            self._offset = self._lowest = offset
        elif self._lowest - offset > STEP:
            self._lowest = offset
            seconds = round((self._offset - offset) / 1e9)
            log.warning(
                "the machine's clock was set back; ours goes on until the next start", seconds=seconds
            )
        return (steady + self._offset) // 1000

    async def wait(self, event: asyncio.Event, until: int | None) -> None:
        # Waking at least once a minute keeps a stepped clock from stretching a wait.
        seconds = 60.0 if until is None else min(60.0, max(0.0, (until - self.now()) / 1_000_000))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


class ManualClock:
    """Time that passes only when it is told to: for tests, and for the demo's compressed days."""

    def __init__(self, start: int) -> None:
        self._now = start
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Event]] = []

    def now(self) -> int:
        return self._now

    def advance(self, micros: int) -> None:
        """Let time pass; whoever waited for a moment that has come is woken."""
        self._now += micros
        while self._waiting and self._waiting[0][0] <= self._now:
            heapq.heappop(self._waiting)[2].set()

    async def wait(self, event: asyncio.Event, until: int | None) -> None:
        if until is not None:
            if until <= self._now:
                await asyncio.sleep(0)
                return
            heapq.heappush(self._waiting, (until, next(self._order), event))
        await event.wait()
