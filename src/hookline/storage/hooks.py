"""Hooks, and the version of the configuration that changes with each of them."""

from __future__ import annotations

from typing import cast

import msgspec

from hookline.model import MINUTE, Hook, HookInput, SigningKey
from hookline.storage.counting import count_cancelled
from hookline.storage.health import disable_hook, forget_health, hold
from hookline.storage.ordering import recheck_keys
from hookline.storage.plans import TAKE_CLOCK, Database, Plan, Row, Sql, Wake, one
from hookline.storage.sealing import Sealer
from hookline.storage.units import HookMoved

COLUMNS = "tenant, id, seq, spec, keys, disabled_reason, created_at, updated_at"
_encode = msgspec.json.Encoder().encode


class Pause(msgspec.Struct, frozen=True):
    """Until then a hook's receiver wants to be left alone. It was told to the hook as it was changed at ``version``:
    after another change it may have another receiver."""

    tenant: str
    hook: str
    version: int
    since: int
    until: int


def paused(now: int) -> Plan[tuple[Pause, ...]]:
    """The pauses of this moment, of all tenants. One that begins later is of a clock that was set back since."""
    rows = yield Sql(
        "SELECT tenant, id, updated_at, paused_since, paused_until FROM hooks"
        " WHERE paused_until > ? AND paused_since < ?",
        (now, now + MINUTE),
    )
    return tuple(Pause(*row) for row in rows)  # type: ignore[arg-type]


class Hooks:
    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._db = database
        self._sealer = sealer

    def _to_hook(self, row: Row) -> Hook:
        tenant, hook, seq, spec, keys, reason, created_at, updated_at = cast(
            "tuple[str, str, int, bytes, bytes, str | None, int, int]", row
        )
        return Hook(
            tenant=tenant,
            id=hook,
            seq=seq,
            spec=msgspec.json.decode(self._sealer.open(spec, f"hooks/{tenant}/{hook}/spec"), type=HookInput),
            keys=msgspec.json.decode(
                self._sealer.open(keys, f"hooks/{tenant}/{hook}"), type=tuple[SigningKey, ...]
            ),
            disabled_reason=reason,
            created_at=created_at,
            updated_at=updated_at,
        )

    async def put(self, hook: Hook) -> Hook:
        """Store a new hook; it counts for the next accepted event."""

        def plan() -> Plan[Hook]:
            rows = yield Sql("UPDATE clock SET seq = seq + 1, config = config + 1 WHERE id = 1 RETURNING seq")
            stored = msgspec.structs.replace(hook, seq=cast("int", rows[0][0]))
            yield Sql(
                f"INSERT INTO hooks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stored.tenant, stored.id, stored.seq, *self._sealed(stored),
                    stored.disabled_reason, stored.created_at, stored.updated_at,
                ),
            )  # fmt: skip
            yield Wake("dispatch")
            return stored

        return await self._db.run(plan)

    async def change(self, before: Hook, after: Hook) -> Hook | None:
        """Store a changed hook; it counts for the next accepted event. As it is stored.

        ``None``, and nothing is changed, when the stored hook is not ``before`` any more: somebody else
        changed or deleted it, or Hookline switched it off.
        """
        stored = later_than(before, after)
        try:
            await self._db.run(lambda: self.changing(before, stored))
        except HookMoved:
            return None
        return stored

    def changing(self, before: Hook, after: Hook) -> Plan[None]:
        """The plan of ``change``, to be part of another commit; HookMoved where that is ``None``.

        A hook that is switched off by it holds what it owes.
        """
        yield TAKE_CLOCK
        rows = yield Sql(
            "UPDATE hooks SET spec = ?, keys = ?, disabled_reason = ?, updated_at = ?,"
            " paused_since = NULL, paused_until = NULL"
            " WHERE tenant = ? AND id = ? AND updated_at = ? AND COALESCE(disabled_reason, '') = ?"
            " RETURNING id",
            (
                *self._sealed(after), after.disabled_reason, after.updated_at,
                before.tenant, before.id, before.updated_at, before.disabled_reason or "",
            ),
        )  # fmt: skip
        if not rows:
            raise HookMoved
        yield Sql("UPDATE clock SET config = config + 1 WHERE id = 1")
        yield recheck_keys(after.tenant, after.id)
        yield Wake("dispatch")
        if after.disabled_reason is not None and before.disabled_reason is None:
            yield from hold(after.tenant, after.id, after.updated_at)
        elif after.spec.do != before.spec.do:  # what failed may be mended
            yield from forget_health(after.tenant, after.id)

    def _sealed(self, hook: Hook) -> tuple[bytes, bytes]:
        """The spec, which may hold a Slack address or a receiver's password, and the signing keys."""
        name = f"hooks/{hook.tenant}/{hook.id}"
        return (
            self._sealer.seal(_encode(hook.spec), f"{name}/spec"),
            self._sealer.seal(_encode(hook.keys), name),
        )

    async def delete(self, tenant: str, hook: str, now: int) -> bool:
        """Remove a hook and cancel what it still owes and what was held; false when there was none."""
        # Its deliveries are found by its lane, which bears its name: its index has only those that wait.
        cancel = (
            "UPDATE deliveries SET state = 'cancelled', next_at = NULL, error = 'cancelled', updated_at = ?"
            " WHERE tenant = ? AND lane = ? AND "
        )

        def plan() -> Plan[bool]:
            yield Sql("UPDATE clock SET config = config + 1 WHERE id = 1")
            rows = yield Sql("DELETE FROM hooks WHERE tenant = ? AND id = ? RETURNING id", (tenant, hook))
            if rows:
                mails: list[tuple[str, str, str]] = []
                for waiting in ("next_at IS NOT NULL", "state = 'held'"):  # those that may have been put off
                    found = yield Sql(
                        f"SELECT id FROM deliveries WHERE tenant = ? AND lane = ? AND {waiting}"
                        " AND kind = 'email' AND attempts > 0",
                        (tenant, hook),
                    )
                    mails += [(tenant, "", cast("str", name)) for (name,) in found]
                yield from count_cancelled(mails, now)
                yield Sql(cancel + "next_at IS NOT NULL", (now, tenant, hook))
                yield Sql(cancel + "state = 'held'", (now, tenant, hook))
                yield from forget_health(tenant, hook)
                yield Wake("dispatch")
                yield Sql("DELETE FROM lanes WHERE tenant = ? AND lane = ?", (tenant, hook))
            return bool(rows)

        return await self._db.run(plan)

    async def hold(self, tenant: str, hook: str, reason: str, now: int) -> None:
        """Switch a hook off: what it owes is held, later events get the verdict ``disabled``."""

        def plan() -> Plan[None]:
            yield from disable_hook(tenant, hook, reason, now)

        await self._db.run(plan)

    async def pause(self, pause: Pause) -> None:
        """Let every process leave the hook's receiver alone, unless the hook was changed meanwhile."""

        def plan() -> Plan[None]:
            rows = yield Sql(
                "UPDATE hooks SET paused_since = ?, paused_until = ? WHERE tenant = ? AND id = ? AND updated_at = ?"
                " AND COALESCE(paused_until, 0) < ? RETURNING id",
                (pause.since, pause.until, pause.tenant, pause.hook, pause.version, pause.until),
            )
            if rows:
                yield Wake("dispatch")

        await self._db.run(plan)

    async def get(self, tenant: str, hook: str) -> Hook | None:
        def plan() -> Plan[Hook | None]:
            rows = yield Sql(f"SELECT {COLUMNS} FROM hooks WHERE tenant = ? AND id = ?", (tenant, hook))
            row = one(rows)
            return self._to_hook(row) if row else None

        return await self._db.read(plan)

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Hook]:
        """Newest first, those before the place ``before``."""

        def plan() -> Plan[list[Hook]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM hooks WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [self._to_hook(row) for row in rows]

        return await self._db.read(plan)

    async def version(self) -> int:
        """The version of the configuration."""

        def plan() -> Plan[int]:
            return cast("int", (yield Sql("SELECT config FROM clock WHERE id = 1"))[0][0])

        return await self._db.read(plan)

    async def everything(self) -> tuple[int, list[Hook]]:
        """The version of the configuration and all hooks of all tenants, of one moment."""

        def plan() -> Plan[tuple[int, list[Hook]]]:
            version = yield Sql("SELECT config FROM clock WHERE id = 1")
            rows = yield Sql(f"SELECT {COLUMNS} FROM hooks ORDER BY tenant, seq")
            return cast("int", version[0][0]), [self._to_hook(row) for row in rows]

        return await self._db.read(plan)


def later_than(before: Hook, after: Hook) -> Hook:
    """A changed hook with a time of its own: no two versions of a hook are of one moment."""
    return msgspec.structs.replace(after, updated_at=max(after.updated_at, before.updated_at + 1))
