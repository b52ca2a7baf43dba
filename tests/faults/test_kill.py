"""kill -9 in the middle of a burst, again and again: nothing that was answered with 202 is lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import aiohttp

from support.process import Serve
from support.receiver import Receiver, receiving

BURST = 500
KILLS = 10
CLIENTS = 16


async def burst(
    server: Serve, http: aiohttp.ClientSession, accepted: set[str], round_: int, goal: int
) -> None:
    """Publish a burst, and kill the server when so many of it are accepted."""
    numbers = iter(range(BURST))
    before = len(accepted)
    reached = asyncio.Event()

    async def client() -> None:
        for number in numbers:
            event = {"type": "order.paid", "id": f"{round_}-{number}", "data": {"number": number}}
            headers = {"authorization": f"Bearer {server.key}"}
            try:
                async with http.post(f"{server.url}/v1/events", json=event, headers=headers) as answer:
                    assert answer.status == 202, await answer.text()
                    accepted.add((await answer.json())["id"])
            except aiohttp.ClientError:
                return
            if len(accepted) - before >= goal:
                reached.set()

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    await reached.wait()
    await server.kill()
    await asyncio.gather(*clients)


async def everything_received(receiver: Receiver, accepted: set[str]) -> None:
    missing = set(accepted)
    arrived = asyncio.Event()

    def note(_: object) -> None:
        arrived.set()

    receiver.on_request = note
    while missing := missing - {got.headers["webhook-id"] for got in receiver.got}:
        arrived.clear()
        await asyncio.wait_for(arrived.wait(), 30)


async def test_accepted_events_survive_ten_kills_and_only_those_in_flight_come_twice(tmp_path: Path) -> None:
    chance = random.Random(17)
    accepted: set[str] = set()
    server = Serve(tmp_path)
    async with receiving() as receiver, aiohttp.ClientSession() as http:
        await server.start()
        await server.make_key()
        hook = {"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}}
        secret = (await server.call(http, "POST", "/v1/hooks", hook))["secret"]
        for round_ in range(KILLS):
            await burst(server, http, accepted, round_, chance.randrange(BURST // 10, BURST * 9 // 10))
            await server.start()
        await everything_received(receiver, accepted)
        counts = Counter(got.headers["webhook-id"] for got in receiver.got)
        twice = [name for name, count in counts.items() if count > 1]
        for name in twice:
            (delivery,) = (await server.call(http, "GET", f"/v1/deliveries?event={name}"))["data"]
            shown = await server.call(http, "GET", f"/v1/deliveries/{delivery['id']}")
            crashes = [a for a in shown["attempts"] if a["error"] == "crashed"]
            assert counts[name] <= 1 + len(crashes), "only what was in flight at a kill comes again"
        receiver.verified(secret)
        await server.stop()
    assert len(accepted) > BURST
    assert set(counts) >= accepted
