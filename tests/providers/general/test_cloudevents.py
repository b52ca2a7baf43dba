"""CloudEvents in each of their modes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import cloudevents
from support.mutations import as_json, mutated, read

PROVIDER = cloudevents.PROVIDER
TOKEN = {"token": "tok"}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "type": "com.bank.withdrawal",
    "source": "/accounts",
    "id": "A-1",
    "time": "2023-11-14T22:13:20Z",
    "subject": "ada@example.com",
    "traceparent": "00-1",
    "data": {"amount": 200.10},
}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCHED = {"content-type": "application/cloudevents-batch+json"}
BINARY = {f"ce-{name}": str(value) for name, value in EVENT.items() if name != "data"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (STRUCTURED, as_json(EVENT)),
        ({"content-type": "application/json"}, as_json(EVENT)),
        (BATCHED, as_json([EVENT])),
        ({}, as_json([EVENT])),
        (BINARY | {"content-type": "application/json"}, b'{"amount": 200.1}'),
    ],
)
def test_the_modes(headers: dict[str, str], body: bytes) -> None:
    [event] = PROVIDER.parse(Incoming(headers, body), TOKEN)
    assert (event.type, event.id, event.subject) == (
        "com.bank.withdrawal",
        "/accounts A-1",
        "ada@example.com",
    )
    assert (event.raw, event.time) == (b'{"amount": 200.1}', 1_700_000_000_000_000)
    assert event.envelope is not None
    kept = json.loads(event.envelope)
    assert kept == kept | {"source": "/accounts", "id": "A-1", "traceparent": "00-1"}


def test_source_and_id_together_tell_repeats_apart() -> None:
    events = PROVIDER.parse(
        Incoming(BATCHED, as_json([EVENT, EVENT, EVENT | {"source": "/x"}, EVENT | {"id": "ü"}])), TOKEN
    )
    assert len(events) == 4
    assert len({event.id for event in events}) == 3
    assert all(event.id.isascii() for event in events)


def test_none_of_ours_is_forged_and_what_is_no_json_is_kept() -> None:
    forged, raw = PROVIDER.parse(
        Incoming(
            BATCHED,
            as_json([EVENT | {"type": "email.opened"}, {"data_base64": "aGk=", **EVENT, "data": None}]),
        ),
        TOKEN,
    )
    assert forged.type == "cloudevents.email.opened"
    assert json.loads(raw.envelope or b"")["data_base64"] == "aGk="
    encoded = BINARY | {"ce-subject": "K%C3%B8benhavn", "content-type": "text/plain"}
    [event] = PROVIDER.parse(Incoming(encoded, b"hi"), TOKEN)
    assert (event.subject, event.raw) == ("København", b"")
    assert json.loads(event.envelope or b"")["data_base64"] == "aGk="


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        (STRUCTURED, b"{", "not JSON"),
        (STRUCTURED, b"[]", "CloudEvents"),
        (STRUCTURED, b"[" * 100_000, "not JSON|nested"),
        (STRUCTURED, as_json(EVENT | {"data": "\xff"}).replace(b"\\u00ff", b"\xff"), "UTF-8|utf-8"),
        (STRUCTURED, as_json(EVENT | {"specversion": "0.3"}), "specversion"),
        (STRUCTURED, as_json(EVENT | {"id": ""}), "id: "),
        (STRUCTURED, as_json(EVENT | {"time": "now"}), "time: "),
        (
            STRUCTURED,
            as_json(EVENT).replace(b'"amount": 200.1', b'"a": ' + b"[" * 70 + b"]" * 70),
            "event 0: its data",
        ),
        (BATCHED, as_json([EVENT, 17]), "CloudEvents"),
        (BATCHED, b"[" + b"{}," * 20_001 + b"{}]", "more than"),
        (BINARY, b"{", "event 0: its data"),
        (BINARY | {"ce-type": "%ff"}, b"{}", "type"),
        (BINARY | {"ce-type": "\xff"}, b"{}", "UTF-8"),
        ({"content-type": "text/plain"}, b"hi", "no CloudEvent"),
        ({}, b"", "no CloudEvent"),
    ],
)
def test_what_is_wrong_is_named(headers: dict[str, str], body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROVIDER.parse(Incoming(headers, body), TOKEN)


def test_a_token_proves_it() -> None:
    for headers, query in (
        ({"authorization": "Bearer tok"}, {}),
        ({"authorization": "bearer  tok"}, {}),
        ({}, {"access_token": "tok"}),
        ({}, {"key": "tok"}),
    ):
        PROVIDER.verify(Incoming(headers, b"", query=query), TOKEN)
    for headers, query in (({"authorization": "Basic tok"}, {}), ({}, {}), ({}, {"access_token": "tök"})):
        with pytest.raises(NotSigned):
            PROVIDER.verify(Incoming(headers, b"", query=query), TOKEN)


@given(mutated([EVENT, EVENT]), st.sampled_from([STRUCTURED, BATCHED, {}]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any, headers: dict[str, str]) -> None:
    read(PROVIDER, as_json(value), headers)
    read(PROVIDER, as_json(value[0] if value else None), headers)


@given(st.dictionaries(st.sampled_from(list(BINARY)), st.text(max_size=20)), st.binary(max_size=20))
def test_whatever_headers_say_is_parsed_or_refused_in_words(headers: dict[str, str], body: bytes) -> None:
    read(PROVIDER, body, BINARY | headers)


# "Endpoint validation with Event Grid event schema"
VALIDATION = {
    "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
    "topic": "/subscriptions/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
    "subject": "",
    "data": {
        "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
        "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/…",
    },
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2018-01-25T22:12:19.4556811Z",
    "metadataVersion": "1",
    "dataVersion": "1",
}


@pytest.mark.parametrize("body", [as_json([VALIDATION]), as_json(VALIDATION)])
def test_event_grid_gets_its_code(body: bytes) -> None:
    reply = PROVIDER.answer(Incoming({"aeg-event-type": "SubscriptionValidation"}, body), TOKEN)
    assert reply is not None and reply.media_type == "application/json"
    assert json.loads(reply.body) == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}


def test_event_grids_own_schema_is_understood() -> None:
    created = VALIDATION | {
        "eventType": "Microsoft.Storage.BlobCreated",
        "subject": "/blobs/a",
        "data": {"api": "PutBlob"},
    }
    about = {
        "data": {"validationCode": 1},
        "eventType": "order.paid",
        "x": VALIDATION["eventType"],
        "id": "1",
    }
    body = as_json([created, about])
    assert PROVIDER.answer(Incoming({}, body), TOKEN) is None
    event, other = PROVIDER.parse(Incoming({"aeg-event-type": "Notification"}, body), TOKEN)
    assert (event.type, event.subject, event.raw) == (
        "Microsoft.Storage.BlobCreated",
        "/blobs/a",
        b'{"api": "PutBlob"}',
    )
    assert event.id == f"{VALIDATION['topic']} {VALIDATION['id']}" and event.time == 1_516_918_339_455_681
    assert other.type == "order.paid"
    with pytest.raises(ValueError, match="eventType"):
        PROVIDER.parse(Incoming({}, as_json([VALIDATION | {"id": 1}])), TOKEN)
