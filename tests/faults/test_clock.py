"""The machine's clock is set back an hour, under a process that runs, and before one that starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hookline.clock import RealClock
from hookline.model import DAY, HOUR, MINUTE, SECOND
from support.engine import START, running
from support.receiver import Receiver

NANO = 1000


class Machine:
    """A clock on the wall that can be set, and a steady one that cannot."""

    def __init__(self) -> None:
        self.wall = START * NANO
        self.steady = 5 * NANO
        self.clock = RealClock(lambda: self.wall, lambda: self.steady)

    def runs(self, micros: int) -> None:
        self.wall += micros * NANO
        self.steady += micros * NANO

    def set_by(self, micros: int) -> None:
        self.wall += micros * NANO


def test_time_goes_on_when_the_clock_is_set_back_and_follows_when_it_is_set_forward() -> None:
    machine = Machine()
    machine.runs(SECOND)
    assert machine.clock.now() == START + SECOND
    machine.set_by(-HOUR)
    assert machine.clock.now() == START + SECOND
    machine.runs(MINUTE)
    assert machine.clock.now() == START + SECOND + MINUTE
    machine.set_by(HOUR)
    assert machine.clock.now() == START + SECOND + MINUTE, "set right again"
    machine.set_by(DAY)
    machine.runs(SECOND)
    assert machine.clock.now() == START + 2 * SECOND + MINUTE + DAY, "as after a suspended night"


async def test_a_wait_lasts_as_long_as_it_was_to_last() -> None:
    machine = Machine()
    until = machine.clock.now() + HOUR
    machine.set_by(-HOUR)
    machine.runs(HOUR)
    await machine.clock.wait(asyncio.Event(), until)


async def test_after_a_start_with_the_clock_set_back_nothing_waits_longer_and_nothing_is_repeated(
    database_url: str | Path, receiver: Receiver
) -> None:
    async with running(database_url) as before:
        await before.hook(
            {"on": ["order.paid"], "limit": {"count": 1, "per": "subject", "within": "24h"},
             "do": {"kind": "webhook", "url": receiver.url}}
        )  # fmt: skip
        await before.hook({"on": ["order.late"], "do": {"kind": "webhook", "url": receiver.url}})
        done = await before.publish("order.paid", subject="ada@example.com", source_id="order-17")
        await before.run()
        receiver.answers = [500]
        failed = await before.publish("order.late")
        await before.run()
        before.intake.reserve = lambda lane, kind: None
        before.intake.born = lambda accepted: None
        queued = await before.publish("order.late")
    assert [got.headers["webhook-id"] for got in receiver.got] == [done.id, failed.id]
    async with running(database_url, start=START - HOUR) as after:
        await after.run()
        assert [got.headers["webhook-id"] for got in receiver.got[2:]] == [queued.id], "what is due is done"
        after.clock.advance(5 * SECOND)
        await after.run()
        assert [got.headers["webhook-id"] for got in receiver.got[3:]] == [failed.id], "as its schedule says"
        again = await after.publish("order.paid", subject="ada@example.com", source_id="order-17")
        assert (again.id, again.duplicate) == (done.id, True), "known"
        other = await after.publish("order.paid", subject="ada@example.com")
        assert other.deliveries == (), "the limit is spent"
        after.clock.advance(2 * HOUR)
        await after.run()
        assert len(receiver.got) == 4
        assert {d.state for d in await after.deliveries()} == {"succeeded"}
