"""Exports: what an import reads back as it was."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from support.client import Client

MEDIA = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
UTF8 = "charset=utf-8"
PEOPLE: list[dict[str, Any]] = [
    {"email": "ada@example.com", "phone": "+4520123456", "tags": ["vip", "a;b"], "lists": ["news", "offers"],
     "attributes": {"name": "Ada \"A\" L", "balance": 1000.25, "zip": "01234", "vip": True, "note": "two\nlines, ok"}},
    {"email": "bob@example.com", "tags": ["new"], "lists": ["news"], "status": "unsubscribed",
     "attributes": {"name": "", "balance": -7, "odd:number": "x", " space ": "y", "home": {"zip": ["1", None]}}},
    {"email": "cleo@example.com", "attributes": {"balance": "none", "name": "=1+1", "big": 12345678901234567890}},
    {"email": "dora@example.com", "lists": ["offers"], "attributes": {"email": "other@example.com", "ok": False}},
]  # fmt: skip


async def filled(api: Client) -> None:
    for name in ("news", "offers"):
        await api.post("/v1/lists", {"name": name})
    for person in PEOPLE:
        assert (await api.post("/v1/contacts", person)).status == 201
    left = b'{"email": "bob@example.com", "unsubscribed_lists": ["offers"]}'
    headers = {"content-type": MEDIA["ndjson"]}
    assert (await api.post("/v1/contacts/import", left, headers=headers)).json["updated"] == 1


async def shown(api: Client) -> Any:
    names = {one["id"]: one["name"] for one in (await api.get("/v1/lists")).json["data"]}
    found = []
    for one in (await api.get("/v1/contacts?limit=250")).json["data"]:
        lists = sorted((names[entry["id"]], entry["status"]) for entry in one["lists"])
        found.append([lists, *(one[name] for name in ("email", "phone", "tags", "status", "attributes"))])
    return found


@pytest.mark.parametrize("format", ["csv", "ndjson"])
async def test_what_is_exported_is_imported_as_it_was(either_api: Client, format: str) -> None:
    api = either_api
    await filled(api)
    file = await api.get(f"/v1/contacts/export?format={format}")
    assert file.status == 200 and file.headers["content-type"].split("; ") in (
        [MEDIA[format]],
        [MEDIA[format], UTF8],
    )
    headers = {"content-type": MEDIA[format]}
    same = (await api.post("/v1/contacts/import", file.body, headers=headers)).json
    assert (same["unchanged"], same["bad"]) == (4, 0), same
    other = await api.with_key(tenant="other")
    for name in ("news", "offers"):
        await other.post("/v1/lists", {"name": name})
    moved = (await other.post("/v1/contacts/import", file.body, headers=headers)).json
    assert (moved["created"], moved["bad"]) == (4, 0), moved
    assert await shown(other) == await shown(api)
    assert b"1000.25" in file.body and b"12345678901234567890" in file.body
    assert (await other.get(f"/v1/contacts/export?format={format}")).body == file.body


async def test_a_list_is_exported_with_those_who_are_on_it(api: Client) -> None:
    await filled(api)
    file = (await api.get("/v1/contacts/export?list=offers&format=ndjson")).body
    assert [json.loads(line)["email"] for line in file.splitlines()] == [
        "ada@example.com",
        "dora@example.com",
    ]
    assert (await api.get("/v1/contacts/export?list=nowhere")).status == 422
    assert (await api.get("/v1/contacts/export?format=xml")).status == 422


async def test_a_spreadsheet_takes_no_text_for_a_formula_where_that_is_asked_for(api: Client) -> None:
    person = {
        "email": "ada@example.com",
        "phone": "+4520123456",
        "tags": ["@x"],
        "attributes": {"a": "=1+1", "b": -1},
    }
    await api.post("/v1/contacts", person)
    head = b"email,phone,status,tags,lists,unsubscribed_lists,attributes.a,attributes.b:number\r\n"
    plain, safe = [(await api.get(f"/v1/contacts/export{query}")).body for query in ("", "?safe=true")]
    assert plain == head + b"ada@example.com,+4520123456,active,@x,,,=1+1,-1\r\n"
    assert safe == head + b"ada@example.com,+4520123456,active,'@x,,,'=1+1,-1\r\n"


async def test_many_contacts_and_none(api: Client) -> None:
    head = b"email,phone,status,tags,lists,unsubscribed_lists\r\n"
    assert (await api.get("/v1/contacts/export")).body == head
    file = "email,n:number\n" + "".join(f"p{n}@example.com,{n}\n" for n in range(1000))
    await api.post("/v1/contacts/import?events=false", file.encode(), headers={"content-type": "text/csv"})
    rows = list(csv.DictReader(io.StringIO((await api.get("/v1/contacts/export")).body.decode())))
    assert [row["attributes.n:number"] for row in rows] == [str(n) for n in range(1000)]
    other = await api.with_key(tenant="other")
    assert (await other.get("/v1/contacts/export")).body == head
