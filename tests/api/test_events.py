"""`GET /v1/events`: lists, filters, the trace, the catalogue."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hookline.model import EventDraft
from support.client import Client
from support.receiver import Receiver


@pytest.fixture
def api(either_api: Client) -> Client:
    """Both databases: what is asked here is answered by SQL."""
    return either_api


async def types(api: Client, query: str) -> list[str]:
    reply = await api.get(f"/v1/events?{query}")
    assert reply.status == 200, reply.body
    return [event["type"] for event in reply.json["data"]]


async def test_pages_skip_nothing(api: Client) -> None:
    for place in range(5):
        await api.publish(f"a{place}")
    first = (await api.get("/v1/events?limit=2")).json
    await api.publish("late")
    second = (await api.get(f"/v1/events?limit=2&after={first['next']}")).json
    third = (await api.get(f"/v1/events?limit=2&after={second['next']}")).json
    pages = [[event["type"] for event in page["data"]] for page in (first, second, third)]
    assert pages == [["a4", "a3"], ["a2", "a1"], ["a0"]]
    assert third["next"] is None
    whole = (await api.get("/v1/events?limit=6")).json
    assert (len(whole["data"]), whole["next"]) == (6, None)


async def test_filters(api: Client) -> None:
    await api.publish("order.paid", source="shop", subject="ada@example.com")
    await api.publish("order.sent", source="shop", subject="bob@example.com")
    await api.publish("orders", source="till")
    assert await types(api, "type=order.paid") == ["order.paid"]
    assert await types(api, "type=order.*") == ["order.sent", "order.paid"]
    assert await types(api, "type=*") == ["orders", "order.sent", "order.paid"]
    assert await types(api, "source=till") == ["orders"]
    assert await types(api, "subject=ada@example.com") == ["order.paid"]
    assert await types(api, "source=shop&type=order.sent") == ["order.sent"]
    assert await types(api, "campaign=cmp_none") == []
    assert await types(api, "since=1h") == ["orders", "order.sent", "order.paid"]
    assert await types(api, "since=1h&until=30m") == []
    assert await types(api, "until=2020-01-01T00:00:00Z") == []
    assert len(await types(api, "since=2020-01-01T00:00:00%2B02:00")) == 3


WRONG_PARAMETERS = (
    ("limit=0", "limit", ">= 1"),
    ("limit=251", "limit", "<= 250"),
    ("limit=many", "limit", "int"),
    ("after=nonsense", "after", "cursor"),
    ("after=AAAAAAAAAA%2B", "after", "cursor"),
    ("after=__________8", "after", "cursor"),
    ("after=", "after", "cursor"),
    ("since=yesterday", "since", 'such as "7d"'),
    ("since=2026-13-01T00:00:00Z", "since", "not a time"),
    ("until=99999999d", "until", "ten years"),
    ("since=", "since", "RFC 3339"),
    ("typ=order.paid", "typ", "no such parameter"),
    ("key=hl_x", "key", "no such parameter"),
    ("data=1", "data", "no such parameter"),
)


async def test_wrong_parameters_are_named(api: Client) -> None:
    for query, name, says in WRONG_PARAMETERS:
        reply = await api.get(f"/v1/events?{query}")
        assert (reply.status, list(reply.faults)) == (422, [name])
        assert says in reply.faults[name], query


async def test_what_is_not_there(api: Client) -> None:
    reply = await api.get("/v1/events/evt_none")
    assert reply.status == 404
    assert reply.json["detail"] == "there is no event evt_none"


async def trace(api: Client, event: str) -> tuple[dict[str, Any], Any]:
    """The trace of an event by the names of the hooks, and its note."""
    shown = (await api.get(f"/v1/events/{event}")).json
    return {one["hook_name"]: one for one in shown["trace"]}, shown.get("note")


async def test_an_event_that_nothing_wanted_says_so(api: Client) -> None:
    assert await trace(api, await api.publish("shop.order")) == ({}, "no hook asked for shop.order events")
    await api.hook(on=["shop.*"], name="never", **{"if": "false"})
    found, note = await trace(api, await api.publish("shop.order"))
    assert found["never"]["verdict"] == "condition"
    assert "none acted" in note


async def test_the_trace_says_what_each_hook_made_of_it(api: Client, receiver: Receiver) -> None:
    limit = {"count": 1, "per": "subject"}
    await api.hook(receiver.url, name="all")
    await api.hook(receiver.url, name="large", **{"if": "event.data.total > 100"})
    await api.hook(receiver.url, name="broken", **{"if": "event.data.total.foo"})
    await api.hook(receiver.url, name="once", limit=limit)
    await api.hook(receiver.url, name="off", enabled=False)
    await api.hook(receiver.url, name="other", on=["invoice.*"])
    await api.publish(subject="ada@example.com", data={"total": 200})
    event = await api.publish(subject="Ada@example.com", data={"total": 50})
    await api.settled()
    found, note = await trace(api, event)
    assert note is None
    verdicts = {name: one["verdict"] for name, one in found.items()}
    assert verdicts == {
        "all": "matched", "large": "condition", "broken": "error", "once": "limit", "off": "disabled",
    }  # fmt: skip
    assert all(one["detail"] for one in found.values())
    [delivery] = (await api.get(f"/v1/deliveries?event={event}")).json["data"]
    wanted = {"delivery": delivery["id"], "state": "succeeded", "attempts": 1, "error": None}
    assert wanted.items() <= found["all"].items()
    assert found["large"]["delivery"] is None


async def test_the_trace_knows_the_next_attempt(api: Client, receiver: Receiver) -> None:
    receiver.answers = [503]
    await api.hook(receiver.url, name="shaky")
    event = await api.publish()
    await api.settled()
    found, _ = await trace(api, event)
    shown = found["shaky"]
    assert (shown["state"], shown["attempts"], shown["error"]) == ("waiting", 1, "http_status")
    assert shown["next_attempt_at"] > (await api.get(f"/v1/events/{event}")).json["accepted_at"]


async def test_the_trace_says_what_comes_next_in_words(api: Client, receiver: Receiver) -> None:
    made = await api.hook(receiver.url, name="shop", retry={"schedule": ["1h"]})
    path, words = f"/v1/hooks/{made['id']}", "it asked for this event; the delivery "

    async def said(event: str) -> str:
        await api.settled()
        [one] = (await api.get(f"/v1/events/{event}")).json["trace"]
        return str(one["detail"])

    receiver.answers = [500, 500]
    event = await api.publish()
    before = await said(event)
    assert before.startswith(words + "waits: the last attempt failed (http_status), the next is at 20")
    [delivery] = (await api.get("/v1/deliveries")).json["data"]
    assert before.endswith(delivery["next_attempt_at"])
    await api.post(f"/v1/deliveries/{delivery['id']}/retry")
    assert await said(event) == before, "an extra attempt leaves all as it was"
    await api.patch(path, {"enabled": False})
    assert (
        await said(event) == words + "is held while the hook is switched off; switched on, a replay sends it"
    )
    missed = await api.publish()
    assert await said(missed) == "a user switched the hook off"
    on = (await api.patch(path, {"enabled": True})).json
    assert "which it is no more; a replay sends it" in await said(event)
    await api.post("/v1/replays", on["missed"]["replay"])
    await api.app.services.replayer.run_once()
    assert await said(event) == words + "succeeded"
    assert await said(missed) == (
        "a user switched the hook off; a replay brought it since, and that delivery succeeded"
    )
    await api.patch(path, {"retry": {"schedule": []}})
    receiver.answers = [500]
    failed = await api.publish()
    assert await said(failed) == (
        words + "failed for good after 1 attempt (http_status); a retry or a replay sends it again"
    )
    await api.call("DELETE", path)
    assert await said(failed) == (
        words + "failed for good after 1 attempt (http_status); a retry or a replay sends it again"
        "; the hook was deleted since"
    )


async def test_what_a_deleted_hook_owed_was_cancelled(api: Client, receiver: Receiver) -> None:
    receiver.answers = [500]
    made = await api.hook(receiver.url)
    event = await api.publish()
    await api.settled()
    await api.call("DELETE", f"/v1/hooks/{made['id']}")
    [one] = (await api.get(f"/v1/events/{event}")).json["trace"]
    assert (one["hook_name"], one["verdict"], one["state"]) == (None, "matched", "cancelled")
    assert one["detail"].endswith("was cancelled; nothing more comes of it; the hook was deleted since")


async def test_loops_are_told(api: Client) -> None:
    hook = await api.hook(name="self")
    draft = EventDraft(type="a", source="hookline", data=b"1", cause="dlv_x", cause_hook=hook["id"], depth=1)
    [accepted] = await api.app.services.intake.accept("default", [draft])
    found, _ = await trace(api, accepted.id)
    assert found["self"]["verdict"] == "loop"
    assert (await api.get(f"/v1/events/{accepted.id}")).json["cause"] == "dlv_x"


async def test_the_catalogue(api: Client) -> None:
    found = {one["name"]: one for one in (await api.get("/v1/event-types")).json["data"]}
    assert {"email.opened", "contact.updated", "campaign.finished", "delivery.failed"} <= found.keys()
    for name, one in found.items():
        assert one["example"]["type"] == name
        assert one["meaning"].endswith(".")
        assert (
            set(one["schema"]["required"])
            <= one["example"]["data"].keys()
            <= one["schema"]["properties"].keys()
        )


def test_a_cursor_is_eight_bytes() -> None:
    """What the parametrised cursors above are worth: one of them is the right length but too large."""
    assert len(base64.urlsafe_b64decode("__________8=")) == 8


async def test_the_trace_has_each_hooks_newest_delivery_however_many_there_are(
    api: Client, receiver: Receiver
) -> None:
    first = await api.hook(receiver.url + "/first")
    second = await api.hook(receiver.url + "/second")
    event = await api.publish()
    await api.settled()
    for _ in range(3):
        begun = await api.post("/v1/replays", {"hook": second["id"], "states": ["succeeded"]})
        assert begun.status == 202
        await api.app.services.replayer.run_once()
        await api.settled()
    found = (await api.get(f"/v1/deliveries?event={event}")).json["data"]
    assert len(found) > 3
    newest = {hook["id"]: next(d for d in found if d["hook"] == hook["id"]) for hook in (first, second)}
    trace = (await api.get(f"/v1/events/{event}")).json["trace"]
    assert {one["hook"]: one["delivery"] for one in trace} == {
        name: delivery["id"] for name, delivery in newest.items()
    }
