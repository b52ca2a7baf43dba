"""The bench's load generator: it publishes events over kept-alive connections, in a process of its own.

Without a rate, each connection publishes its next event when the last was answered (a closed loop). With one,
events are due at their times whatever the answers do (an open loop); an event that finds no connection free
waits, and this wait counts, so that a slow server cannot hide its slowness.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

from msgspec import Struct

from hookline.cli.bench.child import obey
from hookline.cli.bench.counting import Published
from hookline.cli.bench.messages import split
from hookline.cli.bench.sample import event_form

LAST_ANSWER_SECONDS = 30.0
NO_ANSWER = "no answer"
TICK = (
    0.001  # seconds: uvloop takes less for nothing, and this process would take a core from what is measured
)


class Work(Struct, frozen=True, kw_only=True):
    """Publish to ``ports`` for ``seconds``, at most ``most`` events, numbered from ``first`` on.

    ``rate`` is in events a second, 0 for a closed loop; event n is of ``types[pattern[n % len(pattern)]]``, counted
    from ``first``. What became of each is written to ``save`` (see ``read_published``).
    """

    ports: list[int]
    key: str
    run: str
    types: list[str]
    pattern: list[int]
    first: int
    most: int
    seconds: float
    rate: float
    connections: int
    pipeline: int
    save: str


class Done(Struct, frozen=True, kw_only=True):
    """``failed`` counts what was not accepted, by status. Times are of the monotonic clock."""

    sent: int
    accepted: int
    failed: dict[str, int]
    began: float
    ended: float


def read_published(path: Path) -> Published:
    """What was written to ``save``."""
    raw = path.read_bytes()
    sent, accepted = array("d"), array("d")
    sent.frombytes(raw[: len(raw) // 2])
    accepted.frombytes(raw[len(raw) // 2 :])
    return Published(sent, accepted)


class Load:
    """One piece of work, under way. ``over`` is set when the last event has its answer."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._forms = [event_form(type, work.run) for type in work.types]
        self._head = (
            "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {work.key}\r\nContent-Type: application/json\r\n"
        ).encode()
        self.sent, self.accepted = array("d"), array("d")
        self.failed: Counter[str] = Counter()
        self.over = asyncio.Event()
        self._open = 0
        self._waiting: deque[int] = deque()
        self._free: deque[Publisher] = deque()
        self._ending = False
        self.began = self._until = 0.0

    def begin(self, publishers: list[Publisher]) -> None:
        self.began = time.monotonic()
        self._until = self.began + self._work.seconds
        for _ in range(self._work.pipeline):
            for publisher in publishers:
                self.has_room(publisher)
        if self._work.rate:
            self._publish_due()

    def has_room(self, publisher: Publisher) -> None:
        """One more request may be made on this connection."""
        if publisher.lost:
            return
        if self._waiting:
            self._send(publisher, self._waiting.popleft())
        elif self._work.rate:
            self._free.append(publisher)
        elif (number := self._next()) is not None:
            self._send(publisher, number)

    def answered(self, number: int, status: str) -> None:
        if status == "202":
            self.accepted[number] = time.monotonic()
        else:
            self.failed[status] += 1
        self._open -= 1
        self._look_whether_over()

    def _look_whether_over(self) -> None:
        if self._ending and not self._open:
            self.over.set()

    def _next(self) -> int | None:
        now, number = time.monotonic(), len(self.sent)
        if now >= self._until or number == self._work.most:
            self._ending = True
            self._look_whether_over()
            return None
        self.sent.append(now)
        self.accepted.append(0.0)
        self._open += 1
        return number

    def _publish_due(self) -> None:
        while self.began + len(self.sent) / self._work.rate <= time.monotonic():
            if (number := self._next()) is None:
                return
            self._waiting.append(number)
            while self._waiting and self._free:
                self.has_room(self._free.popleft())
        due = self.began + len(self.sent) / self._work.rate
        self._loop.call_later(max(TICK, due - time.monotonic()), self._publish_due)

    def _send(self, publisher: Publisher, number: int) -> None:
        pattern, named = self._work.pattern, self._work.first + number
        body = self._forms[pattern[number % len(pattern)]] % (named, named % 1000, named)
        publisher.publish(number, b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body))


class Publisher(asyncio.Protocol):
    """One connection, with the numbers of the events that it has no answer for yet."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._under_way: deque[int] = deque()
        self._rest = b""
        self._transport: asyncio.Transport
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def publish(self, number: int, request: bytes) -> None:
        self._under_way.append(number)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        messages, self._rest = split(self._rest + data if self._rest else data)
        for head, _ in messages:
            self._load.answered(self._under_way.popleft(), head[9:12].decode())
            self._load.has_room(self)

    def connection_lost(self, _problem: Exception | None) -> None:
        self.lost = True
        while self._under_way:
            self._load.answered(self._under_way.popleft(), NO_ANSWER)

    def close(self) -> None:
        self._transport.close()


async def publish(work: Work) -> Done:
    """Do one piece of work, and write down what became of each event."""
    load = Load(work)
    loop = asyncio.get_running_loop()
    publishers: list[Publisher] = []
    for place in range(work.connections):
        port = work.ports[place % len(work.ports)]
        publishers.append((await loop.create_connection(lambda: Publisher(load), "127.0.0.1", port))[1])
    load.begin(publishers)
    failed = Counter[str]()
    try:
        await asyncio.wait_for(load.over.wait(), work.seconds + LAST_ANSWER_SECONDS)
    except TimeoutError:
        answered = sum(at > 0 for at in load.accepted) + load.failed.total()
        failed[NO_ANSWER] = len(load.sent) - answered
    failed += load.failed
    for publisher in publishers:
        publisher.close()
    await asyncio.to_thread(Path(work.save).write_bytes, load.sent.tobytes() + load.accepted.tobytes())
    return Done(
        sent=len(load.sent),
        accepted=sum(at > 0 for at in load.accepted),
        failed=dict(failed),
        began=load.began,
        ended=max(load.accepted, default=load.began),
    )


async def loading() -> AsyncIterator[Callable[[Work], Awaitable[Done]]]:
    yield publish


if __name__ == "__main__":
    obey(Work, loading)
