"""SIGTERM in bad moments: with receivers that hang and a backlog behind them, and with the database away.

It ends in order, within its grace and a little; nothing is lost, and what was not begun comes once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from hookline.dispatch.lanes import CONCURRENCY
from support.postgres import Postgres, own_postgres
from support.process import Serve
from support.receiver import Got, Receiver, at_once
from support.waiting import all_succeeded, attempts_of, everything, until

from .conftest import KEY, Place

EVENTS = 330
GRACE = 1
A_LITTLE = 20.0  # for a machine that has much else to do


async def begun(server: Serve, receiver: Receiver, http: aiohttp.ClientSession) -> asyncio.Event:
    """A lane full of receivers that hang, until the returned event is set, with a backlog behind it."""
    release = asyncio.Event()

    async def hold(_: Got) -> None:
        await release.wait()

    receiver.hold = hold
    await server.start()
    await server.make_key()
    hook = {"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}, "retry": {"timeout": "60s"}}
    await server.call(http, "POST", "/v1/hooks", hook)
    await server.call(http, "POST", "/v1/events", [{"type": "order.paid", "data": {}}] * EVENTS)
    await until("a full lane", lambda: len(receiver.got) == CONCURRENCY)
    return release


async def stopped_in_time(server: Serve) -> None:
    began = time.monotonic()
    assert await server.stop() == 0, server.log
    assert time.monotonic() - began < GRACE + A_LITTLE


async def everything_comes(
    server: Serve, receiver: Receiver, http: aiohttp.ClientSession, release: asyncio.Event
) -> None:
    """Started again, it delivers all; only what was under way comes twice, and is told."""
    first = {got.headers["webhook-id"] for got in receiver.got}
    receiver.hold = at_once
    release.set()
    await server.start()
    await until("the end of all", lambda: all_succeeded(server, http))
    counts = Counter(got.headers["webhook-id"] for got in receiver.got)
    assert len(counts) == EVENTS and len(first) == CONCURRENCY
    for delivery in await everything(server, http, "/v1/deliveries"):
        again = delivery["event"] in first
        assert counts[delivery["event"]] == 1 + again
        if again:
            recorded = [a["error"] for a in await attempts_of(server, http, delivery["id"])]
            assert recorded == ["crashed", None]


async def test_with_receivers_that_hang_and_a_backlog(
    place: Place, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    server = Serve(place.home, GRACE=str(GRACE), **place.settings)
    release = await begun(server, receiver, http)
    await stopped_in_time(server)
    await everything_comes(server, receiver, http, release)
    assert await server.stop() == 0


async def gone(how: str, postgres: Postgres) -> None:
    if how == "stopped":
        await postgres.stop()
    else:
        postgres.freeze()


async def back(how: str, postgres: Postgres) -> None:
    if how == "stopped":
        await postgres.start()
    else:
        postgres.thaw()


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_with_the_database_away(
    how: str, tmp_path: Path, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    with own_postgres() as postgres:
        server = Serve(tmp_path, GRACE=str(GRACE), DATABASE=postgres.url, SECRET_KEY=KEY)
        release = await begun(server, receiver, http)
        await gone(how, postgres)
        try:
            await stopped_in_time(server)
        finally:
            await back(how, postgres)
        first = {got.headers["webhook-id"] for got in receiver.got}
        receiver.hold = at_once
        release.set()
        await server.start()
        await until("the end of all", lambda: all_succeeded(server, http))
        counts = Counter(got.headers["webhook-id"] for got in receiver.got)
        assert len(counts) == EVENTS
        assert {event for event, count in counts.items() if count > 1} <= first
        assert await server.stop() == 0
