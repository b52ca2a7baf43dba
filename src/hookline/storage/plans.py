"""What storage says to a database: plans.

A plan is a generator. It yields statements, receives the rows of each, and returns a value; the driver
runs it inside one transaction and commits when it returns. SQL is thereby written once, for a driver
that waits in a thread (SQLite) and for one that awaits (PostgreSQL).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

Value = str | int | bytes | None
Row = tuple[Value, ...]
T = TypeVar("T")


class Sql(NamedTuple):
    """One statement; ``?`` marks its arguments."""

    text: str
    args: Sequence[Value] = ()


class Many(NamedTuple):
    """One statement over many rows: ``{v}`` in the text is a table ``v`` of them, behind ``FROM`` or a comma, and
    its columns are written ``v.id``; what is found for each is joined by ``{v} CROSS JOIN LATERAL (SELECT …)``;
    ``{rows}`` are all of them, for an INSERT.

    ``columns`` names and types that table: ``"id:t at:i data:b"`` (text, integer, bytes).
    The answer holds what the statement returns, in no order, or in one row how many rows it has changed.
    """

    text: str
    columns: str
    rows: Sequence[Sequence[Value]]


Loop = Literal["dispatch", "campaigns", "replays"]


class Wake(NamedTuple):
    """Once this is committed, there is work for a loop of every process: none need wait for its next look.

    It makes things quick and nothing true: who does not hear it finds the work a moment later by himself.
    """

    loop: Loop


class Breath(NamedTuple):
    """Others on the event loop may go on: what comes next takes a while to work out."""


BREATH = Breath()
Step = Sql | Many | Wake | Breath
Plan = Generator[Step, list[Row], T]


class StorageUnavailable(Exception):
    """The database is away, full or locked: nothing was changed, and the same call may go through later."""


class Database(Protocol):
    """What the two drivers have in common.

    Dialect holes: ``skip_locked`` is what follows a SELECT that claims rows of a table ``d``, ``now`` the
    database's own clock in microseconds.
    """

    dialect: str
    skip_locked: str
    now: str

    async def run(self, plan: Callable[[], Plan[T]], *, vital: bool = False, bulk: bool = False) -> T:
        """Run a writing plan in one transaction; what it raises rolls it back and comes out here.

        What is ``vital`` does not queue behind the rest; what is ``bulk`` writes hundreds of rows, and lets others
        go before.
        """
        ...

    async def read(self, plan: Callable[[], Plan[T]], *, bulk: bool = False) -> T:
        """Run a plan that only reads, on one snapshot; ``bulk`` as above."""
        ...

    async def forget(self) -> None:
        """See to it that what was deleted is in no file any more, where that is in our hands."""
        ...

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call ``heard`` with the loops that a commit of another process has work for; until cancelled, or
        without end where there is no other process."""
        ...

    async def close(self) -> None: ...


# The row that orders everything. Plans that change many deliveries take it before any other row, as those
# that accept do, so that no two of them can wait for each other.
TAKE_CLOCK = Sql("UPDATE clock SET seq = seq WHERE id = 1")


def one(rows: list[Row]) -> Row | None:
    """The only row, or ``None``."""
    return rows[0] if rows else None


def returns_rows(text: str) -> bool:
    return text.startswith("SELECT") or "RETURNING" in text


def all_of(tenant: str, filters: Iterable[tuple[str, Value]]) -> tuple[str, list[Value]]:
    """A WHERE for a tenant's rows, and its arguments: each condition that has a value, together."""
    given = [(text, value) for text, value in filters if value is not None]
    return " AND ".join(["tenant = ?", *(text for text, _ in given)]), [
        tenant,
        *(value for _, value in given),
    ]
