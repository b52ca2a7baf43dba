"""Order by subject: through failures, restarts, take-overs, changes of the hook, and across processes."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.dispatch.replays import Replayer
from hookline.model import DAY, HOUR, MINUTE, SECOND, Hook, Replay, ReplayInput
from hookline.rules.ids import new_id
from hookline.rules.pacing import Pace
from hookline.storage.claiming import Wanted
from support.engine import Engine, running
from support.gate import gated
from support.receiver import Got, Receiver, receiving

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}, "order": "subject"} | fields


async def publish(engine: Engine, *names: str) -> None:
    """``"a1"`` is the first event of the subject ``a``."""
    for name in names:
        await engine.publish("order.paid", {"name": name}, subject=name[0])


def came(receiver: Receiver) -> list[str]:
    return [got.json["data"]["name"] for got in receiver.got]


class Fickle:
    """Answers by the name of what comes: 500 as often as ``bad`` says, then 204."""

    def __init__(self, receiver: Receiver, **bad: int) -> None:
        self.bad = bad
        self.receiver = receiver
        receiver.on_request = self.decide

    def decide(self, got: Got) -> None:
        name = got.json["data"]["name"]
        self.bad[name] = self.bad.get(name, 0) - 1
        self.receiver.answers = [500 if self.bad[name] >= 0 else 204]


async def changed(engine: Engine, hook: Hook, **fields: Any) -> None:
    before = await engine.storage.hooks.get("default", hook.id)
    spec = msgspec.structs.replace(before.spec, **fields)
    assert await engine.storage.hooks.change(before, msgspec.structs.replace(before, spec=spec))


async def test_what_waits_for_its_retry_keeps_its_subject_waiting_and_no_other(
    engine: Engine, receiver: Receiver
) -> None:
    Fickle(receiver, a1=2)
    await engine.hook(webhook(receiver.url))
    await publish(engine, "a1", "a2", "b1", "a3", "b2")
    await engine.run()
    assert sorted(came(receiver)) == ["a1", "b1", "b2"]
    engine.clock.advance(5 * SECOND)
    await engine.run()
    assert came(receiver)[3:] == ["a1"]
    await publish(engine, "a4", "c1")
    await engine.run()
    assert came(receiver)[4:] == ["c1"]
    engine.clock.advance(5 * MINUTE)
    await engine.run()
    assert came(receiver)[5:] == ["a1", "a2", "a3", "a4"]


async def test_one_that_fails_for_good_lets_the_next_go(engine: Engine, receiver: Receiver) -> None:
    Fickle(receiver, a1=9)
    await engine.hook(webhook(receiver.url, retry={"schedule": ["1s"]}))
    await publish(engine, "a1", "a2")
    await engine.run()
    engine.clock.advance(2 * SECOND)
    await engine.run()
    assert came(receiver) == ["a1", "a1", "a2"]
    assert sorted(d.state for d in await engine.deliveries()) == ["failed", "succeeded"]


async def test_without_a_subject_there_is_no_order(engine: Engine, receiver: Receiver) -> None:
    Fickle(receiver, a1=1)
    await engine.hook(webhook(receiver.url))
    for name in ("a1", "b1"):
        await engine.publish("order.paid", {"name": name})
    await engine.run()
    assert sorted(came(receiver)) == ["a1", "b1"]


async def test_addresses_are_one_subject_however_they_are_spelt(engine: Engine, receiver: Receiver) -> None:
    Fickle(receiver, a1=1)
    await engine.hook(webhook(receiver.url))
    for name, subject in (("a1", "ada@example.com"), ("a2", " Ada@Example.COM")):
        await engine.publish("order.paid", {"name": name}, subject=subject)
    await engine.run()
    assert came(receiver) == ["a1"]


async def test_one_at_a_time_of_a_subject(engine: Engine) -> None:
    async with gated() as gate:
        await engine.hook(webhook(gate.url))
        loop = asyncio.create_task(engine.dispatcher.run())
        await publish(engine, "a1", "a2", "b1", "b2", "c1")
        await gate.have(3)
        await engine.dispatcher.claim()
        loop.cancel()
        assert sorted(body["data"]["name"] for body in gate.came) == ["a1", "b1", "c1"]
        gate.open()
        await engine.run()
        assert len(gate.came) == 5


async def test_order_survives_a_restart_and_a_crash(database_url: str | Path, receiver: Receiver) -> None:
    Fickle(receiver, a1=1)
    async with running(database_url) as first:
        hook = await first.hook(webhook(receiver.url))
        await publish(first, "a1", "a2", "a3")
        await first.run()
    async with running(database_url) as second:
        await second.run()
        second.clock.advance(5 * SECOND)
        # A process that dies with the first of them in its hands.
        wanted = Wanted(tenant="default", lane=hook.id, firsts=9, retries=9, pace=Pace(ordered=True))
        taken = await second.storage.deliveries.claim([wanted], "prc_dead", second.clock.now())
        assert len(taken.work) == 1
        await second.run()
        assert came(receiver) == ["a1"], "what is under way with the dead keeps the others waiting"
        await second.dispatcher.take_over(-DAY)
        await second.run()
        assert came(receiver) == ["a1", "a1", "a2", "a3"]


async def test_order_that_is_asked_for_later_counts_for_what_waits(
    engine: Engine, receiver: Receiver
) -> None:
    fickle = Fickle(receiver, a1=2, a2=1)
    hook = await engine.hook(webhook(receiver.url, order=None))
    await publish(engine, "a1", "a2", "b1")
    await engine.run()
    await changed(engine, hook, order="subject")
    await publish(engine, "a3", "b2")
    await engine.run()
    assert came(receiver)[3:] == ["b2"]
    engine.clock.advance(5 * SECOND)
    await engine.run()
    assert came(receiver)[4:] == ["a1"], "the second waits for the first, though it came without an order"
    engine.clock.advance(5 * MINUTE)
    await engine.run()
    assert came(receiver)[5:] == ["a1", "a2", "a3"]
    fickle.bad["a4"] = 1
    await changed(engine, hook, order=None)
    await publish(engine, "a4", "a5")
    await engine.run()
    assert sorted(came(receiver)[8:]) == ["a4", "a5"]
    await changed(engine, hook, order="subject")
    await publish(engine, "a6")
    await engine.run()
    assert len(receiver.got) == 10, "what came without an order in between keeps it waiting, too"


async def test_an_old_one_that_is_tried_again_by_hand_is_in_order_too(
    engine: Engine, receiver: Receiver
) -> None:
    fickle = Fickle(receiver, a1=1)
    hook = await engine.hook(webhook(receiver.url, order=None, retry={"schedule": []}))
    await publish(engine, "a1")
    await engine.run()
    await changed(
        engine, hook, order="subject", retry=msgspec.structs.replace(hook.spec.retry, schedule=["1h"])
    )
    await publish(engine, "a2")
    await engine.run()
    (failed,) = await engine.deliveries(state="failed")
    fickle.bad["a3"] = 1
    await publish(engine, "a3")
    await engine.run()
    assert await engine.storage.deliveries.retry("default", failed.id, engine.clock.now())
    await engine.run()
    assert came(receiver) == ["a1", "a2", "a3", "a1"]


async def test_replays_are_in_order(engine: Engine, receiver: Receiver) -> None:
    fickle = Fickle(receiver)
    hook = await engine.hook(webhook(receiver.url))
    await publish(engine, "a1", "a2", "b1")
    await engine.run()
    receiver.got.clear()
    fickle.bad["a1"] = 1
    replayer = Replayer(engine.storage, engine.intake, engine.clock, engine.dispatcher.wake)
    spec = ReplayInput(hook=hook.id, states=["succeeded"])
    await engine.storage.replays.start(
        Replay(tenant="default", id=new_id("rpl"), spec=spec, state="running", created_at=engine.clock.now())
    )
    await replayer.run_once()
    await engine.run()
    assert sorted(came(receiver)) == ["a1", "b1"]
    engine.clock.advance(5 * SECOND)
    await engine.run()
    assert came(receiver)[2:] == ["a1", "a2"]


async def test_batches_of_an_ordered_hook_go_one_after_another(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500]
    await engine.hook(webhook(receiver.url, batch={"max": 2, "every": "1s"}))
    await publish(engine, "a1", "b1", "c1", "d1")
    await engine.run()
    assert len(receiver.got) == 1
    engine.clock.advance(5 * SECOND)
    await engine.run()
    assert [len(got.json) for got in receiver.got] == [2, 2, 2]


async def test_a_deleted_and_a_disabled_hook_leave_nothing_behind(engine: Engine, receiver: Receiver) -> None:
    Fickle(receiver, a1=1)
    hook = await engine.hook(webhook(receiver.url))
    await publish(engine, "a1", "a2")
    await engine.run()
    await engine.storage.hooks.hold("default", hook.id, "test", engine.clock.now())
    assert {d.state for d in await engine.deliveries()} == {"held"}
    off = await engine.storage.hooks.get("default", hook.id)
    assert await engine.storage.hooks.change(off, msgspec.structs.replace(off, disabled_reason=None))
    await publish(engine, "a3")
    await engine.run()
    assert came(receiver) == ["a1", "a3"], "what is held keeps nobody waiting"


def in_order(receiver: Receiver, good: dict[str, list[int]]) -> None:
    """Nothing of a subject comes before all that came before it has ended well."""
    ended: dict[str, int] = defaultdict(int)
    for name, well in good.items():
        assert well == list(range(1, len(well) + 1)), name
    for name in came(receiver):
        subject, number = name[0], int(name[1:])
        assert number in (ended[subject], ended[subject] + 1), (name, ended)
        ended[subject] = number


@on_postgres
@pytest.mark.parametrize("seed", [1, 2])
async def test_order_holds_across_processes_whatever_fails(database_url: str, seed: int) -> None:
    dice = random.Random(seed)
    good: dict[str, list[int]] = defaultdict(list)
    async with receiving() as receiver, running(database_url) as first, running(database_url) as second:

        def decide(got: Got) -> None:
            name = got.json["data"]["name"]
            fails = dice.random() < 0.4
            receiver.answers = [500 if fails else 204]
            if not fails:
                good[name[0]].append(int(name[1:]))

        receiver.on_request = decide
        await first.hook(webhook(receiver.url, retry={"schedule": ["1s"] * 50}))
        engines = (first, second)
        for number in range(1, 16):
            for subject in "abcd":
                await publish(dice.choice(engines), f"{subject}{number}")
        for _ in range(400):
            await asyncio.gather(*(engine.run() for engine in engines))
            for engine in engines:
                engine.clock.advance(SECOND)
            if sum(map(len, good.values())) == 60:
                break
        assert sum(map(len, good.values())) == 60
        in_order(receiver, good)


async def test_a_lane_in_order_keeps_its_rate(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(webhook(receiver.url, rate={"count": 2, "per": "1m"}))
    await publish(engine, "a1", "a2", "a3", "b1")
    for count in (2, 4):
        await engine.run()
        assert len(receiver.got) == count
        engine.clock.advance(HOUR)
    assert [name for name in came(receiver) if name[0] == "a"] == ["a1", "a2", "a3"]
