"""Lanes: one slow receiver is its own problem, and nothing that was held ready is lost at a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hookline.dispatch.lanes import CONCURRENCY, READY, Lanes
from hookline.model import DAY, SECOND, Delivery
from support.engine import Engine, running
from support.receiver import Receiver


@asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """A receiver that accepts connections and never answers; its URL."""
    writers: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for writer in writers:
            writer.close()


def webhook(url: str) -> dict[str, object]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}}


async def test_a_receiver_that_hangs_delays_nobody_else(engine: Engine, receiver: Receiver) -> None:
    loop = asyncio.create_task(engine.dispatcher.run())
    count = CONCURRENCY + READY + 50
    everything = asyncio.Event()

    def check(_: object) -> None:
        if len(receiver.got) == count:
            everything.set()

    receiver.on_request = check
    async with hanging() as url:
        await engine.hook(webhook(url))
        good = await engine.hook(webhook(receiver.url))
        for _ in range(count):
            await engine.publish("order.paid")
        await asyncio.wait_for(everything.wait(), 30)
        await engine.dispatcher.stop(0)
    loop.cancel()
    done = await engine.storage.deliveries.page("default", limit=250, hook=good.id, state="succeeded")
    assert len(done) >= CONCURRENCY


async def test_what_was_held_ready_goes_back_and_what_was_begun_is_taken_over(
    database_url: str | Path, receiver: Receiver
) -> None:
    count = CONCURRENCY + 20
    async with hanging() as url, running(database_url) as first:
        hook = await first.hook(webhook(url))
        for _ in range(count):
            await first.publish("order.paid")
        await first.dispatcher.stop(0)
        states = sorted(d.state for d in await first.deliveries())
        assert states == ["queued"] * 20 + ["sending"] * CONCURRENCY
    async with running(database_url) as second:
        await second.dispatcher.take_over(-DAY)
        moved = await second.storage.hooks.get("default", hook.id)
        assert moved is not None
        await second.storage.hooks.delete("default", hook.id, second.clock.now())
        states = sorted(d.state for d in await second.deliveries())
        assert states == ["cancelled"] * count


@given(st.lists(st.sampled_from(["reserve", "give_back", "enter", "leave"]), max_size=400))
def test_places_are_never_lost_or_given_twice(steps: list[str]) -> None:
    lanes, promised, running_, ready = Lanes(), 0, 0, 0
    delivery = Delivery(
        tenant="t",
        id="dlv_x",
        lane="a",
        kind="webhook",
        state="sending",
        owner="me",
        created_at=0,
        updated_at=0,
    )
    for step in steps:
        if step == "reserve":
            promised += lanes.reserve("a")
        elif step == "give_back" and promised:
            lanes.give_back("a")
            promised -= 1
        elif step == "enter" and promised:
            promised -= 1
            if lanes.enter(delivery, None, 0) == "begin":
                running_ += 1
            else:
                ready += 1
        elif step == "leave" and running_:
            if lanes.leave(delivery, 0) is None:
                running_ -= 1
            else:
                ready -= 1
        lane = lanes["a"]
        assert (lane.reserved, lane.running, len(lane.ready)) == (promised, running_, ready)
        assert running_ <= CONCURRENCY and promised + running_ + ready <= CONCURRENCY + READY
        assert not ready or running_ == CONCURRENCY


def held(name: str, tries: int = 0) -> Delivery:
    return Delivery(
        tenant="t",
        id=name,
        lane="a",
        kind="webhook",
        state="sending",
        owner="me",
        tries=tries,
        created_at=0,
        updated_at=0,
    )


def test_a_probe_waits_for_nobody_and_one_that_came_to_nothing_is_followed_by_another() -> None:
    lanes, first = Lanes(), held("dlv_0", tries=1)
    lane = lanes.of(first)
    begun = 0
    while lanes.reserve("a"):  # retries that hang, as many as may
        begun += 1
        if lanes.enter(held(f"dlv_{begun}", tries=1), None, 0) != "begin":
            break
    lanes.drain(lane)
    for number in range(10):
        failed = held(f"dlv_ill{number}")
        lanes.heard(failed, "ill", began=number, now=2 * SECOND * number, chance=0.5)
    now = 60 * SECOND
    for name in ("dlv_a", "dlv_b"):
        lane.retry_at = 1
        asked = lanes.want(lane, now)
        assert asked is not None and asked.most == 1
        lane.reserved += 1
        probe = held(name, tries=1)
        assert lanes.enter(probe, None, now) == "begin"
        assert lanes.want(lane, now) is None, "one at a time"
        assert lanes.leave(probe, now) is None  # without a word of how the receiver is
