"""A hook whose every delivery fails for days is switched off: by duration and count, on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.model import DAY, HOUR, SECOND, Hook
from support.engine import Engine, running
from support.receiver import Receiver


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}, "retry": {"schedule": []}} | fields


async def fail(engine: Engine, receiver: Receiver, count: int, status: int = 500) -> None:
    receiver.answers = [status] * count
    for _ in range(count):
        await engine.publish("order.paid")
    await engine.run()
    assert receiver.answers == []


async def succeed(engine: Engine) -> None:
    await engine.publish("order.paid")
    await engine.run()


async def reason(engine: Engine, hook: Hook) -> str | None:
    found = await engine.storage.hooks.get("default", hook.id)
    assert found is not None
    return found.disabled_reason  # type: ignore[no-any-return]


async def test_fifty_failures_over_five_days(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url))
    await engine.hook(
        webhook("", on=["hook.disabled"], do={"kind": "webhook", "url": receiver.url + "/told"})
    )
    await fail(engine, receiver, 48)
    engine.clock.advance(5 * DAY)
    await fail(engine, receiver, 1)
    assert await reason(engine, hook) is None, "49 in five days"
    engine.clock.advance(SECOND)
    await fail(engine, receiver, 1)
    why = await reason(engine, hook)
    assert why is not None and "50" in why and "5 days" in why
    (told,) = await engine.events("hook.disabled")
    assert (told.subject, json.loads(told.data)) == (hook.id, {"hook": hook.id, "reason": why})
    assert receiver.got[-1].path == "/told"
    later = await engine.publish("order.paid")
    stored = await engine.storage.events.get("default", later.id)
    assert {v.hook: (v.verdict, v.detail) for v in stored.verdicts}[hook.id] == ("disabled", why)


@pytest.mark.parametrize(("count", "days"), [(48, 6), (49, 4)])
async def test_fewer_or_sooner_is_not_enough(
    engine: Engine, receiver: Receiver, count: int, days: int
) -> None:
    hook = await engine.hook(webhook(receiver.url))
    await fail(engine, receiver, count)
    engine.clock.advance(days * DAY)
    await fail(engine, receiver, 1)
    assert await reason(engine, hook) is None
    assert await engine.events("hook.disabled") == []


async def test_one_success_begins_it_anew(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url))
    await fail(engine, receiver, 60)
    engine.clock.advance(3 * DAY)
    await succeed(engine)
    await fail(engine, receiver, 60)
    engine.clock.advance(3 * DAY)
    await fail(engine, receiver, 60)
    assert await reason(engine, hook) is None
    engine.clock.advance(2 * DAY)
    await fail(engine, receiver, 1)
    assert await reason(engine, hook) is not None


async def test_retries_count_once_and_what_waits_is_held(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url, retry={"schedule": ["1d"] * 20}))
    await fail(engine, receiver, 49, status=429)
    for _ in range(6):
        receiver.answers = [500] * 49
        engine.clock.advance(DAY)
        await engine.run()
    assert await reason(engine, hook) is None, "they are still 49"
    receiver.answers = [500] * 50
    await engine.publish("order.paid")
    await engine.run()
    assert await reason(engine, hook) is not None
    assert {delivery.state for delivery in await engine.deliveries()} == {"held"}


async def test_a_hook_that_is_switched_on_again_has_its_five_days(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url))
    await fail(engine, receiver, 60)
    engine.clock.advance(6 * DAY)
    await fail(engine, receiver, 1)
    off = await engine.storage.hooks.get("default", hook.id)
    assert off is not None and off.disabled_reason is not None
    await engine.storage.hooks.change(off, msgspec.structs.replace(off, disabled_reason=None))
    engine.intake.forget_config()
    await fail(engine, receiver, 60)
    assert await reason(engine, hook) is None


async def test_another_receiver_has_its_five_days(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url))
    await fail(engine, receiver, 60)
    engine.clock.advance(6 * DAY)
    spec = msgspec.structs.replace(
        hook.spec, do=msgspec.structs.replace(hook.spec.do, url=receiver.url + "/new")
    )
    await engine.storage.hooks.change(hook, msgspec.structs.replace(hook, spec=spec))
    engine.intake.forget_config()
    await fail(engine, receiver, 1)
    assert await reason(engine, hook) is None


async def test_the_others_are_left_alone(engine: Engine, receiver: Receiver) -> None:
    failing = await engine.hook(webhook(receiver.url))
    await fail(engine, receiver, 60)
    engine.clock.advance(6 * DAY)
    fine = await engine.hook(webhook(receiver.url, on=["basket.*"]))
    await engine.publish("basket.left")
    await engine.run()
    await fail(engine, receiver, 1)
    assert await reason(engine, failing) is not None and await reason(engine, fine) is None


async def test_a_restart_forgets_nothing(database_url: str | Path, receiver: Receiver) -> None:
    async with running(database_url) as first:
        hook = await first.hook(webhook(receiver.url))
        await fail(first, receiver, 49)
    async with running(database_url) as second:
        second.clock.advance(5 * DAY)
        await fail(second, receiver, 1)
        assert await reason(second, hook) is not None


@asynccontextmanager
async def several(url: str | Path, count: int) -> AsyncIterator[list[Engine]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(url)) for _ in range(count)]


async def test_processes_count_together(database_url: str | Path, receiver: Receiver) -> None:
    async with several(database_url, 2) as (one, other):
        hook = await one.hook(webhook(receiver.url))
        await fail(one, receiver, 25)
        await fail(other, receiver, 24)
        for engine in (one, other):
            engine.clock.advance(5 * DAY)
        await fail(other, receiver, 1)
        assert await reason(one, hook) is not None
        await one.publish("order.paid")
        assert len(await one.events("hook.disabled")) == 1
        assert len(await one.deliveries(state="failed")) == 50, "nothing more was tried, by any of them"


async def test_a_success_in_one_process_counts_in_the_other(
    database_url: str | Path, receiver: Receiver
) -> None:
    async with several(database_url, 2) as (one, other):
        hook = await one.hook(webhook(receiver.url))
        await fail(one, receiver, 60)
        for engine in (one, other):
            engine.clock.advance(5 * DAY + HOUR)
        await succeed(other)
        await fail(one, receiver, 1)
        assert await reason(one, hook) is None
