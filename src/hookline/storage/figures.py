"""Reading what was counted: a row of a counter for each bucket, never the events themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, cast

from hookline.rules.counting import COUNTERS
from hookline.storage.plans import Database, Many, Plan, Row, Sql, Value, all_of

NAMES = ("events", "deliveries", *COUNTERS)
_LISTED = ", ".join(NAMES)
_SUMMED = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in NAMES)
Timing = Literal["event", "message"]


class Bucket(NamedTuple):
    """The figures of a name: in all where ``start`` (in hours since 1970) is ``None``. Zeros are left out."""

    name: str
    start: int | None
    figures: dict[str, int]


class Figures:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def total(self, tenant: str, dim: str, name: str) -> dict[str, int]:
        """All figures of one name, such as those of a campaign."""
        found = await self.totals(tenant, dim, name=name, limit=1)
        return found[0].figures if found else {}

    async def totals(
        self, tenant: str, dim: str, *, parent: str = "", name: str | None = None, limit: int
    ) -> list[Bucket]:
        """In all, the biggest by ``attempted`` first where there is a ``parent``, else by name."""

        def plan() -> Plan[list[Bucket]]:
            where, args = all_of(
                tenant,
                [("dim = ?", dim), ("parent = ?", parent), ("timing = ?", "total"), ("name = ?", name)],
            )
            order = ("clicked_total DESC" if dim == "link" else "attempted DESC") if parent else "name"
            more = " AND parent <> ''" if parent else ""
            rows = yield Sql(
                f"SELECT name, 0, {_LISTED} FROM counters WHERE {where}{more} ORDER BY {order} LIMIT ?",
                [*args, limit],
            )
            return [_bucket(row)._replace(start=None) for row in rows]

        return await self._db.read(plan)

    async def buckets(
        self,
        tenant: str,
        dim: str,
        *,
        timing: Timing,
        hours: int | None,
        since: int | None,
        until: int | None,
        limit: int,
        parent: str = "",
        name: str | None = None,
    ) -> list[Bucket]:
        """By name and time, in buckets of so many ``hours`` (one, where that is ``None``), from the hour ``since``
        up to the hour ``until``."""
        start = f"hour / {hours} * {hours}" if hours else "0"

        def plan() -> Plan[list[Bucket]]:
            filters: list[tuple[str, Value]] = [
                ("dim = ?", dim),
                ("parent = ?", parent),
                ("timing = ?", timing),
                ("name = ?", name),
                ("hour >= ?", since),
                ("hour < ?", until),
            ]
            where, args = all_of(tenant, filters)
            rows = yield Sql(
                f"SELECT name, {start} AS start, {_SUMMED} FROM counters WHERE {where}"
                " GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?",
                [*args, limit],
            )
            found = [_bucket(row) for row in rows]
            return found if hours else [bucket._replace(start=None) for bucket in found]

        return await self._db.read(plan)

    async def marks(
        self, tenant: str, events: Iterable[tuple[str, str]]
    ) -> dict[str, tuple[bool, str | None]]:
        """Whether each of these opens and clicks, given by message and event, is a machine's, as far as is known now,
        and why."""
        wanted = [(tenant, *names) for names in sorted(set(events))]

        def plan() -> Plan[dict[str, tuple[bool, str | None]]]:
            rows = yield Many(
                "SELECT h.event, h.machine, h.reason FROM hits h, {v} WHERE h.tenant = v.tenant"
                " AND h.message = v.message AND h.event = v.event",
                "tenant:t message:t event:t",
                wanted,
            )
            return {cast("str", row[0]): (bool(row[1]), cast("str | None", row[2])) for row in rows}

        return await self._db.read(plan) if wanted else {}


def _bucket(row: Row) -> Bucket:
    values = cast("tuple[int, ...]", row[2:])
    figures = {name: value for name, value in zip(NAMES, values, strict=True) if value}
    return Bucket(cast("str", row[0]), cast("int", row[1]), figures)
