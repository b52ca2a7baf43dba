"""What is due, and taking it: the plans behind ``Deliveries.due`` and ``Deliveries.claim``.

First attempts (``queued``) and retries (``waiting`` until their time) are looked for apart, so that neither
has to be waded through to reach the other. A *paced* lane (``rules.pacing``) has a row in the table
``lanes``; whoever claims from it holds that row until the commit, and thereby is alone: that is how a
rate, a concurrency and an order hold across any number of processes, which own nothing of the lane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

import msgspec
from msgspec.structs import replace

from hookline.model import Delivery, Event, Kind
from hookline.rules import pacing
from hookline.rules.pacing import Pace, Rate, Spent
from hookline.storage.accepting import insert
from hookline.storage.campaigns import HELD_BACK, RESTING
from hookline.storage.events import find_events
from hookline.storage.hooks import Pause, paused
from hookline.storage.ordering import ordered_picks
from hookline.storage.plans import Many, Plan, Row, Sql, one
from hookline.storage.rows import COLUMNS, to_delivery
from hookline.storage.throttling import LOOK, Throttle, admit, ready
from hookline.storage.units import StaleConfig

TURNS = 4
BUDGET = 64 * 2**20
FIRST_LOOK = 64  # events are fetched so many at first, to see what they weigh, and then twice as many
# A mail that was put off is sent when it is tried again.
SENT_ANEW = "ON CONFLICT (tenant, id) DO UPDATE SET sent_at = excluded.sent_at"
MESSAGE_COLUMNS = "tenant:t id:t campaign:t hook:t contact:t address:t sent_at:i depth:i flags:i"
PICKED = ", ".join(f"d.{column}" for column in COLUMNS.split(", "))
NOTHING = Throttle()
_decode = msgspec.json.Decoder(Spent).decode


class Standing(msgspec.Struct, frozen=True):
    """What waits in a lane: whether first attempts do, and the time of the earliest retry."""

    tenant: str
    lane: str
    kind: Kind
    firsts: bool
    retry_at: int | None


class Due(msgspec.Struct, frozen=True):
    """Lanes with what waits in them, the version of the configuration of that moment, and the pauses that receivers
    have asked for."""

    config: int
    lanes: tuple[Standing, ...]
    pauses: tuple[Pause, ...] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a lane would be taken: so many first attempts and retries, ``most`` of both together.

    Where there is not room for both, a quarter goes to retries; where there is not even room for four, they
    come first in every fourth ``turn``.
    For a lane in order: ``freed`` are subjects of which something may have become due, ``sweep`` asks to look
    through all, from ``cursor`` on.
    """

    tenant: str
    lane: str
    firsts: int
    retries: int = 0
    most: int = 10**6
    turn: int = 1
    pace: Pace | None = None
    freed: tuple[str, ...] = ()
    sweep: bool = True
    cursor: str = ""

    def share(self, room: int) -> int:
        """How many retries go before first attempts."""
        return room // TURNS or int(self.turn % TURNS == 0)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a ``Wanted``.

    ``retry_at`` is the time of the earliest retry that was left, where retries were wanted. ``again_at`` is when
    more may be taken, ``held_up`` by what until then: the rate, what is under way, or another process that
    is claiming. ``cursor`` is where the next sweep goes on, "" at the end of one. ``unkeyed`` is the state of a
    lane in order whose deliveries have to be given their keys first. ``deferred`` says that others were put off by a
    throttle, and that there may be more behind them. ``looked`` is false where there was no room, so that the lane was
    not even looked into. ``rate`` is what was spent of.
    """

    lane: str
    firsts: int = 0
    retries: int = 0
    retry_at: int | None = None
    again_at: int | None = None
    held_up: Literal["rate", "concurrency", "busy"] | None = None
    cursor: str = ""
    unkeyed: int | None = None
    deferred: bool = False
    looked: bool = True
    rate: Rate | None = None


class Late(msgspec.Struct, frozen=True):
    """``count`` attempts that were claimed at ``at``, and did not begin within the leeway of their rate."""

    tenant: str
    lane: str
    rate: Rate
    at: int
    count: int


class Claimed(msgspec.Struct, frozen=True):
    """What was taken with its events, and what came of each lane; ``cut`` says that memory ended first."""

    work: tuple[tuple[Delivery, Event | None], ...]
    taken: tuple[Taken, ...]
    cut: bool = False


def due_plan(now: int) -> Plan[Due]:
    version = yield Sql("SELECT config FROM clock WHERE id = 1")
    of_lane = "FROM deliveries d WHERE d.lane = l.lane AND d.next_at IS NOT NULL"
    # Hops from lane to lane along the index of what is due, however long each lane's queue is.
    rows = yield Sql(
        "WITH RECURSIVE l(lane) AS ("
        " SELECT (SELECT MIN(lane) FROM deliveries WHERE next_at IS NOT NULL) UNION ALL"
        " SELECT (SELECT MIN(d.lane) FROM deliveries d WHERE d.next_at IS NOT NULL AND d.lane > l.lane)"
        f" FROM l WHERE l.lane IS NOT NULL), r(id) AS ({RESTING})"
        f" SELECT (SELECT d.tenant {of_lane} LIMIT 1), l.lane, (SELECT d.kind {of_lane} LIMIT 1),"
        f" (SELECT MIN(d.next_at) {of_lane} AND d.state = 'queued'),"
        f" (SELECT MIN(d.next_at) {of_lane} AND d.state = 'waiting')"
        " FROM l WHERE l.lane IS NOT NULL AND l.lane NOT IN (SELECT id FROM r)"
    )
    found = cast("list[tuple[str, str, Kind, int | None, int | None]]", rows)
    lanes = tuple(
        Standing(tenant, lane, kind, first is not None, retry_at)
        for tenant, lane, kind, first, retry_at in found
    )
    return Due(cast("int", version[0][0]), lanes, (yield from paused(now)))


class _Lane(msgspec.Struct):
    """A lane while it is claimed from: what it may take, and what was picked."""

    wanted: Wanted
    room: int
    throttle: Throttle = NOTHING
    deferred: bool = False
    looked: bool = False
    spent: Spent = ()
    held_up: Literal["rate", "concurrency", "busy"] | None = None
    unkeyed: int | None = None
    cursor: str = ""
    picks: list[Delivery] = []


def claim_plan(
    wanted: Sequence[Wanted], owner: str, now: int, *, config: int | None, budget: int, skip_locked: str
) -> Plan[Claimed]:
    """Take deliveries, with events of ``budget`` bytes or little more.

    A mail's message is made in the same commit: from then on it counts as sent. Raises StaleConfig when
    ``config`` does not hold any more, for the paces may have changed.
    """
    version = yield Sql("SELECT config FROM clock WHERE id = 1")
    if config is not None and config != version[0][0]:
        raise StaleConfig
    held_back = yield from _held_back(wanted)
    lanes: list[_Lane] = []
    for each in wanted:
        throttle = held_back.get(each.lane, NOTHING)
        pace = each.pace if throttle is None or throttle is NOTHING else Pace(throttle.rate)
        room = each.most if throttle is not None else 0
        lane = _Lane(replace(each, pace=pace), room, throttle or NOTHING, cursor=each.cursor)
        lanes.append(lane)
        if pace is not None:
            yield from _enter(lane, pace, now, skip_locked)
        if lane.room > 0 and lane.unkeyed is None:
            lane.looked = True
            yield from _pick(lane, now, skip_locked)
    events: dict[tuple[str, str], Event] = {}
    kept = yield from _weigh([pick for lane in lanes for pick in lane.picks], events, budget)
    yield Many(
        "UPDATE deliveries SET state = 'sending', owner = v.owner, next_at = NULL, updated_at = v.at FROM {v}"
        " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id",
        "tenant:t id:t owner:t at:i",
        [(d.tenant, d.id, owner, now) for d in kept],
    )
    yield from _messages([d for d in kept if d.kind == "email"], now)
    cut = len(kept) < sum(len(lane.picks) for lane in lanes)
    ours = {d.id for d in kept}
    taken: list[Taken] = []
    for lane in lanes:
        lane.picks = [d for d in lane.picks if d.id in ours]
        taken.append((yield from _leave(lane, now)))
    work = tuple(
        (
            replace(d, state="sending", owner=owner, next_at=None, updated_at=now),
            events.get((d.tenant, d.event or "")),
        )
        for d in kept
    )
    return Claimed(work, tuple(taken), cut)


def _held_back(wanted: Sequence[Wanted]) -> Plan[dict[str, Throttle | None]]:
    """The throttles of campaigns that are wanted; ``None`` for one of which nothing is to be taken."""
    if not any(each.lane.startswith("cmp_") for each in wanted):
        return {}
    rows = cast("list[tuple[str, str, bytes | None]]", (yield Sql(HELD_BACK)))
    return {
        name: msgspec.json.decode(throttle, type=Throttle) if throttle and state == "sending" else None
        for name, state, throttle in rows
    }


def _enter(lane: _Lane, pace: Pace, now: int, skip_locked: str) -> Plan[None]:
    """Take a paced lane's row, and see how much it allows."""
    name = (lane.wanted.tenant, lane.wanted.lane)
    row = one(
        (
            yield Sql(
                "SELECT d.spent, d.changes, d.keyed FROM lanes d WHERE d.tenant = ? AND d.lane = ?"
                f" {skip_locked}",
                name,
            )
        )
    )
    if row is None:
        row = one(
            (
                yield Sql(
                    "INSERT INTO lanes (tenant, lane, spent, changes, keyed) VALUES (?, ?, '[]', 1, 0)"
                    " ON CONFLICT DO NOTHING RETURNING spent, changes, keyed",
                    name,
                )
            )
        )
    if row is None:
        lane.room, lane.held_up = 0, "busy"
        return
    spent, changes, keyed = cast("tuple[str, int, int]", row)
    lane.spent = _decode(spent)
    if pace.ordered and keyed < changes:
        lane.unkeyed = changes
        return
    if pace.concurrency is not None:
        under_way = yield Sql(
            "SELECT COUNT(*) FROM deliveries WHERE lane = ? AND owner IS NOT NULL", (lane.wanted.lane,)
        )
        room = pace.concurrency - cast("int", under_way[0][0])
        if room < lane.room:
            lane.room, lane.held_up = room, "concurrency"
    if pace.rate is not None:
        lane.room = min(lane.room, pacing.left(lane.spent, pace.rate, now))


def _pick(lane: _Lane, now: int, skip_locked: str) -> Plan[None]:
    """Choose from a lane. Nothing is taken yet."""
    wanted = lane.wanted
    if wanted.pace is not None and wanted.pace.ordered:
        limited = replace(wanted, most=lane.room)
        chosen, lane.cursor = yield from ordered_picks(limited, now)
        rows = yield Many(
            f"SELECT {PICKED} FROM deliveries d, {{v}} WHERE d.tenant = v.tenant AND d.id = v.id"
            f" AND d.next_at IS NOT NULL {skip_locked}",
            "tenant:t id:t",
            [(wanted.tenant, name) for name in chosen],
        )
        lane.picks = _in_order(rows)
        return
    retries = yield from _due(lane, "waiting", min(wanted.retries, lane.room), now, skip_locked)
    if lane.throttle.domains:
        placed = yield from ready(retries, now)
        late = [d for d in retries if d.id not in placed]
        retries = [d for d in retries if d.id in placed]
        queued = yield from _due(lane, "queued", LOOK, 2**62, skip_locked)
        firsts, lane.deferred = yield from admit(late + queued, lane.room - len(retries), lane.throttle, now)
        lane.picks = retries + firsts
        return
    share = min(len(retries), wanted.share(lane.room))
    # What is queued is due, whatever a clock said when it was queued.
    firsts = yield from _due(lane, "queued", min(wanted.firsts, lane.room - share), 2**62, skip_locked)
    lane.picks = firsts + retries[: lane.room - len(firsts)]


def _due(lane: _Lane, state: str, most: int, until: int, skip_locked: str) -> Plan[list[Delivery]]:
    if most <= 0:
        return []
    rows = yield Sql(
        f"SELECT {PICKED} FROM deliveries d WHERE d.lane = ? AND d.state = '{state}' AND d.next_at <= ?"
        f" ORDER BY d.next_at LIMIT ? {skip_locked}",
        (lane.wanted.lane, until, most),
    )
    return _in_order(rows)


def _in_order(rows: Iterable[Row]) -> list[Delivery]:
    return sorted(map(to_delivery, rows), key=lambda delivery: delivery.seq)


def _weigh(
    picks: Sequence[Delivery], events: dict[tuple[str, str], Event], budget: int
) -> Plan[list[Delivery]]:
    """Fetch the events of as many as there is memory for; these."""
    kept: list[Delivery] = []
    while len(kept) < len(picks) and (budget > 0 or not kept):
        part = picks[len(kept) : 2 * len(kept) + FIRST_LOOK]
        fresh = sorted({(d.tenant, d.event) for d in part if d.event} - events.keys())
        found = yield from find_events(fresh)
        events |= found
        budget -= sum(len(event.data) for event in found.values())
        kept += part
    return kept


def _messages(mails: Sequence[Delivery], now: int) -> Plan[None]:
    if mails:
        yield Many(
            insert("messages", MESSAGE_COLUMNS, SENT_ANEW),
            MESSAGE_COLUMNS,
            [
                (d.tenant, d.id, d.campaign, d.hook, d.contact, d.address or "", now, d.depth, 0)
                for d in mails
            ],
        )


def _leave(lane: _Lane, now: int) -> Plan[Taken]:
    """Write down what was spent, and say when there is more to be had."""
    wanted, count = lane.wanted, len(lane.picks)
    rate = wanted.pace.rate if wanted.pace else None
    held_up, again_at = lane.held_up, None
    if rate is not None and held_up != "busy":
        spent = lane.spent
        if count:
            spent = pacing.spend(spent, rate, now, count)
            yield Sql(
                "UPDATE lanes SET spent = ? WHERE tenant = ? AND lane = ?",
                (msgspec.json.encode(spent).decode(), wanted.tenant, wanted.lane),
            )
        if not pacing.left(spent, rate, now):
            held_up, again_at = "rate", pacing.next_free(spent, rate, now)
    retries = sum(d.state == "waiting" for d in lane.picks)
    retry_at: int | None = None
    if wanted.retries or lane.deferred:
        rows = yield Sql(
            "SELECT MIN(next_at) FROM deliveries WHERE lane = ? AND state = 'waiting' AND next_at IS NOT NULL",
            (wanted.lane,),
        )
        retry_at = cast("int | None", rows[0][0])
    return Taken(
        lane=wanted.lane,
        firsts=count - retries,
        retries=retries,
        retry_at=retry_at,
        again_at=again_at,
        held_up=held_up,
        cursor=lane.cursor,
        unkeyed=lane.unkeyed,
        deferred=lane.deferred,
        looked=lane.looked,
        rate=rate,
    )


def postpone_plan(late: Late, now: int) -> Plan[None]:
    name = (late.tenant, late.lane)
    # Touched first: the row is held until the commit.
    row = one(
        (yield Sql("UPDATE lanes SET spent = spent WHERE tenant = ? AND lane = ? RETURNING spent", name))
    )
    if row is not None:
        spent = pacing.postpone(_decode(cast("str", row[0])), late.rate, late.at, now, late.count)
        text = msgspec.json.encode(spent).decode()
        yield Sql("UPDATE lanes SET spent = ? WHERE tenant = ? AND lane = ?", (text, *name))
