"""`POST /v1/events`: what is taken, what is answered, and what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from support.client import Client
from support.receiver import Receiver


async def test_an_event_is_stored_with_its_bytes_unchanged(api: Client, receiver: Receiver) -> None:
    await api.hook(receiver.url)
    data = b'{ "b":1.50,"a" : [1e2, "\\u00e9\\u0000", 12345678901234567890],\n "z": null}'
    reply = await api.post("/v1/events", b' {"type":"order.paid","data":' + data + b"}")
    assert reply.status == 202
    assert reply.json == {"id": reply.json["id"], "duplicate": False, "deliveries": 1}
    await api.settled()
    assert data in receiver.got[0].body
    shown = await api.get(f"/v1/events/{reply.json['id']}")
    assert data in shown.body


async def test_all_fields(api: Client) -> None:
    written = {
        "type": "order.paid",
        "id": "order-17-paid",
        "source": "shop",
        "subject": "ada@example.com",
        "time": "2026-05-04T14:30:00.25+02:00",
        "data": {"total": 12},
    }
    reply = await api.post("/v1/events", written)
    shown = (await api.get(f"/v1/events/{reply.json['id']}")).json
    wanted = {
        **written,
        "id": reply.json["id"],
        "source_id": "order-17-paid",
        "time": "2026-05-04T12:30:00.250Z",
    }
    assert wanted.items() <= shown.items()


async def test_the_source_is_the_key_where_none_is_given(api: Client) -> None:
    shown = (await api.get(f"/v1/events/{await api.publish()}")).json
    [key] = (await api.get("/v1/keys")).json["data"]
    assert shown["source"] == key["id"]


async def test_the_same_id_again_is_a_duplicate(api: Client, receiver: Receiver) -> None:
    await api.hook(receiver.url)
    event = {"type": "order.paid", "id": "17", "source": "shop", "data": {"a": 1, "b": 2}}
    first = (await api.post("/v1/events", event)).json
    again = await api.post(
        "/v1/events", b'{"data":{"b":2,"a":1},"source":"shop","id":"17","type":"order.paid"}'
    )
    assert again.status == 202
    assert again.json == {"id": first["id"], "duplicate": True, "deliveries": 0}
    await api.settled()
    assert len(receiver.got) == 1
    elsewhere = (await api.post("/v1/events", event | {"source": "till"})).json
    assert not elsewhere["duplicate"]


async def test_the_same_id_with_another_body_is_a_conflict(api: Client) -> None:
    event = {"type": "order.paid", "id": "17", "source": "shop", "data": {"a": 1}}
    await api.post("/v1/events", event)
    reply = await api.post("/v1/events", event | {"data": {"a": 2}})
    assert reply.status == 409
    assert list(reply.faults) == ["#/id"]
    many = await api.post("/v1/events", [event | {"id": "18"}, event | {"data": {"a": 2}}])
    assert many.status == 409
    assert list(many.faults) == ["#/1/id"]
    assert (await api.stored())[0] == 1


async def test_an_array_is_stored_together(api: Client) -> None:
    reply = await api.post("/v1/events", [{"type": "a", "data": 1}, {"type": "b", "data": 2, "id": "x"}])
    assert reply.status == 202
    assert [one["duplicate"] for one in reply.json["events"]] == [False, False]
    shown = (await api.get("/v1/events")).json["data"]
    assert [one["id"] for one in reversed(shown)] == [one["id"] for one in reply.json["events"]]
    assert (await api.post("/v1/events", [])).json == {"events": []}


async def test_a_thousand_events_and_no_more(api: Client) -> None:
    events = [{"type": "a", "data": place} for place in range(1001)]
    reply = await api.post("/v1/events", events)
    assert reply.status == 422
    assert "1000" in reply.json["detail"]
    assert (await api.stored())[0] == 0
    reply = await api.post("/v1/events", events[:1000])
    assert reply.status == 202
    assert len(reply.json["events"]) == 1000
    assert (await api.stored())[0] == 1000


async def test_one_wrong_event_keeps_all_out(api: Client) -> None:
    reply = await api.post("/v1/events", [{"type": "a", "data": 1}, {"type": "b"}])
    assert reply.status == 422
    assert reply.faults == {"#/1/data": "this field is required"}
    assert (await api.stored())[0] == 0


WRONG: tuple[tuple[Any, str, str], ...] = (
    ({"data": 1}, "#/type", "required"),
    ({"type": "a"}, "#/data", "required"),
    ({"type": 5, "data": 1}, "#/type", "expected str, got int"),
    ({"type": "a", "data": 1, "sujbect": "b"}, "#/sujbect", "unknown field"),
    ({"type": "", "data": 1}, "#/type", "1 to 200"),
    ({"type": "a" * 201, "data": 1}, "#/type", "1 to 200"),
    ({"type": "a b", "data": 1}, "#/type", "spaces"),
    ({"type": "a.*", "data": 1}, "#/type", "asterisks"),
    ({"type": "a\u200b", "data": 1}, "#/type", "invisible"),
    ({"type": "a", "id": "", "data": 1}, "#/id", "1 to 256"),
    ({"type": "a", "id": "x\0", "data": 1}, "#/id", "control"),
    ({"type": "a", "source": "x" * 513, "data": 1}, "#/source", "1 to 512"),
    ({"type": "a", "subject": "x\n", "data": 1}, "#/subject", "control"),
    ({"type": "a", "time": "yesterday", "data": 1}, "#/time", "RFC 3339"),
    ({"type": "a", "time": 1700000000, "data": 1}, "#/time", "expected str | null, got int"),
    ({"type": "a", "time": "2026-02-30T00:00:00Z", "data": 1}, "#/time", "not a time"),
    ({"type": "a", "time": "0001-01-01T00:00:00+10:00", "data": 1}, "#/time", "out of range"),
    ("a", "#", "expected object, got str"),
)


async def test_what_is_wrong_is_named(api: Client) -> None:
    for body, pointer, says in WRONG:
        reply = await api.post("/v1/events", body)
        assert reply.status == 422, (body, reply.body)
        assert list(reply.faults) == [pointer], body
        assert says in reply.faults[pointer], body
        assert reply.headers["content-type"] == "application/problem+json"
        assert (await api.stored())[0] == 0


UNREADABLE = (
    b"",
    b"{",
    b"nonsense",
    b'{"type": "a", "data": {"a": tru}}',
    b'{"type": "a", "data": NaN}',
    b'{"type": "a", "data": 1} x',
    b'{"type": "a", "data": "\xff"}',
    b'{"type": "\xff", "data": 1}',
    b'{"type": "a", "data": "\\ud800"}',
    b'{"type": "\\ud800x", "data": 1}',
    b'{"type": "a", "data": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b"[" * 20_000 + b"]" * 20_000,
)


async def test_what_cannot_be_read(api: Client) -> None:
    for body in UNREADABLE:
        reply = await api.post("/v1/events", body)
        assert reply.status in (400, 422), reply.body[:200]
        assert reply.headers["content-type"] == "application/problem+json"
        assert (await api.stored())[0] == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b"0." + b"1" * 600, "500 characters"),
        (b"1" * 5000, "4300 characters"),
        (b'[{"a": ' + b"1" * 5000 + b"}]", "4300 characters"),
    ],
)
async def test_data_that_no_condition_could_read(api: Client, data: bytes, says: str) -> None:
    reply = await api.post("/v1/events", b'{"type":"a","data":' + data + b"}")
    assert reply.status == 422
    [(pointer, said)] = reply.faults.items()
    assert pointer.startswith("#/data") and says in said


async def test_deep_data_is_taken_up_to_the_limit(api: Client) -> None:
    await api.hook(**{"if": "event.data != null"})
    deep = b"[" * 64 + b"]" * 64 + b" " * 10
    reply = await api.post("/v1/events", b'{"type":"a","id":"1","data":' + deep + b"}")
    assert reply.status == 202
    wide = msgspec.json.encode([[] for _ in range(1000)])
    assert (await api.post("/v1/events", b'{"type":"a","data":' + wide + b"}")).status == 202


@pytest.mark.parametrize("kind", ["email.opened", "email.own", "contact.x", "hook.disabled", "pool.low"])
async def test_nobody_forges_an_open(api: Client, kind: str) -> None:
    reply = await api.post("/v1/events", [{"type": "a", "data": 1}, {"type": kind, "data": {}}])
    assert reply.status == 403
    assert kind in reply.faults["#/1/type"]
    assert (await api.stored())[0] == 0


@pytest.mark.parametrize("source", ["hookline", "mailer", "src_06a9cks6p0x4f8h2k6m0q4t8w2"])
async def test_nobody_speaks_in_our_name(api: Client, source: str) -> None:
    reply = await api.post("/v1/events", {"type": "a", "source": source, "data": 1})
    assert reply.status == 403
    assert list(reply.faults) == ["#/source"]


async def test_an_event_is_at_most_a_mebibyte(api: Client) -> None:
    fits = b'{"type":"a","data":"' + b"x" * (2**20 - 22) + b'"}'
    assert len(fits) == 2**20
    assert (await api.post("/v1/events", fits)).status == 202
    reply = await api.post("/v1/events", b" " + fits)
    assert reply.status == 413
    assert (await api.post("/v1/events", b"[" + fits + b"," + fits + b"]")).status == 202
    large = b'{"type":"a","data":"' + b"x" * 2**20 + b'"}'
    assert (await api.post("/v1/events", b"[" + large + b"]")).status == 413
    assert (await api.stored())[0] == 3


async def test_an_array_is_at_most_eight(api: Client) -> None:
    reply = await api.post("/v1/events", b"[" + b" " * (8 * 2**20) + b"]")
    assert reply.status == 413
    assert reply.headers["content-type"] == "application/problem+json"


async def test_the_limit_holds_for_bodies_of_unknown_length(api: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"["
        for _ in range(12):
            yield b" " * 2**20
        yield b"]"

    reply = await api.post("/v1/events", chunks(), headers={"content-type": "application/json"})
    assert reply.status == 413
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"]
)
async def test_json_only(api: Client, content_type: str) -> None:
    reply = await api.post("/v1/events", b'{"type":"a","data":1}', headers={"content-type": content_type})
    assert reply.status == 415
    assert content_type in reply.json["detail"]


async def test_nothing_is_unpacked(api: Client) -> None:
    for path in ("/v1/events", "/v1/hooks"):
        reply = await api.post(path, b"\x1f\x8b", headers={"content-encoding": "gzip"})
        assert (reply.status, reply.headers["accept-encoding"]) == (415, "identity")
        assert "Content-Encoding" in reply.json["detail"]
    plain = await api.post("/v1/events", {"type": "a", "data": 1}, headers={"content-encoding": "Identity"})
    assert plain.status == 202


async def test_half_a_character_is_told_from_half_a_body(api: Client) -> None:
    for text in (b'"\\ud800"', b'"\\ud800x"', b'"\\udc00"'):
        reply = await api.post("/v1/events", b'{"type": "a", "data": ' + text + b"}")
        assert reply.status == 400 and "surrogate" in reply.json["detail"], text


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.shop+json", ""])
async def test_json_by_other_names(api: Client, content_type: str) -> None:
    reply = await api.post("/v1/events", b'{"type":"a","data":1}', headers={"content-type": content_type})
    assert reply.status == 202


async def test_parameters_are_none_of_its_business(api: Client) -> None:
    reply = await api.post("/v1/events?dry_run=true", {"type": "a", "data": 1})
    assert reply.status == 422
    assert list(reply.faults) == ["dry_run"]
