"""PostgreSQL finds the rows of a group by their names, also while it knows nothing of a table or what was once so."""

from __future__ import annotations

from typing import Any

import pytest

from hookline.storage.deliveries import SETTLE, SETTLE_COLUMNS
from hookline.storage.migrations import migrate
from hookline.storage.plans import Many, Plan, Sql
from hookline.storage.postgres import PostgresDatabase, _arguments

FILL = (
    "INSERT INTO deliveries (tenant, id, seq, lane, kind, state, hook, attempts, tries, owner, depth, size, weight,"
    " created_at, updated_at) SELECT 't', 'dlv_' || g, g, 'hook_a', 'webhook', {state}, 'hook_a', 0, 0, {owner}, 0, 0,"
    " 0, 0, 0 FROM generate_series({first}, {last}) g"
)


def filled(state: str, owner: str, first: int, last: int) -> Sql:
    return Sql(FILL.format(state=f"'{state}'", owner=owner, first=first, last=last))


def literal(value: Any) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def explained(step: Many) -> Sql:
    """How PostgreSQL would go about a group, with the arguments written out."""
    text, arguments = _arguments(step)
    for place in range(len(arguments), 0, -1):
        value = arguments[place - 1]
        many = isinstance(value, list)
        written = f"ARRAY[{', '.join(map(literal, value))}]" if many else literal(value)
        text = text.replace(f"${place}::", f"{written}::")
    return Sql("EXPLAIN " + text)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_group_is_settled_by_names(database_url: str, known: bool) -> None:
    database = PostgresDatabase(database_url)
    await migrate(database)

    def fill() -> Plan[None]:
        yield filled("succeeded", "NULL", 1, 300)
        if known:
            yield Sql("ANALYZE deliveries")  # nothing was under way then
        yield filled("succeeded", "NULL", 301, 5000)
        yield filled("sending", "'prc_me'", 5001, 7000)

    rows = [
        ("t", f"dlv_{place}", "prc_me", 0, "succeeded", 1, 0, None, None, None, None, place)
        for place in range(5001, 5501)
    ]

    def ask() -> Plan[list[str]]:
        return [str(row[0]) for row in (yield explained(Many(SETTLE, SETTLE_COLUMNS, rows)))]

    await database.run(fill)
    plan = "\n".join(await database.run(ask))
    await database.close()
    assert "Index Scan using deliveries_pkey" in plan, plan
    assert "Index Cond: ((tenant = u.tenant) AND (id = u.id))" in plan, plan


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_stands_still_inside_a_commit_is_cut_off(database_url: str) -> None:
    def ask() -> Plan[object]:
        return (yield Sql("SELECT current_setting('idle_in_transaction_session_timeout')"))[0][0]

    database = PostgresDatabase(database_url)
    assert await database.run(ask) == "3s"
    assert await database.read(ask) == "0", "who only reads locks nothing"
    await database.close()
