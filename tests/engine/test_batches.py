"""Batches: events gathered by count and by time, one delivery for all, on both databases."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from hookline.model import SECOND, EventDraft, HookInput
from hookline.rules.pacing import Rate
from hookline.storage import batching
from support.engine import SECRET, Engine
from support.receiver import Receiver

A_SECOND = SECOND + Rate(1, SECOND).leeway  # as a rate counts it


def hook(receiver: Receiver, format: str = "standard", **fields: Any) -> dict[str, Any]:
    return {
        "on": ["order.*"],
        "batch": {"max": 3, "every": "10s"},
        "do": {"kind": "webhook", "url": receiver.url, "format": format},
    } | fields


async def test_a_batch_goes_out_when_it_is_full(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(hook(receiver))
    answers = [await engine.publish("order.paid", {"n": n}) for n in range(4)]
    assert [len(one.deliveries) + len(one.joined) for one in answers] == [1, 1, 1, 1]
    await engine.run()
    (first,) = receiver.verified(SECRET)
    assert [event["data"]["n"] for event in first] == [0, 1, 2]
    assert [event["id"] for event in first] == [one.id for one in answers[:3]]
    second, done = await engine.deliveries()
    assert (done.state, done.size, receiver.got[0].headers["webhook-id"]) == ("succeeded", 3, done.id)
    assert (second.state, second.size) == ("waiting", 1), "it gathers on"


async def test_a_batch_goes_out_when_its_time_has_come(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(hook(receiver))
    await engine.publish("order.paid", {"n": 0})
    engine.clock.advance(9 * SECOND)
    await engine.publish("order.paid", {"n": 1})
    await engine.run()
    assert not receiver.got
    engine.clock.advance(SECOND)
    await engine.run()
    assert [[event["data"]["n"] for event in body] for body in receiver.verified(SECRET)] == [[0, 1]]


async def test_what_is_in_a_batch_is_fixed_at_its_first_attempt(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500]
    await engine.hook(hook(receiver))
    await engine.publish("order.paid", {"n": 0})
    engine.clock.advance(10 * SECOND)
    await engine.run()
    await engine.publish("order.paid", {"n": 1})
    engine.clock.advance(10 * SECOND)
    await engine.run()
    bodies = [[event["data"]["n"] for event in body] for body in receiver.verified(SECRET)]
    assert sorted(bodies) == [[0], [0], [1]]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2


async def test_each_event_of_a_batch_finds_its_delivery(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(hook(receiver))
    answers = [await engine.publish("order.paid") for _ in range(3)]
    await engine.run()
    (done,) = await engine.deliveries()
    for one in answers:
        assert [d.id for d in await engine.deliveries(event=one.id)] == [done.id]
    assert await engine.storage.deliveries.batch("default", done.id) == [one.id for one in answers]


async def test_many_at_once_share_batches_and_none_is_lost(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(hook(receiver, batch={"max": 10, "every": "10s"}))
    drafts = [[EventDraft(type="order.paid", source="shop", data=b'{"n":%d}' % n)] for n in range(95)]
    await asyncio.gather(*(engine.intake.accept("default", draft) for draft in drafts))
    engine.clock.advance(10 * SECOND)
    await engine.run()
    bodies = receiver.verified(SECRET)
    assert sorted(event["data"]["n"] for body in bodies for event in body) == list(range(95))
    assert sorted(map(len, bodies)) == [5] + [10] * 9


async def test_a_batch_is_full_by_its_bytes_too(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(hook(receiver))
    large = json.dumps({"text": "x" * (batching.MAX_BYTES // 2)}).encode()
    for _ in range(2):
        await engine.publish("order.paid", large)
    engine.clock.advance(10 * SECOND)
    await engine.run()
    assert [len(body) for body in receiver.verified(SECRET)] == [1, 1]


async def test_a_replayed_batch_is_the_same_batch(engine: Engine, receiver: Receiver) -> None:
    from hookline.dispatch.replays import Replayer
    from hookline.model import Replay, ReplayInput
    from hookline.rules.ids import new_id

    made = await engine.hook(hook(receiver))
    for n in range(3):
        await engine.publish("order.paid", {"n": n})
    await engine.run()
    replayer = Replayer(engine.storage, engine.intake, engine.clock, engine.dispatcher.wake)
    spec = ReplayInput(hook=made.id, states=["succeeded"])
    replay = Replay(
        tenant="default", id=new_id("rpl"), spec=spec, state="running", created_at=engine.clock.now()
    )
    await replayer.start(replay)
    await replayer.run_once()
    await engine.run()
    first, second = receiver.verified(SECRET)
    assert first == second


@pytest.mark.parametrize("format", ["cloudevents", "mailjet-grouped"])
async def test_other_formats_have_batches_of_their_own(
    engine: Engine, receiver: Receiver, format: str
) -> None:
    await engine.hook(hook(receiver, format, on=["email.*"]))
    for address in ("ada@example.com", "bob@example.com"):
        await engine.publish("email.opened", {"email": address, "machine": False}, subject=address)
    await engine.publish("email.deferred", {"email": "eve@example.com"})
    engine.clock.advance(10 * SECOND)
    await engine.run()
    (body,) = receiver.verified(SECRET)
    if format == "cloudevents":
        assert receiver.got[0].headers["content-type"] == "application/cloudevents-batch+json"
        assert [event["specversion"] for event in body] == ["1.0"] * 3
    else:
        assert [(event["event"], event["email"]) for event in body] == [
            ("open", "ada@example.com"),
            ("open", "bob@example.com"),
        ]


async def test_mailjets_groups_come_once_a_second(engine: Engine, receiver: Receiver) -> None:
    spec = hook(receiver, "mailjet-grouped", on=["email.*"])
    del spec["batch"]
    await engine.hook(spec)
    for second in range(3):
        for n in range(5):
            await engine.publish("email.opened", {"email": f"{second}-{n}@example.com", "machine": False})
        engine.clock.advance(A_SECOND)
        await engine.run()
    assert [len(body) for body in receiver.verified(SECRET)] == [5, 5, 5]


async def test_what_a_batch_holds_when_its_hook_is_switched_off_is_held(
    engine: Engine, receiver: Receiver
) -> None:
    made = await engine.hook(hook(receiver))
    await engine.publish("order.paid")
    await engine.storage.hooks.hold("default", made.id, "off", engine.clock.now())
    engine.intake.forget_config()
    engine.clock.advance(10 * SECOND)
    await engine.run()
    assert [d.state for d in await engine.deliveries()] == ["held"] and not receiver.got


async def test_mailjets_groups_are_at_most_one_a_second_whatever_comes(
    engine: Engine, receiver: Receiver
) -> None:
    spec = hook(receiver, "mailjet-grouped", on=["email.*"], batch={"max": 2, "every": "1s"})
    await engine.hook(spec)
    for n in range(6):
        await engine.publish("email.opened", {"email": f"{n}@example.com", "machine": False})
    for count in (1, 2, 3):
        await engine.run()
        assert [len(body) for body in receiver.verified(SECRET)] == [2] * count
        engine.clock.advance(A_SECOND)


async def test_what_came_before_its_hook_had_batches_keeps_its_id(engine: Engine, receiver: Receiver) -> None:
    before = await engine.hook(hook(receiver, batch=None))
    receiver.answers = [500]
    event = await engine.publish("order.paid", {"n": 0})
    await engine.run()
    after = msgspec.structs.replace(before, spec=msgspec.convert(hook(receiver), HookInput))
    await engine.storage.hooks.change(before, after)
    engine.clock.advance(10 * SECOND)
    await engine.run()
    assert [got.headers["webhook-id"] for got in receiver.got] == [event.id] * 2
    assert isinstance(receiver.verified(SECRET)[1], list)


async def test_a_batch_of_less_than_a_second_waits_no_longer(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(hook(receiver, batch={"max": 9, "every": "100ms"}))
    await engine.dispatcher.claim()  # looked into all lanes a moment ago
    await engine.publish("order.paid", {"n": 0})
    assert await engine.dispatcher._step() == engine.clock.now() + SECOND // 10
