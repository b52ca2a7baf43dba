"""A whole Hookline on loopback, and a client that speaks to its API with one key."""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import aiohttp

from hookline.app import App, build
from hookline.cli.asgi import Asgi
from hookline.cli.door import Quick
from hookline.cli.serving import address_of, listen
from hookline.cli.serving import serving as server
from hookline.clock import Clock
from hookline.net.dns import Resolver
from hookline.rules.keys import Scope, digest, new_key
from hookline.settings import Settings


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    json: Any

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by pointer or parameter."""
        return {one.get("pointer") or one.get("parameter"): one["detail"] for one in self.json["errors"]}


class Client:
    """Speaks to one Hookline with one key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, app: App, key: str) -> None:
        self.session, self.url, self.app, self.key = session, url, app, key

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """One call; ``body`` is bytes as they are, or a value to be sent as JSON. A header that is None is left out."""
        headers = {"authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        if hasattr(body, "__aiter__"):
            options["data"] = body
        elif body is not None:
            options["data"] = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
            headers.setdefault("content-type", "application/json")
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            raw = await response.read()
            kind = response.content_type
            value = json.loads(raw) if raw and kind.endswith(("/json", "+json")) else None
            return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, raw, value)

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return await self.call("POST", path, body, **options)

    async def patch(self, path: str, body: Any) -> Reply:
        return await self.call("PATCH", path, body)

    async def hook(self, url: str = "https://shop.example/hooks", **fields: Any) -> Any:
        """A new hook, as it was answered."""
        reply = await self.post("/v1/hooks", {"on": ["*"], "do": {"kind": "webhook", "url": url}} | fields)
        assert reply.status == 201, reply.body
        return reply.json

    async def publish(self, kind: str = "order.paid", **fields: Any) -> str:
        """A new event's id."""
        reply = await self.post("/v1/events", {"type": kind, "data": {}} | fields)
        assert reply.status == 202, reply.body
        return str(reply.json["id"])

    async def with_key(self, scope: Scope = "manage", tenant: str = "default") -> Client:
        """The same, with another key."""
        key, text = new_key(tenant, "test", scope, self.app.services.clock.now(), os.urandom(32))
        await self.app.services.storage.access.put_key(key, digest(text))
        return Client(self.session, self.url, self.app, text)

    async def settled(self) -> None:
        """Return when all that was answered is stored, and everything due was delivered."""
        await self.app.asgi.idle()
        await self.app.services.dispatcher.idle()

    async def stored(self) -> tuple[int, int]:
        """How many events and hooks there are."""
        storage = self.app.services.storage
        events = await storage.events.page("default", limit=10_000)
        return len(events), len(await storage.hooks.page("default", limit=10_000))


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """The app on an ephemeral port of loopback; connections wait in the socket until it accepts them."""
    quick = Quick(app.asgi.publisher.reply, app.asgi.hits.visit)
    with listen("127.0.0.1", 0) as listener:
        async with server(cast("Asgi", app.asgi), listener, quick):
            yield f"http://{address_of(listener)}"


async def loopback(host: str, _port: int) -> list[str]:
    """A resolver that knows this machine, and asks nobody."""
    known = {"localhost": ["127.0.0.1"], "127.0.0.1": ["127.0.0.1"]}
    if host not in known:
        raise OSError(f"{host} is not known here")
    return known[host]


@asynccontextmanager
async def client_of(
    settings: Settings, clock: Clock | None = None, resolver: Resolver = loopback
) -> AsyncIterator[Client]:
    """A started Hookline and a client of it with a key that may do everything."""
    app = await build(settings, clock=clock, resolver=resolver)
    await app.start()
    try:
        async with aiohttp.ClientSession() as session, serving(app) as url:
            yield await Client(session, url, app, "").with_key()
    finally:
        await app.stop()
