"""What the bench shows: where it is while it runs, and a table at the end. With rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hookline.cli.bench.plan import Figures, Found

PLAIN_WIDTH = 150


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Say what is being measured: in one place on a terminal, else a line each on standard error."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield console.print
        return
    with console.status("…") as status:
        yield status.update


def show(found: Found) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    console.print(
        f"[bold]Hookline {found.hookline}[/], Python {found.python}, {found.cpus} cores; {found.database},"
        f" {_several(found.processes, 'process', 'processes')}, {_several(found.connections, 'connection')}"
        f" × {found.pipeline}, {found.seconds:g} s each, events of {found.body_bytes} bytes"
    )
    console.print(f"The bare client loop, which stores nothing: {found.bare_per_second:,.0f}/s = 1.00\n")
    console.print(_table(found))
    console.print()
    if (fair := found.fairness) is not None:
        console.print(
            f"Of {fair.hooks} hooks, beside one each that is {', '.join(fair.ill)}: the p99 of the others is"
            f" {fair.p99_disturbed:.1f} ms, undisturbed {fair.p99_undisturbed:.1f} ms, ratio {fair.ratio:.2f}"
        )
    console.print(_verdict(found))


def _several(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def _table(found: Found) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for heading in (
        "offered", "fan-out", "accepted/s", "ratio", "delivered/s", "ratio", "p50 ms", "p95 ms", "p99 ms",
        "CPU ms\neach", "memory\nMB", "KB written\neach", "commits\neach", "again", "lost",
    ):  # fmt: skip
        first = heading == "offered"
        table.add_column(heading, justify="left" if first else "right", no_wrap=first)
    for row in found.rows:
        table.add_row(*_cells(row), style="" if row.nothing_lost else "red")
    return table


def _cells(row: Figures) -> tuple[str, ...]:
    written = row.written_bytes_per_delivery
    return (
        row.name,
        str(row.fan_out),
        f"{row.accepted_per_second:,.0f}",
        f"{row.accepted_ratio:.2f}",
        f"{row.delivered_per_second:,.0f}",
        f"{row.delivered_ratio:.2f}",
        f"{row.latency_ms.p50:,.1f}",
        f"{row.latency_ms.p95:,.1f}",
        f"{row.latency_ms.p99:,.1f}",
        _or_dash(row.cpu_ms_per_delivery, ".3f"),
        _or_dash(row.memory_mb, ",.0f"),
        _or_dash(None if written is None else written / 1000, ".1f"),
        _or_dash(row.commits_per_delivery, ".3f"),
        str(row.duplicates),
        str(row.owed - min(row.received, row.recorded)),
    )


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _verdict(found: Found) -> Text:
    owed, received, recorded, twice = (
        sum(getattr(row, name) for row in found.rows)
        for name in ("owed", "received", "recorded", "duplicates")
    )
    failed = sum(sum(row.failed.values()) for row in found.rows)
    counted = (
        f"Owed for accepted events {owed:,}, received {received:,} and {twice:,} again, recorded {recorded:,};"
        f" {failed:,} events were not accepted."
    )
    if found.nothing_lost:
        return Text(f"{counted} Nothing was lost.", style="bold green")
    return Text(f"{counted} This is not as it must be.", style="bold red")
