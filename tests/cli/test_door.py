"""The door for publishers: whatever way the bytes come, each request has its answer, and nothing unusual is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hookline.cli.door import LARGE
from hookline.cli.serving import listen, serving
from hookline.settings import Settings
from support.client import Client, client_of


class Wire:
    """One connection, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader, self._writer, self._key = reader, writer, key

    def event(self, name: str, *extra: str, start: str = "POST /v1/events HTTP/1.1", size: int = 0) -> bytes:
        body = json.dumps({"type": "t", "id": name, "source": "s", "data": {"x": "x" * size}}).encode()
        head = [
            start,
            "Host: h",
            f"Authorization: Bearer {self._key}",
            "Content-Type: application/json",
            *extra,
        ]
        if not any("ransfer-" in line or "ontent-Len" in line for line in extra):
            head.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*head, "", ""]).encode() + body

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, Any]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if b"content-length" not in fields:
            return int(head[9:12]), None
        body = await self._reader.readexactly(int(fields[b"content-length"]))
        return int(head[9:12]), json.loads(body) if b"json" in fields.get(b"content-type", b"") else body

    async def ended(self) -> bool:
        return await self._reader.read() == b""


@asynccontextmanager
async def wire(api: Client) -> AsyncIterator[Wire]:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Wire(reader, writer, api.key)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(Settings(home=str(tmp_path), secret_key="ab" * 32)) as client:
        yield client


async def test_one_after_the_other_and_all_at_once(api: Client) -> None:
    async with wire(api) as connection:
        await connection.send(connection.event("1"))
        assert (await connection.answer())[0] == 202
        await connection.send(b"".join(connection.event(str(number)) for number in range(2, 30)))
        answers = [await connection.answer() for _ in range(2, 30)]
    assert {status for status, _ in answers} == {202}
    ids = [answer["id"] for _, answer in answers]
    stored = [event.id for event in await api.app.services.storage.events.page("default", limit=100)]
    assert ids == stored[-2::-1], "answered in their order"


async def test_in_pieces(api: Client) -> None:
    for cut in (1, 5, 27, 28, 60, -1):
        async with wire(api) as connection:
            whole = connection.event(f"{cut} a") + connection.event(f"{cut} b")
            await connection.send(whole[:cut], whole[cut:])
            assert [(await connection.answer())[0] for _ in range(2)] == [202, 202]
    assert (await api.stored())[0] == 12


async def test_byte_by_byte(api: Client) -> None:
    async with wire(api) as connection:
        await connection.send(*(bytes([byte]) for byte in connection.event("1")))
        assert (await connection.answer())[0] == 202


UNUSUAL = (
    ("Connection: keep-alive",),
    ("Connection: Keep-Alive, x",),
    ("Expect: 100-continue",),
    ("X-Odd:no space", "X-Empty:"),
    ("TE: trailers",),
    ("X-Long: " + "x" * 5000,),
)
BROKEN = (
    ("Content-Length: 5", "Content-Length: 6"),
    ("Content-Length: 5", "Transfer-Encoding: chunked"),
    ("Content-Length: -1",),
    ("Content-Length: +5",),
    ("Bad Name: x",),
    ("Name : x",),
    ("X-A: 1\r\n folded",),
    ("X-A: a\0b",),
    ("X-A: a\nX-B: b\r",),
)


async def test_unusual_requests_are_answered_all_the_same(api: Client) -> None:
    for place, extra in enumerate(UNUSUAL):
        async with wire(api) as connection:
            names = [f"{place} {number}" for number in range(3)]
            await connection.send(
                connection.event(names[0]), connection.event(names[1], *extra), connection.event(names[2])
            )
            answers = [await connection.answer() for _ in range(3)]
            if answers[1] == (100, None):
                answers = [answers[0], answers[2], await connection.answer()]
        assert [status for status, _ in answers] == [202, 202, 202]
    assert (await api.stored())[0] == 3 * len(UNUSUAL)


async def test_chunks(api: Client) -> None:
    async with wire(api) as connection:
        head, _, body = connection.event("1", "Transfer-Encoding: chunked").partition(b"\r\n\r\n")
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        await connection.send(head + b"\r\n\r\n" + chunked + connection.event("2"))
        assert [(await connection.answer())[0] for _ in range(2)] == [202, 202]


async def test_large_ones_and_what_follows_them(api: Client) -> None:
    async with wire(api) as connection:
        for size in (LARGE - 2000, LARGE, 10 * LARGE):
            await connection.send(connection.event(str(size), size=size) + connection.event(f"then {size}"))
            assert [(await connection.answer())[0] for _ in range(2)] == [202, 202]
        await connection.send(connection.event("9", "Content-Length: 9000000"))
        assert (await connection.answer())[0] == 413


async def test_other_requests_on_the_same_connection(api: Client) -> None:
    async with wire(api) as connection:
        get = connection.event("x", "Content-Length: 0", start="GET /v1/events HTTP/1.1").partition(
            b"\r\n\r\n"
        )[0]
        await connection.send(connection.event("1"), get + b"\r\n\r\n", connection.event("2"))
        first, listed, second = [await connection.answer() for _ in range(3)]
    assert (first[0], listed[0], second[0]) == (202, 200, 202)
    assert [event["source_id"] for event in listed[1]["data"]] == ["1"]


async def test_what_is_broken_is_nobodys_event(api: Client) -> None:
    for extra in BROKEN:
        async with wire(api) as connection:
            await connection.send(connection.event(f"{extra}"))
            assert (await connection.answer())[0] == 202
            await connection.send(connection.event("2", *extra) + connection.event("3"))
            assert (await connection.answer())[0] == 400, extra
            assert await connection.ended()
    assert (await api.stored())[0] == len(BROKEN)


async def test_another_version_and_the_end_of_a_connection(api: Client) -> None:
    async with wire(api) as connection:
        await connection.send(connection.event("1", start="POST /v1/events HTTP/1.0"))
        assert (await connection.answer())[0] == 202
        assert await connection.ended()
    async with wire(api) as connection:
        await connection.send(connection.event("2", "Connection: close"))
        assert (await connection.answer())[0] == 202
        assert await connection.ended()


async def test_errors_are_answered_and_the_connection_goes_on(api: Client) -> None:
    async with wire(api) as connection:
        whole = connection.event("1")
        await connection.send(whole.replace(b'"data"', b'"dada"'))
        status, problem = await connection.answer()
        assert (status, problem["errors"][0]["pointer"]) == (422, "#/dada")
        await connection.send(connection.event("2", "X-Query: 1", start="POST /v1/events?x=1 HTTP/1.1"))
        assert (await connection.answer())[0] == 422
    async with wire(api) as connection:
        await connection.send(whole.replace(b"Bearer ", b"Bearer x"), whole)
        answers = [await connection.answer() for _ in range(2)]
        assert [status for status, _ in answers] == [401, 202]


async def test_a_stop_answers_what_is_under_way_and_closes_what_is_idle(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def reply(
        _fields: Any, _query: bytes, _body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        begun.set()
        await go_on.wait()
        return 202, [(b"content-length", b"2")], b"ok"

    async def nothing(*_: Any) -> None: ...

    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        async with serving(nothing, listener, reply):
            idle, idle_writer = await asyncio.open_connection(host, port)
            busy, writer = await asyncio.open_connection(host, port)
            writer.write(b"POST /v1/events HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            await begun.wait()

            async def when_the_idle_one_is_closed() -> None:
                assert await idle.read() == b""
                go_on.set()

            closing = asyncio.create_task(when_the_idle_one_is_closed())
        await closing
        answer = await busy.read()
        assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n") and b"connection: close" in answer
        for one in (writer, idle_writer):
            one.close()
            await one.wait_closed()
