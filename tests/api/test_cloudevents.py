"""CloudEvents over HTTP: three ways in, and out again through a hook."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.client import Client
from support.receiver import Receiver

EVENT = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.paid"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCHED = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}


async def delivered(api: Client, receiver: Receiver) -> Any:
    await api.settled()
    [got] = receiver.got
    assert got.headers["content-type"] == "application/cloudevents+json"
    return got.json


@pytest.fixture
async def hook(api: Client, receiver: Receiver) -> Any:
    return await api.hook(do={"kind": "webhook", "url": receiver.url, "format": "cloudevents"})


@pytest.mark.usefixtures("hook")
async def test_structured(api: Client, receiver: Receiver) -> None:
    event = EVENT | {
        "subject": "ada@example.com",
        "time": "2026-05-04T12:30:00Z",
        "dataschema": "https://shop.example/schema",
        "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01",
        "attempt": 3,
        "urgent": True,
        "data": {"total": 12},
    }
    reply = await api.post("/v1/events", json.dumps(event).encode(), headers=STRUCTURED)
    assert reply.status == 202
    assert reply.json["deliveries"] == 1
    assert await delivered(api, receiver) == event
    again = await api.post("/v1/events", json.dumps(event).encode(), headers=STRUCTURED)
    assert again.json == {"id": reply.json["id"], "duplicate": True, "deliveries": 0}


@pytest.mark.usefixtures("hook")
async def test_binary(api: Client, receiver: Receiver) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    headers |= {"content-type": "application/json", "ce-subject": "Ada %E2%9C%93", "ce-shop": "vienna"}
    reply = await api.post("/v1/events", b'{"total": 1.50}', headers=headers)
    assert reply.status == 202
    shown = await delivered(api, receiver)
    assert (shown["subject"], shown["shop"], shown["data"]) == ("Ada ✓", "vienna", {"total": 1.5})
    assert receiver.got[0].body.endswith(b'"data":{"total": 1.50}}')


@pytest.mark.usefixtures("hook")
async def test_binary_of_another_type(api: Client, receiver: Receiver) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"content-type": "image/png"}
    assert (await api.post("/v1/events", b"\x89PNG\0", headers=headers)).status == 202
    shown = await delivered(api, receiver)
    assert (shown["data_base64"], shown["datacontenttype"]) == ("iVBORwA=", "image/png")
    assert "data" not in shown


async def test_without_data(api: Client) -> None:
    reply = await api.post("/v1/events", json.dumps(EVENT).encode(), headers=STRUCTURED)
    assert "data" not in (await api.get(f"/v1/events/{reply.json['id']}")).json


async def test_batched(api: Client) -> None:
    batch = [EVENT, EVENT | {"id": "e-2", "shop": "vienna"}]
    reply = await api.post("/v1/events", json.dumps(batch).encode(), headers=BATCHED)
    assert reply.status == 202
    assert len(reply.json["events"]) == 2
    shown = (await api.get(f"/v1/events/{reply.json['events'][1]['id']}")).json
    assert shown["envelope"] == {"shop": "vienna"}
    empty = await api.post("/v1/events", b"[]", headers=BATCHED)
    assert (empty.status, empty.json) == (202, {"events": []})


async def test_a_batch_has_a_limit_too(api: Client) -> None:
    batch = [EVENT | {"id": str(place)} for place in range(1001)]
    reply = await api.post("/v1/events", json.dumps(batch).encode(), headers=BATCHED)
    assert reply.status == 422
    assert (await api.stored())[0] == 0


REFUSED: tuple[tuple[Any, Any, int, str], ...] = (
    (EVENT | {"specversion": "0.3"}, STRUCTURED, 422, "#/specversion"),
    ({"specversion": "1.0"}, STRUCTURED, 422, "#/type"),
    ([EVENT, EVENT | {"a-b": 1}], BATCHED, 422, "#/1/a-b"),
    ([EVENT, 5], BATCHED, 422, "#/1"),
    (EVENT, BATCHED, 422, "#"),
    ([EVENT], STRUCTURED, 422, "#"),
    (EVENT | {"type": "email.opened"}, STRUCTURED, 403, "#/type"),
    (EVENT | {"id": "x" * 257}, STRUCTURED, 422, "#/id"),
    (EVENT | {"source": "hookline"}, STRUCTURED, 403, "#/source"),
)


async def test_what_is_refused(api: Client) -> None:
    for body, headers, status, pointer in REFUSED:
        reply = await api.post("/v1/events", json.dumps(body).encode(), headers=headers)
        assert reply.status == status, body
        assert list(reply.faults) == [pointer], body
        assert (await api.stored())[0] == 0


async def test_binary_data_has_to_be_what_it_says(api: Client) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    assert (await api.post("/v1/events", b"{nonsense", headers=headers)).status == 400
    assert (await api.post("/v1/events", b"{}", headers={"ce-id": "1"})).status == 422
    assert (await api.stored())[0] == 0
