"""Erasing people, on request: step by step in the background, and further after a restart."""

from __future__ import annotations

import asyncio

from hookline.clock import Clock, keep_going
from hookline.model import SECOND, Contact, Erasure
from hookline.rules.ids import new_id
from hookline.storage import Storage

POLL = 5 * SECOND


class Eraser:
    """Carries erasures on until they are finished."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._wake = asyncio.Event()

    async def begin(self, contact: Contact) -> Erasure:
        """Erase a contact: the contact itself at once, all that tells of it step by step."""
        address = contact.email or contact.phone or contact.id
        new = Erasure(
            tenant=contact.tenant,
            id=new_id("era"),
            contact=contact.id,
            mark=self._storage.contacts.mark(contact.tenant, address),
            created_at=self._clock.now(),
            email=contact.email,
            phone=contact.phone,
        )
        stored = await self._storage.erasures.create(new, [contact.email] if contact.email else [])
        self._wake.set()
        return stored

    async def run(self) -> None:
        """Work until cancelled."""
        await keep_going("erasing", self._clock, self._wake, self.run_once, POLL)

    async def run_once(self) -> None:
        """Bring every erasure to its end."""
        for erasure in await self._storage.erasures.running():
            left, before = erasure, None
            while left.state == "running" and left != before:  # another process may carry it on
                before = left
                left = await self._storage.erasures.step(left, self._clock.now())
                await asyncio.sleep(0)
