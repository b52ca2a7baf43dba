from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from support.receiver import Receiver, receiving

KEY = "ab" * 32
DEADLINE = 60.0


class Place:
    """Where a Hookline keeps its data, as one sees it from outside."""

    def __init__(self, home: Path, database: str) -> None:
        self.home = home
        self.database = database

    @property
    def settings(self) -> dict[str, str]:
        return {"DATABASE": self.database, "SECRET_KEY": KEY}

    def locked(self) -> AbstractAsyncContextManager[None]:
        """While it lasts, nobody else can store anything."""
        return self._locked_postgres() if self.database else self._locked_sqlite()

    @asynccontextmanager
    async def _locked_sqlite(self) -> AsyncIterator[None]:
        connection = sqlite3.connect(self.home / "hookline.db", isolation_level=None, timeout=30)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.close()

    @asynccontextmanager
    async def _locked_postgres(self) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self.database)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE clock, deliveries, attempts IN EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place: a test that asks for this runs on both databases."""
    if request.param == "sqlite":
        yield Place(tmp_path, "")
        return
    server = request.getfixturevalue("postgres_server")
    name = f"hookline_{uuid.uuid4().hex}"
    server.psql(f"CREATE DATABASE {name};")
    yield Place(tmp_path, server.get_uri(name))
    server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
