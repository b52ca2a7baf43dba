"""Replays under way: new deliveries from old ones, in steps, until they are all made or it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hookline.actions.work import CompiledHook
from hookline.clock import Clock, keep_going
from hookline.intake import Intake
from hookline.model import SECOND, Delivery, Event, Replay
from hookline.rules.ids import new_id
from hookline.storage import Storage

POLL = 5 * SECOND


class Replayer:
    """Carries replays on; it goes on where a stopped process left off. ``wake`` is the dispatcher's."""

    def __init__(self, storage: Storage, intake: Intake, clock: Clock, wake: Callable[[], None]) -> None:
        self._storage = storage
        self._intake = intake
        self._clock = clock
        self._wake_dispatcher = wake
        self._wake = asyncio.Event()

    async def start(self, replay: Replay) -> Replay:
        """Begin a replay; as it is stored, with its total."""
        stored = await self._storage.replays.start(replay)
        self._wake.set()
        return stored

    def look(self) -> None:
        """There may be a replay to carry on."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await keep_going("replays", self._clock, self._wake, self.run_once, POLL)

    async def run_once(self) -> None:
        """Make every delivery that the replays under way still owe."""
        for replay in await self._storage.replays.running():
            hook = await self._intake.hook(replay.tenant, replay.spec.hook)
            if not isinstance(hook, CompiledHook):
                await self._storage.replays.stop(replay, self._clock.now())
                continue
            current = replay
            while current.state == "running":
                current = await self.step(current, hook)

    async def step(self, replay: Replay, hook: CompiledHook) -> Replay:
        """Make one chunk of a replay's deliveries."""
        now = self._clock.now()

        def renew(event: Event, old: Delivery | None) -> Delivery:
            name, lane = new_id("dlv"), replay.spec.hook
            batches = lane if old and old.size else None
            return Delivery(
                tenant=replay.tenant,
                id=name,
                lane=lane,
                order_key=hook.pace.order_key(event.subject, name, batches) if hook.pace else None,
                kind=hook.kind,
                state="queued",
                next_at=now,
                hook=replay.spec.hook,
                event=event.id,
                contact=old.contact if old else None,
                address=old.address if old and old.kind == hook.kind else None,
                replay=replay.id,
                depth=event.depth + 1,
                size=old.size if old else 0,
                weight=old.weight if old else 0,
                created_at=now,
                updated_at=now,
            )

        after = await self._storage.replays.step(replay, renew, now)
        self._wake_dispatcher()
        return after
