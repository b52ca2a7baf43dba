"""``hookline bench``: how fast this machine is, with a receiver and a load generator of our own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
import uvloop

from hookline.cli.common import Mistake, mistakes

if TYPE_CHECKING:
    from hookline.cli.bench.plan import Options

LOST = 1
TERMINATED = 128 + signal.SIGTERM


class Part(StrEnum):
    """What is measured: the most there is, at loads that are offered, beside receivers that are ill, beside much that
    is due already."""

    PEAK = "peak"
    LOADS = "loads"
    FAIRNESS = "fairness"
    BACKLOG = "backlog"


USUAL = (Part.PEAK, Part.LOADS, Part.FAIRNESS)


def bench(
    *,
    database: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="postgresql://…, a database for nothing else: what is measured stays in it. Without it, SQLite.",
        ),
    ] = "",
    processes: Annotated[
        int, typer.Option(min=1, max=16, help="How many serve; more than one on PostgreSQL.")
    ] = 1,
    receivers: Annotated[
        str,
        typer.Option(
            metavar="KINDS",
            help="The receivers that are ill in the part fairness, with commas: slow, failing, hanging; or fast.",
        ),
    ] = "failing,hanging",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=300, help="How long events are published in each row.")
    ] = 5.0,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Publishers at once.")] = 64,
    pipeline: Annotated[
        int, typer.Option(min=1, max=64, help="Requests that each has under way on its connection.")
    ] = 1,
    only: Annotated[
        list[Part] | None, typer.Option(help="A part to measure; may be repeated. Default: all but backlog.")
    ] = None,
    backlog: Annotated[
        int,
        typer.Option(min=1000, max=10_000_000, help="How many deliveries are due in the part backlog."),
    ] = 200_000,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few seconds in all: to see that it works.")
    ] = False,
    mail: Annotated[
        bool,
        typer.Option("--mail", help="Measure a campaign instead, against an SMTP server that takes all."),
    ] = False,
    hits: Annotated[
        bool,
        typer.Option(
            "--hits", help="Measure pixels and links instead, at --rate, alone and beside a campaign."
        ),
    ] = False,
    contacts: Annotated[
        int, typer.Option(min=1, max=10**7, help="With --mail or --hits: how many the campaign goes to.")
    ] = 20_000,
    beginning: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.1, max=3600, help="With --mail: send for so long, not to the end."
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=100_000, help="With --hits: how many a second.")] = 1000.0,
    json: Annotated[
        str,
        typer.Option(metavar="FILE", help="Write the figures to a file; - prints them instead of the table."),
    ] = "",
) -> int:
    """Measure accepting, delivering and recording on this machine. Exit code 1 when anything was lost.

    It starts an empty Hookline, a receiver and a load generator, each in its own process, and ends them.
    """
    from hookline.cli.bench.plan import Options

    options = Options(
        database=database,
        processes=processes,
        ill=_ill(receivers),
        seconds=seconds,
        connections=connections,
        pipeline=pipeline,
        parts=tuple(only or USUAL),
        backlog=backlog,
        quick=quick,
    )
    if database and not database.startswith(("postgresql://", "postgres://")):
        raise Mistake("--database is postgresql://user:password@host/name; leave it out for SQLite")
    if options.parts == (Part.FAIRNESS,) and not options.ill:
        raise Mistake(
            "beside fast receivers alone there is no fairness to measure: name others with --receivers"
        )
    if processes > 1 and not database:
        raise Mistake("with SQLite one process owns the data: --processes needs --database postgresql://…")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            if hits:
                return runner.run(_hits(contacts, options, rate, json))
            return runner.run(_mail(contacts, database, beginning, json) if mail else _bench(options, json))
        except asyncio.CancelledError:
            return TERMINATED


def _ill(receivers: str) -> tuple[str, ...]:
    from hookline.cli.bench.receiver import MANNERS

    named = tuple(dict.fromkeys(name.strip() for name in receivers.split(",")))
    for name in named:
        if name not in MANNERS:
            raise Mistake(f"there is no receiver {name!r}; there are {', '.join(MANNERS)}")
    return tuple(name for name in named if name != "fast")


async def _mail(contacts: int, database: str, beginning: float | None, json: str) -> int:
    from hookline.cli.bench.mail import measure
    from hookline.cli.serving import tune

    _end_on_sigterm()
    tune()  # as a server is
    found = await measure(contacts, database, beginning)
    await _tell(found, json)
    return 0 if found.nothing_lost else LOST


async def _hits(contacts: int, options: Options, rate: float, json: str) -> int:
    from hookline.cli.bench.hits import measure

    _end_on_sigterm()
    found = await measure(contacts, options.database, rate, options.seconds)
    await _tell(found, json)
    return 0 if found.nothing_lost else LOST


async def _tell(found: msgspec.Struct, json: str) -> None:
    """Print figures, a line each, or write them down."""
    if json == "-":
        print(msgspec.json.encode(found).decode(), flush=True)
        return
    for name, value in msgspec.to_builtins(found).items():
        if isinstance(value, dict):
            print(f"{name:<18}" + "  ".join(f"{part} {number}" for part, number in value.items()))
        else:
            print(f"{name:<18}{value!s:>12}")
    if json:
        with mistakes():
            await asyncio.to_thread(Path(json).write_bytes, msgspec.json.encode(found))


async def _bench(options: Options, json: str) -> int:
    from hookline.cli.bench import report
    from hookline.cli.bench.run import measure
    from hookline.cli.demo.web import ApiRefused

    _end_on_sigterm()
    with report.progress() as say:
        try:
            found = await measure(options, say)
        except (OSError, ApiRefused) as error:
            raise Mistake(f"the run cannot go on: {error}") from error
    figures = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
    if json == "-":
        print(figures.decode(), end="", flush=True)
    else:
        report.show(found)
        if json:
            with mistakes():
                await asyncio.to_thread(Path(json).write_bytes, figures)
    return 0 if found.nothing_lost else LOST


def _end_on_sigterm() -> None:
    """What was started is ended then, too, as it is on Ctrl-C."""
    task = asyncio.current_task()
    if task is not None:
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
