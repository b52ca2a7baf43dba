"""Contacts, their lists, and the addresses that are not mailed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from hookline.model import Contact, ContactList, DoubleOptIn, Suppression
from hookline.rules.erasing import mark_of
from hookline.storage.accepting import insert
from hookline.storage.plans import Database, Many, Plan, Row, Sql, Value, one
from hookline.storage.units import ContactMoved

COLUMNS = "tenant, id, seq, email, phone, attributes, tags, status, revision, created_at, updated_at"
FIELDS = COLUMNS.split(", ")
# A member's place in its list is its contact's place, so that a list is walked along the list's own index.
MEMBERS = (
    ", ".join(f"c.{field}" for field in FIELDS)
    + " FROM members m JOIN contacts c ON c.tenant = m.tenant AND c.id = m.contact"
)
_encode = msgspec.json.Encoder().encode


def to_contact(row: Row) -> Contact:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    values["tags"] = tuple(msgspec.json.decode(values["tags"]))
    return Contact(**values)


def creating(contact: Contact, lists: Sequence[str], ask: Sequence[str] = ()) -> Plan[None]:
    """Store a new contact and its lists, ``ask`` those that ask first; ContactMoved when its email is taken."""
    clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
    seq = cast("int", clock[0][0])
    rows = yield Sql(
        f"INSERT INTO contacts ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING id",
        (
            contact.tenant, contact.id, seq, contact.email, contact.phone, contact.attributes,
            _encode(contact.tags), contact.status, contact.revision, contact.created_at, contact.updated_at,
        ),
    )  # fmt: skip
    if not rows:
        raise ContactMoved
    yield from _join(msgspec.structs.replace(contact, seq=seq), lists, ask)


def updating(contact: Contact, lists: Sequence[str], ask: Sequence[str] = ()) -> Plan[None]:
    """Store a contact whose ``revision`` is still the stored one's; ContactMoved when it has moved on.

    The same when another contact has its email by now.
    """
    rows = yield Sql(
        "UPDATE contacts SET email = ?, phone = ?, attributes = ?, tags = ?, status = ?,"
        " revision = revision + 1, updated_at = ? WHERE tenant = ? AND id = ? AND revision = ?"
        " AND NOT EXISTS (SELECT 1 FROM contacts o WHERE o.tenant = contacts.tenant AND o.email = ?"
        " AND o.id <> contacts.id) RETURNING id",
        (
            contact.email, contact.phone, contact.attributes, _encode(contact.tags), contact.status,
            contact.updated_at, contact.tenant, contact.id, contact.revision, contact.email,
        ),
    )  # fmt: skip
    if not rows:
        raise ContactMoved
    yield from _join(contact, lists, ask)


class Contacts:
    def __init__(self, database: Database, erasing_key: bytes = b"") -> None:
        self._db = database
        self._erasing_key = erasing_key

    def mark(self, tenant: str, address: str) -> str:
        """What stands in the place of an address whose person was erased."""
        return mark_of(self._erasing_key, tenant, address)

    async def create(self, contact: Contact, lists: Sequence[str]) -> None:
        """Store a new contact and its lists; ContactMoved when its email is taken."""
        await self._db.run(lambda: creating(contact, lists))

    async def update(self, contact: Contact, lists: Sequence[str]) -> None:
        """Store a changed contact, and the lists it joins; ContactMoved when it has moved on."""
        await self._db.run(lambda: updating(contact, lists))

    async def delete(self, tenant: str, contact: str) -> bool:
        def plan() -> Plan[bool]:
            rows = yield Sql(
                "DELETE FROM contacts WHERE tenant = ? AND id = ? RETURNING id", (tenant, contact)
            )
            yield Sql("DELETE FROM members WHERE tenant = ? AND contact = ?", (tenant, contact))
            return bool(rows)

        return await self._db.run(plan)

    async def _find(self, where: str, args: Sequence[Value]) -> Contact | None:
        def plan() -> Plan[Contact | None]:
            row = one((yield Sql(f"SELECT {COLUMNS} FROM contacts WHERE {where} ORDER BY seq LIMIT 1", args)))
            return to_contact(row) if row else None

        return await self._db.read(plan)

    async def get(self, tenant: str, contact: str) -> Contact | None:
        return await self._find("tenant = ? AND id = ?", (tenant, contact))

    async def by_email(self, tenant: str, email: str) -> Contact | None:
        """``email`` is normalised."""
        return await self._find("tenant = ? AND email = ?", (tenant, email))

    async def by_phone(self, tenant: str, phone: str) -> Contact | None:
        """``phone`` is normalised; of several the first made."""
        return await self._find("tenant = ? AND phone = ?", (tenant, phone))

    async def page(
        self, tenant: str, *, limit: int, before: int | None = None, in_list: str | None = None
    ) -> list[Contact]:
        """Newest first, those before the place ``before``, of all or of those subscribed to a list."""
        of_list = (
            f"SELECT {MEMBERS} WHERE m.tenant = ? AND m.list = ? AND m.seq < ? AND m.status = 'subscribed'"
            " ORDER BY m.seq DESC LIMIT ?"
        )
        of_all = f"SELECT {COLUMNS} FROM contacts WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        last = before or 2**62

        def plan() -> Plan[list[Contact]]:
            if in_list is None:
                rows = yield Sql(of_all, (tenant, last, limit))
            else:
                rows = yield Sql(of_list, (tenant, in_list, last, limit))
            return [to_contact(row) for row in rows]

        return await self._db.read(plan)

    async def after(
        self, tenant: str, place: int, limit: int, *, in_list: str | None = None
    ) -> list[Contact]:
        """All, or those subscribed to a list, the oldest first, after a place."""
        if in_list is not None:
            return await self.members(tenant, in_list, place, limit)

        def plan() -> Plan[list[Contact]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM contacts WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?",
                (tenant, place, limit),
            )
            return [to_contact(row) for row in rows]

        return await self._db.read(plan)

    async def lists_named(self, tenant: str, contacts: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """The lists of these contacts: for each their names, with ``subscribed`` or ``unsubscribed``."""

        def plan() -> Plan[dict[str, list[tuple[str, str]]]]:
            found: dict[str, list[tuple[str, str]]] = {name: [] for name in contacts}
            rows = yield Many(
                "SELECT m.contact, l.name, m.status FROM members m"
                " JOIN lists l ON l.tenant = m.tenant AND l.id = m.list, {v}"
                " WHERE m.tenant = v.tenant AND m.contact = v.id",
                "tenant:t id:t",
                [(tenant, name) for name in contacts],
            )
            for contact, name, status in sorted(cast("list[tuple[str, str, str]]", rows)):
                found[contact].append((name, status))
            return found

        return await self._db.read(plan)

    async def memberships(self, tenant: str, contact: str) -> dict[str, tuple[str, int]]:
        """The contact's lists by id, with what it is on them, and since when."""

        def plan() -> Plan[dict[str, tuple[str, int]]]:
            rows = yield Sql(
                "SELECT list, status, changed_at FROM members WHERE tenant = ? AND contact = ?",
                (tenant, contact),
            )
            found = cast("list[tuple[str, str, int]]", rows)
            return {name: (status, since) for name, status, since in found}

        return await self._db.read(plan)

    async def lists_of(self, tenant: str, contact: str) -> dict[str, str]:
        """The contact's lists by id, with ``subscribed``, ``unsubscribed`` or ``pending``."""

        def plan() -> Plan[dict[str, str]]:
            rows = yield Sql(
                "SELECT list, status FROM members WHERE tenant = ? AND contact = ? ORDER BY list",
                (tenant, contact),
            )
            return dict(cast("list[tuple[str, str]]", rows))

        return await self._db.read(plan)

    # --- lists

    async def create_list(self, new: ContactList) -> ContactList | None:
        """Store a new list; ``None`` when its name is taken."""

        def plan() -> Plan[ContactList | None]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            seq = cast("int", clock[0][0])
            rows = yield Sql(
                "INSERT INTO lists (tenant, id, seq, name, double_opt_in, created_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING RETURNING id",
                (new.tenant, new.id, seq, new.name, _spec(new), new.created_at),
            )
            return msgspec.structs.replace(new, seq=seq) if rows else None

        return await self._db.run(plan)

    async def change_list(self, changed: ContactList) -> bool:
        """Store a list's name and how it asks; false when its name is taken."""

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "UPDATE lists SET name = ?, double_opt_in = ? WHERE tenant = ? AND id = ? AND NOT EXISTS"
                " (SELECT 1 FROM lists o WHERE o.tenant = lists.tenant AND o.name = ? AND o.id <> lists.id)"
                " RETURNING id",
                (changed.name, _spec(changed), changed.tenant, changed.id, changed.name),
            )
            return bool(rows)

        return await self._db.run(plan)

    async def list_named(self, tenant: str, text: str) -> ContactList | None:
        """A list by its id or its name."""

        def plan() -> Plan[ContactList | None]:
            rows = yield Sql(
                "SELECT tenant, id, name, double_opt_in, created_at, seq FROM lists"
                " WHERE tenant = ? AND (id = ? OR name = ?)",
                (tenant, text, text),
            )
            return _to_list(rows[0]) if rows else None

        return await self._db.read(plan)

    async def page_of_lists(
        self, tenant: str, *, limit: int, before: int | None = None
    ) -> list[tuple[ContactList, int]]:
        """Newest first, each with the number of its subscribed members."""

        def plan() -> Plan[list[tuple[ContactList, int]]]:
            rows = yield Sql(
                "SELECT l.tenant, l.id, l.name, l.double_opt_in, l.created_at, l.seq, (SELECT COUNT(*) FROM members m"
                " WHERE m.tenant = l.tenant AND m.list = l.id AND m.status = 'subscribed')"
                " FROM lists l WHERE l.tenant = ? AND l.seq < ? ORDER BY l.seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [(_to_list(row[:6]), cast("int", row[6])) for row in rows]

        return await self._db.read(plan)

    async def members(self, tenant: str, list_id: str, after: int, limit: int) -> list[Contact]:
        """Those subscribed to a list, in the order of their places, after the place ``after``."""

        def plan() -> Plan[list[Contact]]:
            rows = yield Sql(
                f"SELECT {MEMBERS} WHERE m.tenant = ? AND m.list = ? AND m.seq > ? AND m.status = 'subscribed'"
                " ORDER BY m.seq LIMIT ?",
                (tenant, list_id, after, limit),
            )
            return [to_contact(row) for row in rows]

        return await self._db.read(plan)

    # --- suppressions

    async def suppress(self, new: Suppression) -> None:
        def plan() -> Plan[None]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            columns = "tenant:t address:t reason:t list:t event:t seq:i created_at:i"
            row = (new.tenant, new.address, new.reason, new.list, new.event, clock[0][0], new.created_at)
            yield Many(insert("suppressions", columns, "ON CONFLICT DO NOTHING"), columns, [row])

        await self._db.run(plan)

    async def unsuppress(self, tenant: str, address: str) -> bool:
        """Forget all reasons not to mail an address; false when there was none."""

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "DELETE FROM suppressions WHERE tenant = ? AND (address = ? OR address = ?) RETURNING reason",
                (tenant, address, self.mark(tenant, address)),
            )
            return bool(rows)

        return await self._db.run(plan)

    async def suppressions(self, tenant: str, address: str) -> list[Suppression]:
        """Why an address is not mailed; also what is known of somebody who was erased."""
        return await self._suppressions(
            "tenant = ? AND (address = ? OR address = ?) ORDER BY seq",
            (tenant, address, self.mark(tenant, address)),
        )

    async def page_of_suppressions(
        self, tenant: str, *, limit: int, before: int | None = None
    ) -> list[Suppression]:
        return await self._suppressions(
            "tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?", (tenant, before or 2**62, limit)
        )

    async def _suppressions(self, where: str, args: Sequence[Value]) -> list[Suppression]:
        fields = ("tenant", "address", "reason", "list", "event", "seq", "created_at")

        def plan() -> Plan[list[Suppression]]:
            rows = yield Sql(f"SELECT {', '.join(fields)} FROM suppressions WHERE {where}", args)
            found: list[dict[str, Any]] = [dict(zip(fields, row, strict=True)) for row in rows]
            return [Suppression(**values) for values in found]

        return await self._db.read(plan)


def _to_list(row: Row) -> ContactList:
    tenant, list_id, name, spec, created_at, seq = cast("tuple[str, str, str, bytes | None, int, int]", row)
    asks = msgspec.json.decode(spec, type=DoubleOptIn) if spec else None
    return ContactList(
        tenant=tenant, id=list_id, name=name, double_opt_in=asks, created_at=created_at, seq=seq
    )


def _spec(listed: ContactList) -> bytes | None:
    return _encode(listed.double_opt_in) if listed.double_opt_in else None


def confirming(contact: Contact, list_id: str, mark: str, now: int) -> Plan[None]:
    """Make a pending member a subscribed one, who may be mailed; ContactMoved when he is not pending."""
    rows = yield Sql(
        "UPDATE members SET status = 'subscribed', changed_at = ?"
        " WHERE tenant = ? AND list = ? AND contact = ? AND status = 'pending' RETURNING contact",
        (now, contact.tenant, list_id, contact.id),
    )
    if not rows:
        raise ContactMoved
    yield Sql(
        "UPDATE contacts SET status = 'active', revision = revision + 1, updated_at = ?"
        " WHERE tenant = ? AND id = ? AND status = 'unsubscribed'",
        (now, contact.tenant, contact.id),
    )
    yield Sql(
        "DELETE FROM suppressions WHERE tenant = ? AND (address = ? OR address = ?)"
        " AND reason = 'unsubscribe' AND (list = '' OR list = ?)",
        (contact.tenant, contact.email, mark, list_id),
    )


def _join(contact: Contact, lists: Sequence[str], ask: Sequence[str]) -> Plan[None]:
    # Whoever has left a list is not put back on it by an import: only by a change made on purpose.
    columns = "tenant:t list:t contact:t seq:i status:t changed_at:i"
    put = "ON CONFLICT (tenant, list, contact) DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at"
    for status, names, where in (
        ("subscribed", lists, "WHERE members.status = 'pending'"),
        ("pending", ask, "WHERE members.status <> 'subscribed'"),
    ):
        rows = [(contact.tenant, name, contact.id, contact.seq, status, contact.updated_at) for name in names]
        if rows:
            yield Many(insert("members", columns, f"{put} {where}"), columns, rows)
