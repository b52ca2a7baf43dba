"""A whole Hookline behind its HTTP face: uvicorn on loopback, SQLite, and whatever SMTP server it is given."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from hookline.app import App, build
from hookline.rules.keys import digest, new_key
from hookline.settings import Settings


class Site:
    """A running Hookline, called over HTTP with a key that may do everything."""

    def __init__(self, url: str, app: App, client: aiohttp.ClientSession) -> None:
        self.url, self.app, self.key = url, app, ""
        self._client = client

    async def new_key(self) -> str:
        key, text = new_key(
            "default", "page", "manage", self.app.services.clock.now(), secrets.token_bytes(32)
        )
        await self.app.services.storage.access.put_key(key, digest(text))
        return text

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of `/v1`, which has to be a success."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with self._client.request(method, f"{self.url}/v1{path}", json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json(content_type=None)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        """What a browser or a mail program would fetch, without a key; the body is read."""
        async with self._client.get(self.url + path, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return answer

    async def send_campaign(self, name: str, *addresses: str) -> str:
        """Mail a new list of these addresses; the campaign's id."""
        listed = await self.call("POST", "/lists", {"name": f"readers of {name}"})
        for address in addresses:
            await self.call("POST", "/contacts", {"email": address, "lists": [listed["id"]]})
        campaign = await self.call(
            "POST",
            "/campaigns",
            {
                "name": name,
                "list": listed["id"],
                "from": "Shop <shop@example.com>",
                "subject": f"News of {name}",
                "html": '<p>Hello, <a href="https://shop.example/">look</a></p>',
            },
        )
        await self.call("POST", f"/campaigns/{campaign['id']}/send")
        return str(campaign["id"])


@asynccontextmanager
async def serving(home: Path, smtp_url: str) -> AsyncIterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # it takes calls from here on
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = Settings(home=str(home), public_url=url, smtp_url=smtp_url, allow_targets="127.0.0.0/8")
        app = await build(settings)
        await app.start()
        config = uvicorn.Config(app.asgi, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listening]))
        try:
            async with aiohttp.ClientSession() as client:
                site = Site(url, app, client)
                site.key = await site.new_key()
                yield site
        finally:
            server.should_exit = True
            await running
            await app.stop()
