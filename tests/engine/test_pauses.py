"""A receiver that asks for patience is left alone by all processes, also after a restart, and only that receiver."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.dispatch.lanes import CONCURRENCY
from hookline.model import SECOND
from support.engine import START, running
from support.receiver import Got, Receiver, receiving

PATIENCE = {"retry-after": "60"}


def webhook(url: str) -> dict[str, Any]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}}


async def test_a_restart_does_not_forget_a_pause(database_url: str | Path, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [429], PATIENCE
    async with running(database_url) as first:
        await first.hook(webhook(receiver.url))
        await first.publish("order.first")
        await first.run()
    receiver.headers = {}
    async with running(database_url, start=START + 10 * SECOND) as second:
        await second.publish("order.second")
        await second.run()
        assert len(receiver.got) == 1
        second.clock.advance(50 * SECOND)
        await second.run()
        assert sorted(got.json["type"] for got in receiver.got[1:]) == ["order.first", "order.second"]
    async with running(database_url, start=START + 61 * SECOND) as third:
        await third.publish("order.third")
        await third.run()
        assert len(receiver.got) == 4


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_other_processes_keep_a_pause_and_give_back_what_they_hold_ready(
    database_url: str, receiver: Receiver
) -> None:
    release, full = asyncio.Event(), asyncio.Event()

    async def hold(got: Got) -> None:
        if len(receiver.got) >= CONCURRENCY:
            full.set()
        if got.json["type"] == "order.slow":
            await release.wait()

    receiver.hold = hold
    async with running(database_url) as first, running(database_url) as second:
        await first.hook(webhook(receiver.url))
        for _ in range(CONCURRENCY + 10):
            await second.publish("order.slow")
        await asyncio.wait_for(full.wait(), 30)
        receiver.answers, receiver.headers = [429], PATIENCE
        await first.publish("order.quick")
        await first.run()
        await second.dispatcher.claim()
        release.set()
        await second.run()
        assert len(receiver.got) == CONCURRENCY + 1
        assert [d.state for d in await second.deliveries(state="queued")] == ["queued"] * 10
        for engine in (first, second):
            engine.clock.advance(61 * SECOND)
            await engine.run()
        assert {d.state for d in await first.deliveries()} == {"succeeded"}


async def test_what_the_receiver_before_had_asked_for_is_nothing_to_the_next(
    database_url: str | Path, receiver: Receiver
) -> None:
    answer = asyncio.Event()
    asked = asyncio.Event()

    async def hold(_: Got) -> None:
        asked.set()
        await answer.wait()

    async with receiving() as before, running(database_url) as engine:
        before.answers, before.headers, before.hold = [429], PATIENCE, hold
        hook = await engine.hook(webhook(before.url))
        await engine.publish("order.first")
        await asyncio.wait_for(asked.wait(), 30)
        action = msgspec.structs.replace(hook.spec.do, url=receiver.url)
        spec = msgspec.structs.replace(hook.spec, do=action)
        after = msgspec.structs.replace(hook, spec=spec, updated_at=engine.clock.now())
        assert await engine.storage.hooks.change(hook, after) is not None
        await engine.dispatcher.claim()
        answer.set()
        await engine.run()
        await engine.publish("order.second")
        await engine.run()
        assert [got.json["type"] for got in receiver.got] == ["order.second"]
    async with running(database_url) as other:
        await other.publish("order.third")
        await other.run()
        assert len(receiver.got) == 2
        assert [d.state for d in await other.deliveries(state="waiting")] == ["waiting"], (
            "it is tried by its time"
        )
