"""A campaign's throttle: how many mails a recipients' domain gets in a while, whichever process sends them.

Each domain has a place in time from which on it may get its next mail (a leaky bucket as in ITU-T I.371, the "virtual
scheduling algorithm", with no burst). A mail whose domain's place lies ahead is given the place and waits for it, so
that it blocks none behind it and is looked at no more until then. Whoever claims from the campaign holds its
row in ``lanes``; a domain has a row beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from hookline.model import SECOND, Delivery
from hookline.rules.pacing import Rate
from hookline.storage.plans import Many, Plan

LOOK = 200  # mails looked at in one claim
# A place that was missed by more, in a pause or an outage, is lost: else all that was missed would go out at once.
MISSED = 5 * SECOND
ANY = "*"


class Throttle(msgspec.Struct, frozen=True):
    """``rate`` is of all mails of the campaign, ``domains`` of each of these domains, ``*`` of each other."""

    rate: Rate | None = None
    domains: dict[str, Rate] = {}

    def of(self, address: str | None) -> tuple[str, Rate] | None:
        domain = (address or "").rpartition("@")[2]
        rate = self.domains.get(domain) or self.domains.get(ANY)
        return (domain, rate) if rate else None


def ready(waiting: Sequence[Delivery], now: int) -> Plan[set[str]]:
    """The ids of those that have a place in time and have not missed it; the others need one, retries included."""
    rows = yield Many(
        "SELECT d.id FROM deliveries d, {v} WHERE d.tenant = v.tenant AND d.id = v.id"
        " AND d.place = d.next_at AND d.place >= v.late",
        "tenant:t id:t late:i",
        [(delivery.tenant, delivery.id, now - MISSED) for delivery in waiting],
    )
    return {cast("str", row[0]) for row in rows}


def admit(
    candidates: Sequence[Delivery], room: int, throttle: Throttle, now: int
) -> Plan[tuple[list[Delivery], bool]]:
    """Up to ``room`` of these that may be sent now; whether others were given their places."""
    first = candidates[0] if candidates else None
    if first is None:
        return [], False
    found = {one[0] for delivery in candidates if (one := throttle.of(delivery.address))}
    rows = [(first.tenant, f"{first.lane} {domain}") for domain in sorted(found)]
    places: dict[str, int] = {}
    if rows:
        stored = yield Many(
            "SELECT d.lane, d.spent FROM lanes d, {v} WHERE d.tenant = v.tenant AND d.lane = v.lane",
            "tenant:t lane:t",
            rows,
        )
        places = {lane.partition(" ")[2]: int(at) for lane, at in cast("list[tuple[str, str]]", stored)}
    before = dict(places)
    admitted: list[Delivery] = []
    deferred: list[tuple[str, str, int, int]] = []
    for delivery in candidates:
        if len(admitted) >= room:
            break
        limit = throttle.of(delivery.address)
        at = now
        if limit is not None:
            domain, rate = limit
            at = max(now, places.get(domain, now))
            places[domain] = at + max(1, rate.per // rate.count)
        if at <= now:
            admitted.append(delivery)
        else:
            deferred.append((delivery.tenant, delivery.id, at, now))
    moved = [
        (first.tenant, f"{first.lane} {d}", str(at), 0) for d, at in places.items() if before.get(d) != at
    ]
    if moved:
        yield Many(
            "INSERT INTO lanes (tenant, lane, spent, changes, keyed) {rows}"
            " ON CONFLICT (tenant, lane) DO UPDATE SET spent = excluded.spent",
            "tenant:t lane:t spent:t changes:i keyed:i",
            [(*row, 0) for row in moved],
        )
    if deferred:
        yield Many(
            "UPDATE deliveries SET state = 'waiting', next_at = v.place, place = v.place, updated_at = v.at FROM {v}"
            " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id",
            "tenant:t id:t place:i at:i",
            deferred,
        )
    return admitted, bool(deferred)
