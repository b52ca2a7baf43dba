"""What the small servers of the command line share: reading a request's body, sending an answer (ASGI 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by their names in lower case; of several with one name the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Receive, most: int) -> bytes | None:
    """The body, of which no more than ``most`` bytes are kept; ``None`` when the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")[: most - len(body)]
        if not message.get("more_body", False):
            return bytes(body)


async def respond(send: Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    if status != 204:
        fields.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})
