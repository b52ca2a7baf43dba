"""The breaker of a lane: an ill receiver is left alone, found well again, and costs deliveries no try meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hookline.dispatch.lanes import CONCURRENCY
from hookline.model import MINUTE, SECOND, EventDraft
from hookline.rules.breaker import FAILURES, SPAN
from support.engine import Engine
from support.gate import gated
from support.receiver import Receiver


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}} | fields


async def states(engine: Engine) -> dict[str, int]:
    found: dict[str, int] = {}
    for delivery in await engine.deliveries():
        found[delivery.state] = found.get(delivery.state, 0) + 1
    return found


async def broken(engine: Engine, receiver: Receiver, hook: dict[str, Any]) -> str:
    """A hook whose receiver has just been found ill."""
    receiver.answers = [500] * 1000
    made = await engine.hook(hook)
    for _ in range(FAILURES - 1):
        await engine.publish("order.paid")
    await engine.run()
    engine.clock.advance(SPAN)
    assert engine.dispatcher.health(made.id).breaker == "closed"
    await engine.publish("order.paid")
    await engine.run()
    assert engine.dispatcher.health(made.id).breaker == "open"
    return made.id


async def test_while_it_is_open_nothing_begins_and_no_try_is_spent(
    engine: Engine, receiver: Receiver
) -> None:
    hook = await broken(engine, receiver, webhook(receiver.url, retry={"schedule": ["1h"]}))
    for _ in range(40):
        await engine.publish("order.paid")
    await engine.run()
    assert len(receiver.got) == FAILURES
    assert await states(engine) == {"waiting": FAILURES, "queued": 40}
    waiting = next(d for d in await engine.deliveries() if d.state == "queued")
    wait = engine.dispatcher.waits(waiting)
    assert wait is not None and (wait.reason, wait.until) == ("ill", engine.dispatcher.health(hook).until)
    assert all(d.attempts == 0 for d in await engine.deliveries() if d.state == "queued")


async def test_one_probe_at_a_time_and_all_at_once_when_it_is_well(
    engine: Engine, receiver: Receiver
) -> None:
    hook = await broken(engine, receiver, webhook(receiver.url, retry={"schedule": ["1h"]}))
    for _ in range(40):
        await engine.publish("order.paid")
    for pause in (5, 10, 20):
        before = len(receiver.got)
        engine.clock.advance(pause * SECOND - 1)
        await engine.run()
        assert len(receiver.got) == before
        engine.clock.advance(1)
        await engine.run()
        assert (len(receiver.got), engine.dispatcher.health(hook).breaker) == (before + 1, "open")
    receiver.answers = []
    engine.clock.advance(MINUTE)
    await engine.run()
    assert engine.dispatcher.health(hook).breaker == "closed"
    assert await states(engine) == {"waiting": FAILURES + 3, "succeeded": 37}


async def test_what_was_held_ready_is_given_back(engine: Engine, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [503], {"retry-after": "60"}
    await engine.hook(webhook(receiver.url))
    drafts = [EventDraft(type="order.paid", source="shop", data=b"{}")] * (CONCURRENCY + 28)
    await engine.intake.accept("default", drafts)
    await engine.run()
    assert await states(engine) == {"waiting": 1, "succeeded": CONCURRENCY - 1, "queued": 28}
    waits = {d.id: engine.dispatcher.waits(d) for d in await engine.deliveries(state="queued")}
    assert {wait.reason for wait in waits.values() if wait} == {"asked"}
    engine.clock.advance(MINUTE)
    await engine.run()
    assert await states(engine) == {"succeeded": CONCURRENCY + 28}


async def test_a_probe_is_a_retry_in_turn(engine: Engine, receiver: Receiver) -> None:
    hook = await broken(engine, receiver, webhook(receiver.url, retry={"schedule": ["1s"] * 9}))
    for _ in range(5):
        await engine.publish("order.paid")
    first = {got.headers["webhook-id"] for got in receiver.got}
    tried: list[bool] = []
    for _ in range(4):
        engine.clock.advance(MINUTE)
        await engine.run()
        tried.append(receiver.got[-1].headers["webhook-id"] in first)
        first.add(receiver.got[-1].headers["webhook-id"])
    assert set(tried) == {True, False} and engine.dispatcher.health(hook).breaker == "open"


async def test_a_change_of_the_hook_and_a_person_close_it(engine: Engine, receiver: Receiver) -> None:
    hook = await broken(engine, receiver, webhook(receiver.url, retry={"schedule": ["1h"]}))
    await engine.publish("order.paid")
    await engine.run()
    before = len(receiver.got)
    stored = await engine.storage.hooks.get("default", hook)
    assert await engine.storage.hooks.change(stored, stored)
    await engine.run()
    assert len(receiver.got) == before + 1
    engine.clock.advance(SECOND)
    for _ in range(2):
        await engine.publish("order.paid")
    await engine.run()
    engine.dispatcher.heal(hook)
    await engine.run()
    assert engine.dispatcher.health(hook).breaker == "closed"


@pytest.mark.parametrize("status", [400, 404])
async def test_refusals_are_answers(engine: Engine, receiver: Receiver, status: int) -> None:
    receiver.answers = [status] * 100
    made = await engine.hook(webhook(receiver.url))
    for _ in range(FAILURES * 2):
        await engine.publish("order.paid")
        engine.clock.advance(SECOND)
    await engine.run()
    assert engine.dispatcher.health(made.id).breaker == "closed"


async def test_a_lane_in_order_is_probed_too(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500] * 1000
    made = await engine.hook(webhook(receiver.url, order="subject", retry={"schedule": ["1s"] * 20}))
    for subject in "abcdefghijkl":
        for _ in range(2):
            await engine.publish("order.paid", subject=subject)
    await engine.run()
    for _ in range(12):
        engine.clock.advance(2 * SECOND)
        await engine.run()
    assert engine.dispatcher.health(made.id).breaker == "open"
    receiver.answers = []
    engine.clock.advance(2 * MINUTE)
    await engine.run()
    assert await states(engine) == {"succeeded": 24}


async def test_first_attempts_do_not_queue_behind_retries(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500] * 100
    await engine.hook(webhook(receiver.url, retry={"schedule": ["1m"]}))
    for _ in range(100):
        await engine.publish("order.old")
    await engine.run()
    engine.clock.advance(2 * MINUTE)
    async with gated() as gate:
        hook = (await engine.storage.hooks.everything())[1][0]
        moved = msgspec.structs.replace(hook.spec, do=msgspec.structs.replace(hook.spec.do, url=gate.url))
        assert await engine.storage.hooks.change(hook, msgspec.structs.replace(hook, spec=moved))
        await engine.dispatcher.claim()
        await gate.have(24)
        for _ in range(12):
            answer = await engine.publish("order.new")
            assert answer.deliveries[0].owner == engine.dispatcher.epoch, "old retries are no backlog"
        await gate.have(32)
        assert [body["type"] for body in gate.came].count("order.new") == 8
        gate.open()
        await engine.run()
        after = [body["type"] for body in gate.came][32:]
        assert "order.new" not in after[8:], "they take no more than a quarter now"
        assert len(gate.came) == 112
