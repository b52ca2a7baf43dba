"""SQLite by the standard library: one writer thread with group commit, readers on snapshots of their own.

The writer takes whatever queued up during its last commit as one transaction, each plan behind a
savepoint, so that a thousand callers share one fsync and one failing plan undoes only itself.
``synchronous=FULL`` with WAL means that a commit that was answered survives a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from hookline.storage.plans import Many, Plan, Row, Sql, StorageUnavailable, returns_rows

T = TypeVar("T")
MAX_GROUP = 256
WAL_PAGES = 8192  # about 32 MB of 4 KiB pages, then the writer checkpoints it itself
CHECK_WAL_EVERY = 64


class _Job:
    __slots__ = ("error", "future", "loop", "plan", "result")

    def __init__(
        self, plan: Callable[[], Plan[Any]], loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]
    ) -> None:
        self.plan, self.loop, self.future = plan, loop, future
        self.result: Any = None
        self.error: BaseException | None = None


@lru_cache(maxsize=256)
def _spread(text: str, columns: str) -> str:
    names = [column.partition(":")[0] for column in columns.split()]
    return text.replace("{v}", "(SELECT " + ", ".join(f"? AS {name}" for name in names) + ") AS v")


def _drive(connection: sqlite3.Connection, plan: Plan[T]) -> T:
    try:
        step = next(plan)
        while True:
            try:
                rows = _execute(connection, step)
            except sqlite3.Error as error:
                step = plan.throw(error)
            else:
                step = plan.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _execute(connection: sqlite3.Connection, step: Sql | Many) -> list[Row]:
    if isinstance(step, Sql):
        return connection.execute(step.text, step.args).fetchall()
    text = _spread(step.text, step.columns)
    if not returns_rows(text):
        connection.executemany(text, step.rows)
        return []
    found: list[Row] = []
    for row in step.rows:
        found += connection.execute(text, row).fetchall()
    return found


class SqliteDatabase:
    """A file of SQLite. ``path`` is made when it is absent, readable by its owner alone."""

    dialect = "sqlite"
    skip_locked = ""

    def __init__(self, path: Path, readers: int = 4) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        path.touch(mode=0o600, exist_ok=True)
        self._writer = self._connect()
        self._writer.execute("PRAGMA wal_autocheckpoint=0")
        self._commits = 0
        self._thread = threading.Thread(target=self._write_loop, name="hookline-sqlite", daemon=True)
        self._thread.start()
        self._local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="hookline-sqlite-read")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        for pragma in (
            "busy_timeout=10000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-65536",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    async def run(self, plan: Callable[[], Plan[T]]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(plan, loop, future))
        return await future

    async def read(self, plan: Callable[[], Plan[T]]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, plan)

    def _read(self, plan: Callable[[], Plan[T]]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only=ON")
                self._reader_connections.append(connection)
            connection.execute("BEGIN")
            try:
                return _drive(connection, plan())
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise StorageUnavailable(str(error)) from error

    def _write_loop(self) -> None:
        while (first := self._jobs.get()) is not None:
            group = [first]
            last = False
            with contextlib.suppress(queue.Empty):
                while len(group) < MAX_GROUP:
                    job = self._jobs.get_nowait()
                    if job is None:
                        last = True
                        break
                    group.append(job)
            self._commit(group)
            _answer(group)
            if last:
                return

    def _commit(self, group: list[_Job]) -> None:
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in group:
                connection.execute("SAVEPOINT job")
                try:
                    job.result = _drive(connection, job.plan())
                except Exception as error:  # noqa: BLE001 - whatever a plan raises belongs to its caller
                    job.error = _translate(error)
                    connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # The transaction as a whole failed (disk full, locked): nobody's work was stored.
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            for job in group:
                job.error = _translate(error)
            return
        self._commits += 1
        if self._commits % CHECK_WAL_EVERY == 0:
            self._checkpoint()

    def _checkpoint(self) -> None:
        # A passive checkpointer lets the WAL grow without end under load; the writer waits for it instead.
        with contextlib.suppress(OSError, sqlite3.Error):
            if os.stat(f"{self._path}-wal").st_size > WAL_PAGES * 4096:  # noqa: PTH116
                self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._readers.shutdown(wait=True)
        for connection in [*self._reader_connections, self._writer]:
            connection.close()


def _translate(error: BaseException) -> BaseException:
    if isinstance(error, sqlite3.OperationalError):
        away = StorageUnavailable(str(error))
        away.__cause__ = error
        return away
    return error


def _answer(group: list[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
