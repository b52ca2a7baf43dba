"""Counting what happens, in the commit in which it happens: never recomputed, and read row by row of a bucket.

All of it is under the clock's row, so no two commits count the same message at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import msgspec

from hookline.model import HOUR, Event
from hookline.rules.bursts import WINDOW, Hit, of_address, of_message
from hookline.rules.counting import COUNTERS, Fact, History, Key, flags_of, is_over, retell, tell
from hookline.rules.effects import HITS, MAILER, Effect
from hookline.storage.plans import BREATH, Many, Plan, Value
from hookline.storage.units import Prepared

Name = tuple[str, str]
"""A tenant and a message's id."""
KEY_COLUMNS = "tenant:t dim:t parent:t name:t timing:t hour:i"
_KEYS = "tenant, dim, parent, name, timing, hour"
ROLLUPS = (("", 1), (" day", 24), (" 32 days", 32 * 24))
"""What hours are summed up in, in hours, and what follows the timing: an answer about a year reads the coarsest."""
DAYS, MONTHS = 2, 3
LEVELS = {"domain": MONTHS}
"""How many of these are counted; of a dimension with many names all, else days."""


def _add(figures: Iterable[str]) -> tuple[str, str]:
    """An upsert that adds to these figures, and its columns."""
    names = tuple(figures)
    listed = ", ".join(names)
    sums = ", ".join(f"{name} = counters.{name} + excluded.{name}" for name in names)
    text = f"INSERT INTO counters ({_KEYS}, {listed}) {{rows}} ON CONFLICT ({_KEYS}) DO UPDATE SET {sums}"
    return text, f"{KEY_COLUMNS} {' '.join(f'{name}:i' for name in names)}"


ADD_EVENTS, ADD_DELIVERIES, ADD_CANCELLED = (_add([name]) for name in ("events", "deliveries", "cancelled"))
FIND = (
    "SELECT m.tenant, m.id, m.sent_at, m.address, m.campaign, m.hook, c.list, m.history FROM messages m"
    " LEFT JOIN campaigns c ON c.tenant = m.tenant AND c.id = m.campaign, {v}"
    " WHERE m.tenant = v.tenant AND m.id = v.id"
)
FAILED = "hook failed"
"""Where the failed deliveries of a hook are counted. For those that succeed, all processes would wait for one row."""
MOST_NEAR = 200
"""How many hits are looked at to judge one: enough for any burst, and few enough for anybody's flood."""
FEW = 10  # messages worked out one after another, before others have their turn
HIT_COLUMNS = "tenant:t message:t event:t time:i click:i link:t ip:t machine:i reason:t own:i"
INSERT_HITS = (
    "INSERT INTO hits (tenant, message, event, time, click, link, ip, machine, reason, own) {rows}"
    " ON CONFLICT DO NOTHING"
)
_HIT = "h.tenant, h.message, h.event, h.time, h.click, h.link, h.machine, h.reason, h.own"


def _near(key: str) -> str:
    """The hits with a key, such as a message, between two times; the latest."""
    return (
        f"SELECT v.{key}, {_HIT} FROM {{v}} CROSS JOIN LATERAL (SELECT * FROM hits x WHERE x.tenant = v.tenant"
        f" AND x.{key} = v.{key} AND x.{key} IS NOT NULL AND x.time >= v.since AND x.time <= v.until"
        f" ORDER BY x.time DESC LIMIT {MOST_NEAR}) h"
    )


HITS_NEAR, HITS_FROM = _near("message"), _near("ip")
HITS_OF = f"SELECT {_HIT} FROM hits h, {{v}} WHERE h.tenant = v.tenant AND h.message = v.message"


def buckets_of(timing: str, hour: int, dim: str) -> list[tuple[str, int]]:
    """Where an hour counts: as itself, and in what hours are summed up in."""
    return [(timing + after, hour // size * size) for after, size in ROLLUPS[: LEVELS.get(dim, DAYS)]]


class _Letter(NamedTuple):
    """A message as it is counted: under what."""

    sent_at: int
    address: str
    campaign: str | None
    hook: str | None
    list: str | None


class Tally:
    """What a group of commits adds to the counters: by message, and then by bucket."""

    def __init__(self) -> None:
        self.letters: dict[Name, _Letter] = {}
        self.histories: dict[Name, History] = {}
        self.changed: set[Name] = set()
        self._sums: dict[tuple[str, str, str, str, bool, int, int], dict[str, int]] = {}

    def take(self, row: Sequence[Value]) -> None:
        """A message as it is stored."""
        tenant, name, sent_at, address, campaign, hook, listed, raw = cast(
            "tuple[str, str, int, str, str | None, str | None, str | None, bytes | None]", row
        )
        self.letters[tenant, name] = _Letter(sent_at, address, campaign, hook, listed)
        known = msgspec.json.decode(raw, type=History) if raw else History(sent_at // HOUR)
        self.histories[tenant, name] = known

    def change(self, name: Name, history: History, figures: dict[Key, int]) -> None:
        self.changed.add(name)
        self.histories[name] = history
        alike: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for (link, figure, hour), value in figures.items():
            alike.setdefault((link, hour), []).append((figure, value))
        for (link, hour), found in alike.items():
            for place in self._places(name, link):
                sums = self._sums.setdefault((name[0], *place, history.hour, hour), {})
                for figure, value in found:
                    sums[figure] = sums.get(figure, 0) + value

    def _places(self, name: Name, link: str) -> Iterator[tuple[str, str, str, bool]]:
        """All that a message, or a link of it, counts under."""
        letter = self.letters[name]
        owner = letter.campaign or letter.hook or ""
        if link:
            yield "link", owner, link, True
            return
        yield "all", "", "", True
        for dim, what in (("campaign", letter.campaign), ("hook", letter.hook), ("list", letter.list)):
            if what:
                yield dim, "", what, True
        domain = letter.address.rpartition("@")[2] if "@" in letter.address else ""
        if domain:  # an erased address has none
            yield "domain", "", domain, True
            if letter.campaign:
                yield "domain", letter.campaign, domain, False

    def write(self) -> Plan[None]:
        rows: list[tuple[Value, ...]] = []
        for place, (tenant, name) in enumerate(sorted(self.changed), 1):
            if place % FEW == 0:
                yield BREATH
            history = self.histories[tenant, name]
            opened, clicked = history.last.get("opened"), history.last.get("clicked")
            rows.append((tenant, name, flags_of(history), opened, clicked, msgspec.json.encode(history)))
        if rows:
            yield Many(
                "UPDATE messages SET flags = v.flags, opened_at = v.opened_at, clicked_at = v.clicked_at,"
                " history = v.history FROM {v} WHERE messages.tenant = v.tenant AND messages.id = v.id",
                "tenant:t id:t flags:i opened_at:i clicked_at:i history:b",
                rows,
            )
        sums = self._by_bucket()
        used = set().union(*sums.values())
        if used:
            names = [figure for figure in COUNTERS if figure in used]
            text, columns = _add(names)
            yield Many(
                text,
                columns,
                [(*key, *(found.get(n, 0) for n in names)) for key, found in sums.items() if found],
            )

    def _by_bucket(self) -> dict[tuple[str, str, str, str, str, int], dict[str, int]]:
        """What each bucket gets, but for what comes to nothing."""
        sums: dict[tuple[str, str, str, str, str, int], dict[str, int]] = {}
        for (tenant, dim, parent, what, timed, message_hour, hour), found in self._sums.items():
            buckets = [("total", 0)]
            if timed:
                buckets += [*buckets_of("event", hour, dim), *buckets_of("message", message_hour, dim)]
            for bucket in buckets:
                total = sums.setdefault((tenant, dim, parent, what, *bucket), {})
                for figure, value in found.items():
                    total[figure] = total.get(figure, 0) + value
        return {key: {n: v for n, v in found.items() if v} for key, found in sums.items()}


def count_events(items: Sequence[Prepared]) -> Plan[None]:
    """Count events of all types, by type and by source, and what they owe, by hook."""
    alike = Counter([(i.event.tenant, i.event.type, i.event.source, i.event.time // HOUR) for i in items])
    sums: Counter[tuple[str, str, str, str, str, int]] = Counter()
    for (tenant, kind, source, hour), count in alike.items():
        for dim, name in (("type", kind), ("source", source)):
            for timing, when in (("total", 0), *buckets_of("event", hour, dim)):
                sums[tenant, dim, "", name, timing, when] += count
    text, columns = ADD_EVENTS
    yield Many(text, columns, [(*key, value) for key, value in sums.items()])
    owed = Counter([(d.tenant, d.hook or "", i.event.time // HOUR) for i in items for d in i.deliveries])
    made: Counter[tuple[str, str, str, str, str, int]] = Counter()
    for (tenant, hook, hour), count in owed.items():
        for timing, when in (("total", 0), *buckets_of("event", hour, "hook")):
            made[tenant, "hook", "", hook, timing, when] += count
    if made:
        text, columns = ADD_DELIVERIES
        yield Many(text, columns, [(*key, value) for key, value in made.items()])


def count_failed(failed: Iterable[tuple[str, str, int]], value: int = 1) -> Plan[None]:
    """Count deliveries that failed for good, each by its tenant, hook and time; -1 takes back what was counted."""
    sums: Counter[tuple[str, str, str, str, str, int]] = Counter()
    for tenant, hook, time in failed:
        for timing, when in (("total", 0), *buckets_of("event", time // HOUR, FAILED)):
            sums[tenant, FAILED, "", hook, timing, when] += value
    if sums:
        text, columns = ADD_DELIVERIES
        yield Many(text, columns, [(*key, count) for key, count in sorted(sums.items())])


def count_cancelled(mails: Collection[tuple[str, str, str]], now: int) -> Plan[None]:
    """Count mails that will not be sent, each by its tenant, campaign ("" for none) and delivery. One that was put off
    is no more pending; one that a person had tried again after its end is counted as that already."""
    if not mails:
        return
    tally = Tally()
    yield from _load(tally, {(tenant, message) for tenant, _, message in mails})
    over = {name for name, history in tally.histories.items() if is_over(history)}
    sums = Counter((tenant, of) for tenant, of, name in mails if of and (tenant, name) not in over)
    if sums:
        text, columns = ADD_CANCELLED
        rows = [(tenant, "campaign", "", name, "total", 0, count) for (tenant, name), count in sums.items()]
        yield Many(text, columns, rows)
    for name, history in list(tally.histories.items()):
        if name not in over and "deferred" in history.first:
            tally.change(name, *tell(history, [Fact("delivery.cancelled", now)]))
    yield from tally.write()


def count_mail(items: Sequence[Prepared]) -> Plan[None]:
    """Fold email events into the histories of their messages, and these into the counters."""
    if not items:
        return
    tally = Tally()
    yield from _load(tally, {(i.event.tenant, i.event.message) for i in items if i.event.message})
    told: dict[Name, list[Fact]] = {}
    hits: list[tuple[Event, Effect]] = []
    for item in items:
        event, effect = item.event, item.effect
        name = (event.tenant, event.message or "")
        if effect is None or name not in tally.letters:
            continue
        told.setdefault(name, []).append(
            Fact(event.type, event.time, effect.machine, effect.hard, effect.link, event.source == MAILER)
        )
        if event.type in HITS:
            hits.append((event, effect))
    for place, (name, facts) in enumerate(told.items(), 1):
        tally.change(name, *tell(tally.histories[name], facts))
        if place % FEW == 0:
            yield BREATH
    if hits:
        yield from _follow(tally, hits)
    yield from tally.write()


def _load(tally: Tally, wanted: set[Name]) -> Plan[None]:
    for row in (yield Many(FIND, "tenant:t id:t", sorted(wanted))):
        tally.take(row)


def _follow(tally: Tally, hits: Sequence[tuple[Event, Effect]]) -> Plan[None]:
    """Keep opens and clicks, and mark those that turn out to be a machine's, whenever they came."""
    rows: list[tuple[Value, ...]] = []
    near: dict[Name, list[int]] = {}
    origins: dict[Name, list[int]] = {}
    for event, effect in hits:
        click = int(event.type == "email.clicked")
        rows.append(
            (event.tenant, event.message, event.id, event.time, click, effect.link, effect.ip,
             int(effect.machine), effect.reason, int(event.source == MAILER))
        )  # fmt: skip
        near.setdefault((event.tenant, event.message or ""), []).append(event.time)
        if effect.ip is not None and not effect.machine:
            origins.setdefault((event.tenant, effect.ip), []).append(event.time)
    yield Many(INSERT_HITS, HIT_COLUMNS, rows)
    marks: dict[Name, dict[str, str]] = {}
    for judge, text, columns, wanted in (
        (of_message, HITS_NEAR, "tenant:t message:t since:i until:i", near),
        (of_address, HITS_FROM, "tenant:t ip:t since:i until:i", origins),
    ):
        around = [(*key, min(times) - WINDOW, max(times) + WINDOW) for key, times in sorted(wanted.items())]
        found: dict[Name, list[Hit]] = {}
        for key, *row in (yield Many(text, columns, around)):
            found.setdefault((cast("str", row[0]), cast("str", key)), []).append(_hit(row))
        for (tenant, _), together in found.items():
            messages = {hit.event: hit.message for hit in together}
            for name, reason in judge(together).items():
                marks.setdefault((tenant, messages[name]), {}).setdefault(name, reason)
    if marks:
        yield from _remark(tally, marks)


def _remark(tally: Tally, marks: dict[Name, dict[str, str]]) -> Plan[None]:
    """Hits by people, in all figures, become a machine's."""
    yield from _load(tally, set(marks) - set(tally.letters))
    stored: dict[Name, list[Hit]] = {}
    for row in (yield Many(HITS_OF, "tenant:t message:t", sorted(marks))):
        hit = _hit(row)
        stored.setdefault((cast("str", row[0]), hit.message), []).append(hit)
    for name, reasons in marks.items():
        if name not in tally.letters:
            continue
        was = [_fact(hit, hit.machine) for hit in stored[name]]
        now = [_fact(hit, hit.machine or hit.event in reasons) for hit in stored[name]]
        tally.change(name, *retell(tally.histories[name], was, now))
    yield Many(
        "UPDATE hits SET machine = 1, reason = v.reason FROM {v} WHERE hits.tenant = v.tenant"
        " AND hits.message = v.message AND hits.event = v.event",
        "tenant:t message:t event:t reason:t",
        [(*name, event, reason) for name, found in marks.items() for event, reason in found.items()],
    )


def _hit(row: Sequence[Value]) -> Hit:
    _, message, event, time, click, link, machine, reason, own = cast(
        "tuple[str, str, str, int, int, str, int, str | None, int]", row
    )
    return Hit(message, event, time, bool(click), link, bool(machine), reason, bool(own))


def _fact(hit: Hit, machine: bool) -> Fact:
    return Fact(
        "email.clicked" if hit.click else "email.opened", hit.time, machine, link=hit.link, own=hit.own
    )
