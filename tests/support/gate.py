"""A receiver that answers nobody until it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class Gate:
    """``came`` has the bodies in the order in which they came, ``inside`` how many of them wait for their answer."""

    def __init__(self) -> None:
        self.came: list[Any] = []
        self.inside = self.most = 0
        self.url = ""
        self._open = asyncio.Event()
        self._more = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.came.append(json.loads(await request.read()))
        self.inside += 1
        self.most = max(self.most, self.inside)
        self._more.set()
        await self._open.wait()
        self.inside -= 1
        return web.Response(status=204)

    async def have(self, count: int) -> None:
        """Return when so many have come."""
        while len(self.came) < count:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 20)

    def open(self) -> None:
        self._open.set()


@asynccontextmanager
async def gated() -> AsyncIterator[Gate]:
    gate = Gate()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", gate.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gate.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    try:
        yield gate
    finally:
        gate.open()
        await runner.cleanup()
