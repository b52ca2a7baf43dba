"""The health of hooks: which of them had nothing but failures since when, and switching those off."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from hookline.storage.accepting import insert, names
from hookline.storage.plans import Many, Plan, Sql, Value, Wake
from hookline.storage.units import HookMoved, Settlement

Name = tuple[str, str]
"""A hook: its tenant and its id."""

NAMED = "tenant:t hook:t"
HEALTH = "tenant:t hook:t failing_since:i failures:i"
WORSE = insert(
    "hook_health",
    HEALTH,
    "ON CONFLICT (tenant, hook) DO UPDATE SET failures = hook_health.failures + excluded.failures"
    f" RETURNING {names(HEALTH)}",
)


class Illness(Struct, frozen=True):
    """Every delivery of the hook failed since then, ``failures`` of them for the first time."""

    tenant: str
    hook: str
    since: int
    failures: int


def recovered(batch: Iterable[Settlement]) -> Plan[list[Name]]:
    """Of the hooks that had a success, those which are on record as ill: few or none, and so locked only then."""
    wanted = _names(batch, well=True)
    if not wanted:
        return []
    rows = yield Many(
        "SELECT h.tenant, h.hook FROM hook_health h, {v} WHERE h.tenant = v.tenant AND h.hook = v.hook",
        NAMED,
        sorted(wanted),
    )
    return [(str(tenant), str(hook)) for tenant, hook in rows]


def failing(batch: Collection[Settlement]) -> Mapping[Name, tuple[int, int]]:
    """The hooks that had failures and no success: since when, and how many deliveries failed for the first time."""
    found: dict[Name, tuple[int, int]] = {}
    for name, settlement in _told(batch, well=False):
        since, count = found.get(name, (settlement.after.updated_at, 0))
        found[name] = (min(since, settlement.after.updated_at), count + (settlement.after.tries == 1))
    if found:
        for name in _names(batch, well=True):
            found.pop(name, None)
    return found


def note_health(well: Collection[Name], ill: Mapping[Name, tuple[int, int]]) -> Plan[tuple[Illness, ...]]:
    """Write it down; how ill those are that had failures. The clock's row was taken before."""
    if well:
        yield Many(
            "DELETE FROM hook_health WHERE (tenant, hook) IN (SELECT v.tenant, v.hook FROM {v})",
            NAMED,
            [*well],
        )
    if not ill:
        return ()
    given: list[tuple[Value, ...]] = [(*name, *counted) for name, counted in sorted(ill.items())]
    rows = yield Many(WORSE, HEALTH, given)
    return tuple(Illness(*row) for row in rows)  # type: ignore[arg-type]


def _told(batch: Iterable[Settlement], *, well: bool) -> Iterable[tuple[Name, Settlement]]:
    for settlement in batch:
        hook = settlement.delivery.hook
        if settlement.hook_well is well and hook is not None:
            yield (settlement.delivery.tenant, hook), settlement


def _names(batch: Iterable[Settlement], *, well: bool) -> set[Name]:
    return {name for name, _ in _told(batch, well=well)}


def disable_hook(tenant: str, hook: str, reason: str, now: int, version: int | None = None) -> Plan[None]:
    """Switch a hook off, and hold what waits in its lane. The clock's row first: see ``settle``.

    With a ``version``, the time of its last change, only if it was not changed since; else HookMoved.
    """
    yield Sql("UPDATE clock SET config = config + 1 WHERE id = 1")
    yield Wake("dispatch")
    changed = yield Sql(
        "UPDATE hooks SET disabled_reason = ?, updated_at = ?, paused_since = NULL, paused_until = NULL"
        " WHERE tenant = ? AND id = ?"
        + ("" if version is None else " AND disabled_reason IS NULL AND updated_at = ?")
        + " RETURNING id",
        (reason, now, tenant, hook) if version is None else (reason, now, tenant, hook, version),
    )
    if version is not None and not changed:
        raise HookMoved
    yield from hold(tenant, hook, now)


def hold(tenant: str, hook: str, now: int) -> Plan[None]:
    """What waits in the lane of a hook that is switched off is held, and its health begins anew."""
    yield Sql(
        "UPDATE deliveries SET state = 'held', next_at = NULL, updated_at = ?"
        " WHERE lane = ? AND next_at IS NOT NULL AND tenant = ? AND hook = ?",
        (now, hook, tenant, hook),
    )
    yield from forget_health(tenant, hook)


def forget_health(tenant: str, hook: str) -> Plan[None]:
    yield Sql("DELETE FROM hook_health WHERE tenant = ? AND hook = ?", (tenant, hook))
