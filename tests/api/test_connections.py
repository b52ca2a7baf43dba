"""Connections: credentials come in and never go out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.client import Client
from support.receiver import Receiver

CREDENTIALS = {"account_sid": "AC-in-clear", "auth_token": "token-in-clear", "from": "+15005550006"}
TWILIO = {"name": "texts", "kind": "twilio", "credentials": CREDENTIALS}
HTTP = {"kind": "http", "base_url": "https://api.example/v2"}
SMTP = {"kind": "smtp", "base_url": "smtp://mx.example:587", "credentials": {}}


async def test_credentials_are_never_shown(api: Client, tmp_path: Path) -> None:
    made = await api.post("/v1/connections", TWILIO | {"base_url": "http://127.0.0.1:9/twilio"})
    assert made.status == 201
    assert made.json["id"].startswith("con_")
    assert made.json["credentials"] == dict.fromkeys(CREDENTIALS, "…")
    assert made.json["base_url"] == "http://127.0.0.1:9/twilio"
    path = f"/v1/connections/{made.json['id']}"
    one, listed = await api.get(path), await api.get("/v1/connections")
    changed = await api.call("PATCH", path, {"credentials": {"auth_token": "other-in-clear"}})
    assert (one.json, listed.json["data"], changed.json) == (made.json, [made.json], made.json)
    assert b"in-clear" not in made.body + one.body + listed.body + changed.body
    files = [file.read_bytes() for file in tmp_path.iterdir() if file.is_file()]
    assert files
    assert all(b"in-clear" not in content for content in files)


async def test_a_patch_keeps_what_it_does_not_name(api: Client) -> None:
    made = (await api.post("/v1/connections", TWILIO | {"base_url": "http://127.0.0.1:9"})).json
    path = f"/v1/connections/{made['id']}"
    changed = await api.call(
        "PATCH",
        path,
        {"name": "sms", "credentials": {"from": "Shop", "auth_token": "…"}, "base_url": None},
    )
    assert (changed.status, changed.json["name"], changed.json["base_url"]) == (200, "sms", None)
    stored = await api.app.services.storage.access.connection("default", made["id"])
    assert stored is not None
    assert stored.credentials == CREDENTIALS | {"from": "Shop"}


async def test_a_connection_is_deleted(api: Client) -> None:
    made = (await api.post("/v1/connections", TWILIO)).json
    path = f"/v1/connections/{made['id']}"
    other = await api.with_key(tenant="other")
    assert (await other.call("DELETE", path)).status == 404
    assert (await other.get(path)).status == 404
    assert (await api.call("DELETE", path)).status == 204
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {})):
        assert (await api.call(method, path, body)).status == 404
    assert (await api.post(path + "/test")).status == 404


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"kind": "pigeon"}, "#/kind", "pigeon"),
        ({"name": ""}, "#/name", ""),
        ({"credentials": {}}, "#/credentials/account_sid", "required"),
        ({"credentials": CREDENTIALS | {"auth_token": " "}}, "#/credentials/auth_token", "required"),
        ({"credentials": CREDENTIALS | {"pass/word": "x"}}, "#/credentials/pass~1word", "unknown field"),
        ({"credentials": CREDENTIALS | {"from": 5}}, "#/credentials", "str"),
        ({"base_url": "ftp://example.com"}, "#/base_url", "http"),
        ({"base_url": "http://169.254.169.254/"}, "#/base_url", ""),
        ({"base_url": "https://user:pw@example.com/"}, "#/base_url", ""),
        ({"base_url": "https://example.com/?a=b"}, "#/base_url", "query"),
        ({"token": "x"}, "#/token", "unknown field"),
        ({"priority": 5}, "#/priority", "only SMTP"),
        ({"kind": "slack", "credentials": {}}, "#/credentials/token", "required"),
        ({"kind": "http", "credentials": {"token": "x"}}, "#/base_url", "required"),
        (HTTP | {"credentials": {}}, "#/credentials", "give a token"),
        (HTTP | {"credentials": {"token": "x", "header": "y"}}, "#/credentials", "give a token"),
        (HTTP | {"credentials": {"username": "x"}}, "#/credentials", "give a token"),
        (HTTP | {"credentials": {"token": "a\r\nb: c"}}, "#/credentials/token", "control"),
        (HTTP | {"credentials": {"header": "Host", "value": "x"}}, "#/credentials/header", "set by Hookline"),
        (SMTP | {"base_url": None}, "#/base_url", "required"),
        (SMTP | {"base_url": "http://mx.example"}, "#/base_url", "smtp://"),
        (SMTP | {"base_url": "smtp://ada:pw@mx.example"}, "#/base_url", "credentials"),
        (SMTP | {"base_url": "smtp://mx.example?starttls=perhaps"}, "#/base_url", "starttls"),
        (SMTP | {"base_url": "smtp://mx.example?provider=pigeon"}, "#/base_url", "pigeon"),
        (SMTP | {"base_url": "smtp://10.0.0.1"}, "#/base_url", "private"),
        (SMTP | {"base_url": "smtp://[fd00::1]"}, "#/base_url", "private"),
        (SMTP | {"base_url": "smtp://2130706433"}, "#/base_url", "plain form"),
        (SMTP | {"base_url": "smtp://93.184.216.34:6379"}, "#/base_url", "port 6379"),
        (SMTP | {"credentials": {"username": "x"}}, "#/credentials/password", "both"),
        (SMTP | {"credentials": {"password": "x"}}, "#/credentials/username", "both"),
        (
            SMTP | {"credentials": {"username": "x", "password": "y\r\nMAIL"}},
            "#/credentials/password",
            "control",
        ),
        (SMTP | {"priority": -1}, "#/priority", ">= 0"),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(
    api: Client, change: Any, pointer: str, words: str
) -> None:
    reply = await api.post("/v1/connections", TWILIO | change)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert words in reply.faults[pointer]
    assert (await api.get("/v1/connections")).json["data"] == []


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"kind": "twilio"}, "#/kind"),
        ({"credentials": {"auth_token": ""}}, "#/credentials/auth_token"),
        ({"credentials": {"user": "x"}}, "#/credentials/user"),
        ({"base_url": "nowhere"}, "#/base_url"),
        ({"base_url": "http://127.0.0.1:9/mine"}, "#/credentials"),
        ({"name": None}, "#/name"),
    ],
)
async def test_a_bad_patch_changes_nothing(api: Client, patch: Any, pointer: str) -> None:
    made = (await api.post("/v1/connections", TWILIO)).json
    path = f"/v1/connections/{made['id']}"
    reply = await api.call("PATCH", path, patch)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.get(path)).json == made
    stored = await api.app.services.storage.access.connection("default", made["id"])
    assert stored is not None
    assert stored.credentials == CREDENTIALS


async def test_a_hooks_connection_has_to_be_there_and_lead_where_the_hook_does(
    api: Client, receiver: Receiver
) -> None:
    given = {"name": "x", "kind": "http", "base_url": receiver.url + "/v2", "credentials": {"token": "t"}}
    http = (await api.post("/v1/connections", given)).json["id"]
    twilio = (await api.post("/v1/connections", TWILIO)).json["id"]
    other = await api.with_key(tenant="other")
    do = {"kind": "webhook", "url": "/orders", "connection": http}
    slack = {"kind": "slack", "channel": "#a"}
    for client, action, pointer in (
        (api, do | {"url": "http://127.0.0.2:9/"}, "#/do/url"),
        (api, do | {"url": receiver.url.replace("http:", "https:")}, "#/do/url"),
        (api, do | {"url": "orders"}, "#/do/url"),
        (api, do | {"connection": twilio}, "#/do/connection"),
        (api, slack | {"connection": http}, "#/do/connection"),
        (other, do, "#/do/connection"),
    ):
        reply = await client.post("/v1/hooks", {"on": ["order.paid"], "do": action})
        assert (reply.status, list(reply.faults)) == (422, [pointer]), reply.json
    made = await api.hook(do=do)
    assert (made["do"]["connection"], made["do"]["url"]) == (http, "/orders")
    await api.post(f"/v1/hooks/{made['id']}/test", {})
    await api.post(f"/v1/hooks/{made['id']}/test", {"to": receiver.url + "/mine"})
    assert [(got.path, got.headers.get("authorization")) for got in receiver.got] == [
        ("/v2/orders", "Bearer t"),
        ("/mine", None),
    ], "the credentials go nowhere else, not even for a try"
    bot = {"name": "b", "kind": "slack", "credentials": {"token": "xoxb-in-clear"}, "base_url": receiver.url}
    slack["connection"] = (await api.post("/v1/connections", bot)).json["id"]
    shown = await api.hook(do=slack)
    assert shown["do"]["url"] is None and shown["do"]["channel"] == "#a"
    await api.post(f"/v1/hooks/{shown['id']}/test", {"to": receiver.url + "/services/T/B"})
    assert (receiver.got[2].path, receiver.got[2].headers.get("authorization")) == ("/services/T/B", None)
