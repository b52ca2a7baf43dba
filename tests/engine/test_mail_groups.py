"""Mails are claimed, looked up and settled in groups; each is treated as if it were alone. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hookline.dispatch.lanes import MAIL_HANDS
from hookline.model import Suppression
from support.engine import Engine
from support.mailserver import MailServer
from support.receiver import Receiver

READERS = MAIL_HANDS + 8

Step = Callable[[], Awaitable[None]]


def meanwhile(step: Step) -> Step:
    """Holds all mails until ``step`` is done, which begins when the first is there."""
    begun: list[asyncio.Task[None]] = []

    async def hold() -> None:
        if not begun:
            begun.append(asyncio.ensure_future(step()))
        await asyncio.shield(begun[0])

    return hold


def address(number: int) -> str:
    return f"reader{number}@example.com"


async def test_what_is_entered_while_a_campaign_goes_out_counts_for_what_is_claimed_then(
    post: Engine, mailserver: MailServer
) -> None:
    listed = await post.new_list("readers")
    for number in range(READERS):
        await post.contact(address(number), listed.id)
    unclaimed: list[str] = []

    async def enter() -> None:
        unclaimed.extend(str(delivery.address) for delivery in await post.deliveries(state="queued"))
        forbidden, gone, elsewhere = unclaimed[:3]
        entry = Suppression(tenant="default", address=forbidden, reason="manual", created_at=post.clock.now())
        await post.storage.contacts.suppress(entry)
        for who, list_id in ((gone, listed.id), (elsewhere, "lst_other")):
            data = {"email": who, "list": list_id, "machine": False}
            await post.publish("email.unsubscribed", data, source="mailer", subject=who)

    mailserver.hold = meanwhile(enter)
    campaign = await post.campaign(listed)
    forbidden, gone = unclaimed[:2]
    got = sorted(who for who, _ in mailserver.mails)
    assert got == sorted({address(n) for n in range(READERS)} - {forbidden, gone})
    blocked = {event.subject: event.data for event in await post.events("email.blocked")}
    assert blocked.keys() == {forbidden, gone}
    assert b'"reason":"manual"' in blocked[forbidden] and b'"reason":"unsubscribe"' in blocked[gone]
    figures = await post.stats(campaign)
    assert (figures["sent"], figures["blocked"]) == (READERS - 2, 2)


async def test_a_group_that_finds_another_configuration_is_settled_one_by_one(
    post: Engine, mailserver: MailServer, receiver: Receiver
) -> None:
    """What it had prepared for the hooks of before is not owed, and holds no place in their lanes."""
    hook = {"on": ["email.sent"], "do": {"kind": "webhook", "url": receiver.url}}
    await post.hook(hook)
    listed = await post.new_list("readers")
    for number in range(3):
        await post.contact(address(number), listed.id)

    async def change() -> None:
        await post.hook(hook)  # as another process does it

    mailserver.hold = meanwhile(change)
    await post.campaign(listed)
    sent = await post.events("email.sent")
    assert sorted(str(event.subject) for event in sent) == [address(n) for n in range(3)]
    ids = sorted(got.headers["webhook-id"] for got in receiver.got)
    assert ids == sorted(2 * [event.id for event in sent]), "each of both hooks heard of each mail once"
    assert not post.dispatcher._lanes.all(), "no place is taken any more"
