"""PostgreSQL by asyncpg. Rows travel as arrays (``unnest``), so that a batch is one round trip."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import asyncpg

from hookline.storage.listening import SAY, keep_listening
from hookline.storage.plans import (
    Breath,
    Many,
    Plan,
    Row,
    Sql,
    Step,
    StorageUnavailable,
    Value,
    Wake,
    returns_rows,
)

T = TypeVar("T")
Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
CLOSE_SECONDS = 2.0
# So long a heartbeat may take. A database that does not even answer that stands still, whatever else is asked of it.
VITAL_SECONDS = 4.0
LATE_SECONDS = 1.0
READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# What writes finds few rows, by their names or at the end of an index, however large a table is. PostgreSQL goes by
# what it counted last, which is too little of a table that grows quickly: it would join a few hundred names with
# all rows. And who stands still inside a commit, for as long as makes a process count as dead, is cut off, lest what
# he has locked hold up all others. Said for the transaction alone, for a pooler may lend the connection on.
WRITING = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '3s'" + "".join(
    f"; SET LOCAL enable_{way} = off"
    for way in ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "material")
)
TYPES = {"t": "text", "i": "bigint", "b": "bytea"}
_COLUMN = re.compile(r"\bv\.(\w+)")
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.DeadlockDetectedError,
    asyncpg.exceptions.SerializationError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.InvalidAuthorizationSpecificationError,
    asyncpg.exceptions.InvalidCatalogNameError,
    asyncpg.exceptions.PostgresSystemError,
)


@lru_cache(maxsize=1024)
def _numbered(text: str) -> str:
    numbers = itertools.count(1)
    return "".join(f"${next(numbers)}" if character == "?" else character for character in text)


@lru_cache(maxsize=1024)
def _with_table(text: str, columns: str, same: tuple[bool, ...]) -> str:
    """The statement with its table of rows: arrays, and one argument for a column that is the ``same`` in all rows."""
    pairs = [column.split(":") for column in columns.split()]
    single = [f"${at}::{TYPES[kind]} AS {name}" for at, (name, kind) in enumerate(pairs, 1) if same[at - 1]]
    arrays = [f"${at}::{TYPES[kind]}[]" for at, (_, kind) in enumerate(pairs, 1) if not same[at - 1]]
    several = [name for (name, _), alone in zip(pairs, same, strict=True) if not alone]
    rows = f" FROM unnest({', '.join(arrays)}) AS u({', '.join(several)})" if several else ""
    table = f"(SELECT {', '.join([*several, *single])}{rows}) AS v"
    names = ", ".join(name for name, _ in pairs)
    return text.replace("{rows}", f"SELECT {names} FROM {table}").replace("{v}", table)


def _storable(value: Value) -> Value:
    """PostgreSQL's text has no NUL (its bytes do): what has one is looked for in vain, and kept without it."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


@lru_cache(maxsize=256)
def _compared(text: str, columns: str) -> tuple[bool, ...]:
    """Which columns rows are found by. As one argument, a tenant would look to PostgreSQL like a good way to find
    them: all of his rows, and each of these compared with the whole group."""
    found = set(_COLUMN.findall(text.partition(" WHERE ")[2]))
    return tuple(column.partition(":")[0] in found for column in columns.split())


def _arguments(step: Many) -> tuple[str, list[Any]]:
    """The statement and its arguments. Most columns of a group are the same in all its rows, and asyncpg takes
    a while for each element of an array."""
    count = len(step.rows)
    columns = list(zip(*step.rows, strict=True))
    compared = _compared(step.text, step.columns)
    same = [
        not found_by and column.count(column[0]) == count
        for column, found_by in zip(columns, compared, strict=True)
    ]
    if count > 1 and all(same):  # rows that are all alike are still so many
        same[0] = False
    arguments = [
        _storable(column[0]) if alone else [_storable(value) for value in column]
        for column, alone in zip(columns, same, strict=True)
    ]
    return _with_table(step.text, step.columns, tuple(same)), arguments


async def _execute(connection: Connection, step: Step) -> list[Row]:
    if isinstance(step, Sql):
        args = [_storable(value) for value in step.args]
        return [tuple(row) for row in await connection.fetch(_numbered(step.text), *args)]
    if isinstance(step, Breath):
        await asyncio.sleep(0)
        return []
    if isinstance(step, Wake):
        await connection.fetch(SAY, step.loop)
        return []
    counted = not returns_rows(step.text)
    if not step.rows:
        return [(0,)] if counted else []
    text, args = _arguments(step)
    if counted:
        return [(int((await connection.execute(text, *args)).rpartition(" ")[2]),)]
    return [tuple(row) for row in await connection.fetch(text, *args)]


async def _drive(connection: Connection, plan: Plan[T]) -> T:
    try:
        step = next(plan)
        while True:
            try:
                rows = await _execute(connection, step)
            except asyncpg.PostgresError as error:
                step = plan.throw(error)
            else:
                step = plan.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value


@asynccontextmanager
async def _transaction(connection: Connection, *, readonly: bool) -> AsyncIterator[None]:
    """A transaction. A connection that does not answer in time, or whose answer nobody waits for any more, is given
    up: asyncpg would ask a server that stands still to undo what it does, and wait for that."""
    try:
        await connection.execute(READING if readonly else WRITING)
        try:
            yield
        except (TimeoutError, asyncio.CancelledError):
            raise
        except BaseException:
            await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")
    except (TimeoutError, asyncio.CancelledError):
        connection.terminate()
        raise


def _away(error: Exception) -> StorageUnavailable:
    return StorageUnavailable(f"PostgreSQL: {str(error) or type(error).__name__}")


class PostgresDatabase:
    """A PostgreSQL database, by its URL; connections are made when they are needed and pooled.

    What takes long may take long while the database lives, which what is ``vital`` finds out beside all else. When it
    has no answer, everything under way is given up, and what is asked meanwhile is refused at once.
    """

    dialect = "postgres"
    skip_locked = "FOR UPDATE OF d SKIP LOCKED"
    now = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"

    def __init__(self, url: str, connections: int = 8) -> None:
        self._url = url
        self._connections = connections
        self._pools: tuple[asyncpg.Pool, asyncpg.Pool] | None = None  # for all, and for what is vital
        self._opening = asyncio.Lock()
        self._under_way: set[Connection] = set()
        self._stands_still = False

    async def _open(self) -> tuple[asyncpg.Pool, asyncpg.Pool]:
        async with self._opening:
            if self._pools is None:
                most = self._connections
                self._pools = (
                    await asyncpg.create_pool(
                        self._url, min_size=0, max_size=most, timeout=5, command_timeout=60
                    ),
                    await asyncpg.create_pool(
                        self._url,
                        min_size=0,
                        max_size=1,
                        timeout=VITAL_SECONDS,
                        command_timeout=VITAL_SECONDS,
                    ),
                )
            return self._pools

    async def run(self, plan: Callable[[], Plan[T]], *, vital: bool = False, bulk: bool = False) -> T:
        return await (self._live(plan) if vital else self._transact(plan, readonly=False))

    async def read(self, plan: Callable[[], Plan[T]], *, bulk: bool = False) -> T:
        return await self._transact(plan, readonly=True)

    async def _live(self, plan: Callable[[], Plan[T]]) -> T:
        """Run what is vital, and thereby see whether the database stands still."""
        still, began = False, time.monotonic()
        try:
            _, pool = self._pools or await self._open()
            async with (
                pool.acquire(timeout=VITAL_SECONDS) as connection,
                _transaction(connection, readonly=False),
            ):
                return await _drive(connection, plan())
        except TimeoutError as error:
            if time.monotonic() - began < VITAL_SECONDS + LATE_SECONDS:  # who was late himself judges nobody
                still = True
                for waiting in self._under_way:
                    waiting.terminate()
            raise _away(error) from error
        except AWAY as error:
            raise _away(error) from error
        finally:
            self._stands_still = still

    async def _transact(self, plan: Callable[[], Plan[T]], *, readonly: bool) -> T:
        if self._stands_still:
            raise StorageUnavailable("PostgreSQL: it does not answer")
        try:
            pool, _ = self._pools or await self._open()
            async with pool.acquire(timeout=5) as connection:
                self._under_way.add(connection)
                try:
                    async with _transaction(connection, readonly=readonly):
                        return await _drive(connection, plan())
                finally:
                    self._under_way.discard(connection)
        except AWAY as error:
            raise _away(error) from error

    async def forget(self) -> None:
        """The server's part: vacuuming, and the WAL that it keeps."""

    async def listen(self, heard: Callable[[str], None]) -> None:
        await keep_listening(self._url, heard, AWAY)

    async def close(self) -> None:
        await asyncio.gather(*map(_closed, self._pools or ()))


async def _closed(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except AWAY:  # a server that stands still does not even say good-bye
        pool.terminate()
