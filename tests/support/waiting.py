"""Waiting for what happens in another process: a condition, asked for again, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from support.process import Serve

DEADLINE = 60.0
PAUSE = 0.05


async def until(what: str, true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once it is true; AssertionError, saying ``what`` was waited for, when that takes a minute."""
    end = asyncio.get_running_loop().time() + DEADLINE
    while True:
        held = true()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < end, f"in vain was waited for {what}"
        await asyncio.sleep(PAUSE)


async def everything(server: Serve, http: aiohttp.ClientSession, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    after = ""
    separator = "&" if "?" in path else "?"
    while True:
        page = await server.call(http, "GET", f"{path}{separator}limit=250{after}")
        found += page["data"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


async def states(server: Serve, http: aiohttp.ClientSession, query: str = "") -> dict[str, int]:
    """How many deliveries are in which state."""
    counts: dict[str, int] = {}
    for delivery in await everything(server, http, f"/v1/deliveries{query}"):
        counts[delivery["state"]] = counts.get(delivery["state"], 0) + 1
    return counts


async def all_succeeded(server: Serve, http: aiohttp.ClientSession) -> bool:
    """Whether every delivery has succeeded. Asked twice: one may slip from state to state between the questions."""
    for state in ("waiting", "queued", "sending", "failed", "cancelled", "held") * 2:
        if (await server.call(http, "GET", f"/v1/deliveries?limit=1&state={state}"))["data"]:
            return False
    return True


async def attempts_of(server: Serve, http: aiohttp.ClientSession, delivery: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await server.call(http, "GET", f"/v1/deliveries/{delivery}"))["attempts"]
    return found
