"""Erasing a person: everything that is stored is walked along the sequence, a bounded step after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from hookline.model import Erasure
from hookline.rules.erasing import Needle, remains
from hookline.storage.accepting import insert
from hookline.storage.counting import count_cancelled
from hookline.storage.plans import TAKE_CLOCK, Database, Many, Plan, Row, Sql, Value

COLUMNS = (
    "tenant, id, seq, contact, email, phone, mark, state, cursor, until_seq, erased, created_at, finished_at"
)
FIELDS = COLUMNS.split(", ")
STEP = 1000  # places of the sequence

Changed = tuple[str, str | None, str | None, bytes, bytes]
"""An event's id, and its new subject, source_id, data and verdicts; the envelope goes."""


class Erasures:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, new: Erasure, suppressed: Sequence[str]) -> Erasure:
        """Begin: the contact is gone at once, and what waits to be sent to the person is cancelled.

        Reasons not to mail ``suppressed`` (the person's address) stay, under the mark; bulk mail is one more.
        """

        def plan() -> Plan[Erasure]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            seq = cast("int", clock[0][0])
            stored = msgspec.structs.replace(new, seq=seq, until_seq=seq)
            yield Sql(
                f"INSERT INTO erasures ({COLUMNS}) VALUES ({', '.join('?' * len(FIELDS))})",
                [getattr(stored, name) for name in FIELDS],
            )
            for table, column in (("contacts", "id"), ("members", "contact")):
                yield Sql(f"DELETE FROM {table} WHERE tenant = ? AND {column} = ?", (new.tenant, new.contact))
            for address in suppressed:
                yield from _keep_suppressions(stored, address)
            rows = yield Sql(
                "UPDATE deliveries SET state = 'cancelled', error = 'cancelled', next_at = NULL, updated_at = ?"
                " WHERE next_at IS NOT NULL AND tenant = ? AND (contact = ? OR address = ? OR address = ?)"
                " RETURNING campaign, id, hook, kind",
                (new.created_at, new.tenant, new.contact, new.email, new.phone),
            )
            mails = [
                (new.tenant, "" if hook else cast("str | None", campaign) or "", cast("str", name))
                for campaign, name, hook, kind in rows
                if kind == "email"
            ]
            yield from count_cancelled(mails, new.created_at)
            return stored

        return await self._db.run(plan)

    async def step(self, erasure: Erasure, now: int) -> Erasure:
        """Erase what has one of the next places; the erasure as it then is."""
        last = min(erasure.cursor + STEP, erasure.until_seq)
        concerned = await self._db.read(lambda: _concerned(erasure, last))

        def plan() -> Plan[Erasure]:
            yield TAKE_CLOCK
            done = msgspec.structs.replace(erasure, cursor=last, erased=erasure.erased + len(concerned))
            moved = yield Sql(
                "UPDATE erasures SET cursor = ?, erased = ? WHERE tenant = ? AND id = ? AND cursor = ?"
                " AND state = 'running' RETURNING id",
                (done.cursor, done.erased, erasure.tenant, erasure.id, erasure.cursor),
            )
            if not moved:
                return erasure
            yield from _erase_events(erasure, concerned)
            yield from _erase_deliveries(erasure, last, [row[0] for row in concerned], now)
            if last < erasure.until_seq:
                return done
            clock = yield Sql("SELECT seq FROM clock WHERE id = 1")
            newest = cast("int", clock[0][0])
            if newest > last:  # what came meanwhile, some of it because mail was under way
                yield Sql(
                    "UPDATE erasures SET until_seq = ? WHERE tenant = ? AND id = ?",
                    (newest, erasure.tenant, erasure.id),
                )
                return msgspec.structs.replace(done, until_seq=newest)
            yield from _finish(erasure, now)
            return msgspec.structs.replace(done, state="finished", finished_at=now)

        stored = await self._db.run(plan)
        if stored.state == "finished":
            await self._db.forget()
        return stored

    async def running(self) -> list[Erasure]:
        """All under way, of all tenants."""
        return await self._some("state = 'running' ORDER BY seq", ())

    async def get(self, tenant: str, erasure: str) -> Erasure | None:
        found = await self._some("tenant = ? AND id = ?", (tenant, erasure))
        return found[0] if found else None

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Erasure]:
        """Newest first, those before the place ``before``."""
        return await self._some(
            "tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?", (tenant, before or 2**62, limit)
        )

    async def _some(self, where: str, args: Sequence[Value]) -> list[Erasure]:
        def plan() -> Plan[list[Erasure]]:
            rows = yield Sql(f"SELECT {COLUMNS} FROM erasures WHERE {where}", args)
            return [_to_erasure(row) for row in rows]

        return await self._db.read(plan)


def _keep_suppressions(erasure: Erasure, address: str) -> Plan[None]:
    listed = "tenant, address, reason, list, event, seq, created_at"
    yield Sql(
        f"INSERT INTO suppressions ({listed}) SELECT tenant, ?, reason, list, event, seq, created_at"
        " FROM suppressions WHERE tenant = ? AND address = ? ON CONFLICT DO NOTHING",
        (erasure.mark, erasure.tenant, address),
    )
    yield Sql("DELETE FROM suppressions WHERE tenant = ? AND address = ?", (erasure.tenant, address))
    columns = "tenant:t address:t reason:t list:t event:t seq:i created_at:i"
    row = (erasure.tenant, erasure.mark, "unsubscribe", "", None, erasure.seq, erasure.created_at)
    yield Many(insert("suppressions", columns, "ON CONFLICT DO NOTHING"), columns, [row])


def _needle(erasure: Erasure) -> Needle:
    return Needle(text for text in (erasure.contact, erasure.email, erasure.phone) if text)


def _concerned(erasure: Erasure, last: int) -> Plan[list[Changed]]:
    """The events of a step that are about the person, as they are to be."""
    rows = yield Sql(
        "SELECT id, type, subject, source_id, data, envelope, verdicts FROM events"
        " WHERE tenant = ? AND seq > ? AND seq <= ?",
        (erasure.tenant, erasure.cursor, last),
    )
    needle = _needle(erasure)
    found: list[Changed] = []
    for name, kind, subject, source_id, data, envelope, verdicts in cast(
        "list[tuple[str, str, str | None, str | None, bytes, bytes | None, bytes]]", rows
    ):
        said = needle.in_text(subject), needle.in_text(source_id), needle.in_json(verdicts)
        if not (any(said) or needle.in_json(data) or needle.in_json(envelope)):
            continue
        told = msgspec.json.decode(verdicts)
        if said[2]:
            told = [{**verdict, "detail": "erased"} for verdict in told]
        found.append(
            (
                name,
                erasure.mark if said[0] else subject,
                erasure.mark if said[1] else source_id,
                remains(kind, data),
                msgspec.json.encode(told),
            )
        )
    return found


def _erase_events(erasure: Erasure, concerned: Sequence[Changed]) -> Plan[None]:
    if concerned:
        yield Many(
            "UPDATE events SET subject = v.subject, source_id = v.source_id, data = v.data, envelope = NULL,"
            " verdicts = v.verdicts FROM {v} WHERE events.tenant = v.tenant AND events.id = v.id",
            "tenant:t id:t subject:t source_id:t data:b verdicts:b",
            [(erasure.tenant, *row) for row in concerned],
        )


def _erase_deliveries(erasure: Erasure, last: int, events: Sequence[str], now: int) -> Plan[None]:
    """The deliveries to the person that have one of the places, and all that are owed for these events."""
    who = (erasure.contact, erasure.email, erasure.phone)
    rows = yield Sql(
        "SELECT id FROM deliveries WHERE tenant = ? AND seq > ? AND seq <= ?"
        " AND (contact = ? OR address = ? OR address = ?)",
        (erasure.tenant, erasure.cursor, last, *who),
    )
    to_person = [(erasure.tenant, row[0], erasure.mark) for row in rows]
    wanted = [(erasure.tenant, event) for event in events]
    of_event = "SELECT d.id FROM deliveries d, {v} WHERE d.tenant = v.tenant AND d.event = v.event"
    of_batch = "SELECT b.delivery FROM batch_events b, {v} WHERE b.tenant = v.tenant AND b.event = v.event"
    found = {row[0] for row in rows}
    for text in (of_event, of_batch):
        found |= {row[0] for row in (yield Many(text, "tenant:t event:t", wanted))} if wanted else set()
    if to_person:
        columns = "tenant:t id:t mark:t"
        for table in ("deliveries", "messages"):
            yield Many(
                f"UPDATE {table} SET address = v.mark FROM {{v}} WHERE {table}.tenant = v.tenant"
                f" AND {table}.id = v.id AND {table}.address IS NOT NULL",
                columns,
                to_person,
            )
        yield Many(
            "DELETE FROM mails WHERE (tenant, id) IN (SELECT v.tenant, v.id FROM {v})",
            "tenant:t id:t",
            [row[:2] for row in to_person],
        )
        yield Many(
            "UPDATE hits SET ip = NULL FROM {v} WHERE hits.tenant = v.tenant AND hits.message = v.id",
            "tenant:t id:t",
            [row[:2] for row in to_person],
        )
    if found:
        everything = [(erasure.tenant, name, now) for name in sorted(cast("set[str]", found))]
        yield Many(
            "UPDATE deliveries SET state = 'cancelled', error = 'cancelled', next_at = NULL, updated_at = v.at"
            " FROM {v} WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id"
            " AND deliveries.state IN ('waiting', 'queued', 'held')",
            "tenant:t id:t at:i",
            everything,
        )
        yield Many(
            "UPDATE deliveries SET order_key = v.mark FROM {v} WHERE deliveries.tenant = v.tenant"
            " AND deliveries.id = v.id AND deliveries.order_key <> deliveries.lane",
            "tenant:t id:t mark:t",
            [(erasure.tenant, name, erasure.mark) for _, name, _ in everything],
        )
        yield Many(
            "UPDATE attempts SET request = NULL, response = NULL, detail = 'erased' FROM {v}"
            " WHERE attempts.tenant = v.tenant AND attempts.delivery = v.id",
            "tenant:t id:t",
            [row[:2] for row in everything],
        )


def _finish(erasure: Erasure, now: int) -> Plan[None]:
    """What has no place in the sequence; and the erasure itself forgets whom it was about."""
    for text in (erasure.email, erasure.phone):
        if text:
            yield Sql(
                "UPDATE limits SET subject = ? WHERE tenant = ? AND subject = ?",
                (erasure.mark, erasure.tenant, text),
            )
            bare = text.lower().lstrip("+")  # a line may be bad because its number has no +
            escaped = bare.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            yield Sql(
                "UPDATE import_faults SET detail = 'erased' WHERE tenant = ? AND LOWER(detail) LIKE ? ESCAPE '!'",
                (erasure.tenant, f"%{escaped}%"),
            )
    yield Sql(
        "UPDATE erasures SET state = 'finished', email = NULL, phone = NULL, finished_at = ?"
        " WHERE tenant = ? AND id = ?",
        (now, erasure.tenant, erasure.id),
    )


def _to_erasure(row: Row) -> Erasure:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    return Erasure(**values)
