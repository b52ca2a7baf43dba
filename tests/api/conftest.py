"""A whole Hookline, served over real HTTP, and a client with a key."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import uvicorn
from support.mailserver import MailServer, serving_mail
from support.receiver import Receiver, receiving

from hookline.app import App, build
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
        """One call; ``body`` is bytes as they are, or a value to be sent as JSON."""
        headers = {"authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        if body is not None:
            options["data" if isinstance(body, bytes) or hasattr(body, "__aiter__") else "json"] = body
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            raw = await response.read()
            json = await response.json(content_type=None) if "json" in response.content_type else None
            return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, raw, json)

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return await self.call("POST", path, body, **options)

    async def hook(self, url: str = "https://shop.example/hooks", **fields: Any) -> Any:
        """A new hook, as it was answered."""
        reply = await self.post("/v1/hooks", {"on": ["*"], "do": {"kind": "webhook", "url": url}} | fields)
        assert reply.status == 201, reply.body
        return reply.json

    async def with_key(self, scope: Scope = "manage", tenant: str = "default") -> Client:
        """The same, with another key."""
        key, text = new_key(tenant, "test", scope, self.app.services.clock.now(), os.urandom(32))
        await self.app.services.storage.access.put_key(key, digest(text))
        return Client(self.session, self.url, self.app, text)

    async def stored(self) -> tuple[int, int]:
        """How many events and hooks there are."""
        storage = self.app.services.storage
        return len(await storage.events.page("default", limit=1000)), len(
            await storage.hooks.page("default", limit=1000)
        )


@contextlib.asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """The app on an ephemeral port of loopback."""
    server = uvicorn.Server(
        uvicorn.Config(app.asgi, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=2)  # type: ignore[arg-type]
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Client]:
    """A client with a key that may do everything."""
    app = await build(Settings(home=str(tmp_path), allow_targets="127.0.0.0/8", secret_key="00" * 32))
    await app.start()
    try:
        async with aiohttp.ClientSession() as session, serving(app) as url:
            yield await Client(session, url, app, "").with_key()
    finally:
        await app.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def mailserver() -> AsyncIterator[MailServer]:
    async with serving_mail() as made:
        yield made


@pytest.fixture
async def mail_api(tmp_path: Path, mailserver: MailServer) -> AsyncIterator[Client]:
    """As ``api``, with a real SMTP server behind it and a public URL for links (which is not asked for)."""
    settings = Settings(
        home=str(tmp_path),
        allow_targets="127.0.0.0/8",
        secret_key="00" * 32,
        smtp_url=mailserver.url,
        public_url="https://mail.example",
    )
    app = await build(settings)
    await app.start()
    try:
        async with aiohttp.ClientSession() as session, serving(app) as url:
            yield await Client(session, url, app, "").with_key()
    finally:
        await app.stop()
