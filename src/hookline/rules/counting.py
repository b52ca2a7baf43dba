"""What email events say of a message, as figures: pure, and the same in whatever order they come.

What was told of a message is kept as the first (and, where it matters, the last) time of each kind of fact. Its
figures, and the hours that they count in, follow from that alone; an event changes the counters by the
difference between the figures before it and after it. So a duplicate changes nothing, and an open that comes before
its ``sent`` counts as one that comes after it.

The figures are those of the contract, section 2: a mail that was refused in the session was tried
(``attempted``) and bounced, and was never ``sent``; one that was not tried is ``blocked`` and no more. One that came
to its end without a word of any server's is ``failed``: each is one of attempted, blocked and failed at most. One
that was put off and then ``cancelled`` is none of them: the campaign counts it.

A hit that our own pixel or link tells of may be told again by a provider who tracks, too: how often something was
done is counted by our own tellings, and by others' only where there is none of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from hookline.model import HOUR, SECOND

ATTEMPTED, SENT, PENDING, BOUNCED, BOUNCED_HARD, BLOCKED = 1, 2, 4, 8, 16, 32
OPENED, OPENED_MACHINE, CLICKED, COMPLAINED, UNSUBSCRIBED, CLICKED_MACHINE = 64, 128, 256, 512, 1024, 2048
FAILED = 4096
FLAGS = {
    "attempted": ATTEMPTED, "sent": SENT, "pending": PENDING, "bounced": BOUNCED, "bounced_hard": BOUNCED_HARD,
    "blocked": BLOCKED, "opened": OPENED, "opened_machine": OPENED_MACHINE, "clicked": CLICKED,
    "clicked_machine": CLICKED_MACHINE, "complained": COMPLAINED, "unsubscribed": UNSUBSCRIBED,
    "failed": FAILED,
}  # fmt: skip

COUNTERS = (
    "attempted", "sent", "pending", "opened", "opened_total", "opened_machine", "clicked", "clicked_total",
    "clicked_machine", "bounced", "bounced_hard", "blocked", "failed", "complained", "unsubscribed",
    "cancelled",
)  # fmt: skip

HITS = ("opened", "clicked")  # what a machine may do in a person's place
_PLAIN = ("sent", "blocked", "opened", "opened_machine", "clicked", "clicked_machine", "bounced",
          "bounced_hard", "complained", "unsubscribed")  # fmt: skip
_TRIED = ("sent", "delivered", "deferred", "bounced")
# Who opens a mail or complains of it has got it, although nobody says "delivered" of one that was delayed.
_ARRIVED = (
    "delivered",
    "opened",
    "opened_machine",
    "clicked",
    "clicked_machine",
    "complained",
    "unsubscribed",
)
_LAST = frozenset({"sent", "deferred", *HITS})

Key = tuple[str, str, int]
"""A link ("" for the message as a whole), a figure, and the hour since 1970 that it counts in."""


class Fact(NamedTuple):
    """An email event as far as it counts; ``link`` is that of a click, where it is known, and ``own`` whether
    we tell of it."""

    type: str
    time: int
    machine: bool = False
    hard: bool = False
    link: str = ""
    own: bool = True


class History(Struct, frozen=True, array_like=True):
    """What was told of a message: the first and the last time of each kind of fact, and the hour it was sent in.

    The names are those of the figures; ``clicked/3`` is a click on the link 3. ``ours`` are the kinds of hits by people
    that we tell of ourselves; ``theirs`` counts those that others tell of: ``clicked 490000 3`` in an hour, on a link.
    """

    hour: int
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    ours: tuple[str, ...] = ()
    theirs: dict[str, int] = {}


def tell(history: History, facts: Iterable[Fact]) -> tuple[History, dict[Key, int]]:
    """The history with these facts, and what they add to the figures."""
    told = tuple(facts)
    new = _remember(history, told)
    return new, _difference(history, new, told, ())


def retell(history: History, was: Iterable[Fact], now: Iterable[Fact]) -> tuple[History, dict[Key, int]]:
    """The history once all opens and clicks of the message, ``was``, are known to be ``now``."""
    before, after = tuple(was), tuple(now)
    bare = History(
        history.hour,
        {name: time for name, time in history.first.items() if not name.startswith(HITS)},
        {name: time for name, time in history.last.items() if name not in HITS},
    )
    new = _remember(bare, after)
    return new, _difference(history, new, after, before)


def flags_of(history: History) -> int:
    """The bits of what has happened to the message."""
    found = _figures(history)
    return sum(bit for name, bit in FLAGS.items() if name in found)


def is_over(history: History) -> bool:
    """Whether the message counts as delivered, bounced, blocked or failed."""
    flags = flags_of(history)
    return bool(flags & (BLOCKED | FAILED)) or flags & (ATTEMPTED | PENDING) == ATTEMPTED


def _remember(history: History, facts: Iterable[Fact]) -> History:
    first, last, ours, theirs = (
        dict(history.first),
        dict(history.last),
        set(history.ours),
        dict(history.theirs),
    )
    for fact in facts:
        name = _name(fact)
        if name in HITS and not fact.machine:
            if fact.own:
                ours.add(name)
            else:
                where = f"{name} {fact.time // HOUR} {fact.link}"
                theirs[where] = theirs.get(where, 0) + 1
        if name in HITS and fact.machine:
            name += "_machine"
        names = [name]
        if fact.hard:
            names.append("bounced_hard")
        if fact.link:
            names.append(f"{name}/{fact.link}")
        for each in names:
            first[each] = min(first.get(each, fact.time), fact.time)
        if name in _LAST:
            last[name] = max(last.get(name, fact.time), fact.time)
    return History(history.hour, first, last, tuple(sorted(ours)), theirs)


def _name(fact: Fact) -> str:
    return fact.type.rpartition(".")[2]


def _figures(history: History) -> dict[str, int]:
    """Each figure that the message counts in, and since when."""
    first = history.first
    found = {name: first[name] for name in _PLAIN if name in first}
    tried = [first[name] for name in _TRIED if name in first]
    if tried and (
        "bounced" in first or "blocked" not in first
    ):  # what bounced was tried, whatever else is said
        found["attempted"] = min(tried)
        found.pop("blocked", None)
    settled = any(name in first for name in ("bounced", "blocked", *_ARRIVED))
    # Taken by a server later than put off: no more pending. Others tell of whole seconds.
    if "deferred" in first and not settled:
        sent, deferred = history.last.get("sent", 0), history.last["deferred"]
        found |= {"pending": first["deferred"]} if sent // SECOND <= deferred // SECOND else {}
    given_up = "failed" in first or "cancelled" in first
    if given_up and not any(name in first for name in ("sent", "delivered", "bounced", "blocked")):
        if "failed" in first:
            found["failed"] = first["failed"]
        for name in ("attempted", "pending"):  # it was put off, and not tried again
            found.pop(name, None)
    found.update((name, time) for name, time in first.items() if "/" in name)
    return found


def _difference(old: History, new: History, more: Iterable[Fact], fewer: Iterable[Fact]) -> dict[Key, int]:
    changes: dict[Key, int] = {}

    def add(name: str, link: str, time: int, value: int) -> None:
        key = link, name, time // HOUR
        changes[key] = changes.get(key, 0) + value

    for history, value in ((old, -1), (new, 1)):
        for name, time in _figures(history).items():
            figure, _, link = name.partition("/")
            add(figure, link, time, value)
        for where, count in history.theirs.items():
            name, hour, link = where.split(" ", 2)
            if name not in history.ours:
                for each in {"", link}:
                    add(f"{name}_total", each, int(hour) * HOUR, value * count)
    for facts, value in ((fewer, -1), (more, 1)):
        for fact in facts:
            name = _name(fact)
            if name in HITS and not fact.machine and fact.own:
                for each in {"", fact.link}:
                    add(f"{name}_total", each, fact.time, value)
    return {key: value for key, value in changes.items() if value}
