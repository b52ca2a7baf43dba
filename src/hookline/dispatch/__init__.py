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
from hookline.actions.work import CompiledHook, Invalid, Tools
from hookline.clock import keep_going
from hookline.dispatch import standing
from hookline.dispatch.claiming import Claimer
from hookline.dispatch.heart import DEAD_AFTER, Heart
from hookline.dispatch.heeding import Heeder
from hookline.dispatch.held import Held
from hookline.dispatch.lanes import BORN_LEASED, MAIL_CONNECTIONS, PLACES, Lane, Lanes
from hookline.dispatch.settling import GROUP, Done, Settler
from hookline.dispatch.standing import Health, Wait
from hookline.intake import Intake
from hookline.model import DAY, SECOND, Delivery, Event, Kind, Outcome
from hookline.rules.ids import new_id
from hookline.rules.lifecycle import crashed, faulted
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.units import Accepted

__all__ = ["MAIL_CONNECTIONS", "Dispatcher"]

log = structlog.get_logger("hookline.dispatch")

POLL = SECOND
LOOK = SECOND // 2  # for the dead
LOOK_THOROUGHLY_EVERY = 10  # looks: for what a dead process has left that nobody saw dying, and for strays
# So many that are done and not written down yet are enough: more would only be held in memory.
MOST_UNSETTLED = 2000
LAST_WORDS_SECONDS = 3.0
CRASHED = "the process stopped while it held this delivery; whether it was done is not known"
STRAYED = "the database did not say whether it had stored this delivery; whether it was done is not known"


class Dispatcher:
    """Works off deliveries. One for each process, under an ``epoch`` that is its name in the database.

    ``chance`` gives numbers in [0, 1) for jitter. ``settled`` is called with every delivery that has
    reached an end, so that a campaign may notice that it is over. ``places`` are the connections for all lanes.
    """

    def __init__(
        self,
        storage: Storage,
        intake: Intake,
        tools: Tools,
        chance: Callable[[], float],
        places: int = PLACES,
    ) -> None:
        self._storage = storage
        self._intake = intake
        self._tools = tools
        self._clock = tools.clock
        self._chance = chance
        self._lanes = Lanes(places)
        self._wake = asyncio.Event()
        # What waits in all lanes is to be looked at, and was at this time.
        self._scan, self._scanned = True, 0
        self._hands: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._done: deque[Done] = deque()
        self._gathering = False
        self._choked = False
        self._held = Held()
        self._strays: set[str] = set()
        self._stopping = False
        self._claiming = asyncio.Lock()
        self.epoch = new_id("prc")
        self.settled: Callable[[Delivery], None] = lambda delivery: None
        self._heart = Heart(storage, self.epoch, self._regain)
        self._looks = 0
        self._settler = Settler(storage, intake, tools.clock, chance)
        self._claimer = Claimer(storage, intake, self._lanes, tools.clock, lambda: self.epoch)
        self._claimer.hold = self._held.add
        self._claimer.begin, self._claimer.release = self._begin, self._release
        self._claimer.give_keys = self._give_keys
        self._heeder = Heeder(storage, self._lanes, tools.clock, chance)
        self._heeder.release, self._heeder.soon = self._release, self._soon
        self._claimer.pauses = self._heeder.heed_others
        self._keying: set[str] = set()
        intake.reserve, intake.release, intake.born = self.reserve, self.release, self.born

    @property
    def _shared(self) -> bool:
        """Whether other processes may work on this database."""
        return self._storage.dialect != "sqlite"

    @property
    def _unsettled(self) -> int:
        """How much is done and not written down yet."""
        return len(self._done) + len(self._settling)

    # --- what intake is handed

    def reserve(self, lane: str, kind: Kind) -> str | None:
        if self._stopping or self._choked or kind not in BORN_LEASED:
            return None
        return self.epoch if self._lanes.reserve(lane, kind) else None

    def release(self, lane: str) -> None:
        self._lanes.give_back(lane)

    def born(self, accepted: Sequence[Accepted]) -> None:
        for answer in accepted:
            for delivery in answer.deliveries:
                if delivery.owner == self.epoch:
                    self._held.add([delivery])
                    self._begin(delivery, answer.event)
                else:
                    self._lanes.queued(delivery)
                    self._wake.set()

    def wake(self) -> None:
        """There is something new to claim, in whatever lane."""
        self._scan = True
        self._wake.set()

    def heal(self, lane: str) -> None:
        """Somebody wants a receiver that was ill to be tried: it counts as well, until it fails again."""
        self._lanes.heal(lane)
        self._wake.set()

    def health(self, lane: str) -> Health:
        """What is known of a lane's receiver."""
        return standing.health(self._lanes.get(lane), self._clock.now())

    def waits(self, delivery: Delivery) -> Wait | None:
        """What keeps a delivery of this process's lanes waiting beyond its time."""
        return standing.wait(self._lanes.get(delivery.lane), delivery, self._clock.now())

    # --- the loops

    async def start(self) -> None:
        """Say that we live. One process owns a SQLite file: what others left open there is ours at once; elsewhere
        what was left by those who are known to be gone."""
        await self._heart.register()
        if count := await self._storage.deliveries.from_the_future(self._clock.now()):
            log.warning("the clock was set back: deliveries were moved to wait no longer", count=count)
        await self._claimer.scan(self._clock.now())  # before anything begins: which lanes are paused
        await self.take_over(DAY if self._shared else -DAY)

    async def take_over(self, dead_after: int) -> None:
        """Settle the open deliveries of dead processes as crashed: back to work, or at an end."""
        while orphans := await self._storage.deliveries.take_over(self.epoch, dead_after):
            self._held.add(orphans)
            await asyncio.gather(*(self._settle(o, crashed(CRASHED), o.updated_at) for o in orphans))

    async def run(self) -> None:
        """Claim what is due until cancelled; an outage of the database is waited out."""
        await keep_going("dispatch", self._clock, self._wake, self._step, POLL)

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
        before = self._held.items()
        self._held.keep(before, await self._storage.deliveries.owned(self.epoch))

    async def recover_strays(self) -> None:
        """Settle as crashed what the database says that we hold and we, twice in a row, do not.

        A commit whose answer was lost on the way leaves such deliveries: stored, and unknown to us.
        """
        owned = await self._storage.deliveries.owned(self.epoch)
        strays = {delivery.id: delivery for delivery in owned if delivery not in self._held}
        again = [strays[name] for name in strays.keys() & self._strays]
        self._strays = strays.keys() - {delivery.id for delivery in again}
        self._held.add(again)
        await asyncio.gather(*(self._settle(d, crashed(STRAYED), d.updated_at) for d in again))

    async def claim(self) -> int | None:
        """Take and start whatever is due and has room in its lane; when to look again, if that is known."""
        self._scan = True
        return await self._step()

    async def _step(self) -> int | None:
        """Claim from the lanes that have reason for it; now and then see which of all have."""
        async with self._claiming:
            if self._stopping or self._settler.waiting:  # what is known is written down before more is done
                return None
            self._choked = self._unsettled > MOST_UNSETTLED
            if self._choked:
                return None
            now = self._clock.now()
            try:
                if self._scan or not self._scanned <= now < self._scanned + POLL:
                    self._scan, self._scanned = False, now
                    await self._claimer.scan(now)
                return await self._claimer.claim(now)
            except BaseException:
                self._scan = True
                raise

    async def idle(self) -> None:
        """Return when nothing is due and nothing is under way (for tests and the demo)."""
        while True:
            while busy := self._hands | self._settling:
                await asyncio.wait(busy)
            again = await self.claim()
            if not self._hands and not self._settling and (again is None or again > self._clock.now()):
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
        match self._lanes.enter(delivery, event, self._clock.now()):
            case "begin":
                self._spawn(delivery, event)
            case "shut":
                self._release([delivery])

    def _release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back what was not begun: the database has room for what waits long, and says what it waits for."""
        if deliveries:
            self._soon(self._give_back(deliveries))

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        while True:
            try:
                await self._storage.deliveries.hand_back(deliveries, self._clock.now())
            except StorageUnavailable:
                await self._clock.wait(asyncio.Event(), self._clock.now() + SECOND)
            else:
                break
        for delivery in deliveries:
            self._held.drop(delivery)
            self._lanes.queued(delivery)
        self._wake.set()

    def _give_keys(self, lane: Lane, changes: int) -> None:
        """Let the open deliveries of a lane be put in order, one lane at a time beside the rest."""
        if lane.name not in self._keying:
            self._keying.add(lane.name)
            self._soon(self._put_in_order(lane.tenant, lane.name, changes))

    async def _put_in_order(self, tenant: str, lane: str, changes: int) -> None:
        try:
            await self._storage.deliveries.give_keys(tenant, lane, changes)
        except StorageUnavailable as error:
            log.warning("storage away, a lane waits to be put in order", error=str(error))
        finally:
            self._keying.discard(lane)
        self._lanes[lane].again_at = 0
        self.wake()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that is waited for at the end, like settling."""
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _spawn(self, delivery: Delivery, event: Event | None) -> None:
        task = asyncio.create_task(self._work(delivery, event))
        self._hands.add(task)
        task.add_done_callback(self._hands.discard)

    async def _work(self, delivery: Delivery, event: Event | None) -> None:
        """One hand of a lane: this delivery, and then what is ready behind it."""
        following = [(delivery, event)]
        while following:
            (delivery, event), *beside = following
            for work in beside:
                self._spawn(*work)
            await self._heart.beating()
            if delivery in self._held:  # and nobody has taken it for a dead one's
                await self._deliver(delivery, event)
            if self._stopping:
                return
            following = self._lanes.leave(delivery, self._clock.now())
            if self._lanes.look:
                self._wake.set()

    async def _deliver(self, delivery: Delivery, event: Event | None) -> None:
        started = self._clock.now()
        outcome = await self._attempt(delivery, event)
        if delivery.kind == "contact":
            await self._settle(delivery, outcome, started)
            return
        done = Done(delivery, outcome, started, self._clock.now())
        if not done.plain:
            self._soon(self._settle(delivery, outcome, started))
            return
        self._done.append(done)
        if not self._gathering:
            self._gathering = True
            self._soon(self._settle_plain())

    async def _attempt(self, delivery: Delivery, event: Event | None) -> Outcome:
        """Make one attempt, once the database has given what it needs. Only cancellation comes out."""
        began = self._clock.now()
        while True:
            try:
                hook = await self._intake.hook(delivery.tenant, delivery.hook) if delivery.hook else None
                outcome = await self._perform(delivery, event, hook)
            except StorageUnavailable:  # nothing was done yet: every action reads before it acts
                await self._clock.wait(asyncio.Event(), self._clock.now() + SECOND)
                await self._heart.beating()
                if delivery not in self._held:  # whose outcome this is not: it will be refused
                    return faulted("another process took it over while the database was away")
            except Exception as error:
                log.exception("a fault in an attempt", delivery=delivery.id)
                return faulted(f"a fault in Hookline: {type(error).__name__}; its log has more")
            else:
                version = hook.hook if isinstance(hook, CompiledHook) else None
                self._heeder.heed(delivery, outcome, began, version)
                return outcome

    async def _perform(
        self, delivery: Delivery, event: Event | None, hook: CompiledHook | Invalid | None
    ) -> Outcome:
        if event is None and delivery.event is not None:  # worked out anew: the contact moved on
            event = await self._storage.events.get(delivery.tenant, delivery.event)
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
                        self._soon(self._settle(one.delivery, one.outcome, one.started))
                    else:
                        self._ended(one.delivery, after)
        finally:
            self._gathering = False

    async def _settle(self, delivery: Delivery, outcome: Outcome, started: int) -> None:
        settled = await self._settler.settle(delivery, outcome, started)
        while settled is None:  # the contact has moved on: work the change out anew
            outcome = await self._attempt(delivery, None)
            settled = await self._settler.settle(delivery, outcome, started)
        self._ended(delivery, settled)
        if outcome.disable_hook is not None:
            self._wake.set()

    def _ended(self, begun: Delivery, settled: Delivery) -> None:
        self._held.drop(begun)
        if self._choked and self._unsettled < MOST_UNSETTLED // 2:
            self._choked = False
            self._wake.set()
        if settled.next_at is None:
            self.settled(settled)
        if self._lanes.settled(settled):
            self._wake.set()
