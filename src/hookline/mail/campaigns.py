"""Campaigns under way: a delivery for each member of the list, in chunks, and the end of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from hookline.clock import Clock, keep_going
from hookline.mail.segments import Segments
from hookline.model import SECOND, Campaign, Contact, Delivery, EventDraft
from hookline.rules.ids import new_id
from hookline.storage import Storage
from hookline.storage.campaigns import EVERYONE

CHUNK = 250  # between two of these, mails are claimed and settled
BREATH = 100  # deliveries made before others have their turn
POLL = 5 * SECOND
END_LOOK_SECONDS = 0.1


class CampaignRunner:
    """Carries campaigns from ``scheduled`` to ``sent``, or cancels what is left of them; it goes on where a
    stopped process left off.

    ``accept`` is intake's, ``wake`` the dispatcher's; both are handed over by ``app``.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._wake = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self.segments = Segments(storage)
        self.accept: Callable[[str, Sequence[EventDraft]], Awaitable[Any]]
        self.wake: Callable[[], None] = lambda: None

    async def start(self, campaign: Campaign, at: int | None = None) -> bool:
        """Begin to send a draft, now or at a later time; false when it is none any more."""
        if not await self._storage.campaigns.start(campaign.tenant, campaign.id, self._clock.now(), at):
            return False
        self._wake.set()
        return True

    def look(self) -> None:
        """There may be a campaign to carry on."""
        self._wake.set()

    def settled(self, delivery: Delivery) -> None:
        """A delivery has reached an end: perhaps its campaign has, too."""
        if delivery.campaign is not None and self._soon is None:  # one look for all that end meanwhile
            self._soon = asyncio.get_running_loop().call_later(END_LOOK_SECONDS, self._look_for_ends)

    def _look_for_ends(self) -> None:
        self._soon = None
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await keep_going("campaigns", self._clock, self._wake, self.run_once, POLL)

    async def run_once(self) -> int | None:
        """Bring every campaign under way as far as it can go now; when the next scheduled one is to begin."""
        following = await self._storage.campaigns.start_due(self._clock.now())
        # A chunk of each in turn, as the database has them: a long list keeps no other waiting, and what was
        # paused or cancelled meanwhile is seen.
        while True:
            more = [await self._advance(campaign) for campaign in await self._storage.campaigns.sending()]
            if not any(more):
                return following

    async def _advance(self, campaign: Campaign) -> bool:
        """One step; whether there is another to take now."""
        if campaign.state == "cancelled":
            if await self._storage.campaigns.cancel_some(campaign, self._clock.now(), CHUNK):
                return True
        elif campaign.cursor != EVERYONE:
            if campaign.cursor == 0:
                await self.accept(campaign.tenant, [_event(campaign, "campaign.started")])
            await self._add_chunk(campaign)
            return True
        await self._finish(campaign)
        return False

    async def _add_chunk(self, campaign: Campaign) -> None:
        members = await self._storage.contacts.after(
            campaign.tenant, campaign.cursor, CHUNK, in_list=campaign.list or None
        )
        cursor = members[-1].seq if len(members) == CHUNK else EVERYONE
        now = self._clock.now()
        if campaign.segment is not None:
            members = await self.segments.within(campaign.tenant, campaign.segment, members, now)
        deliveries: list[Delivery] = []
        for place, member in enumerate(members, 1):
            if member.email:
                deliveries.append(_delivery(campaign, member, now))
            if place % BREATH == 0:
                await asyncio.sleep(0)
        if await self._storage.campaigns.add_recipients(campaign, deliveries, cursor):
            self.wake()

    async def _finish(self, campaign: Campaign) -> None:
        if await self._storage.campaigns.is_over(campaign.tenant, campaign.id):
            await self.accept(campaign.tenant, [_event(campaign, "campaign.finished")])
            await self._storage.campaigns.finish(campaign.tenant, campaign.id, self._clock.now())


def _delivery(campaign: Campaign, member: Contact, now: int) -> Delivery:
    return Delivery(
        tenant=campaign.tenant,
        id=new_id("dlv"),
        lane=campaign.id,
        kind="email",
        state="queued",
        next_at=now,
        campaign=campaign.id,
        contact=member.id,
        address=member.email,
        depth=1,
        created_at=now,
        updated_at=now,
    )


def _event(campaign: Campaign, kind: str) -> EventDraft:
    # The id makes it happen once, however often the process dies between the event and the state's change.
    return EventDraft(
        type=kind,
        source="hookline",
        source_id=f"{campaign.id}/{kind}",
        subject=campaign.id,
        data=msgspec.json.encode(
            {
                "campaign": campaign.id,
                "name": campaign.spec.name,
                "list": campaign.list or None,
                "cancelled": campaign.state == "cancelled",
            }
        ),
    )
