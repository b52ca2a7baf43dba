"""Numbered schema files, applied once each, in order, by one process at a time."""

from __future__ import annotations

import hashlib
from importlib import resources

from hookline.storage.plans import Database, Plan, Sql, StorageUnavailable, one
from hookline.storage.sealing import fingerprint

HOLES = {
    "sqlite": {"{blob}": "BLOB", "{by_key}": " WITHOUT ROWID"},  # rows lie in the order of their key
    "postgres": {"{blob}": "BYTEA", "{by_key}": ""},
}
# Any number, the same for all Hookline processes: PostgreSQL's advisory lock for migrating.
LOCK = 7_205_759_403


def _files() -> list[tuple[int, str]]:
    folder = resources.files("hookline.storage") / "schema"
    found = [
        (int(file.name[:4]), file.read_text()) for file in folder.iterdir() if file.name.endswith(".sql")
    ]
    return sorted(found)


def _statements(text: str, dialect: str) -> list[str]:
    lines = [line.split("--", 1)[0].rstrip() for line in text.splitlines()]
    whole = "\n".join(line for line in lines if line)
    for hole, filling in HOLES[dialect].items():
        whole = whole.replace(hole, filling)
    return [statement.strip() for statement in whole.split(";\n") if statement.strip(" ;\n")]


async def migrate(database: Database) -> int:
    """Bring the schema to the newest version, and return it; a database from the future is refused.

    ValueError for one whose files were others than ours when they were applied.
    """
    files = [(version, _statements(text, database.dialect)) for version, text in _files()]

    def plan() -> Plan[int]:
        if database.dialect == "postgres":
            yield Sql("SELECT pg_advisory_xact_lock(?)", (LOCK,))
        yield Sql("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY)")
        row = one((yield Sql("SELECT COALESCE(MAX(version), 0) FROM schema_versions")))
        current = int(row[0] or 0) if row else 0
        if current > files[-1][0]:
            raise StorageUnavailable(
                f"the database is at schema {current}, this Hookline knows {files[-1][0]}: upgrade Hookline"
            )
        for version, statements in files:
            name, ours = f"schema {version}", hashlib.sha256("\n".join(statements).encode()).hexdigest()
            if version > current:
                for statement in statements:
                    yield Sql(statement)
                yield Sql("INSERT INTO schema_versions (version) VALUES (?)", (version,))
                yield Sql("INSERT INTO meta (name, value) VALUES (?, ?)", (name, ours))
            elif (yield Sql("SELECT value FROM meta WHERE name = ?", (name,))) != [(ours,)]:
                raise ValueError(
                    "this database was made by an unreleased version of Hookline with other tables, which cannot be"
                    " brought to these: take a new data folder (HOOKLINE_HOME) or an empty database"
                    " (HOOKLINE_DATABASE), or go on with that version"
                )
        return files[-1][0]

    return await database.run(plan)


async def remember_secret_key(database: Database, secret_key: bytes) -> None:
    """Keep the key's fingerprint at the first start; later, ValueError for another key."""
    ours = fingerprint(secret_key)

    def plan() -> Plan[str]:
        yield Sql(
            "INSERT INTO meta (name, value) VALUES ('secret_key', ?) ON CONFLICT (name) DO NOTHING", (ours,)
        )
        return str((yield Sql("SELECT value FROM meta WHERE name = 'secret_key'"))[0][0])

    if await database.run(plan) != ours:
        raise ValueError(
            "this database was set up with another secret key; set HOOKLINE_SECRET_KEY to that one,"
            " or put its file back into the data folder"
        )
