"""SQLite by the standard library: one writer with group commit, readers on snapshots of their own.

The writer takes whatever queued up during its last commit as one transaction, each plan behind a
savepoint, so that a thousand callers share one fsync and one failing plan undoes only itself. Statements
run on the event loop, a few microseconds each, and after ``LONG`` others have their turn; only the commit,
which waits for the disk, has a thread: a writer thread of its own would hand the interpreter's lock back and
forth at every statement. What is ``bulk`` has many rows: it is a transaction of its own, in that thread, with
many rows in a statement, during which nobody needs the lock; and it takes turns with the others, who thereby
wait for one such at most.
``synchronous=FULL`` with WAL means that a commit that was answered survives a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, cast

from hookline.storage.plans import Breath, Many, Plan, Row, Sql, Step, StorageUnavailable, Wake, returns_rows

T = TypeVar("T")
MAX_GROUP = 256
MOST_WAL = 32 * 2**20  # bytes; then it is copied into the file, and begins anew
FORGET_TRIES = 3
BLOCK = 50  # rows in one statement of what is in bulk
LONG = 0.001
"""Seconds of statements, one after another, after which whoever else waits for the event loop goes on."""
PIECE = 8  # rows of one statement, before a look at the time
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT)


class _Job:
    __slots__ = ("bulk", "error", "future", "plan", "result")

    def __init__(self, plan: Callable[[], Plan[Any]], future: asyncio.Future[Any], bulk: bool) -> None:
        self.plan, self.future, self.bulk = plan, future, bulk
        self.result: Any = None
        self.error: BaseException | None = None


_COLUMN = re.compile(r"\bv\.(\w+)")


@lru_cache(maxsize=256)
def _one_row(text: str, columns: str) -> str:
    """A statement over a table of many rows, as one over a row: its columns are the arguments.

    A table of one row in its place, ``(SELECT ? AS id, …) AS v``, takes twice as long.
    """
    places = {column.partition(":")[0]: place for place, column in enumerate(columns.split(), 1)}
    values = "VALUES (" + ", ".join(f"?{place}" for place in places.values()) + ")"
    text = text.replace("{rows}", values).replace("{v} CROSS JOIN LATERAL ", "")
    text = text.replace(", {v}", "").replace(" FROM {v}", "")
    return _COLUMN.sub(lambda match: f"?{places[match[1]]}", text)


@lru_cache(maxsize=256)
def _block(text: str, columns: str, count: int) -> str:
    """A statement over a table of many rows, as one over ``count`` of them."""
    names = [column.partition(":")[0] for column in columns.split()]
    places = {name: place for place, name in enumerate(names, 1)}
    values = "VALUES " + ", ".join(["(" + ", ".join("?" * len(names)) + ")"] * count)
    text = text.replace("{rows}", values).replace("{v}", f"({values}) AS v")
    return _COLUMN.sub(lambda match: f"v.column{places[match[1]]}", text)


def _drive(connection: sqlite3.Connection, plan: Plan[T], *, bulk: bool = False) -> T:
    try:
        step = next(plan)
        while True:
            try:
                rows = _execute_blocks(connection, step) if bulk else _execute(connection, step)
            except sqlite3.Error as error:
                step = plan.throw(error)
            else:
                step = plan.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _execute(connection: sqlite3.Connection, step: Step) -> list[Row]:
    if isinstance(step, Sql):
        return connection.execute(step.text, step.args).fetchall()
    if isinstance(step, (Wake, Breath)):
        return []
    text = _one_row(step.text, step.columns)
    if not returns_rows(text):
        return [(connection.executemany(text, step.rows).rowcount if step.rows else 0,)]
    found: list[Row] = []
    for row in step.rows:
        found += connection.execute(text, row).fetchall()
    return found


def _pieces(step: Step) -> Iterable[Step]:
    """A statement over many rows as several."""
    if not isinstance(step, Many) or len(step.rows) <= PIECE:
        return (step,)
    return (step._replace(rows=step.rows[at : at + PIECE]) for at in range(0, len(step.rows), PIECE))


def _together(step: Step, rows: list[Row]) -> list[Row]:
    """The answer of a statement that was executed in pieces."""
    if isinstance(step, Many) and len(rows) > 1 and not returns_rows(step.text):
        return [(sum(cast("int", row[0]) for row in rows),)]
    return rows


def _execute_blocks(connection: sqlite3.Connection, step: Step) -> list[Row]:
    """The same, many rows at once."""
    if not isinstance(step, Many) or len(step.rows) < BLOCK:
        return _execute(connection, step)
    whole = len(step.rows) - len(step.rows) % BLOCK
    text = _block(step.text, step.columns, BLOCK)
    found = _execute(connection, step._replace(rows=step.rows[whole:]))
    for start in range(0, whole, BLOCK):
        rows = step.rows[start : start + BLOCK]
        cursor = connection.execute(text, [value for row in rows for value in row])
        found += cursor.fetchall() if returns_rows(step.text) else [(cursor.rowcount,)]
    return _together(step, found)


class SqliteDatabase:
    """A file of SQLite. ``path`` is made when it is absent, readable by its owner alone."""

    dialect = "sqlite"
    skip_locked = ""
    now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

    def __init__(self, path: Path, readers: int = 4) -> None:
        self._path = path
        path.touch(mode=0o600, exist_ok=True)
        self._writer = self._connect(32)
        self._writer.execute("PRAGMA wal_autocheckpoint=0")
        # The loop never waits for another process's lock: it is asked for again a moment later.
        self._writer.execute("PRAGMA busy_timeout=0").fetchall()
        self._breathed = 0.0
        self._jobs: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="hookline-sqlite-commit")
        self._checkpointer = ThreadPoolExecutor(1, thread_name_prefix="hookline-sqlite-copy")
        self._copying = False
        self._copied = threading.Event()
        self._local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="hookline-sqlite-read")

    def _connect(self, cache: int = 8) -> sqlite3.Connection:
        """A connection with so many MiB of pages of its own; what the kernel has is behind that."""
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        for pragma in (
            "busy_timeout=10000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "secure_delete=ON",  # what is deleted is overwritten: somebody may have been erased
            f"journal_size_limit={MOST_WAL}",  # to which a WAL that begins anew is cut
            f"cache_size=-{cache * 1024}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    async def run(self, plan: Callable[[], Plan[T]], *, vital: bool = False, bulk: bool = False) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._bulk if bulk else self._jobs).append(_Job(plan, future, bulk))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._write())
        return await future

    async def read(self, plan: Callable[[], Plan[T]], *, bulk: bool = False) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, plan, bulk)

    def _read(self, plan: Callable[[], Plan[T]], bulk: bool) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only=ON")
                self._reader_connections.append(connection)
            connection.execute("BEGIN")
            try:
                return _drive(connection, plan(), bulk=bulk)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            raise _translate(error) from error

    async def listen(self, heard: Callable[[str], None]) -> None:
        """One process owns the file: there is nobody to hear."""
        await asyncio.Event().wait()

    async def forget(self) -> None:
        for _ in range(FORGET_TRIES):
            if await asyncio.get_running_loop().run_in_executor(self._checkpointer, self._truncate):
                return

    def _truncate(self) -> bool:
        """Copy the WAL into the file and cut it to nothing; false while somebody reads in it, or writes."""
        try:
            with contextlib.closing(self._connect()) as connection:
                return self._checkpoint(connection, "TRUNCATE")
        except sqlite3.Error:
            return False

    async def _write(self) -> None:
        while self._jobs or self._bulk:
            if self._jobs:
                await self._transact([self._jobs.popleft() for _ in range(min(MAX_GROUP, len(self._jobs)))])
            if self._bulk:
                await self._transact([self._bulk.popleft()])

    async def _transact(self, group: list[_Job]) -> None:
        """Perform these in one transaction, and answer them."""
        loop = asyncio.get_running_loop()
        try:
            await self._begin()
            self._breathed = perf_counter()
            for job in group:
                if job.bulk:
                    await loop.run_in_executor(self._committer, self._perform_bulk, job)
                else:
                    await self._perform(job)
            await loop.run_in_executor(self._committer, self._commit)
        except sqlite3.Error as error:
            # The transaction as a whole failed (disk full, locked): nobody's work was stored.
            with contextlib.suppress(sqlite3.Error):
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            for job in group:
                job.error = _translate(error)
        _answer(group)
        # Those who were answered ask for more at once: what events come with and what deliveries end with share
        # a commit, instead of waiting for each other's in turn.
        await asyncio.sleep(0)

    async def _begin(self) -> None:
        for pause in (*(0.001 * 2**n for n in range(7)), *[0.1] * 98):
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in BUSY:
                    raise
                await asyncio.sleep(pause)
            else:
                return
        self._writer.execute("BEGIN IMMEDIATE")

    async def _perform(self, job: _Job) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            job.result = await self._drive(job.plan())
        except Exception as error:  # noqa: BLE001 - whatever a plan raises belongs to its caller
            job.error = _translate(error)
            self._writer.execute("ROLLBACK TO job")
        self._writer.execute("RELEASE job")

    def _perform_bulk(self, job: _Job) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            job.result = _drive(self._writer, job.plan(), bulk=True)
        except Exception as error:  # noqa: BLE001 - as above
            job.error = _translate(error)
            self._writer.execute("ROLLBACK TO job")
        self._writer.execute("RELEASE job")

    async def _drive(self, plan: Plan[T]) -> T:
        """A plan within the writer's transaction, in small steps: nobody else uses that connection meanwhile."""
        try:
            step = next(plan)
            while True:
                rows: list[Row] = []
                try:
                    for piece in _pieces(step):
                        rows += _execute(self._writer, piece)
                        if perf_counter() - self._breathed > LONG:
                            await asyncio.sleep(0)
                            self._breathed = perf_counter()
                except sqlite3.Error as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(_together(step, rows))
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _commit(self) -> None:
        self._writer.execute("COMMIT")
        if self._copied.is_set():
            self._copied.clear()
            self._copying = False
            self._checkpoint(self._writer, "RESTART")
        elif not self._copying and self._wal_is_long():
            self._copying = True
            self._checkpointer.submit(self._copy)

    def _wal_is_long(self) -> bool:
        try:
            return os.stat(f"{self._path}-wal").st_size > MOST_WAL  # noqa: PTH116
        except OSError:
            return False

    def _copy(self) -> None:
        """Bring what the WAL holds into the file while others go on writing to it.

        By itself that lets the WAL grow without end under load, for it begins anew only when all of it was copied
        and nobody reads it: the writer waits for that, and for the little that came meanwhile.
        """
        try:
            with contextlib.suppress(sqlite3.Error), contextlib.closing(self._connect()) as connection:
                for _ in range(2):  # what came during the first, in a fraction of its time
                    self._checkpoint(connection, "PASSIVE")
        finally:
            self._copied.set()

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> bool:
        """Whether it came to its end."""
        with contextlib.suppress(sqlite3.Error):
            # Readers overlap: without patience for them it would never come to an end.
            connection.execute("PRAGMA busy_timeout=5000").fetchall()
            [(busy, *_)] = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
            connection.execute("PRAGMA busy_timeout=0").fetchall()
            return not busy
        return False

    async def close(self) -> None:
        while self._pump is not None and not self._pump.done():
            await asyncio.wait([self._pump])
        self._committer.shutdown(wait=True)
        self._checkpointer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        for connection in [*self._reader_connections, self._writer]:
            connection.close()


def _translate(error: BaseException) -> BaseException:
    ours = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError)
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, ours):
        away = StorageUnavailable(str(error))
        away.__cause__ = error
        return away
    return error


def _answer(group: list[_Job]) -> None:
    for job in group:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
