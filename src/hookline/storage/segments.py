"""Segments, and what was sent to contacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from hookline.model import Segment
from hookline.rules.counting import CLICKED, OPENED, SENT
from hookline.storage.plans import Database, Many, Plan, Row, Sql, one

COLUMNS = "tenant, id, seq, name, condition, created_at, updated_at"
FIELDS = COLUMNS.split(", ")


class History(Struct, frozen=True):
    """How many messages were sent to a contact, and were opened and clicked by a person; and when last."""

    sent: int = 0
    opened: int = 0
    clicked: int = 0
    last_sent_at: int | None = None
    last_opened_at: int | None = None
    last_clicked_at: int | None = None


class Segments:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, segment: Segment) -> Segment | None:
        """Store a new or changed segment; ``None`` when another has its name."""

        def plan() -> Plan[Segment | None]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            taken = yield Sql(
                "SELECT id FROM segments WHERE tenant = ? AND name = ? AND id <> ?",
                (segment.tenant, segment.name, segment.id),
            )
            if taken:
                return None
            stored = msgspec.structs.replace(segment, seq=segment.seq or cast("int", clock[0][0]))
            yield Sql(
                f"INSERT INTO segments ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE"
                " SET name = excluded.name, condition = excluded.condition, updated_at = excluded.updated_at",
                [getattr(stored, name) for name in FIELDS],
            )
            return stored

        return await self._db.run(plan)

    async def get(self, tenant: str, text: str) -> Segment | None:
        """By its id or its name."""

        def plan() -> Plan[Segment | None]:
            row = one(
                (
                    yield Sql(
                        f"SELECT {COLUMNS} FROM segments WHERE tenant = ? AND (id = ? OR name = ?)",
                        (tenant, text, text),
                    )
                )
            )
            return _to_segment(row) if row else None

        return await self._db.read(plan)

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Segment]:
        """Newest first, those before the place ``before``."""

        def plan() -> Plan[list[Segment]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM segments WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [_to_segment(row) for row in rows]

        return await self._db.read(plan)

    async def delete(self, tenant: str, segment: str) -> bool:
        """False when a campaign that is not over is for it, or it is gone."""

        def plan() -> Plan[bool]:
            yield Sql("UPDATE clock SET seq = seq WHERE id = 1")  # no campaign comes to be meanwhile
            rows = yield Sql(
                "DELETE FROM segments WHERE tenant = ? AND id = ? AND NOT EXISTS (SELECT 1 FROM campaigns c"
                " WHERE c.tenant = segments.tenant AND c.segment = segments.id"
                " AND c.state NOT IN ('sent', 'cancelled')) RETURNING id",
                (tenant, segment),
            )
            return bool(rows)

        return await self._db.run(plan)

    async def history(self, tenant: str, contacts: Sequence[str]) -> dict[str, History]:
        """What was sent to these contacts; one to whom nothing was is left out."""
        count = "SUM(CASE WHEN (m.flags & {flag}) <> 0 THEN 1 ELSE 0 END)"
        counts = ", ".join(count.format(flag=flag) for flag in (SENT, OPENED, CLICKED))
        sent = f"CASE WHEN (m.flags & {SENT}) <> 0 THEN m.sent_at END"

        def plan() -> Plan[dict[str, History]]:
            rows = yield Many(
                f"SELECT m.contact, {counts}, MAX({sent}), MAX(m.opened_at), MAX(m.clicked_at)"
                " FROM messages m, {v} WHERE m.tenant = v.tenant AND m.contact = v.id GROUP BY m.contact",
                "tenant:t id:t",
                [(tenant, name) for name in contacts],
            )
            found = cast("list[tuple[str, int, int, int, Any, Any, Any]]", rows)
            return {contact: History(*values) for contact, *values in found}

        return await self._db.read(plan)


def _to_segment(row: Row) -> Segment:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    return Segment(**values)
