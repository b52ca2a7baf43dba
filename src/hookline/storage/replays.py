"""Replays: deliveries made anew, on purpose, from old ones and from events that a disabled hook missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from hookline.model import Delivery, Event, Replay, ReplayInput
from hookline.rules.matching import matches
from hookline.storage.accepting import DELIVERY_COLUMNS, INSERT_DELIVERIES, delivery_row
from hookline.storage.batching import copy
from hookline.storage.events import decode_verdicts
from hookline.storage.ordering import recheck_keys
from hookline.storage.plans import TAKE_CLOCK, Database, Many, Plan, Row, Sql, Value, Wake, one
from hookline.storage.rows import to_delivery

COLUMNS = "tenant, id, seq, spec, state, cursor, until_seq, total, done, created_at, finished_at"
FIELDS = COLUMNS.split(", ")
CHUNK = 1000  # how many old deliveries, and how many events, are looked at in one commit
SPAN = (
    50_000  # places of the sequence, at the most: among very many events few may be of the time that is meant
)
Renew = Callable[[Event, Delivery | None], Delivery]
# All of an event but what its publisher sent: a delivery finds that when it is claimed.
SLIM = "tenant, id, seq, type, source, subject, time, accepted_at, depth, verdicts"


class Replays:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def start(self, replay: Replay) -> Replay:
        """Store a replay of what there is at this moment, with how many deliveries it will make.

        They are counted before it is stored, so that a long count keeps nobody waiting: what comes in between
        is replayed, too, and not part of the total.
        """
        total = await self.count(replay)

        def plan() -> Plan[Replay]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            seq = cast("int", clock[0][0])
            stored = msgspec.structs.replace(replay, seq=seq, until_seq=seq, total=total)
            yield Sql(
                f"INSERT INTO replays ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stored.tenant, stored.id, seq, _encode(stored), stored.state, 0, seq, total, 0,
                    stored.created_at, None,
                ),
            )  # fmt: skip
            yield Wake("replays")
            return stored

        return await self._db.run(plan)

    async def count(self, replay: Replay) -> int:
        """How many deliveries it would make now."""

        def plan() -> Plan[int]:
            total = yield from _count_old(replay)
            if "disabled" in replay.spec.states:
                total += (yield from _count_missed(replay, 0))[0]
            return total

        return await self._db.read(plan)

    async def count_missed(self, replay: Replay, after: int, most: int) -> tuple[int, bool]:
        """How many events its hook missed, being disabled, of those behind this place of the sequence; and whether
        there are no more. No more than ``most`` places are looked at, or little more."""
        return await self._db.read(lambda: _count_missed(replay, after, most))

    async def step(self, replay: Replay, renew: Renew, now: int) -> Replay:
        """Make the next deliveries and move the cursor, in one commit; the replay as it then is.

        ``renew`` is handed events without their ``data``. A replay that was stopped, or that another process
        has moved on, stays as it is stored; one whose hook was deleted meanwhile is stopped.
        """

        def plan() -> Plan[Replay]:
            yield TAKE_CLOCK  # two replays of one hook go one after another, and each sees what the other made
            ours = yield Sql(
                "UPDATE replays SET cursor = cursor WHERE tenant = ? AND id = ? AND state = 'running'"
                f" AND cursor = ? RETURNING {COLUMNS}",
                (replay.tenant, replay.id, replay.cursor),
            )
            if not ours:
                row = one((yield Sql(_select(), (replay.tenant, replay.id))))
                return _to_replay(row) if row else replay
            stored = _to_replay(ours[0])
            if not (
                yield Sql(
                    "SELECT 1 FROM hooks WHERE tenant = ? AND id = ?", (stored.tenant, stored.spec.hook)
                )
            ):
                yield from _stop(stored, now)
                return msgspec.structs.replace(stored, state="stopped", finished_at=now)
            found, cursor = yield from _next(stored)
            owed = yield from _release(found, now)
            if owed:
                made = [(renew(event, old), old) for event, old in owed]
                yield from _store(made)
                if any(delivery.order_key is None for delivery, _ in made):
                    yield recheck_keys(stored.tenant, stored.spec.hook)
                yield Wake("dispatch")
            finished = cursor >= stored.until_seq
            after = msgspec.structs.replace(
                stored,
                cursor=cursor,
                done=stored.done + len(owed),
                state="finished" if finished else "running",
                finished_at=now if finished else None,
            )
            yield Sql(
                "UPDATE replays SET cursor = ?, done = ?, state = ?, finished_at = ? WHERE tenant = ? AND id = ?",
                (cursor, after.done, after.state, after.finished_at, after.tenant, after.id),
            )
            return after

        return await self._db.run(plan)

    async def stop(self, replay: Replay, now: int) -> bool:
        """Let a replay make no more deliveries, and cancel those of it that have not begun.

        False when it is at an end and nothing of it waits any more.
        """

        def plan() -> Plan[bool]:
            yield TAKE_CLOCK
            rows = yield from _stop(replay, now)
            waiting = yield Sql(
                "UPDATE deliveries SET state = 'cancelled', error = 'cancelled', next_at = NULL, updated_at = ?"
                " WHERE tenant = ? AND replay = ? AND hook = ? AND next_at IS NOT NULL AND attempts = 0 RETURNING id",
                (now, replay.tenant, replay.id, replay.spec.hook),
            )
            if waiting and not rows:
                yield Sql(
                    "UPDATE replays SET state = 'stopped' WHERE tenant = ? AND id = ?",
                    (replay.tenant, replay.id),
                )
            return bool(rows or waiting)

        return await self._db.run(plan)

    async def get(self, tenant: str, replay: str) -> Replay | None:
        def plan() -> Plan[Replay | None]:
            row = one((yield Sql(_select(), (tenant, replay))))
            return _to_replay(row) if row else None

        return await self._db.read(plan)

    async def running(self) -> list[Replay]:
        """All replays under way, of all tenants."""

        def plan() -> Plan[list[Replay]]:
            rows = yield Sql(f"SELECT {COLUMNS} FROM replays WHERE state = 'running' ORDER BY seq")
            return [_to_replay(row) for row in rows]

        return await self._db.read(plan)

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Replay]:
        """Newest first, those before the place ``before``."""

        def plan() -> Plan[list[Replay]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM replays WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [_to_replay(row) for row in rows]

        return await self._db.read(plan)


def _stop(replay: Replay, now: int) -> Plan[list[Row]]:
    return (
        yield Sql(
            "UPDATE replays SET state = 'stopped', finished_at = COALESCE(finished_at, ?)"
            " WHERE tenant = ? AND id = ? AND state = 'running' RETURNING id",
            (now, replay.tenant, replay.id),
        )
    )


def _select() -> str:
    return f"SELECT {COLUMNS} FROM replays WHERE tenant = ? AND id = ?"


def _encode(replay: Replay) -> bytes:
    # The moments that `since` and `until` stood for are kept with the words.
    return msgspec.json.encode({"spec": replay.spec, "since": replay.since, "until": replay.until})


class _Stored(msgspec.Struct):
    spec: ReplayInput
    since: int | None
    until: int | None


def _to_replay(row: Row) -> Replay:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    kept = msgspec.json.decode(values["spec"], type=_Stored)
    return Replay(**(values | {"spec": kept.spec, "since": kept.since, "until": kept.until}))


def _within(replay: Replay, column: str) -> tuple[str, list[Value]]:
    """A clause for the replay's time, and its arguments."""
    bounds = ((f" AND {column} >= ?", replay.since), (f" AND {column} < ?", replay.until))
    wanted = [(text, value) for text, value in bounds if value is not None]
    return "".join(text for text, _ in wanted), [value for _, value in wanted]


def _old(replay: Replay) -> tuple[str, list[Value]]:
    """Which old deliveries are meant. One that was born of a replay counts like any other."""
    states = [state for state in replay.spec.states if state != "disabled"]
    time, args = _within(replay, "d.created_at")
    where = f"d.tenant = ? AND d.hook = ? AND d.state IN ({', '.join('?' for _ in states) or 'NULL'}){time}"
    return where, [replay.tenant, replay.spec.hook, *states, *args]


def _wanted(replay: Replay, event_type: str) -> bool:
    types = replay.spec.types
    return not types or any(matches(pattern, event_type) for pattern in types)


def _count_old(replay: Replay) -> Plan[int]:
    where, args = _old(replay)
    rows = yield Sql(
        "SELECT e.type, COUNT(*) FROM deliveries d JOIN events e ON e.tenant = d.tenant AND e.id = d.event"
        f" WHERE {where} GROUP BY e.type",
        args,
    )
    counts = cast("list[tuple[str, int]]", rows)
    return sum(count for event_type, count in counts if _wanted(replay, event_type))


def _count_missed(replay: Replay, after: int, most: int | None = None) -> Plan[tuple[int, bool]]:
    rows = yield Sql("SELECT seq FROM clock WHERE id = 1")
    last = cast("int", rows[0][0])
    total, cursor = 0, after
    while cursor < last:
        if most is not None and cursor >= after + most:
            return total, False
        events, cursor = yield from _missed(replay, cursor, last)
        total += len(events)
    return total, True


def _next_old(replay: Replay) -> Plan[tuple[list[tuple[Event, Delivery]], int]]:
    """Old deliveries that are meant, with their events, among the hook's next; and where these end."""
    span = (replay.tenant, replay.spec.hook, replay.cursor, replay.until_seq)
    rows = yield Sql(
        "SELECT COUNT(*), MAX(seq) FROM (SELECT seq FROM deliveries"
        " WHERE tenant = ? AND hook = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?) AS n",
        (*span, CHUNK),
    )
    count, last = cast("tuple[int, int | None]", rows[0])
    end = replay.until_seq if last is None or count < CHUNK else last
    where, args = _old(replay)
    columns = ", ".join(f"d.{column.partition(':')[0]}" for column in DELIVERY_COLUMNS.split())
    rows = yield Sql(
        f"SELECT {columns} FROM deliveries d WHERE {where} AND d.seq > ? AND d.seq <= ? ORDER BY d.seq",
        (*args, replay.cursor, end),
    )
    old = [to_delivery(row) for row in rows]
    named = sorted({(replay.tenant, d.event) for d in old if d.event is not None})
    events: dict[str, Event] = {}
    if named:
        slim = ", ".join(f"e.{field}" for field in SLIM.split(", "))
        rows = yield Many(
            f"SELECT {slim} FROM events e, {{v}} WHERE e.tenant = v.tenant AND e.id = v.id",
            "tenant:t id:t",
            named,
        )
        events = {event.id: event for event in map(_to_slim, rows)}
    pairs = [(events[d.event], d) for d in old if d.event in events]
    return [(event, d) for event, d in pairs if _wanted(replay, event.type)], end


def _missed(replay: Replay, cursor: int, until: int) -> Plan[tuple[list[Event], int]]:
    """Among the next events those that the hook missed, being disabled; and where these end.

    One that the hook has a delivery of, by an earlier replay, is missed no more.
    """
    time, args = _within(replay, "accepted_at")
    until = min(until, cursor + SPAN)
    rows = yield Sql(
        f"SELECT {SLIM} FROM events WHERE tenant = ? AND seq > ? AND seq <= ?{time} ORDER BY seq LIMIT ?",
        (replay.tenant, cursor, until, *args, CHUNK),
    )
    events = [_to_slim(row) for row in rows]
    end = events[-1].seq if len(events) == CHUNK else until
    hook = replay.spec.hook
    missed = [
        event
        for event in events
        if any(v.hook == hook and v.verdict == "disabled" for v in event.verdicts)
        and _wanted(replay, event.type)
    ]
    if not missed:
        return [], end
    rows = yield Many(
        "SELECT d.event FROM deliveries d, {v}"
        " WHERE d.tenant = v.tenant AND d.event = v.event AND d.hook = v.hook",
        "tenant:t event:t hook:t",
        [(event.tenant, event.id, hook) for event in missed],
    )
    known = {row[0] for row in rows}
    return [event for event in missed if event.id not in known], end


def _to_slim(row: Row) -> Event:
    values: dict[str, Any] = dict(zip(SLIM.split(", "), row, strict=True))
    return Event(**(values | {"verdicts": decode_verdicts(values["verdicts"])}))


def _next(replay: Replay) -> Plan[tuple[list[tuple[Event, Delivery | None]], int]]:
    """What the next chunk of the sequence holds, in its order, and where the chunk ends."""
    found: list[tuple[int, Event, Delivery | None]] = []
    cursor = replay.until_seq
    if any(state != "disabled" for state in replay.spec.states):
        old, cursor = yield from _next_old(replay)
        found += [(delivery.seq, event, delivery) for event, delivery in old]
    if "disabled" in replay.spec.states:
        # No further than the old deliveries go: one chunk has one end.
        events, end = yield from _missed(replay, replay.cursor, cursor)
        found = [item for item in found if item[0] <= end] + [(event.seq, event, None) for event in events]
        cursor = end
    found.sort(key=lambda item: item[0])
    return [(event, delivery) for _, event, delivery in found], cursor


def _release(
    found: list[tuple[Event, Delivery | None]], now: int
) -> Plan[list[tuple[Event, Delivery | None]]]:
    """Cancel what is held: the new delivery stands for it. What is held no more is left out."""
    held = [(old.tenant, old.id, now) for _, old in found if old is not None and old.state == "held"]
    if not held:
        return found
    rows = yield Many(
        "UPDATE deliveries SET state = 'cancelled', error = 'cancelled', updated_at = v.at FROM {v}"
        " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id AND deliveries.state = 'held'"
        " RETURNING deliveries.id",
        "tenant:t id:t at:i",
        held,
    )
    released = {row[0] for row in rows}
    return [pair for pair in found if pair[1] is None or pair[1].state != "held" or pair[1].id in released]


def _store(made: list[tuple[Delivery, Delivery | None]]) -> Plan[None]:
    rows = yield Sql("UPDATE clock SET seq = seq + ? WHERE id = 1 RETURNING seq", (len(made),))
    first = cast("int", rows[0][0]) - len(made) + 1
    yield Many(
        INSERT_DELIVERIES,
        DELIVERY_COLUMNS,
        [delivery_row(msgspec.structs.replace(d, seq=first + place)) for place, (d, _) in enumerate(made)],
    )
    yield from copy([(delivery, old.id) for delivery, old in made if old is not None and delivery.size > 0])
