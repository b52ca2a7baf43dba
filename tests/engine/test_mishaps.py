"""What goes wrong inside: nothing is stuck, lost, or done because something else failed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
import pytest

from hookline.dispatch.lanes import CONCURRENCY, READY
from hookline.model import DAY, MINUTE, SECOND, Campaign, CampaignInput, EventDraft, HookInput, Outcome
from hookline.rules.times import format_time
from hookline.storage.plans import Plan, Sql
from support.engine import Engine, running
from support.mailserver import MailServer
from support.receiver import Receiver

PAID = EventDraft(type="order.paid", source="shop", data=b'{"n": 1}')


def webhook(url: str, **fields: object) -> dict[str, object]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}} | fields


async def test_a_retry_after_of_another_aeon_is_no_retry_after(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [503]
    receiver.headers = {"retry-after": "Mon, 1 Jan 99999999999999999999 00:00:00 GMT"}
    await engine.hook(webhook(receiver.url))
    await engine.publish("order.paid")
    await engine.run()
    assert [(d.state, d.attempts) for d in await engine.deliveries()] == [("waiting", 1)]


async def test_what_a_receiver_says_cannot_spoil_its_neighbours_settlement(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.body, receiver.answers = b"no\0pe", [404] * 5
    await engine.hook({"on": ["order.*"], "do": {"kind": "slack", "url": receiver.url}})
    for _ in range(5):
        await engine.publish("order.paid")
    await engine.run()
    assert {d.state for d in await engine.deliveries()} == {"failed"}
    (attempt,) = await engine.attempts((await engine.deliveries())[0])
    assert "no\ufffdpe" in attempt.detail


async def test_events_that_cannot_be_read_give_back_the_places_of_the_others(
    engine: Engine, receiver: Receiver
) -> None:
    await engine.hook(webhook(receiver.url, **{"if": "event.data.n >= 0"}))
    unreadable = EventDraft(type="order.paid", source="shop", data=b'{"n": 0.' + b"1" * 600 + b"}")
    for _ in range(3):
        with pytest.raises(ValueError, match="number"):
            await engine.intake.accept("default", [PAID] * 150 + [unreadable])
    for _ in range(CONCURRENCY + READY):
        await engine.publish("order.paid", {"n": 1})
    assert {d.state for d in await engine.deliveries()} <= {"sending", "succeeded"}, "born with a place"
    await engine.run()
    assert len(receiver.got) == CONCURRENCY + READY


async def test_what_is_held_ready_waits_while_the_receiver_asks_for_patience(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers, receiver.headers = [429] * CONCURRENCY, {"retry-after": "999999999"}
    await engine.hook(webhook(receiver.url))
    await engine.intake.accept("default", [PAID] * (CONCURRENCY + 50))
    await engine.run()
    assert len(receiver.got) == CONCURRENCY
    engine.clock.advance(DAY - MINUTE)
    await engine.run()
    assert len(receiver.got) == CONCURRENCY
    engine.clock.advance(2 * MINUTE)
    await engine.run()
    assert len(receiver.got) == 2 * CONCURRENCY + 50, "a day is the longest that anybody is waited for"


async def test_a_changed_hook_ends_its_pause(engine: Engine, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [429], {"retry-after": "3600"}
    hook = await engine.hook(webhook(receiver.url))
    await engine.publish("order.first")
    await engine.run()
    await engine.publish("order.second")
    await engine.storage.hooks.change(hook, hook)
    await engine.dispatcher.claim()
    await engine.run()
    assert [got.json["type"] for got in receiver.got] == ["order.first", "order.second"]


async def test_what_was_ready_when_its_hook_was_switched_off_is_held_and_was_not_tried(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers = [410] * CONCURRENCY
    await engine.hook(webhook(receiver.url, retry={"schedule": []}))
    await engine.intake.accept("default", [PAID] * (CONCURRENCY + 20))
    await engine.run()
    states = [(d.state, d.attempts, d.tries) for d in await engine.deliveries()]
    assert states.count(("held", 0, 0)) == 20 and states.count(("failed", 1, 1)) == CONCURRENCY
    assert len(await engine.events("hook.disabled")) == 1, "said once"


async def test_a_delivery_whose_commit_was_not_confirmed_is_found_again(
    engine: Engine, receiver: Receiver
) -> None:
    await engine.hook(webhook(receiver.url))
    born, engine.intake.born = engine.intake.born, lambda accepted: None
    lost = await engine.publish("order.paid")
    engine.intake.born = born
    await engine.dispatcher.recover_strays()
    await engine.run()
    assert receiver.got == [], "it may be a commit whose answer is still on its way"
    await engine.dispatcher.recover_strays()
    await engine.run()
    assert [got.headers["webhook-id"] for got in receiver.got] == [lost.id]
    (done,) = await engine.deliveries()
    assert [a.error for a in await engine.attempts(done)] == ["crashed", None]


async def test_a_mail_that_was_put_off_counts_as_sent_when_it_is_tried_again(
    post: Engine, mailserver: MailServer
) -> None:
    mailserver.refuse["grey@example.com"] = ["451 4.7.1 Greylisted", "250 OK"]
    listed = await post.new_list("readers")
    await post.contact("grey@example.com", listed.id)
    campaign = await post.campaign(listed)
    post.clock.advance(5 * MINUTE + SECOND)
    await post.work()
    (sent,) = await post.deliveries(campaign=campaign.id)
    message = await post.storage.campaigns.message("default", sent.id)
    assert message.sent_at == post.clock.now()
    (event,) = await post.events("email.sent")
    assert json.loads(event.data)["sent_at"] == format_time(message.sent_at)


async def test_a_stop_in_the_middle_of_a_campaign_loses_nobody(
    database_url: str | Path, mailserver: MailServer
) -> None:
    async with running(database_url, mailserver.url) as first:
        listed = await first.new_list("readers")
        for number in range(40):
            await first.contact(f"reader{number}@example.com", listed.id)
        spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
        campaign = await first.storage.campaigns.put(
            Campaign(tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1)
        )
        await first.campaigns.start(campaign)
        await first.campaigns.run_once()
        await first.dispatcher.claim()
        await first.dispatcher.stop(10)
        states = Counter(d.state for d in await first.deliveries(campaign="cmp_x"))
        assert set(states) == {"succeeded", "queued"} and states["succeeded"] == len(mailserver.mails)
    async with running(database_url, mailserver.url) as second:
        await second.work()
        assert {d.state for d in await second.deliveries(campaign="cmp_x")} == {"succeeded"}
        assert len({address for address, _ in mailserver.mails}) == len(mailserver.mails) == 40


async def test_what_is_being_claimed_at_a_stop_is_done_or_given_back(
    database_url: str | Path, mailserver: MailServer
) -> None:
    async with running(database_url, mailserver.url) as engine:
        listed = await engine.new_list("readers")
        await engine.contact("ada@example.com", listed.id)
        spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
        campaign = await engine.storage.campaigns.put(
            Campaign(tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1)
        )
        await engine.campaigns.start(campaign)
        await engine.campaigns.run_once()
        claiming = asyncio.create_task(engine.dispatcher.claim())
        await asyncio.sleep(0)  # it has begun to look, and has taken nothing yet
        await engine.dispatcher.stop(10)
        await claiming
        (delivery,) = await engine.deliveries(campaign="cmp_x")
        assert (delivery.state, len(mailserver.mails)) == ("succeeded", 1)


async def test_a_hook_is_switched_off_though_the_hooks_changed_meanwhile(
    engine: Engine, receiver: Receiver
) -> None:
    hook = await engine.hook(webhook(receiver.url))
    other = {"on": ["invoice.*"], "do": {"kind": "webhook", "url": receiver.url}}

    async def change(_: object) -> None:
        await engine.hook(other)  # as another process does it: the settlement finds another configuration

    receiver.answers, receiver.hold = [410], change
    await engine.publish("order.paid")
    await engine.run()
    stored = await engine.storage.hooks.get("default", hook.id)
    assert stored.disabled_reason == "the receiver answered 410 Gone"
    assert len(await engine.events("hook.disabled")) == 1


async def test_a_claim_that_failed_leaves_room_in_all_lanes(engine: Engine, receiver: Receiver) -> None:
    def rename(table: str, name: str) -> Callable[[], Plan[None]]:
        def plan() -> Plan[None]:
            yield Sql(f"ALTER TABLE {table} RENAME TO {name}")

        return plan

    for _ in range(3):
        await engine.hook(webhook(receiver.url, concurrency=200))
    await engine.publish("order.paid")
    await engine.storage.deliveries._db.run(rename("lanes", "away"))
    with pytest.raises(Exception, match="lanes"):
        await engine.dispatcher.claim()
    await engine.storage.deliveries._db.run(rename("away", "lanes"))
    await engine.run()
    assert len(receiver.got) == 3


async def test_what_an_address_said_does_not_switch_off_a_hook_that_has_another_since(
    engine: Engine, receiver: Receiver
) -> None:
    before = await engine.hook(webhook(receiver.url + "/old"))
    changed = webhook(receiver.url + "/new")

    async def change(_: object) -> None:
        engine.clock.advance(SECOND)
        after = msgspec.structs.replace(
            before, spec=msgspec.convert(changed, HookInput), updated_at=engine.clock.now()
        )
        await engine.storage.hooks.change(before, after)

    receiver.answers, receiver.hold = [410], change
    await engine.publish("order.paid")
    await engine.run()
    assert (await engine.storage.hooks.get("default", before.id)).disabled_reason is None


async def test_a_settlement_that_cannot_be_holds_up_nobody_else(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url, concurrency=1))
    await engine.publish("order.paid")
    (stuck,) = await engine.deliveries()
    outcome = Outcome(result="permanent", error="http_status", detail="\ud800")
    settling = asyncio.create_task(engine.dispatcher._settler.settle(stuck, outcome, engine.clock.now()))
    await engine.intake.hook("default", hook.id)
    for _ in range(3):
        await asyncio.sleep(0)
    await engine.run()
    assert len(receiver.got) == 1 and not settling.done()
    settling.cancel()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_what_was_taken_over_while_it_waited_for_the_database_is_not_begun(
    database_url: str, receiver: Receiver
) -> None:
    async with running(database_url) as first, running(database_url) as second:
        await first.hook(webhook(receiver.url))
        await second.intake.config()
        await first.intake.config()
        other = await asyncpg.connect(database_url)
        async with other.transaction():
            await other.execute("LOCK TABLE hooks IN ACCESS EXCLUSIVE MODE")
            await first.publish("order.paid")
            first.intake.forget_config()
            cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'hooks'::regclass"
            while not await other.fetch(cut):
                assert first.dispatcher._hands, "its attempt asks for the hook"
        await other.close()
        await second.dispatcher.take_over(-SECOND)
        await second.run()
        await first.dispatcher._regain()
        while first.dispatcher._hands:
            first.clock.advance(SECOND)
            await asyncio.sleep(0)
        await first.run()
        assert len(receiver.got) == 1
        (done,) = await second.deliveries()
        assert [attempt.error for attempt in await second.attempts(done)] == ["crashed", None]
