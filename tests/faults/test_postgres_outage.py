"""PostgreSQL goes away and comes back: nothing accepted is lost, nothing done is done again, all goes on."""

from __future__ import annotations

import asyncio

import pytest

from hookline.model import SECOND
from hookline.storage import StorageUnavailable
from support.engine import Engine, running
from support.postgres import own_postgres
from support.receiver import at_once, receiving
from support.waiting import until


async def settled(engine: Engine) -> None:
    """Let time pass, a second at a time, until everything is done."""
    while engine.dispatcher._hands or engine.dispatcher._settling:
        engine.clock.advance(SECOND)
        await asyncio.wait(engine.dispatcher._hands | engine.dispatcher._settling, timeout=0.05)


async def test_what_was_done_while_the_database_was_away_is_written_down_and_not_repeated() -> None:
    with own_postgres() as server:
        async with receiving() as receiver, running(server.url) as engine:
            await engine.hook({"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}})

            async def cut(_: object) -> None:
                receiver.hold = at_once
                await server.stop()

            receiver.hold = cut
            before = [(await engine.publish("order.paid")).id]
            while not receiver.got:
                await asyncio.wait(engine.dispatcher._hands, timeout=0.05)
            with pytest.raises(StorageUnavailable):
                await engine.publish("order.refused")
            # It waits, and keeps what it knows.
            await until("an outcome that cannot be stored", lambda: engine.dispatcher._settler.waiting)
            await server.start()
            await settled(engine)
            before.append((await engine.publish("order.after")).id)
            await engine.run()
            assert [got.headers["webhook-id"] for got in receiver.got] == before
            done = await engine.deliveries()
            assert [(d.state, d.attempts) for d in done] == [("succeeded", 1)] * 2
            assert await engine.events("order.refused") == []
