"""Reading what was counted: a row of a counter for each bucket, never the events themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, cast

from hookline.rules.counting import COUNTERS
from hookline.storage.counting import DAYS, LEVELS, ROLLUPS
from hookline.storage.plans import Database, Many, Plan, Row, Sql, Value, all_of

# What is counted under what; the rest is never anything but zero.
NAMES = {
    "type": ("events",),
    "source": ("events",),
    "link": ("clicked", "clicked_total", "clicked_machine"),
    "hook": ("deliveries", *COUNTERS),
    "hook failed": ("deliveries",),
}
# Each name that there is, and of its rows those of a span: found one after another by their key.
_EACH = "FROM counters n CROSS JOIN counters c"
_WITHIN = (
    "AND n.timing = 'total' AND n.hour = 0 AND c.tenant = n.tenant AND c.dim = n.dim AND c.parent = n.parent"
    " AND c.name = n.name AND c.timing = ? AND c.hour >= ? AND c.hour < ?"
)
ALWAYS = 2**40  # hours
Timing = Literal["event", "message"]


class Span(NamedTuple):
    """Rows of one timing, from an hour up to another."""

    timing: str
    since: int | None
    until: int | None

    def args(self) -> tuple[str, int, int]:
        return (
            self.timing,
            -ALWAYS if self.since is None else self.since,
            ALWAYS if self.until is None else self.until,
        )


def spans(timing: Timing, since: int | None, until: int | None, levels: int) -> list[Span]:
    """A span of hours as the coarsest buckets that are whole in it, and finer ones before and behind these."""
    after, size = ROLLUPS[levels - 1]
    first = None if since is None else -(-since // size) * size
    last = None if until is None else until // size * size
    if first is not None and last is not None and first >= last and levels > 1:
        return spans(timing, since, until, levels - 1)
    found = [Span(timing + after, first, last)]
    if since != first:
        found += spans(timing, since, first, levels - 1)
    if until != last:
        found += spans(timing, last, until, levels - 1)
    return found


class Bucket(NamedTuple):
    """The figures of a name: in all where ``start`` (in hours since 1970) is ``None``."""

    name: str
    start: int | None
    figures: dict[str, int]


class Figures:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def total(self, tenant: str, dim: str, name: str) -> dict[str, int]:
        """All figures of one name, such as those of a campaign, that are not zero."""
        found = await self.totals(tenant, dim, name=name, limit=1)
        return {name: value for name, value in found[0].figures.items() if value} if found else {}

    async def totals(
        self, tenant: str, dim: str, *, parent: str = "", name: str | None = None, limit: int
    ) -> list[Bucket]:
        """In all, the biggest by ``attempted`` first where there is a ``parent``, else by name."""

        names = NAMES.get(dim, COUNTERS)

        def plan() -> Plan[list[Bucket]]:
            where, args = all_of(tenant, [("dim = ?", dim), ("parent = ?", parent), ("name = ?", name)])
            order = ("clicked_total DESC" if dim == "link" else "attempted DESC") if parent else "name"
            more = " AND parent <> ''" if parent else ""
            rows = yield Sql(
                f"SELECT name, {', '.join(names)} FROM counters WHERE {where} AND timing = 'total'{more}"
                f" ORDER BY {order} LIMIT ?",
                [*args, limit],
            )
            return [Bucket(cast("str", row[0]), None, _figures(names, row[1:])) for row in rows]

        return await self._db.read(plan)

    async def buckets(
        self,
        tenant: str,
        dim: str,
        *,
        timing: Timing,
        hours: Literal[1, 24],
        since: int | None,
        until: int | None,
        limit: int,
        parent: str = "",
        name: str | None = None,
    ) -> list[Bucket]:
        """By name and time, in buckets of so many ``hours``, from the hour ``since`` up to the hour ``until``. Of days,
        both are at their edges."""
        where, args = _place(tenant, dim, parent, name)
        names = NAMES.get(dim, COUNTERS)

        def plan() -> Plan[list[Bucket]]:
            listed = ", ".join(f"c.{name}" for name in names)
            span = Span(timing if hours == 1 else f"{timing} day", since, until)
            rows = yield Sql(
                f"SELECT c.name, c.hour, {listed} {_EACH} WHERE {where} {_WITHIN} ORDER BY n.name, c.hour LIMIT ?",
                [*args, *span.args(), limit],
            )
            return [
                Bucket(cast("str", row[0]), cast("int", row[1]), _figures(names, row[2:])) for row in rows
            ]

        return await self._db.read(plan)

    async def windows(
        self,
        tenant: str,
        dim: str,
        *,
        timing: Timing,
        since: int | None,
        until: int | None,
        limit: int,
        parent: str = "",
        name: str | None = None,
    ) -> list[Bucket]:
        """By name, what was counted from the hour ``since`` up to the hour ``until``, together."""
        where, args = _place(tenant, dim, parent, name)
        names = NAMES.get(dim, COUNTERS)

        def plan() -> Plan[list[Bucket]]:
            summed = ", ".join(f"CAST(SUM(c.{name}) AS BIGINT)" for name in names)
            found: dict[str, dict[str, int]] = {}
            for span in spans(timing, since, until, LEVELS.get(dim, DAYS)):
                rows = yield Sql(
                    f"SELECT n.name, {summed} {_EACH} WHERE {where} {_WITHIN} GROUP BY n.name ORDER BY n.name LIMIT ?",
                    [*args, *span.args(), limit],
                )
                for row in rows:
                    more, before = _figures(names, row[1:]), found.get(cast("str", row[0]))
                    found[cast("str", row[0])] = (
                        {key: value + before[key] for key, value in more.items()} if before else more
                    )
            return [Bucket(each, None, found[each]) for each in sorted(found)][:limit]

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


def _figures(names: Sequence[str], values: Row) -> dict[str, int]:
    return dict(zip(names, cast("tuple[int, ...]", values), strict=True))


def _place(tenant: str, dim: str, parent: str, name: str | None) -> tuple[str, list[Value]]:
    where, args = all_of(tenant, [("n.dim = ?", dim), ("n.parent = ?", parent), ("n.name = ?", name)])
    return f"n.{where}", args
