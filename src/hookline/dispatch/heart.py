"""The heart of a process: it beats by the database's clock, so that others know whose work is to be taken over.

One that has not beaten for ``DEAD_AFTER`` counts as dead. That is six beats: a process that is busy, a collection
of garbage or a slow commit delay a few of them, not all; and who was late himself judges nobody, for perhaps
everybody was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from hookline.model import SECOND
from hookline.storage import Storage

log = structlog.get_logger("hookline.dispatch")

BEAT_SECONDS = 0.5
DEAD_AFTER = 3 * SECOND
LATE_SECONDS = 1.5
BEATS_BEFORE_JUDGING = 3  # after an outage everybody's heart has stood still: let the others beat first


class Heart:
    """Beats under ``epoch``. ``regain`` is called at the first beat after a silence in which others may have
    taken what this process holds, before it goes on. ``seconds`` is a clock that only goes forward."""

    def __init__(
        self,
        storage: Storage,
        epoch: str,
        regain: Callable[[], Awaitable[None]],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._epoch = epoch
        self._regain = regain
        self._seconds = seconds
        self._born = seconds()
        self._last: float | None = None
        self._steady = 0
        self._beaten = asyncio.Event()
        self.sees_dead = False

    @property
    def stands_still(self) -> bool:
        """Whether others may take this process for dead. One whose heart does not run is alone, as with SQLite."""
        return self._last is not None and self._seconds() - self._last >= DEAD_AFTER / SECOND

    @property
    def may_judge(self) -> bool:
        """Whether it has beaten in time often enough to say of another that it is dead."""
        return self._steady >= BEATS_BEFORE_JUDGING and not self.stands_still

    async def beating(self) -> None:
        """Return when it does not stand still."""
        while self.stands_still:
            self._beaten.clear()
            await self._beaten.wait()

    async def register(self) -> None:
        """Say for the first time that this process lives."""
        self._born = self._seconds()
        await self._storage.deliveries.heartbeat(self._epoch, DEAD_AFTER)

    async def beat(self) -> None:
        """Say once that this process lives. StorageUnavailable when there is nobody to say it to."""
        began = self._seconds()  # no later than the time that the database writes down
        self.sees_dead = await self._storage.deliveries.heartbeat(self._epoch, DEAD_AFTER)
        if self.stands_still:
            await self._regain()
        late = self._last is not None and began - self._last > LATE_SECONDS
        self._steady = 0 if late else self._steady + 1
        self._last = began
        self._beaten.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        self._last = self._born
        missed = False
        while True:
            try:
                await self.beat()
                missed = False
            except Exception as error:  # noqa: BLE001 - a heart that stops is a process that is robbed
                if not missed:
                    log.warning("the heart misses beats", error=str(error))
                missed = True
                self._steady = 0
            await asyncio.sleep(BEAT_SECONDS)
