"""``hookline worker``, and several processes on one PostgreSQL database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.commands import CommandLine
from support.process import Serve, Worker
from support.receiver import Receiver

KEY = "ab" * 32


@pytest.fixture
def database(postgres_server: Any) -> Iterator[str]:
    name = f"hookline_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    yield postgres_server.get_uri(name)
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


def test_a_worker_beside_sqlite_is_refused_with_the_reason(run: CommandLine) -> None:
    said = run("worker").mistake
    assert "PostgreSQL" in said and "SQLite" in said and "one serve" in said


def test_a_worker_that_cannot_reach_its_database_says_so(run: CommandLine) -> None:
    said = run("worker", DATABASE="postgresql://nobody:hunter2@127.0.0.1:1/x", SECRET_KEY=KEY).mistake
    assert "PostgreSQL" in said and "hunter2" not in said


def test_a_worker_with_another_key_is_refused(run: CommandLine, database: str) -> None:
    assert run("migrate", DATABASE=database, SECRET_KEY=KEY).code == 0
    assert "another secret key" in run("worker", DATABASE=database, SECRET_KEY="cd" * 32).mistake


async def test_processes_that_start_at_once_on_an_empty_database_share_its_work(
    tmp_path: Path, database: str, receiver: Receiver, received: Callable[[int], Awaitable[None]]
) -> None:
    settings = {"DATABASE": database, "SECRET_KEY": KEY}
    serve = Serve(tmp_path / "serve", **settings)
    workers = [Worker(tmp_path / f"worker{number}", **settings) for number in range(2)]
    try:
        await asyncio.gather(*(process.start() for process in (serve, *workers)))
        await serve.make_key()
        async with aiohttp.ClientSession() as http:
            hook = {"on": ["order.paid"], "do": {"kind": "webhook", "url": receiver.url}}
            secret = (await serve.call(http, "POST", "/v1/hooks", hook))["secret"]
        assert await serve.stop() == 0
        # Only the workers are left: a command publishes, and one of them delivers.
        event = (await serve.run("events", "publish", "order.paid")).split()[0]
        await received(1)
        assert [got.headers["webhook-id"] for got in receiver.got] == [event]
        receiver.verified(secret)
        assert [await worker.stop() for worker in workers] == [0, 0]
    finally:
        for process in (serve, *workers):
            await process.kill()
    assert "another secret key" not in serve.log and '"error"' not in workers[0].log + workers[1].log
