"""What a row comes to: what publisher and receiver noted, put together event by event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from hookline.cli.bench.plan import Latency, Row

EVENT_BITS = 40


class Published(Struct, frozen=True):
    """For each event in its order: when it was due or sent, and when it was accepted (0: it was not)."""

    sent: Sequence[float]
    accepted: Sequence[float]


class Counted(Struct, frozen=True):
    """Deliveries as in ``Figures``."""

    owed: int
    received: int
    duplicates: int
    latency: Latency


def key(receiver: int, event: int) -> int:
    """One number for a delivery: what it is about, and for whom."""
    return receiver << EVENT_BITS | event


def count(
    row: Row,
    receivers: Sequence[int],
    first: int,
    published: Published,
    arrivals: Iterable[tuple[int, float]],
) -> Counted:
    """``receivers`` are the numbers of the row's receivers, ``first`` is that of its first event, behind those of its
    backlog, and ``arrivals`` are keys with the times at which they arrived."""
    arrived: dict[int, float] = {}
    total = 0
    for name, at in arrivals:
        arrived.setdefault(name, at)
        total += 1
    taken: list[float] = []
    missing = 0
    for place, hook in owed(row, published):
        name = key(receivers[hook], first + place)
        if name in arrived:
            taken.append(arrived[name] - published.sent[place])
        else:
            missing += 1
    due = [key(receivers[hook], first - row.backlog + place) for place, hook in backlog(row)]
    came = sum(name in arrived for name in due)
    return Counted(len(taken) + missing + len(due), len(taken) + came, total - len(arrived), latency(taken))


def backlog(row: Row) -> Iterator[tuple[int, int]]:
    """What is due before a row begins: which event's, and to which hook."""
    others = len(row.receivers) - 1
    yield from ((place, 1 + place % others) for place in range(row.backlog))


def owed(row: Row, published: Published) -> Iterator[tuple[int, int]]:
    """The deliveries that are owed to receivers that are well: which event's, counted from the row's first, and
    to which hook of the row."""
    well = frozenset(row.well)
    for place, accepted in enumerate(published.accepted):
        if not accepted:
            continue
        if not row.pattern:
            yield from ((place, hook) for hook in row.well)
        elif (hook := row.pattern[place % len(row.pattern)]) in well:
            yield place, hook


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles by nearest rank; zeros where there is nothing."""
    ordered = sorted(seconds) or [0.0]
    p50, p95, p99 = (
        1000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)] for percent in (50, 95, 99)
    )
    return Latency(p50, p95, p99)
