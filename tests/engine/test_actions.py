"""Slack, SMS and contacts: what they send, what they change, what they refuse."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from hookline.model import DAY, MINUTE, Connection
from hookline.storage.claiming import Wanted
from support.engine import SECRET, Engine
from support.receiver import Receiver

BALANCE = {
    "on": ["bank.withdrawal"],
    "do": {
        "kind": "contact",
        "require": "contact.attributes.balance >= event.data.amount",
        "set": {"balance": "contact.attributes.balance - event.data.amount"},
    },
}


async def attributes(engine: Engine, contact: str) -> Any:
    found = await engine.storage.contacts.get("default", contact)
    return json.loads(found.attributes)


# --- contact


async def test_a_withdrawal_updates_the_balance_exactly_and_tells_the_change(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b'{"balance": 1000.30, "name": "Ada"}')
    hook = await engine.hook(BALANCE)
    answer = await engine.publish("bank.withdrawal", b'{"amount": 0.1}', subject="Ada@Example.com")
    await engine.run()
    found = await engine.storage.contacts.get("default", ada.id)
    assert b'"balance":1000.2' in found.attributes
    (told,) = await engine.events("contact.updated")
    data = json.loads(told.data)
    assert data["changed"] == {"balance": {"from": 1000.3, "to": 1000.2}} and data["contact"] == ada.id
    (done,) = await engine.deliveries(event=answer.id)
    assert (told.cause, told.depth, done.hook) == (done.id, 1, hook.id)


async def test_what_is_required_and_does_not_hold_changes_nothing_and_is_told(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b'{"balance": 10}')
    await engine.hook(BALANCE)
    await engine.publish("bank.withdrawal", {"amount": 11}, subject="ada@example.com")
    await engine.publish("bank.withdrawal", {"amount": 1}, subject="nobody@example.com")
    await engine.run()
    assert await attributes(engine, ada.id) == {"balance": 10}
    reasons = [json.loads(event.data)["reason"] for event in await engine.events("contact.refused")]
    assert any("balance >= event.data.amount" in reason for reason in reasons)
    assert any("nobody@example.com" in reason for reason in reasons)
    assert await engine.events("contact.updated") == []


async def test_many_changes_at_once_all_count(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b'{"balance": 400}')
    await engine.hook(BALANCE)
    await asyncio.gather(
        *(engine.publish("bank.withdrawal", {"amount": 3}, subject="ada@example.com") for _ in range(150))
    )
    await engine.run()
    assert await attributes(engine, ada.id) == {"balance": 1}
    assert len(await engine.events("contact.updated")) == 133
    assert len(await engine.events("contact.refused")) == 17


async def test_an_expression_that_fails_changes_nothing_and_says_why(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b"{}")
    await engine.hook({"on": ["a.b"], "do": {"kind": "contact", "set": {"x": "contact.attributes.nope + 1"}}})
    await engine.publish("a.b", subject="ada@example.com")
    await engine.run()
    (done,) = await engine.deliveries()
    (attempt,) = await engine.attempts(done)
    assert (done.state, done.error) == ("failed", "template") and "contact.attributes.nope" in attempt.detail
    assert await attributes(engine, ada.id) == {}


async def test_true_one_and_one_point_zero_are_different_values(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b'{"flag": 1}')
    await engine.hook({"on": ["a"], "do": {"kind": "contact", "set": {"flag": "true"}}})
    await engine.publish("a", subject="ada@example.com")
    await engine.run()
    assert (await attributes(engine, ada.id))["flag"] is True


async def test_attributes_do_not_grow_beyond_what_the_api_allows(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com")
    await engine.hook({"on": ["a"], "do": {"kind": "contact", "set": {"big": "event.data.s + event.data.s"}}})
    await engine.publish("a", {"s": "x" * 40_000}, subject="ada@example.com")
    await engine.run()
    assert [(d.state, d.error) for d in await engine.deliveries()] == [("failed", "template")]
    assert await attributes(engine, ada.id) == {}


async def test_a_nul_in_an_event_harms_nobody(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(
        {"on": ["a"], "do": {"kind": "contact", "contact": "{{ event.data.nul }}", "set": {"x": "1"}}}
    )
    await engine.hook({"on": ["a"], "if": "contact == null", "do": {"kind": "webhook", "url": receiver.url}})
    for _ in range(3):
        await engine.publish("a", {"nul": "\0", "contact": "a\0b"})
    await engine.run()
    assert {d.state for d in await engine.deliveries()} == {"succeeded"} and len(receiver.got) == 3
    assert len(await engine.events("contact.refused")) == 3


async def test_tags_and_lists_change_once_each(engine: Engine) -> None:
    readers = await engine.new_list("readers")
    ada = await engine.contact("ada@example.com", readers.id, tags=("old",))
    vips = await engine.new_list("vips")
    change = {"add_tags": ["vip"], "remove_tags": ["old"], "subscribe": ["vips"], "unsubscribe": [readers.id]}
    await engine.hook({"on": ["a.b"], "do": {"kind": "contact", "contact": "{{ event.data.who }}"} | change})
    for _ in range(2):
        await engine.publish("a.b", {"who": ada.id})
    await engine.run()
    found = await engine.storage.contacts.get("default", ada.id)
    assert found.tags == ("vip",)
    lists = await engine.storage.contacts.lists_of("default", ada.id)
    assert lists == {readers.id: "unsubscribed", vips.id: "subscribed"}
    assert len(await engine.events("contact.updated")) == 1
    assert len(await engine.events("contact.subscribed")) == 1
    assert len(await engine.events("contact.unsubscribed")) == 1


# --- loops


async def test_a_hook_does_not_see_what_its_own_deliveries_caused(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b'{"n": 0}')
    count = {"kind": "contact", "set": {"n": "contact.attributes.n + 1"}}
    await engine.hook({"on": ["go", "contact.updated"], "do": count})
    await engine.publish("go", subject="ada@example.com")
    await engine.run()
    assert await attributes(engine, ada.id) == {"n": 1}
    (told,) = await engine.events("contact.updated")
    assert [verdict.verdict for verdict in told.verdicts] == ["loop"]


async def test_two_hooks_that_wake_each_other_end_at_a_depth_of_eight(engine: Engine) -> None:
    ada = await engine.contact("ada@example.com", attributes=b'{"n": 0}')
    count = {"kind": "contact", "set": {"n": "contact.attributes.n + 1"}}
    await engine.hook({"on": ["go", "contact.updated"], "do": count})
    await engine.hook({"on": ["contact.updated"], "do": count})
    await engine.publish("go", subject="ada@example.com")
    await engine.run()
    assert await attributes(engine, ada.id) == {"n": 8}
    last = (await engine.events("contact.updated"))[0]
    assert last.depth == 8 and {verdict.verdict for verdict in last.verdicts} == {"loop"}


# --- Slack


async def test_slack_gets_a_readable_line(engine: Engine, receiver: Receiver) -> None:
    receiver.body, receiver.answers = b"ok", [200]
    await engine.hook(
        {"on": ["order.paid"], "do": {"kind": "slack", "url": receiver.url + "/services/T/B/secret"}}
    )
    await engine.publish("order.paid", subject="<!channel> & co")
    await engine.run()
    assert receiver.got[0].json == {"text": "order.paid for &lt;!channel&gt; &amp; co"}
    (done,) = await engine.deliveries()
    (attempt,) = await engine.attempts(done)
    assert done.state == "succeeded" and attempt.request is not None and b"secret" not in attempt.request


async def test_slack_text_is_a_template_and_names_cannot_call_everybody(
    engine: Engine, receiver: Receiver
) -> None:
    text = "New order from *{{ event.data.name }}*: {{ event.data.total|money }} €"
    await engine.hook({"on": ["order.paid"], "do": {"kind": "slack", "url": receiver.url, "text": text}})
    await engine.publish("order.paid", {"name": "<!here> O'Neil", "total": 12.5})
    await engine.run()
    assert receiver.got[0].json == {"text": "New order from *&lt;!here&gt; O'Neil*: 12.50 €"}


async def test_slack_blocks_are_filled_text_by_text_and_events_cannot_add_any(
    engine: Engine, receiver: Receiver
) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "Hi {{ event.data.name }}"}}]
    await engine.hook({"on": ["a"], "do": {"kind": "slack", "url": receiver.url, "blocks": blocks}})
    names = ['x"}},{"type":"image"', "\\u003c!channel\\u003e", 'Ada "The" L\n\\']
    for name in names:
        await engine.publish("a", {"name": name})
    await engine.run()
    texts = {json.dumps(got.json["blocks"]) for got in receiver.got}
    wanted = [[{"type": "section", "text": {"type": "mrkdwn", "text": f"Hi {name}"}}] for name in names]
    assert texts == {json.dumps(one) for one in wanted}


async def test_slack_saying_no_is_a_failure(engine: Engine, receiver: Receiver) -> None:
    receiver.body, receiver.answers = b'{"ok": false, "error": "ratelimited"}', [200]
    await engine.hook({"on": ["a"], "do": {"kind": "slack", "url": receiver.url}})
    await engine.publish("a")
    await engine.run()
    assert [(d.state, d.error) for d in await engine.deliveries()] == [("waiting", "provider")]
    receiver.body, receiver.answers = b"no_service", [404]
    await engine.publish("a")
    await engine.run()
    assert {(d.state, d.error) for d in await engine.deliveries()} == {
        ("waiting", "provider"),
        ("failed", "provider"),
    }


async def test_slack_by_its_api_with_the_connections_token(engine: Engine, receiver: Receiver) -> None:
    connection = Connection(
        tenant="default", id="con_s", name="bot", kind="slack", base_url=receiver.url + "/api/", created_at=0,
        credentials={"token": "xoxb-in-clear"},
    )  # fmt: skip
    await engine.storage.access.put_connection(connection)
    do = {"kind": "slack", "connection": "con_s", "channel": "#orders", "text": "Order {{ event.data.no }}"}
    await engine.hook({"on": ["a"], "do": do})
    answers = [
        (200, '{"ok": true}', "succeeded"),
        (200, '{"ok": false, "error": "channel_not_found"}', "failed"),
        (200, '{"ok": false, "error": "internal_error"}', "waiting"),
        (429, "{}", "waiting"),
    ]
    for status, body, state in answers:
        receiver.answers, receiver.body = [status], body.encode()
        answer = await engine.publish("a", {"no": 17})
        await engine.run()
        (done,) = await engine.deliveries(event=answer.id)
        (attempt,) = await engine.attempts(done)
        assert done.state == state, body
        assert attempt.request is not None and b"in-clear" not in attempt.request
    assert receiver.got[0].path == "/api/chat.postMessage"
    assert receiver.got[0].json == {"channel": "#orders", "text": "Order 17"}
    assert {got.headers["authorization"] for got in receiver.got} == {"Bearer xoxb-in-clear"}


# --- webhooks with a connection


async def test_a_webhook_brings_its_connections_credentials_and_takes_them_nowhere_else(
    engine: Engine, receiver: Receiver
) -> None:
    connection = Connection(
        tenant="default", id="con_h", name="api", kind="http", base_url=receiver.url + "/v2/", created_at=0,
        credentials={"header": "X-Api-Key", "value": "in-clear"},
    )  # fmt: skip
    put = engine.storage.access.put_connection
    await put(connection)
    headers = {"X-API-Key": "mine", "x-shop": "1"}
    do = {"kind": "webhook", "connection": "con_h", "url": "/orders?a=1", "headers": headers}
    await engine.hook({"on": ["a"], "do": do})
    await engine.hook({"on": ["a"], "do": do | {"url": receiver.url + "/elsewhere", "headers": {}}})
    await engine.publish("a")
    await engine.run()
    assert sorted(got.path for got in receiver.got) == ["/elsewhere", "/v2/orders?a=1"]
    assert {got.headers["x-api-key"] for got in receiver.got} == {"in-clear"}
    for done in await engine.deliveries():
        (attempt,) = await engine.attempts(done)
        assert attempt.request is not None and b"in-clear" not in attempt.request
    assert receiver.verified(SECRET)

    await put(replace(connection, credentials={"token": "t2"}, base_url="http://127.0.0.1:9/v2"))
    await engine.publish("a")
    await engine.run()
    (moved,) = await engine.deliveries(state="failed")
    (attempt,) = await engine.attempts(moved)
    assert "127.0.0.1:9" in attempt.detail and len(receiver.got) == 2
    await put(replace(connection, credentials={"token": "t2"}))
    engine.clock.advance(MINUTE)
    await engine.run()
    assert receiver.got[2].headers["authorization"] == "Bearer t2", "what waits has the newest"
    assert await engine.storage.access.delete_connection("default", "con_h")
    answer = await engine.publish("a")
    await engine.run()
    gone = await engine.deliveries(event=answer.id)
    assert {(d.state, d.error) for d in gone} == {("failed", "provider")}


# --- SMS


async def gateway(engine: Engine, receiver: Receiver) -> dict[str, Any]:
    connection = Connection(
        tenant="default", id="con_a", name="gateway", kind="twilio", base_url=receiver.url, created_at=0,
        credentials={"account_sid": "AC1", "auth_token": "t0ken", "from": "+4512345678"},
    )  # fmt: skip
    await engine.storage.access.put_connection(connection)
    text = "{{ event.data.amount|money }} taken, {{ contact.attributes.balance|money }} left"
    return {"kind": "sms", "connection": "con_a", "to": "{{ contact.phone }}", "text": text}


async def test_an_sms_goes_out_as_twilio_wants_it(engine: Engine, receiver: Receiver) -> None:
    await engine.contact("ada@example.com", phone="+4511112222", attributes=b'{"balance": 7}')
    await engine.hook({"on": ["bank.*"], "do": await gateway(engine, receiver)})
    receiver.answers = [201]
    await engine.publish("bank.withdrawal", {"amount": 200}, subject="ada@example.com")
    await engine.run()
    got = receiver.got[0]
    assert got.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert got.headers["authorization"] == "Basic " + b64encode(b"AC1:t0ken").decode()
    form = {"To": ["+4511112222"], "From": ["+4512345678"], "Body": ["200.00 taken, 7.00 left"]}
    assert parse_qs(got.body.decode()) == form
    (done,) = await engine.deliveries()
    (attempt,) = await engine.attempts(done)
    assert (done.state, done.address) == ("succeeded", "+4511112222")
    assert attempt.request is not None and b"t0ken" not in attempt.request and b"Basic" not in attempt.request


@pytest.mark.parametrize(
    ("status", "state", "error"),
    [
        (429, "waiting", "rate_limited"),
        (503, "waiting", "http_status"),
        (500, "failed", "provider"),
        (400, "failed", "provider"),
    ],
)
async def test_an_sms_is_tried_again_only_if_it_was_surely_not_sent(
    engine: Engine, receiver: Receiver, status: int, state: str, error: str
) -> None:
    await engine.contact("ada@example.com", phone="+4511112222")
    await engine.hook({"on": ["go"], "do": await gateway(engine, receiver)})
    receiver.answers, receiver.body = [status], b'{"code": 21211, "message": "Invalid number"}'
    await engine.publish("go", {"amount": 1}, subject="+45 11 11 22 22")
    await engine.run()
    (done,) = await engine.deliveries()
    assert (done.state, done.error) == (state, error)
    if status == 400:
        assert "21211" in (await engine.attempts(done))[0].detail


async def test_an_sms_to_no_number_fails_with_the_reason(engine: Engine, receiver: Receiver) -> None:
    await engine.hook({"on": ["go"], "do": await gateway(engine, receiver)})
    await engine.publish("go", {"amount": 1}, subject="nobody@example.com")
    await engine.run()
    (done,) = await engine.deliveries()
    assert (done.state, done.error, receiver.got) == ("failed", "template", [])


async def test_the_bank_story_ends_in_a_text_with_the_details_of_its_cause(
    engine: Engine, receiver: Receiver
) -> None:
    await engine.contact("ada@example.com", phone="+4511112222", attributes=b'{"balance": 1000}')
    await engine.hook(BALANCE)
    text = (
        "{{ cause.data.amount }} at {{ cause.data.shop }}: {{ event.data.changed.balance.from }}"
        " -> {{ contact.attributes.balance }}"
    )
    sms = await gateway(engine, receiver) | {"text": text}
    await engine.hook({"on": ["contact.updated"], "if": "has(event.data.changed.balance)", "do": sms})
    await engine.publish("bank.withdrawal", {"amount": 200, "shop": "Ada's"}, subject="ada@example.com")
    await engine.run()
    assert parse_qs(receiver.got[0].body.decode())["Body"] == ["200 at Ada's: 1000 -> 800"]


async def test_a_text_in_doubt_is_not_sent_twice_after_a_crash(engine: Engine, receiver: Receiver) -> None:
    await engine.contact("ada@example.com", phone="+4511112222")
    await engine.hook({"on": ["go"], "do": await gateway(engine, receiver)})
    await engine.publish("go", {"amount": 1}, subject="ada@example.com")
    (due,) = (await engine.storage.deliveries.due(engine.clock.now())).lanes
    claimed = await engine.storage.deliveries.claim(
        [Wanted(tenant="default", lane=due.lane, firsts=1)], "prc_dead", engine.clock.now()
    )
    assert len(claimed.work) == 1, "claimed by a commit of its own before the act"
    await engine.dispatcher.take_over(-DAY)
    engine.clock.advance(60 * MINUTE)
    await engine.run()
    (done,) = await engine.deliveries()
    assert (done.state, done.error, receiver.got) == ("failed", "crashed", [])
