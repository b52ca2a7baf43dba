"""How soon statistics are answered where 10,000,000 events were counted: fills an empty database's counters as counting
them would have, in a year, and asks for each view over HTTP.

    .venv/bin/python tools/measure_statistics.py [postgresql://… of an empty database]
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvloop

from hookline.app import build
from hookline.cli import serving
from hookline.cli.asgi import Asgi
from hookline.cli.common import TENANT
from hookline.cli.door import Quick
from hookline.cli.keys import make_key
from hookline.model import HOUR, Campaign, CampaignInput
from hookline.rules.times import format_time
from hookline.settings import Settings
from hookline.storage import open_storage
from hookline.storage.counting import DAYS, LEVELS, ROLLUPS, _add
from hookline.storage.plans import Database, Many, Plan, Sql
from hookline.storage.postgres import PostgresDatabase
from hookline.storage.sqlite import SqliteDatabase

YEAR = 365 * 24
START = 1_760_000_000_000_000 // HOUR // 24 * 24
CAMPAIGNS, LISTS, HOOKS, LINKS, BIG, SMALL = 300, 20, 20, 15, 30, 2000
FIGURES = (
    "attempted",
    "sent",
    "opened",
    "opened_total",
    "opened_machine",
    "clicked",
    "clicked_total",
    "bounced",
)
ROUNDS = 12
Row = tuple[Any, ...]
Place = tuple[str, str, str]


class Filling:
    """What is counted under each place: in which hours, by event and by message."""

    def __init__(self) -> None:
        self._chance = random.Random(7)
        self.events = 0

    def rows(self) -> Iterator[Row]:
        chance = self._chance
        hours: dict[Place, set[int]] = {}
        sent: dict[Place, set[int]] = {}

        def count(place: Place, event: set[int], message: set[int]) -> None:
            hours.setdefault(place, set()).update(event)
            sent.setdefault(place, set()).update(message)

        for number in range(CAMPAIGNS):
            began = START + chance.randrange(YEAR - 400)
            message = set(range(began, began + 3))
            event = message | {began + int(chance.expovariate(1 / 60)) for _ in range(260)}
            name = f"cmp_{number:03}"
            count(("campaign", "", name), event, message)
            count(("list", "", f"lst_{number % LISTS}"), event, message)
            for link in range(LINKS):
                count(("link", name, str(link)), set(chance.sample(sorted(event), 90)), message)
            for domain in range(BIG):
                count(("domain", "", f"big{domain}.example"), event, message)
            for domain in chance.sample(range(SMALL), SMALL // 5):
                some = set(chance.sample(sorted(event), 3))
                count(("domain", "", f"small{domain}.example"), some | {began}, {began})
                yield self._row(("domain", name, f"small{domain}.example"), "total", 0)
            for domain in range(BIG):
                yield self._row(("domain", name, f"big{domain}.example"), "total", 0)
        year = set(range(START, START + YEAR))
        count(("all", "", ""), year, year)
        for number in range(HOOKS):
            count(("hook", "", f"hook_{number}"), year, year)
        for dim in ("type", "source"):
            for number in range(12):
                count((dim, "", f"{dim}.{number}"), year, set())
        for place, all_hours in hours.items():
            yield self._row(place, "total", 0)
            for timing, found in (("event", all_hours), ("message", sent[place])):
                for hour in found:
                    yield self._row(place, timing, hour)
                for after, size in ROLLUPS[1 : LEVELS.get(place[0], DAYS)]:
                    for begin in {hour // size * size for hour in found}:
                        yield self._row(place, timing + after, begin)

    def _row(self, place: Place, timing: str, hour: int) -> Row:
        count = self._chance.randrange(1, 400)
        if place[0] == "type" and timing == "total":
            self.events += 10_000_000 // 12
        return (TENANT, *place, timing, hour, *(count // divisor for divisor in (1, 1, 3, 2, 9, 12, 10, 50)))


async def fill(database: Database) -> tuple[int, int]:
    """How many rows there are, and events."""
    filling, count = Filling(), 0
    rows = filling.rows()
    text, columns = _add(FIGURES)
    while piece := [row for _, row in zip(range(20_000), rows, strict=False)]:

        def plan(piece: list[Row] = piece) -> Plan[None]:
            yield Many(text, columns, piece)

        await database.run(plan)
        count += len(piece)
    if database.dialect == "postgres":

        def analyze() -> Plan[None]:
            yield Sql("ANALYZE counters")

        await database.run(analyze)
    return count, filling.events


def views() -> Iterator[str]:
    week, month, year = (format_time((START + YEAR - 24 * days - 7) * HOUR) for days in (7, 30, 364))
    for by in ("", "by=campaign", "by=list", "by=hook", "by=domain", "by=type", "by=source"):
        for window in ("", f"since={week}", f"since={month}", f"since={year}"):
            for timing in (
                ("event", "message") if by not in ("by=type", "by=source") and window else ("event",)
            ):
                yield f"/v1/stats?{by}&{window}&timing={timing}"
    for only in ("", "by=campaign&campaign=cmp_007", "by=list&list=lst_7", "by=domain&domain=big7.example",
                 "by=hook&hook=hook_7", "by=type&type=type.7", "by=link&campaign=cmp_007"):  # fmt: skip
        yield f"/v1/stats?{only}&resolution=day"
        yield f"/v1/stats?{only}&resolution=hour&since={month}"
        yield f"/v1/stats?{only}&resolution=hour"
    for by in ("campaign", "list", "hook", "domain", "type"):
        yield f"/v1/stats?by={by}&resolution=day&since={month}"
        yield f"/v1/stats?by={by}&resolution=day"
    yield "/v1/stats?by=link&campaign=cmp_007"
    yield "/v1/stats?by=domain&campaign=cmp_007"
    yield "/v1/campaigns/cmp_007/stats"


async def measure(url: str, home: str) -> None:
    settings = Settings(home=home, database=url)
    storage = await open_storage(settings.storage_url, bytes(32))
    spec = CampaignInput(
        name="c", list="lst_7", from_="a@b.example", subject="Hi", html="<a href='https://x.example'>x</a>"
    )
    await storage.campaigns.put(
        Campaign(tenant=TENANT, id="cmp_007", spec=spec, list="lst_7", state="draft", created_at=0)
    )
    await storage.close()
    database = PostgresDatabase(url) if url else SqliteDatabase(Path(home) / "hookline.db")
    began = time.monotonic()
    rows, events = await fill(database)
    await database.close()
    print(
        f"{rows:,} rows of counters, {events:,} events, filled in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    app = await build(Settings(home=home, database=url, secret_key=bytes(32).hex()))
    await app.start()
    key = await make_key(app.services.storage, "m", "read")
    try:
        with serving.listen("127.0.0.1", 0) as listener:
            serving.tune()
            async with (
                serving.serving(cast("Asgi", app.asgi), listener, Quick(app.asgi.publisher.reply)),
                aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as session,
            ):
                for view in views():
                    await _ask(session, f"http://{serving.address_of(listener)}{view}", view)
    finally:
        await app.stop()


async def _ask(session: aiohttp.ClientSession, url: str, view: str) -> None:
    taken: list[float] = []
    size, status = 0, 0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        async with session.get(url) as response:
            size, status = len(await response.read()), response.status
        taken.append(1000 * (time.perf_counter() - began))
    slow = "  SLOW" if statistics.median(taken) > 50 else ""
    print(
        f"{min(taken):8.1f} {statistics.median(taken):8.1f} ms {size:9,} B {status} {view}{slow}", flush=True
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="hookline-statistics-") as folder:
        uvloop.run(measure(sys.argv[1] if len(sys.argv) > 1 else "", folder))
