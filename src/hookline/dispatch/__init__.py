"""Dispatching: deliveries are claimed, performed, decided upon and settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from hookline.actions import REASONS_TO_PAUSE, perform
from hookline.actions.work import Tools
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.settling import Settler
from hookline.intake import Intake
from hookline.model import SECOND, Delivery, Event, Kind, Outcome
from hookline.rules.ids import new_id
from hookline.rules.lifecycle import crashed
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.units import Accepted

log = structlog.get_logger("hookline.dispatch")

# What must not happen twice is claimed by a commit of its own just before the act.
BORN_LEASED: frozenset[Kind] = frozenset({"webhook", "slack", "contact"})
POLL = SECOND
HEARTBEAT_SECONDS = 1.0
DEAD_AFTER = 4 * SECOND
CRASHED = "the process stopped while it held this delivery; whether it was done is not known"


class Dispatcher:
    """Works off deliveries. One for each process, under an ``epoch`` that is its name in the database.

    ``chance`` gives numbers in [0, 1) for jitter. ``settled`` is called with every delivery that has
    reached an end, so that a campaign may notice that it is over.
    """

    def __init__(self, storage: Storage, intake: Intake, tools: Tools, chance: Callable[[], float]) -> None:
        self._storage = storage
        self._intake = intake
        self._tools = tools
        self._clock = tools.clock
        self._lanes = Lanes()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.epoch = new_id("prc")
        self.settled: Callable[[Delivery], None] = lambda delivery: None
        self._settler = Settler(storage, intake, tools.clock, chance)
        intake.reserve, intake.release, intake.born = self.reserve, self.release, self.born

    # --- what intake is handed

    def reserve(self, lane: str, kind: Kind) -> str | None:
        if self._stopping or kind not in BORN_LEASED:
            return None
        return self.epoch if self._lanes.reserve(lane, self._clock.now()) else None

    def release(self, lane: str) -> None:
        if self._lanes.release(lane, self._clock.now()):
            self._wake.set()

    def born(self, accepted: Sequence[Accepted]) -> None:
        for answer in accepted:
            for delivery in answer.deliveries:
                if delivery.owner == self.epoch:
                    self._spawn(delivery, answer.event)
                else:
                    self._wake.set()

    def wake(self) -> None:
        """There is something new to claim."""
        self._wake.set()

    # --- the loop

    async def start(self) -> None:
        """Say that we live, and take back what processes that died have left open."""
        now = int(self._tools.wall() * SECOND)
        await self._storage.deliveries.heartbeat(self.epoch, now)
        # One process owns a SQLite file, so whoever else is on record there is dead.
        alone = self._storage.dialect == "sqlite"
        await self.take_over(now + 1 if alone else now - DEAD_AFTER)

    async def take_over(self, dead_before: int) -> None:
        """Settle the open deliveries of dead processes as crashed: back to work, or at an end."""
        while orphans := await self._storage.deliveries.take_over(self.epoch, dead_before):
            await asyncio.gather(
                *(self._settle(orphan, crashed(CRASHED), orphan.updated_at) for orphan in orphans)
            )

    async def run(self) -> None:
        """Claim what is due until cancelled; an outage of the database is waited out."""
        away = False
        while not self._stopping:
            self._wake.clear()
            try:
                until = await self.claim()
                away = False
            except StorageUnavailable as error:
                if not away:
                    log.warning("storage away, waiting", error=str(error))
                away, until = True, None
            poll = self._clock.now() + POLL
            await self._clock.wait(self._wake, poll if until is None else min(until, poll))

    async def beat(self) -> None:
        """Keep the heart beating, and look for the dead, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = int(self._tools.wall() * SECOND)
            try:
                await self._storage.deliveries.heartbeat(self.epoch, now)
                if self._storage.dialect != "sqlite":
                    await self.take_over(now - DEAD_AFTER)
            except StorageUnavailable:
                continue

    async def claim(self) -> int | None:
        """Take and start what is due and has room in its lane; when to look again, if that is known."""
        now = self._clock.now()
        wanted: list[tuple[str, int]] = []
        later: list[int] = []
        for name, earliest in await self._storage.deliveries.due():
            lane = self._lanes[name]
            free = lane.free(now)
            if earliest > now:
                later.append(earliest)
                lane.backlog = False
            elif free > 0:
                wanted.append((name, free))
                lane.running += free
            elif lane.paused_until > now:
                later.append(lane.paused_until)
            else:
                lane.backlog = True
        if wanted:
            await self._take(wanted, now)
        return min(later, default=None)

    async def _take(self, wanted: Sequence[tuple[str, int]], now: int) -> None:
        places = dict(wanted)
        try:
            claimed = await self._storage.deliveries.claim(wanted, self.epoch, now)
        except BaseException:
            for name, free in wanted:
                self._lanes[name].running -= free
            raise
        for delivery in claimed:
            places[delivery.lane] -= 1
            self._spawn(delivery, None)
        for name, left in places.items():
            lane = self._lanes[name]
            lane.running -= left
            lane.backlog = left == 0  # a full catch: there may be more

    async def idle(self) -> None:
        """Return when nothing is due and nothing is under way (for tests and the demo)."""
        while True:
            while self._tasks:
                await asyncio.wait(self._tasks)
            now = self._clock.now()
            if not any(at <= now for _, at in await self._storage.deliveries.due()) and not self._tasks:
                return
            await self.claim()
            await asyncio.sleep(0)

    async def stop(self, grace: float) -> None:
        """Start nothing new, give what is under way ``grace`` seconds, and leave the rest to be taken over."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._settler.close()
        await self._storage.deliveries.retire(self.epoch)

    # --- one delivery

    def _spawn(self, delivery: Delivery, event: Event | None) -> None:
        task = asyncio.create_task(self._work(delivery, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, delivery: Delivery, event: Event | None) -> None:
        try:
            started = self._clock.now()
            outcome = await self._perform(delivery, event)
            await self._settle(delivery, outcome, started)
        except Exception:
            # What is not expected is a fault of ours: the delivery stays held, visible, and is taken over
            # as crashed at the next start; the log has the reason.
            log.exception("delivery stopped by a fault", delivery=delivery.id)
        finally:
            self.release(delivery.lane)

    async def _perform(self, delivery: Delivery, event: Event | None) -> Outcome:
        if event is None and delivery.event is not None:
            event = await self._storage.events.get(delivery.tenant, delivery.event)
        hook = await self._intake.hook(delivery.tenant, delivery.hook) if delivery.hook else None
        outcome = await perform(delivery, event, hook, self._intake.facts, self._tools)
        if outcome.error in REASONS_TO_PAUSE and outcome.retry_after is not None:
            self._lanes.pause(delivery.lane, self._clock.now() + outcome.retry_after)
        return outcome

    async def _settle(self, delivery: Delivery, outcome: Outcome, started: int) -> None:
        while True:
            settled = await self._settler.settle(delivery, outcome, started)
            if settled is None:  # the contact has moved on: work the change out anew
                outcome = await self._perform(delivery, None)
                continue
            if settled.next_at is None:
                self.settled(settled)
            elif settled.next_at <= self._clock.now():
                self._wake.set()
            else:
                self._wake.set()  # the loop may have to wake earlier than it planned
            return
