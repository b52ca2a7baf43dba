"""What an outcome says of its receiver, and thereby to all deliveries of its lane: wait, or go on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from hookline.clock import Clock
from hookline.dispatch.lanes import Lanes
from hookline.model import MINUTE, SECOND, Delivery, Hook, Outcome
from hookline.rules import breaker
from hookline.rules.lifecycle import LONGEST_RETRY_AFTER
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.hooks import Pause

log = structlog.get_logger("hookline.dispatch")

# What says "not now" to everybody, and not only to this delivery.
STATUS_TO_PAUSE = frozenset({429, 503})


class Heeder:
    """Shuts lanes and opens them. ``release`` takes what is not to be held ready any more, ``soon`` work that is waited
    for at the end."""

    def __init__(self, storage: Storage, lanes: Lanes, clock: Clock, chance: Callable[[], float]) -> None:
        self._storage = storage
        self._lanes = lanes
        self._clock = clock
        self._chance = chance
        self.release: Callable[[Sequence[Delivery]], None] = lambda deliveries: None
        self.soon: Callable[[Coroutine[Any, Any, None]], None] = lambda work: None

    def heed(self, delivery: Delivery, outcome: Outcome, began: int, hook: Hook | None) -> None:
        """``hook`` is the one by which the attempt was made, as it was then: what was heard of a receiver that it has
        no more is nothing to the one that it has now."""
        now = self._clock.now()
        lane = self._lanes.of(delivery)
        if hook is not None and not self._lanes.recognise(lane, hook.updated_at):
            return
        said = breaker.health(outcome)
        self.release(self._lanes.heard(delivery, said, began=began, now=now, chance=self._chance()))
        if outcome.status in STATUS_TO_PAUSE and outcome.retry_after is not None:
            until = now + min(outcome.retry_after, LONGEST_RETRY_AFTER)
            if hook is not None and until >= lane.paused_until + SECOND:  # many are told so at once
                self.soon(self._tell_others(Pause(hook.tenant, hook.id, hook.updated_at, now, until)))
            self.release(self._lanes.pause(delivery.lane, now, until))
        if outcome.disable_hook is not None:  # until it is switched off, nothing more begins
            self.release(self._lanes.pause(delivery.lane, now, now + MINUTE))

    def heed_others(self, pauses: Sequence[Pause]) -> None:
        """Keep the pauses that are stored: other processes were told of them, or this one before its start."""
        for pause in pauses:
            lane = self._lanes[pause.hook]
            lane.tenant = lane.tenant or pause.tenant
            if self._lanes.recognise(lane, pause.version) and pause.until > lane.paused_until:
                self.release(self._lanes.pause(pause.hook, pause.since, pause.until))

    async def _tell_others(self, pause: Pause) -> None:
        try:
            await self._storage.hooks.pause(pause)
        except StorageUnavailable as error:  # they will be told by the receiver
            log.info("storage away, a pause is not told to others", hook=pause.hook, error=str(error))
