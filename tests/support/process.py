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

HOOKLINE = (sys.executable, "-m", "hookline")


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The settings of a server that keeps to itself; names without their prefix."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    own = {"HOME": str(home), "LISTEN": "127.0.0.1:0", "ALLOW_TARGETS": "127.0.0.0/8"} | settings
    return clean | {f"HOOKLINE_{name}": value for name, value in own.items()}


class Serve:
    """``hookline serve`` on a free port; ``url`` is where it listens."""

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        self.environment = environment(home, **settings)
        self.arguments = arguments
        self.url = ""
        self.key = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *HOOKLINE, "serve", *self.arguments, env=self.environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = b""
        while not (found := re.search(rb"http://[\d.]+:\d+", said)):
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
            assert line, f"serve stopped: {said.decode()}"
            said += line
        self.url = found[0].decode()
        self._drain = asyncio.create_task(self._process.stdout.read())

    async def run(self, *arguments: str) -> str:
        """Another command on the same data; what it printed."""
        process = await asyncio.create_subprocess_exec(
            *HOOKLINE, *arguments, env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, printed
        return printed.decode()

    async def make_key(self) -> None:
        found = re.search(r"hl_\S+", await self.run("keys", "create", "--name", "test", "--scope", "manage"))
        assert found is not None
        self.key = found[0]

    async def kill(self) -> None:
        """As a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
            await self._drain

    async def call(self, http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
        """A call of the API with the key; its JSON."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with http.request(method, self.url + path, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()
