"""A raw server on loopback that says and does what HTTP servers should not, and a client to send to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from hookline.net.dns import Resolver
from hookline.net.http import HttpClient, Request, Response
from hookline.net.targets import Targets

LOOPBACK = Targets.parse("127.0.0.0/8, ::1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A raw server: what it was sent, how many connections there were, and when they ended."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.requests: list[bytes] = []
        self.over: asyncio.Queue[None] = asyncio.Queue()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, host: str = "127.0.0.1", path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.handler(reader, writer)
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            self.over.put_nowait(None)
            self._tasks.discard(task)

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Reads one whole request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        self.requests.append(head + await reader.readexactly(length))
        return self.requests[-1]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def serving(
    answer: bytes | Callable[[Server], Handler],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """Answers every request with the same bytes and closes, or does what the handler does."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(answer if isinstance(answer, bytes) else b"")
        await writer.drain()

    server = Server(once)
    if not isinstance(answer, bytes):
        server.handler = answer(server)
    listening = await asyncio.start_server(server.run, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
        listening.close()
        await server.stop()


@asynccontextmanager
async def client(
    targets: Targets = LOOPBACK,
    *,
    resolver: Resolver | None = None,
    tls: ssl.SSLContext | None = None,
    max_connections: int = 1000,
) -> AsyncIterator[HttpClient]:
    http = HttpClient(targets, resolver=resolver, tls=tls, max_connections=max_connections)
    try:
        yield http
    finally:
        await http.close()


def resolving(*answers: list[str]) -> tuple[Resolver, list[str]]:
    """A resolver that gives one answer after the other, the last one for ever, and who asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def post(
    url: str,
    body: bytes = b"{}",
    *,
    timeout: float = 15.0,
    connect_timeout: float = 5.0,
    first_byte_timeout: float | None = None,
) -> Request:
    return Request(
        method="POST",
        url=url,
        body=body,
        timeout=timeout,
        connect_timeout=connect_timeout,
        first_byte_timeout=first_byte_timeout,
    )


async def send_to(
    answer: bytes | Callable[[Server], Handler],
    *,
    timeout: float = 15.0,  # noqa: ASYNC109 -- what is tested
    first_byte_timeout: float | None = None,
) -> Response:
    async with serving(answer) as server, client() as http:
        return await http.send(post(server.url(), timeout=timeout, first_byte_timeout=first_byte_timeout))


def silent(_server: Server) -> Handler:
    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    return wait
