"""What has to be known of somebody before a mail goes to him, read for all who are about to get one at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from msgspec import Struct

from hookline.model import Contact
from hookline.storage.contacts import FIELDS, to_contact
from hookline.storage.grouping import Grouped
from hookline.storage.plans import Database, Many, Plan

MOST = 256
FIND_CONTACTS = (
    f"SELECT {', '.join(f'c.{field}' for field in FIELDS)} FROM contacts c, {{v}}"
    " WHERE c.tenant = v.tenant AND c.id = v.id"
)
FIND_MEMBERS = (
    "SELECT m.tenant, m.list, m.contact, m.status FROM members m, {v}"
    " WHERE m.tenant = v.tenant AND m.list = v.list AND m.contact = v.contact"
)
FIND_REASONS = (
    "SELECT s.tenant, s.address, s.seq, s.reason, s.list FROM suppressions s, {v}"
    " WHERE s.tenant = v.tenant AND s.address = v.address"
)


class Recipient(Struct, frozen=True):
    """Somebody as he is now: the ``contact``, if there is one; its ``status`` in the list that was asked about; why
    the address is not mailed, the oldest reason first, each with the list that it holds for ("" for all)."""

    contact: Contact | None
    status: str | None
    reasons: tuple[tuple[str, str], ...]


class _Asked(NamedTuple):
    tenant: str
    address: str
    contact: str
    list: str


class Recipients:
    """Those who are asked about while one read is under way share the next."""

    def __init__(self, database: Database, mark: Callable[[str, str], str]) -> None:
        self._db = database
        self._mark = mark
        self._group: Grouped[_Asked, Recipient] = Grouped(self._read, MOST)

    async def get(self, tenant: str, address: str, contact: str | None, list_id: str = "") -> Recipient:
        """``list_id`` is "" where no list matters. What was committed before this is asked counts."""
        return await self._group.submit(_Asked(tenant, address, contact or "", list_id))

    async def _read(self, asked: Sequence[_Asked]) -> list[Recipient]:
        return await self._db.read(lambda: _find(asked, self._mark))


def _find(asked: Sequence[_Asked], mark: Callable[[str, str], str]) -> Plan[list[Recipient]]:
    contacts: dict[tuple[str, str], Contact] = {}
    names = {(one.tenant, one.contact) for one in asked if one.contact}
    for row in (yield Many(FIND_CONTACTS, "tenant:t id:t", sorted(names))):
        contact = to_contact(row)
        contacts[contact.tenant, contact.id] = contact
    places = {(one.tenant, one.list, one.contact) for one in asked if one.contact and one.list}
    rows = yield Many(FIND_MEMBERS, "tenant:t list:t contact:t", sorted(places))
    members = {row[:3]: cast("str", row[3]) for row in rows}
    # Also what is known of somebody who was erased.
    spelt = {name: (name, (name[0], mark(*name))) for name in {(one.tenant, one.address) for one in asked}}
    wanted = sorted({address for both in spelt.values() for address in both})
    reasons: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    found = yield Many(FIND_REASONS, "tenant:t address:t", wanted)
    for tenant, address, seq, reason, listed in cast("list[tuple[str, str, int, str, str]]", found):
        reasons.setdefault((tenant, address), []).append((seq, reason, listed))
    return [
        Recipient(
            contacts.get((one.tenant, one.contact)),
            members.get((one.tenant, one.list, one.contact)),
            tuple(
                (reason, listed)
                for _, reason, listed in sorted(
                    entry for name in spelt[one.tenant, one.address] for entry in reasons.get(name, ())
                )
            ),
        )
        for one in asked
    ]
