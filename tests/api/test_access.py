"""Keys, scopes and tenants."""

from __future__ import annotations

import re

import pytest

from hookline.api.auth import Authenticator
from hookline.api.errors import ApiError
from hookline.rules.keys import digest
from support.client import Client

READABLE = ["/v1/events", "/v1/events/evt_x", "/v1/hooks", "/v1/deliveries", "/v1/event-types", "/v1/keys"]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer hl_nonsense", "Basic aGw6aGw=", "hl_x", "Bearer \xe9"],
)
async def test_no_key_no_answer(api: Client, authorization: str | None) -> None:
    headers = {"authorization": authorization}
    for path in READABLE:
        reply = await api.get(path, headers=headers)
        assert reply.status == 401, path
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.headers["content-type"] == "application/problem+json"
    for path in ("/v1/events", "/v1/hooks", "/v1/keys"):
        reply = await api.post(path, {"type": "a", "data": 1}, headers=headers)
        assert reply.status == 401, path
        assert reply.headers["www-authenticate"].startswith("Bearer")
    assert await api.stored() == (0, 0)


async def test_what_each_scope_reaches(api: Client) -> None:
    read, publish = await api.with_key("read"), await api.with_key("publish")
    hook = await api.hook()
    event = {"type": "a", "data": 1}
    assert (await read.post("/v1/events", event)).status == 403
    assert (await publish.post("/v1/events", event)).status == 202
    for client in (read, publish):
        assert (await client.get("/v1/events")).status == 200
        assert (await client.get(f"/v1/hooks/{hook['id']}")).status == 200
        refused = [
            await client.post(
                "/v1/hooks", {"on": ["a"], "do": {"kind": "webhook", "url": "https://a.example"}}
            ),
            await client.patch(f"/v1/hooks/{hook['id']}", {"name": "x"}),
            await client.call("DELETE", f"/v1/hooks/{hook['id']}"),
            await client.post(f"/v1/hooks/{hook['id']}/test", {}),
            await client.get(f"/v1/hooks/{hook['id']}/secret"),
            await client.get("/v1/keys"),
            await client.post("/v1/keys", {"name": "x", "scope": "manage"}),
        ]
        assert [reply.status for reply in refused] == [403] * len(refused)
        assert "manage" in refused[0].json["detail"]
    assert await api.stored() == (1, 1)


async def test_another_tenants_things_are_not_there(api: Client) -> None:
    other = await api.with_key(tenant="other")
    hook = await api.hook()
    event = await api.publish()
    [delivery] = (await api.get("/v1/deliveries")).json["data"]
    [key, *_] = (await api.get("/v1/keys")).json["data"]
    for path in (f"/v1/hooks/{hook['id']}", f"/v1/events/{event}", f"/v1/deliveries/{delivery['id']}"):
        assert (await api.get(path)).status == 200
        assert (await other.get(path)).status == 404
    assert (await other.patch(f"/v1/hooks/{hook['id']}", {"name": "mine"})).status == 404
    assert (await other.call("DELETE", f"/v1/hooks/{hook['id']}")).status == 404
    assert (await other.call("DELETE", f"/v1/keys/{key['id']}")).status == 404
    assert (await other.post(f"/v1/hooks/{hook['id']}/test", {})).status == 404
    for path in ("/v1/hooks", "/v1/events", "/v1/deliveries"):
        assert (await other.get(path)).json["data"] == []
    mine = await other.hook()
    assert (await other.post(f"/v1/hooks/{mine['id']}/test", {"event_id": event})).status == 422
    assert (await other.post("/v1/events", {"type": "a", "data": 1})).json["deliveries"] == 1


async def test_a_key_is_made_shown_once_and_revoked(api: Client) -> None:
    made = await api.post("/v1/keys", {"name": "till", "scope": "publish"})
    assert made.status == 201
    assert re.fullmatch(r"hl_[A-Za-z0-9_-]{43}", made.json["key"])
    new = Client(api.session, api.url, api.app, made.json["key"])
    assert (await new.get("/v1/hooks")).status == 200
    listed = await api.get("/v1/keys?limit=1")
    [shown] = listed.json["data"]
    assert (shown["id"], shown["scope"], shown["revoked_at"]) == (made.json["id"], "publish", None)
    assert listed.json["next"]
    assert made.json["key"].encode() not in listed.body
    assert (await api.call("DELETE", f"/v1/keys/{shown['id']}")).status == 204
    assert (await new.get("/v1/hooks")).status == 401
    assert (await api.call("DELETE", f"/v1/keys/{shown['id']}")).status == 404
    assert (await api.get("/v1/keys?limit=1")).json["data"][0]["revoked_at"]


WRONG_KEYS = (
    ({"name": "x"}, "#/scope"),
    ({"name": "x", "scope": "root"}, "#/scope"),
    ({"name": "", "scope": "read"}, "#/name"),
    ({"name": "x", "scope": "read", "key": "hl_mine"}, "#/key"),
)


async def test_a_key_that_is_none(api: Client) -> None:
    for body, pointer in WRONG_KEYS:
        reply = await api.post("/v1/keys", body)
        assert (reply.status, list(reply.faults)) == (422, [pointer])
        assert len((await api.get("/v1/keys")).json["data"]) == 1


async def test_a_key_revoked_elsewhere_lives_two_seconds(api: Client) -> None:
    now = 100.0
    access = api.app.services.storage.access
    remembering = Authenticator(api.app.services.storage, lambda: now)
    header = f"bearer {api.key}"
    key = await remembering.key(header)
    assert await access.key_by_digest(digest(api.key)) == key
    await access.revoke_key("default", key.id, 1)
    now += 1.9
    assert await remembering.key(header) == key
    assert await remembering.lets(header)
    now += 0.1
    with pytest.raises(ApiError, match="revoked"):
        await remembering.key(header)
    assert not await remembering.lets(header)
