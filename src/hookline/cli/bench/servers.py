"""The Hookline that is measured: ``hookline serve`` as users run it, empty, in processes of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from msgspec import Struct

from hookline.cli.bench.child import ended
from hookline.cli.common import TENANT, Mistake, database
from hookline.cli.demo.web import Api
from hookline.cli.keys import make_key
from hookline.settings import Settings
from hookline.storage import Storage

# Not a secret: it marks a database as the bench's. One that holds anything else has another key's
# fingerprint, and is refused.
BENCH_KEY = "be" * 32
START_SECONDS = 30.0
STOP_SECONDS = 5.0
LOOPBACK = "127.0.0.0/8"
OPEN = frozenset({"waiting", "queued", "sending"})
PAGE = 2000


class Usage(Struct, frozen=True):
    """What processes have used together since their start: seconds of CPU, and bytes of memory at the most.
    With SQLite, the bytes that they wrote to disk, and the commits; with PostgreSQL its server does that."""

    cpu: float
    memory: int
    written: int | None
    commits: int | None


class Hookline(Struct, frozen=True):
    """What is measured, with ways to look into it: the API, the database itself, and for SQLite its WAL index."""

    ports: list[int]
    pids: list[int]
    key: str
    api: Api
    storage: Storage
    wal_index: IO[bytes] | None

    def usage(self) -> Usage | None:
        """What it has used, as Linux tells in /proc (proc(5)); ``None`` where it is not Linux."""
        try:
            each = [_usage(Path("/proc") / str(pid)) for pid in self.pids]
        except (OSError, ValueError):
            return None
        return Usage(
            cpu=sum(cpu for cpu, _, _ in each),
            memory=sum(memory for _, memory, _ in each),
            written=sum(written for _, _, written in each) if self.wal_index else None,
            commits=_commits(self.wal_index) if self.wal_index else None,
        )


@asynccontextmanager
async def hookline(url: str, processes: int, home: Path) -> AsyncIterator[Hookline]:
    """Serve from ``home``, or from PostgreSQL, for as long as the block lasts. Hooks of runs before are gone."""
    settings = Settings(home=str(home), database=url, secret_key=BENCH_KEY)
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(_serve(settings, number)) for number in range(processes)]
        index = None if url else stack.enter_context(_wal_index(settings))
        storage = await stack.enter_async_context(database(settings))
        key = await make_key(storage, "bench", "manage")
        ports = [port for port, _ in started]
        api = Api(f"http://127.0.0.1:{ports[0]}", key)
        for hook in await api.all("/v1/hooks"):
            await api.call("DELETE", f"/v1/hooks/{hook['id']}")
        yield Hookline(ports, [pid for _, pid in started], key, api, storage, index)


@asynccontextmanager
async def _serve(settings: Settings, number: int) -> AsyncIterator[tuple[int, int]]:
    """The port and the process id of one server. What it logs is shown where it does not start."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    own = {
        "HOME": settings.home,
        "LISTEN": "127.0.0.1:0",
        "DATABASE": settings.database,
        "SECRET_KEY": settings.secret_key,
        "ALLOW_TARGETS": LOOPBACK,
    }
    with (Path(settings.home) / f"serve-{number}.log").open("w+b") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hookline", "serve",
            env=clean | {f"HOOKLINE_{name}": value for name, value in own.items()},
            stdin=DEVNULL, stdout=PIPE, stderr=log, start_new_session=True,  # Ctrl-C is ours to handle
        )  # fmt: skip
        try:
            yield await _port_of(process, log), process.pid
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await ended(process, STOP_SECONDS)


async def _port_of(process: Process, log: IO[bytes]) -> int:
    if process.stdout is None:
        raise TypeError("it was started with a pipe")
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    except TimeoutError:
        raise Mistake(f"hookline serve did not start within {START_SECONDS:g} s") from None
    found = re.search(rb"http://[^ ]+:(\d+)", line)
    if found is None:
        log.seek(0)
        raise Mistake(f"hookline serve did not start: {log.read().decode(errors='replace').strip()[-500:]}")
    return int(found[1])


@contextmanager
def _wal_index(settings: Settings) -> Iterator[IO[bytes]]:
    """To be opened before a connection of this process to the database and closed after it: closing the file gives
    up the locks that the process has on it (fcntl(2))."""
    with Path(f"{settings.storage_url}-shm").open("rb") as file:
        yield file


def _usage(process: Path) -> tuple[float, int, int]:
    """Seconds of CPU, bytes of memory, bytes written."""
    # The name of the program, in parentheses, may contain anything.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (
        (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        _number(r"^VmHWM:\s+(\d+)", (process / "status").read_text()) * 1024,
        _number(r"^write_bytes: (\d+)", (process / "io").read_text()),
    )


def _commits(wal_index: IO[bytes]) -> int:
    """How many transactions have written: a counter in the header of SQLite's WAL index, in the machine's byte
    order (the WAL-mode file format, section 2.1)."""
    return int.from_bytes(os.pread(wal_index.fileno(), 4, 8), sys.byteorder)


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text, re.M)
    if found is None:
        raise ValueError(pattern)
    return int(found[1])


class States(Struct, frozen=True):
    """How deliveries stand, and when the last of them changed, in microseconds since the epoch."""

    counts: Counter[str]
    last: int


async def states_since(
    storage: Storage, place: int, hooks: frozenset[str], *, count_open: bool
) -> States | None:
    """How the deliveries of these hooks stand that are newer than a place in the sequence; ``None`` as soon as
    one is found that is not at an end, unless those are counted, too."""
    counts = Counter[str]()
    last = 0
    before: int | None = None
    while page := await storage.deliveries.page(TENANT, limit=PAGE, before=before):
        ours = [delivery for delivery in page if delivery.seq > place and delivery.hook in hooks]
        if not count_open and any(delivery.state in OPEN for delivery in ours):
            return None
        counts.update(delivery.state for delivery in ours)
        last = max([last, *(delivery.updated_at for delivery in ours)])
        before = page[-1].seq
        if before <= place:
            break
    return States(counts, last)
