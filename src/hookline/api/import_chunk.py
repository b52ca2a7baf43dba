"""Rows of a file as changes of contacts: worked out in memory, a chunk at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from hookline.model import Contact, EventDraft, Import, LineFault
from hookline.rules.contacts import Wrong, applied, changes, told, told_new
from hookline.rules.ids import new_id
from hookline.rules.rows import Row
from hookline.storage.imports import Known, Upsert


class Working(Struct):
    """A contact while a chunk's rows are worked into it; ``known`` is as it is stored."""

    known: Known
    contact: Contact
    join: dict[str, None] = msgspec.field(default_factory=dict)
    ask: dict[str, None] = msgspec.field(default_factory=dict)
    leave: dict[str, None] = msgspec.field(default_factory=dict)
    lift: bool = False
    moves: int = 0
    """Lines that changed something, though perhaps only until a later one."""

    @property
    def changed(self) -> bool:
        return self.contact != self.known.contact

    @property
    def moved(self) -> bool:
        """Whether there is anything to store after all lines."""
        return self.changed or bool(self.join or self.ask or self.leave or self.lift)


def fault_of(line: int, error: Wrong) -> LineFault:
    """What is wrong with a line, short enough to be kept."""
    return LineFault(line, error.pointer.removeprefix("/")[:200], error.detail[:500].replace("\0", "\ufffd"))


class Chunk:
    """Works rows into contacts as they are stored, in memory: what is to be written, told and counted."""

    def __init__(self, job: Import, known: Mapping[str, Known], asking: Collection[str], now: int) -> None:
        self._job, self._known, self._asking, self._now = job, known, asking, now
        self._works: dict[str, Working] = {}
        self._created = self._unchanged = self._kept_out = 0
        self.faults: list[LineFault] = []

    def work_in(self, line: int, row: Row) -> None:
        email = row.change.fields["email"]
        work = self._works.get(email)
        made = work is None and self._known[email].contact is None
        if work is None:
            known = self._known[email]
            work = Working(known, known.contact or self._new())
        change, kept_out = row.change, False
        stays = work.contact.status == "unsubscribed" and not self._job.spec.resubscribe
        if stays and change.fields.get("status") == "active":
            change = msgspec.structs.replace(change, fields={**change.fields, "status": "unsubscribed"})
            kept_out = True
        try:
            after = applied(work.contact, change)
        except Wrong as error:
            self.faults.append(fault_of(line, error))
            return
        moved = after != work.contact
        work.contact = after
        self._works[email] = work
        named = row.lists if self._job.spec.list is None else (self._job.spec.list, *row.lists)
        for name in dict.fromkeys(named):
            if name not in row.unsubscribed_lists:
                joined, refused = self._join(work, name)
                moved, kept_out = moved or joined, kept_out or refused
        for name in row.unsubscribed_lists:
            if work.known.lists.get(name) != "unsubscribed" and name not in work.leave:
                work.leave[name] = None
                work.join.pop(name, None)
                work.ask.pop(name, None)
                moved = True
        if made:
            self._created += 1
        elif moved:
            work.moves += 1
        else:
            self._unchanged += 1
        self._kept_out += kept_out

    def counts(self) -> dict[str, int]:
        """The lines, by what came of them. What a later line takes back has changed nothing."""
        updated = sum(work.moves for work in self._works.values() if work.moved)
        taken_back = sum(work.moves for work in self._works.values()) - updated
        return {
            "created": self._created,
            "updated": updated,
            "unchanged": self._unchanged + taken_back,
            "kept_out": self._kept_out,
        }

    def _new(self) -> Contact:
        return Contact(
            tenant=self._job.tenant, id=new_id("ctc"), email=None, created_at=self._now, updated_at=self._now
        )

    def _join(self, work: Working, name: str) -> tuple[bool, bool]:
        """Whether a contact joins a list, and whether it is kept out, because it asked for that."""
        status = "unsubscribed" if name in work.leave else work.known.lists.get(name)
        left = status == "unsubscribed" or bool(work.known.refused & {"", name})
        if left and self._job.spec.resubscribe:
            work.lift = not work.known.complained
            left = False
        if left or (status is None and work.known.complained):
            return False, True
        if name in work.join or name in work.ask:
            return False, False
        work.leave.pop(name, None)  # of an earlier line
        if name in self._asking:
            if status in ("subscribed", "pending"):
                return False, False
            work.ask[name] = None
        elif status == "subscribed" and not work.lift:
            return False, False
        else:
            work.join[name] = None
        return True, False

    def upserts(self) -> list[Upsert]:
        rows: list[Upsert] = []
        for work in self._works.values():
            if work.moved:
                changed, contact = work.changed, work.contact
                rows.append(
                    Upsert(
                        contact=msgspec.structs.replace(contact, updated_at=self._now)
                        if changed
                        else contact,
                        new=work.known.contact is None,
                        changed=changed,
                        join=tuple(work.join),
                        ask=tuple(work.ask),
                        leave=tuple(work.leave),
                    )
                )
        return rows

    def drafts(self) -> Iterator[EventDraft]:
        """What the chunk tells, each contact's together."""
        for work in self._works.values():
            yield from self._told(work)

    def _told(self, work: Working) -> list[EventDraft]:
        before, after, told_of = work.known.contact, work.contact, {"import": self._job.id}
        events: list[EventDraft] = []
        if before is None:
            events.append(told_new(after, told_of))
        elif after != before:
            changed: dict[str, Any] = changes(before, after)
            if changed:
                events.append(told(after, "contact.updated", {"changed": changed, **told_of}))
            if after.status == "unsubscribed" != before.status:
                events.append(told(after, "contact.unsubscribed", told_of))
        events += [told(after, "contact.subscribed", {"list": name, **told_of}) for name in work.join]
        events += [told(after, "contact.pending", {"list": name, **told_of}) for name in work.ask]
        for name in work.leave:
            if work.known.lists.get(name) == "subscribed":
                events.append(told(after, "contact.unsubscribed", {"list": name, **told_of}))
        return events
