"""Deliveries: claimed, settled, taken back from the dead, and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from hookline.model import MINUTE, Attempt, ContactChange, Delivery
from hookline.rules import lifecycle
from hookline.storage.accepting import insert, names, store_follow_ups
from hookline.storage.claiming import BUDGET, Claimed, Due, Late, Wanted, claim_plan, due_plan, postpone_plan
from hookline.storage.counting import count_cancelled, count_failed
from hookline.storage.health import Illness, disable_hook, failing, note_health, recovered
from hookline.storage.ordering import ahead, give_keys, recheck_keys, unkeyed
from hookline.storage.plans import TAKE_CLOCK, Database, Many, Plan, Sql, Value, Wake, all_of, one
from hookline.storage.rows import COLUMNS, to_delivery
from hookline.storage.units import ContactMoved, Prepared, Settlement

CLOCKS_DIFFER = MINUTE  # so far the clocks of several machines may be apart without anybody's fault
ATTEMPT_COLUMNS = (
    "tenant:t delivery:t number:i id:t started_at:i finished_at:i outcome:t error:t detail:t status:i "
    "request:b response:b"
)
ATTEMPT_FIELDS = names(ATTEMPT_COLUMNS).split(", ")
INSERT_ATTEMPTS = insert("attempts", ATTEMPT_COLUMNS)
SETTLE_COLUMNS = (
    "tenant:t id:t owner:t was:i state:t attempts:i tries:i next_at:i error:t resume_state:t resume_at:i at:i"
)
# Whose it is is checked on the row that was found by its name: asked for plainly, PostgreSQL, which knows of few rows
# with an owner, may look for it among all that is under way.
OURS = "COALESCE(deliveries.owner, '') = v.owner"
SETTLE = (
    "UPDATE deliveries SET state = v.state, attempts = v.attempts, tries = v.tries,"
    " next_at = v.next_at, owner = NULL, error = v.error, resume_state = v.resume_state,"
    " resume_at = v.resume_at, updated_at = v.at FROM {v}"
    " WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id"
    f" AND {OURS} AND deliveries.attempts = v.was"
)
_encode = msgspec.json.Encoder().encode


def attempt_row(a: Attempt) -> tuple[Value, ...]:
    return (
        a.tenant, a.delivery, a.number, a.id, a.started_at, a.finished_at, a.outcome, a.error, a.detail,
        a.status, a.request, a.response,
    )  # fmt: skip


class Settled(msgspec.Struct, frozen=True):
    """``lost`` are deliveries that were no longer ours; ``stored`` the follow-up events as stored.

    ``illnesses`` are those of the hooks that had nothing but failures, here and before.
    """

    lost: frozenset[str]
    stored: tuple[Prepared, ...] = ()
    illnesses: tuple[Illness, ...] = ()


class Deliveries:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def due(self, now: int) -> Due:
        """Each lane that has something waiting, and the pauses of now."""
        return await self._db.read(lambda: due_plan(now))

    async def claim(
        self,
        wanted: Sequence[Wanted],
        owner: str,
        now: int,
        *,
        config: int | None = None,
        budget: int = BUDGET,
    ) -> Claimed:
        """Take due deliveries, with their events, of which ``budget`` says how many bytes there is room for.

        What is taken is committed before it is returned. Raises StaleConfig when ``config``, the version of
        the configuration that ``wanted`` was thought out under, does not hold any more.
        """
        return await self._db.run(
            lambda: claim_plan(
                wanted, owner, now, config=config, budget=budget, skip_locked=self._db.skip_locked
            )
        )

    async def postpone(self, late: Late, now: int) -> None:
        """Have attempts that begin only now count against their rate from now on."""
        await self._db.run(lambda: postpone_plan(late, now))

    async def give_keys(self, tenant: str, lane: str, changes: int) -> None:
        """Give the open deliveries of a lane that has come to be in order the keys that they lack."""
        keys: list[tuple[str, str]] | None = None
        while keys is None or keys:
            keys = await self._db.read(lambda: unkeyed(tenant, lane))
            found = keys
            await self._db.run(lambda: give_keys(tenant, lane, found, changes))  # noqa: B023 - awaited here

    async def settle(self, batch: Sequence[Settlement]) -> Settled:
        """Commit attempts, states and what follows from them, for those that are still ours.

        Raises StaleConfig, or ContactMoved when a change's contact has moved on: nothing is stored then.
        """

        try:
            return await self._db.run(lambda: _settle(batch))
        except _NotAllOurs:  # find out which, at the price of an answer for each
            return await self._db.run(lambda: _settle(batch, named=True))

    async def heartbeat(self, epoch: str, dead_after: int) -> bool:
        """Say that this process lives, by the database's clock, which is the same for all.

        The answer is whether there is another that has not said so for ``dead_after``.
        """

        def plan() -> Plan[bool]:
            yield Sql(
                f"INSERT INTO processes (epoch, started_at, heartbeat_at)"
                f" VALUES (?, {self._db.now}, {self._db.now})"
                " ON CONFLICT (epoch) DO UPDATE SET heartbeat_at = excluded.heartbeat_at",
                (epoch,),
            )
            dead = yield Sql(
                f"SELECT 1 FROM processes WHERE heartbeat_at < {self._db.now} - ? AND epoch <> ? LIMIT 1",
                (dead_after, epoch),
            )
            return bool(dead)

        return await self._db.run(plan, vital=True)

    async def from_the_future(self, now: int) -> int:
        """Move what waits in a time that has not come, because the clock was set back since: it waits as long
        from now as it was to wait when it was stored. How many there were."""
        where = "next_at IS NOT NULL AND updated_at > ?"
        limit = now + CLOCKS_DIFFER

        def look() -> Plan[bool]:
            return bool((yield Sql(f"SELECT 1 FROM deliveries WHERE {where} LIMIT 1", (limit,))))

        def move() -> Plan[int]:
            yield TAKE_CLOCK
            rows = yield Sql(
                "UPDATE deliveries SET next_at = next_at - (updated_at - ?),"
                f" resume_at = resume_at - (updated_at - ?), updated_at = ? WHERE {where} RETURNING id",
                (now, now, now, limit),
            )
            return len(rows)

        return await self._db.run(move) if await self._db.read(look) else 0

    async def take_over(self, epoch: str, dead_after: int, limit: int = 500) -> list[Delivery]:
        """Make open deliveries of processes whose heart has not beaten for so long ours, to be settled as crashed."""

        def plan() -> Plan[list[Delivery]]:
            yield Sql(
                f"DELETE FROM processes WHERE heartbeat_at < {self._db.now} - ? AND epoch <> ?",
                (dead_after, epoch),
            )
            rows = yield Sql(
                "UPDATE deliveries SET owner = ? WHERE (tenant, id) IN (SELECT d.tenant, d.id FROM deliveries d"
                " WHERE owner IS NOT NULL AND owner <> ? AND owner NOT IN (SELECT epoch FROM processes)"
                f" LIMIT ? {self._db.skip_locked}) RETURNING {COLUMNS}",
                (epoch, epoch, limit),
            )
            return [to_delivery(row) for row in rows]

        return await self._db.run(plan)

    async def owned(self, epoch: str) -> list[Delivery]:
        """What this process holds, as the database knows it."""

        def plan() -> Plan[list[Delivery]]:
            rows = yield Sql(f"SELECT {COLUMNS} FROM deliveries WHERE owner = ?", (epoch,))
            return [to_delivery(row) for row in rows]

        return await self._db.read(plan)

    async def retire(self, epoch: str) -> None:
        """A process that has handed back all its work says good-bye."""

        def plan() -> Plan[None]:
            yield Sql("DELETE FROM processes WHERE epoch = ?", (epoch,))

        await self._db.run(plan)

    async def retry(self, tenant: str, delivery: str, now: int) -> Delivery | None:
        """One extra attempt, now; the delivery as it then is, or ``None`` where its state allows none."""

        def plan() -> Plan[Delivery | None]:
            yield TAKE_CLOCK  # before the lane's row, which a hook that is changed or deleted takes, too
            row = one(
                (
                    yield Sql(
                        f"SELECT {COLUMNS} FROM deliveries WHERE tenant = ? AND id = ?", (tenant, delivery)
                    )
                )
            )
            before = to_delivery(row) if row else None
            after = lifecycle.extra_attempt(before, now) if before else None
            if before is None or after is None:
                return None
            if before.order_key is None:
                yield recheck_keys(tenant, before.lane)
            rows = yield Sql(
                "UPDATE deliveries SET state = ?, next_at = ?, updated_at = ?, resume_state = ?, resume_at = ?"
                " WHERE tenant = ? AND id = ? AND state = ? AND attempts = ? RETURNING id",
                (
                    after.state, after.next_at, now, after.resume_state, after.resume_at, tenant, delivery,
                    before.state, before.attempts,
                ),
            )  # fmt: skip
            if rows:
                yield Wake("dispatch")
            if rows and before.state == "failed" and before.hook is not None and before.replay is None:
                yield from count_failed([(tenant, before.hook, before.updated_at)], -1)
            return after if rows else None

        return await self._db.run(plan)

    async def hand_back(self, unbegun: Sequence[Delivery], now: int) -> None:
        """Put back deliveries that were held ready and not begun."""

        def plan() -> Plan[None]:
            yield Many(
                "UPDATE deliveries SET state = v.state, owner = NULL, next_at = v.at, updated_at = v.at"
                " FROM {v} WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id"
                f" AND {OURS} AND deliveries.attempts = v.was",  # or it was taken over, and is other work by now
                "tenant:t id:t owner:t was:i state:t at:i",
                [
                    (
                        d.tenant,
                        d.id,
                        d.owner,
                        d.attempts,
                        "waiting" if lifecycle.is_retry(d) else "queued",
                        now,
                    )
                    for d in unbegun
                ],
            )
            if unbegun:
                yield Wake("dispatch")

        await self._db.run(plan)

    async def get(self, tenant: str, delivery: str) -> Delivery | None:
        def plan() -> Plan[Delivery | None]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM deliveries WHERE tenant = ? AND id = ?",
                (tenant, delivery),
            )
            row = one(rows)
            return to_delivery(row) if row else None

        return await self._db.read(plan)

    async def ahead(self, delivery: Delivery) -> str | None:
        """The delivery that one in order waits for, if there is one."""
        return await self._db.read(lambda: ahead(delivery))

    async def batch(self, tenant: str, delivery: str) -> list[str]:
        """The ids of a batch's events, in their order."""

        def plan() -> Plan[list[str]]:
            rows = yield Sql(
                "SELECT event FROM batch_events WHERE tenant = ? AND delivery = ? ORDER BY place",
                (tenant, delivery),
            )
            return [str(row[0]) for row in rows]

        return await self._db.read(plan)

    async def attempts(self, tenant: str, delivery: str) -> list[Attempt]:
        """All tries at a delivery, the first first."""

        def plan() -> Plan[list[Attempt]]:
            rows = yield Sql(
                f"SELECT {', '.join(ATTEMPT_FIELDS)} FROM attempts"
                " WHERE tenant = ? AND delivery = ? ORDER BY number",
                (tenant, delivery),
            )
            found: list[dict[str, Any]] = [dict(zip(ATTEMPT_FIELDS, row, strict=True)) for row in rows]
            return [Attempt(**values) for values in found]

        return await self._db.read(plan)

    async def page(
        self,
        tenant: str,
        *,
        limit: int,
        before: int | None = None,
        hook: str | None = None,
        event: str | None = None,
        campaign: str | None = None,
        state: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> list[Delivery]:
        """Deliveries newest first, those before the place ``before``; all filters hold together."""
        filters: list[tuple[str, Value]] = [
            ("seq < ?", before),
            ("hook = ?", hook),
            ("campaign = ?", campaign),
            ("state = ?", state),
            ("created_at >= ?", since),
            ("created_at < ?", until),
        ]
        where, args = all_of(tenant, filters)
        if event is not None:  # of its own, or among others in a batch
            where += (
                " AND id IN (SELECT id FROM deliveries WHERE tenant = ? AND event = ?"
                " UNION ALL SELECT delivery FROM batch_events WHERE tenant = ? AND event = ?)"
            )
            args += [tenant, event, tenant, event]
        sql = f"SELECT {COLUMNS} FROM deliveries WHERE {where} ORDER BY seq DESC LIMIT ?"

        def plan() -> Plan[list[Delivery]]:
            return [to_delivery(row) for row in (yield Sql(sql, (*args, limit)))]

        return await self._db.read(plan)

    async def oldest_held(self, tenant: str, hook: str) -> int | None:
        """When the oldest of a hook's held deliveries came to be."""

        def plan() -> Plan[int | None]:
            rows = yield Sql(
                "SELECT MIN(created_at) FROM deliveries WHERE tenant = ? AND hook = ? AND state = 'held'",
                (tenant, hook),
            )
            return cast("int | None", rows[0][0])

        return await self._db.read(plan)

    async def open_count(self, tenant: str, campaign: str | None = None) -> int:
        """How many deliveries are not at an end yet, of a campaign or of all."""
        clause, args = ("AND campaign = ?", (tenant, campaign)) if campaign else ("", (tenant,))

        def plan() -> Plan[int]:
            rows = yield Sql(
                "SELECT COUNT(*) FROM deliveries WHERE tenant = ? "
                f"AND state IN ('waiting', 'queued', 'sending') {clause}",
                args,
            )
            return cast("int", rows[0][0])

        return await self._db.read(plan)


class _NotAllOurs(Exception):
    """Another process took some of these deliveries over in the meantime."""


def _settle(batch: Sequence[Settlement], *, named: bool = False) -> Plan[Settled]:
    healthy = yield from recovered(batch)
    ill = failing(batch)
    counted = any(s.after.state in {"cancelled", "failed"} for s in batch)
    if healthy or ill or counted or any(s.follow_ups or s.change or s.disable_hook for s in batch):
        # The clock's row first, as everywhere: two who take rows in one order cannot deadlock.
        yield TAKE_CLOCK
    rows = [
        (
            s.delivery.tenant, s.delivery.id, s.delivery.owner, s.delivery.attempts, s.after.state,
            s.after.attempts, s.after.tries, s.after.next_at, s.after.error, s.after.resume_state,
            s.after.resume_at, s.after.updated_at,
        )
        for s in batch
    ]  # fmt: skip
    kept = batch
    changed = yield Many(SETTLE + " RETURNING deliveries.id" if named else SETTLE, SETTLE_COLUMNS, rows)
    if named:
        ours = {row[0] for row in changed}
        kept = [s for s in batch if s.delivery.id in ours]
    elif changed[0][0] != len(batch):
        raise _NotAllOurs
    attempts = [attempt_row(s.attempt) for s in kept if s.attempt is not None]
    yield Many(INSERT_ATTEMPTS, ATTEMPT_COLUMNS, attempts)
    for s in kept:
        if s.change is not None:
            yield from _change_contact(s.delivery.tenant, s.change, s.after.updated_at)
    cancelled = [s.delivery for s in kept if s.after.state == "cancelled"]
    yield from give_places_back(cancelled)
    mails = [(d.tenant, "" if d.hook else d.campaign or "", d.id) for d in cancelled if d.kind == "email"]
    yield from count_cancelled(mails, max((s.after.updated_at for s in kept), default=0))
    stored = yield from store_follow_ups([s.follow_ups for s in kept if s.follow_ups is not None])
    if any(s.after.state == "queued" for s in kept):
        yield Wake("dispatch")
    for s in kept:
        if s.disable_hook is not None and s.delivery.hook is not None:
            yield from disable_hook(s.delivery.tenant, s.delivery.hook, s.disable_hook, s.after.updated_at)
    illnesses = yield from note_health(healthy, ill if kept is batch else failing(kept))
    yield from count_failed(
        (s.delivery.tenant, s.delivery.hook, s.after.updated_at)
        for s in kept
        if s.delivery.hook is not None and s.delivery.replay is None and s.after.state == "failed"
    )
    lost = frozenset(s.delivery.id for s in batch).difference(s.delivery.id for s in kept)
    return Settled(lost, tuple(stored), illnesses)


def give_places_back(cancelled: Sequence[Delivery]) -> Plan[None]:
    """What was cancelled takes no place under its hook's limit. One that a replay stands for keeps its own."""
    if cancelled:
        yield Many(
            "DELETE FROM limits WHERE (tenant, delivery) IN (SELECT v.tenant, v.delivery FROM {v})",
            "tenant:t delivery:t",
            [(delivery.tenant, delivery.id) for delivery in cancelled],
        )


def _change_contact(tenant: str, change: ContactChange, now: int) -> Plan[None]:
    rows = yield Sql(
        "UPDATE contacts SET attributes = ?, tags = ?, revision = revision + 1, updated_at = ?"
        " WHERE tenant = ? AND id = ? AND revision = ? RETURNING id",
        (change.attributes, _encode(change.tags), now, tenant, change.contact, change.revision),
    )
    if not rows:
        raise ContactMoved
    rows_of_lists = [
        (tenant, name, change.contact, status, now)
        for status, lists in (
            ("subscribed", change.subscribe),
            ("pending", change.ask),
            ("unsubscribed", change.unsubscribe),
        )
        for name in lists
    ]
    if rows_of_lists:
        yield Many(
            "INSERT INTO members (tenant, list, contact, seq, status, changed_at)"
            " SELECT v.tenant, v.list, v.contact, c.seq, v.status, v.at FROM contacts c, {v}"
            " WHERE c.tenant = v.tenant AND c.id = v.contact"
            " ON CONFLICT (tenant, list, contact) DO UPDATE SET"
            " status = excluded.status, changed_at = excluded.changed_at",
            "tenant:t list:t contact:t status:t at:i",
            rows_of_lists,
        )
    if change.subscribe:  # a list that is joined again on purpose is one that may be mailed again
        yield Many(
            "DELETE FROM suppressions WHERE reason = 'unsubscribe' AND (tenant, list, address) IN"
            " (SELECT v.tenant, v.list, c.email FROM contacts c, {v} WHERE c.tenant = v.tenant AND c.id = v.contact)",
            "tenant:t list:t contact:t",
            [(tenant, name, change.contact) for name in change.subscribe],
        )
