"""General sources end to end: what others send arrives as it is, once, and never as one of Hookline's own events."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from standardwebhooks import Webhook

from support.client import Client
from support.receiver import Receiver

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def make(api: Client, kind: str, **credentials: str) -> Any:
    made = await api.post("/v1/sources", {"kind": kind, "name": kind, "credentials": credentials})
    assert made.status == 201, made.body
    return made.json


async def tell(
    api: Client, source: Any, body: bytes, headers: Mapping[str, str | None], query: str = ""
) -> Any:
    """A call as a stranger makes it."""
    return await api.post(f"/in/{source['id']}{query}", body, headers={"authorization": None} | dict(headers))


async def events(api: Client) -> list[dict[str, Any]]:
    return list(reversed((await api.get("/v1/events")).json["data"]))


async def stored(api: Client, event: Mapping[str, Any]) -> bytes:
    found = await api.app.services.storage.events.get("default", event["id"])
    assert found is not None
    return found.data


def standard(body: bytes, id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    moment = datetime.fromtimestamp(int(time.time() if at is None else at), UTC)
    signature = Webhook(WHSEC).sign(id, moment, body.decode())
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def hexed(body: bytes, algorithm: str = "sha256") -> str:
    return hmac.digest(b"s3cret", body, algorithm).hex()


async def test_a_body_arrives_with_its_bytes_unchanged_and_once(api: Client) -> None:
    source = await make(api, "standard", secret=WHSEC)
    body = b'{ "type": "order.paid",\n "total": 1.10, "subject": "ada@example.com" }'
    for expected in ({"accepted": 1, "duplicates": 0}, {"accepted": 0, "duplicates": 1}):
        reply = await tell(api, source, body, standard(body))
        assert (reply.status, reply.json) == (200, expected)
    [event] = await events(api)
    assert (event["type"], event["source"], event["source_id"]) == ("order.paid", source["id"], "msg_1")
    assert event["subject"] == "ada@example.com"
    assert await stored(api, event) == body


async def test_what_is_too_old_or_not_signed_is_refused_in_words_and_counted(api: Client) -> None:
    source = await make(api, "standard", secret=WHSEC)
    body = b'{"type": "order.paid"}'
    for headers, words in (
        (standard(body, at=time.time() - 3600), "more than 300 s are not accepted"),
        (standard(body + b" "), "no v1 signature matches"),
        ({}, "webhook-id is missing"),
    ):
        reply = await tell(api, source, body, headers)
        assert reply.status == 401
        assert words in reply.json["detail"]
    assert await events(api) == []
    assert (await api.get(f"/v1/sources/{source['id']}")).json["refused"] == 3
    bad = await tell(api, source, b"{no json", standard(b"{no json"))
    assert (bad.status, bad.json["detail"][:20]) == (400, "the body is not JSON")


async def test_nobody_forges_an_event_of_hooklines_own(api: Client) -> None:
    hashed = {"secret": "s3cret", "header": "x-signature"}
    signing, mac, cloud, open_ = (
        await make(api, "standard", secret=WHSEC),
        await make(api, "hmac", **hashed),
        await make(api, "cloudevents", token="tok"),
        await make(api, "unsigned", key="0123456789abcdef"),
    )
    own = ("email.opened", "contact.updated", "hook.disabled", "pool.low")
    for kind in own:
        body = json.dumps({"type": kind, "email": "ada@example.com"}).encode()
        ce = json.dumps({"specversion": "1.0", "type": kind, "source": "/x", "id": kind}).encode()
        for reply in (
            await tell(api, signing, body, standard(body, kind)),
            await tell(api, mac, body, {"x-signature": hexed(body)}),
            await tell(api, cloud, ce, {"authorization": "Bearer tok"}),
            await tell(api, open_, body, {}, "?key=0123456789abcdef"),
        ):
            assert reply.json == {"accepted": 1, "duplicates": 0}
    kinds = ("standard", "hmac", "cloudevents", "unsigned")
    assert {event["type"] for event in await events(api)} == {
        f"{one}.{kind}" for one in kinds for kind in own
    }
    refused = await api.post(
        "/v1/sources", {"kind": "hmac", "name": "x", "credentials": hashed | {"type": "email.opened"}}
    )
    assert (refused.status, list(refused.faults)) == (422, ["#/credentials"])


async def test_a_key_in_the_address_is_made_and_shown_once(api: Client) -> None:
    made = await make(api, "unsigned", type="door.opened")
    path, _, query = made["url"].partition("?")
    assert len(query) > 20
    assert (await api.get(f"/v1/sources/{made['id']}")).json["url"] == f"{path}?key=…"
    for wrong in ("", "?key=", "?key=other", "?key=%C3%A9"):
        assert (await tell(api, made, b"{}", {}, wrong)).status == 401
    assert (await tell(api, made, b"a=1&b=2", FORM, f"?{query}")).status == 200
    [event] = await events(api)
    assert (event["type"], event["data"]) == ("door.opened", {"a": "1", "b": "2"})


async def test_settings_are_shown_and_secrets_are_not(api: Client) -> None:
    made = await make(api, "hmac", secret="s3cret", header="X-Sig", id_field="reference")
    shown = {"secret": "…", "header": "X-Sig", "id_field": "reference"}
    assert made["credentials"] == shown
    changed = await api.patch(f"/v1/sources/{made['id']}", {"credentials": shown | {"id_field": None}})
    assert changed.json["credentials"] == {"secret": "…", "header": "X-Sig"}
    body = b'{"type": "order.paid"}'
    assert (await tell(api, made, body, {"x-sig": hexed(body)})).status == 200


async def test_slack_gets_its_challenge_and_no_words(api: Client) -> None:
    source = await make(api, "slack", signing_secret="s3cret")

    def signed(body: bytes) -> dict[str, str | None]:
        at = str(int(time.time()))
        mac = hexed(f"v0:{at}:".encode() + body)
        return {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={mac}"}

    asked = b'{"type": "url_verification", "challenge": "abc"}'
    reply = await tell(api, source, asked, signed(asked))
    assert (reply.status, reply.body, reply.headers["content-type"][:10]) == (200, b"abc", "text/plain")
    assert (await tell(api, source, asked, {})).status == 401
    command = urlencode({"command": "/lunch", "text": "", "user_id": "U1", "trigger_id": "1.2.3"}).encode()
    for _ in range(2):
        reply = await tell(api, source, command, signed(command) | FORM)
        assert (reply.status, reply.body) == (200, b"")
    [event] = await events(api)
    assert (event["type"], event["subject"], event["data"]["command"]) == ("slack.command", "U1", "/lunch")


async def test_twilio_signs_our_address_and_is_told_to_do_nothing(mail_api: Client) -> None:
    source = await make(mail_api, "twilio", auth_token="12345")
    form = {"MessageSid": "SM1", "SmsStatus": "received", "From": "+4512345678", "Body": "STOP"}
    text = f"https://mail.example/in/{source['id']}" + "".join(name + form[name] for name in sorted(form))
    mac = hmac.digest(b"12345", text.encode(), "sha1")
    headers = {"x-twilio-signature": base64.b64encode(mac).decode(), **FORM}
    reply = await tell(mail_api, source, urlencode(form).encode(), headers)
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, "text/xml")
    assert b"<Response/>" in reply.body
    [event] = await events(mail_api)
    assert (event["type"], event["subject"], event["data"]) == (
        "twilio.message.received",
        "+4512345678",
        form,
    )


async def test_github_through_the_door(api: Client) -> None:
    source = await make(api, "github", secret="s3cret")
    body = json.dumps(
        {"ref": "refs/heads/main", "text": "x" * 2_000_000}
    ).encode()  # larger than what keys may publish
    headers = {
        "x-hub-signature-256": f"sha256={hexed(body)}",
        "x-github-event": "push",
        "x-github-delivery": "d1",
    }
    assert (await tell(api, source, body, headers)).json == {"accepted": 1, "duplicates": 0}
    assert (await tell(api, source, body, headers)).json == {"accepted": 0, "duplicates": 1}
    [event] = await events(api)
    assert (event["type"], event["source_id"]) == ("github.push", "d1")
    large = b" " * (8 * 2**20 + 1)
    assert (await tell(api, source, large, {})).status == 413


async def test_cloudevents_go_out_as_they_came(api: Client, receiver: Receiver) -> None:
    source = await make(api, "cloudevents", token="tok")
    await api.post(
        "/v1/hooks",
        {"on": ["com.bank.*"], "do": {"kind": "webhook", "url": receiver.url, "format": "cloudevents"}},
    )
    sent = {
        "specversion": "1.0",
        "type": "com.bank.withdrawal",
        "source": "/accounts/7",
        "id": "A-1",
        "time": "2026-05-04T12:30:00Z",
        "subject": "ada@example.com",
        "priority": 3,
        "data": {"amount": 200},
    }
    structured = {"content-type": "application/cloudevents+json"}
    reply = await tell(api, source, json.dumps(sent).encode(), structured, "?access_token=tok")
    assert reply.json == {"accepted": 1, "duplicates": 0}
    await api.settled()
    [got] = receiver.got
    assert got.json == sent
    assert (await tell(api, source, json.dumps(sent).encode(), structured)).status == 401
    asked = {
        "webhook-request-origin": "bank.example",
        "webhook-request-callback": "https://bank.example/ok?id=1",
    }
    hands = await api.call("OPTIONS", f"/in/{source['id']}", headers=asked | {"webhook-request-rate": "120"})
    assert (hands.headers["webhook-allowed-origin"], hands.headers["webhook-allowed-rate"]) == (
        "bank.example",
        "*",
    )


@pytest.mark.parametrize("kind", ["hmac", "standard"])
async def test_a_withdrawal_changes_the_balance_and_the_customer_gets_an_sms(
    api: Client, receiver: Receiver, kind: str
) -> None:
    """The bank's story: a signed call, a contact's balance in exact arithmetic, a text message."""
    receiver.answers = [201]
    receiver.body = b'{"sid": "SM1", "status": "queued"}'
    credentials = {"account_sid": "AC1", "auth_token": "x", "from": "+15005550006"}
    gateway = await api.post(
        "/v1/connections",
        {"name": "gateway", "kind": "twilio", "base_url": receiver.url, "credentials": credentials},
    )
    ada = {"email": "ada@example.com", "phone": "+4512345678", "attributes": {"balance": 1000}}
    assert (await api.post("/v1/contacts", ada)).status == 201
    if kind == "hmac":
        source = await make(
            api, "hmac", secret="s3cret", header="X-Bank-Signature", prefix="sha512=", algorithm="sha512",
            type="bank.withdrawal", id_field="reference", subject_field="customer.email",
        )  # fmt: skip
        body = b'{"reference": 17, "customer": {"email": "Ada@example.com"}, "amount": 199.90}'
        headers = {"x-bank-signature": f"sha512={hexed(body, algorithm='sha512')}"}
        amount = "event.data.amount"
    else:
        source = await make(api, "standard", secret=WHSEC)
        body = b'{"type": "bank.withdrawal", "subject": "ada@example.com", "data": {"amount": 199.90}}'
        headers = standard(body)
        amount = "event.data.data.amount"
    book = {
        "on": ["bank.withdrawal"],
        "if": f"{amount} > 0 && event.source == '{source['id']}'",
        "do": {
            "kind": "contact",
            "require": f"contact.attributes.balance >= {amount}",
            "set": {"balance": f"contact.attributes.balance - {amount}"},
        },
    }
    text = {
        "on": ["contact.updated"],
        "if": "event.data.changed.balance != null",
        "do": {
            "kind": "sms",
            "connection": gateway.json["id"],
            "to": "{{ contact.phone }}",
            "text": "Your balance is {{ event.data.changed.balance.to }}.",
        },
    }
    for hook in (book, text):
        assert (await api.post("/v1/hooks", hook)).status == 201
    for _ in range(2):  # the bank asks again, for it has missed our answer
        assert (await tell(api, source, body, headers)).status == 200
        await api.settled()
    found = (await api.get("/v1/contacts/ada@example.com")).json
    assert found["attributes"] == {"balance": 800.1}
    [message] = receiver.got
    form = parse_qs(message.body.decode())
    assert (form["To"], form["Body"]) == (["+4512345678"], ["Your balance is 800.1."])
    assert hashlib.sha256(await stored(api, (await events(api))[1])).digest() == hashlib.sha256(body).digest()


async def test_a_large_form_is_taken_whole(mail_api: Client) -> None:
    source = await make(mail_api, "mandrill", key="s3cret")
    report = {"event": "open", "ts": 1_790_000_000, "msg": {"email": "ada@example.com", "raw": "[" * 50_000}}
    sent = json.dumps([report | {"n": number} for number in range(3)])
    text = f"https://mail.example/in/{source['id']}mandrill_events{sent}"
    mac = base64.b64encode(hmac.digest(b"s3cret", text.encode(), "sha1")).decode()
    body = urlencode({"mandrill_events": sent}).encode()
    assert len(body) > 400_000
    reply = await tell(mail_api, source, body, {"x-mandrill-signature": mac, **FORM})
    assert reply.json == {"accepted": 3, "duplicates": 0}
    reply = await tell(mail_api, source, body + b"&a=1", {"x-mandrill-signature": mac, **FORM})
    assert reply.status == 401
