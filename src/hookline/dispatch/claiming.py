"""Claiming: which lanes are looked into, how much of each is taken, and when they are looked into again."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from hookline.actions.work import CompiledHook
from hookline.clock import Clock
from hookline.dispatch.lanes import CONCURRENCY, HANDS, Lane, Lanes
from hookline.intake import Config, Intake
from hookline.model import SECOND, Delivery, Event
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.claiming import Claimed, Due, Late, Taken, Wanted
from hookline.storage.hooks import Pause
from hookline.storage.units import StaleConfig

MOST = 256  # deliveries in one commit: what waits for the database meanwhile does not wait long
BUSY = SECOND // 50  # another process is claiming from the lane
OTHERS = SECOND // 10  # other processes have all the places that there are
TRIES = 5  # to have a rate count from when attempts begin, where each commit takes long
LOOKING = SECOND // 20  # between two parts of a look through very many subjects


class Claimer:
    """Takes work out of the database into the lanes. ``hold`` is called with what was taken as soon as that is known,
    ``begin`` with each delivery of it in its time, ``release`` with those that a changed hook takes back, ``give_keys``
    with lanes that have come to be in order, and ``pauses`` with those that receivers have asked for."""

    def __init__(
        self, storage: Storage, intake: Intake, lanes: Lanes, clock: Clock, epoch: Callable[[], str]
    ) -> None:
        self._storage = storage
        self._intake = intake
        self._lanes = lanes
        self._clock = clock
        self._epoch = epoch
        self._config: Config | None = None
        self._alarms: dict[str, int] = {}
        self.hold: Callable[[Iterable[Delivery]], None] = lambda deliveries: None
        self.begin: Callable[[Delivery, Event | None], None] = lambda delivery, event: None
        self.release: Callable[[Sequence[Delivery]], None] = lambda deliveries: None
        self.give_keys: Callable[[Lane, int], None] = lambda lane, changes: None
        self.pauses: Callable[[Sequence[Pause]], None] = lambda pauses: None

    async def scan(self, now: int) -> None:
        """See which lanes have something waiting."""
        due = await self._storage.deliveries.due(now)
        self._intake.expect_config(due.config)
        self._note(due, now)

    def _note(self, due: Due, now: int) -> None:
        waiting = {standing.lane for standing in due.lanes}
        for lane in self._lanes.all():
            if lane.name not in waiting:
                lane.backlog, lane.retry_at = False, None
        for standing in due.lanes:
            lane = self._lanes[standing.lane]
            lane.tenant, lane.kind = standing.tenant, standing.kind
            lane.backlog, lane.retry_at = standing.firsts, standing.retry_at
            if lane.cursor or not lane.sweeps:
                lane.sweeps = 2 if lane.cursor else 1
            self._lanes.look.add(lane.name)
        self.pauses(due.pauses)

    async def claim(self, now: int) -> int | None:
        """Take what is due and has room; when to look again, if that is known."""
        for name in [name for name, at in self._alarms.items() if at <= now]:
            del self._alarms[name]
            self._lanes.look.add(name)
        config = await self._adopt()
        while names := self._lanes.look:
            self._lanes.look = set()
            config = await self._adopt()
            wanted: list[Wanted] = []
            for name in sorted(names):
                lane = self._lanes[name]
                self._know(lane, config)
                asked = self._lanes.want(lane, now)
                if asked is None:
                    self._remember(lane, now)
                else:
                    lane.reserved += asked.most
                    wanted.append(asked)
            parts = deque(_parts(wanted))
            try:
                while parts:
                    await self._take(parts.popleft(), config)
            finally:  # of what was not come to, nothing stays promised
                for asked in itertools.chain.from_iterable(parts):
                    self._untold(asked)
                    self._lanes.give_back(asked.lane, asked.most)
        return min(self._alarms.values(), default=None)

    async def _adopt(self) -> Config:
        """The hooks of now. A lane whose hook has changed begins anew: it may have another receiver, and pace."""
        config = await self._intake.config()
        if config is self._config:
            return config
        self._config = config
        for lane in self._lanes.all():
            before = lane.updated_at
            self._know(lane, config)
            if before and lane.updated_at != before:
                self._lanes.reset(lane)
            if lane.pace is not None and (lane.ready or lane.retries):
                self.release(self._lanes.drain(lane))
        return config

    @staticmethod
    def _know(lane: Lane, config: Config) -> None:
        hook = config.hooks.get((lane.tenant, lane.name))
        pace = None
        if isinstance(hook, CompiledHook):
            lane.kind, lane.updated_at, pace = hook.kind, hook.hook.updated_at, hook.pace
        lane.pace = pace
        lane.limit = HANDS.get(lane.kind, CONCURRENCY)
        if pace is not None and pace.concurrency is not None:
            lane.limit = min(pace.concurrency, HANDS.get(lane.kind, pace.concurrency))

    async def _take(self, wanted: Sequence[Wanted], config: Config) -> None:
        now = self._clock.now()  # a rate counts from here
        unused = {asked.lane: asked.most for asked in wanted}
        try:
            claimed = await self._storage.deliveries.claim(
                wanted, self._epoch(), now, config=config.version, budget=self._lanes.budget
            )
        except BaseException as error:
            for asked in wanted:
                self._untold(asked)
            if not isinstance(error, StaleConfig):
                raise
            self._intake.forget_config()
            self._lanes.look |= unused.keys()
        else:
            self.hold(delivery for delivery, _ in claimed.work)
            for delivery, _ in claimed.work:
                unused[delivery.lane] -= 1
            await self._begin(claimed, now)
            for asked, taken in zip(wanted, claimed.taken, strict=True):
                self._learn(asked, taken, cut=claimed.cut, now=now)
        finally:
            for name, count in unused.items():
                self._lanes.give_back(name, count)

    async def _begin(self, claimed: Claimed, now: int) -> None:
        """Begin what was taken. Where that took so long that a rate would count wrongly, that is put right first."""
        passed = self._clock.now() - now
        late = {
            taken.lane: taken.rate
            for taken in claimed.taken
            if taken.rate is not None and passed > taken.rate.leeway
        }
        for delivery, event in claimed.work:
            if delivery.lane not in late:
                self.begin(delivery, event)
        waiting = deque(
            (rate, work)
            for name, rate in late.items()
            if (work := [one for one in claimed.work if one[0].lane == name])
        )
        try:
            while waiting:
                rate, work = waiting[0]
                await self._postpone(Late(work[0][0].tenant, work[0][0].lane, rate, now, len(work)))
                for delivery, event in waiting.popleft()[1]:
                    self.begin(delivery, event)
        finally:  # whatever goes wrong: what is held is begun
            for _, work in waiting:
                for delivery, event in work:
                    self.begin(delivery, event)

    async def _postpone(self, late: Late) -> None:
        for _ in range(TRIES):
            now = self._clock.now()
            if now <= late.at + late.rate.leeway:
                break
            try:
                await self._storage.deliveries.postpone(late, now)
            except StorageUnavailable:  # as it was counted first, then
                break
            late = replace(late, at=now)

    def _untold(self, asked: Wanted) -> None:
        """Subjects that were freed, and not looked at: they are told the next time."""
        self._lanes[asked.lane].freed |= dict.fromkeys(asked.freed)

    def _learn(self, asked: Wanted, taken: Taken, *, cut: bool, now: int) -> None:
        """What a claim says of a lane: whether it has more, and when that may be taken."""
        lane = self._lanes[asked.lane]
        full = taken.firsts + taken.retries >= asked.most
        lane.held_up, lane.again_since, lane.again_at = taken.held_up, now, taken.again_at or 0
        if asked.retries or taken.deferred:
            lane.retry_at = taken.retry_at
        if not taken.looked:
            self._untold(asked)
        if taken.unkeyed is not None:
            lane.again_at = now + LOOKING
            self.give_keys(lane, taken.unkeyed)
        elif taken.held_up == "busy":
            lane.again_at = now + BUSY
        elif taken.held_up == "concurrency" and not lane.running:
            lane.again_at = now + OTHERS
        elif asked.pace is not None and asked.pace.ordered and taken.looked:
            self._looked_through(lane, asked, taken, full=full, now=now)
        if not (cut or taken.held_up or taken.unkeyed is not None) and asked.firsts:
            lane.backlog = full or taken.firsts >= asked.firsts
        if taken.deferred:
            lane.backlog = True
            self._lanes.look.add(lane.name)
        self._remember(lane, now)

    def _looked_through(self, lane: Lane, asked: Wanted, taken: Taken, *, full: bool, now: int) -> None:
        """A look through the subjects of a lane goes on until a whole one has found nothing more."""
        if full:
            lane.sweeps = 2
        if not asked.sweep:
            return
        lane.cursor = taken.cursor
        if full:
            return
        if taken.cursor:
            lane.again_at = max(lane.again_at, now + LOOKING)
        elif lane.sweeps:
            lane.sweeps -= 1
            if lane.sweeps:
                self._lanes.look.add(lane.name)

    def _remember(self, lane: Lane, now: int) -> None:
        """Look into this lane again in time."""
        later = lane.waits_until(now)
        times = [at for at in (later, lane.retry_at) if at is not None and at > now]
        if times:
            self._alarms[lane.name] = min(times)


def _parts(wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    """Commits of a size that keeps nobody waiting."""
    part: list[Wanted] = []
    for asked in wanted:
        if part and sum(each.most for each in part) + asked.most > MOST:
            yield part
            part = []
        part.append(asked)
    if part:
        yield part
