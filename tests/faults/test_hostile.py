"""Receivers that do everything wrong, at once, through the whole engine: all is recorded, and all comes at last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import aiohttp

from support.process import Serve
from support.rawserver import Handler, Server, serving
from support.waiting import all_succeeded, attempts_of, everything, until

EVENTS = 24
TIMEOUT = "1s"
SCHEDULE = ["1s"] * 30
MEMORY = 64 * 2**20
SPARE_FILES = 12
PADDING = "x" * 4000
GOOD = b"HTTP/1.1 204 No Content\r\n\r\n"
HUGE = 100 * 2**20
CHUNK = bytes(256 * 1024)

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


class Sickness:
    """What is wrong with a receiver, until it is healed. ``calls`` are the requests that it has seen the head of."""

    def __init__(
        self, act: Callable[[Sickness, Reader, Writer], Awaitable[None]], *, reads: bool = True
    ) -> None:
        self.act = act
        self.reads = reads
        self.ill = True
        self.calls = 0

    def handler(self, server: Server) -> Handler:
        async def handle(reader: Reader, writer: Writer) -> None:
            while True:
                if self.ill and not self.reads:
                    await reader.readuntil(b"\r\n\r\n")
                else:
                    await server.request(reader)
                self.calls += 1
                if not self.ill:
                    writer.write(GOOD)
                    await writer.drain()
                    continue
                await self.act(self, reader, writer)
                if writer.is_closing():
                    return

        return handle


async def never_answers(_: Sickness, reader: Reader, _writer: Writer) -> None:
    while await reader.read(65536):
        pass
    raise ConnectionResetError


async def drips(_: Sickness, _reader: Reader, writer: Writer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def resets(_: Sickness, _reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 O")
    await writer.drain()
    writer.transport.abort()


async def talks_nonsense(_: Sickness, _reader: Reader, writer: Writer) -> None:
    writer.write(bytes(range(256)) * 4)
    await writer.drain()
    writer.close()


async def hangs_up_without_a_word(_: Sickness, _reader: Reader, writer: Writer) -> None:
    writer.write(GOOD)
    await writer.drain()
    writer.close()


async def hangs_up_on_every_other_request(it: Sickness, _reader: Reader, writer: Writer) -> None:
    if it.calls % 2:
        writer.write(GOOD)
        await writer.drain()
    else:
        writer.transport.abort()


async def answers_before_it_has_read(_: Sickness, _reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def says_too_much(_: Sickness, _reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 500 Oh no\r\ncontent-length: %d\r\n\r\n" % HUGE)
    for _chunk in range(HUGE // len(CHUNK)):
        writer.write(CHUNK)
        await writer.drain()


def all_sicknesses() -> dict[str, Sickness]:
    return {
        "silent": Sickness(never_answers),
        "drips": Sickness(drips),
        "resets": Sickness(resets),
        "nonsense": Sickness(talks_nonsense),
        "hangs-up": Sickness(hangs_up_without_a_word),
        "hangs-up-in-between": Sickness(hangs_up_on_every_other_request),
        "hasty": Sickness(answers_before_it_has_read, reads=False),
        "talkative": Sickness(says_too_much),
    }


async def test_receivers_that_do_everything_wrong_get_everything_and_every_try_is_recorded(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    server = Serve(tmp_path)
    await server.start()
    await server.make_key()
    sicknesses = all_sicknesses()
    hooks: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for name, sickness in sicknesses.items():
            receiver = await stack.enter_async_context(serving(sickness.handler))
            action = {"kind": "webhook", "url": receiver.url()}
            hook = {"on": ["order.*"], "do": action, "retry": {"schedule": SCHEDULE, "timeout": TIMEOUT}}
            hooks[name] = (await server.call(http, "POST", "/v1/hooks", hook))["id"]
        memory, files = server.memory, server.open_files
        events = [{"type": "order.paid", "data": {"n": n, "padding": PADDING}} for n in range(EVENTS)]
        await server.call(http, "POST", "/v1/events", events)
        await until("all to be tried", lambda: all(one.calls >= EVENTS for one in sicknesses.values()))
        assert server.memory < memory + MEMORY
        for sickness in sicknesses.values():
            sickness.ill = False
        await until("the end of all", lambda: all_succeeded(server, http))
        assert server.memory < memory + MEMORY
        for name, hook_id in hooks.items():
            await every_call_is_recorded(server, http, hook_id, sicknesses[name])
        await until("its files to be closed", lambda: server.open_files <= files + SPARE_FILES)
        assert await server.stop() == 0
    assert server.log.count("\n") < 5, server.log


async def every_call_is_recorded(
    server: Serve, http: aiohttp.ClientSession, hook: str, sickness: Sickness
) -> None:
    deliveries = await everything(server, http, f"/v1/deliveries?hook={hook}")
    assert len(deliveries) == EVENTS
    recorded = 0
    for delivery in deliveries:
        attempts = await attempts_of(server, http, delivery["id"])
        assert [a["error"] for a in attempts].index(None) == len(attempts) - 1, (
            "the last, and only it, succeeded"
        )
        recorded += len(attempts)
    assert EVENTS <= sickness.calls <= recorded
