"""Addresses that are not mailed."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Client


@pytest.fixture
def api(either_api: Client) -> Client:
    """Both databases: what is asked here is answered by SQL."""
    return either_api


async def test_an_address_is_suppressed_and_allowed_again(api: Client) -> None:
    made = await api.post("/v1/suppressions", {"address": "Ada@Example.com"})
    assert made.status == 201
    assert made.json == {
        "address": "ada@example.com",
        "reason": "manual",
        "list": None,
        "event": None,
        "created_at": made.json["created_at"],
    }
    again = await api.post("/v1/suppressions", {"address": "ada@example.com", "reason": "manual"})
    assert again.json == made.json
    await api.post("/v1/suppressions", {"address": "ada@example.com", "reason": "complaint"})
    entries = (await api.get("/v1/suppressions")).json["data"]
    assert [entry["reason"] for entry in entries] == ["complaint", "manual"]
    assert (await api.call("DELETE", "/v1/suppressions/ADA@example.com")).status == 204
    assert (await api.get("/v1/suppressions")).json["data"] == []
    assert (await api.call("DELETE", "/v1/suppressions/ada@example.com")).status == 404


async def test_pages_walk_all(api: Client) -> None:
    for name in "abc":
        await api.post("/v1/suppressions", {"address": f"{name}@example.com", "reason": "invalid"})
    page = (await api.get("/v1/suppressions?limit=2")).json
    rest = (await api.get(f"/v1/suppressions?limit=2&after={page['next']}")).json
    found = [entry["address"][0] for entry in page["data"] + rest["data"]]
    assert (found, rest["next"]) == (["c", "b", "a"], None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/address"),
        ({"address": "ada"}, "#/address"),
        ({"address": "ada@example.com", "reason": "dislike"}, "#/reason"),
        ({"address": "ada@example.com", "list": "news"}, "#/list"),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(api: Client, body: Any, pointer: str) -> None:
    reply = await api.post("/v1/suppressions", body)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.get("/v1/suppressions")).json["data"] == []


async def test_tenants_have_their_own(api: Client) -> None:
    await api.post("/v1/suppressions", {"address": "ada@example.com"})
    other = await api.with_key(tenant="other")
    assert (await other.get("/v1/suppressions")).json["data"] == []
    assert (await other.call("DELETE", "/v1/suppressions/ada@example.com")).status == 404
