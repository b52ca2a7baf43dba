"""Replays: deliveries made anew, on purpose, from old ones and from events that a disabled hook missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from hookline.model import Delivery, Event, Replay, ReplayInput
from hookline.rules.matching import matches
from hookline.storage.accepting import DELIVERY_COLUMNS, INSERT_DELIVERIES, delivery_row
from hookline.storage.deliveries import to_delivery
from hookline.storage.events import COLUMNS as EVENT_COLUMNS
from hookline.storage.events import find_events, to_event
from hookline.storage.plans import Database, Many, Plan, Row, Sql, Value, one

COLUMNS = "tenant, id, seq, spec, state, cursor, until_seq, total, done, created_at, finished_at"
FIELDS = COLUMNS.split(", ")
CHUNK = 500
Renew = Callable[[Event, Delivery | None], Delivery]


class Replays:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def start(self, replay: Replay) -> Replay:
        """Store a replay of what there is at this moment, with how many deliveries it will make."""

        def plan() -> Plan[Replay]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            seq = cast("int", clock[0][0])
            total = yield from _count(replay, seq)
            stored = msgspec.structs.replace(replay, seq=seq, until_seq=seq, total=total)
            yield Sql(
                f"INSERT INTO replays ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stored.tenant, stored.id, seq, _encode(stored), stored.state, 0, seq, total, 0,
                    stored.created_at, None,
                ),
            )  # fmt: skip
            return stored

        return await self._db.run(plan)

    async def count(self, replay: Replay) -> int:
        """How many deliveries it would make now."""

        def plan() -> Plan[int]:
            return (yield from _count(replay, 2**62))

        return await self._db.read(plan)

    async def step(self, replay: Replay, renew: Renew, now: int) -> Replay:
        """Make the next deliveries and move the cursor, in one commit; the replay as it then is.

        A replay that was stopped, or that another process has moved on, stays as it is stored.
        """

        def plan() -> Plan[Replay]:
            row = one((yield Sql(_select(), (replay.tenant, replay.id))))
            stored = _to_replay(row) if row else replay
            if stored.state != "running" or stored.cursor != replay.cursor:
                return stored
            found, cursor = yield from _next(stored)
            made = [renew(event, old) for event, old in found]
            finished = cursor >= stored.until_seq
            after = msgspec.structs.replace(
                stored,
                cursor=cursor,
                done=stored.done + len(made),
                state="finished" if finished else "running",
                finished_at=now if finished else None,
            )
            moved = yield Sql(
                "UPDATE replays SET cursor = ?, done = ?, state = ?, finished_at = ?"
                " WHERE tenant = ? AND id = ? AND state = 'running' AND cursor = ? RETURNING id",
                (cursor, after.done, after.state, after.finished_at, after.tenant, after.id, stored.cursor),
            )
            if moved and made:
                yield from _store(made, [old for _, old in found if old is not None], now)
            return after

        return await self._db.run(plan)

    async def stop(self, tenant: str, replay: str, now: int) -> bool:
        """Let a replay make no more deliveries; false when it is not running."""

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "UPDATE replays SET state = 'stopped', finished_at = ?"
                " WHERE tenant = ? AND id = ? AND state = 'running' RETURNING id",
                (now, tenant, replay),
            )
            return bool(rows)

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


def _deliveries_where(replay: Replay, after: int, until: int) -> tuple[str, list[Value]]:
    """The old deliveries that are meant. One that was born of a replay counts like any other."""
    states = [state for state in replay.spec.states if state != "disabled"]
    where = "d.tenant = ? AND d.hook = ? AND d.seq > ? AND d.seq <= ?"
    args: list[Value] = [replay.tenant, replay.spec.hook, after, until]
    where += f" AND d.state IN ({', '.join('?' for _ in states) or 'NULL'})"
    args += states
    for text, value in (("d.created_at >= ?", replay.since), ("d.created_at < ?", replay.until)):
        if value is not None:
            where += f" AND {text}"
            args.append(value)
    return where, args


def _events_where(replay: Replay, after: int, until: int) -> tuple[str, list[Value]]:
    where, args = "tenant = ? AND seq > ? AND seq <= ?", cast("list[Value]", [replay.tenant, after, until])
    for text, value in (("accepted_at >= ?", replay.since), ("accepted_at < ?", replay.until)):
        if value is not None:
            where += f" AND {text}"
            args.append(value)
    return where, args


def _wanted(replay: Replay, event: Event) -> bool:
    types = replay.spec.types
    return not types or any(matches(pattern, event.type) for pattern in types)


def _missed(replay: Replay, event: Event) -> bool:
    """Whether the hook did not act on this event because it was disabled."""
    return any(v.hook == replay.spec.hook and v.verdict == "disabled" for v in event.verdicts)


def _next(replay: Replay) -> Plan[tuple[list[tuple[Event, Delivery | None]], int]]:
    """What the next chunk of the sequence holds, in its order, and where the chunk ends."""
    found: list[tuple[int, Event, Delivery | None]] = []
    ends: list[int] = []
    where, args = _deliveries_where(replay, replay.cursor, replay.until_seq)
    columns = ", ".join(f"d.{column.partition(':')[0]}" for column in DELIVERY_COLUMNS.split())
    rows = yield Sql(
        f"SELECT {columns} FROM deliveries d WHERE {where} ORDER BY d.seq LIMIT ?", (*args, CHUNK)
    )
    old = [to_delivery(row) for row in rows]
    ends.append(old[-1].seq if len(old) == CHUNK else replay.until_seq)
    events: list[Event] = []
    if "disabled" in replay.spec.states:
        where, args = _events_where(replay, replay.cursor, replay.until_seq)
        rows = yield Sql(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE {where} ORDER BY seq LIMIT ?", (*args, CHUNK)
        )
        events = [to_event(row) for row in rows]
        ends.append(events[-1].seq if len(events) == CHUNK else replay.until_seq)
    cursor = min(ends)
    known = yield from find_events(sorted({(replay.tenant, d.event) for d in old if d.event is not None}))
    for delivery in old:
        event = known.get((replay.tenant, delivery.event or ""))
        if delivery.seq <= cursor and event is not None and _wanted(replay, event):
            found.append((delivery.seq, event, delivery))
    for event in events:
        if event.seq <= cursor and _missed(replay, event) and _wanted(replay, event):
            found.append((event.seq, event, None))
    found.sort(key=lambda item: item[0])
    return [(event, delivery) for _, event, delivery in found], cursor


def _count(replay: Replay, until: int) -> Plan[int]:
    total, walking = 0, msgspec.structs.replace(replay, cursor=0, until_seq=until)
    while walking.cursor < until:
        found, cursor = yield from _next(walking)
        total += len(found)
        walking = msgspec.structs.replace(walking, cursor=cursor)
    return total


def _store(made: list[Delivery], old: list[Delivery], now: int) -> Plan[None]:
    rows = yield Sql("UPDATE clock SET seq = seq + ? WHERE id = 1 RETURNING seq", (len(made),))
    first = cast("int", rows[0][0]) - len(made) + 1
    yield Many(
        INSERT_DELIVERIES,
        DELIVERY_COLUMNS,
        [delivery_row(msgspec.structs.replace(d, seq=first + place)) for place, d in enumerate(made)],
    )
    held = [(d.tenant, d.id, now) for d in old if d.state == "held"]
    if held:  # what was held is owed no more: the new delivery stands for it
        yield Many(
            "UPDATE deliveries SET state = 'cancelled', error = 'cancelled', updated_at = v.at FROM {v}"
            " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id AND deliveries.state = 'held'",
            "tenant:t id:t at:i",
            held,
        )
