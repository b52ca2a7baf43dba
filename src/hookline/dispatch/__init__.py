"""Dispatching: deliveries are claimed, performed, decided upon and settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from hookline.actions import perform
from hookline.actions.work import Tools
from hookline.dispatch.lanes import READY, Lanes
from hookline.dispatch.settling import Settler
from hookline.intake import Intake
from hookline.model import SECOND, Delivery, Event, Kind, Outcome
from hookline.rules.ids import new_id
from hookline.rules.lifecycle import crashed
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.units import Accepted

log = structlog.get_logger("hookline.dispatch")

# What must not happen twice is claimed by a commit of its own just before the act, and never held ready.
BORN_LEASED: frozenset[Kind] = frozenset({"webhook", "slack", "contact"})
POLL = SECOND
HEARTBEAT_SECONDS = 1.0
DEAD_AFTER = 4 * SECOND
# What says "not now" to everybody, and not only to this delivery.
STATUS_TO_PAUSE = frozenset({429, 503})
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
        self._lanes.give_back(lane)

    def born(self, accepted: Sequence[Accepted]) -> None:
        for answer in accepted:
            for delivery in answer.deliveries:
                if delivery.owner == self.epoch:
                    self._begin(delivery, answer.event)
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
        for name, earliest, kind in await self._storage.deliveries.due():
            lane = self._lanes[name]
            room = lane.room(ahead=READY if kind in BORN_LEASED else 0)
            if earliest > now:
                later.append(earliest)
                lane.backlog = False
            elif lane.paused_until > now:
                later.append(lane.paused_until)
            elif room > 0:
                wanted.append((name, room))
                lane.reserved += room
            else:
                lane.backlog = True
        if wanted:
            await self._take(wanted, now)
        return min(later, default=None)

    async def _take(self, wanted: Sequence[tuple[str, int]], now: int) -> None:
        unused = dict(wanted)
        try:
            claimed = await self._storage.deliveries.claim(wanted, self.epoch, now)
            self._intake.expect_config(claimed.config)
            for delivery, event in claimed.work:
                unused[delivery.lane] -= 1
                self._lanes[delivery.lane].backlog = unused[delivery.lane] == 0
                self._begin(delivery, event)
        finally:
            for name, count in unused.items():
                self._lanes.give_back(name, count)

    async def idle(self) -> None:
        """Return when nothing is due and nothing is under way (for tests and the demo)."""
        while True:
            while self._tasks:
                await asyncio.wait(self._tasks)
            now = self._clock.now()
            due = [name for name, at, _ in await self._storage.deliveries.due() if at <= now]
            if all(self._lanes[name].paused_until > now for name in due) and not self._tasks:
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
        await self._storage.deliveries.hand_back(self._lanes.unbegun(), self._clock.now())
        await self._storage.deliveries.retire(self.epoch)

    # --- one delivery

    def _begin(self, delivery: Delivery, event: Event | None) -> None:
        if self._lanes.enter(delivery, event):
            task = asyncio.create_task(self._work(delivery, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, delivery: Delivery, event: Event | None) -> None:
        """One hand of a lane: this delivery, and then what is ready behind it."""
        lane = delivery.lane
        following: tuple[Delivery, Event | None] | None = (delivery, event)
        while following is not None and not self._stopping:
            try:
                await self._deliver(*following)
            except Exception:
                # What is not expected is a fault of ours: the delivery stays held, visible, and is taken
                # over as crashed at the next start; the log has the reason.
                log.exception("delivery stopped by a fault", delivery=following[0].id)
            following = self._lanes.leave(lane)
            if self._lanes.hungry(lane):
                self._wake.set()

    async def _deliver(self, delivery: Delivery, event: Event | None) -> None:
        started = self._clock.now()
        outcome = await self._perform(delivery, event)
        settling = asyncio.create_task(self._settle(delivery, outcome, started))
        self._tasks.add(settling)
        settling.add_done_callback(self._tasks.discard)

    async def _perform(self, delivery: Delivery, event: Event | None) -> Outcome:
        if event is None and delivery.event is not None:  # worked out anew: the contact moved on
            event = await self._storage.events.get(delivery.tenant, delivery.event)
        hook = await self._intake.hook(delivery.tenant, delivery.hook) if delivery.hook else None
        outcome = await perform(delivery, event, hook, self._intake.facts, self._tools)
        if outcome.status in STATUS_TO_PAUSE and outcome.retry_after is not None:
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
            else:
                self._wake.set()  # the loop may have to wake earlier than it planned
            return
