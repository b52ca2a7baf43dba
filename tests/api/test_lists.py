"""Lists of contacts."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Client


@pytest.fixture
def api(either_api: Client) -> Client:
    """Both databases: what is asked here is answered by SQL."""
    return either_api


async def test_a_list_is_made_and_counts_its_members(api: Client) -> None:
    made = await api.post("/v1/lists", {"name": " Spring news "})
    assert made.status == 201
    assert made.json["id"].startswith("lst_")
    assert (made.json["name"], made.json["subscribed"]) == ("Spring news", 0)
    for name in ("ada", "bob"):
        await api.post("/v1/contacts", {"email": f"{name}@example.com", "lists": ["Spring news"]})
    expected = made.json | {"subscribed": 2}
    assert (await api.get(f"/v1/lists/{made.json['id']}")).json == expected
    assert (await api.get("/v1/lists/Spring news")).json == expected
    assert (await api.get("/v1/lists")).json == {"data": [expected], "next": None}


async def test_each_list_counts_its_own(api: Client) -> None:
    for name in ("one", "two", "three"):
        await api.post("/v1/lists", {"name": name})
    await api.post("/v1/contacts", {"email": "ada@example.com", "lists": ["two"]})
    assert (await api.get("/v1/lists/two")).json["subscribed"] == 1
    assert (await api.get("/v1/lists/one")).json["subscribed"] == 0
    page = (await api.get("/v1/lists?limit=2")).json
    assert [(one["name"], one["subscribed"]) for one in page["data"]] == [("three", 0), ("two", 1)]
    rest = (await api.get(f"/v1/lists?limit=2&after={page['next']}")).json
    assert ([one["name"] for one in rest["data"]], rest["next"]) == (["one"], None)


async def test_a_name_is_taken_once(api: Client) -> None:
    await api.post("/v1/lists", {"name": "news"})
    again = await api.post("/v1/lists", {"name": "news "})
    assert again.status == 409
    other = await api.with_key(tenant="other")
    assert (await other.post("/v1/lists", {"name": "news"})).status == 201
    assert len((await api.get("/v1/lists")).json["data"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"name": "   "}, "#/name"),
        ({"name": "x" * 201}, "#/name"),
        ({"name": 5}, "#/name"),
        ({"name": "lst_06h0is5v2hrgr4f3c9e3i6tp9k"}, "#/name"),
        ({"name": "news", "double_opt_in": True}, "#/double_opt_in"),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(api: Client, body: Any, pointer: str) -> None:
    reply = await api.post("/v1/lists", body)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.get("/v1/lists")).json["data"] == []


async def test_what_is_not_there_is_a_404(api: Client) -> None:
    made = (await api.post("/v1/lists", {"name": "news"})).json
    assert (await api.get("/v1/lists/nothing")).status == 404
    other = await api.with_key(tenant="other")
    assert (await other.get(f"/v1/lists/{made['id']}")).status == 404
