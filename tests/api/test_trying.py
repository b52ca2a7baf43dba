"""Trying a hook now, saved or not."""

from __future__ import annotations

from typing import Any

import pytest

from hookline.rules.catalogue import catalogue
from support.client import Client
from support.mailserver import MailServer
from support.receiver import Receiver


async def untouched(api: Client) -> None:
    """Nothing was stored by trying."""
    assert (await api.get("/v1/deliveries")).json["data"] == []
    assert (await api.get("/v1/events")).json["data"] == []


async def test_a_saved_hook(api: Client, receiver: Receiver) -> None:
    receiver.body = b"thank you"
    limit = {"count": 1, "per": "hook"}
    hook = await api.hook(receiver.url, limit=limit, enabled=False, **{"if": "false"})
    for _ in range(2):
        reply = await api.post(
            f"/v1/hooks/{hook['id']}/test", {"event": {"type": "order.paid", "data": {"a": 1}}}
        )
        assert reply.status == 200
    shown = reply.json
    assert (shown["ok"], shown["outcome"], shown["error"], shown["status"]) == (True, "ok", None, 204)
    assert shown["request"]["url"] == receiver.url
    assert shown["response"]["status"] == 204
    bodies = receiver.verified(hook["secret"])
    assert [(body["type"], body["data"]) for body in bodies] == [("order.paid", {"a": 1})] * 2
    await untouched(api)


async def test_what_goes_wrong_is_the_outcome(api: Client, receiver: Receiver) -> None:
    receiver.answers = [500]
    receiver.body = b"no, thank you"
    hook = await api.hook(receiver.url)
    shown = (await api.post(f"/v1/hooks/{hook['id']}/test", {})).json
    assert (shown["ok"], shown["error"], shown["status"]) == (False, "http_status", 500)
    assert "500" in shown["detail"]
    assert shown["response"]["body"] == "no, thank you"
    receiver.answers = [410]
    await api.post(f"/v1/hooks/{hook['id']}/test", {})
    assert (await api.get(f"/v1/hooks/{hook['id']}")).json["enabled"]
    await untouched(api)


async def test_a_stored_event(api: Client, receiver: Receiver) -> None:
    event = await api.publish(data={"total": 5})
    hook = await api.hook(receiver.url)
    assert (await api.post(f"/v1/hooks/{hook['id']}/test", {"event_id": event})).json["ok"]
    assert (receiver.got[0].json["id"], receiver.got[0].json["data"]) == (event, {"total": 5})


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [("email.clicked", "email.clicked"), ("email.*", "email.sent"), ("a.*", "a.test"), ("a", "a")],
)
async def test_without_an_event_it_is_an_example(
    api: Client, receiver: Receiver, pattern: str, kind: str
) -> None:
    hook = await api.hook(receiver.url, on=[pattern])
    assert (await api.post(f"/v1/hooks/{hook['id']}/test", {})).json["ok"]
    body = receiver.got[0].json
    assert body["type"] == kind
    known = {one.name: one.example["data"] for one in catalogue()}
    assert body["data"] == known.get(kind, {})


async def test_to_somewhere_else(api: Client, receiver: Receiver) -> None:
    hook = await api.hook("https://shop.example/hooks")
    reply = await api.post(f"/v1/hooks/{hook['id']}/test", {"to": receiver.url + "/mine"})
    assert reply.json["ok"]
    assert receiver.got[0].path == "/mine"
    assert (await api.get(f"/v1/hooks/{hook['id']}")).json["do"]["url"] == "https://shop.example/hooks"


async def test_a_hook_that_is_not_saved(api: Client, receiver: Receiver) -> None:
    hook = {"on": ["email.opened"], "do": {"kind": "slack", "url": receiver.url + "/services/s3cret"}}
    reply = await api.post("/v1/hooks/test", {"hook": hook})
    assert reply.json["ok"]
    assert b"s3cret" not in reply.body
    assert receiver.got[0].json == {"text": "ada@example.com opened a mail"}
    assert await api.stored() == (0, 0)


async def test_a_mail_goes_to_whom_it_should(mail_api: Client, mailserver: MailServer) -> None:
    do = {
        "kind": "email",
        "to": "{{ event.subject }}",
        "from": "shop@example.com",
        "subject": "Paid",
        "text": "Hi",
    }
    body = {"hook": {"on": ["order.paid"], "do": do}, "to": "ada@example.com"}
    assert (await mail_api.post("/v1/hooks/test", body)).json["ok"]
    [mail] = mailserver.to("ada@example.com")
    assert mail["subject"] == "Paid"
    await untouched(mail_api)


async def test_a_contact_is_not_changed(api: Client) -> None:
    contact = {"email": "ada@example.com", "attributes": {"balance": 10}}
    await api.post("/v1/contacts", contact)
    hook = {
        "on": ["order.paid"],
        "do": {"kind": "contact", "set": {"balance": "contact.attributes.balance - 1"}},
    }
    event = {"type": "order.paid", "subject": "ada@example.com", "data": {}}
    reply = await api.post("/v1/hooks/test", {"hook": hook, "event": event})
    assert reply.json["ok"], reply.json
    assert (await api.get("/v1/contacts/ada@example.com")).json["attributes"] == {"balance": 10}
    refused = await api.post("/v1/hooks/test", {"hook": hook, "event": event, "to": "bob@example.com"})
    assert list(refused.faults) == ["#/to"]


WEBHOOK = {"on": ["a"], "do": {"kind": "webhook", "url": "https://shop.example/"}}
EMAIL = {"kind": "email", "to": "a@b.example", "from": "a@b.example", "subject": "x", "text": "y"}


WRONG: tuple[tuple[Any, str], ...] = (
    ({}, "#/hook"),
    ({"hook": {"on": ["a"]}}, "#/hook/do"),
    ({"hook": WEBHOOK | {"do": {"kind": "webhook", "url": "x"}}}, "#/hook/do/url"),
    ({"hook": WEBHOOK | {"if": "("}}, "#/hook/if"),
    ({"hook": WEBHOOK | {"on": ["email.opend"]}}, "#/hook/on/0"),
    ({"hook": WEBHOOK, "to": "http://10.0.0.1/"}, "#/to"),
    ({"hook": WEBHOOK | {"do": EMAIL}, "to": "nobody"}, "#/to"),
    ({"hook": WEBHOOK, "event_id": "evt_none"}, "#/event_id"),
    ({"hook": WEBHOOK, "event_id": "evt_none", "event": {"type": "a", "data": 1}}, "#/event_id"),
    ({"hook": WEBHOOK, "event": {"type": "a"}}, "#/event/data"),
    ({"hook": WEBHOOK, "event": {"type": "a b", "data": 1}}, "#/event/type"),
    ({"hook": WEBHOOK, "event": {"type": "a", "time": "x", "data": 1}}, "#/event/time"),
)


async def test_what_is_wrong_is_named(api: Client) -> None:
    for body, pointer in WRONG:
        reply = await api.post("/v1/hooks/test", body)
        assert (reply.status, list(reply.faults)) == (422, [pointer]), body
