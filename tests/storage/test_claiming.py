"""What claiming costs, however much waits: counted in the steps of SQLite's machine and in rows."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from hookline.model import Delivery
from hookline.rules.pacing import Pace, Rate
from hookline.storage.accepting import DELIVERY_COLUMNS, INSERT_DELIVERIES, delivery_row
from hookline.storage.claiming import Claimed, Wanted
from hookline.storage.deliveries import Deliveries
from hookline.storage.migrations import migrate
from hookline.storage.plans import Many, Plan, Wake
from hookline.storage.sqlite import SqliteDatabase, _drive

T = TypeVar("T")
NOW = 1_790_000_000_000_000
MANY = 20_000
ORDERED = Pace(ordered=True)
PART = 1000  # steps of the machine


class Counting:
    """A SQLite database that counts the thousands of steps that its machine has taken."""

    dialect, skip_locked, now = "sqlite", "", "0"

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.set_progress_handler(self._count, PART)
        self.steps = 0

    def _count(self) -> int:
        self.steps += PART
        return 0

    async def run(self, plan: Callable[[], Plan[T]], *, vital: bool = False, bulk: bool = False) -> T:
        self.connection.execute("BEGIN")
        answer = _drive(self.connection, plan())
        self.connection.execute("COMMIT")
        return answer

    async def read(self, plan: Callable[[], Plan[T]], *, bulk: bool = False) -> T:
        return _drive(self.connection, plan())

    async def forget(self) -> None: ...

    async def listen(self, heard: Callable[[str], None]) -> None: ...

    async def close(self) -> None:
        self.connection.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Counting]:
    path = tmp_path / "hookline.db"
    real = SqliteDatabase(path)
    await migrate(real)
    await real.close()
    opened = Counting(path)
    yield opened
    await opened.close()


async def fill(database: Counting, waiting: Iterable[Delivery]) -> None:
    rows = [delivery_row(delivery) for delivery in waiting]

    def plan() -> Plan[None]:
        yield Many(INSERT_DELIVERIES, DELIVERY_COLUMNS, rows)
        yield Wake("dispatch")

    await database.run(plan)
    database.steps = 0


def one(seq: int, *, lane: str = "hook_a", key: str | None = None, retry_at: int | None = None) -> Delivery:
    return Delivery(
        tenant="t", id=f"dlv_{seq:06}", lane=lane, kind="webhook", hook=lane, seq=seq, order_key=key,
        state="queued" if retry_at is None else "waiting", next_at=NOW if retry_at is None else retry_at,
        tries=0 if retry_at is None else 1, created_at=NOW, updated_at=NOW,
    )  # fmt: skip


async def claim(database: Counting, wanted: Wanted) -> tuple[Claimed, int]:
    """A claim, and how many steps it took."""
    before = database.steps
    claimed = await Deliveries(database).claim([wanted], "me", NOW)
    return claimed, database.steps - before


async def ready_for_order(database: Counting) -> None:
    """Let the lane know that all have their keys."""
    await claim(database, Wanted(tenant="t", lane="hook_a", firsts=1, pace=ORDERED))
    await Deliveries(database).give_keys("t", "hook_a", 1)
    database.steps = 0


async def test_one_blocked_subject_with_a_long_queue_costs_one_look(database: Counting) -> None:
    blocked = (one(n, key="a", retry_at=NOW + 1 if n == 1 else None) for n in range(1, MANY))
    others = (one(MANY + n, key=f"b{n % 40:02}") for n in range(80))
    await fill(database, [*blocked, *others])
    await ready_for_order(database)
    wanted = Wanted(tenant="t", lane="hook_a", firsts=32, retries=8, most=32, pace=ORDERED)
    claimed, steps = await claim(database, wanted)
    assert [d.order_key for d, _ in claimed.work] == [f"b{n:02}" for n in range(32)]
    assert steps < MANY, "it did not walk the queue"
    rest, steps = await claim(
        database,
        Wanted(tenant="t", lane="hook_a", firsts=32, most=32, pace=ORDERED, cursor=claimed.taken[0].cursor),
    )
    assert [d.order_key for d, _ in rest.work] == [f"b{n:02}" for n in range(32, 40)], "the others in turn"
    assert rest.taken[0].cursor == "" and steps < MANY


async def test_what_was_freed_is_found_at_once_among_very_many_subjects(database: Counting) -> None:
    heads = [one(n, key=f"s{n:06}", retry_at=NOW + 1) for n in range(1, MANY)]
    behind = [one(MANY + n, key=f"s{n:06}") for n in range(1, 50)]
    await fill(database, [*heads, *behind, one(3 * MANY, key="zz")])
    await ready_for_order(database)
    wanted = Wanted(
        tenant="t", lane="hook_a", firsts=9, most=9, pace=ORDERED, freed=("zz", "s000001"), sweep=False
    )
    claimed, steps = await claim(database, wanted)
    assert [d.order_key for d, _ in claimed.work] == ["zz"], "the other's head waits for its time"
    assert steps <= 2 * PART
    claimed, steps = await claim(database, Wanted(tenant="t", lane="hook_a", firsts=9, most=9, pace=ORDERED))
    assert not claimed.work and claimed.taken[0].cursor == "s001000", "a thousand at a time"
    assert steps < 200 * PART


async def test_a_look_through_the_subjects_stands_where_it_was_while_others_have_spent_the_rate(
    database: Counting,
) -> None:
    await fill(database, [one(n, key=f"s{n:06}") for n in range(1, 10)])
    await ready_for_order(database)
    pace = Pace(rate=Rate(2, 1000), ordered=True)
    wanted = Wanted(tenant="t", lane="hook_a", firsts=9, most=9, pace=pace)
    claimed, _ = await claim(database, wanted)
    (taken,) = claimed.taken
    assert (taken.looked, taken.cursor, taken.firsts, taken.held_up) == (True, "s000002", 2, "rate")
    claimed, _ = await claim(database, replace(wanted, cursor="s000005", freed=("s000003",)))
    (taken,) = claimed.taken
    assert (taken.looked, taken.cursor, taken.held_up) == (False, "s000005", "rate")


async def test_retries_that_are_due_are_found_among_very_many_that_are_not(database: Counting) -> None:
    heads = [one(n, key=f"s{n:06}", retry_at=NOW if n > MANY - 5 else NOW + n) for n in range(1, MANY)]
    await fill(database, heads)
    await ready_for_order(database)
    wanted = Wanted(tenant="t", lane="hook_a", firsts=0, retries=9, most=9, pace=ORDERED, sweep=False)
    claimed, steps = await claim(database, wanted)
    assert (len(claimed.work), claimed.taken[0].retries, claimed.taken[0].retry_at) == (4, 4, NOW + 1)
    assert steps < MANY


async def test_neither_firsts_nor_retries_are_waded_through_for_the_others(database: Counting) -> None:
    early = [one(n, retry_at=NOW - MANY + n) for n in range(1, MANY)]
    await fill(database, [*early, *(one(MANY + n) for n in range(MANY)), one(3 * MANY, lane="hook_b")])
    claimed, steps = await claim(database, Wanted(tenant="t", lane="hook_a", firsts=12, retries=4, most=12))
    assert [(t.firsts, t.retries) for t in claimed.taken] == [(9, 3)], "a quarter for retries"
    assert steps < MANY
    database.steps = 0
    due = await Deliveries(database).due(NOW)
    assert [(s.lane, s.firsts, s.retry_at) for s in due.lanes] == [
        ("hook_a", True, NOW - MANY + 4),
        ("hook_b", True, None),
    ]
    assert database.steps <= 2 * PART, "whatever waits in a lane"


@pytest.mark.parametrize(
    ("room", "retries"), [(1, [0, 0, 0, 1]), (3, [0, 0, 0, 1]), (4, [1] * 4), (32, [8] * 4)]
)
def test_the_share_of_retries(room: int, retries: list[int]) -> None:
    shares = [Wanted(tenant="t", lane="a", firsts=9, turn=turn).share(room) for turn in range(1, 5)]
    assert shares == retries
