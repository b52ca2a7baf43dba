"""PostgreSQL is stopped, or stands still, under load: refused meanwhile, nothing lost, all goes on by itself.

HOOKLINE_TEST_OUTAGE is how many seconds longer it is away than it takes until all are refused.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from support.postgres import Postgres, own_postgres
from support.process import Serve, Worker
from support.receiver import Receiver
from support.waiting import all_succeeded, attempts_of, everything, until

from .conftest import KEY

AWAY_SECONDS = float(os.environ.get("HOOKLINE_TEST_OUTAGE", "0"))
PATIENCE = aiohttp.ClientTimeout(60)
CLIENTS = 8
LOG_LINES = 40
MEMORY = 64 * 2**20


class Publishers:
    """Clients that publish without end, and send again under the same id what was not accepted."""

    def __init__(self, server: Serve, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http
        self.accepted: dict[str, str] = {}
        self.refused = Counter[int]()
        self.over = False
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(CLIENTS)]

    async def stop(self) -> None:
        self.over = True
        await asyncio.gather(*self._tasks)

    async def _run(self, client: int) -> None:
        count = 0
        while not self.over:
            accepted = await self._publish(f"{client}-{count}")
            count += accepted
            await asyncio.sleep(0.02 if accepted else 0.1)

    async def _publish(self, name: str) -> bool:
        event = {"type": "order.paid", "id": name, "data": {}}
        headers = {"authorization": f"Bearer {self.server.key}"}
        url = f"{self.server.url}/v1/events"
        async with self.http.post(url, json=event, headers=headers, timeout=PATIENCE) as answer:
            if answer.status == 202:
                self.accepted[name] = (await answer.json())["id"]
                return True
            assert answer.status == 503, await answer.text()
            assert answer.content_type == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            self.refused[answer.status] += 1
            return False


async def refused_meanwhile(server: Serve, http: aiohttp.ClientSession) -> None:
    """Whoever wants to read or write is told that the database is away; the process itself lives."""
    headers = {"authorization": f"Bearer {server.key}"}
    for path in ("/v1/events", "/v1/deliveries", "/v1/hooks", "/health/ready"):
        async with http.get(f"{server.url}{path}", headers=headers) as answer:
            assert answer.status == 503, path
            assert answer.content_type == "application/problem+json"
            assert "retry-after" in answer.headers
    async with http.get(f"{server.url}/health/live") as answer:
        assert answer.status == 200


async def away(how: str, postgres: Postgres, publishers: Publishers) -> None:
    if how == "frozen":
        postgres.freeze()
    else:
        await postgres.stop()
    await until("all to be refused", lambda: publishers.refused[503] >= CLIENTS)
    await refused_meanwhile(publishers.server, publishers.http)
    await asyncio.sleep(AWAY_SECONDS)
    if how == "frozen":
        postgres.thaw()
    else:
        await postgres.start()


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_an_outage_is_told_and_waited_out(
    how: str, tmp_path: Path, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    with own_postgres() as postgres:
        settings = {"DATABASE": postgres.url, "SECRET_KEY": KEY}
        server, worker = Serve(tmp_path / "serve", **settings), Worker(tmp_path / "worker", **settings)
        await server.start()
        await worker.start()
        await server.make_key()
        for number in range(3):
            action = {"kind": "webhook", "url": f"{receiver.url}/{number}"}
            await server.call(http, "POST", "/v1/hooks", {"on": ["order.*"], "do": action})
        publishers = Publishers(server, http)
        await until("a start", lambda: len(publishers.accepted) > 50)
        before = [process.memory for process in (server, worker)]
        await away(how, postgres, publishers)
        known = len(publishers.accepted)
        await until("accepting again", lambda: len(publishers.accepted) > known + 50)
        await publishers.stop()
        await until("the end of all", lambda: all_succeeded(server, http))
        await counted(server, http, receiver, publishers)
        for process, was in zip((server, worker), before, strict=True):
            assert process.memory < was + MEMORY
            assert await process.stop() == 0
            assert process.log.count("\n") < LOG_LINES, process.log


async def counted(
    server: Serve, http: aiohttp.ClientSession, receiver: Receiver, publishers: Publishers
) -> None:
    """Accepted is delivered, thrice for three hooks, and who was called twice finds the reason told."""
    counts = Counter((got.path, got.headers["webhook-id"]) for got in receiver.got)
    names = {event for _, event in counts}
    for event in set(publishers.accepted.values()) - names:
        raise AssertionError(await everything(server, http, f"/v1/deliveries?event={event}"))
    assert names == set(publishers.accepted.values()), "nothing else was stored"
    assert len(counts) == 3 * len(names)
    for event in {event for (_, event), count in counts.items() if count > 1}:
        recorded = 0
        for delivery in await everything(server, http, f"/v1/deliveries?event={event}"):
            recorded += len(await attempts_of(server, http, delivery["id"]))
        assert sum(counts[f"/{number}", event] for number in range(3)) <= recorded
