"""The bench's other processes: an order in, an answer out, a line of JSON each. They end with their input."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec
import uvloop

from hookline.cli.common import Mistake

PATIENCE = 10.0  # seconds for an end that was asked for
LINE = 2**20

Order = TypeVar("Order")
Answer = TypeVar("Answer")


class Child(Generic[Order, Answer]):
    """Such a process, as seen from the one that started it."""

    def __init__(self, name: str, process: Process, answer: type[Answer]) -> None:
        self._name, self._process = name, process
        self._decoder = msgspec.json.Decoder(answer)

    async def ask(self, order: Order) -> Answer:
        """Mistake when the process has ended."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise TypeError("a child has pipes")
        stdin.write(msgspec.json.encode(order) + b"\n")
        line = await stdout.readline()
        if not line:
            raise Mistake(f"the bench's {self._name} has ended unexpectedly")
        return self._decoder.decode(line)


@asynccontextmanager
async def child(module: str, order: type[Order], answer: type[Answer]) -> AsyncIterator[Child[Order, Answer]]:
    """Run a module of this package for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.{module}",
        stdin=PIPE, stdout=PIPE, limit=LINE, start_new_session=True,  # Ctrl-C is ours to handle
    )  # fmt: skip
    try:
        yield Child(module, process, answer)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await ended(process)


async def ended(process: Process, patience: float = PATIENCE) -> None:
    """Return when a process that was asked to end has done so, or was made to."""
    try:
        await asyncio.wait_for(process.wait(), patience)
    except TimeoutError:
        process.kill()
        await process.wait()


def obey(kind: type[Order], work: Callable[[], AsyncIterator[Callable[[Order], Awaitable[Any]]]]) -> None:
    """A child's life: what ``work`` yields carries out the orders, until there are no more."""

    async def live() -> None:
        reader = asyncio.StreamReader(limit=LINE)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        async with asynccontextmanager(work)() as carry_out:
            line = await reader.readline()
            while line:
                working = asyncio.ensure_future(carry_out(msgspec.json.decode(line, type=kind)))
                following = asyncio.create_task(reader.readline())
                await asyncio.wait((working, following), return_when=asyncio.FIRST_COMPLETED)
                if not working.done():  # the input is at its end: nobody waits for this answer
                    working.cancel()
                    await asyncio.wait((working,))
                    return
                print(msgspec.json.encode(working.result()).decode(), flush=True)
                line = await following

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live())
