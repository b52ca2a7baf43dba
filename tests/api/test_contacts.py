"""Contacts: made, changed, found, and what each change tells."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.client import Client


async def events(api: Client, kind: str) -> list[dict[str, Any]]:
    """The data of all events of a kind, oldest first."""
    found = (await api.get(f"/v1/events?type={kind}")).json["data"]
    return [event["data"] for event in reversed(found)]


async def test_a_contact_is_made_and_found(api: Client) -> None:
    listed = (await api.post("/v1/lists", {"name": "news"})).json
    made = await api.post(
        "/v1/contacts",
        {
            "email": " Ada <Ada@Example.COM>",
            "phone": "+45 (0)20 12 34 56",
            "attributes": {"first_name": "Ada", "city": None},
            "lists": ["news", listed["id"]],
            "tags": ["vip", "vip", "new"],
        },
    )
    assert made.status == 201
    shown = made.json
    assert shown["id"].startswith("ctc_")
    assert (shown["email"], shown["phone"]) == ("ada@example.com", "+4520123456")
    assert (shown["attributes"], shown["tags"]) == ({"first_name": "Ada"}, ["vip", "new"])
    assert shown["lists"] == [{"id": listed["id"], "status": "subscribed"}]
    assert shown["status"] == "active"
    for name in (shown["id"], "ada@example.com", "ADA@example.com"):
        assert (await api.get(f"/v1/contacts/{name}")).json == shown
    about = {"contact": shown["id"], "email": "ada@example.com"}
    [created] = await events(api, "contact.created")
    assert created == about | {
        "phone": "+4520123456",
        "attributes": {"first_name": "Ada"},
        "tags": ["vip", "new"],
        "status": "active",
    }
    assert await events(api, "contact.subscribed") == [about | {"list": listed["id"]}]


async def test_the_same_email_is_the_same_contact(api: Client) -> None:
    first = (
        await api.post("/v1/contacts", {"email": "ada@example.com", "attributes": {"a": 1, "b": 2}})
    ).json
    again = await api.post(
        "/v1/contacts", {"email": "ADA@example.com", "attributes": {"a": None, "c": 3}, "tags": ["vip"]}
    )
    assert again.status == 200
    assert (again.json["id"], again.json["attributes"]) == (first["id"], {"b": 2, "c": 3})
    [updated] = await events(api, "contact.updated")
    assert updated == {
        "contact": first["id"],
        "email": "ada@example.com",
        "changed": {
            "a": {"from": 1, "to": None},
            "c": {"from": None, "to": 3},
            "tags": {"from": [], "to": ["vip"]},
        },
    }


async def test_a_change_of_nothing_tells_nothing(api: Client) -> None:
    body = {"email": "ada@example.com", "attributes": {"a": 1}, "tags": ["x"]}
    first = (await api.post("/v1/contacts", body)).json
    again = await api.post("/v1/contacts", body)
    assert (again.status, again.json) == (200, first)
    assert await events(api, "contact.updated") == []


async def test_numbers_stay_exact(api: Client) -> None:
    raw = (
        b'{"email": "ada@example.com", "attributes":'
        b' {"balance": 1000.10, "id": 19421777835146490123, "rate": 0.1000000000000000055511151231257827}}'
    )
    made = await api.post("/v1/contacts", raw, headers={"content-type": "application/json"})
    assert made.status == 201
    for number in (
        b'"balance":1000.10',
        b'"id":19421777835146490123',
        b'"rate":0.1000000000000000055511151231257827',
    ):
        assert number in made.body
    # 1 and true are not the same, although Python says so.
    await api.call("PATCH", "/v1/contacts/ada@example.com", {"attributes": {"rate": 1}})
    changed = await api.call("PATCH", "/v1/contacts/ada@example.com", {"attributes": {"rate": True}})
    assert changed.json["attributes"]["rate"] is True
    assert (await events(api, "contact.updated"))[-1]["changed"] == {"rate": {"from": 1, "to": True}}


async def test_patch_changes_what_it_names(api: Client) -> None:
    made = (
        await api.post(
            "/v1/contacts",
            {
                "email": "ada@example.com",
                "phone": "+4520123456",
                "attributes": {"a": {"x": 1, "y": 2}},
                "tags": ["t"],
            },
        )
    ).json
    path = f"/v1/contacts/{made['id']}"
    patched = await api.call("PATCH", path, {"phone": None, "attributes": {"a": {"x": None, "z": [None]}}})
    assert patched.status == 200
    assert (patched.json["phone"], patched.json["tags"]) == (None, ["t"])
    assert patched.json["attributes"] == {"a": {"y": 2, "z": [None]}}
    patched = await api.call(
        "PATCH", path, {"email": "ada@new.example", "status": "unsubscribed", "tags": []}
    )
    assert (patched.json["email"], patched.json["status"], patched.json["tags"]) == (
        "ada@new.example",
        "unsubscribed",
        [],
    )
    assert (await api.get("/v1/contacts/ada@example.com")).status == 404
    assert (await events(api, "contact.updated"))[-1]["changed"] == {
        "email": {"from": "ada@example.com", "to": "ada@new.example"},
        "status": {"from": "active", "to": "unsubscribed"},
        "tags": {"from": ["t"], "to": []},
    }
    assert len(await events(api, "contact.unsubscribed")) == 1


async def test_an_email_belongs_to_one_contact(api: Client) -> None:
    await api.post("/v1/contacts", {"email": "ada@example.com"})
    await api.post("/v1/contacts", {"email": "bob@example.com"})
    refused = await api.call("PATCH", "/v1/contacts/bob@example.com", {"email": "Ada@example.com"})
    assert refused.status == 409
    assert "ada@example.com" in refused.json["detail"]
    assert (await api.get("/v1/contacts/bob@example.com")).status == 200


async def test_lists_are_joined_and_never_left_by_leaving_them_out(api: Client) -> None:
    one, two = [(await api.post("/v1/lists", {"name": name})).json["id"] for name in ("one", "two")]
    await api.post("/v1/contacts", {"email": "ada@example.com", "lists": ["one"]})
    patched = await api.call("PATCH", "/v1/contacts/ada@example.com", {"lists": ["two"]})
    assert {entry["id"] for entry in patched.json["lists"]} == {one, two}
    assert [event["list"] for event in await events(api, "contact.subscribed")] == [one, two]
    assert await events(api, "contact.updated") == []


async def test_contacts_are_listed_newest_first(api: Client) -> None:
    await api.post("/v1/lists", {"name": "news"})
    for name in ("ada", "bob", "cleo"):
        lists = ["news"] if name != "bob" else []
        await api.post("/v1/contacts", {"email": f"{name}@example.com", "lists": lists})
    page = (await api.get("/v1/contacts?limit=2")).json
    assert [one["email"] for one in page["data"]] == ["cleo@example.com", "bob@example.com"]
    rest = (await api.get(f"/v1/contacts?limit=2&after={page['next']}")).json
    assert ([one["email"] for one in rest["data"]], rest["next"]) == (["ada@example.com"], None)
    members = (await api.get("/v1/contacts?list=news")).json["data"]
    assert [one["email"] for one in members] == ["cleo@example.com", "ada@example.com"]
    unknown = await api.get("/v1/contacts?list=nwes")
    assert (unknown.status, list(unknown.faults)) == (422, ["list"])


async def test_a_contact_is_deleted(api: Client) -> None:
    made = (await api.post("/v1/contacts", {"email": "ada@example.com"})).json
    assert (await api.call("DELETE", f"/v1/contacts/{made['id']}")).status == 204
    for method in ("GET", "DELETE"):
        assert (await api.call(method, f"/v1/contacts/{made['id']}")).status == 404
    assert (await api.post("/v1/contacts", {"email": "ada@example.com"})).json["id"] != made["id"]


async def test_changes_at_once_are_all_kept(api: Client) -> None:
    await asyncio.gather(
        *(
            api.post("/v1/contacts", {"email": "ada@example.com", "attributes": {f"n{i}": i}})
            for i in range(4)
        )
    )
    kept = (await api.get("/v1/contacts/ada@example.com")).json["attributes"]
    assert kept == {f"n{i}": i for i in range(4)}
    assert len(await events(api, "contact.created")) == 1
    assert len(await events(api, "contact.updated")) == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/email"),
        ({"email": None}, "#/email"),
        ({"email": "no address"}, "#/email"),
        ({"email": "a@b@c.example"}, "#/email"),
        ({"email": "ada@example.com\r\nBcc: x@example.com"}, "#/email"),
        ({"email": "ada@example.com", "phone": "12345678"}, "#/phone"),
        ({"email": "ada@example.com", "phone": 4520123456}, "#/phone"),
        ({"email": "ada@example.com", "attributes": []}, "#/attributes"),
        ({"email": "ada@example.com", "attributes": None}, "#/attributes"),
        ({"email": "ada@example.com", "attributes": {"": 1}}, "#/attributes/"),
        (
            {"email": "ada@example.com", "attributes": {"a/b" * 34: 1}},
            "#/attributes/" + ("a~1b" * 34)[:-4] + "a",
        ),
        ({"email": "ada@example.com", "attributes": {"a": "x" * 65_536}}, "#/attributes"),
        ({"email": "ada@example.com", "attributes": {"a": "x\0"}}, "#/attributes/a"),
        ({"email": "ada@example.com", "lists": ["nowhere"]}, "#/lists/0"),
        ({"email": "ada@example.com", "lists": "news"}, "#/lists"),
        ({"email": "ada@example.com", "tags": ["a", ""]}, "#/tags/1"),
        ({"email": "ada@example.com", "tags": [str(i) for i in range(101)]}, "#/tags"),
        ({"email": "ada@example.com", "tags": None}, "#/tags"),
        ({"email": "ada@example.com", "status": "asleep"}, "#/status"),
        ({"email": "ada@example.com", "emial": "x"}, "#/emial"),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(api: Client, body: Any, pointer: str) -> None:
    reply = await api.post("/v1/contacts", body)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.get("/v1/contacts")).json["data"] == []
    assert (await api.stored())[0] == 0


async def test_attributes_have_a_size_however_they_grow(api: Client) -> None:
    half = "x" * 40_000
    await api.post("/v1/contacts", {"email": "ada@example.com", "attributes": {"a": half}})
    refused = await api.call("PATCH", "/v1/contacts/ada@example.com", {"attributes": {"b": half}})
    assert (refused.status, list(refused.faults)) == (422, ["#/attributes"])
    assert list((await api.get("/v1/contacts/ada@example.com")).json["attributes"]) == ["a"]


async def test_a_body_has_to_be_json(api: Client) -> None:
    reply = await api.post("/v1/contacts", b'{"email": "ada@', headers={"content-type": "application/json"})
    assert reply.status == 400
    deep = b'{"email": "ada@example.com", "attributes": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    assert (await api.post("/v1/contacts", deep)).status in (400, 415, 422)
    reply = await api.post("/v1/contacts", deep, headers={"content-type": "application/json"})
    assert reply.status in (400, 422)
    assert (await api.get("/v1/contacts")).json["data"] == []


async def test_tenants_do_not_see_each_other(api: Client) -> None:
    made = (await api.post("/v1/contacts", {"email": "ada@example.com"})).json
    other = await api.with_key(tenant="other")
    for method in ("GET", "PATCH", "DELETE"):
        body = {"phone": None} if method == "PATCH" else None
        assert (await other.call(method, f"/v1/contacts/{made['id']}", body)).status == 404
    assert (await other.post("/v1/contacts", {"email": "ada@example.com"})).status == 201


async def test_keys_and_scopes_hold(api: Client) -> None:
    reader = await api.with_key("read")
    assert (await reader.get("/v1/contacts")).status == 200
    assert (await reader.post("/v1/contacts", {"email": "ada@example.com"})).status == 403
    assert (await api.get("/v1/contacts", headers={"authorization": None})).status == 401
