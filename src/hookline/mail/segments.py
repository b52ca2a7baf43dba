"""Segments: the contacts for whom a condition holds, worked out anew each time, a chunk after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hookline.model import Contact
from hookline.rules import cel
from hookline.rules.contacts import contact_value
from hookline.rules.times import to_datetime
from hookline.storage import Storage
from hookline.storage.segments import History

VARIABLES = frozenset({"contact", "now"})
HISTORY = ("sent", "opened", "clicked", "last_sent_at", "last_opened_at", "last_clicked_at")
CHUNK = 500
BREATH = 50


class Condition(Struct, frozen=True):
    """A compiled condition, and whether it asks for the contact's lists, or for what was sent."""

    expression: cel.Expression
    lists: bool
    history: bool


class Found(Struct, frozen=True):
    """Of ``of`` contacts those for whom it holds; for ``errors`` of them it has no value, as ``error`` tells of the
    first. ``last``: nobody is left to be looked at.
    """

    contacts: list[Contact]
    of: int
    errors: int = 0
    error: tuple[str, str] | None = None
    last: bool = False


def compile(source: str) -> Condition:
    """Raises cel.CelError, with its place, for what is no condition over ``contact`` and ``now``."""
    expression = cel.compile(source, VARIABLES)
    return Condition(expression, "lists" in source, any(name in source for name in HISTORY))


class Segments:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def within(self, tenant: str, segment: str, contacts: Sequence[Contact], now: int) -> list[Contact]:
        """Those of the contacts who are in a segment; nobody is in one that is gone."""
        stored = await self._storage.segments.get(tenant, segment)
        if stored is None:
            return []
        return (await self.choose(tenant, compile(stored.condition), contacts, now)).contacts

    async def choose(self, tenant: str, condition: Condition, contacts: Sequence[Contact], now: int) -> Found:
        """Those of the contacts for whom a condition holds. An error counts as false."""
        ids = [contact.id for contact in contacts]
        lists = await self._storage.contacts.lists_named(tenant, ids) if condition.lists else {}
        history = await self._storage.segments.history(tenant, ids) if condition.history else {}
        chosen: list[Contact] = []
        errors, first = 0, None
        moment = to_datetime(now)
        for place, contact in enumerate(contacts, 1):
            if place % BREATH == 0:  # others want to be answered, too
                await asyncio.sleep(0)
            value = contact_value(contact)
            value["lists"] = [name for name, status in lists.get(contact.id, ()) if status == "subscribed"]
            value |= _told(history.get(contact.id, History()))
            try:
                if cel.truth(condition.expression.evaluate({"contact": value, "now": moment})):
                    chosen.append(contact)
            except cel.EvalError as error:
                errors += 1
                first = first or (contact.id, str(error))
        return Found(chosen, len(contacts), errors, first)

    async def walk(
        self, tenant: str, condition: Condition, now: int, in_list: str | None
    ) -> AsyncIterator[Found]:
        """All contacts, or those subscribed to a list, in chunks."""
        place = 0
        while True:
            contacts = await self._storage.contacts.after(tenant, place, CHUNK, in_list=in_list)
            found = await self.choose(tenant, condition, contacts, now)
            last = len(contacts) < CHUNK
            yield msgspec.structs.replace(found, last=last)
            if last:
                return
            place = contacts[-1].seq


def _told(history: History) -> dict[str, Any]:
    times = (history.last_sent_at, history.last_opened_at, history.last_clicked_at)
    moments = [None if at is None else to_datetime(at) for at in times]
    return dict(zip(HISTORY, (history.sent, history.opened, history.clicked, *moments), strict=True))
