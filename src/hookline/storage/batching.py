"""Batches: a delivery that gathers events until it has as many as its hook wants, or its time has come.

A batch is open while its delivery waits for its first attempt: no row but the delivery's own says so. Whoever
claims it thereby closes it, and what is in it is fixed. Events join under the clock's row, one commit
after another, and take the delivery's row as a claim does, so that none joins what is being claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from hookline.model import Delivery, State
from hookline.storage.plans import Many, Plan, Sql, Value, Wake
from hookline.storage.units import Prepared

MAX_BYTES = 4 * 2**20
"""How much event data a batch holds before it is full, whatever its hook wants."""
EVENT_COLUMNS = "tenant:t delivery:t place:i event:t"
# What is open is locked and read in one statement.
OPEN = (
    "UPDATE deliveries SET size = size FROM {v} WHERE deliveries.tenant = v.tenant"
    " AND deliveries.lane = v.lane AND deliveries.size > 0 AND deliveries.attempts = 0"
    " AND deliveries.state = 'waiting' AND deliveries.replay IS NULL"
    " RETURNING deliveries.tenant, deliveries.lane, deliveries.id, deliveries.size, deliveries.weight,"
    " deliveries.next_at"
)
INSERT_EVENTS = "INSERT INTO batch_events (tenant, delivery, place, event) {rows}"


_Row = tuple[str, str, str, int, int, int]


class _Batch:
    """A batch that takes events: ``new`` where it is made by this commit."""

    def __init__(self, tenant: str, name: str, size: int, weight: int, next_at: int, *, new: bool) -> None:
        self.tenant, self.name, self.new = tenant, name, new
        self.size, self.weight, self.next_at = size, weight, next_at
        self.full = False

    def close(self, now: int) -> None:
        self.full, self.next_at = True, now

    @property
    def state(self) -> State:
        return "queued" if self.full else "waiting"


def gather(items: Sequence[Prepared], granted: Mapping[str, bool]) -> Plan[list[Prepared]]:
    """Let events join open batches instead of making deliveries of their own; the items as they then are."""
    if not any(item.gathers for item in items):
        return list(items)
    lanes = {(d.tenant, d.lane) for item in items for d in item.deliveries if d.id in item.gathers}
    gathering = _Gathering()
    for row in cast("list[_Row]", (yield Many(OPEN, "tenant:t lane:t", sorted(lanes)))):
        gathering.take(row)
    merged = [gathering.merge(item, granted) for item in items]
    yield Many(INSERT_EVENTS, EVENT_COLUMNS, gathering.rows)
    changed = [batch for batch in gathering.touched.values() if not batch.new]
    if changed:
        yield Many(
            "UPDATE deliveries SET size = v.size, weight = v.weight, state = v.state, next_at = v.at FROM {v}"
            " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id",
            "tenant:t id:t size:i weight:i state:t at:i",
            [(b.tenant, b.name, b.size, b.weight, b.state, b.next_at) for b in changed],
        )
        if any(batch.full for batch in changed):
            yield Wake("dispatch")
    return [
        msgspec.structs.replace(item, deliveries=tuple(gathering.grown(d) for d in item.deliveries))
        for item in merged
    ]


class _Gathering:
    """Open batches by tenant and lane, those that this commit has ``touched``, and the ``rows`` of their events."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Batch] = {}
        self.touched: dict[str, _Batch] = {}
        self.rows: list[tuple[Value, ...]] = []

    def take(self, row: _Row) -> None:
        """A batch that was open before this commit."""
        tenant, lane, name, size, weight, next_at = row
        self._open[tenant, lane] = _Batch(tenant, name, size, weight, next_at, new=False)

    def merge(self, item: Prepared, granted: Mapping[str, bool]) -> Prepared:
        """An event without those of its deliveries that an open batch stands for."""
        kept: list[Delivery] = []
        joined: list[str] = []
        for delivery in item.deliveries:
            most = item.gathers.get(delivery.id)
            if most is None or not granted.get(delivery.id, True):
                kept.append(delivery)
                continue
            batch = self._add(item, delivery, most)
            if batch.name == delivery.id:
                kept.append(delivery)
            else:
                joined.append(batch.name)
        return msgspec.structs.replace(item, deliveries=tuple(kept), joined=tuple(joined))

    def _add(self, item: Prepared, delivery: Delivery, most: int) -> _Batch:
        place, now = (delivery.tenant, delivery.lane), item.event.accepted_at
        batch = self._open.get(place)
        if batch is not None and batch.weight + delivery.weight > MAX_BYTES:
            self.touched[batch.name] = batch
            batch.close(now)
            batch = None
        if batch is None:
            batch = _Batch(delivery.tenant, delivery.id, 0, 0, delivery.next_at or now, new=True)
            self._open[place] = batch
        self.touched[batch.name] = batch
        batch.size += 1
        batch.weight += delivery.weight
        self.rows.append((delivery.tenant, batch.name, batch.size, item.event.id))
        if batch.size >= most:
            batch.close(now)
            del self._open[place]
        return batch

    def grown(self, delivery: Delivery) -> Delivery:
        """A delivery as it is once its batch has taken in all that came with it."""
        batch = self.touched.get(delivery.id)
        if batch is None:
            return delivery
        return msgspec.structs.replace(
            delivery, size=batch.size, weight=batch.weight, state=batch.state, next_at=batch.next_at
        )


def copy(made: Sequence[tuple[Delivery, str]]) -> Plan[None]:
    """Give deliveries the events of older batches."""
    for delivery, old in made:
        yield Sql(
            "INSERT INTO batch_events (tenant, delivery, place, event)"
            " SELECT tenant, ?, place, event FROM batch_events WHERE tenant = ? AND delivery = ?",
            (delivery.id, delivery.tenant, old),
        )
