"""Steps that cost much give way to others."""

from __future__ import annotations

import asyncio

from hookline.clock import Turns


async def test_of_many_that_are_ready_at_once_each_lets_others_go_before_it() -> None:
    time, order = 0.0, ""
    turns = Turns(1.0, lambda: time)

    async def heavy(cost: float) -> None:
        nonlocal time, order
        await turns.mine()
        order += "#"
        time += cost

    async def other() -> None:
        nonlocal order
        while order.count("#") < 6:
            order += "."
            await asyncio.sleep(0)

    await asyncio.gather(other(), *(heavy(1.5) for _ in range(6)))
    assert "##" not in order
    order = ""
    await asyncio.gather(other(), *(heavy(0.1) for _ in range(6)))
    assert "######" in order, "what costs little need not wait"


async def test_what_is_urgent_goes_first_and_stops_nothing() -> None:
    order: list[str] = []
    turns = Turns(pause=0.0)
    turns.urgent = lambda: True

    async def step(name: str) -> None:
        if name == "heavy":
            await turns.mine()
        order.append(name)

    await asyncio.gather(step("heavy"), step("other"))
    assert order == ["other", "heavy"]
