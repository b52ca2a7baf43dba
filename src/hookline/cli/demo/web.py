"""HTTP as the people of the demo speak it: a fetch, and the public API with a key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

TIMEOUT = 20.0


class Answer(Struct, frozen=True):
    """``headers`` are by name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request on a connection of its own; redirects are answers. OSError where nobody answers.

    In HTTP/1.0 (RFC 1945) the end of the connection is the end of the answer, so that there is little to parse.
    """
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe="/%:=@~") + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": parts.netloc, "Content-Length": str(len(body)), **(headers or {})}
    head = f"{method} {target} HTTP/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            writer.write(head.encode() + b"\r\n" + body)
            whole = await reader.read(-1)
        finally:
            writer.close()
    status, *fields = whole.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    named = (field.partition(":") for field in fields)
    return Answer(
        int(status.split(" ")[1]),
        {name.strip().lower(): value.strip() for name, _, value in named},
        whole.partition(b"\r\n\r\n")[2],
    )


class ApiRefused(Exception):
    """The API said no to what the demo relies on."""


class Api:
    """The public API at ``base``, called with a key."""

    def __init__(self, base: str, key: str) -> None:
        self._base = base
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer."""
        answer = await fetch(method, self._base + path, headers=self._headers, body=body)
        if answer.status >= 300:
            said = answer.body.decode("utf-8", "replace")[:500]
            raise ApiRefused(f"{method} {path} was answered {answer.status}: {said}")
        return answer.body

    async def post(self, path: str, value: Any = None) -> Any:
        said = await self.call("POST", path, b"" if value is None else msgspec.json.encode(value))
        return msgspec.json.decode(said)

    async def get(self, path: str, **query: str) -> Any:
        return msgspec.json.decode(await self.call("GET", path + (f"?{urlencode(query)}" if query else "")))

    async def all(self, path: str, **query: str) -> list[Any]:
        """Every item of a list, page after page, the newest first."""
        page = await self.get(path, limit="250", **query)
        found: list[Any] = page["data"]
        while page["next"] is not None:
            page = await self.get(path, limit="250", after=page["next"], **query)
            found += page["data"]
        return found
