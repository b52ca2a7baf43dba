"""Webhooks from acceptance to settlement: real HTTP, both databases."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from hookline.model import DAY, MINUTE, SECOND
from hookline.storage.units import SourceIdConflict
from support.engine import SECRET, Engine, running
from support.receiver import Receiver, receiving


def webhook(url: str, **fields: object) -> dict[str, object]:
    return {"on": ["order.*"], "do": {"kind": "webhook", "url": url}} | fields


async def test_an_event_arrives_signed_with_its_data_unchanged(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(webhook(receiver.url + "/hooks"))
    raw = b'{"z": 1, "a": 19421777835146490123, "p": 1.10 }'
    answer = await engine.publish("order.paid", raw, subject="ada@example.com")
    await engine.run()
    (body,) = receiver.verified(SECRET)
    got = receiver.got[0]
    assert (body["id"], body["type"], body["subject"]) == (answer.id, "order.paid", "ada@example.com")
    assert got.headers["webhook-id"] == answer.id and got.headers["user-agent"].startswith("Hookline/")
    assert b'"data":' + raw in got.body
    (done,) = await engine.deliveries()
    assert (done.state, done.attempts, got.headers["hookline-delivery"]) == ("succeeded", 1, done.id)
    (attempt,) = await engine.attempts(done)
    assert attempt.status == 204 and attempt.request is not None
    assert json.loads(attempt.request)["headers"]["webhook-id"] == answer.id


async def test_a_failing_receiver_is_retried_by_the_schedule_with_the_same_id(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers = [500, 503]
    await engine.hook(webhook(receiver.url))
    answer = await engine.publish("order.paid")
    await engine.run()
    for wait, count in ((5 * SECOND, 2), (5 * MINUTE, 3)):
        engine.clock.advance(wait - 1)
        await engine.run()
        assert len(receiver.got) == count - 1, "not before its time"
        engine.clock.advance(1)
        await engine.run()
        assert len(receiver.got) == count
    assert {got.headers["webhook-id"] for got in receiver.got} == {answer.id}
    assert len(receiver.verified(SECRET)) == 3
    (done,) = await engine.deliveries()
    attempts = await engine.attempts(done)
    assert [(a.outcome, a.error, a.status) for a in attempts] == [
        ("retry", "http_status", 500),
        ("retry", "http_status", 503),
        ("ok", None, 204),
    ]


async def test_the_last_failure_ends_the_delivery_and_tells_it(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500] * 2
    await engine.hook(webhook(receiver.url, retry={"schedule": ["1s"], "timeout": "5s"}))
    await engine.publish("order.paid")
    await engine.run()
    engine.clock.advance(2 * SECOND)
    await engine.run()
    (done,) = await engine.deliveries()
    assert (done.state, done.error, done.attempts) == ("failed", "http_status", 2)
    (told,) = await engine.events("delivery.failed")
    assert json.loads(told.data)["delivery"] == done.id and told.cause == done.id


@pytest.mark.parametrize(
    ("status", "error"), [(302, "redirect"), (404, "http_status"), (429, "rate_limited")]
)
async def test_only_2xx_is_success(engine: Engine, receiver: Receiver, status: int, error: str) -> None:
    receiver.answers, receiver.headers = [status], {"location": receiver.url + "/elsewhere"}
    await engine.hook(webhook(receiver.url))
    await engine.publish("order.paid")
    await engine.run()
    (waiting,) = await engine.deliveries()
    assert (waiting.state, waiting.error, len(receiver.got)) == ("waiting", error, 1)


async def test_retry_after_moves_the_retry(engine: Engine, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [503], {"retry-after": "3600"}
    await engine.hook(webhook(receiver.url))
    await engine.publish("order.paid")
    await engine.run()
    (waiting,) = await engine.deliveries()
    assert waiting.next_at == engine.clock.now() + 3600 * SECOND


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_asks_for_patience_gets_nothing_more_meanwhile(
    engine: Engine, receiver: Receiver, status: int
) -> None:
    receiver.answers, receiver.headers = [status], {"retry-after": "60"}
    await engine.hook(webhook(receiver.url))
    await engine.publish("order.first")
    await engine.run()
    receiver.headers = {}
    await engine.publish("order.second")
    await engine.run()
    assert len(receiver.got) == 1
    engine.clock.advance(61 * SECOND)
    await engine.run()
    assert sorted(got.json["type"] for got in receiver.got) == ["order.first", "order.first", "order.second"]


async def test_410_disables_the_hook_and_holds_what_waits(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500, 410]
    hook = await engine.hook(webhook(receiver.url))
    await engine.publish("order.first")
    await engine.run()
    await engine.publish("order.second")
    await engine.run()
    assert sorted(d.state for d in await engine.deliveries()) == ["failed", "held"]
    (told,) = await engine.events("hook.disabled")
    assert told.subject == hook.id
    later = await engine.publish("order.third")
    stored = await engine.storage.events.get("default", later.id)
    assert stored.verdicts[0].verdict == "disabled" and "410" in stored.verdicts[0].detail


async def test_a_receiver_that_is_away_is_a_retry_with_the_reason(engine: Engine) -> None:
    async with receiving() as gone:
        url = gone.url
    await engine.hook(webhook(url))
    await engine.publish("order.paid")
    await engine.run()
    (waiting,) = await engine.deliveries()
    assert (waiting.state, waiting.error) == ("waiting", "refused")


async def test_every_hook_gets_its_own_and_the_trace_says_why_the_others_do_not(
    engine: Engine, receiver: Receiver
) -> None:
    wanted = await engine.hook(webhook(receiver.url + "/a", **{"if": "event.data.total > 10"}))
    small = await engine.hook(webhook(receiver.url + "/b", **{"if": "event.data.total > 1000.5"}))
    broken = await engine.hook(webhook(receiver.url + "/c", **{"if": "event.data.nothing > 1"}))
    off = await engine.hook(webhook(receiver.url + "/d", enabled=False))
    await engine.hook(webhook(receiver.url + "/e", on=["basket.*"]))
    answer = await engine.publish("order.paid", {"total": 99.5})
    await engine.run()
    assert [got.path for got in receiver.got] == ["/a"]
    stored = await engine.storage.events.get("default", answer.id)
    assert {v.hook: v.verdict for v in stored.verdicts} == {
        wanted.id: "matched",
        small.id: "condition",
        broken.id: "error",
        off.id: "disabled",
    }
    assert "nothing" in next(v.detail for v in stored.verdicts if v.hook == broken.id)


async def test_a_hook_made_a_moment_ago_counts_for_the_next_event(engine: Engine, receiver: Receiver) -> None:
    await engine.publish("order.before")
    hook = await engine.hook(webhook(receiver.url))
    await engine.publish("order.after")
    await engine.storage.hooks.delete("default", hook.id, engine.clock.now())
    await engine.publish("order.late")
    await engine.run()
    assert [got.json["type"] for got in receiver.got] == ["order.after"]


async def test_deleting_a_hook_cancels_what_it_owes(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500]
    hook = await engine.hook(webhook(receiver.url))
    await engine.publish("order.paid")
    await engine.run()
    await engine.storage.hooks.delete("default", hook.id, engine.clock.now())
    engine.clock.advance(DAY)
    await engine.run()
    (done,) = await engine.deliveries()
    assert (done.state, len(receiver.got)) == ("cancelled", 1)


async def test_a_burst_beyond_the_lane_arrives_completely(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(webhook(receiver.url))
    ids = [(await engine.publish("order.paid", {"n": n})).id for n in range(200)]
    await engine.run()
    assert sorted(got.headers["webhook-id"] for got in receiver.got) == sorted(ids)


async def test_a_template_shapes_the_body_and_must_give_json(engine: Engine, receiver: Receiver) -> None:
    shaped = {"kind": "webhook", "url": receiver.url, "format": "template"}
    await engine.hook(webhook("", do=shaped | {"template": '{"text": {{ event.data.name|tojson }}}'}))
    await engine.hook(webhook("", do=shaped | {"template": "{ {{ event.data.name }}"}))
    await engine.publish("order.paid", {"name": 'A"da'})
    await engine.run()
    assert [got.json for got in receiver.got] == [{"text": 'A"da'}]
    assert {(d.state, d.error) for d in await engine.deliveries()} == {
        ("succeeded", None),
        ("failed", "template"),
    }


async def test_cloudevents_keep_what_the_publisher_said(engine: Engine, receiver: Receiver) -> None:
    await engine.hook(webhook("", do={"kind": "webhook", "url": receiver.url, "format": "cloudevents"}))
    await engine.publish(
        "order.paid", b'{"n": 1.0}', source_id="A-1", envelope=b'{"dataschema":"urn:x","myext":"1"}'
    )
    await engine.publish("order.bare", b"", source_id="A-2")
    await engine.run()
    first, second = sorted(receiver.verified(SECRET), key=lambda body: str(body["id"]))
    assert (first["id"], first["specversion"], first["dataschema"], first["myext"]) == (
        "A-1",
        "1.0",
        "urn:x",
        "1",
    )
    assert first["data"] == {"n": 1.0} and "data" not in second
    assert receiver.got[0].headers["content-type"] == "application/cloudevents+json"


async def test_what_a_dead_process_held_is_sent_again_and_the_crash_is_recorded(
    database_url: str | Path, receiver: Receiver
) -> None:
    async with running(database_url) as first:
        await first.hook(webhook(receiver.url))
        # A process that dies between the commit and the attempt: it reserved, stored, and never acted.
        first.intake.born = lambda accepted: None
        answer = await first.publish("order.paid")
        first.dispatcher.epoch, kept = "prc_other", first.dispatcher.epoch
        await first.storage.deliveries.retire(kept)
        orphans = await first.storage.deliveries.page("default", limit=9, state="sending")
        assert len(orphans) == 1
    async with running(database_url) as second:
        await second.dispatcher.take_over(-DAY)
        await second.run()
        assert [got.headers["webhook-id"] for got in receiver.got] == [answer.id]
        (done,) = await second.deliveries()
        attempts = await second.attempts(done)
        assert [(a.outcome, a.error) for a in attempts] == [("retry", "crashed"), ("ok", None)]


async def test_an_edited_hook_counts_for_what_waits(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [500]
    hook = await engine.hook(webhook(receiver.url + "/old"))
    await engine.publish("order.paid")
    await engine.run()
    moved = msgspec.structs.replace(
        hook.spec, do=msgspec.structs.replace(hook.spec.do, url=receiver.url + "/new")
    )
    await engine.storage.hooks.change(hook, msgspec.structs.replace(hook, spec=moved))
    engine.clock.advance(MINUTE)
    await engine.run()
    assert [got.path for got in receiver.got] == ["/old", "/new"]


async def test_another_body_is_another_body_however_alike(engine: Engine) -> None:
    await engine.publish("order.paid", b'{"a": 1.1, "b": 2}', source_id="17")
    again = await engine.publish("order.paid", b'{"b":2,"a":1.1}', source_id="17")
    assert again.duplicate, "the same, spelt otherwise"
    with pytest.raises(SourceIdConflict):
        await engine.publish("order.paid", b'{"a": "1.1", "b": 2}', source_id="17")
