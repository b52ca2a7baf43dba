"""A lane for each hook and each campaign: its own share of hands, so that a slow one waits for itself."""

from __future__ import annotations

from collections import deque

from hookline.model import Delivery, Event

CONCURRENCY = 32
# Deliveries that a lane may hold ready behind those under way, so that it need not ask the database for each.
READY = 256
CLAIM_AHEAD = 64  # at a time, so that large events cannot come all at once
READY_BYTES = 64 * 2**20  # of event data, for all lanes together


class Lane:
    """``running`` deliveries of at most ``limit``, and those in ``ready`` behind them.

    ``reserved`` are places promised to deliveries that are about to be committed or claimed; ``backlog``
    says that more are due in the database than there was room for.
    """

    __slots__ = ("backlog", "limit", "paused_until", "ready", "reserved", "running")

    def __init__(self, limit: int = CONCURRENCY) -> None:
        self.limit = limit
        self.running = 0
        self.reserved = 0
        self.ready: deque[tuple[Delivery, Event | None]] = deque()
        self.backlog = False
        self.paused_until = 0

    @property
    def at_rest(self) -> bool:
        return not (self.running or self.reserved or self.ready or self.backlog)

    def room(self, *, ahead: int) -> int:
        """How many more may be promised a place, if ``ahead`` may wait for a hand."""
        return max(0, self.limit + ahead - self.running - self.reserved - len(self.ready))


class Lanes:
    """All lanes of this process, made when they are first needed and dropped when they are at rest."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._paused: set[str] = set()
        self._bytes = 0

    def __getitem__(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane()
        return lane

    def room(self, name: str, *, ahead: int) -> int:
        """How many deliveries of this lane may be claimed: in steps, and while there is memory for them."""
        ahead = 0 if self._bytes > READY_BYTES else min(ahead, CLAIM_AHEAD)
        return self[name].room(ahead=ahead)

    def reserve(self, name: str, now: int) -> bool:
        """Promise a place to a new delivery, unless older ones wait for it."""
        lane = self[name]
        full = lane.room(ahead=READY) == 0 or self._bytes > READY_BYTES
        if lane.backlog or lane.paused_until > now or full:
            lane.backlog = True
            return False
        lane.reserved += 1
        return True

    def give_back(self, name: str, count: int = 1) -> None:
        """Places that were promised and are not needed."""
        lane = self[name]
        lane.reserved -= count
        self._tidy(name, lane)

    def enter(self, delivery: Delivery, event: Event | None, now: int) -> bool:
        """Turn a promised place into a delivery to be done: at once (true), or when a hand is free."""
        lane = self[delivery.lane]
        lane.reserved -= 1
        if lane.running < lane.limit and lane.paused_until <= now:
            lane.running += 1
            return True
        lane.ready.append((delivery, event))
        self._bytes += len(event.data) if event else 0
        return False

    def leave(self, name: str, now: int) -> tuple[Delivery, Event | None] | None:
        """A hand is free: what it does next, or ``None``."""
        lane = self[name]
        if lane.ready and lane.paused_until <= now:
            return self._next(lane)
        lane.running -= 1
        self._tidy(name, lane)
        return None

    def hungry(self, name: str) -> bool:
        """Whether there is more in the database, and room for it."""
        lane = self[name]
        return lane.backlog and len(lane.ready) * 2 <= READY and lane.running <= lane.limit

    def pause(self, name: str, until: int) -> None:
        """Nothing more of this lane begins before ``until``."""
        lane = self[name]
        lane.paused_until = max(lane.paused_until, until)
        self._paused.add(name)

    def next_resume(self) -> int | None:
        """When the first of the paused lanes may go on."""
        return min((self[name].paused_until for name in self._paused), default=None)

    def resume(self, now: int) -> list[tuple[Delivery, Event | None]]:
        """What was held ready in lanes whose pause is over, and may begin now."""
        begun: list[tuple[Delivery, Event | None]] = []
        for name in [name for name in self._paused if self[name].paused_until <= now]:
            lane = self[name]
            self._paused.discard(name)
            lane.paused_until = 0
            while lane.ready and lane.running < lane.limit:
                lane.running += 1
                begun.append(self._next(lane))
            self._tidy(name, lane)
        return begun

    def resume_all(self) -> None:
        """End every pause."""
        for name in self._paused:
            self[name].paused_until = 0

    def unbegun(self) -> list[Delivery]:
        """All that is held ready, of all lanes."""
        return [delivery for lane in self._lanes.values() for delivery, _ in lane.ready]

    def _next(self, lane: Lane) -> tuple[Delivery, Event | None]:
        delivery, event = lane.ready.popleft()
        self._bytes -= len(event.data) if event else 0
        return delivery, event

    def _tidy(self, name: str, lane: Lane) -> None:
        if lane.at_rest and lane.paused_until == 0:
            self._lanes.pop(name, None)
