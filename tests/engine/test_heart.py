"""Who lives, who may judge, and what a process does that was silent for too long."""

from __future__ import annotations

import asyncio

from hookline.dispatch.heart import BEAT_SECONDS, BEATS_BEFORE_JUDGING, DEAD_AFTER, LATE_SECONDS, Heart
from hookline.model import SECOND
from hookline.storage import Storage

SILENCE = DEAD_AFTER / SECOND


class Body:
    """A heart whose seconds pass when they are told to, and how often it regained what was taken from it."""

    def __init__(self, storage: Storage) -> None:
        self.now = 0.0
        self.regained = 0
        self.heart = Heart(storage, "prc_a", self.regain, lambda: self.now)

    async def regain(self) -> None:
        assert self.heart.stands_still, "nothing goes on before"
        self.regained += 1

    async def beat_after(self, seconds: float) -> None:
        self.now += seconds
        await self.heart.beat()


async def test_a_heart_that_is_silent_for_too_long_holds_everything_up_until_it_knows_what_is_left(
    storage: Storage,
) -> None:
    body = Body(storage)
    await body.heart.beating()  # one that never beat has nobody who could take anything
    await body.beat_after(0)
    body.now += SILENCE - 0.1
    await body.heart.beating()
    body.now += 0.1
    waiting = asyncio.create_task(body.heart.beating())
    await asyncio.sleep(0)
    assert not waiting.done() and not body.heart.may_judge
    await body.heart.beat()
    await waiting
    assert body.regained == 1
    await body.beat_after(BEAT_SECONDS)
    assert body.regained == 1


async def test_a_process_that_stands_still_from_its_first_moment_on_begins_nothing_either(
    storage: Storage,
) -> None:
    body = Body(storage)
    await body.heart.register()
    body.now += SILENCE
    assert not body.heart.stands_still, "its heart does not run: it is alone"
    running = asyncio.create_task(body.heart.run())
    await asyncio.sleep(0)
    assert body.heart.stands_still
    await body.heart.beating()
    assert body.regained == 1
    running.cancel()


async def test_who_was_late_himself_judges_nobody_until_he_has_beaten_in_time_again(storage: Storage) -> None:
    body = Body(storage)
    judged = []
    for seconds in [BEAT_SECONDS] * BEATS_BEFORE_JUDGING + [LATE_SECONDS + 0.1] + [BEAT_SECONDS] * 3:
        await body.beat_after(seconds)
        judged.append(body.heart.may_judge)
    assert judged == [False, False, True, False, False, False, True]


async def test_a_heart_sees_those_that_stand_still(storage: Storage) -> None:
    body = Body(storage)
    await storage.deliveries.heartbeat("prc_b", DEAD_AFTER)
    await body.beat_after(0)
    assert not body.heart.sees_dead
    assert await storage.deliveries.heartbeat("prc_a", -SECOND), (
        "were the limit in the future, all would be dead"
    )
    assert await storage.deliveries.take_over("prc_a", -SECOND) == []
    assert not await storage.deliveries.heartbeat("prc_a", -SECOND), "the dead are struck off"
