"""`/v1/hooks`: made, shown, changed, switched, deleted."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from support.client import Client
from support.receiver import Receiver

URL = "https://shop.example/hooks"
WEBHOOK = {"kind": "webhook", "url": URL}
SLACK = {"kind": "slack", "url": "https://slack.example/services/T0/B0/secret"}
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


async def test_a_hook_is_made_and_shown(api: Client) -> None:
    reply = await api.post(
        "/v1/hooks",
        {
            "name": "orders",
            "on": ["order.*", "email.opened"],
            "if": "event.data.total > 100",
            "limit": {"count": 1, "per": "subject", "within": "24h"},
            "do": WEBHOOK | {"headers": {"x-shop": "vienna"}},
            "retry": {"schedule": ["1s"], "timeout": "5s"},
            "metadata": {"team": "shop"},
        },
    )
    assert reply.status == 201
    made = reply.json
    secret = made.pop("secret")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64
    shown = (await api.get(f"/v1/hooks/{made['id']}")).json
    assert shown == made
    assert shown == {
        "id": made["id"],
        "name": "orders",
        "on": ["order.*", "email.opened"],
        "if": "event.data.total > 100",
        "limit": {"count": 1, "per": "subject", "within": "24h"},
        "batch": None,
        "do": WEBHOOK
        | {"format": "standard", "headers": {"x-shop": "…"}, "template": None}
        | {"signatures": ["v1"], "ca": None, "connection": None},
        "retry": {"schedule": ["1s"], "timeout": "5s"},
        "rate": None,
        "concurrency": None,
        "order": None,
        "enabled": True,
        "disabled_reason": None,
        "health": {"breaker": "closed", "failures": 0, "until": None},
        "metadata": {"team": "shop"},
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert (await api.get(f"/v1/hooks/{made['id']}/secret")).json == {"secret": secret}
    assert (await api.get("/v1/hooks")).json == {"data": [shown], "next": None}


async def test_bring_your_own_secret(api: Client, receiver: Receiver) -> None:
    made = await api.hook(receiver.url, secret=SECRET)
    assert made["secret"] == SECRET
    await api.publish()
    await api.settled()
    [body] = receiver.verified(SECRET)
    assert body["type"] == "order.paid"


async def test_hooks_come_newest_first_in_pages(api: Client) -> None:
    made = [(await api.hook(name=str(place)))["id"] for place in range(5)]
    first = (await api.get("/v1/hooks?limit=2")).json
    second = (await api.get(f"/v1/hooks?limit=2&after={first['next']}")).json
    third = (await api.get(f"/v1/hooks?limit=2&after={second['next']}")).json
    pages = [[hook["id"] for hook in page["data"]] for page in (first, second, third)]
    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]
    assert third["next"] is None


WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"on": None}, "#/on", "expected array, got null"),
    ({"on": []}, "#/on", "length >= 1"),
    ({"on": ["a", 5]}, "#/on/1", "expected str, got int"),
    ({"on": ["order.*", "email.opend"]}, "#/on/1", "email.opened"),
    ({"on": ["email.opened.*"]}, "#/on/0", "no event type"),
    ({"on": [""]}, "#/on/0", "no event type"),
    ({"on": ["*.paid"]}, "#/on/0", "no event type"),
    ({"on": ["a b"]}, "#/on/0", "no event type"),
    ({"on": ["pool.*"]}, "#/on/0", "no event type"),
    ({"limit": {"count": 1, "per": "hook", "within": "0s"}}, "#/limit/within", "1s"),
    ({"limit": {"count": 1, "per": "hook", "within": "999ms"}}, "#/limit/within", "1s"),
    ({"do": None}, "#/do", "got null"),
    ({"do": {"url": URL}}, "#/do/kind", "required: one of webhook, slack"),
    ({"do": {"kind": "fax"}}, "#/do/kind", "one of webhook, slack, email, sms, contact; not 'fax'"),
    ({"do": {"kind": 5}}, "#/do/kind", "expected str: one of webhook, slack"),
    ({"limit": {"count": 1, "per": "day"}}, "#/limit/per", "one of contact, hook, subject; not 'day'"),
    ({"order": "time"}, "#/order", "must be subject; not 'time'"),
    ({"do": {"kind": "webhook"}}, "#/do/url", "required"),
    ({"do": WEBHOOK | {"url": 5}}, "#/do/url", "expected str, got int"),
    ({"do": WEBHOOK | {"url": "not a url"}}, "#/do/url", "space"),
    ({"do": WEBHOOK | {"url": "shop.example"}}, "#/do/url", "http"),
    ({"do": WEBHOOK | {"url": "ftp://shop.example/"}}, "#/do/url", "http"),
    ({"do": WEBHOOK | {"url": "http://10.0.0.1/"}}, "#/do/url", "private"),
    ({"do": WEBHOOK | {"url": "http://169.254.169.254/"}}, "#/do/url", "link-local"),
    ({"do": WEBHOOK | {"methd": "PUT"}}, "#/do/methd", "unknown field"),
    ({"do": WEBHOOK | {"headers": {"Host": "x"}}}, "#/do/headers", "Host"),
    ({"do": WEBHOOK | {"headers": {"a": 1}}}, "#/do/headers", "expected str, got int"),
    ({"do": WEBHOOK | {"headers": {"authorization": "…"}}}, "#/do/headers", "not shown"),
    ({"do": WEBHOOK | {"format": "x" * 99}}, "#/do/format", "one of cloudevents, mailjet"),
    ({"do": WEBHOOK | {"signatures": ["v1", "v2"]}}, "#/do/signatures/1", "one of v1, v1a; not 'v2'"),
    ({"do": WEBHOOK | {"connection": "con_x"}}, "#/do/connection", "no connection con_x"),
    ({"do": WEBHOOK | {"url": "/relative"}}, "#/do/url", "http"),
    ({"do": {"kind": "slack", "connection": "con_x", "channel": "#a"}}, "#/do/connection", "no connection"),
    ({"do": {"kind": "slack", "connection": "con_x"}}, "#/do/connection", "no connection"),
    ({"do": {"kind": "slack"}}, "#/do/url", "connection and a channel"),
    ({"do": SLACK | {"channel": "#a"}}, "#/do/channel", "needs a connection"),
    ({"do": SLACK | {"connection": "con_x"}}, "#/do/connection", "no connection"),
    ({"do": WEBHOOK | {"signatures": []}}, "#/do/signatures", "length >= 1"),
    ({"do": WEBHOOK | {"signatures": ["v2"]}}, "#/do/signatures/0", "v2"),
    ({"do": WEBHOOK | {"signatures": ["v1", "v1"]}}, "#/do/signatures", "once"),
    ({"do": WEBHOOK | {"ca": "MIIB"}}, "#/do/ca", "BEGIN CERTIFICATE"),
    ({"do": WEBHOOK | {"ca": ""}}, "#/do/ca", "BEGIN CERTIFICATE"),
    ({"do": WEBHOOK | {"ca": "x" * 65_537}}, "#/do/ca", "64 KiB"),
    ({"do": WEBHOOK | {"ca": "-----BEGIN PRIVATE KEY-----"}}, "#/do/ca", "keep the key"),
    ({"do": WEBHOOK | {"ca": "x", "url": "http://shop.example/"}}, "#/do/ca", "https"),
    ({"do": WEBHOOK | {"format": "template"}}, "#/do/template", "template"),
    ({"do": WEBHOOK | {"format": "template", "template": "{{ foo }}"}}, "#/do/template", "foo"),
    ({"do": SLACK | {"url": "https://slack.example/…"}}, "#/do/url", "without its secret"),
    ({"do": SLACK | {"text": "{{ event.subject"}}, "#/do/text", ""),
    (
        {"do": {"kind": "email", "to": "ada@example.com", "from": "nobody", "subject": "a", "text": "b"}},
        "#/do/from",
        "nobody",
    ),
    (
        {"do": {"kind": "email", "to": "a@b.example", "from": "c@d.example", "subject": "a\nb", "text": "b"}},
        "#/do/subject",
        "one line",
    ),
    (
        {"do": {"kind": "sms", "connection": "con_x", "to": "+43123456789", "text": "a"}},
        "#/do/connection",
        "con_x",
    ),
    ({"do": {"kind": "contact", "subscribe": ["a"]}}, "#/do/subscribe/0", "no list a"),
    ({"do": {"kind": "contact", "unsubscribe": ["b"]}}, "#/do/unsubscribe/0", "no list b"),
    ({"if": "event.data.total >"}, "#/if", ""),
    ({"if": "order.total > 1"}, "#/if", "order"),
    ({"if": 5}, "#/if", "expected str | null, got int"),
    ({"limit": {"count": 0, "per": "hook"}}, "#/limit/count", ">= 1"),
    ({"limit": {"count": 1}}, "#/limit/per", "required"),
    ({"limit": {"count": 1, "per": "country"}}, "#/limit/per", "country"),
    ({"limit": {"count": 1, "per": "hook", "within": "a week"}}, "#/limit/within", "not a duration"),
    ({"retry": {"schedule": ["5s", "soon"]}}, "#/retry/schedule/1", "not a duration"),
    ({"retry": {"timeout": "5m"}}, "#/retry/timeout", "60s"),
    ({"rate": {"count": 0, "per": "1s"}}, "#/rate/count", ">= 1"),
    ({"rate": {"count": 10}}, "#/rate/per", "required"),
    ({"rate": {"count": 10, "per": "soon"}}, "#/rate/per", "not a duration"),
    ({"rate": {"count": 10, "per": "50ms"}}, "#/rate/per", "100ms"),
    ({"rate": "10/s"}, "#/rate", "object"),
    ({"concurrency": 0}, "#/concurrency", ">= 1"),
    ({"concurrency": 1001}, "#/concurrency", "<= 1000"),
    ({"order": "time"}, "#/order", "time"),
    ({"name": "x" * 201}, "#/name", "length <= 200"),
    ({"name": "a\0b"}, "#/name", "NUL"),
    ({"metadata": {"a\0b": "x"}}, "#/metadata", "NUL"),
    ({"metadata": {"team": 5}}, "#/metadata", "expected str, got int"),
    ({"enabled": "yes"}, "#/enabled", "expected bool, got str"),
    ({"secret": "whsec_short"}, "#/secret", "base64"),
    ({"secret": "s3cret"}, "#/secret", "whsec_"),
    ({"secret": SECRET, "do": SLACK}, "#/secret", "signed"),
    ({"naem": "orders"}, "#/naem", "unknown field"),
    ({"a/b~c": 1}, "#/a~1b~0c", "unknown field"),
)


async def test_what_is_wrong_is_named(api: Client) -> None:
    for change, pointer, says in WRONG:
        reply = await api.post("/v1/hooks", {"on": ["order.paid"], "do": WEBHOOK} | change)
        assert reply.status == 422, (change, reply.body)
        assert list(reply.faults) == [pointer], change
        assert says in reply.faults[pointer], change
        assert reply.headers["content-type"] == "application/problem+json"
        assert (await api.stored())[1] == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"wait": "5m"}, "#/wait"),
        ({"unless": {"on": ["email.opened"], "same": "message"}}, "#/unless"),
    ],
)
async def test_what_comes_later_is_refused(api: Client, change: dict[str, Any], pointer: str) -> None:
    written = {"on": ["order.paid"], "do": WEBHOOK} | change
    reply = await api.post("/v1/hooks", written)
    assert (reply.status, reply.faults) == (422, {pointer: "not available yet"})
    tried = await api.post("/v1/hooks/test", {"hook": written})
    assert (tried.status, tried.faults) == (422, {pointer.replace("#", "#/hook"): "not available yet"})
    made = await api.hook()
    patched = await api.patch(f"/v1/hooks/{made['id']}", change)
    assert patched.status == 422
    assert (await api.stored())[1] == 1


@pytest.mark.parametrize("body", [b"", b"{", b'{"on": [}', b"\xff", b"[" * 100_000])
async def test_broken_json(api: Client, body: bytes) -> None:
    reply = await api.post("/v1/hooks", body)
    assert reply.status == 400
    assert (await api.stored())[1] == 0


async def test_deep_json(api: Client) -> None:
    blocks: Any = []
    for _ in range(100):
        blocks = [blocks]
    reply = await api.post("/v1/hooks", {"on": ["a"], "do": SLACK | {"blocks": blocks}})
    assert reply.status == 422
    assert "deeper" in reply.json["detail"]


async def test_a_body_over_its_limit(api: Client) -> None:
    reply = await api.post("/v1/hooks", {"on": ["a"], "do": WEBHOOK, "name": "x" * 2**20})
    assert reply.status == 413
    assert reply.headers["content-type"] == "application/problem+json"


async def test_another_content_type(api: Client) -> None:
    reply = await api.post(
        "/v1/hooks", b"on=a", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert reply.status == 415


async def test_a_patch_changes_what_it_names(api: Client, receiver: Receiver) -> None:
    made = await api.hook(metadata={"a": "1", "b": "2"}, **{"if": "false"})
    reply = await api.patch(
        f"/v1/hooks/{made['id']}",
        {"name": "new", "if": None, "metadata": {"a": None, "c": "3"}, "do": {"url": receiver.url}},
    )
    assert reply.status == 200
    same = {"id", "on", "retry", "created_at", "enabled"}
    assert {name: reply.json[name] for name in same} == {name: made[name] for name in same}
    assert (reply.json["name"], reply.json["if"]) == ("new", None)
    assert reply.json["metadata"] == {"b": "2", "c": "3"}
    assert reply.json["do"]["url"] == receiver.url
    await api.publish()
    await api.settled()
    assert len(receiver.verified(made["secret"])) == 1


async def test_a_patch_can_bring_another_secret(api: Client) -> None:
    made = await api.hook()
    assert "secret" not in (await api.patch(f"/v1/hooks/{made['id']}", {"secret": SECRET})).json
    assert (await api.get(f"/v1/hooks/{made['id']}/secret")).json == {"secret": SECRET}
    refused = await api.patch(f"/v1/hooks/{made['id']}", {"secret": None})
    assert list(refused.faults) == ["#/secret"]


WRONG_PATCHES: tuple[tuple[Any, str], ...] = (
    ({"do": {"url": "x"}}, "#/do/url"),
    ({"on": None}, "#/on"),
    ({"if": "("}, "#/if"),
    ({"id": "hook_x"}, "#/id"),
    ({"do": {"kind": "slack", "format": "standard"}}, "#/do/format"),
    ([], "#"),
)


async def test_a_wrong_patch_changes_nothing(api: Client) -> None:
    for patch, pointer in WRONG_PATCHES:
        made = await api.hook(do=WEBHOOK | {"format": "cloudevents"})
        reply = await api.patch(f"/v1/hooks/{made['id']}", patch)
        assert (reply.status, list(reply.faults)) == (422, [pointer])
        secret = made.pop("secret")
        assert (await api.get(f"/v1/hooks/{made['id']}")).json == made
        assert (await api.get(f"/v1/hooks/{made['id']}/secret")).json == {"secret": secret}


async def test_secrets_are_masked_and_survive_a_patch(api: Client, receiver: Receiver) -> None:
    headers = {"Authorization": "Bearer s3cret", "x-shop-token": "s3cret-too"}
    made = await api.hook(do={"kind": "webhook", "url": receiver.url, "headers": headers})
    assert made["do"]["headers"] == {"Authorization": "…", "x-shop-token": "…"}
    reply = await api.patch(f"/v1/hooks/{made['id']}", {"name": "new", "do": made["do"]})
    assert reply.status == 200
    await api.publish()
    await api.settled()
    assert receiver.got[0].headers["authorization"] == "Bearer s3cret"
    assert receiver.got[0].headers["x-shop-token"] == "s3cret-too"
    [delivery] = (await api.get("/v1/deliveries")).json["data"]
    for path in ("/v1/hooks", f"/v1/hooks/{made['id']}", f"/v1/deliveries/{delivery['id']}"):
        assert b"s3cret" not in (await api.get(path)).body


async def test_a_slack_url_is_a_secret(api: Client, receiver: Receiver) -> None:
    made = await api.hook(do={"kind": "slack", "url": receiver.url + "/services/s3cret"})
    assert made["secret"] is None
    assert made["do"]["url"] == receiver.url + "/…"
    assert (await api.get(f"/v1/hooks/{made['id']}/secret")).status == 404
    reply = await api.patch(f"/v1/hooks/{made['id']}", {"do": made["do"] | {"text": "paid"}})
    assert reply.status == 200
    await api.publish()
    await api.settled()
    assert (receiver.got[0].path, receiver.got[0].json) == ("/services/s3cret", {"text": "paid"})
    [delivery] = (await api.get("/v1/deliveries")).json["data"]
    for path in ("/v1/hooks", f"/v1/hooks/{made['id']}", f"/v1/deliveries/{delivery['id']}"):
        assert b"s3cret" not in (await api.get(path)).body


async def test_a_hook_switched_off_holds_what_it_owes(api: Client, receiver: Receiver) -> None:
    receiver.answers = [500]
    made = await api.hook(receiver.url)
    event = await api.publish()
    await api.settled()
    off = (await api.patch(f"/v1/hooks/{made['id']}", {"enabled": False})).json
    assert (off["enabled"], off["disabled_reason"]) == (False, "a user switched the hook off")
    [delivery] = (await api.get(f"/v1/deliveries?event={event}")).json["data"]
    assert (delivery["state"], delivery["next_attempt_at"]) == ("held", None)
    missed = (await api.get(f"/v1/events/{await api.publish()}")).json
    assert [one["verdict"] for one in missed["trace"]] == ["disabled"]
    renamed = (await api.patch(f"/v1/hooks/{made['id']}", {"name": "still off"})).json
    assert not renamed["enabled"]
    on = (await api.patch(f"/v1/hooks/{made['id']}", {"enabled": True})).json
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    await api.publish()
    await api.settled()
    assert len(receiver.got) == 2
    told = [event["type"] for event in (await api.get("/v1/events?type=hook.*")).json["data"]]
    assert told == ["hook.enabled", "hook.disabled"]


async def test_a_hook_that_is_gone_can_come_back(api: Client, receiver: Receiver) -> None:
    receiver.answers = [410]
    made = await api.hook(receiver.url)
    await api.publish()
    await api.settled()
    shown = (await api.get(f"/v1/hooks/{made['id']}")).json
    assert not shown["enabled"]
    assert "410" in shown["disabled_reason"]
    on = (await api.patch(f"/v1/hooks/{made['id']}", {"enabled": True})).json
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    await api.publish()
    await api.settled()
    assert len(receiver.got) == 2, "at once"


async def test_a_patch_never_wipes_that_hookline_switched_the_hook_off(api: Client) -> None:
    made = await api.hook()
    storage, now = api.app.services.storage, api.app.services.clock.now
    for place in range(20):
        assert (await api.patch(f"/v1/hooks/{made['id']}", {"enabled": True})).json["enabled"]
        reply, _ = await asyncio.gather(
            api.patch(f"/v1/hooks/{made['id']}", {"name": f"name {place}"}),
            storage.hooks.hold("default", made["id"], "gone", now()),
        )
        assert reply.status == 200
        shown = (await api.get(f"/v1/hooks/{made['id']}")).json
        assert (shown["disabled_reason"], shown["name"]) == ("gone", f"name {place}")


async def test_a_hook_can_begin_switched_off(api: Client) -> None:
    made = await api.hook(enabled=False)
    assert not made["enabled"]
    reply = await api.post("/v1/events", {"type": "a", "data": 1})
    assert reply.json["deliveries"] == 0


async def test_what_is_held_goes_with_its_hook(api: Client, receiver: Receiver) -> None:
    receiver.answers = [500]
    made = await api.hook(receiver.url)
    event = await api.publish()
    await api.settled()
    await api.patch(f"/v1/hooks/{made['id']}", {"enabled": False})
    assert (await api.call("DELETE", f"/v1/hooks/{made['id']}")).status == 204
    [delivery] = (await api.get(f"/v1/deliveries?event={event}")).json["data"]
    assert (delivery["state"], delivery["error"]) == ("cancelled", "cancelled")


async def test_a_deleted_hook_owes_nothing(api: Client, receiver: Receiver) -> None:
    receiver.answers = [500]
    made = await api.hook(receiver.url)
    event = await api.publish()
    await api.settled()
    assert (await api.call("DELETE", f"/v1/hooks/{made['id']}")).status == 204
    [delivery] = (await api.get(f"/v1/deliveries?event={event}")).json["data"]
    assert delivery["state"] == "cancelled"
    assert (await api.get("/v1/hooks")).json["data"] == []
    [trace] = (await api.get(f"/v1/events/{event}")).json["trace"]
    assert (trace["hook"], trace["hook_name"]) == (made["id"], None)


ABSENT = (
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/secret"),
    ("POST", "/test"),
)


async def test_what_is_not_there(api: Client) -> None:
    for method, path in ABSENT:
        reply = await api.call(
            method, f"/v1/hooks/hook_none{path}", None if method in ("GET", "DELETE") else {}
        )
        assert reply.status == 404
        assert "hook_none" in reply.json["detail"]


async def test_a_hook_with_lists_and_connections_that_exist(api: Client) -> None:
    await api.post("/v1/lists", {"name": "news"})
    contact = {"kind": "contact", "subscribe": ["news"]}
    assert (await api.post("/v1/hooks", {"on": ["a"], "do": contact})).status == 201
    credentials = {"account_sid": "AC" + "0" * 32, "auth_token": "t", "from": "+431234567"}
    made = await api.post("/v1/connections", {"name": "sms", "kind": "twilio", "credentials": credentials})
    assert made.status == 201, made.body
    sms = {"kind": "sms", "connection": made.json["id"], "to": "{{ event.data.phone }}", "text": "paid"}
    assert (await api.post("/v1/hooks", {"on": ["a"], "do": sms})).status == 201


async def test_an_unknown_type_of_ours_is_refused_but_any_of_yours_is_taken(api: Client) -> None:
    assert (await api.hook(on=["never.seen", "shop.*", "*", "delivery.failed"]))["on"]


async def test_a_batch_is_shown_and_only_webhooks_have_one(api: Client) -> None:
    made = await api.hook(batch={"every": "5s"})
    assert made["batch"] == {"max": 100, "every": "5s"}
    gone = await api.patch(f"/v1/hooks/{made['id']}", {"batch": None})
    assert gone.json["batch"] is None
    for change, pointer in (
        ({"do": {"kind": "slack", "url": "https://hooks.slack.com/services/a/b/c"}}, "#/batch"),
        ({"do": WEBHOOK | {"format": "template", "template": "{}"}}, "#/batch"),
        ({"batch": {"max": 0}}, "#/batch/max"),
        ({"batch": {"every": "2h"}}, "#/batch/every"),
        ({"batch": {"every": "0s"}}, "#/batch/every"),
    ):
        reply = await api.post("/v1/hooks", {"on": ["*"], "do": WEBHOOK, "batch": {}} | change)
        assert reply.status == 422 and pointer in reply.faults, reply.body


async def test_another_kind_leaves_nothing_of_the_old_one(api: Client) -> None:
    made = await api.hook(do=WEBHOOK | {"headers": {"authorization": "secret"}, "ca": None})
    path = f"/v1/hooks/{made['id']}"
    mail = {"kind": "email", "to": "a@example.com", "from": "b@example.com", "subject": "Hi", "text": "Hello"}
    changed = await api.patch(path, {"do": mail})
    assert changed.status == 200, changed.body
    assert {name: changed.json["do"][name] for name in mail} == mail and "url" not in changed.json["do"]
    lacking = await api.patch(path, {"do": {"kind": "webhook"}})
    assert (lacking.status, list(lacking.faults)) == (422, ["#/do/url"]), "nor is the first one remembered"
    again = await api.patch(path, {"do": mail | {"text": None, "html": "<p>Hi</p>"}})
    assert (again.status, again.json["do"]["text"], again.json["do"]["html"]) == (200, None, "<p>Hi</p>")
