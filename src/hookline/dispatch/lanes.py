"""A lane for each hook and each campaign: its own share of hands, so that a slow one waits for itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

from hookline.model import Delivery, Event, Kind
from hookline.rules import breaker
from hookline.rules.breaker import CLOSED, Breaker, Health
from hookline.rules.lifecycle import is_retry
from hookline.rules.pacing import Pace
from hookline.storage.claiming import TURNS, Wanted

CONCURRENCY = 32
# Deliveries that a lane may hold ready behind those under way, so that it need not ask the database for each.
READY = 256
READY_RETRIES = 64
# So many of what is claimed for all lanes together, where there are many: the rest is for other processes, too.
READY_CLAIMED = 4096
READY_BYTES = 64 * 2**20  # for all lanes together: event data, and what else a delivery takes in memory
OVERHEAD = 2048
FREED = 64  # subjects that may have something new, that are told to a claim
MOST_FREED = 1000

# What is under way over a connection of the HTTP client, of which there are so many for all lanes together. A lane may
# take a sixteenth of what is left, beside those that it has, and always one: so however many receivers hang, there
# is something left for who comes next (dynamic thresholds, as switches share a buffer: Choudhury and Hahne, 1998).
CONNECTED: frozenset[Kind] = frozenset({"webhook", "slack", "sms"})
PLACES = 15_000
SHARES = 16

# What must not happen twice is claimed by a commit of its own just before the act, and never held ready.
BORN_LEASED: frozenset[Kind] = frozenset({"webhook", "slack", "contact"})
MAIL_CONNECTIONS = 16
# Half of them talk to the server, while the others are claimed, looked up and written.
MAIL_HANDS = 2 * MAIL_CONNECTIONS
# Changes of contacts go one after another: side by side they would only undo each other.
HANDS: dict[Kind, int] = {"email": MAIL_HANDS, "contact": 1}

Work = tuple[Delivery, Event | None]


class Lane:
    """``running`` deliveries of at most ``limit``, ``retrying`` of them retries, and those held ready behind them.

    ``reserved`` are places promised to deliveries that are about to be committed or claimed. ``backlog`` says
    that first attempts wait in the database, ``retry_at`` when the earliest retry there is due. ``shut`` is
    a lane that nothing begins in: the receiver asked for patience, or the breaker is not closed.
    """

    __slots__ = (
        "again_at", "again_since", "backlog", "breaker", "cursor", "freed", "held_up", "kind", "limit", "name",
        "pace", "paused_since", "paused_until", "ready", "reserved", "retries", "retry_at", "retrying", "running",
        "shut", "sweeps", "tenant", "turn", "updated_at",
    )  # fmt: skip

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.tenant = ""
        self.kind = kind
        self.limit = HANDS.get(kind, CONCURRENCY)
        self.pace: Pace | None = None
        self.updated_at = 0  # of its hook, as it was last seen
        self.running = self.retrying = self.reserved = self.turn = 0
        self.ready: deque[Work] = deque()
        self.retries: deque[Work] = deque()
        self.backlog = False
        self.retry_at: int | None = None
        self.shut = False
        self.paused_since = self.paused_until = 0
        self.breaker: Breaker = CLOSED
        # A pace says when it may go on, and why not before.
        self.again_since = self.again_at = 0
        self.held_up: Literal["rate", "concurrency", "busy"] | None = None
        # Order: subjects of which something may be due, and a look through all of them that is still owed.
        self.freed: dict[str, None] = {}
        self.sweeps = 0
        self.cursor = ""

    @property
    def at_rest(self) -> bool:
        return not (
            self.running or self.reserved or self.ready or self.retries or self.backlog or self.freed
            or self.shut or self.retry_at or self.breaker.failures
        )  # fmt: skip

    @property
    def claimed_singly(self) -> bool:
        """Whether what is claimed begins at once, and nothing is held ready."""
        return self.pace is not None or self.kind not in BORN_LEASED

    @property
    def held(self) -> int:
        return self.running + self.reserved + len(self.ready) + len(self.retries)

    def share(self) -> int:
        """How many retries may be under way: a quarter while first attempts wait, and never all."""
        quarter = max(1, self.limit // TURNS)
        waited_for = self.backlog or bool(self.ready)
        return quarter if waited_for else max(1, self.limit - quarter)

    def late(self, now: int) -> bool:
        """Whether retries are due."""
        return self.retry_at is not None and self.retry_at <= now

    def waits_until(self, now: int) -> int | None:
        """When a lane that is shut or held up may go on, or ``None`` when it may now."""
        if now < self.paused_since:  # the clock was set back: the pause is not longer for that
            self.paused_until += now - self.paused_since
            self.paused_since = now
        if self.paused_until > now:
            return self.paused_until
        if self.breaker.standing(now) == "open":
            return self.breaker.until
        if self.again_since <= now < self.again_at:
            return self.again_at
        return None


class Lanes:
    """All lanes of this process, made when they are first needed and dropped when they are at rest. ``places`` are
    the connections that they share."""

    def __init__(self, places: int = PLACES) -> None:
        self._lanes: dict[str, Lane] = {}
        self._places = places
        self._bytes = 0
        self.look: set[str] = set()  # lanes to claim from

    def __getitem__(self, name: str) -> Lane:
        return self._lanes.get(name) or self._made(name, "webhook")

    def of(self, delivery: Delivery) -> Lane:
        lane = self._lanes.get(delivery.lane) or self._made(delivery.lane, delivery.kind)
        lane.tenant = delivery.tenant
        return lane

    def _made(self, name: str, kind: Kind) -> Lane:
        lane = self._lanes[name] = Lane(name, kind)
        return lane

    def get(self, name: str) -> Lane | None:
        return self._lanes.get(name)

    def all(self) -> Iterable[Lane]:
        return tuple(self._lanes.values())

    @property
    def budget(self) -> int:
        """How many more bytes may be held ready."""
        return READY_BYTES - self._bytes

    def reserve(self, name: str, kind: Kind = "webhook") -> bool:
        """Promise a place to a new delivery, unless older ones wait for it."""
        lane = self._lanes.get(name) or self._made(name, kind)
        if lane.backlog or lane.shut or lane.held >= lane.limit + READY or self._bytes > READY_BYTES:
            lane.backlog = True
            return False
        lane.reserved += 1
        return True

    def give_back(self, name: str, count: int = 1) -> None:
        """Places that were promised and are not needed."""
        lane = self[name]
        lane.reserved -= count
        self._tidy(lane)

    def enter(self, delivery: Delivery, event: Event | None, now: int) -> Literal["begin", "ready", "shut"]:
        """Turn a promised place into a delivery that begins now, when a hand is free, or that may not begin."""
        lane = self.of(delivery)
        lane.reserved -= 1
        retry = is_retry(delivery)
        if lane.shut and not self._try_out(lane, delivery, now):
            lane.backlog = True
            return "shut"
        room = lane.running < self._most(lane) and (not retry or lane.retrying < lane.share())
        if room or lane.shut:  # by a probe hangs whether the lane goes on: it waits for nobody
            self._count(lane, delivery, 1)
            return "begin"
        (lane.retries if retry else lane.ready).append((delivery, event))
        self._bytes += _weight(event)
        return "ready"

    def leave(self, delivery: Delivery, now: int) -> list[Work]:
        """A hand is free: what it does next, if anything, and what another hand may begin beside it."""
        lane = self.of(delivery)
        self._count(lane, delivery, -1)
        if lane.breaker.probe == delivery.id:  # it came to nothing, and said nothing of the receiver
            lane.breaker = breaker.probing(lane.breaker, "")
            self.look.add(lane.name)
        following: list[Work] = []
        while len(following) < 2 and (work := self._next(lane)) is not None:
            self._count(lane, work[0], 1)
            following.append(work)
        if (lane.backlog or lane.retry_at) and self._hungry(lane, now):
            self.look.add(lane.name)
        elif not following:
            self._tidy(lane)
        return following

    def queued(self, delivery: Delivery) -> None:
        """A delivery waits in the database."""
        lane = self.of(delivery)
        if is_retry(delivery):
            lane.retry_at = 1  # due, whenever that is
        elif delivery.state == "waiting" and delivery.next_at is not None:  # a batch that gathers
            lane.retry_at = min(delivery.next_at, lane.retry_at or delivery.next_at)
        else:
            lane.backlog = True
        if delivery.order_key is not None:
            self.free(lane, delivery.order_key)
        self.look.add(lane.name)

    def settled(self, delivery: Delivery) -> bool:
        """An attempt was written down, and the delivery is like this now; whether its lane is to be looked into."""
        if delivery.next_at is None and delivery.order_key is None:
            lane = self._lanes.get(delivery.lane)
            if lane is None or lane.pace is None:
                return False
        else:
            lane = self.of(delivery)
        if delivery.state == "queued":
            lane.backlog = True
        elif delivery.next_at is not None:
            lane.retry_at = min(delivery.next_at, lane.retry_at or delivery.next_at)
        if delivery.order_key is not None and delivery.next_at is None:
            self.free(lane, delivery.order_key)
        self.look.add(lane.name)
        return True

    def heard(
        self, delivery: Delivery, said: Health, *, began: int, now: int, chance: float
    ) -> list[Delivery]:
        """An attempt says this of its receiver; deliveries that are not to be held ready any more."""
        lane = self.of(delivery)
        before = lane.breaker
        lane.breaker = breaker.heard(before, said, delivery.id, began=began, now=now, chance=chance)
        if before.pause or lane.breaker.pause:
            lane.shut = lane.breaker.pause > 0 or lane.paused_until > now
            self.look.add(lane.name)
            if lane.shut and not before.pause:
                return self.drain(lane)
        return []

    def recognise(self, lane: Lane, version: int) -> bool:
        """Whether what was heard through this version of the lane's hook, by the time of its change, is of the receiver
        that it has now, as far as is known here. A newer version than was known makes the lane begin anew."""
        if version > lane.updated_at > 0:
            self.reset(lane)
        lane.updated_at = max(lane.updated_at, version)
        return version == lane.updated_at

    def pause(self, name: str, now: int, until: int) -> list[Delivery]:
        """Nothing more of this lane begins before ``until``; deliveries that are not to be held ready any more."""
        lane = self[name]
        lane.paused_since, lane.paused_until = now, max(lane.paused_until, until)
        lane.shut = True
        self.look.add(name)
        return self.drain(lane)

    def reset(self, lane: Lane) -> None:
        """Forget what holds a lane back: it is seen anew."""
        lane.breaker, lane.paused_until, lane.again_at, lane.shut = CLOSED, 0, 0, False
        self.look.add(lane.name)

    def heal(self, name: str) -> None:
        """Let a receiver that was ill count as well."""
        lane = self._lanes.get(name)
        if lane is not None:
            lane.breaker = CLOSED
            self.look.add(name)

    def drain(self, lane: Lane) -> list[Delivery]:
        """Take what a lane holds ready out of it."""
        work = [*lane.ready, *lane.retries]
        lane.ready.clear()
        lane.retries.clear()
        self._bytes -= sum(_weight(event) for _, event in work)
        lane.backlog = lane.backlog or bool(work)
        return [delivery for delivery, _ in work]

    def unbegun(self) -> list[Delivery]:
        """All that is held ready, of all lanes."""
        return [delivery for lane in self._lanes.values() for delivery, _ in (*lane.ready, *lane.retries)]

    def want(self, lane: Lane, now: int) -> Wanted | None:
        """What to claim for a lane now, if anything; places are not promised yet."""
        if lane.waits_until(now) is not None:
            return None
        if lane.shut:
            lane.shut = lane.breaker.pause > 0
        hands = self._most(lane) - lane.running - lane.reserved
        firsts, late = lane.backlog or bool(lane.freed) or lane.sweeps > 0, lane.late(now)
        if lane.shut:
            hands = 0 if lane.breaker.probe or lane.reserved else 1
            wanted, most = (hands, hands), hands
        elif lane.claimed_singly or self._bytes > READY_BYTES:
            wanted, most = (hands, min(hands, lane.share() - lane.retrying)), hands
        else:
            ahead = lane.limit + self._ahead() - lane.held
            wanted = (ahead, lane.share() + READY_RETRIES - lane.retrying - len(lane.retries))
            most = sum(wanted)
        wanted = (max(0, wanted[0]) * firsts, max(0, wanted[1]) * late)
        most = min(most, sum(wanted))
        if most <= 0:
            return None
        lane.turn += 1
        freed = tuple(lane.freed)[:FREED]
        for key in freed:
            del lane.freed[key]
        return Wanted(
            tenant=lane.tenant,
            lane=lane.name,
            firsts=wanted[0],
            retries=wanted[1],
            most=most,
            # A probe is a first attempt or a retry in turn: whichever can succeed will.
            turn=lane.turn * (2 if lane.shut else 1),
            pace=lane.pace,
            freed=freed,
            sweep=lane.sweeps > 0,
            cursor=lane.cursor,
        )

    def free(self, lane: Lane, key: str) -> None:
        """Something of this subject may be due."""
        lane.freed[key] = None
        if len(lane.freed) > MOST_FREED:
            lane.freed.clear()
            lane.sweeps = 2
        self.look.add(lane.name)

    def _ahead(self) -> int:
        """How much a lane may hold ready of what it claims."""
        return max(CONCURRENCY, min(READY, READY_CLAIMED // (len(self._lanes) or 1)))

    def _hungry(self, lane: Lane, now: int) -> bool:
        """Whether there is more in the database and room for it. A lane with a pace is asked once it is settled."""
        if lane.pace is not None or 2 * (len(lane.ready) + len(lane.retries)) > self._ahead():
            return False
        return lane.backlog or lane.late(now)

    def _try_out(self, lane: Lane, delivery: Delivery, now: int) -> bool:
        """Whether this delivery is the one by which a receiver that was ill is tried out."""
        half_open = lane.paused_until <= now and lane.breaker.standing(now) == "half_open"
        if not half_open or lane.breaker.probe:
            return False
        lane.breaker = breaker.probing(lane.breaker, delivery.id)
        return True

    def _most(self, lane: Lane) -> int:
        """How many of a lane may be under way."""
        if lane.kind not in CONNECTED:
            return lane.limit
        return min(lane.limit, max(1, self._places // SHARES))

    def _count(self, lane: Lane, delivery: Delivery, hands: int) -> None:
        """So many more hands are at work on deliveries like this one, or fewer."""
        lane.running += hands
        lane.retrying += hands * is_retry(delivery)
        self._places -= hands * (delivery.kind in CONNECTED)

    def _next(self, lane: Lane) -> Work | None:
        if lane.shut or lane.running >= self._most(lane):
            return None
        queue = lane.ready
        if lane.retries and lane.retrying < lane.share():
            lane.turn += 1
            if not lane.ready or lane.turn % TURNS == 0:
                queue = lane.retries
        if not queue:
            return None
        delivery, event = queue.popleft()
        self._bytes -= _weight(event)
        return delivery, event

    def _tidy(self, lane: Lane) -> None:
        if lane.at_rest:
            self._lanes.pop(lane.name, None)


def _weight(event: Event | None) -> int:
    return OVERHEAD + (len(event.data) if event else 0)
