"""The door for publishers: whatever way the bytes come, each request has its answer, and nothing unusual is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hookline.cli.behind import HEAD
from hookline.cli.door import LARGE, Quick, Waits
from hookline.cli.serving import listen, serving
from hookline.rules import tokens
from hookline.rules.ids import new_id
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

    async def end(self) -> None:
        """Say that nothing more will come, and go on listening."""
        self._writer.write_eof()

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        """Of an answer that has no body: its status, and its headers but for the date."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        fields.pop(b"date")
        return int(head[9:12]), fields

    async def rest(self) -> bytes:
        """All until the other side closes the connection."""
        return await self._reader.read()

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
    # Clients that would rather speak HTTP/2, such as Java's, offer it with each request (RFC 9110, 7.8).
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA"),
    ("Connection: Upgrade", "Upgrade: h2c", "X-Odd:no space", "Expect: 100-continue"),
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
    ("Host: h",),
    ("hOST: other",),
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


async def test_an_offer_to_upgrade_is_passed_over_on_every_way(api: Client) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    async with wire(api) as connection:
        for start in ("POST /v1/events", "POST /v1/events?", "POST /v1/events?", "POST /v1/events"):
            await connection.send(connection.event("1", *offer, start=f"{start} HTTP/1.1"))
            assert (await connection.answer())[0] == 202
        whole = connection.event("2", *offer, start="POST /v1/events? HTTP/1.1")
        cut = whole.index(b"\r\n\r\n") - 20
        await connection.send(whole[:cut], whole[cut:])
        assert (await connection.answer())[0] == 202
        text = b"x\r\nUpgrade: in a body\r\n\r\n"
        body = json.dumps({"type": "t", "data": {}, "source": text.decode()}).encode()
        await connection.send(connection.event("4", f"Content-Length: {len(body)}").split(b"\r\n\r\n")[0])
        await connection.send(b"\r\n\r\n" + body)
        status, problem = await connection.answer()
        assert (status, problem["errors"][0]["pointer"]) == (422, "#/source"), (
            "control characters, as they were sent"
        )


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


async def test_a_request_names_its_host(api: Client) -> None:
    """RFC 9112, 3.2; HTTP/1.0 did not ask for it."""
    async with wire(api) as connection:
        await connection.send(connection.event("1").replace(b"Host: h\r\n", b""))
        assert (await connection.answer())[0] == 400
        assert await connection.ended()
    async with wire(api) as connection:
        await connection.send(
            connection.event("1", start="POST /v1/events HTTP/1.0").replace(b"Host: h\r\n", b"")
        )
        assert (await connection.answer())[0] == 202


async def test_who_has_said_all_still_gets_every_answer(api: Client) -> None:
    for last in (b"", b"POST /v1/ev", b"POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{}"):
        async with wire(api) as connection:
            events = b"".join(connection.event(f"{number} {last!r}") for number in range(3))
            await connection.send(events + asking("GET", visits(api)["pixel"]) + last)
            await connection.end()
            assert [(await connection.answer())[0] for _ in range(4)] == [202, 202, 202, 200]
            assert await connection.ended()
    assert (await api.stored())[0] == 9


async def test_half_a_request_and_an_end_is_an_end(api: Client) -> None:
    async with wire(api) as connection:
        await connection.send(connection.event("1")[:-1])
        await connection.end()
        assert await connection.ended()
    assert (await api.stored())[0] == 0


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
        async with serving(nothing, listener, Quick(reply)):
            idle, idle_writer = await asyncio.open_connection(host, port)
            busy, writer = await asyncio.open_connection(host, port)
            writer.write(b"POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
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


# --- readers

TARGET = "https://shop.example/sale?a=1&b=2#top"
PHONE = "8.8.4.4"


def visits(api: Client) -> dict[str, str]:
    """What a reader of a mail may ask for."""
    key, message = api.app.services.token_key, new_id("dlv")
    return {
        "pixel": f"/t/o/{tokens.make_open(key, 'default', message)}",
        "link": f"/t/c/{tokens.make_click(key, 'default', message, TARGET, 0)}",
        "trap": f"/t/h/{tokens.MessageTokens(key, 'default', message).trap()}",
    }


def asking(method: str, path: str, *extra: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", *extra, "", ""]).encode()


async def test_readers_and_publishers_on_one_connection(api: Client) -> None:
    paths = visits(api)
    async with wire(api) as connection:
        for _ in range(2):
            await connection.send(
                asking("GET", paths["trap"]), connection.event(new_id("x")), asking("HEAD", paths["link"]),
                asking("GET", "/health/live"), asking("GET", paths["pixel"]),
            )  # fmt: skip
            answers = [await connection.answer() for _ in range(2)]
            answers.append(((await connection.head())[0], None))
            answers += [await connection.answer() for _ in range(2)]
            assert [status for status, _ in answers] == [204, 202, 302, 200, 200]
            assert answers[-1][1].startswith(b"GIF89a")


async def test_a_reader_gets_the_same_by_either_way(api: Client) -> None:
    """What has a header that the door does not know is answered by the server behind it."""
    for path in visits(api).values():
        async with wire(api) as quick, wire(api) as slow:
            await quick.send(asking("HEAD", path))
            await slow.send(asking("HEAD", path, "TE: trailers"))
            found = await quick.head()
            assert found == await slow.head()
            assert found[1][b"cache-control"] == b"no-store, private"
            await quick.send(asking("GET", path))
            await slow.send(asking("GET", path + "?x=1"))
            assert await quick.head() == await slow.head()


async def test_a_reader_who_names_no_host_is_refused(api: Client) -> None:
    async with wire(api) as connection:
        await connection.send(f"GET {visits(api)['pixel']} HTTP/1.1\r\n\r\n".encode())
        assert (await connection.rest()).startswith(b"HTTP/1.1 400")


async def test_readers_are_answered_at_the_door_and_told_apart(tmp_path: Path) -> None:
    seen: list[tuple[str, str, str | None]] = []

    class Answer:
        status, headers, body, told = 200, [(b"content-length", b"2")], b"ok", None

    def visit(method: str, path: str, _: Any, client: str | None) -> Answer | None:
        seen.append((method, path, client))
        return Answer() if path == "/t/o/good" else None

    async def behind(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(("behind", scope["path"], scope["client"][0]))
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def reply(*_: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return 202, [], b""

    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        async with serving(behind, listener, Quick(reply, visit)):
            for path in ("/t/o/good", "/t/o/bad"):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(asking("GET", path, f"X-Forwarded-For: {PHONE}, 127.0.0.1"))
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200" if "good" in path else b"HTTP/1.1 404")
                writer.close()
                await writer.wait_closed()
    assert seen == [
        ("GET", "/t/o/good", PHONE), ("GET", "/t/o/bad", PHONE), ("behind", "/t/o/bad", PHONE),
    ]  # fmt: skip


async def test_who_sends_more_than_is_answered_waits_and_gets_every_answer(tmp_path: Path) -> None:
    one, count, most = asking("GET", "/t/o/good", "X: " + "x" * 1000), 3000, 0
    left = count

    class Answer:
        status, headers, body, told = 200, [(b"content-length", b"2")], b"ok", None

    def visit(*_: Any) -> Answer:
        nonlocal left, most
        left -= 1
        most = max(most, left * len(one) - writer.transport.get_write_buffer_size())
        return Answer()

    async def nothing(*_: Any) -> Any: ...

    with listen("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE)
        async with serving(nothing, listener, Quick(nothing, visit)):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGE)
            writer.write(one * count)
            writer.write_eof()
            answers = await reader.read()
            assert answers.count(b"HTTP/1.1 200 OK\r\n") == count
            writer.close()
            await writer.wait_closed()
    assert most < 16 * LARGE  # on its way, and here unread


# --- what takes too long


@asynccontextmanager
async def bare(waits: Waits) -> AsyncIterator[Wire]:
    """A connection to a door behind which is nothing but a nod."""

    async def nothing(*_: Any) -> Any: ...

    async def nod(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        async with serving(nod, listener, Quick(nothing), waits=waits):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                yield Wire(reader, writer, "")
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


async def test_a_connection_that_brings_nothing_is_closed() -> None:
    async with bare(Waits(idle=0.01)) as connection:
        assert await connection.ended()


@pytest.mark.parametrize(
    "part",
    [
        b"POST /v1/ev",
        b"POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{}",
        b"GET /t/o/abc HTTP/1.1\r\nHo",
        b"DELETE /v1/hooks/1 HTTP/1.1\r\nX-Slow: lor",
    ],
)
async def test_a_request_that_does_not_come_to_its_end_is_given_up(part: bytes) -> None:
    async with bare(Waits(request=0.01)) as connection:
        await connection.send(part)
        assert (await connection.rest()).startswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n")


async def test_what_is_no_request_is_refused_at_once() -> None:
    for odd in (b"\x16\x03\x01\x02\x00\x01", b"hello\r\n", b"GET / HTTP/1.1\n\n\0\n\n"):
        async with bare(Waits()) as connection:
            await connection.send(odd)
            assert (await connection.rest()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("start", [b"GET /t/o/abc HTTP/1.1\r\n", b"POST /v1/events HTTP/1.1\r\n"])
async def test_a_head_full_of_spaces_is_refused_without_ado(start: bytes) -> None:
    def give_up(*_: Any) -> None:
        raise AssertionError("it takes seconds of computing")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, 5)  # of what would be a quarter of a minute
    try:
        async with bare(Waits()) as connection:
            await connection.send(start + b"Host: h\r\nX:" + b" " * 60_000 + b"\x01\r\n\r\n")
            assert (await connection.rest()).startswith(b"HTTP/1.1 400")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


FIRST = b"GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n"


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", FIRST, FIRST + b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize("part", [b"x" * 1000, b"X: y\r\n" * 200])
async def test_a_head_that_does_not_come_to_its_end_is_too_large(start: bytes, part: bytes) -> None:
    async with bare(Waits()) as connection:
        more = b"GET / HTTP/1.1\r\nX: " if start == FIRST else b""
        answer = b"HTTP/1.1 431 "
        with contextlib.suppress(ConnectionError):  # what is not read may take the answer with it
            await connection.send(start, more, *[part] * (2 * HEAD // len(part)))
            answer = await connection.rest()
        assert b"HTTP/1.1 431 " in answer


@pytest.mark.parametrize("parts", [(FIRST + b"GET / HT",), (FIRST, b"GET / HT")])
async def test_what_follows_behind_the_door_is_to_come_in_time_too(parts: tuple[bytes, ...]) -> None:
    async with bare(Waits(request=0.01)) as connection:
        await connection.send(*parts)
        assert b"HTTP/1.1 408 " in await connection.rest()
