"""Events, as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from hookline.model import Event, Verdict
from hookline.storage.accepting import EVENT_COLUMNS, names
from hookline.storage.plans import Database, Many, Plan, Row, Sql, Value, one

COLUMNS = names(EVENT_COLUMNS)
FIELDS = COLUMNS.split(", ")
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
        where, args = ["tenant = ?"], cast("list[Value]", [tenant])
        filters: list[tuple[str, Value]] = [
            ("seq < ?", before),
            ("seq > ?", after),
            ("source = ?", source),
            ("subject = ?", subject),
            ("campaign = ?", campaign),
            ("accepted_at >= ?", since),
            ("accepted_at < ?", until),
        ]
        if type is not None and type.endswith(".*"):
            # The character after the dot closes the range of names that begin so.
            filters += [("type >= ?", type[:-1]), ("type < ?", type[:-2] + "/")]
        elif type is not None and type != "*":
            filters.append(("type = ?", type))
        for text, value in filters:
            if value is not None:
                where.append(text)
                args.append(value)
        order = "seq" if after is not None else "seq DESC"
        sql = f"SELECT {COLUMNS} FROM events WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"

        def plan() -> Plan[list[Event]]:
            return [to_event(row) for row in (yield Sql(sql, (*args, limit)))]

        return await self._db.read(plan)

    async def last_place(self) -> int:
        """The place of the newest event or delivery."""

        def plan() -> Plan[int]:
            return cast("int", (yield Sql("SELECT seq FROM clock WHERE id = 1"))[0][0])

        return await self._db.read(plan)
