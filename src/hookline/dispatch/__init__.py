"""Dispatching: deliveries are claimed, performed, decided upon and settled."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from hookline.actions import perform
from hookline.actions.work import Tools
from hookline.clock import keep_going
from hookline.dispatch.heart import DEAD_AFTER, Heart
from hookline.dispatch.lanes import CONCURRENCY, READY, Lanes
from hookline.dispatch.settling import GROUP, Done, Settler
from hookline.intake import Intake
from hookline.model import DAY, MINUTE, SECOND, Delivery, Event, Kind, Outcome
from hookline.rules.ids import new_id
from hookline.rules.lifecycle import LONGEST_RETRY_AFTER, crashed, faulted
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.units import Accepted

log = structlog.get_logger("hookline.dispatch")

# What must not happen twice is claimed by a commit of its own just before the act, and never held ready.
BORN_LEASED: frozenset[Kind] = frozenset({"webhook", "slack", "contact"})
MAIL_HANDS = 8  # a lane claims no more mails than there are connections to the SMTP server
# Changes of contacts go one after another: side by side they would only undo each other.
HANDS: dict[Kind, int] = {"email": MAIL_HANDS, "contact": 1}
POLL = SECOND
LOOK = SECOND // 2  # for the dead
LOOK_THOROUGHLY_EVERY = 10  # looks: for what a dead process has left that nobody saw dying, and for strays
LAST_WORDS_SECONDS = 3.0
# What says "not now" to everybody, and not only to this delivery.
STATUS_TO_PAUSE = frozenset({429, 503})
CRASHED = "the process stopped while it held this delivery; whether it was done is not known"
STRAYED = "the database did not say whether it had stored this delivery; whether it was done is not known"


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
        self._hands: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._done: deque[Done] = deque()
        self._gathering = False
        self._held: set[str] = set()
        self._strays: set[str] = set()
        self._stopping = False
        self._claiming = asyncio.Lock()
        self.epoch = new_id("prc")
        self.settled: Callable[[Delivery], None] = lambda delivery: None
        self._heart = Heart(storage, self.epoch, self._regain)
        self._looks = 0
        self._settler = Settler(storage, intake, tools.clock, chance)
        intake.reserve, intake.release, intake.born = self.reserve, self.release, self.born

    @property
    def _shared(self) -> bool:
        """Whether other processes may work on this database."""
        return self._storage.dialect != "sqlite"

    # --- what intake is handed

    def reserve(self, lane: str, kind: Kind) -> str | None:
        if self._stopping or kind not in BORN_LEASED:
            return None
        self._lanes[lane].limit = HANDS.get(kind, CONCURRENCY)
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

    # --- the loops

    async def start(self) -> None:
        """Say that we live. One process owns a SQLite file: what others left open there is ours at once."""
        await self._storage.deliveries.heartbeat(self.epoch, DEAD_AFTER)
        if count := await self._storage.deliveries.from_the_future(self._clock.now()):
            log.warning("the clock was set back: deliveries were moved to wait no longer", count=count)
        if not self._shared:
            await self.take_over(-DAY)

    async def take_over(self, dead_after: int) -> None:
        """Settle the open deliveries of dead processes as crashed: back to work, or at an end."""
        while orphans := await self._storage.deliveries.take_over(self.epoch, dead_after):
            self._held |= {orphan.id for orphan in orphans}
            await asyncio.gather(*(self._settle(o, crashed(CRASHED), o.updated_at) for o in orphans))

    async def run(self) -> None:
        """Claim what is due until cancelled; an outage of the database is waited out."""
        await keep_going("dispatch", self._clock, self._wake, self.claim, POLL)

    async def beat(self) -> None:
        """Keep the heart beating until cancelled, where there are others to hear it."""
        if self._shared:
            await self._heart.run()

    async def watch(self) -> None:
        """Look for the dead, and for what we hold without knowing, until cancelled."""
        await keep_going("watch", self._clock, asyncio.Event(), self._look, LOOK)

    async def _look(self) -> None:
        self._looks += 1
        thoroughly = self._looks % LOOK_THOROUGHLY_EVERY == 0
        if self._shared:
            if not self._heart.may_judge:  # as while the database is away
                return
            if thoroughly or self._heart.sees_dead:
                await self.take_over(DEAD_AFTER)
        if thoroughly:
            await self.recover_strays()

    async def _regain(self) -> None:
        """We were silent for so long that others may have taken what we held: forget what is ours no more."""
        before = set(self._held)
        owned = {delivery.id for delivery in await self._storage.deliveries.owned(self.epoch)}
        self._held -= before - owned

    async def recover_strays(self) -> None:
        """Settle as crashed what the database says that we hold and we, twice in a row, do not.

        A commit whose answer was lost on the way leaves such deliveries: stored, and unknown to us.
        """
        owned = await self._storage.deliveries.owned(self.epoch)
        strays = {delivery.id: delivery for delivery in owned if delivery.id not in self._held}
        again = [strays[name] for name in strays.keys() & self._strays]
        self._strays = strays.keys() - {delivery.id for delivery in again}
        self._held |= {delivery.id for delivery in again}
        await asyncio.gather(*(self._settle(d, crashed(STRAYED), d.updated_at) for d in again))

    async def claim(self) -> int | None:
        """Take and start what is due and has room in its lane; when to look again, if that is known."""
        async with self._claiming:
            if self._stopping or self._settler.waiting:  # what is known is written down before more is done
                return None
            return await self._claim(self._clock.now())

    async def _claim(self, now: int) -> int | None:
        due = await self._storage.deliveries.due()
        if self._intake.expect_config(due.config):
            self._lanes.resume_all()  # a hook that was changed may have another receiver
        for delivery, event in self._lanes.resume(now):
            self._spawn(delivery, event)
        wanted: list[tuple[str, int]] = []
        later: list[int] = [until for until in (self._lanes.next_resume(),) if until is not None]
        for name, earliest, kind in due.lanes:
            lane = self._lanes[name]
            lane.limit = HANDS.get(kind, CONCURRENCY)
            room = self._lanes.room(name, ahead=READY if kind in BORN_LEASED else 0)
            if earliest > now:
                later.append(earliest)
                lane.backlog = False
            elif lane.paused_until > now:
                lane.backlog = True
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
            while busy := self._hands | self._settling:
                await asyncio.wait(busy)
            await self.claim()
            now = self._clock.now()
            due = (await self._storage.deliveries.due()).lanes
            ready = [name for name, at, _ in due if at <= now and self._lanes[name].paused_until <= now]
            if not ready and not self._hands and not self._settling:
                return
            await asyncio.sleep(0)

    async def stop(self, grace: float) -> None:
        """Start nothing new and give what is under way ``grace`` seconds.

        What was not begun goes back; what is cut off is taken over by another process, as after a crash.
        """
        self._stopping = True
        self._wake.set()
        end = time.monotonic() + grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(1.0, grace)), self._claiming:
                pass  # what was being claimed is under way now, and waited for like the rest
        while (busy := self._hands | self._settling) and (left := end - time.monotonic()) > 0:
            await asyncio.wait(busy, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)
        if self._settling:  # what was done is written down, if the database lets us
            await asyncio.wait(self._settling, timeout=max(1.0, end - time.monotonic()))
        for settling in self._settling:
            settling.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._storage.deliveries.hand_back(self._lanes.unbegun(), self._clock.now())
                await self._storage.deliveries.retire(self.epoch)
        except (StorageUnavailable, TimeoutError) as error:
            log.warning("storage away at the end; another process takes over", error=str(error))

    # --- one delivery

    def _begin(self, delivery: Delivery, event: Event | None) -> None:
        self._held.add(delivery.id)
        if self._lanes.enter(delivery, event, self._clock.now()):
            self._spawn(delivery, event)

    def _spawn(self, delivery: Delivery, event: Event | None) -> None:
        task = asyncio.create_task(self._work(delivery, event))
        self._hands.add(task)
        task.add_done_callback(self._hands.discard)

    async def _work(self, delivery: Delivery, event: Event | None) -> None:
        """One hand of a lane: this delivery, and then what is ready behind it."""
        lane = delivery.lane
        following: tuple[Delivery, Event | None] | None = (delivery, event)
        while following is not None:
            await self._heart.beating()
            if following[0].id in self._held:  # and nobody has taken it for a dead one's
                await self._deliver(*following)
            following = None if self._stopping else self._lanes.leave(lane, self._clock.now())
            if self._lanes.hungry(lane):
                self._wake.set()

    async def _deliver(self, delivery: Delivery, event: Event | None) -> None:
        started = self._clock.now()
        outcome = await self._attempt(delivery, event)
        if delivery.kind == "contact":
            await self._settle(delivery, outcome, started)
            return
        done = Done(delivery, outcome, started, self._clock.now())
        if not done.plain:
            self._later(self._settle(delivery, outcome, started))
            return
        self._done.append(done)
        if not self._gathering:
            self._gathering = True
            self._later(self._settle_plain())

    def _later(self, settle: Coroutine[Any, Any, None]) -> None:
        settling = asyncio.create_task(settle)
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _attempt(self, delivery: Delivery, event: Event | None) -> Outcome:
        """Make one attempt, once the database has given what it needs. Only cancellation comes out."""
        while True:
            try:
                outcome = await self._perform(delivery, event)
            except StorageUnavailable:  # nothing was done yet: every action reads before it acts
                await self._clock.wait(asyncio.Event(), self._clock.now() + SECOND)
            except Exception as error:
                log.exception("a fault in an attempt", delivery=delivery.id)
                return faulted(f"a fault in Hookline: {type(error).__name__}; its log has more")
            else:
                if outcome.status in STATUS_TO_PAUSE and outcome.retry_after is not None:
                    pause = min(outcome.retry_after, LONGEST_RETRY_AFTER)
                    self._lanes.pause(delivery.lane, self._clock.now() + pause)
                if outcome.disable_hook is not None:  # until it is switched off, nothing more begins
                    self._lanes.pause(delivery.lane, self._clock.now() + MINUTE)
                return outcome

    async def _perform(self, delivery: Delivery, event: Event | None) -> Outcome:
        if event is None and delivery.event is not None:  # worked out anew: the contact moved on
            event = await self._storage.events.get(delivery.tenant, delivery.event)
        hook = await self._intake.hook(delivery.tenant, delivery.hook) if delivery.hook else None
        return await perform(delivery, event, hook, self._intake.facts, self._tools)

    async def _settle_plain(self) -> None:
        """Nearly every delivery ends here: those that are done together, without a task for each."""
        try:
            while self._done:
                group = [self._done.popleft() for _ in range(min(GROUP, len(self._done)))]
                settled: Sequence[Delivery | None] = [None] * len(group)
                with contextlib.suppress(
                    Exception
                ):  # whatever it is, it shows when each is settled by itself
                    settled = await self._settler.settle_plain(group)
                for one, after in zip(group, settled, strict=True):
                    if after is None:
                        self._later(self._settle(one.delivery, one.outcome, one.started))
                    else:
                        self._ended(after)
        finally:
            self._gathering = False

    async def _settle(self, delivery: Delivery, outcome: Outcome, started: int) -> None:
        settled = await self._settler.settle(delivery, outcome, started)
        while settled is None:  # the contact has moved on: work the change out anew
            outcome = await self._attempt(delivery, None)
            settled = await self._settler.settle(delivery, outcome, started)
        self._ended(settled)
        if outcome.disable_hook is not None:
            self._wake.set()

    def _ended(self, settled: Delivery) -> None:
        self._held.discard(settled.id)
        if settled.next_at is None:
            self.settled(settled)
        else:
            self._wake.set()  # the loop may have to wake earlier than it planned
