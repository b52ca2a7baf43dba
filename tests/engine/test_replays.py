"""Manual retries and replays: on purpose, exactly once each, and the schedule stays as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from hookline.dispatch.replays import Replayer
from hookline.model import MINUTE, SECOND, Delivery, EventDraft, Hook, Replay, ReplayInput
from hookline.rules.ids import new_id
from support.engine import SECRET, Engine, running
from support.receiver import Receiver


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}} | fields


def replayer(engine: Engine) -> Replayer:
    return Replayer(engine.storage, engine.intake, engine.clock, engine.dispatcher.wake)


def replay(engine: Engine, hook: Hook, **fields: Any) -> Replay:
    spec = msgspec.convert({"hook": hook.id} | fields, ReplayInput)
    return Replay(
        tenant="default", id=new_id("rpl"), spec=spec, state="running", created_at=engine.clock.now()
    )


async def switched(engine: Engine, hook: Hook, *, on: bool) -> Hook:
    """The hook, switched on or off by hand."""
    before = await engine.storage.hooks.get("default", hook.id)
    assert before is not None
    spec = msgspec.structs.replace(before.spec, enabled=on)
    after = await engine.storage.hooks.change(
        before, msgspec.structs.replace(before, spec=spec, disabled_reason=None)
    )
    assert after is not None
    engine.intake.forget_config()
    return after  # type: ignore[no-any-return]


async def current(engine: Engine, delivery: Delivery) -> Delivery:
    found = await engine.storage.deliveries.get("default", delivery.id)
    assert found is not None
    return found  # type: ignore[no-any-return]


async def test_a_failed_manual_retry_leaves_the_schedule_and_a_second_one_is_allowed(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers = [500] * 3
    await engine.hook(webhook(receiver.url))
    await engine.publish("order.paid")
    await engine.run()
    (waiting,) = await engine.deliveries()
    for count in (2, 3):
        engine.clock.advance(SECOND)
        assert await engine.storage.deliveries.retry("default", waiting.id, engine.clock.now()) is not None
        await engine.run()
        after = await current(engine, waiting)
        assert (len(receiver.got), after.state, after.next_at, after.tries) == (
            count,
            "waiting",
            waiting.next_at,
            1,
        )
    engine.clock.advance(3 * SECOND)
    await engine.run()
    assert (await current(engine, waiting)).state == "succeeded"


async def test_a_delivery_that_failed_for_good_can_be_tried_again(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500, 500]
    await engine.hook(webhook(receiver.url, retry={"schedule": []}))
    await engine.publish("order.paid")
    await engine.run()
    (failed,) = await engine.deliveries()
    now = engine.clock.now()
    assert failed.state == "failed" and await engine.storage.deliveries.retry("other", failed.id, now) is None
    await engine.storage.deliveries.retry("default", failed.id, now)
    await engine.run()
    assert (await current(engine, failed)).state == "failed"
    await engine.storage.deliveries.retry("default", failed.id, now)
    await engine.run()
    assert (await current(engine, failed)).state == "succeeded"
    assert await engine.storage.deliveries.retry("default", failed.id, now) is None, "that would be a replay"


async def test_a_replay_makes_each_delivery_once_with_the_same_webhook_id(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers = [500] * 5
    hook = await engine.hook(webhook(receiver.url, retry={"schedule": []}))
    other = await engine.hook(webhook(receiver.url + "/other", on=["basket.*"]))
    ids = [(await engine.publish("order.paid" if n % 2 else "order.new")).id for n in range(5)]
    await engine.publish("basket.filled")
    await engine.run()
    wish = replay(engine, hook, types=["order.paid"])
    assert await engine.storage.replays.count(wish) == 2
    assert await engine.storage.replays.count(replay(engine, other)) == 0
    receiver.got.clear()
    work = replayer(engine)
    started = await work.start(wish)
    await work.run_once()
    await engine.run()
    await work.run_once()
    assert started.total == 2
    assert sorted(got.headers["webhook-id"] for got in receiver.got) == sorted([ids[1], ids[3]])
    assert len(receiver.verified(SECRET)) == 2
    done = await engine.storage.replays.get("default", started.id)
    assert done is not None and (done.state, done.done, done.total) == ("finished", 2, 2)


async def test_enabling_a_hook_offers_what_was_held_and_what_it_missed(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers = [500, 410]
    hook = await engine.hook(webhook(receiver.url))
    first = await engine.publish("order.first")
    await engine.run()
    await engine.publish("order.second")
    await engine.run()
    third = await engine.publish("order.third")
    await switched(engine, hook, on=True)
    receiver.got.clear()
    work = replayer(engine)
    started = await work.start(replay(engine, hook, states=["held", "disabled"]))
    await work.run_once()
    await engine.run()
    seen = {got.headers["webhook-id"] for got in receiver.got}  # in no order: they go out side by side
    assert (started.total, len(receiver.got), seen) == (2, 2, {first.id, third.id})
    again = await engine.storage.replays.count(replay(engine, hook, states=["held"]))
    assert again == 0, "what was held is owed no more"


async def test_a_replay_is_exact_over_many_chunks_and_survives_a_restart(
    database_url: str | Path, receiver: Receiver
) -> None:
    count = 1234
    async with running(database_url) as first:
        hook = await first.hook(webhook(receiver.url, enabled=False))
        for _ in range(count):
            await first.publish("order.paid")
        hook = await switched(first, hook, on=True)
        started = await replayer(first).start(replay(first, hook, states=["disabled"]))
        step = await replayer(first).step(  # one chunk, and then the process stops
            started,
            await first.intake.hook("default", hook.id),  # type: ignore[arg-type]
        )
        assert 0 < step.done < count == started.total
    async with running(database_url) as second:
        await replayer(second).run_once()
        await second.run()
        assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got) == count


async def test_a_stopped_replay_makes_no_more(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url))
    await engine.publish("order.paid")
    await engine.run()
    work = replayer(engine)
    started = await work.start(replay(engine, hook, states=["succeeded"]))
    engine.clock.advance(MINUTE)
    assert await engine.storage.replays.stop(started, engine.clock.now())
    assert not await engine.storage.replays.stop(started, engine.clock.now())
    await work.run_once()
    await engine.run()
    assert len(receiver.got) == 1


async def test_what_a_stopped_replay_has_made_and_not_begun_is_cancelled(
    engine: Engine, receiver: Receiver
) -> None:
    hook = await engine.hook(webhook(receiver.url))
    for _ in range(3):
        await engine.publish("order.paid")
    await engine.run()
    work = replayer(engine)
    started = await work.start(replay(engine, hook, states=["succeeded"]))
    await work.run_once()
    assert await engine.storage.replays.stop(started, engine.clock.now()), "made, and waiting"
    await engine.run()
    assert len(receiver.got) == 3
    assert [d.state for d in await engine.deliveries() if d.replay] == ["cancelled"] * 3
    stored = await engine.storage.replays.get("default", started.id)
    assert stored is not None and stored.state == "stopped"
    assert not await engine.storage.replays.stop(started, engine.clock.now())


async def test_a_replay_whose_hook_is_deleted_in_the_middle_is_stopped_and_makes_no_more(
    engine: Engine, receiver: Receiver
) -> None:
    hook = await engine.hook(webhook(receiver.url, enabled=False))
    await engine.intake.accept("default", [EventDraft(type="order.paid", source="shop", data=b"{}")] * 1100)
    hook = await switched(engine, hook, on=True)
    work = replayer(engine)
    started = await work.start(replay(engine, hook, states=["disabled"]))
    compiled = await engine.intake.hook("default", hook.id)
    half = await work.step(started, compiled)  # type: ignore[arg-type]
    await engine.storage.hooks.delete("default", hook.id, engine.clock.now())
    ended = await work.step(half, compiled)  # type: ignore[arg-type]
    assert (ended.state, ended.done) == ("stopped", half.done) and 0 < half.done < started.total == 1100
    assert await engine.storage.replays.get("default", started.id) == ended
    assert {d.state for d in await engine.deliveries()} == {"cancelled"}


async def test_what_was_missed_is_counted_no_further_than_is_asked_for(engine: Engine) -> None:
    hook = await engine.hook(webhook("http://127.0.0.1:1/", enabled=False))
    for _ in range(3):
        await engine.publish("order.paid")
    count = engine.storage.replays.count_missed
    wish = replay(engine, hook, states=["disabled"])
    assert await count(wish, hook.seq, 100) == (3, True)
    assert await count(wish, hook.seq + 2, 100) == (1, True)
    assert await count(wish, 0, 0) == (0, False)


async def test_what_a_replay_brought_is_missed_no_more(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url, enabled=False))
    for _ in range(2):
        await engine.publish("order.paid")
    hook = await switched(engine, hook, on=True)
    work = replayer(engine)
    both = {"states": ["held", "disabled"]}
    assert (await work.start(replay(engine, hook, states=["disabled"]))).total == 2
    await work.run_once()
    assert await engine.storage.replays.count(replay(engine, hook, **both)) == 0
    await engine.storage.hooks.hold("default", hook.id, "off", engine.clock.now())  # before they went out
    assert await engine.storage.replays.count(replay(engine, hook, **both)) == 2
    await switched(engine, hook, on=True)
    done = await work.start(replay(engine, hook, **both))
    await work.run_once()
    await engine.run()
    finished = await engine.storage.replays.get("default", done.id)
    assert finished is not None and (done.total, finished.done, len(receiver.got)) == (2, 2, 2)
    assert (await work.start(replay(engine, hook, **both))).total == 0


async def test_two_replays_at_once_bring_what_was_missed_once(
    database_url: str | Path, receiver: Receiver
) -> None:
    async with running(database_url) as engine:
        hook = await engine.hook(webhook(receiver.url, enabled=False))
        for _ in range(20):
            await engine.publish("order.paid")
        hook = await switched(engine, hook, on=True)
        work = replayer(engine)
        for _ in range(2):
            await work.start(replay(engine, hook, states=["disabled"]))
        await asyncio.gather(work.run_once(), work.run_once(), work.run_once())
        await engine.run()
        assert len(receiver.got) == 20
        made = [found.done for found in await engine.storage.replays.page("default", limit=9)]
        assert sum(made) == 20


async def test_retries_and_the_end_of_their_hook_do_not_wait_for_each_other(
    engine: Engine, receiver: Receiver
) -> None:
    for _ in range(5):
        hook = await engine.hook(webhook(receiver.url) | {"concurrency": 5})
        receiver.answers = [500] * 12
        for _ in range(12):
            await engine.publish("order.paid")
        await engine.run()
        waiting = [delivery.id for delivery in await engine.deliveries(hook=hook.id)]
        retries = [engine.storage.deliveries.retry("default", name, engine.clock.now()) for name in waiting]
        deleted = engine.storage.hooks.delete("default", hook.id, engine.clock.now())
        await asyncio.gather(*retries[:6], deleted, *retries[6:])
        await engine.run()
        assert {d.state for d in await engine.deliveries(hook=hook.id)} <= {"cancelled", "succeeded"}
