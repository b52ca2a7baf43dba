"""The command line as a user types it, and the screen of a server that he started."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from support import nursery
from support.process import Serve, environment


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def mistake(self) -> str:
        """What is said to a user who made one: a sentence, exit code 2, no traceback."""
        assert self.code == 2, self
        assert self.out == ""
        assert self.err.startswith("hookline: ") and self.err.count("\n") == 1, self.err
        return self.err.removeprefix("hookline: ").rstrip()


class CommandLine:
    """Runs commands on one data folder, each in a process; keywords are settings, without their prefix."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, **settings: str) -> Ran:
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            code = nursery.run(arguments, environment(self.home, **settings), out.fileno(), err.fileno())
            out.seek(0)
            err.seek(0)
            return Ran(code, out.read(), err.read())

    async def beside(self, *arguments: str, **settings: str) -> Ran:
        """The same, while what runs in this process goes on."""
        return await asyncio.to_thread(self, *arguments, **settings)


class Screen(Serve):
    """A server whose output can be read on: ``text`` is what it has said so far."""

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        super().__init__(home, *arguments, **settings)
        self.text = ""
        self._asked = False

    async def start(self) -> None:
        self._process = await nursery.start(["serve", *self.arguments], self.environment)
        self.url = (await self.read_until(r"http://[\d.]+:\d+"))[0]

    async def read_until(self, pattern: str) -> re.Match[str]:
        """Read on until the screen shows this."""
        assert self._process is not None
        while not (found := re.search(pattern, self.text)):
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
            assert line, f"serve stopped: {self.text}"
            self.text += line.decode()
        return found

    def terminate(self) -> None:
        """Ask it to stop, as a supervisor does."""
        assert self._process is not None
        self._asked = True
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Ask it to stop unless it was asked before, and wait; the exit code."""
        assert self._process is not None
        if self._process.returncode is None and not self._asked:
            self.terminate()
        self.text += (await self._process.stdout.read()).decode()
        return await self._process.wait()
