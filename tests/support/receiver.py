"""A real HTTP receiver on loopback that keeps what it got and answers as it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from standardwebhooks.webhooks import Webhook


class Got(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def at_once(_got: Got) -> None:
    """Keeps nobody waiting."""


class Receiver:
    """``answers`` are statuses for the next requests, then 204 for ever; ``hold`` is awaited before each answer."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.body = b""
        self.url = ""
        self.on_request: Callable[[Got], None] = lambda got: None
        self.hold: Callable[[Got], Awaitable[None]] = at_once

    async def handle(self, request: web.Request) -> web.Response:
        got = Got(request.path_qs, {k.lower(): v for k, v in request.headers.items()}, await request.read())
        self.got.append(got)
        self.on_request(got)
        await self.hold(got)
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers=self.headers, body=self.body)

    def verified(self, secret: str) -> list[Any]:
        """Every body, after the public Standard Webhooks library has verified its signature."""
        return [Webhook(secret).verify(got.body, got.headers) for got in self.got]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    receiver.url = f"http://127.0.0.1:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
