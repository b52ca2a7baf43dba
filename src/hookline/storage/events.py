"""Events, as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from hookline.model import Event, Verdict
from hookline.storage.accepting import EVENT_COLUMNS, names
from hookline.storage.plans import Database, Many, Plan, Row, Sql, Value, all_of, one

COLUMNS = names(EVENT_COLUMNS)
FIELDS = COLUMNS.split(", ")
TYPES_KNOWN, TYPES_ASKED = 200, 20
decode_verdicts = msgspec.json.Decoder(tuple[Verdict, ...]).decode


def to_event(row: Row) -> Event:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    values["verdicts"] = decode_verdicts(values["verdicts"])
    return Event(**values)


def find_events(wanted: Sequence[tuple[str, str]]) -> Plan[dict[tuple[str, str], Event]]:
    """The events of these tenants and ids, by both."""
    if not wanted:
        return {}
    columns = ", ".join(f"e.{field}" for field in FIELDS)
    rows = yield Many(
        f"SELECT {columns} FROM events e, {{v}} WHERE e.tenant = v.tenant AND e.id = v.id",
        "tenant:t id:t",
        wanted,
    )
    return {(event.tenant, event.id): event for event in map(to_event, rows)}


def find_batch(tenant: str, delivery: str) -> Plan[list[Event]]:
    """The events of a batch, in their order."""
    columns = ", ".join(f"e.{field}" for field in FIELDS)
    rows = yield Sql(
        f"SELECT {columns} FROM batch_events b JOIN events e ON e.tenant = b.tenant AND e.id = b.event"
        " WHERE b.tenant = ? AND b.delivery = ? ORDER BY b.place",
        (tenant, delivery),
    )
    return [to_event(row) for row in rows]


class Events:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, tenant: str, event: str) -> Event | None:
        def plan() -> Plan[Event | None]:
            row = one(
                (yield Sql(f"SELECT {COLUMNS} FROM events WHERE tenant = ? AND id = ?", (tenant, event)))
            )
            return to_event(row) if row else None

        return await self._db.read(plan)

    async def of_batch(self, tenant: str, delivery: str) -> list[Event]:
        """The events of a batch, in the order in which they were accepted."""
        return await self._db.read(lambda: find_batch(tenant, delivery))

    async def page(
        self,
        tenant: str,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
        type: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        campaign: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> list[Event]:
        """Events newest first before the place ``before``, or oldest first after the place ``after``.

        The sequence follows the order of commits, so neither walk misses one that was committed late.
        ``type`` may end in ``.*``; ``since`` and ``until`` bound the time of acceptance.
        """
        filters: list[tuple[str, Value]] = [
            ("seq < ?", before),
            ("seq > ?", after),
            ("source = ?", source),
            ("subject = ?", subject),
            ("campaign = ?", campaign),
            ("accepted_at >= ?", since),
            ("accepted_at < ?", until),
        ]
        prefix = type[:-1] if type is not None and type.endswith(".*") else None
        if prefix is None and type != "*":
            filters.append(("type = ?", type))
        where, args = all_of(tenant, filters)
        order = "seq" if after is not None else "seq DESC"

        def found(clause: str, *more: Value) -> Sql:
            text = f"SELECT {COLUMNS} FROM events WHERE {where} AND {clause} ORDER BY {order} LIMIT ?"
            return Sql(text, (*args, *more, limit))

        def plan() -> Plan[list[Event]]:
            if prefix is None:
                return [to_event(row) for row in (yield found("1 = 1"))]
            types = yield from _types_below(tenant, prefix)
            if types is None:
                rows = yield found("substr(type, 1, ?) = ?", len(prefix), prefix)
                return [to_event(row) for row in rows]
            events: list[Event] = []
            for name in types:
                events += [to_event(row) for row in (yield found("type = ?", name))]
            events.sort(key=lambda event: event.seq, reverse=after is None)
            return events[:limit]

        return await self._db.read(plan)

    async def last_place(self) -> int:
        """The place of the newest event or delivery."""

        def plan() -> Plan[int]:
            return cast("int", (yield Sql("SELECT seq FROM clock WHERE id = 1"))[0][0])

        return await self._db.read(plan)


def _types_below(tenant: str, prefix: str) -> Plan[list[str] | None]:
    """The types that begin so, or ``None`` where there are so many that it is better to walk the sequence.

    Hops along the index from type to type. A range of names would be at the mercy of the database's collation.
    """
    rows = yield Sql(
        "WITH RECURSIVE n(type) AS (SELECT (SELECT MIN(type) FROM events WHERE tenant = ?) UNION ALL"
        " SELECT (SELECT MIN(e.type) FROM events e WHERE e.tenant = ? AND e.type > n.type)"
        " FROM n WHERE n.type IS NOT NULL) SELECT type FROM n WHERE type IS NOT NULL LIMIT ?",
        (tenant, tenant, TYPES_KNOWN + 1),
    )
    types = [name for (name,) in cast("list[tuple[str]]", rows) if name.startswith(prefix)]
    return types if len(rows) <= TYPES_KNOWN and len(types) <= TYPES_ASKED else None
