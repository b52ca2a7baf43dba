"""What is measured: a row for each question, and the words for what is found."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from hookline.cli.bench import Part

LOADS = (100, 500, 2000)
FAN_OUTS = (1, 10)
# Beside ill receivers: so many hooks, and so many events a second, of which each ill one gets this share.
# The lane of one that lingers is full before, and runs over while the others are measured. What else a machine does
# comes and goes: so the two are measured in turn, several times, and the middle of what is found counts.
NEIGHBOURS, NEIGHBOURS_QUICK = 100, 10
NEIGHBOURS_LOAD = 500
ILL_SHARE = 0.1
OVERFULL = 350
ROUNDS = 5
# Beside what is due already: so many new events a second, for a hook of their own. The rest is for one hook, or many.
BESIDE_BACKLOG = 100
BACKLOG_HOOKS, BACKLOG_HOOKS_QUICK, BACKLOG_QUICK = (1, 100), (1, 10), 1000
QUICK_SECONDS = 0.2
MOST = 1_000_000


class Options(Struct, frozen=True, kw_only=True):
    """What the user asked for; ``ill`` are the manners of receivers in the part fairness."""

    database: str
    processes: int
    ill: tuple[str, ...]
    seconds: float
    connections: int
    pipeline: int
    parts: tuple[Part, ...]
    backlog: int
    quick: bool

    @property
    def row_seconds(self) -> float:
        """How long events are published in a row."""
        return QUICK_SECONDS if self.quick else self.seconds


class Row(Struct, frozen=True, kw_only=True):
    """Something to measure. ``receivers`` are how they behave, a hook each. Every event is for all hooks
    (``pattern`` is empty), or the n-th is for the hook ``pattern[n % len(pattern)]`` alone.
    ``rate`` is in events a second, 0 for as many as are accepted."""

    name: str
    receivers: tuple[str, ...]
    rate: float
    seconds: float
    pattern: tuple[int, ...] = ()
    well: tuple[int, ...] = ()
    """The hooks whose deliveries are counted."""
    backlog: int = 0
    """So many deliveries are due before the first event is published, of all hooks but the first."""
    overfull: int = 0
    """So many are due of each hook whose receiver is slow or hangs."""


class Latency(Struct, frozen=True):
    """Milliseconds from when an event was due to be published to when a receiver had it."""

    p50: float
    p95: float
    p99: float


class Figures(Struct, frozen=True, kw_only=True):
    """What came of a row.

    Rates are a second; ratios are theirs to the bare client loop. ``delivered_per_second`` counts from the first
    event to the moment when the outcome of the last delivery was recorded. ``owed`` are the deliveries of accepted
    events, as counted by the publisher; ``received`` are different ones that arrived, ``duplicates`` those that
    arrived again, as counted by the receiver; ``recorded`` are those that Hookline says have succeeded.
    CPU seconds, memory (the most since the start), bytes written to disk and commits are of Hookline's processes
    together, ``null`` where that is not known. Beside a backlog, that is owed and delivered, too; the latency is
    that of new events. Of hooks beside ill ones only those that are well are counted, so
    there are no figures for each delivery.
    """

    name: str
    fan_out: int
    offered_per_second: float | None
    accepted: int
    failed: dict[str, int]
    accepted_per_second: float
    accepted_ratio: float
    delivered_per_second: float
    delivered_ratio: float
    latency_ms: Latency
    cpu_seconds: float | None
    cpu_ms_per_delivery: float | None
    memory_mb: float | None
    written_bytes_per_delivery: float | None
    commits_per_delivery: float | None
    owed: int
    received: int
    duplicates: int
    recorded: int

    @property
    def nothing_lost(self) -> bool:
        # An event whose answer was lost may have been accepted all the same.
        return 0 < self.owed == self.received <= self.recorded


class Fairness(Struct, frozen=True, kw_only=True):
    """The p99, in milliseconds, of hooks whose receivers are well, without and with ill ones beside them: the median of
    all rounds."""

    hooks: int
    ill: tuple[str, ...]
    p99_undisturbed: float
    p99_disturbed: float
    ratio: float


class Found(Struct, frozen=True, kw_only=True):
    """Everything that a run has found. ``bare_per_second`` is the yardstick."""

    hookline: str
    python: str
    cpus: int
    database: str
    processes: int
    connections: int
    pipeline: int
    seconds: float
    body_bytes: int
    bare_per_second: float
    rows: list[Figures]
    fairness: Fairness | None
    nothing_lost: bool


def rows_of(options: Options) -> list[Row]:
    """The rows at the peak and at offered loads."""
    rows: list[Row] = []
    for fan_out in FAN_OUTS:
        fast = ("fast",) * fan_out
        if Part.LOADS in options.parts:
            rows += [_row(f"{load}/s", fast, load, options.row_seconds) for load in LOADS]
        if Part.PEAK in options.parts:
            rows.append(_row("peak", fast, 0, options.row_seconds))
    return rows


def warm_up() -> Row:
    """What is not counted: code is loaded, connections are opened, caches are filled."""
    return _row("warm-up", ("fast",), 200, QUICK_SECONDS)


def fairness_rows(options: Options) -> list[Row]:
    """The same load on the same hooks, in turn: all of them well, and some of them ill. Every other round goes
    the other way about, so that neither is always measured first."""
    count = NEIGHBOURS_QUICK if options.quick else NEIGHBOURS
    rounds = 1 if options.quick else ROUNDS
    well = tuple(range(len(options.ill), count))
    alone = Row(
        name="undisturbed",
        receivers=("fast",) * count,
        rate=NEIGHBOURS_LOAD,
        seconds=QUICK_SECONDS if options.quick else 2 * options.row_seconds / rounds,
        pattern=_pattern(count, len(options.ill)),
        well=well,
    )
    beside = msgspec.structs.replace(
        alone,
        name=f"beside {', '.join(options.ill)}",
        receivers=options.ill + ("fast",) * len(well),
        overfull=OVERFULL,
    )
    pair = (alone, beside)
    return [row for turn in range(rounds) for row in (pair if turn % 2 == 0 else pair[::-1])]


def backlog_rows(options: Options) -> list[Row]:
    """New events for one hook, while what is due for one other, and for many others, is worked off."""
    backlog = BACKLOG_QUICK if options.quick else options.backlog
    return [
        Row(
            name=f"{BESIDE_BACKLOG}/s beside {backlog:,} due of {hooks}",
            receivers=("fast",) * (hooks + 1),
            rate=BESIDE_BACKLOG,
            seconds=options.row_seconds,
            pattern=(0,),
            well=(0,),
            backlog=backlog,
        )
        for hooks in (BACKLOG_HOOKS_QUICK if options.quick else BACKLOG_HOOKS)
    ]


def _row(name: str, receivers: Sequence[str], rate: float, seconds: float) -> Row:
    everyone = tuple(range(len(receivers)))
    return Row(name=name, receivers=tuple(receivers), rate=rate, seconds=seconds, well=everyone)


def _pattern(hooks: int, ill: int) -> tuple[int, ...]:
    """Each hook that is well once, each ill one so often that it has its share, in a fixed disorder."""
    often = round(ILL_SHARE * (hooks - ill) / (1 - ILL_SHARE * ill))
    places = [place for place in range(hooks) for _ in range(often if place < ill else 1)]
    random.Random(hooks).shuffle(places)
    return tuple(places)
