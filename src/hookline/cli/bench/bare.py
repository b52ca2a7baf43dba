"""The yardstick: Hookline's own HTTP client in a loop, with nothing before it and nothing stored."""

from __future__ import annotations

import asyncio
import time

from hookline.cli.bench.sample import DATA
from hookline.cli.bench.servers import LOOPBACK
from hookline.cli.common import Mistake
from hookline.net.http import HttpClient, Request
from hookline.net.targets import Targets
from hookline.rules.signing import new_secret, sign

SECRET = new_secret(bytes(32))


async def bare_loop(url: str, seconds: float, connections: int) -> float:
    """How many signed deliveries of the sample this process sends in a second, each to a fast receiver."""
    client = HttpClient(Targets.parse(LOOPBACK))
    sent = 0
    began = time.monotonic()

    async def hand() -> None:
        nonlocal sent
        while time.monotonic() - began < seconds:
            response = await client.send(_request(url, sent))
            if response.status != 204:
                raise Mistake(f"the bench's receiver answers {response.status}: {response.detail}")
            sent += 1

    try:
        await asyncio.gather(*(hand() for _ in range(connections)))
        return sent / (time.monotonic() - began)
    finally:
        await client.close()


def _request(url: str, number: int) -> Request:
    name, timestamp, body = f"evt_{number}", int(time.time()), DATA % number
    headers = (
        ("content-type", "application/json"),
        ("webhook-id", name),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", sign((SECRET,), name, timestamp, body)),
    )
    return Request(method="POST", url=url, headers=headers, body=body)
