"""Rate and concurrency of a hook: they hold through retries, restarts and changes, and across processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from hookline.model import HOUR, SECOND, Hook, RateInput
from hookline.rules.pacing import Rate
from support.engine import START, Engine, running
from support.gate import Gate, gated
from support.receiver import Receiver

LEEWAY = Rate(1, HOUR).leeway  # of all but the shortest periods
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}} | fields


def rate(count: int, per: str) -> dict[str, Any]:
    return {"rate": {"count": count, "per": per}}


async def changed(engine: Engine, hook: Hook, **fields: Any) -> Hook:
    before = await engine.storage.hooks.get("default", hook.id)
    spec = msgspec.structs.replace(before.spec, **fields)
    after = msgspec.structs.replace(before, spec=spec, updated_at=engine.clock.now())
    stored = await engine.storage.hooks.change(before, after)
    assert stored is not None
    return stored  # type: ignore[no-any-return]


async def test_no_more_than_the_rate_and_on_when_it_allows(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(webhook(receiver.url, **rate(3, "10s")))
    for n in range(8):
        await engine.publish("order.paid", {"n": n})
    await engine.run()
    assert len(receiver.got) == 3
    for wait, count in ((10 * SECOND + LEEWAY - 1, 3), (1, 6), (10 * SECOND + LEEWAY, 8), (HOUR, 8)):
        engine.clock.advance(wait)
        await engine.run()
        assert len(receiver.got) == count
    assert [got.json["data"]["n"] for got in receiver.got] == sorted(
        got.json["data"]["n"] for got in receiver.got
    )


async def test_the_dispatcher_wakes_by_itself_when_the_rate_allows(
    engine: Engine, receiver: Receiver
) -> None:
    await engine.hook(webhook(receiver.url, **rate(2, "100ms")))
    came = asyncio.Event()
    receiver.on_request = lambda got: came.set() if len(receiver.got) % 2 == 0 else None
    loop = asyncio.create_task(engine.dispatcher.run())
    for n in range(6):
        await engine.publish("order.paid", {"n": n})
    for count in (2, 4, 6):
        await asyncio.wait_for(came.wait(), 20)
        came.clear()
        assert len(receiver.got) == count
        engine.clock.advance(SECOND // 10 + Rate(2, SECOND // 10).leeway)
    loop.cancel()


async def test_retries_spend_of_the_rate_too(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500, 500]
    await engine.hook(webhook(receiver.url, retry={"schedule": ["1s"] * 3}, **rate(2, "1m")))
    for _ in range(3):
        await engine.publish("order.paid")
    await engine.run()
    engine.clock.advance(30 * SECOND)
    await engine.run()
    assert len(receiver.got) == 2
    for count in (4, 5):
        engine.clock.advance(60 * SECOND + LEEWAY)
        await engine.run()
        assert len(receiver.got) == count
    assert {d.state for d in await engine.deliveries()} == {"succeeded"}


async def test_a_restart_does_not_forget_what_is_spent(database_url: str | Path, receiver: Receiver) -> None:
    async with running(database_url) as first:
        await first.hook(webhook(receiver.url, **rate(2, "1h")))
        for _ in range(4):
            await first.publish("order.paid")
        await first.run()
    async with running(database_url, start=START + HOUR + LEEWAY - 1) as second:
        await second.run()
        assert len(receiver.got) == 2
        second.clock.advance(1)
        await second.run()
        assert len(receiver.got) == 4


async def test_a_changed_rate_counts_for_what_waits(engine: Engine, receiver: Receiver) -> None:
    hook = await engine.hook(webhook(receiver.url, **rate(1, "1h")))
    for _ in range(5):
        await engine.publish("order.paid")
    await engine.run()
    assert len(receiver.got) == 1
    await changed(engine, hook, rate=RateInput(count=3, per="1h"))
    await engine.run()
    assert len(receiver.got) == 3
    await changed(engine, hook, rate=None)
    await engine.run()
    assert len(receiver.got) == 5


async def test_what_was_held_ready_goes_back_when_a_rate_is_set(engine: Engine) -> None:
    async with gated() as gate:
        hook = await engine.hook(webhook(gate.url))
        for _ in range(50):
            await engine.publish("order.paid")
        await gate.have(32)
        moved = await changed(engine, hook, rate=RateInput(count=1, per="1h"))
        await engine.dispatcher.claim()
        gate.open()
        await engine.run()
        assert len(gate.came) == 33 and moved.id == hook.id
        assert [d.state for d in await engine.deliveries()].count("queued") == 17


@on_postgres
async def test_what_others_hold_ready_goes_back_too_when_a_rate_is_set(database_url: str) -> None:
    async with gated() as gate, running(database_url) as first, running(database_url) as second:
        hook = await first.hook(webhook(gate.url))
        for _ in range(50):
            await second.publish("order.paid")
        await gate.have(32)
        await changed(first, hook, rate=RateInput(count=1, per="1h"))
        for engine in (second, first):
            await engine.dispatcher.claim()
        gate.open()
        await asyncio.gather(first.run(), second.run())
        assert len(gate.came) == 33
        assert [d.state for d in await first.deliveries()].count("queued") == 17


async def test_mail_and_texts_keep_a_rate_too(post: Engine, mailserver: Any) -> None:
    mail = {
        "kind": "email",
        "to": "{{ event.subject }}",
        "from": "a@shop.example",
        "subject": "Hi",
        "text": "x",
    }
    await post.hook({"on": ["order.*"], "do": mail, **rate(1, "1m")})
    for name in ("ada", "bob"):
        await post.publish("order.paid", subject=f"{name}@example.com")
    await post.run()
    assert len(mailserver.mails) == 1
    post.clock.advance(60 * SECOND + LEEWAY)
    await post.run()
    assert len(mailserver.mails) == 2


@on_postgres
async def test_what_a_slow_database_hands_out_late_is_counted_from_then(
    database_url: str, receiver: Receiver
) -> None:
    async with running(database_url) as engine:
        await engine.hook(webhook(receiver.url, **rate(2, "10s")))
        for _ in range(4):
            await engine.publish("order.paid")
        other = await asyncpg.connect(database_url)
        async with other.transaction():
            await other.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
            claim = asyncio.create_task(engine.dispatcher.claim())
            while not await other.fetchval("SELECT COUNT(*) FROM pg_locks WHERE NOT granted"):
                assert not claim.done()
            engine.clock.advance(3 * SECOND)
        await claim
        await other.close()
        await engine.run()
        assert len(receiver.got) == 2
        for wait, count in ((10 * SECOND, 2), (LEEWAY, 4)):
            engine.clock.advance(wait)
            await engine.run()
            assert len(receiver.got) == count


@on_postgres
async def test_what_waits_to_be_counted_anew_is_not_taken_for_lost(
    database_url: str, receiver: Receiver
) -> None:
    async with running(database_url) as engine:
        await engine.hook(webhook(receiver.url, **rate(3, "10s")))
        await engine.publish("order.paid")
        await engine.run()
        for _ in range(2):
            await engine.publish("order.paid")
        slow, slower = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
        waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
        async with slower.transaction():
            async with slow.transaction():
                await slow.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
                claim = asyncio.create_task(engine.dispatcher.claim())
                while not await slow.fetchval(waiting):
                    assert not claim.done()
                next_in_turn = asyncio.create_task(slower.fetch("SELECT * FROM lanes FOR UPDATE"))
                while await slow.fetchval(waiting) < 2:
                    assert not next_in_turn.done()
                engine.clock.advance(3 * SECOND)
            await next_in_turn
            for _ in range(2):
                await engine.dispatcher.recover_strays()
        await claim
        for other in (slow, slower):
            await other.close()
        await engine.run()
        assert len(receiver.got) == 3
        for delivery in await engine.deliveries():
            assert [attempt.error for attempt in await engine.attempts(delivery)] == [None]


@on_postgres
async def test_a_rate_holds_across_processes(database_url: str, receiver: Receiver) -> None:
    async with running(database_url) as first, running(database_url) as second:
        await first.hook(webhook(receiver.url, **rate(5, "10s")))
        for n in range(20):
            await (first, second)[n % 2].publish("order.paid")
        for count in (5, 10, 15, 20):
            for _ in range(3):  # who found the other claiming comes back
                await asyncio.gather(first.run(), second.run())
            assert len(receiver.got) == count
            for engine in (first, second):
                engine.clock.advance(10 * SECOND + LEEWAY)


async def under_way(gate: Gate, *engines: Engine) -> None:
    for _ in range(3):
        for engine in engines:
            await engine.dispatcher.claim()
    assert gate.inside <= 3


async def test_no_more_than_the_concurrency_at_once(engine: Engine) -> None:
    async with gated() as gate:
        await engine.hook(webhook(gate.url, concurrency=3))
        for _ in range(10):
            await engine.publish("order.paid")
        await under_way(gate, engine)
        await gate.have(3)
        await under_way(gate, engine)
        gate.open()
        await engine.run()
        assert (len(gate.came), gate.most) == (10, 3)


async def test_more_than_is_usual_may_be_under_way(engine: Engine) -> None:
    async with gated() as gate:
        await engine.hook(webhook(gate.url, concurrency=60))
        for _ in range(70):
            await engine.publish("order.paid")
        await engine.dispatcher.claim()
        await gate.have(60)
        gate.open()
        await engine.run()
        assert (len(gate.came), gate.most) == (70, 60)


@on_postgres
async def test_concurrency_holds_across_processes(database_url: str) -> None:
    async with gated() as gate, running(database_url) as first, running(database_url) as second:
        await first.hook(webhook(gate.url, concurrency=3))
        for n in range(10):
            await (first, second)[n % 2].publish("order.paid")
        await under_way(gate, first, second)
        await gate.have(3)
        await under_way(gate, second, first)
        gate.open()
        for _ in range(20):
            await asyncio.gather(first.run(), second.run())
            for engine in (first, second):
                engine.clock.advance(SECOND)
        assert (len(gate.came), gate.most) == (10, 3)
