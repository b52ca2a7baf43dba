"""A lane for each hook and each campaign: its own share of hands, so that a slow one waits for itself."""

from __future__ import annotations

CONCURRENCY = 32


class Lane:
    """``running`` deliveries of at most ``limit``; ``backlog`` says that more are due than there was room."""

    __slots__ = ("backlog", "limit", "paused_until", "running")

    def __init__(self, limit: int = CONCURRENCY) -> None:
        self.limit = limit
        self.running = 0
        self.backlog = False
        self.paused_until = 0

    def free(self, now: int) -> int:
        """How many more may start now."""
        return 0 if self.paused_until > now else self.limit - self.running


class Lanes:
    """All lanes of this process, made when they are first needed and dropped when they are at rest."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def __getitem__(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane()
        return lane

    def reserve(self, name: str, now: int) -> bool:
        """Take a place for a new delivery, unless older ones wait for it."""
        lane = self[name]
        if lane.backlog or lane.free(now) <= 0:
            lane.backlog = True
            return False
        lane.running += 1
        return True

    def release(self, name: str, now: int) -> bool:
        """Give a place back; whether it is time to look for more work of this lane."""
        lane = self[name]
        lane.running -= 1
        if lane.backlog:
            return lane.running * 2 <= lane.limit
        if lane.running == 0 and lane.paused_until <= now:
            del self._lanes[name]
        return False

    def pause(self, name: str, until: int) -> None:
        """Nothing of this lane starts before ``until``."""
        lane = self[name]
        lane.paused_until = max(lane.paused_until, until)
