"""A campaign's life: begun at its time, paused, resumed, cancelled, shared by two processes; on both databases."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import msgspec

from hookline.mail.campaigns import CHUNK
from hookline.model import DAY, HOUR, SECOND, Campaign, CampaignInput, Contact
from hookline.rules.ids import new_id
from hookline.rules.lifecycle import SMTP_SCHEDULE
from hookline.rules.pacing import Rate
from hookline.storage.throttling import Throttle
from support.engine import START, Engine, running
from support.mailserver import MailServer


async def draft(engine: Engine, *names: str) -> Campaign:
    """A campaign to these readers."""
    listed = await engine.new_list("readers")
    for name in names:
        await engine.contact(f"{name}@example.com", listed.id)
    spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
    new = Campaign(tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1)
    stored: Campaign = await engine.storage.campaigns.put(new)
    return stored


async def state(engine: Engine) -> str:
    return str((await engine.storage.campaigns.get("default", "cmp_x")).state)


async def types(engine: Engine) -> list[str]:
    return [event.type for event in await engine.events("campaign.*")]


async def test_it_begins_at_its_time_also_after_a_restart(
    database_url: str | Path, mailserver: MailServer
) -> None:
    async with running(database_url, mailserver.url) as first:
        campaign = await draft(first, "ada")
        assert await first.campaigns.start(campaign, START + HOUR)
        await first.work()
        assert (await state(first), mailserver.mails) == ("scheduled", [])
        assert not await first.campaigns.start(campaign), "it is no draft"
        assert await first.campaigns.run_once() == START + HOUR
    async with running(database_url, mailserver.url) as second:
        second.clock.advance(HOUR - 1)
        await second.work()
        assert mailserver.mails == []
        second.clock.advance(1)
        await second.work()
        assert (await state(second), len(mailserver.mails)) == ("sent", 1)
        done = await second.storage.campaigns.get("default", "cmp_x")
        assert done.started_at == START + HOUR


async def test_a_time_in_the_past_is_now(post: Engine, mailserver: MailServer) -> None:
    campaign = await draft(post, "ada")
    assert await post.campaigns.start(campaign, START - DAY)
    await post.work()
    assert (await state(post), len(mailserver.mails)) == ("sent", 1)


async def test_a_scheduled_campaign_that_is_cancelled_is_a_draft_again(
    post: Engine, mailserver: MailServer
) -> None:
    campaign = await draft(post, "ada")
    await post.campaigns.start(campaign, START + HOUR)
    await post.storage.campaigns.cancel("default", "cmp_x")
    post.clock.advance(DAY)
    await post.work()
    assert (await state(post), mailserver.mails, await types(post)) == ("draft", [], [])
    assert await post.campaigns.start(campaign)


async def test_nothing_of_a_paused_campaign_begins_on_any_process_until_it_is_resumed(
    database_url: str | Path, mailserver: MailServer
) -> None:
    async with running(database_url, mailserver.url) as first:
        campaign = await draft(first, "ada", "bob", "cyd")
        mailserver.refuse["bob@example.com"] = ["451 4.7.1 Later", "250 OK"]
        await first.campaigns.start(campaign)
        await first.campaigns.run_once()
        await first.storage.campaigns.pause("default", "cmp_x")
        await first.work()
        assert (await state(first), mailserver.mails) == ("paused", [])
        assert {d.state for d in await first.deliveries()} == {"queued"}, "not one of them was touched"
    async with running(database_url, mailserver.url) as second:
        second.clock.advance(DAY)
        await second.work()
        assert (await state(second), mailserver.mails) == ("paused", [])
        await second.storage.campaigns.resume("default", "cmp_x")
        await second.work()
        assert len(mailserver.mails) == 2
        await second.storage.campaigns.pause("default", "cmp_x")
        second.clock.advance(HOUR)
        await second.work()
        assert len(mailserver.mails) == 2, "what was put off waits, too"
        await second.storage.campaigns.resume("default", "cmp_x")
        await second.work()
        assert (await state(second), len(mailserver.mails)) == ("sent", 3)
        assert await types(second) == ["campaign.finished", "campaign.started"]


async def test_a_campaign_that_is_paused_before_anybody_has_a_delivery_makes_none(post: Engine) -> None:
    campaign = await draft(post, "ada")
    await post.campaigns.start(campaign)
    await post.storage.campaigns.pause("default", "cmp_x")
    await post.work()
    assert await post.deliveries() == []
    stale = await post.storage.campaigns.get("default", "cmp_x")
    assert await post.storage.campaigns.add_recipients(stale, [], -1) == 0
    assert (await post.storage.campaigns.get("default", "cmp_x")).cursor == 0


async def test_cancelling_ends_what_waits_and_counts_it_and_what_went_out_stays(
    post: Engine, mailserver: MailServer
) -> None:
    mailserver.refuse["bob@example.com"] = ["451 4.7.1 Later"]
    campaign = await draft(post, "ada", "bob")
    await post.campaigns.start(campaign)
    await post.work()
    await post.storage.campaigns.cancel("default", "cmp_x")
    post.clock.advance(HOUR)
    await post.work()
    states = {d.address: (d.state, d.error) for d in await post.deliveries()}
    assert states == {"ada@example.com": ("succeeded", None), "bob@example.com": ("cancelled", "cancelled")}
    figures = await post.stats(campaign)
    assert (figures["sent"], figures["cancelled"], await state(post)) == (1, 1, "cancelled")
    finished = (await post.events("campaign.finished"))[0]
    assert json.loads(finished.data)["cancelled"] is True
    assert (await post.storage.campaigns.get("default", "cmp_x")).finished_at is not None


async def test_a_mail_that_was_put_off_and_then_met_no_server_failed_and_is_pending_no_more(
    post: Engine, mailserver: MailServer
) -> None:
    mailserver.refuse["bob@example.com"] = ["451 4.7.1 Later"]
    campaign = await draft(post, "bob")
    await post.campaigns.start(campaign)
    await post.work()
    figures = await post.stats(campaign)
    assert (figures["attempted"], figures["pending"], figures["failed"]) == (1, 1, 0)
    mailserver.die()
    for _ in SMTP_SCHEDULE:
        post.clock.advance(2 * DAY)
        await post.work()
    (ended,) = await post.deliveries()
    figures = await post.stats(campaign)
    assert (ended.state, figures["attempted"], figures["pending"], figures["failed"]) == ("failed", 0, 0, 1)


async def test_cancelling_in_the_middle_of_the_list_makes_no_more_deliveries(
    post: Engine, mailserver: MailServer
) -> None:
    campaign = await draft(post, "ada")
    await post.campaigns.start(campaign)
    await post.campaigns.run_once()
    await post.storage.campaigns.cancel("default", "cmp_x")
    await post.work()
    (cancelled,) = await post.deliveries()
    assert (cancelled.state, mailserver.mails, await state(post)) == ("cancelled", [], "cancelled")


async def test_two_processes_share_a_long_list_and_nobody_is_missed_or_twice(
    database_url: str | Path, mailserver: MailServer
) -> None:
    if isinstance(database_url, Path):  # one process owns a SQLite file
        return
    async with (
        running(database_url, mailserver.url) as first,
        running(database_url, mailserver.url) as second,
    ):
        listed = await first.new_list("readers")
        for place in range(2 * CHUNK + 5):
            await first.storage.contacts.create(
                Contact(
                    tenant="default",
                    id=new_id("ctc"),
                    email=f"r{place}@example.com",
                    created_at=1,
                    updated_at=1,
                ),
                [listed.id],
            )
        spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
        new = Campaign(tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1)
        await first.storage.campaigns.put(new)
        await first.campaigns.start(new)
        await asyncio.gather(first.campaigns.run_once(), second.campaigns.run_once())
        assert await first.storage.campaigns.recipient_count("default", "cmp_x") == 2 * CHUNK + 5
        assert (await types(first)).count("campaign.started") == 1
        await first.storage.campaigns.cancel("default", "cmp_x")
        await asyncio.gather(first.campaigns.run_once(), second.campaigns.run_once())
        figures = await first.storage.figures.total("default", "campaign", "cmp_x")
        assert (figures["cancelled"], mailserver.mails) == (2 * CHUNK + 5, [])


async def throttled(engine: Engine, names: list[str], throttle: Throttle) -> None:
    listed = await engine.new_list("readers")
    for name in names:
        await engine.contact(name, listed.id)
    spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
    new = Campaign(
        tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1,
        throttle=msgspec.json.encode(throttle),
    )  # fmt: skip
    await engine.storage.campaigns.put(new)
    await engine.campaigns.start(new)
    await engine.work()


async def test_a_rate_holds_for_all_mails_of_a_campaign_on_all_processes(
    database_url: str | Path, mailserver: MailServer
) -> None:
    names = [f"r{place}@example.com" for place in range(12)]
    async with running(database_url, mailserver.url) as first:
        await throttled(first, names, Throttle(rate=Rate(5, SECOND)))
        assert len(mailserver.mails) == 5
        first.clock.advance(SECOND // 2)
        await first.work()
        assert len(mailserver.mails) == 5
    async with running(database_url, mailserver.url) as second:
        for expected in (10, 12):
            second.clock.advance(2 * SECOND)
            await second.work()
            assert len(mailserver.mails) == expected
        assert await state(second) == "sent"


async def test_the_rate_of_a_domain_counts_what_is_tried_again(post: Engine, mailserver: MailServer) -> None:
    names = [f"r{place}@slow.example" for place in range(9)]
    mailserver.refuse = {name: ["450 4.2.1 Later", "250 OK"] for name in names}
    await throttled(post, names, Throttle(domains={"slow.example": Rate(1, SECOND)}))
    for wait in [SECOND] * 8 + [HOUR] + [SECOND // 4] * 36:
        post.clock.advance(wait)
        await post.work()
    assert len(mailserver.mails) == 9 and await state(post) == "sent"
    tried = sorted([
        attempt.started_at for done in await post.deliveries() for attempt in await post.attempts(done)
    ])  # fmt: skip
    gaps = [after - before for before, after in pairwise(tried)]
    assert len(tried) == 18 and gaps == [SECOND] * 8 + [HOUR] + [SECOND] * 8, (
        "none is early, and no place is lost"
    )


async def test_the_rate_of_a_domain_keeps_no_other_back_and_a_pause_gives_none_of_it_back(
    post: Engine, mailserver: MailServer
) -> None:
    slow = [f"r{place}@slow.example" for place in range(300)]
    others = [f"r@d{place}.example" for place in range(20)]
    domains = {"slow.example": Rate(2, SECOND), "*": Rate(1, SECOND)}
    await throttled(post, [*slow, *others, "second@d7.example"], Throttle(domains=domains))
    got = sorted(address for address, _ in mailserver.mails)
    assert got == sorted([*others, "r0@slow.example"]), "those behind 300 slow ones go out at once"
    for _ in range(8):
        post.clock.advance(SECOND // 2)
        await post.work()
    assert len(mailserver.mails) == 21 + 8 + 1
    await post.storage.campaigns.pause("default", "cmp_x")
    post.clock.advance(HOUR)
    await post.storage.campaigns.resume("default", "cmp_x")
    await post.work()
    assert len(mailserver.mails) == 31
    for _ in range(100):
        post.clock.advance(4 * SECOND)
        await post.work()
        if await state(post) == "sent":
            break
    assert len(mailserver.mails) == len({address for address, _ in mailserver.mails}) == 321
