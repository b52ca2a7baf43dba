"""Lanes in order: of each subject only the *head* may be taken, its first delivery that is still open.

An open delivery of such a lane carries its subject as ``order_key``, and the index ``deliveries_order`` holds
those alone. The head of a subject is its smallest place there, and the next subject is the next larger key:
a lane is looked through subject by subject, however much lies behind each head.

Nothing else is stored about who waits for whom, so nothing of it can be wrong after a crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hookline.model import Delivery
from hookline.rules.pacing import order_key
from hookline.storage.plans import TAKE_CLOCK, Many, Plan, Row, Sql

if TYPE_CHECKING:
    from hookline.storage.claiming import Wanted

# As the index has it written, or SQLite looks past it.
OPEN = "order_key IS NOT NULL AND state IN ('waiting', 'queued', 'sending')"
HOPS = 1000  # subjects that one claim looks at
STEP = 50  # and at a time, for mostly the first are enough
RETRIES = 200
KEYS = 1000  # deliveries that get their keys in one commit


def ordered_picks(wanted: Wanted, now: int) -> Plan[tuple[list[str], str]]:
    """Heads that may be taken now, by their ids, ``most`` of them; and where the sweep stands.

    A sweep takes at least half, so that the subjects that were just freed do not pass the others for ever.
    """
    chosen: dict[str, None] = {}
    retries = (yield from _retries(wanted, now)) if wanted.retries else []
    firsts = min(wanted.firsts, wanted.most - min(len(retries), wanted.share(wanted.most)))
    cursor = wanted.cursor
    if wanted.sweep and firsts > 0:
        most = (firsts + 1) // 2 if wanted.freed else firsts
        found, cursor = yield from _sweep(wanted, now, most)
        chosen |= dict.fromkeys(found)
    if wanted.freed and len(chosen) < firsts:
        found = yield from _freed(wanted, now)
        for name in found:
            if len(chosen) < firsts:
                chosen[name] = None
    return list(chosen | dict.fromkeys(retries))[: wanted.most], cursor


def _retries(wanted: Wanted, now: int) -> Plan[list[str]]:
    """Retries whose time has come. Nearly all are heads, for only heads are ever tried."""
    rows = yield Sql(
        "SELECT d.id FROM (SELECT id, lane, order_key, seq FROM deliveries"
        " WHERE lane = ? AND state = 'waiting' AND next_at <= ? ORDER BY next_at LIMIT ?) AS d"
        f" WHERE d.seq = (SELECT MIN(h.seq) FROM deliveries h WHERE h.lane = d.lane"
        f" AND h.order_key = d.order_key AND {_open('h')}) LIMIT ?",
        (wanted.lane, now, RETRIES, wanted.retries),
    )
    return [cast("str", row[0]) for row in rows]


def _freed(wanted: Wanted, now: int) -> Plan[list[str]]:
    """The heads of subjects of which something was settled, or new."""
    rows = yield Many(
        "SELECT d.id, d.state, d.next_at FROM deliveries d, {v} WHERE d.tenant = v.tenant AND d.seq ="
        " (SELECT MIN(h.seq) FROM deliveries h WHERE h.lane = v.lane AND h.order_key = v.key"
        f" AND {_open('h')})",
        "tenant:t lane:t key:t",
        [(wanted.tenant, wanted.lane, key) for key in wanted.freed],
    )
    return [cast("str", row[0]) for row in rows if _due(row[1:], now)]


def _sweep(wanted: Wanted, now: int, most: int) -> Plan[tuple[list[str], str]]:
    """Up to ``most`` heads from ``cursor`` on, and where to go on; "" when the last subject was reached."""
    found: list[str] = []
    cursor = wanted.cursor
    for _ in range(0, HOPS, STEP):
        heads = yield from _hop(wanted, cursor)
        for key, name, *standing in heads:
            cursor = cast("str", key)
            if _due(tuple(standing), now):
                found.append(cast("str", name))
                if len(found) == most:
                    return found, cursor
        if len(heads) < STEP:
            return found, ""
    return found, cursor


def _hop(wanted: Wanted, cursor: str) -> Plan[list[Row]]:
    """The heads of the next few subjects."""
    of_lane = f"FROM deliveries d WHERE d.lane = ? AND {_open('d')}"
    return (
        yield Sql(
            f"WITH RECURSIVE k(n, key) AS (SELECT 1, (SELECT MIN(d.order_key) {of_lane} AND d.order_key > ?)"
            f" UNION ALL SELECT k.n + 1, (SELECT MIN(d.order_key) {of_lane} AND d.order_key > k.key) FROM k"
            " WHERE k.key IS NOT NULL AND k.n < ?)"
            " SELECT k.key, h.id, h.state, h.next_at FROM k JOIN deliveries h ON h.tenant = ?"
            f" AND h.seq = (SELECT MIN(d.seq) {of_lane} AND d.order_key = k.key)"
            " WHERE k.key IS NOT NULL ORDER BY k.n",
            (wanted.lane, cursor, wanted.lane, STEP, wanted.tenant, wanted.lane),
        )
    )


def _due(standing: Row, now: int) -> bool:
    state, next_at = standing
    return state == "queued" or (state == "waiting" and cast("int", next_at) <= now)


def _open(table: str) -> str:
    return OPEN.replace("order_key", f"{table}.order_key").replace("state", f"{table}.state")


def ahead(delivery: Delivery) -> Plan[str | None]:
    """The first delivery of the same subject that is still open, if that is another."""
    if delivery.order_key is None or delivery.next_at is None:
        return None
    rows = yield Sql(
        f"SELECT id FROM deliveries WHERE lane = ? AND order_key = ? AND {OPEN} AND seq < ? AND tenant = ?"
        " ORDER BY seq LIMIT 1",
        (delivery.lane, delivery.order_key, delivery.seq, delivery.tenant),
    )
    return cast("str", rows[0][0]) if rows else None


def unkeyed(tenant: str, lane: str) -> Plan[list[tuple[str, str]]]:
    """Open deliveries without a key, as a lane has them whose hook was not in order when they came; with the key."""
    found: list[tuple[str, str]] = []
    for clause in ("d.next_at IS NOT NULL", "d.owner IS NOT NULL"):
        rows = yield Sql(
            "SELECT d.id, d.size, e.subject FROM deliveries d"
            " LEFT JOIN events e ON e.tenant = d.tenant AND e.id = d.event"
            f" WHERE d.tenant = ? AND d.lane = ? AND {clause} AND d.order_key IS NULL LIMIT ?",
            (tenant, lane, KEYS),
        )
        for delivery, size, subject in cast("list[tuple[str, int, str | None]]", rows):
            found.append((delivery, order_key(subject, delivery, lane if size else None)))
    return found


def give_keys(tenant: str, lane: str, keys: list[tuple[str, str]], changes: int) -> Plan[None]:
    """Write keys down; without any, that the lane as it was after so many changes has them all."""
    if keys:
        yield TAKE_CLOCK
        yield Many(
            "UPDATE deliveries SET order_key = v.key FROM {v}"
            " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id AND deliveries.order_key IS NULL",
            "tenant:t id:t key:t",
            [(tenant, delivery, key) for delivery, key in keys],
        )
        return
    yield Sql("UPDATE lanes SET keyed = ? WHERE tenant = ? AND lane = ?", (changes, tenant, lane))


def recheck_keys(tenant: str, lane: str) -> Sql:
    """The deliveries of a lane may lack keys again: its hook has changed, or an old one is open again."""
    return Sql("UPDATE lanes SET changes = changes + 1 WHERE tenant = ? AND lane = ?", (tenant, lane))
