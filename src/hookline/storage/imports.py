"""Imports: many contacts in one commit, together with how far the file is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from hookline.model import Contact, Import, ImportSpec, LineFault
from hookline.storage.accepting import insert
from hookline.storage.contacts import COLUMNS as CONTACT_COLUMNS
from hookline.storage.contacts import to_contact
from hookline.storage.plans import Database, Many, Plan, Row, Sql, one
from hookline.storage.units import ContactMoved

FIELDS = (
    "tenant", "id", "seq", "spec", "state", "position", "line", "digest", "read", "created", "updated",
    "unchanged", "kept_out", "bad", "created_at", "updated_at",
)  # fmt: skip
COLUMNS = ", ".join(FIELDS)
MAX_FAULTS = 1000
CONTACT_TYPES = (
    "tenant:t id:t seq:i email:t phone:t attributes:b tags:b status:t revision:i created_at:i updated_at:i"
)
INSERT_CONTACTS = insert("contacts", CONTACT_TYPES, "ON CONFLICT DO NOTHING")
UPDATE_CONTACTS = (
    "UPDATE contacts SET phone = v.phone, attributes = v.attributes, tags = v.tags, status = v.status,"
    " revision = contacts.revision + 1, updated_at = v.updated_at FROM {v} WHERE contacts.tenant = v.tenant"
    " AND contacts.id = v.id AND contacts.revision = v.revision"
)
# Who has left since the contact was read has left: only what is asked for on purpose puts him back.
MEMBERS = (
    "INSERT INTO members (tenant, list, contact, seq, status, changed_at)"
    " SELECT v.tenant, v.list, v.contact, c.seq, v.status, v.at FROM contacts c, {v}"
    " WHERE c.tenant = v.tenant AND c.id = v.contact ON CONFLICT (tenant, list, contact) DO "
)
MEMBER_COLUMNS = "tenant:t list:t contact:t status:t at:i"
_encode = msgspec.json.Encoder().encode


class ImportMoved(Exception):
    """The import is being carried on by somebody else."""


class Known(Struct):
    """A contact as it is stored: its lists, and the lists ("" for all) that its address asked to be left off."""

    contact: Contact | None = None
    lists: dict[str, str] = msgspec.field(default_factory=dict)
    refused: set[str] = msgspec.field(default_factory=set)
    complained: bool = False


class Upsert(Struct, frozen=True, kw_only=True):
    """A contact that is new, changed, or only joins or leaves lists (or may only be mailed again)."""

    contact: Contact
    new: bool
    changed: bool
    join: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


def upserting(rows: Sequence[Upsert], now: int, *, resubscribe: bool) -> Plan[None]:
    """Store contacts and their lists; ContactMoved when one of them has moved on. Within ``accept``."""
    new = [row.contact for row in rows if row.new]
    if new:
        clock = yield Sql("UPDATE clock SET seq = seq + ? WHERE id = 1 RETURNING seq", (len(new),))
        first = cast("int", clock[0][0]) - len(new) + 1
        values = [
            (
                c.tenant, c.id, first + place, c.email, c.phone, c.attributes, _encode(c.tags), c.status,
                c.revision, c.created_at, c.updated_at,
            )
            for place, c in enumerate(new)
        ]  # fmt: skip
        if (yield Many(INSERT_CONTACTS, CONTACT_TYPES, values)) != [(len(new),)]:
            raise ContactMoved
    changed = [row.contact for row in rows if row.changed and not row.new]
    if changed:
        columns = "tenant:t id:t revision:i phone:t attributes:b tags:b status:t updated_at:i"
        kept = [
            (c.tenant, c.id, c.revision, c.phone, c.attributes, _encode(c.tags), c.status, c.updated_at)
            for c in changed
        ]
        if (yield Many(UPDATE_CONTACTS, columns, kept)) != [(len(changed),)]:
            raise ContactMoved
    yield from _lists(rows, now, resubscribe=resubscribe)


def _lists(rows: Sequence[Upsert], now: int, *, resubscribe: bool) -> Plan[None]:
    put = "UPDATE SET status = excluded.status, changed_at = excluded.changed_at"
    join = [
        (row.contact.tenant, name, row.contact.id, "subscribed", now) for row in rows for name in row.join
    ]
    if join:
        yield Many(
            MEMBERS + put + ("" if resubscribe else " WHERE members.status = 'pending'"), MEMBER_COLUMNS, join
        )
    ask = [(row.contact.tenant, name, row.contact.id, "pending", now) for row in rows for name in row.ask]
    if ask:
        yield Many(MEMBERS + put + " WHERE members.status <> 'subscribed'", MEMBER_COLUMNS, ask)
    if resubscribe:
        lists = [(row.contact.tenant, row.contact.email, name) for row in rows for name in row.join]
        every = [(row.contact.tenant, row.contact.email, "") for row in rows]
        yield Many(
            "DELETE FROM suppressions WHERE reason = 'unsubscribe' AND (tenant, address, list) IN"
            " (SELECT v.tenant, v.address, v.list FROM {v})",
            "tenant:t address:t list:t",
            lists + every,
        )
    leave = [
        (row.contact.tenant, name, row.contact.id, "unsubscribed", now) for row in rows for name in row.leave
    ]
    if leave:
        yield Many(MEMBERS + put, MEMBER_COLUMNS, leave)


def advancing(before: Import, after: Import, faults: Sequence[LineFault]) -> Plan[None]:
    """Store how far an import is by now; ImportMoved when it is no longer where it was."""
    names = FIELDS[4:14]
    rows = yield Sql(
        f"UPDATE imports SET {', '.join(f'{name} = ?' for name in names)}, updated_at = ?"
        " WHERE tenant = ? AND id = ? AND position = ? AND state = 'running' RETURNING id",
        (
            *(getattr(after, name) for name in names), after.updated_at,
            before.tenant, before.id, before.position,
        ),
    )  # fmt: skip
    if not rows:
        raise ImportMoved
    if faults:
        columns = "tenant:t import:t line:i field:t detail:t"
        values = [(after.tenant, after.id, fault.line, fault.field, fault.detail) for fault in faults]
        yield Many(insert("import_faults", columns, "ON CONFLICT DO NOTHING"), columns, values)


class Imports:
    def __init__(self, database: Database, mark: Callable[[str, str], str]) -> None:
        self._db = database
        self._mark = mark

    async def create(self, new: Import) -> Import:
        def plan() -> Plan[Import]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            stored = msgspec.structs.replace(new, seq=cast("int", clock[0][0]))
            yield Sql(
                f"INSERT INTO imports ({COLUMNS}) VALUES ({', '.join('?' * len(FIELDS))})",
                [_encode(stored.spec) if name == "spec" else getattr(stored, name) for name in FIELDS],
            )
            return stored

        return await self._db.run(plan)

    async def get(self, tenant: str, import_id: str) -> Import | None:
        def plan() -> Plan[Import | None]:
            row = one(
                (yield Sql(f"SELECT {COLUMNS} FROM imports WHERE tenant = ? AND id = ?", (tenant, import_id)))
            )
            return _to_import(row) if row else None

        return await self._db.read(plan)

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Import]:
        """Newest first, those before the place ``before``."""

        def plan() -> Plan[list[Import]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM imports WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [_to_import(row) for row in rows]

        return await self._db.read(plan)

    async def set_state(self, which: Import, state: str, now: int) -> bool:
        """Stop a running import where it is, or let a stopped one go on; false when it is elsewhere by now."""

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "UPDATE imports SET state = ?, updated_at = ? WHERE tenant = ? AND id = ? AND position = ?"
                " AND state <> 'finished' RETURNING id",
                (state, now, which.tenant, which.id, which.position),
            )
            return bool(rows)

        return await self._db.run(plan)

    async def faults(self, tenant: str, import_id: str) -> list[LineFault]:
        """What is wrong with lines, the first ``MAX_FAULTS`` of them."""

        def plan() -> Plan[list[LineFault]]:
            rows = yield Sql(
                "SELECT line, field, detail FROM import_faults WHERE tenant = ? AND import = ? ORDER BY line",
                (tenant, import_id),
            )
            return [LineFault(*cast("tuple[int, str, str]", row)) for row in rows]

        return await self._db.read(plan)

    async def known(self, tenant: str, emails: Sequence[str]) -> dict[str, Known]:
        """What is stored of contacts with these (normalised) addresses, all of which are in the answer."""
        columns = ", ".join(f"c.{name.strip()}" for name in CONTACT_COLUMNS.split(","))
        wanted = [(tenant, email) for email in emails]
        marks = {self._mark(tenant, email): email for email in emails}  # of people who were erased

        def plan() -> Plan[dict[str, Known]]:
            found = {email: Known() for email in emails}
            by_id: dict[str, Known] = {}
            where = "WHERE c.tenant = v.tenant AND c.email = v.email"
            for row in (
                yield Many(f"SELECT {columns} FROM contacts c, {{v}} {where}", "tenant:t email:t", wanted)
            ):
                contact = to_contact(row)
                known = by_id[contact.id] = found[contact.email or ""]
                known.contact = contact
            if by_id:
                rows = yield Many(
                    "SELECT m.contact, m.list, m.status FROM members m, {v}"
                    " WHERE m.tenant = v.tenant AND m.contact = v.id",
                    "tenant:t id:t",
                    [(tenant, name) for name in by_id],
                )
                for name, listed, status in cast("list[tuple[str, str, str]]", rows):
                    by_id[name].lists[listed] = status
            rows = yield Many(
                "SELECT s.address, s.list, s.reason FROM suppressions s, {v} WHERE s.tenant = v.tenant"
                " AND s.address = v.email AND s.reason IN ('unsubscribe', 'complaint')",
                "tenant:t email:t",
                wanted + [(tenant, mark) for mark in marks],
            )
            for address, listed, reason in cast("list[tuple[str, str, str]]", rows):
                email = marks.get(address, address)
                if reason == "complaint":
                    found[email].complained = True
                else:
                    found[email].refused.add(listed)
            return found

        return await self._db.read(plan, bulk=True)


def _to_import(row: Row) -> Import:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    values["spec"] = msgspec.json.decode(values["spec"], type=ImportSpec)
    return Import(**values)
