"""Mail through a tenant's own SMTP server, from the API on; and what a try of a connection says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hookline.settings import Settings
from support.client import Client, client_of
from support.mailserver import serving_mail
from support.receiver import Receiver

LOGIN = ("ada", "s3cret-in-clear")
CREDENTIALS = {"username": LOGIN[0], "password": LOGIN[1]}
MAIL = {"to": "ada@example.com", "from": "shop@example.com", "subject": "Hi", "text": "Hello"}
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture
async def client(tmp_path: Path, database_url: str | Path) -> AsyncIterator[Client]:
    """Without any SMTP server, on both databases."""
    settings = Settings(
        home=str(tmp_path),
        database=database_url if isinstance(database_url, str) else "",
        allow_targets="127.0.0.0/8",
        public_url="https://mail.example",
    )
    async with client_of(settings) as made:
        yield made


async def test_mail_goes_through_the_tenants_own_server(client: Client, tmp_path: Path) -> None:
    assert (await client.post("/v1/messages", MAIL)).status == 409
    async with serving_mail(LOGIN) as server:
        given = {"name": "relay", "kind": "smtp", "base_url": server.url, "credentials": CREDENTIALS}
        made = await client.post("/v1/connections", given)
        assert (made.status, made.json["priority"], made.json["base_url"]) == (201, 10, server.url)
        assert set(made.json["credentials"].values()) == {"…"}
        path = f"/v1/connections/{made.json['id']}"
        other = await client.with_key(tenant="other")
        assert (await other.post("/v1/messages", MAIL)).status == 409, "it is not another's"
        assert (await other.post(path + "/test")).status == 404

        sent = await client.post("/v1/messages", MAIL)
        hook = {"kind": "email", "subject": "Thanks", **{k: MAIL[k] for k in ("to", "from", "text")}}
        await client.post("/v1/hooks", {"on": ["order.paid"], "do": hook})
        await client.publish()
        await client.settled()
        assert sorted(message["subject"] for _, message in server.mails) == ["Hi", "Thanks"]
        assert set(server.logins) == {"ada"}
        delivery = await client.get(f"/v1/deliveries/{sent.json['id']}")
        (attempt,) = delivery.json["attempts"]
        assert attempt["request"]["connection"] == made.json["id"]
        assert b"in-clear" not in delivery.body + made.body
        files = [file.read_bytes() for file in tmp_path.iterdir() if file.is_file()]
        assert all(b"in-clear" not in content for content in files)

        elsewhere = {"base_url": server.url + "?starttls=never"}
        refused = await client.patch(path, elsewhere)
        assert list(refused.faults) == ["#/credentials"], "a password does not follow to another address"
        changed = await client.patch(path, elsewhere | {"credentials": CREDENTIALS, "priority": 1})
        assert (changed.status, changed.json["priority"]) == (200, 1)
        assert (await client.post("/v1/messages", MAIL)).status == 202
        await client.settled()
        assert len(server.mails) == 3
        assert (await client.call("DELETE", path)).status == 204
        assert (await client.post("/v1/messages", MAIL)).status == 409


async def test_a_try_says_how_far_it_came(client: Client) -> None:
    async with serving_mail(LOGIN) as server:
        given = {"name": "relay", "kind": "smtp", "base_url": server.url, "credentials": CREDENTIALS}
        path = f"/v1/connections/{(await client.post('/v1/connections', given)).json['id']}"
        told = (await client.post(path + "/test")).json
        assert told == {"ok": True, "stage": "done", "status": None, "detail": "logged in"}
        await client.patch(path, {"credentials": {"password": "wrong"}})
        told = (await client.post(path + "/test")).json
        assert (told["ok"], told["stage"], told["status"]) == (False, "auth", 535)
        await client.patch(path, {"credentials": {"username": None, "password": None}})
        assert (await client.post(path + "/test")).json["ok"]
        await client.patch(path, {"base_url": server.url + "?starttls=always"})
        told = (await client.post(path + "/test")).json
        assert (told["stage"], "STARTTLS" in told["detail"]) == ("tls", True)
        server.die()
        assert (await client.post(path + "/test")).json["stage"] == "connect"


@pytest.mark.parametrize(
    ("kind", "credentials", "asked", "answers"),
    [
        ("slack", {"token": "xoxb-1"}, ("/auth.test", "Bearer xoxb-1"),
         ((200, {"ok": True}), (200, {"ok": False, "error": "invalid_auth"}))),
        ("twilio", {"account_sid": "AC1", "auth_token": "t", "from": "+4512345678"},
         ("/2010-04-01/Accounts/AC1.json", "Basic QUMxOnQ="), ((200, {}), (401, {"message": "no"}))),
        ("http", {"username": "ada", "password": "s"}, ("/", "Basic YWRhOnM="), ((404, {}), (403, {}))),
    ],
)  # fmt: skip
async def test_others_are_asked_whether_they_know_us(  # noqa: PLR0917
    api: Client, receiver: Receiver, kind: str, credentials: Any, asked: Any, answers: Any
) -> None:
    given = {"name": "x", "kind": kind, "base_url": receiver.url, "credentials": credentials}
    path = f"/v1/connections/{(await api.post('/v1/connections', given)).json['id']}/test"
    for (status, body), ok in zip(answers, (True, False), strict=True):
        receiver.answers, receiver.body = [status], json.dumps(body).encode()
        told = (await api.post(path)).json
        assert (told["ok"], told["stage"], told["status"]) == (ok, "done" if ok else "auth", status)
    assert {(got.path, got.headers["authorization"]) for got in receiver.got} == {asked}
