"""Hookline as its users run it: a process of its own, that can be killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from hookline.cli.common import database
from hookline.cli.keys import make_key
from hookline.settings import load
from support import nursery

HOOKLINE = (sys.executable, "-m", "hookline")


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The settings of a server that keeps to itself; names without their prefix."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    own = {"HOME": str(home), "LISTEN": "127.0.0.1:0", "ALLOW_TARGETS": "127.0.0.0/8"} | settings
    return clean | {f"HOOKLINE_{name}": value for name, value in own.items()}


class Serve:
    """``hookline serve`` on a free port; ``url`` is where it listens, ``log`` all that it said, once it ended."""

    command = "serve"
    ready = rb"http://[\d.]+:\d+"

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        self.environment = environment(home, **settings)
        self.arguments = arguments
        self.url = ""
        self.key = ""
        self.mail_address: tuple[str, int] | None = None
        self.log = ""
        self._process: nursery.Process | None = None

    async def start(self) -> None:
        self._process = await nursery.start([self.command, *self.arguments], self.environment)
        said = b""
        while not (found := re.search(self.ready, said)):
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
            assert line, f"{self.command} stopped: {said.decode()}"
            said += line
        self.url = found[0].decode()
        mail = re.search(rb"for mail on ([\d.]+):(\d+)", said)
        self.mail_address = (mail[1].decode(), int(mail[2])) if mail else None
        self._drain = asyncio.create_task(self._process.stdout.read())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def memory(self) -> int:
        """Bytes that it holds of the machine's memory now (proc(5))."""
        found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.M)
        assert found is not None
        return int(found[1]) * 1024

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def run(self, *arguments: str) -> str:
        """Another command on the same data; what it printed."""
        process = await nursery.start(arguments, self.environment)
        printed = (await process.stdout.read()).decode()
        assert await process.wait() == 0, printed
        return printed

    async def make_key(self) -> None:
        settings = load(self.environment, {})
        async with database(settings) as storage:
            self.key = await make_key(storage, "test", "manage")

    async def kill(self) -> None:
        """As a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to stop, as a supervisor does; the exit code."""
        return await self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it stand still, as a machine that is suspended."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
            self.log += (await self._drain).decode()
        assert self._process.returncode is not None
        return self._process.returncode

    async def call(self, http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
        """A call of the API with the key; its JSON."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with http.request(method, self.url + path, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()


class Worker(Serve):
    """``hookline worker``; it has no address."""

    command = "worker"
    ready = rb"works beside the others"
