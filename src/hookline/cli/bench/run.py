"""The run: a receiver, a load generator and an empty Hookline, and one row after the other."""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from msgspec import Raw, Struct
from msgspec.structs import asdict, replace

from hookline import __version__
from hookline.cli.bench import load, receiver
from hookline.cli.bench.bare import bare_loop
from hookline.cli.bench.child import Child, child
from hookline.cli.bench.counting import Counted, backlog, count, owed
from hookline.cli.bench.plan import (
    MOST,
    QUICK_SECONDS,
    Fairness,
    Figures,
    Found,
    Options,
    Row,
    backlog_rows,
    fairness_rows,
    rows_of,
    warm_up,
)
from hookline.cli.bench.sample import DATA
from hookline.cli.bench.servers import Hookline, Usage, hookline, states_since
from hookline.cli.common import TENANT

BARE_SECONDS = 2.0
LOOK_EVERY = 0.02
PATIENCE = 20.0  # seconds without an arrival after which what is missing counts as lost
# What an ill receiver's hook is made with, so that time-outs pass and are tried again within a row.
ILL_RETRY = {"timeout": "2s"}
LINGERING = ("slow", "hanging")  # what is due of others is worked off at once, and no lane gets full
# What keeps a backlog from being worked off before it is complete.
NEARLY_NOTHING = {"count": 1, "per": "31d"}
ARRAY = 1000

Say = Callable[[str], None]


async def measure(options: Options, say: Say) -> Found:
    """Make a whole run. Nothing of it is left behind, but what is in a PostgreSQL database."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hookline-bench-")))
        arrivals = await stack.enter_async_context(child("receiver", receiver.Asked, receiver.Told))
        publisher = await stack.enter_async_context(child("load", load.Work, load.Done))
        port = (await arrivals.ask(receiver.Asked())).port
        target = f"http://127.0.0.1:{port}"
        say("the bare client loop")
        seconds = QUICK_SECONDS if options.quick else BARE_SECONDS
        bare = await bare_loop(f"{target}/fast/0", seconds, options.connections)
        say("starting Hookline")
        measured = await stack.enter_async_context(hookline(options.database, options.processes, folder))
        bench = Bench(
            options,
            measured=measured,
            arrivals=arrivals,
            publisher=publisher,
            target=target,
            folder=folder,
            bare=bare,
        )
        await bench.measure(warm_up())
        rows: list[Figures] = []
        for row in rows_of(options):
            say(f"{row.name}, fan-out {len(row.receivers)}")
            rows.append(await bench.measure(row))
        fairness = None
        if options.ill and "fairness" in options.parts:
            planned = fairness_rows(options)
            await bench.measure(replace(planned[0], seconds=QUICK_SECONDS))  # to warm up: it has more hooks
            for row in planned:
                say(f"{len(row.receivers)} hooks, {row.name}")
                rows.append(await bench.measure(row))
            fairness = _compare(options, planned, rows[-len(planned) :])
        if "backlog" in options.parts:
            for row in backlog_rows(options):
                say(row.name)
                rows.append(await bench.measure(row))
    return _found(options, bare, rows, fairness)


class Tally(Struct, frozen=True):
    """What Hookline has recorded of a row, and when the last of it was (by the monotonic clock)."""

    succeeded: int
    at: float


class Bench:
    """What all rows of a run share."""

    def __init__(
        self,
        options: Options,
        *,
        measured: Hookline,
        arrivals: Child[receiver.Asked, receiver.Told],
        publisher: Child[load.Work, load.Done],
        target: str,
        folder: Path,
        bare: float,
    ) -> None:
        self._options = options
        self._hookline = measured
        self._receiver = arrivals
        self._publisher = publisher
        self._target = target
        self._folder = folder
        self._bare = bare
        self._run = secrets.token_hex(4)
        self._rows = itertools.count(1)
        self._hooks = itertools.count(1)
        self._published = 0

    async def measure(self, row: Row) -> Figures:
        """Publish, wait until everything is recorded or nothing moves any more, and count on both sides."""
        arrived, published = self._folder / "arrived", self._folder / "published"
        await self._receiver.ask(receiver.Asked(str(arrived)))  # what came before does not count
        numbers = [next(self._hooks) for _ in row.receivers]
        types = self._types(row)
        hooks = await self._make_hooks(row, types, numbers)
        newest = await self._hookline.storage.deliveries.page(TENANT, limit=1)
        if row.backlog:
            await self._pile_up(types, backlog(row), row.backlog)
        if row.overfull:
            ill = [place for place, manner in enumerate(row.receivers) if manner in LINGERING]
            due = list(enumerate(ill * row.overfull))
            await self._pile_up(types, iter(due), len(due))
        before = self._hookline.usage()
        work = self._work(row, types, published)
        if row.backlog:
            for hook in hooks[1:]:
                await self._hookline.api.call("PATCH", f"/v1/hooks/{hook}", b'{"rate":null}')
        done = await self._publisher.ask(work)
        self._published += done.sent
        well = frozenset(hooks if row.backlog else (hooks[place] for place in row.well))
        record = load.read_published(published)
        expected = sum(1 for _ in owed(row, record)) + row.backlog
        tally = await self._recorded(expected, newest[0].seq if newest else 0, well)
        spent = _spent(row, before, self._hookline.usage(), tally.succeeded)
        await self._receiver.ask(receiver.Asked(str(arrived)))
        for hook in hooks:
            await self._hookline.api.call("DELETE", f"/v1/hooks/{hook}")
        counted = count(row, numbers, work.first, record, receiver.read_arrivals(arrived))
        return self._figures(row, done, tally, counted, spent)

    def _types(self, row: Row) -> list[str]:
        """The types of event: one for all hooks, or one for each."""
        number = next(self._rows)
        names = len(row.receivers) if row.pattern else 1
        return [f"bench.{number}.{place}" for place in range(names)]

    async def _make_hooks(self, row: Row, types: list[str], numbers: list[int]) -> list[str]:
        made: list[str] = []
        for place, (manner, number) in enumerate(zip(row.receivers, numbers, strict=True)):
            hook = {
                "on": [types[place if row.pattern else 0]],
                "do": {"kind": "webhook", "url": f"{self._target}/{manner}/{number}"},
            } | ({} if manner == "fast" else {"retry": ILL_RETRY})
            if row.backlog and place:
                hook["rate"] = NEARLY_NOTHING
            made.append((await self._hookline.api.post("/v1/hooks", hook))["id"])
        return made

    async def _pile_up(self, types: list[str], due: Iterator[tuple[int, int]], count: int) -> None:
        """Publish what is to be due before a row begins: which event's, and to which hook."""
        while part := list(itertools.islice(due, ARRAY)):
            events = [
                {"type": types[hook], "data": Raw(DATA % (self._published + place))} for place, hook in part
            ]
            await self._hookline.api.post("/v1/events", events)
        self._published += count

    def _work(self, row: Row, types: list[str], published: Path) -> load.Work:
        return load.Work(
            ports=self._hookline.ports,
            key=self._hookline.key,
            run=self._run,
            types=types,
            pattern=list(row.pattern) or [0],
            first=self._published,
            most=MOST,
            seconds=row.seconds,
            rate=row.rate,
            connections=self._options.connections,
            pipeline=self._options.pipeline,
            save=str(published),
        )

    async def _recorded(self, expected: int, since: int, hooks: frozenset[str]) -> Tally:
        """Wait until all that is owed has arrived and is recorded, or until nothing has moved for long."""
        wall = time.time() - time.monotonic()
        arrived, moved = -1, time.monotonic()
        while True:
            looked = time.monotonic()
            now = (await self._receiver.ask(receiver.Asked())).arrived
            if now != arrived:
                arrived, moved = now, looked
            patient = looked - moved < PATIENCE
            if arrived >= expected or not patient:
                states = await states_since(self._hookline.storage, since, hooks, count_open=not patient)
                if states is not None:
                    # What was looked at last may have ended while the rest was looked at.
                    return Tally(states.counts["succeeded"], max(looked, states.last / 1e6 - wall))
            await asyncio.sleep(LOOK_EVERY)

    def _figures(self, row: Row, done: load.Done, tally: Tally, counted: Counted, spent: Spent) -> Figures:
        accepting = _rate(done.accepted, done.ended - done.began)
        delivering = _rate(tally.succeeded, tally.at - done.began)
        return Figures(
            name=row.name,
            fan_out=1 if row.pattern else len(row.receivers),
            offered_per_second=row.rate or None,
            accepted=done.accepted,
            failed=done.failed,
            accepted_per_second=accepting,
            accepted_ratio=accepting / self._bare,
            delivered_per_second=delivering,
            delivered_ratio=delivering / self._bare,
            latency_ms=counted.latency,
            owed=counted.owed,
            received=counted.received,
            duplicates=counted.duplicates,
            recorded=tally.succeeded,
            **asdict(spent),
        )


class Spent(Struct, frozen=True):
    """The fields of ``Figures`` of the same names."""

    cpu_seconds: float | None = None
    cpu_ms_per_delivery: float | None = None
    memory_mb: float | None = None
    written_bytes_per_delivery: float | None = None
    commits_per_delivery: float | None = None


def _spent(row: Row, before: Usage | None, after: Usage | None, recorded: int) -> Spent:
    if before is None or after is None:
        return Spent()
    cpu = after.cpu - before.cpu
    spent = Spent(cpu_seconds=cpu, memory_mb=after.memory / 1e6)
    if row.pattern or not recorded:
        return spent  # beside ill receivers there is no saying which part of the work is for whom
    return replace(
        spent,
        cpu_ms_per_delivery=1000 * cpu / recorded,
        written_bytes_per_delivery=_each(before.written, after.written, recorded),
        commits_per_delivery=_each(before.commits, after.commits, recorded),
    )


def _each(before: int | None, after: int | None, recorded: int) -> float | None:
    return None if before is None or after is None else (after - before) / recorded


def _rate(number: int, seconds: float) -> float:
    return number / seconds if seconds > 0 else 0.0


def _compare(options: Options, planned: Sequence[Row], measured: Sequence[Figures]) -> Fairness:
    pairs = list(zip(planned, measured, strict=True))
    before = median(figures.latency_ms.p99 for row, figures in pairs if not row.overfull)
    after = median(figures.latency_ms.p99 for row, figures in pairs if row.overfull)
    return Fairness(
        hooks=len(planned[0].receivers),
        ill=options.ill,
        p99_undisturbed=before,
        p99_disturbed=after,
        ratio=after / before if before else 0.0,
    )


def _found(options: Options, bare: float, rows: list[Figures], fairness: Fairness | None) -> Found:
    return Found(
        hookline=__version__,
        python=platform.python_version(),
        cpus=os.cpu_count() or 1,
        database="PostgreSQL" if options.database else "SQLite",
        processes=options.processes,
        connections=options.connections,
        pipeline=options.pipeline,
        seconds=options.row_seconds,
        body_bytes=len(DATA % 0),
        bare_per_second=bare,
        rows=rows,
        fairness=fairness,
        nothing_lost=all(row.nothing_lost for row in rows),
    )
