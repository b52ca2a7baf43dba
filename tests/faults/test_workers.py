"""Three processes on one PostgreSQL, under load: one is killed, one is frozen, and nobody misses anything."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import asyncpg
import pytest

from hookline.dispatch.lanes import CONCURRENCY, READY
from support.process import Serve, Worker
from support.receiver import Got, Receiver, at_once
from support.waiting import all_succeeded, attempts_of, everything, until

from .conftest import KEY

# What the first holds of a lane, what each of the others may claim, and some that wait for anybody.
SLOW = (CONCURRENCY + READY) + 2 * (CONCURRENCY + READY) + 40
LOAD_PAUSE = 0.02

Query: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
def database(postgres_server: Any) -> Iterator[str]:
    postgres_server.psql("CREATE DATABASE three;")
    yield postgres_server.get_uri("three")
    postgres_server.psql("DROP DATABASE three WITH (FORCE);")


@asynccontextmanager
async def three(database: str, home: Path) -> AsyncIterator[list[Serve]]:
    settings = {"DATABASE": database, "SECRET_KEY": KEY}
    processes = [
        Serve(home / "a", **settings),
        Worker(home / "b", **settings),
        Worker(home / "c", **settings),
    ]
    try:
        for process in processes:  # one after another, so that their epochs are known by their age
            await process.start()
        yield processes
    finally:
        for process in processes:
            await process.kill()


async def held_by(query: Query, epoch: str) -> dict[str, str]:
    """What an epoch holds: events by their delivery."""
    rows = await query.fetch("SELECT id, event FROM deliveries WHERE owner = $1", epoch)
    return {row["id"]: row["event"] for row in rows}


async def crashed(query: Query) -> set[str]:
    rows = await query.fetch("SELECT delivery FROM attempts WHERE error = 'crashed'")
    return {row["delivery"] for row in rows}


async def taken_over(query: Query, epoch: str, held: set[str]) -> float:
    """How long it takes until nothing is the epoch's any more, and all it held has a crashed attempt."""
    began = time.monotonic()

    async def true() -> bool:
        return not await held_by(query, epoch) and held <= await crashed(query)

    await until("the take-over", true)
    return time.monotonic() - began


async def load(server: Serve, http: aiohttp.ClientSession) -> None:
    """Events without end, which a quick receiver gets."""
    while True:
        await server.call(http, "POST", "/v1/events", {"type": "it.runs", "data": {}})
        await asyncio.sleep(LOAD_PAUSE)


async def test_the_work_of_one_that_is_killed_or_frozen_is_done_by_the_others(
    database: str,
    tmp_path: Path,
    receiver: Receiver,
    http: aiohttp.ClientSession,
    record_property: Callable[[str, object], None],
) -> None:
    release = asyncio.Event()

    async def hold(got: Got) -> None:
        if got.path == "/hangs":
            await release.wait()

    receiver.hold = hold
    query: Query = await asyncpg.connect(database)
    async with three(database, tmp_path) as [serve, killed, frozen]:
        epochs = [
            row["epoch"] for row in await query.fetch("SELECT epoch FROM processes ORDER BY started_at")
        ]
        await serve.make_key()
        for kind in ("hangs", "runs"):
            action = {"kind": "webhook", "url": f"{receiver.url}/{kind}"}
            hook = {"on": [f"it.{kind}"], "do": action, "retry": {"timeout": "60s"}}
            await serve.call(http, "POST", "/v1/hooks", hook)
        await serve.call(http, "POST", "/v1/events", [{"type": "it.hangs", "data": {}}] * SLOW)

        async def all_hold() -> bool:
            return all([await held_by(query, epoch) for epoch in epochs])

        def full() -> bool:
            return sum(got.path == "/hangs" for got in receiver.got) == len(epochs) * CONCURRENCY

        await until("each process to hold some", all_hold)
        await until("three full lanes", full)
        loading = asyncio.create_task(load(serve, http))
        await killed.kill()
        frozen.freeze()
        lost, robbed = [await held_by(query, epoch) for epoch in epochs[1:]]
        begun = {got.headers["webhook-id"] for got in receiver.got}
        seconds = await taken_over(query, epochs[1], {*lost})
        record_property("seconds_until_back", round(seconds, 2))
        await taken_over(query, epochs[2], {*robbed})
        receiver.hold = at_once
        release.set()
        frozen.thaw()
        loading.cancel()
        await until("the end of all", lambda: all_succeeded(serve, http))
        unbegun = {event for event in robbed.values() if event not in begun}
        await everything_came(serve, http, receiver, unbegun)
        assert [await serve.stop(), await frozen.stop()] == [0, 0]
    await query.close()


async def everything_came(
    server: Serve, http: aiohttp.ClientSession, receiver: Receiver, unbegun: set[str]
) -> None:
    """Each came, and no more often than its attempts tell; who was robbed began nothing that he had not begun."""
    counts = Counter(got.headers["webhook-id"] for got in receiver.got)
    deliveries = await everything(server, http, "/v1/deliveries")
    assert len(deliveries) > SLOW
    assert unbegun and {counts[event] for event in unbegun} == {1}
    for delivery in deliveries:
        count = counts[delivery["event"]]
        assert count >= 1
        if count > 1:
            attempts = await attempts_of(server, http, delivery["id"])
            assert count <= len(attempts) and "crashed" in {attempt["error"] for attempt in attempts}
