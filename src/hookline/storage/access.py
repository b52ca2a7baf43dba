"""Who may call us and whom we may call: keys, connections, sources."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from hookline.model import Connection, Key, Source
from hookline.storage.plans import Database, Plan, Row, Sql, Value, one
from hookline.storage.sealing import Sealer

KEY_COLUMNS = "tenant, id, seq, name, scope, created_at, revoked_at"
CONNECTION_COLUMNS = "tenant, id, seq, name, kind, base_url, priority, credentials, created_at"
SOURCE_COLUMNS = "tenant, id, seq, name, kind, credentials, refused, created_at"
NEXT_SEQ = "UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq"
_encode = msgspec.json.Encoder().encode


def _values(columns: str, row: Row) -> dict[str, Any]:
    return dict(zip(columns.split(", "), row, strict=True))


class Access:
    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._db = database
        self._sealer = sealer

    # --- keys

    async def put_key(self, key: Key, digest: bytes) -> Key:
        """Store a key by the SHA-256 ``digest`` of its text."""

        def plan() -> Plan[Key]:
            seq = cast("int", (yield Sql(NEXT_SEQ))[0][0])
            yield Sql(
                f"INSERT INTO keys ({KEY_COLUMNS}, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (key.tenant, key.id, seq, key.name, key.scope, key.created_at, None, digest),
            )
            return msgspec.structs.replace(key, seq=seq)

        return await self._db.run(plan)

    async def key_by_digest(self, digest: bytes) -> Key | None:
        """The key that is not revoked and has this SHA-256."""

        def plan() -> Plan[Key | None]:
            row = one(
                (
                    yield Sql(
                        f"SELECT {KEY_COLUMNS} FROM keys WHERE hash = ? AND revoked_at IS NULL",
                        (digest,),
                    )
                )
            )
            return Key(**_values(KEY_COLUMNS, row)) if row else None

        return await self._db.read(plan)

    async def page_of_keys(self, tenant: str, *, limit: int, before: int | None = None) -> list[Key]:
        def plan() -> Plan[list[Key]]:
            rows = yield Sql(_page(KEY_COLUMNS, "keys"), (tenant, before or 2**62, limit))
            return [Key(**_values(KEY_COLUMNS, row)) for row in rows]

        return await self._db.read(plan)

    async def tenants(self) -> list[str]:
        """Everybody who ever had a key."""

        def plan() -> Plan[list[str]]:
            rows = yield Sql("SELECT DISTINCT tenant FROM keys ORDER BY tenant")
            return [cast("str", row[0]) for row in rows]

        return await self._db.read(plan)

    async def revoke_key(self, tenant: str, key: str, now: int) -> bool:
        """False when there is no such key, or it is revoked already."""

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "UPDATE keys SET revoked_at = ? WHERE tenant = ? AND id = ? AND revoked_at IS NULL RETURNING id",
                (now, tenant, key),
            )
            return bool(rows)

        return await self._db.run(plan)

    # --- connections

    async def put_connection(self, new: Connection) -> Connection:
        sealed = self._sealer.seal(_encode(new.credentials), f"connections/{new.tenant}/{new.id}")

        def plan() -> Plan[Connection]:
            seq = new.seq or cast("int", (yield Sql(NEXT_SEQ))[0][0])
            yield Sql(
                f"INSERT INTO connections ({CONNECTION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, base_url = excluded.base_url,"
                " priority = excluded.priority, credentials = excluded.credentials",
                (
                    new.tenant, new.id, seq, new.name, new.kind, new.base_url, new.priority, sealed,
                    new.created_at,
                ),
            )  # fmt: skip
            return msgspec.structs.replace(new, seq=seq)

        return await self._db.run(plan)

    def _to_connection(self, row: Row) -> Connection:
        values = _values(CONNECTION_COLUMNS, row)
        clear = self._sealer.open(values["credentials"], f"connections/{values['tenant']}/{values['id']}")
        values["credentials"] = msgspec.json.decode(clear, type=dict[str, str])
        return Connection(**values)

    async def connection(self, tenant: str, connection: str) -> Connection | None:
        def plan() -> Plan[Connection | None]:
            row = one((yield Sql(_get(CONNECTION_COLUMNS, "connections"), (tenant, connection))))
            return self._to_connection(row) if row else None

        return await self._db.read(plan)

    async def page_of_connections(
        self, tenant: str, *, limit: int, before: int | None = None
    ) -> list[Connection]:
        def plan() -> Plan[list[Connection]]:
            rows = yield Sql(_page(CONNECTION_COLUMNS, "connections"), (tenant, before or 2**62, limit))
            return [self._to_connection(row) for row in rows]

        return await self._db.read(plan)

    async def smtp_connections(self, tenant: str) -> list[Connection]:
        """The tenant's SMTP servers, the one to be asked first in front."""

        def plan() -> Plan[list[Connection]]:
            rows = yield Sql(
                f"SELECT {CONNECTION_COLUMNS} FROM connections WHERE tenant = ? AND kind = 'smtp'"
                " ORDER BY priority, seq",
                (tenant,),
            )
            return [self._to_connection(row) for row in rows]

        return await self._db.read(plan)

    async def delete_connection(self, tenant: str, connection: str) -> bool:
        return await self._delete("connections", tenant, connection)

    # --- sources

    async def put_source(self, new: Source) -> Source:
        sealed = self._sealer.seal(_encode(new.credentials), f"sources/{new.tenant}/{new.id}")

        def plan() -> Plan[Source]:
            seq = new.seq or cast("int", (yield Sql(NEXT_SEQ))[0][0])
            yield Sql(
                f"INSERT INTO sources ({SOURCE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, credentials = excluded.credentials",
                (new.tenant, new.id, seq, new.name, new.kind, sealed, new.refused, new.created_at),
            )
            return msgspec.structs.replace(new, seq=seq)

        return await self._db.run(plan)

    def _to_source(self, row: Row) -> Source:
        values = _values(SOURCE_COLUMNS, row)
        clear = self._sealer.open(values["credentials"], f"sources/{values['tenant']}/{values['id']}")
        values["credentials"] = msgspec.json.decode(clear, type=dict[str, str])
        return Source(**values)

    async def source(self, tenant: str, source: str) -> Source | None:
        return await self._source(_get(SOURCE_COLUMNS, "sources"), (tenant, source))

    async def source_anywhere(self, source: str) -> Source | None:
        """A source by its id alone, as its public address names it; the tenant comes from it."""
        return await self._source(f"SELECT {SOURCE_COLUMNS} FROM sources WHERE id = ?", (source,))

    async def _source(self, text: str, args: tuple[Value, ...]) -> Source | None:
        def plan() -> Plan[Source | None]:
            row = one((yield Sql(text, args)))
            return self._to_source(row) if row else None

        return await self._db.read(plan)

    async def page_of_sources(self, tenant: str, *, limit: int, before: int | None = None) -> list[Source]:
        def plan() -> Plan[list[Source]]:
            rows = yield Sql(_page(SOURCE_COLUMNS, "sources"), (tenant, before or 2**62, limit))
            return [self._to_source(row) for row in rows]

        return await self._db.read(plan)

    async def count_refused(self, tenant: str, source: str) -> None:
        """One more call to this source had a wrong signature."""

        def plan() -> Plan[None]:
            yield Sql(
                "UPDATE sources SET refused = refused + 1 WHERE tenant = ? AND id = ?", (tenant, source)
            )

        await self._db.run(plan)

    async def delete_source(self, tenant: str, source: str) -> bool:
        return await self._delete("sources", tenant, source)

    async def _delete(self, table: str, tenant: str, name: str) -> bool:
        def plan() -> Plan[bool]:
            rows = yield Sql(f"DELETE FROM {table} WHERE tenant = ? AND id = ? RETURNING id", (tenant, name))
            return bool(rows)

        return await self._db.run(plan)


def _get(columns: str, table: str) -> str:
    return f"SELECT {columns} FROM {table} WHERE tenant = ? AND id = ?"


def _page(columns: str, table: str) -> str:
    return f"SELECT {columns} FROM {table} WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
