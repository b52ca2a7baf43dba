"""The plans behind ``accept`` and ``settle``: the only two that create events or deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from hookline.model import DAY, Delivery, Event
from hookline.storage.batching import gather
from hookline.storage.counting import count_events, count_mail
from hookline.storage.plans import Many, Plan, Sql, Value, Wake
from hookline.storage.units import (
    Accepted,
    LimitClaim,
    Prepared,
    SourceIdConflict,
    StaleConfig,
    Unit,
)

EVENT_COLUMNS = (
    "tenant:t id:t seq:i type:t source:t source_id:t subject:t time:i accepted_at:i data:b envelope:b "
    "cause:t depth:i campaign:t message:t verdicts:b"
)
DELIVERY_COLUMNS = (
    "tenant:t id:t seq:i lane:t order_key:t kind:t state:t hook:t campaign:t event:t contact:t address:t "
    "attempts:i tries:i next_at:i owner:t error:t resume_state:t resume_at:i replay:t depth:i size:i weight:i "
    "created_at:i updated_at:i"
)
KEEP_KEYS = 30 * DAY
_encode = msgspec.json.Encoder().encode


def names(columns: str) -> str:
    """The column list of a ``Many``'s table."""
    return ", ".join(column.partition(":")[0] for column in columns.split())


def insert(table: str, columns: str, tail: str = "") -> str:
    """An INSERT of all rows of a ``Many``."""
    return f"INSERT INTO {table} ({names(columns)}) {{rows}} {tail}"


INSERT_EVENTS = insert("events", EVENT_COLUMNS)
INSERT_DELIVERIES = insert("deliveries", DELIVERY_COLUMNS)
# A campaign's recipient who already has a delivery is passed over.
INSERT_RECIPIENTS = insert("deliveries", DELIVERY_COLUMNS, "ON CONFLICT DO NOTHING RETURNING id")
KEY_COLUMNS = "tenant:t source:t hash:b event:t body:b seen_at:i"
CLAIM_KEYS = insert(
    "event_keys",
    KEY_COLUMNS,
    "ON CONFLICT (tenant, source, hash) DO UPDATE SET"
    " event = excluded.event, body = excluded.body, seen_at = excluded.seen_at"
    f" WHERE event_keys.seen_at <= excluded.seen_at - {KEEP_KEYS}",
)
CLAIM_LIMITS = (
    "INSERT INTO limits (tenant, hook, subject, delivery, at)"
    " SELECT v.tenant, v.hook, v.subject, v.delivery, v.at FROM {v} WHERE ("
    "SELECT COUNT(*) FROM limits l WHERE l.tenant = v.tenant AND l.hook = v.hook"
    " AND l.subject = v.subject AND l.at > v.since) < v.most RETURNING delivery"
)


def accept_plan(units: Sequence[Unit]) -> Plan[list[list[Accepted]]]:
    """Store units all or none; StaleConfig, SourceIdConflict or ContactMoved undo everything."""
    seq = yield from take_places(units)
    for unit in units:
        if unit.write is not None:
            yield from unit.write()
    duplicates = yield from _claim_keys(units)
    fresh = [item for unit in units for item in unit.items if item.event.id not in duplicates]
    granted = yield from _claim_limits(fresh)
    placed: dict[str, Prepared] = {}
    for item in (yield from gather(fresh, granted)):
        seq, placed[item.event.id] = _place(item, granted, seq)
    yield from _store(list(placed.values()))

    def answer(item: Prepared) -> Accepted:
        first = duplicates.get(item.event.id)
        if first is not None:
            return Accepted(first, True)
        stored = placed[item.event.id]
        return Accepted(stored.event.id, False, stored.event, stored.deliveries, stored.joined)

    return [[answer(item) for item in unit.items] for unit in units]


def take_places(units: Sequence[Unit], extra: int = 0) -> Plan[int]:
    """Take the clock's row, check the configuration, and return the last place before ours."""
    places = extra + sum(1 + len(item.deliveries) for unit in units for item in unit.items)
    rows = yield Sql("UPDATE clock SET seq = seq + ? WHERE id = 1 RETURNING seq, config", (places,))
    last, config = cast("tuple[int, int]", rows[0])
    if any(unit.config != config for unit in units):
        raise StaleConfig
    return last - places


def _claim_keys(units: Sequence[Unit]) -> Plan[dict[str, str]]:
    """Which of these events came before: by their id, the id of the first."""
    keyed = [
        (index, item, item.key, (unit.tenant, item.key.source, item.key.hash))
        for unit in units
        for index, item in enumerate(unit.items)
        if item.key is not None
    ]
    if not keyed:
        return {}
    firsts: dict[tuple[str, str, bytes], tuple[str, bytes]] = {}
    rows: list[tuple[Value, ...]] = []
    for _, item, key, name in keyed:
        if name not in firsts:
            firsts[name] = (item.event.id, key.body)
            rows.append((*name, item.event.id, key.body, key.seen_at))
    claimed = yield Many(CLAIM_KEYS, KEY_COLUMNS, rows)
    if claimed[0][0] != len(rows):  # some are others': find out whose each is
        found = yield Many(
            "SELECT k.tenant, k.source, k.hash, k.event, k.body FROM event_keys k, {v}"
            " WHERE k.tenant = v.tenant AND k.source = v.source AND k.hash = v.hash",
            "tenant:t source:t hash:b",
            list(firsts),
        )
        for tenant, source, digest, event, body in cast("list[tuple[str, str, bytes, str, bytes]]", found):
            firsts[tenant, source, digest] = (event, body)
    duplicates: dict[str, str] = {}
    for index, item, key, name in keyed:
        first, body = firsts[name]
        if first != item.event.id:
            if body != key.body:
                raise SourceIdConflict(index, key.source, first)
            duplicates[item.event.id] = first
    return duplicates


def _claim_limits(items: Sequence[Prepared]) -> Plan[dict[str, bool]]:
    """Grant or refuse each claim, by its delivery. Claims of one place go one after another."""
    rest: list[tuple[Prepared, LimitClaim]] = [(item, claim) for item in items for claim in item.claims]
    granted = {claim.delivery: False for _, claim in rest}
    while rest:
        now: dict[tuple[str, str, str], tuple[Value, ...]] = {}
        later: list[tuple[Prepared, LimitClaim]] = []
        for item, claim in rest:
            tenant = item.event.tenant
            name = (tenant, claim.hook, claim.subject)
            if name in now:
                later.append((item, claim))
                continue
            now[name] = (*name, claim.delivery, item.event.accepted_at, claim.since, claim.most)
        columns = "tenant:t hook:t subject:t delivery:t at:i since:i most:i"
        for (delivery,) in cast("list[tuple[str]]", (yield Many(CLAIM_LIMITS, columns, list(now.values())))):
            granted[delivery] = True
        rest = later
    return granted


def _place(item: Prepared, granted: dict[str, bool], seq: int) -> tuple[int, Prepared]:
    """Give an event and what is left of its deliveries their places in the sequence."""
    seq += 1
    event = msgspec.structs.replace(item.event, seq=seq)
    deliveries: list[Delivery] = []
    spent: set[str | None] = set()
    for delivery in item.deliveries:
        if granted.get(delivery.id, True):
            seq += 1
            deliveries.append(msgspec.structs.replace(delivery, seq=seq))
        else:
            spent.add(delivery.hook)
    if spent:
        event = msgspec.structs.replace(
            event,
            verdicts=tuple(
                msgspec.structs.replace(v, verdict="limit", detail="the hook's limit is spent")
                if v.hook in spent and v.verdict == "matched"
                else v
                for v in event.verdicts
            ),
        )
    return seq, msgspec.structs.replace(item, event=event, deliveries=tuple(deliveries))


def event_row(e: Event) -> tuple[Value, ...]:
    return (
        e.tenant, e.id, e.seq, e.type, e.source, e.source_id, e.subject, e.time, e.accepted_at, e.data,
        e.envelope, e.cause, e.depth, e.campaign, e.message, _encode(e.verdicts),
    )  # fmt: skip


def delivery_row(d: Delivery) -> tuple[Value, ...]:
    return (
        d.tenant, d.id, d.seq, d.lane, d.order_key, d.kind, d.state, d.hook, d.campaign, d.event, d.contact,
        d.address, d.attempts, d.tries, d.next_at, d.owner, d.error, d.resume_state, d.resume_at,
        d.replay, d.depth, d.size, d.weight, d.created_at, d.updated_at,
    )  # fmt: skip


def _store(items: Sequence[Prepared]) -> Plan[None]:
    """Write events, deliveries, and what email events change, in that order."""
    if not items:
        return
    yield Many(INSERT_EVENTS, EVENT_COLUMNS, [event_row(item.event) for item in items])
    yield from count_events(items)
    deliveries = [delivery_row(delivery) for item in items for delivery in item.deliveries]
    if deliveries:
        yield Many(INSERT_DELIVERIES, DELIVERY_COLUMNS, deliveries)
    if any(delivery.state == "queued" for item in items for delivery in item.deliveries):
        yield Wake("dispatch")
    effects = [item for item in items if item.effect is not None]
    if effects:
        yield from _suppress(effects)
        yield from count_mail([item for item in effects if item.event.message is not None])


def _suppress(items: Sequence[Prepared]) -> Plan[None]:
    rows: list[tuple[Value, ...]] = []
    left: list[tuple[Value, ...]] = []
    for item in items:
        event, effect = item.event, item.effect
        if effect is None or effect.suppress is None or effect.address is None:
            continue
        rows.append(
            (
                event.tenant,
                effect.address,
                effect.suppress,
                effect.list,
                event.id,
                event.seq,
                event.accepted_at,
            )
        )
        if effect.suppress == "unsubscribe" and effect.list:
            left.append((event.tenant, effect.list, effect.address, event.accepted_at))
    if rows:
        columns = "tenant:t address:t reason:t list:t event:t seq:i created_at:i"
        yield Many(insert("suppressions", columns, "ON CONFLICT DO NOTHING"), columns, rows)
    if left:
        yield Many(
            "UPDATE members SET status = 'unsubscribed', changed_at = v.at FROM {v}"
            " WHERE members.tenant = v.tenant AND members.list = v.list AND members.contact IN"
            " (SELECT c.id FROM contacts c WHERE c.tenant = v.tenant AND c.email = v.email)",
            "tenant:t list:t email:t at:i",
            left,
        )


def store_follow_ups(units: Sequence[Unit]) -> Plan[list[Prepared]]:
    """The follow-up events of settled deliveries, with what they owe; returned as they were stored."""
    if not any(unit.items for unit in units):
        return []
    seq = yield from take_places(units)
    items = [item for unit in units for item in unit.items]
    granted = yield from _claim_limits(items)
    placed: list[Prepared] = []
    for item in (yield from gather(items, granted)):
        seq, stored = _place(item, granted, seq)
        placed.append(stored)
    yield from _store(placed)
    return placed
