"""Hookline in processes of its own that start at once: they are forked from one that has loaded it already.

To load it takes a second each time, and the tests start it some hundred times. What they get is what users have, a
process that runs ``hookline.cli.main`` with arguments and an environment; ``python -m hookline`` itself is what
``hookline bench`` starts, and its tests thereby.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

LONGEST = 2**20
LOADED = ("app", "cli.serve", "cli.worker", "cli.serving", "cli.door", "cli.dev", "cli.commands")


class Process:
    """A process, as ``asyncio.subprocess`` has it; what it says on standard error is in ``stdout``, too."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader, status: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self._end = asyncio.create_task(status.read())  # to its end, which closes the pipe

    @property
    def returncode(self) -> int | None:
        return int(self._end.result()) if self._end.done() else None

    def send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def wait(self) -> int:
        return int(await asyncio.shield(self._end))


async def start(arguments: Sequence[str], environment: Mapping[str, str]) -> Process:
    """``hookline`` with these arguments, in this environment and no other."""
    said, saying = os.pipe()
    told, telling = os.pipe()
    _born(arguments, environment, saying, saying, telling)
    stdout, status = await _reader(said), await _reader(told)
    return Process(int(await status.readline()), stdout, status)


def run(arguments: Sequence[str], environment: Mapping[str, str], out: int, err: int) -> int:
    """The same, until it ends; its exit code. ``out`` and ``err`` are files that it writes to."""
    told, telling = os.pipe()
    _born(arguments, environment, os.dup(out), os.dup(err), telling)
    with os.fdopen(told) as status:
        return int(status.read().split()[1])


def _born(arguments: Sequence[str], environment: Mapping[str, str], *files: int) -> None:
    order = json.dumps([[*arguments], {**environment}]).encode()
    socket.send_fds(_nursery(), [order], [*files])
    for file in {*files}:
        os.close(file)


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(file, "rb", 0)
    )
    return reader


@functools.cache
def _nursery() -> socket.socket:
    """The line to the process that has loaded everything. When it is cut, that ends with all its children."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()

    def close() -> None:
        ours.close()
        process.wait()

    atexit.register(close)
    return ours


# --- over there


def _live(line: socket.socket) -> None:
    for name in LOADED:
        __import__(f"hookline.{name}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for the others
    while True:
        order, files, _, _ = socket.recv_fds(line, LONGEST, 3)
        if not order:
            os.killpg(0, signal.SIGKILL)
        if os.fork() == 0:
            line.close()
            _keep(*json.loads(order), *files)
        for file in files:
            os.close(file)


def _keep(arguments: list[str], environment: dict[str, str], out: int, err: int, status: int) -> NoReturn:
    """Be the parent of one: tell who it is, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        os.close(status)
        _become(arguments, environment, out, err)
    os.close(out)
    os.close(err)
    os.write(status, f"{child}\n".encode())
    _, ended = os.waitpid(child, 0)
    with contextlib.suppress(OSError):  # nobody wants to know any more
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _become(arguments: list[str], environment: dict[str, str], out: int, err: int) -> NoReturn:
    from hookline.cli import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, max(out, err) + 1)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["hookline", *arguments]
    random.seed()
    main()
    sys.exit(0)


if __name__ == "__main__":
    _live(socket.socket(fileno=int(sys.argv[1])))
