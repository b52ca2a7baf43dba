"""Templates of mails."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from hookline.model import Template
from hookline.storage.plans import Database, Plan, Row, Sql, one

COLUMNS = "tenant, id, seq, name, subject, html, text, created_at, updated_at"
FIELDS = COLUMNS.split(", ")


def _to_template(row: Row) -> Template:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    return Template(**values)


class Templates:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, template: Template) -> Template | None:
        """Store a new or changed template; ``None`` when another has its name."""

        def plan() -> Plan[Template | None]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            taken = yield Sql(
                "SELECT id FROM templates WHERE tenant = ? AND name = ? AND id <> ?",
                (template.tenant, template.name, template.id),
            )
            if taken:
                return None
            stored = msgspec.structs.replace(template, seq=template.seq or cast("int", clock[0][0]))
            yield Sql(
                f"INSERT INTO templates ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, subject = excluded.subject,"
                " html = excluded.html, text = excluded.text, updated_at = excluded.updated_at",
                msgspec.structs.astuple(stored),
            )
            return stored

        return await self._db.run(plan)

    async def get(self, tenant: str, name: str) -> Template | None:
        """By its id or its name."""

        def plan() -> Plan[Template | None]:
            row = one(
                (
                    yield Sql(
                        f"SELECT {COLUMNS} FROM templates WHERE tenant = ? AND (id = ? OR name = ?)",
                        (tenant, name, name),
                    )
                )
            )
            return _to_template(row) if row else None

        return await self._db.read(plan)

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Template]:
        """Newest first, those before the place ``before``."""

        def plan() -> Plan[list[Template]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM templates WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [_to_template(row) for row in rows]

        return await self._db.read(plan)

    async def delete(self, tenant: str, template: str) -> bool:
        def plan() -> Plan[bool]:
            rows = yield Sql(
                "DELETE FROM templates WHERE tenant = ? AND id = ? RETURNING id", (tenant, template)
            )
            return bool(rows)

        return await self._db.run(plan)
