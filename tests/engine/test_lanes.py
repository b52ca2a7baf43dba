"""Lanes: one slow receiver is its own problem, and nothing that was held ready is lost at a stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.dispatch.lanes import CONCURRENCY, READY, Lanes
from hookline.model import DAY, SECOND, Delivery
from support.engine import Engine, running
from support.gate import gated
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


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_what_was_taken_over_and_claimed_again_is_begun_once_whatever_is_left_of_the_old(
    database_url: str,
) -> None:
    async with gated() as gate, running(database_url) as robbed, running(database_url) as robber:
        await robbed.hook(webhook(gate.url))
        for n in range(CONCURRENCY + 10):
            await robbed.publish("order.paid", {"n": n})
        await gate.have(CONCURRENCY)
        begun = {body["id"] for body in gate.came}
        await robber.dispatcher.take_over(-DAY)
        await robbed.dispatcher.claim()
        gate.open()
        await robbed.run()
        counts = Counter(body["id"] for body in gate.came)
        assert {counts[name] for name in counts.keys() - begun} == {1} and len(counts) == CONCURRENCY + 10
        assert {d.state for d in await robbed.deliveries()} == {"succeeded"}


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
            following = len(lanes.leave(delivery, 0))
            running_ += following - 1
            ready -= following
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
        assert lanes.leave(probe, now) == []  # without a word of how the receiver is


def of_lane(number: int, place: int) -> Delivery:
    return msgspec.structs.replace(held(f"dlv_{number}_{place}"), lane=f"hook_{number}")


def test_however_many_receivers_hang_there_are_connections_left_for_the_next_and_all_come_to_their_share() -> (
    None
):
    places = 1600
    lanes = Lanes(places)
    under_way: dict[int, list[Delivery]] = {}
    for number in range(100):  # they hang
        under_way[number] = []
        for place in range(CONCURRENCY + 50):
            assert lanes.reserve(f"hook_{number}")
            delivery = of_lane(number, place)
            if lanes.enter(delivery, None, 0) == "begin":
                under_way[number].append(delivery)
    counts = [len(each) for each in under_way.values()]
    assert sum(counts) < places and counts[0] == CONCURRENCY and min(counts) >= 1
    assert (
        lanes.reserve("well")
        and lanes.enter(msgspec.structs.replace(held("x"), lane="well"), None, 0) == "begin"
    )
    for _ in range(
        CONCURRENCY
    ):  # each that is given up makes room: who has much gets less, who has little more
        for each in under_way.values():
            gone = each.pop(0)
            each += [delivery for delivery, _ in lanes.leave(gone, 0)]
    counts = [len(each) for each in under_way.values()]
    assert sum(counts) < places and max(counts) - min(counts) <= 2


def test_a_lane_grows_again_when_there_is_room() -> None:
    lanes = Lanes(160)
    hanging = [of_lane(1, place) for place in range(100)]
    waiting = [of_lane(2, place) for place in range(50)]
    begun = [
        [d for d in each if lanes.reserve(d.lane) and lanes.enter(d, None, 0) == "begin"]
        for each in (hanging, waiting)
    ]
    assert [len(each) for each in begun] == [9, 8]
    gone = begun[0]
    while gone:
        gone += [delivery for delivery, _ in lanes.leave(gone.pop(), 0)]
    assert len(lanes.leave(begun[1].pop(), 0)) == 2, "one hand goes on, and another begins beside it"
