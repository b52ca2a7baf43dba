"""Group commit: what arrives while one commit runs goes together into the next.

Waiting to gather more only adds latency; the commit itself is the pause in which a group forms.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Grouped(Generic[Item, Answer]):
    """``flush`` takes a group and answers for each item, in order, with a value or an exception."""

    def __init__(
        self, flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | BaseException]]], most: int
    ) -> None:
        self._flush = flush
        self._most = most
        self._queue: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
            answers: Sequence[Answer | BaseException]
            try:
                answers = await self._flush([item for item, _ in group])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait for it
                answers = [error] * len(group)
            for (_, future), answer in zip(group, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def close(self) -> None:
        """Wait until everything submitted has its answer."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
