"""kill -9 in each phase of a delivery's life: before the commit, before the act, during it, before settling.

The phases are reached from outside: by a receiver that keeps its answer to itself, and by somebody else who
holds the database's lock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from hookline.dispatch.lanes import CONCURRENCY
from support.mailserver import serving_mail
from support.process import Serve
from support.receiver import Got, Receiver, at_once
from support.waiting import attempts_of, everything, states, until

from .conftest import Place

UNBEGUN = 8


async def answered_in_turn(server: Serve, http: aiohttp.ClientSession) -> None:
    """Return when the server has taken in all that it had been sent before: it reads in turn."""
    for _ in range(3):
        async with http.get(f"{server.url}/health/live") as answer:
            assert answer.status == 200


async def test_killed_before_the_commit_nothing_is_half_stored_and_sending_again_works(
    place: Place, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    server = Serve(place.home, **place.settings)
    await server.start()
    await server.make_key()
    hook = {"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}}
    await server.call(http, "POST", "/v1/hooks", hook)
    body = b'{"type": "order.paid", "id": "order-17", "data": {}}'
    head = (
        f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    host, port = server.url.removeprefix("http://").split(":")
    async with place.locked():
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + body)
        await writer.drain()
        await answered_in_turn(server, http)
        await server.kill()
        assert b"202" not in await answer_of(reader), "it was not promised"
        writer.close()
    await server.start()
    assert await everything(server, http, "/v1/events") == []
    event = {"type": "order.paid", "id": "order-17", "data": {}}
    again = await server.call(http, "POST", "/v1/events", event)
    assert (again["duplicate"], again["deliveries"]) == (False, 1)
    await until("the delivery", lambda: len(receiver.got) == 1)
    assert receiver.got[0].headers["webhook-id"] == again["id"]
    assert await server.stop() == 0


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


class Phases:
    """Deliveries in every phase after the commit, at one moment."""

    def __init__(self, server: Serve, place: Place, receiver: Receiver, http: aiohttp.ClientSession) -> None:
        self.server, self.place, self.receiver, self.http = server, place, receiver, http
        self.stack = AsyncExitStack()
        self.release = asyncio.Event()
        self.answered = asyncio.Event()

    async def hold(self, got: Got) -> None:
        if got.path == "/hangs":
            await self.release.wait()
        else:  # from here on nothing can be stored, and now it is answered
            await self.stack.enter_async_context(self.place.locked())
            self.answered.set()

    async def publish(self, kind: str, count: int) -> None:
        await self.server.call(self.http, "POST", "/v1/events", [{"type": kind, "data": {}}] * count)

    async def reach(self) -> None:
        """Mail is being handed over, a lane is full of receivers that hang with more behind them, and one
        delivery was answered but not written down."""
        for kind in ("hangs", "answers"):
            action = {"kind": "webhook", "url": f"{self.receiver.url}/{kind}"}
            await self.server.call(self.http, "POST", "/v1/hooks", {"on": [f"it.{kind}"], "do": action})
        mail = {
            "kind": "email", "to": "ada@example.com", "from": "shop@example.com", "subject": "Hi",
            "text": "Hi", "stream": "transactional",
        }  # fmt: skip
        await self.server.call(self.http, "POST", "/v1/hooks", {"on": ["it.mails"], "do": mail})
        self.receiver.hold = self.hold
        await self.publish("it.hangs", CONCURRENCY + UNBEGUN)
        await until("a full lane", lambda: len(self.receiver.got) == CONCURRENCY)


async def test_killed_before_during_and_after_the_act_everything_comes_and_what_came_twice_is_told(
    place: Place, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    async with serving_mail() as post:
        smtp = {"SMTP_URL": post.url, "PUBLIC_URL": "http://mail.example"}
        server = Serve(place.home, **place.settings, **smtp)
        await server.start()
        await server.make_key()
        phases = Phases(server, place, receiver, http)
        handed, release = asyncio.Event(), asyncio.Event()

        async def never_thanked() -> None:
            handed.set()
            await release.wait()

        post.hold = never_thanked
        await phases.reach()
        await phases.publish("it.mails", 1)
        await asyncio.wait_for(handed.wait(), 30)
        await phases.publish("it.answers", 1)
        await asyncio.wait_for(phases.answered.wait(), 30)
        await answered_in_turn(server, http)
        await server.kill()
        await phases.stack.aclose()
        first = Counter(got.headers["webhook-id"] for got in receiver.got)
        receiver.hold, post.hold = at_once, None
        release.set()
        phases.release.set()
        await server.start()
        done = {"succeeded": CONCURRENCY + UNBEGUN + 1, "failed": 1}
        await until("the end of all", lambda: same(states(server, http), done))
        await everything_is_told(server, http, receiver, first)
        assert len(post.mails) == 1, "a mail in doubt is not sent again"
        assert await server.stop() == 0


async def same(found: Any, wanted: dict[str, int]) -> bool:
    return bool(await found == wanted)


async def everything_is_told(
    server: Serve, http: aiohttp.ClientSession, receiver: Receiver, first: Counter[str]
) -> None:
    """Each came once more than it had come before the kill, and each time is one of its attempts."""
    assert len(first) == CONCURRENCY + 1
    counts = Counter(got.headers["webhook-id"] for got in receiver.got)
    for delivery in await everything(server, http, "/v1/deliveries"):
        recorded = [a["error"] for a in await attempts_of(server, http, delivery["id"])]
        if delivery["kind"] == "email":
            assert recorded == ["crashed"] and delivery["error"] == "crashed"
        else:
            assert recorded == ["crashed", None]
            assert counts[delivery["event"]] == first[delivery["event"]] + 1
