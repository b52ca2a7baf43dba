"""A database is opened by the Hookline whose schema it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.storage import open_storage
from hookline.storage.migrations import migrate
from hookline.storage.plans import Database, Plan, Sql
from hookline.storage.postgres import PostgresDatabase
from hookline.storage.sqlite import SqliteDatabase

SECRET_KEY = bytes(range(32))
OTHERS = {
    "another schema": "UPDATE meta SET value = 'another' WHERE name = 'schema 1'",
    "a schema of before its fingerprint was kept": "DELETE FROM meta WHERE name = 'schema 1'",
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
async def test_a_database_of_an_unreleased_schema_is_refused_with_the_way_out(
    database_url: str | Path, change: str
) -> None:
    database: Database = (
        PostgresDatabase(database_url) if isinstance(database_url, str) else SqliteDatabase(database_url)
    )
    await migrate(database)
    assert await migrate(database) == 1  # the same again

    def plan() -> Plan[None]:
        yield Sql(change)

    await database.run(plan)
    await database.close()
    with pytest.raises(ValueError, match=r"unreleased version .* empty database"):
        await open_storage(database_url, SECRET_KEY)
