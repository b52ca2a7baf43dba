"""One connection: how it is made, and a request out and an answer in within their time."""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from typing import Any, cast

from msgspec import Struct

from hookline.model import AttemptError
from hookline.net.answers import AnswerReader, NotHttp
from hookline.net.targets import Address

BODY_SECONDS = 2.0
"""How long a body may take once the status is known, within the request's own limit."""
STAGGER = 0.25
"""Seconds until the next address of a name is tried beside the one before (RFC 8305, section 5)."""


class Failure(Struct, frozen=True):
    """Why no answer came, as a word of the closed list and as a line for people."""

    error: AttemptError
    detail: str


_CLOSED = Failure("reset", "the connection was closed before an answer came")


class Connection(asyncio.Protocol):
    """A connection to a checked ``address``, for one exchange at a time; ``key`` says whom it may serve.

    It keeps one timer for its whole life, which looks again later when it went off too early, so that a
    request which is answered in time costs none. While it is open it is in the set ``among``, and ``closed``
    is done afterwards.
    """

    def __init__(self, key: Hashable, address: Address, among: set[Connection]) -> None:
        self.key = key
        self.address = address
        self.address_text = str(address)
        self.answer = AnswerReader()
        self.connect_ms = 0.0
        self.resting_since = 0.0
        self._among = among
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport
        self._readable = select.poll()
        self._outcome: asyncio.Future[Failure | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._alarm = 0.0
        self._until = 0.0
        self._silence: float | None = None
        self._heard = 0.0

    def ask(
        self, request: Iterable[bytes], until: float, silence: float | None
    ) -> asyncio.Future[Failure | None]:
        """Send a request; when the result is None, ``answer`` holds what came.

        ``until`` is the loop's time by which the head must be complete, ``silence`` the seconds that may pass
        without a byte once the request is sent.
        """
        self.answer.begin()
        self._until, self._silence, self._heard = until, silence, self._loop.time()
        self._outcome = outcome = self._loop.create_future()
        self._transport.writelines(request)
        self._watch()
        return outcome

    def reusable(self) -> bool:
        """Whether another request may follow: the last one was sent, its answer is over, the end is not near."""
        return (
            self._outcome is None
            and self.answer.keep_alive
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        )

    def readable(self) -> bool:
        """Whether something waits to be read: the end, which the loop has not come round to telling us,
        or what a server says out of turn."""
        return bool(self._readable.poll(0))

    def abort(self) -> None:
        """Close at once, without sending what is left or saying goodbye."""
        self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._among.add(self)

    def data_received(self, data: bytes) -> None:
        if self._outcome is None:
            self.abort()
            return
        self._heard = self._loop.time()
        begun = self.answer.status
        try:
            over = self.answer.feed(data)
        except NotHttp as problem:
            self._end(Failure("protocol", f"the answer is no HTTP: {' '.join(str(problem).split())[:200]}"))
            return
        if over:
            self._end()
        elif self.answer.status and not begun:
            self._until = min(self._until, self._heard + BODY_SECONDS)
            self._watch()

    def eof_received(self) -> None:
        if self._outcome is not None:
            self.answer.end()
        self._end(_CLOSED)
        self.abort()

    def connection_lost(self, _problem: Exception | None) -> None:
        self._end(_CLOSED)
        self._among.discard(self)
        self.closed.set_result(None)
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, failure: Failure | None = None) -> None:
        """Tell who waits. Once there is a status, that is the outcome, whatever went wrong after it."""
        outcome, self._outcome = self._outcome, None
        if outcome is not None and not outcome.done():
            outcome.set_result(None if self.answer.status else failure)

    def _due(self) -> float:
        return self._until if self._silence is None else min(self._until, self._heard + self._silence)

    def _watch(self) -> None:
        due = self._due()
        if self._timer is not None:
            if self._alarm <= due:
                return
            self._timer.cancel()
        self._alarm = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._outcome is None:
            return
        now = self._loop.time()
        if self._transport.get_write_buffer_size():
            self._heard = now  # the receiver has not taken the request yet: its silence has not begun
        if now < self._due():
            self._watch()
        elif now < self._until:
            self._end(Failure("timeout_read", f"connected, but nothing came for {self._silence:g} s"))
        else:
            self._end(Failure("timeout_total", "there was no complete answer when the time was up"))


async def first_to_connect(
    addresses: Sequence[Address], dial: Callable[[Address], Coroutine[Any, Any, Connection]]
) -> Connection:
    """A connection to one of the addresses, tried in their order without waiting long for any (RFC 8305).

    Raises what the first to fail raised, when all have.
    """
    if len(addresses) == 1:
        return await dial(addresses[0])
    left = deque(addresses)
    tasks: list[asyncio.Task[Connection]] = []
    running: set[asyncio.Task[Connection]] = set()
    won: asyncio.Task[Connection] | None = None
    failures: list[BaseException] = []
    try:
        while len(failures) < len(addresses):
            if left:
                tasks.append(asyncio.create_task(dial(left.popleft())))
                running.add(tasks[-1])
            patience = STAGGER if left else None
            done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (trouble := task.exception()) is None:
                    won = task
                    return task.result()
                failures.append(trouble)
        raise failures[0]
    finally:
        for task in tasks:
            if task is not won:
                task.cancel()
                task.add_done_callback(_hang_up)


def _hang_up(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
