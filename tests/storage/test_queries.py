"""How SQLite would answer what is asked often: by an index, in order, however much there is."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hookline.model import Campaign, CampaignInput, Contact, Hook, HookInput, WebhookAction
from hookline.storage.accepting import CLAIM_LIMITS
from hookline.storage.campaigns import EVERYONE, Campaigns
from hookline.storage.contacts import Contacts
from hookline.storage.deliveries import Deliveries
from hookline.storage.events import Events
from hookline.storage.hooks import Hooks
from hookline.storage.imports import Imports, Upsert, upserting
from hookline.storage.migrations import migrate
from hookline.storage.plans import Breath, Many, Plan, Sql, Wake
from hookline.storage.sealing import Sealer
from hookline.storage.sqlite import SqliteDatabase, _block

T = TypeVar("T")


class Explaining:
    """A database that keeps, for each statement, how SQLite went about it."""

    dialect, skip_locked, now = "sqlite", "", "0"

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.steps: list[str] = []

    async def run(self, plan: Callable[[], Plan[T]], *, vital: bool = False, bulk: bool = False) -> T:
        steps = plan()
        try:
            step = next(steps)
            while True:
                if isinstance(step, (Wake, Breath)):
                    step = steps.send([])
                    continue
                if isinstance(step, Many):  # as what is in bulk has it
                    text, args = _block(step.text, step.columns, len(step.rows)), chain(*step.rows)
                    step = Sql(text, list(args))
                explained = self.connection.execute(f"EXPLAIN QUERY PLAN {step.text}", step.args)
                self.steps += [row[3] for row in explained]
                cursor = self.connection.execute(step.text, step.args)
                step = steps.send(cursor.fetchall() or [(cursor.rowcount,)] * (cursor.rowcount >= 0))
        except StopIteration as stop:
            value: T = stop.value
            return value

    read = run

    async def forget(self) -> None: ...

    async def listen(self, heard: Callable[[str], None]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.connection.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Explaining]:
    path = tmp_path / "hookline.db"
    real = SqliteDatabase(path)
    await migrate(real)
    await real.close()
    opened = Explaining(path)
    yield opened
    await opened.close()


Ask = Callable[[Explaining], Awaitable[Any]]
ASKED: dict[str, tuple[Ask, str]] = {
    "events": (lambda db: Events(db).page("t", limit=9), "events_seq"),
    "events by source": (lambda db: Events(db).page("t", limit=9, source="s"), "events_source"),
    "events by subject": (lambda db: Events(db).page("t", limit=9, subject="s"), "events_subject"),
    "events by campaign": (lambda db: Events(db).page("t", limit=9, campaign="c"), "events_campaign"),
    "events by type": (lambda db: Events(db).page("t", limit=9, type="a.b", before=7), "events_type"),
    "events after": (lambda db: Events(db).page("t", limit=9, after=7), "events_seq"),
    "deliveries": (lambda db: Deliveries(db).page("t", limit=9), "deliveries_seq"),
    "deliveries by hook": (lambda db: Deliveries(db).page("t", limit=9, hook="h"), "deliveries_hook"),
    "deliveries by campaign": (
        lambda db: Deliveries(db).page("t", limit=9, campaign="c"),
        "deliveries_campaign",
    ),
    **{
        f"deliveries {state}": (
            lambda db, state=state: Deliveries(db).page("t", limit=9, state=state),  # type: ignore[misc]
            "deliveries_state",
        )
        for state in ("waiting", "queued", "failed", "cancelled", "held")
    },
    "contacts": (lambda db: Contacts(db).page("t", limit=9), "contacts_seq"),
    "contacts of a list": (lambda db: Contacts(db).page("t", limit=9, in_list="l"), "members_seq"),
    "suppressions": (lambda db: Contacts(db).page_of_suppressions("t", limit=9), "suppressions_seq"),
    "a campaign's messages": (lambda db: Campaigns(db).recipients("t", "c", limit=9), "messages_campaign"),
}


@pytest.mark.parametrize("name", ASKED)
async def test_a_page_is_walked_along_an_index(database: Explaining, name: str) -> None:
    ask, index = ASKED[name]
    await ask(database)
    assert f"INDEX {index} (" in database.steps[0]
    assert not [step for step in database.steps if "SCAN" in step or "TEMP B-TREE" in step]


def happened(database: Explaining, place: int, kind: str) -> None:
    database.connection.execute(
        "INSERT INTO events (tenant, id, seq, type, source, time, accepted_at, data, depth, verdicts)"
        " VALUES ('t', ?, ?, ?, 's', 0, 0, x'', 0, x'5b5d')",
        (str(place), place, kind),
    )


async def test_a_prefix_is_asked_for_type_by_type_and_never_sorted_as_a_whole(database: Explaining) -> None:
    for place, kind in enumerate(("email.opened", "email.sent", "emails.other", "order.paid"), 1):
        happened(database, place, kind)
    found = await Events(database).page("t", limit=9, type="email.*")
    assert [event.type for event in found] == ["email.sent", "email.opened"]
    walks = [step for step in database.steps if "events" in step and "events_type (tenant=? AND type" in step]
    assert len(walks) == 3 and not [step for step in database.steps if "TEMP B-TREE" in step]


@pytest.mark.parametrize("count", [15, 30, 210])
async def test_a_prefix_finds_the_same_however_many_types_there_are(database: Explaining, count: int) -> None:
    for place in range(1, count + 1):
        kind = f"{'a' if place % 3 else 'A'}.{place}"
        happened(database, place, kind)
    wanted = [place for place in range(1, count + 1) if place % 3]
    events = Events(database)
    assert [e.seq for e in await events.page("t", limit=4, type="a.*")] == wanted[:-5:-1]
    assert [e.seq for e in await events.page("t", limit=4, type="a.*", after=5)] == [7, 8, 10, 11][:4]


async def test_whether_a_campaign_is_over_asks_for_what_is_under_way_alone(database: Explaining) -> None:
    spec = CampaignInput(name="news", list="lst_a", from_="a@b.example", subject="Hi", text="Hi")
    await Campaigns(database).put(
        Campaign(
            tenant="t", id="c", spec=spec, list="l", state="sending", created_at=1, cursor=EVERYONE
        )
    )  # fmt: skip
    database.steps.clear()
    assert await Campaigns(database).is_over("t", "c")
    assert any("INDEX deliveries_live (" in step for step in database.steps)


async def test_deleting_a_hook_does_not_walk_what_it_has_done(database: Explaining) -> None:
    hooks = Hooks(database, Sealer(bytes(32)))
    spec = HookInput(on=["*"], do=WebhookAction(url="https://shop.example/"))
    await hooks.put(Hook(tenant="t", id="h", created_at=1, updated_at=1, spec=spec))
    database.steps.clear()
    assert await hooks.delete("t", "h", 1)
    walks = [step for step in database.steps if "deliveries" in step]
    looked = [("deliveries_due (" in step, "deliveries_state (" in step) for step in walks]
    assert looked == 2 * [(True, False), (False, True)]  # for mails that were put off, and to cancel


async def test_a_limit_counts_just_what_is_inside_its_time(database: Explaining) -> None:
    names = ("tenant", "hook", "subject", "delivery", "at", "since", "most")
    text = CLAIM_LIMITS.replace("{v}", f"(SELECT {', '.join(f'? AS {name}' for name in names)}) AS v")
    explained = database.connection.execute(f"EXPLAIN QUERY PLAN {text}", ("t", "h", "s", "d", 1, 0, 1))
    assert any("tenant=? AND hook=? AND subject=? AND at>?" in row[3] for row in explained)


async def test_an_import_looks_nobody_up_by_wading_through_the_others(database: Explaining) -> None:
    names = [f"p{n}@example.com" for n in range(3)]
    contacts = [
        Contact(tenant="t", id=f"ctc_{name}", email=name, created_at=1, updated_at=1) for name in names
    ]
    for new, join, leave in ((True, ("a", "b"), ()), (False, ("a",), ("b",))):
        rows = [Upsert(contact=c, new=new, changed=True, join=join, leave=leave) for c in contacts]
        await database.run(lambda rows=rows: upserting(rows, 2, resubscribe=True))  # type: ignore[misc]
    found = await Imports(database, lambda tenant, email: email[::-1]).known("t", names)
    assert [found[name].lists for name in names] == [{"a": "subscribed", "b": "unsubscribed"}] * 3
    walked = {
        step.split()[1] for step in database.steps if step.startswith("SCAN") and "CONSTANT" not in step
    }
    assert walked == {"v"}, "what is walked through is what was asked for"
