"""`GET /v1/events/stream`: Server-Sent Events, without a gap."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import StreamReader

from hookline.api import streaming
from hookline.model import Event
from support.client import Client


class Feed:
    """Reads messages of a stream as a browser would."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self.last = ""

    async def message(self) -> Any:
        """The next event."""
        data: list[bytes] = []
        async with asyncio.timeout(20):
            while True:
                line = (await self._content.readline()).rstrip(b"\n")
                if not line and data:
                    return json.loads(b"\n".join(data))
                field, _, value = line.partition(b": ")
                if field == b"data":
                    data.append(value)
                elif field == b"id":
                    self.last = value.decode()

    async def types(self, count: int) -> list[str]:
        return [(await self.message())["type"] for _ in range(count)]


@asynccontextmanager
async def following(api: Client, query: str = "", last: str | None = None) -> AsyncIterator[Feed]:
    headers = {"authorization": f"Bearer {api.key}"} | ({"last-event-id": last} if last is not None else {})
    async with api.session.get(f"{api.url}/v1/events/stream{query}", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b"retry: 1000\n"
        yield Feed(response.content)


async def test_events_come_as_they_are_accepted(api: Client) -> None:
    await api.publish("before")
    async with following(api) as feed:
        event = await api.publish("a", subject="ada@example.com", data={"x": [1, 2]})
        shown = await feed.message()
        assert (shown["id"], shown["subject"], shown["data"]) == (event, "ada@example.com", {"x": [1, 2]})
        await api.post("/v1/events", [{"type": f"b{place}", "data": place} for place in range(250)])
        assert await feed.types(250) == [f"b{place}" for place in range(250)]


async def test_a_stream_goes_on_where_it_broke(api: Client) -> None:
    async with following(api) as feed:
        await api.publish("a")
        await feed.message()
    await api.post("/v1/events", [{"type": "b", "data": 1}, {"type": "c", "data": 1}])
    async with following(api, last=feed.last) as again:
        await api.publish("d")
        assert await again.types(3) == ["b", "c", "d"]


async def test_a_stream_has_the_filters_of_the_list(api: Client) -> None:
    async with following(api, "?type=order.*&source=shop&subject=ada") as feed:
        await api.publish("order.paid", source="shop", subject="bob")
        await api.publish("order.paid", source="till", subject="ada")
        await api.publish("invoice.paid", source="shop", subject="ada")
        await api.publish("order.sent", source="shop", subject="ada")
        assert await feed.types(1) == ["order.sent"]


async def test_lines_inside_data_do_not_break_a_message(api: Client) -> None:
    async with following(api) as feed:
        await api.post("/v1/events", b'{"type":"a","data":{"x":\n\r\n"y",\r"data: z":\n\n1}}')
        assert (await feed.message())["data"] == {"x": "y", "data: z": 1}


async def test_a_wrong_place_is_named(api: Client) -> None:
    reply = await api.get("/v1/events/stream", headers={"last-event-id": "evt_x"})
    assert (reply.status, list(reply.faults)) == (422, ["Last-Event-ID"])


async def test_a_stream_ends_with_its_client(api: Client) -> None:
    def feeds() -> int:
        found = (one for one in gc.get_objects() if inspect.isasyncgen(one) and one.__name__ == "follow")
        return sum(one.ag_frame is not None for one in found)

    async with following(api):
        assert feeds() == 1
    async with asyncio.timeout(20):
        while feeds():  # noqa: ASYNC110 - nothing tells when a generator ends
            await asyncio.sleep(0.05)


async def test_a_stream_that_rarely_has_something_does_not_look_at_the_same_events_again(api: Client) -> None:
    events = api.app.services.storage.events
    looked: list[int] = []

    async def after(place: int) -> list[Event]:
        found = await events.page("default", limit=streaming.BATCH, after=place, type="rare")
        looked.append(place)
        return found

    async def allowed() -> bool:
        return True

    start = await events.last_place()
    for _ in range(3):
        await api.publish("common")
    newest = await events.last_place()
    feed = streaming.follow(after, events.last_place, start, allowed)
    assert (await anext(feed)).startswith(b"retry")
    following = asyncio.ensure_future(anext(feed))
    async with asyncio.timeout(20):
        while not looked:  # noqa: ASYNC110 - nothing tells when a stream has looked
            await asyncio.sleep(0.01)
        rare = await api.publish("rare")
        assert rare.encode() in await following
    assert looked == [start, newest]
