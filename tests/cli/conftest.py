from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from hookline.cli import commands
from support.commands import CommandLine, Ran, Screen
from support.process import Serve, environment
from support.receiver import Receiver, receiving


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    """Commands on the data of this test."""
    return CommandLine(tmp_path / "home")


@pytest.fixture
def typed(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Commands on the same data, in this process: it saves the start of another one."""

    def run_here(*arguments: str, said: str = "", **settings: str) -> Ran:
        with monkeypatch.context() as patch:
            for name, value in environment(run.home, **settings).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO(said))
            code = commands.run(arguments)
        return Ran(code, *capsys.readouterr())

    return run_here


@pytest.fixture
async def serve(run: CommandLine) -> AsyncIterator[Serve]:
    """``hookline serve --dev`` on the same data."""
    server = Serve(run.home, "--dev")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def screens(run: CommandLine) -> AsyncIterator[Callable[..., Awaitable[Screen]]]:
    """Starts servers on the same data, with these flags; what a test leaves running ends with it."""
    started: list[Screen] = []

    async def start(*flags: str) -> Screen:
        started.append(Screen(run.home, *flags))
        await started[-1].start()
        return started[-1]

    yield start
    for screen in started:
        await screen.ended()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
def received(receiver: Receiver) -> Callable[[int], Awaitable[None]]:
    """Waits until the receiver has got so many requests."""
    arrived = asyncio.Event()
    receiver.on_request = lambda got: arrived.set()

    async def wait_for(count: int) -> None:
        while len(receiver.got) < count:
            arrived.clear()
            await asyncio.wait_for(arrived.wait(), 30)

    return wait_for
