"""Replays by filter over tens of thousands of deliveries: exact, across a restart, and until they are stopped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from hookline.actions.work import CompiledHook
from hookline.dispatch.replays import Replayer
from hookline.intake import event_of
from hookline.model import Delivery, EventDraft, Hook, Replay, ReplayInput, State
from hookline.rules.ids import new_id
from hookline.storage.units import Prepared, Unit
from support.engine import START, Engine, running

COUNT = 25_000
TYPES = ("order.paid", "order.new", "basket.left")
STATES: tuple[State, ...] = ("failed", "failed", "held", "succeeded", "failed")


async def seed(engine: Engine, hook: Hook) -> None:
    """Old deliveries of every type and state, in turn; the clock goes on by one microsecond for each."""
    config = await engine.storage.hooks.version()
    prepared: list[Prepared] = []
    for place in range(COUNT):
        draft = EventDraft(type=TYPES[place % 3], source="shop", data=b"{}")
        event = event_of("default", draft, START + place)
        old = Delivery(
            tenant="default", id=new_id("dlv"), lane=hook.id, kind="webhook", state=STATES[place % 5], hook=hook.id,
            event=event.id, attempts=1, tries=1, created_at=event.accepted_at, updated_at=event.accepted_at,
        )  # fmt: skip
        prepared.append(Prepared(event, (old,)))
    for start in range(0, COUNT, 5000):
        await engine.storage.accept(Unit("default", config, tuple(prepared[start : start + 5000])))


def wish(hook: Hook, **fields: Any) -> Replay:
    spec = msgspec.convert({"hook": hook.id} | fields, ReplayInput)
    return Replay(tenant="default", id=new_id("rpl"), spec=spec, state="running", created_at=START + COUNT)


async def made(engine: Engine, replay: Replay, state: str = "queued") -> Counter[str | None]:
    """How often each event was brought by it, in deliveries that stand so."""
    found = await engine.storage.deliveries.page("default", limit=2 * COUNT, state=state)
    return Counter(delivery.event for delivery in found if delivery.replay == replay.id)


def replayer(engine: Engine) -> Replayer:
    return Replayer(engine.storage, engine.intake, engine.clock, lambda: None)


async def step(engine: Engine, replay: Replay) -> Replay:
    hook = await engine.intake.hook("default", replay.spec.hook)
    assert isinstance(hook, CompiledHook)
    return await replayer(engine).step(replay, hook)


def wanted(place: int) -> bool:
    return TYPES[place % 3] != "basket.left" and STATES[place % 5] != "succeeded" and 100 <= place < 24_777


async def test_a_large_replay_is_exact_across_a_restart_and_another_until_it_is_stopped(
    tmp_path: Path,
) -> None:
    total = sum(1 for place in range(COUNT) if wanted(place))
    async with running(tmp_path / "hookline.db") as first:
        hook = await first.hook({"on": ["*"], "do": {"kind": "webhook", "url": "http://127.0.0.1:9/"}})
        await seed(first, hook)
        asked = wish(hook, types=["order.*"], states=["failed", "held"])
        replay = await replayer(first).start(
            msgspec.structs.replace(asked, since=START + 100, until=START + 24_777)
        )
        assert replay.total == total
        for _ in range(COUNT // 1000 // 2):
            replay = await step(first, replay)
        assert 0 < replay.done < total and replay.state == "running"
    async with running(tmp_path / "hookline.db") as second:
        (carried,) = await second.storage.replays.running()
        assert (carried.done, carried.cursor) == (replay.done, replay.cursor)
        await replayer(second).run_once()
        found = await second.storage.replays.get("default", replay.id)
        assert found is not None and (found.state, found.done) == ("finished", total)
        brought = await made(second, replay)
        assert (len(brought), set(brought.values())) == (total, {1})

        other = await replayer(second).start(wish(hook, states=["succeeded"]))
        assert other.total == COUNT // 5
        for _ in range(3):
            other = await step(second, other)
        assert await second.storage.replays.stop(other, second.clock.now())
        stopped = await step(second, other)
        await replayer(second).run_once()
        assert (stopped.state, stopped.done) == ("stopped", other.done)
        assert (await made(second, other)).total() == 0
        assert (await made(second, other, "cancelled")).total() == other.done > 0, "what had not begun"
