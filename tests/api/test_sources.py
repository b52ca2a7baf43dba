"""Sources: what providers send arrives whole, once, and only if they signed it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest

from hookline.model import Message
from hookline.rules.ids import new_id
from hookline.storage.plans import Sql
from support.client import Client
from support.receiver import Receiver


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


MAILJET = {"kind": "mailjet", "name": "mail", "credentials": {"username": "us", "password": "pä:ss"}}
OPEN = {
    "event": "open",
    "time": 1_790_000_000,
    "MessageID": 19421777835146490,
    "email": "Ada@Example.com",
    "CustomID": "",
    "ip": "192.0.2.7",
    "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}
BOUNCE = {
    "event": "bounce",
    "time": 1_790_000_001,
    "email": "bob@example.com",
    "hard_bounce": True,
    "error_related_to": "recipient",
    "error": "user unknown",
}
SIGNED = {"authorization": basic("us", "pä:ss")}


async def make(api: Client) -> Any:
    made = await api.post("/v1/sources", MAILJET)
    assert made.status == 201
    return made.json


async def tell(api: Client, source: Any, body: Any, **headers: Any) -> Any:
    """What Mailjet sends to a source's address."""
    return await api.post(f"/in/{source['id']}", body, headers=SIGNED | headers)


async def events(api: Client, query: str = "") -> list[dict[str, Any]]:
    return list(reversed((await api.get(f"/v1/events?{query}")).json["data"]))


async def test_a_source_has_an_address_and_hides_its_credentials(api: Client) -> None:
    made = await make(api)
    assert made["url"] == f"http://127.0.0.1:8000/in/{made['id']}"
    assert made["credentials"] == {"username": "…", "password": "…"}
    assert (await api.get("/v1/sources")).json == {"data": [made], "next": None}
    assert (await api.get(f"/v1/sources/{made['id']}")).json == made
    other = await api.with_key(tenant="other")
    assert (await other.get(f"/v1/sources/{made['id']}")).status == 404
    assert (await other.call("DELETE", f"/v1/sources/{made['id']}")).status == 404
    assert (await api.call("DELETE", f"/v1/sources/{made['id']}")).status == 204
    assert (await tell(api, made, OPEN)).status == 404
    assert (await api.get(f"/v1/sources/{made['id']}")).status == 404


async def test_the_address_begins_with_the_public_url(mail_api: Client) -> None:
    made = await make(mail_api)
    assert made["url"] == f"https://mail.example/in/{made['id']}"


async def test_credentials_can_be_changed(api: Client) -> None:
    made = await make(api)
    path = f"/v1/sources/{made['id']}"
    changed = await api.patch(path, {"name": "new", "credentials": {"password": "other", "username": "…"}})
    assert (changed.status, changed.json) == (200, made | {"name": "new"})
    assert (await tell(api, made, OPEN)).status == 401
    assert (await tell(api, made, OPEN, authorization=basic("us", "other"))).status == 200
    for wrong, pointer in (
        ({"credentials": {"password": None}}, "#/credentials/password"),
        ({"credentials": {"key": "x"}}, "#/credentials/key"),
        ({"credentials": {"username": "a:b"}}, "#/credentials"),
        ({"kind": "mailjet"}, "#/kind"),
    ):
        refused = await api.patch(path, wrong)
        assert (refused.status, list(refused.faults)) == (422, [pointer])
    assert (await tell(api, made, OPEN, authorization=basic("us", "other"))).status == 200
    other = await api.with_key(tenant="other")
    assert (await other.patch(path, {"name": "x"})).status == 404


async def test_a_report_that_names_another_recipient_is_not_about_our_mail(api: Client) -> None:
    source, message = await make(api), message_to_ada()
    await store(api, message)
    wrong = OPEN | {"CustomID": message.id, "email": "bob@example.com"}
    await tell(api, source, [wrong, wrong | {"event": "sent"}])
    for event, kind in zip(await events(api), ("email.opened", "email.sent"), strict=True):
        assert (event["type"], event["subject"], event["cause"]) == (kind, "bob@example.com", None)
        assert "message" not in event["data"]
    assert await api.app.services.storage.figures.total("default", "campaign", "cmp_x") == {}


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"kind": "pigeon"}, "#/kind", "mailjet"),
        ({"kind": None}, "#/kind", ""),
        ({"credentials": {"username": "us"}}, "#/credentials/password", "required"),
        ({"credentials": {"username": "", "password": "x"}}, "#/credentials/username", "required"),
        ({"credentials": {"username": "a:b", "password": "x"}}, "#/credentials", "colon"),
        (
            {"credentials": {"username": "a", "password": "x", "key": "k"}},
            "#/credentials/key",
            "username, password",
        ),
        ({"name": ""}, "#/name", ""),
        ({"secret": "x"}, "#/secret", ""),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(
    api: Client, change: Any, pointer: str, words: str
) -> None:
    reply = await api.post("/v1/sources", MAILJET | change)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert words in reply.faults[pointer]
    assert (await api.get("/v1/sources")).json["data"] == []


async def test_events_arrive_with_what_came_kept_raw(api: Client) -> None:
    source = await make(api)
    raw = json.dumps(OPEN).encode()
    reply = await tell(api, source, raw)
    assert (reply.status, reply.json) == (200, {"accepted": 1, "duplicates": 0})
    [event] = await events(api)
    assert (event["type"], event["source"], event["subject"]) == (
        "email.opened",
        source["id"],
        "ada@example.com",
    )
    assert event["time"] == "2026-09-21T14:13:20Z"
    assert event["data"] == {
        "email": "ada@example.com",
        "ip": "192.0.2.7",
        "user_agent": OPEN["agent"],
        "machine": False,
        "machine_reason": None,
        "provider": "mailjet",
        "provider_event": OPEN,
    }
    stored = await api.app.services.storage.events.get("default", event["id"])
    assert stored is not None
    assert raw in stored.data


async def test_an_array_is_taken_whole_or_not_at_all(api: Client) -> None:
    source = await make(api)
    reply = await tell(api, source, [OPEN, BOUNCE])
    assert reply.json == {"accepted": 2, "duplicates": 0}
    assert [event["type"] for event in await events(api)] == ["email.opened", "email.bounced"]
    refused = await tell(api, source, [OPEN | {"ip": "192.0.2.8"}, BOUNCE | {"time": "now"}])
    assert refused.status == 400
    assert "event 1 (bounce) has no `time`" in refused.json["detail"]
    assert len(await events(api)) == 2
    assert (await tell(api, source, [])).json == {"accepted": 0, "duplicates": 0}


async def test_repeated_reports_count_once(api: Client) -> None:
    source = await make(api)
    assert (await tell(api, source, [OPEN, OPEN])).json == {"accepted": 1, "duplicates": 1}
    respelled = json.dumps(dict(reversed(OPEN.items())), indent=1).encode()
    assert (await tell(api, source, respelled)).json == {"accepted": 0, "duplicates": 1}
    assert (await tell(api, source, [BOUNCE, OPEN])).json == {"accepted": 1, "duplicates": 1}
    assert len(await events(api)) == 2
    second = await make(api)
    assert (await tell(api, second, OPEN)).json == {"accepted": 1, "duplicates": 0}


async def test_the_first_of_repeated_reports_wins_whatever_was_learned_since(api: Client) -> None:
    source = await make(api)
    message = message_to_ada()
    report = OPEN | {"CustomID": message.id}
    await tell(api, source, report)
    await store(api, message)
    assert (await tell(api, source, [report, BOUNCE])).json == {"accepted": 1, "duplicates": 1}
    assert [event["type"] for event in await events(api)] == ["email.opened", "email.bounced"]


async def store(api: Client, message: Message) -> None:
    """Put a message's row there, as the mailer does before it sends."""

    def plan() -> Any:
        yield Sql(
            "INSERT INTO messages (tenant, id, campaign, hook, contact, address, sent_at, depth, flags)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.tenant, message.id, message.campaign, message.hook, message.contact, message.address,
                message.sent_at, message.depth, message.flags,
            ),
        )  # fmt: skip

    await api.app.services.storage._db.run(plan)


def message_to_ada(tenant: str = "default") -> Message:
    return Message(
        tenant=tenant,
        id=new_id("dlv"),
        address="ada@example.com",
        sent_at=1_789_999_000_000_000,
        campaign="cmp_x",
        contact="ctc_x",
        depth=1,
    )


async def test_a_mail_of_ours_is_recognised(api: Client) -> None:
    source, message = await make(api), message_to_ada()
    await store(api, message)
    await tell(
        api, source, [OPEN | {"CustomID": message.id}, OPEN | {"event": "sent", "CustomID": message.id}]
    )
    opened, delivered = await events(api)
    assert (
        opened["data"]
        | {
            "message": message.id,
            "campaign": "cmp_x",
            "contact": "ctc_x",
            "sent_at": "2026-09-21T13:56:40Z",
        }
        == opened["data"]
    )
    assert (opened["cause"], opened["depth"], opened["campaign"]) == (message.id, 1, "cmp_x")
    assert delivered["type"] == "email.delivered"
    assert [event["id"] for event in await events(api, "campaign=cmp_x")] == [opened["id"], delivered["id"]]
    counters = await api.app.services.storage.figures.total("default", "campaign", "cmp_x")
    assert counters == {"opened": 1, "opened_total": 1, "attempted": 1}


async def test_a_mail_of_another_tenant_is_not(api: Client) -> None:
    source, message = await make(api), message_to_ada(tenant="other")
    await store(api, message)
    await tell(api, source, OPEN | {"CustomID": message.id})
    [event] = await events(api)
    assert "message" not in event["data"]
    assert event["cause"] is None
    assert await api.app.services.storage.figures.total("other", "campaign", "cmp_x") == {}


async def test_a_hard_bounce_suppresses_the_address(api: Client) -> None:
    source = await make(api)
    await tell(api, source, [BOUNCE, BOUNCE | {"email": "cleo@example.com", "hard_bounce": False}])
    [entry] = (await api.get("/v1/suppressions")).json["data"]
    assert (entry["address"], entry["reason"]) == ("bob@example.com", "hard_bounce")


async def test_an_unknown_event_is_kept_and_answered(api: Client) -> None:
    source = await make(api)
    raw = b'{"event": "snooze", "email": "ada@example.com", "big": 19421777835146490123}'
    assert (await tell(api, source, raw)).json == {"accepted": 1, "duplicates": 0}
    [event] = await events(api)
    assert (event["type"], event["subject"]) == ("mailjet.snooze", "ada@example.com")
    stored = await api.app.services.storage.events.get("default", event["id"])
    assert stored is not None
    assert stored.data == raw


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic",
        "Bearer x",
        basic("us", "wrong"),
        basic("other", "pä:ss"),
        "Basic dXM=",
    ],
)
async def test_who_did_not_sign_is_refused_and_counted(api: Client, authorization: str | None) -> None:
    source = await make(api)
    for body in (OPEN, b"no json"):
        reply = await api.post(f"/in/{source['id']}", body, headers={"authorization": authorization})
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Basic realm=")
    assert await events(api) == []
    assert (await api.get(f"/v1/sources/{source['id']}")).json["refused"] == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"event=open", "not JSON"),
        (b"17", "not a JSON object"),
        (b"[{}]", "`event`"),
        (b"[" * 5000 + b"]" * 5000, "nested"),
        (json.dumps(OPEN | {"email": ""}).encode(), "`email`"),
    ],
)
async def test_a_body_of_another_shape_says_what_is_wrong(api: Client, body: bytes, words: str) -> None:
    source = await make(api)
    reply = await tell(api, source, body)
    assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
    assert words in reply.json["detail"]
    assert await events(api) == []


async def test_a_body_has_a_limit(api: Client) -> None:
    source = await make(api)
    event = json.dumps(OPEN).encode()
    large = b"[" + event + b" " * (8 * 2**20) + b"]"

    async def in_pieces(raw: bytes) -> Any:
        for place in range(0, len(raw), 2**16):
            yield raw[place : place + 2**16]

    for data in (io.BytesIO(large), in_pieces(large)):  # with its length announced, and without
        reply = await api.post(f"/in/{source['id']}", headers=SIGNED, data=data)
        assert reply.status == 413
    assert await events(api) == []
    fits = b"[" + event + b" " * (2 * 2**20) + b"]"
    assert (await tell(api, source, in_pieces(fits))).status == 200


async def test_providers_may_look_whether_someone_is_there(api: Client) -> None:
    source = await make(api)
    for method in ("GET", "HEAD"):
        reply = await api.call(method, f"/in/{source['id']}", headers={"authorization": None})
        assert reply.status == 200
        assert (await api.call(method, "/in/src_nothing")).status == 404
    assert (await api.call("PUT", f"/in/{source['id']}")).status == 405
    assert await events(api) == []


async def test_the_cloudevents_handshake_is_answered(api: Client) -> None:
    source = await make(api)
    asked = {
        "webhook-request-origin": "eventemitter.example.com",
        "webhook-request-rate": "120",
        "authorization": None,
    }
    reply = await api.call("OPTIONS", f"/in/{source['id']}", headers=asked)
    assert reply.status == 204
    assert reply.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    assert reply.headers["webhook-allowed-rate"] == "*"
    assert "POST" in reply.headers["allow"]
    plain = await api.call("OPTIONS", f"/in/{source['id']}", headers={"authorization": None})
    assert "webhook-allowed-origin" not in plain.headers
    assert (await api.call("OPTIONS", "/in/src_nothing", headers=asked)).status == 404


async def test_a_hook_acts_on_what_a_provider_tells(api: Client, receiver: Receiver) -> None:
    await api.hook(receiver.url, on=["email.bounced"])
    await tell(api, await make(api), [OPEN, BOUNCE])
    await api.app.services.dispatcher.idle()
    [got] = receiver.got
    assert got.json["type"] == "email.bounced"
    assert got.json["data"]["reason"] == "user_unknown"
