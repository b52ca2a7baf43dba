"""CloudEvents: what comes in goes out again, in all three modes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.actions.formats import cloudevent
from hookline.model import Event, EventDraft
from hookline.rules import cloudevents
from hookline.rules.cloudevents import Malformed, binary, is_json, split, structured

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid"}
OWN = {"specversion", "id", "source", "type", "subject", "time", "data", "datacontenttype", "dataschema"}

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
names = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(lambda name: name not in OWN)
scalars = texts | st.booleans() | st.integers(-(2**31), 2**31 - 1)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
attributes = st.fixed_dictionaries(
    {"id": texts, "source": texts, "type": texts, "specversion": st.just("1.0")},
    optional={
        "subject": texts,
        "time": st.just("2026-05-04T12:30:00.123456Z"),
        "dataschema": texts,
        "datacontenttype": st.sampled_from(["application/json", "text/json; charset=utf-8", "text/plain"]),
    },
)
events = st.builds(
    lambda known, others: known | others, attributes, st.dictionaries(names, scalars, max_size=3)
)


def stored(draft: EventDraft) -> Event:
    return Event(
        tenant="t",
        id="evt_1",
        type=draft.type,
        source=draft.source,
        source_id=draft.source_id,
        subject=draft.subject,
        time=draft.time if draft.time is not None else 0,
        accepted_at=0,
        data=draft.data,
        envelope=draft.envelope,
    )


def out(draft: EventDraft) -> Any:
    return json.loads(cloudevent(stored(draft)))


@given(events, st.none() | st.builds(lambda value: {"data": value}, plain))
def test_structured_events_come_out_as_they_went_in(
    event: dict[str, Any], data: dict[str, Any] | None
) -> None:
    written = event | (data or {})
    wanted = {"time": "1970-01-01T00:00:00Z"} | written
    assert out(structured(json.dumps(written).encode())) == wanted


@given(events, st.binary(max_size=50))
def test_bytes_stay_bytes(event: dict[str, Any], data: bytes) -> None:
    encoded = msgspec.to_builtins(data)
    draft = structured(json.dumps(event | {"data_base64": encoded}).encode())
    assert draft.data == b""
    assert out(draft)["data_base64"] == encoded


@given(events, plain)
def test_binary_events_come_out_the_same(event: dict[str, Any], data: Any) -> None:
    headers = [
        (f"ce-{name}", quote(str(value))) for name, value in event.items() if name != "datacontenttype"
    ]
    kind = event.get("datacontenttype", "")
    body = json.dumps(data).encode()
    shown = out(binary(headers, kind, body))
    wanted = {name: str(value) for name, value in event.items()} | {"time": shown["time"]}
    content = {"data": data} if is_json(kind) else {"data_base64": msgspec.to_builtins(body)}
    assert shown == wanted | content


def test_the_bytes_of_data_are_unchanged() -> None:
    data = b'{"b" : 1.50, "a":[1e2 ,"\\u00e9"] }'
    draft = structured(b'{"data": ' + data + b" ," + json.dumps(REQUIRED).encode()[1:])
    assert draft.data == data
    assert cloudevent(stored(draft)).endswith(b',"data":' + data + b"}")


def test_null_is_absence_for_attributes_and_a_value_for_data() -> None:
    draft = structured(json.dumps(REQUIRED | {"subject": None, "shop": None, "data": None}).encode())
    assert (draft.subject, draft.envelope, draft.data) == (None, None, b"null")
    draft = structured(json.dumps(REQUIRED | {"data": None, "data_base64": "AA=="}).encode())
    assert draft.data == b""


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"specversion": None}, "specversion", "1.0"),
        ({"specversion": "0.3"}, "specversion", "1.0"),
        ({"specversion": 1.0}, "specversion", "text"),
        ({"id": None}, "id", "required"),
        ({"id": ""}, "id", "not empty"),
        ({"id": 7}, "id", "text"),
        ({"source": None}, "source", "required"),
        ({"type": None}, "type", "required"),
        ({"subject": ""}, "subject", "not empty"),
        ({"time": "soon"}, "time", "RFC 3339"),
        ({"datacontenttype": 5}, "datacontenttype", "text"),
        ({"Shop": "x"}, "Shop", "lower-case"),
        ({"my-shop": "x"}, "my-shop", "lower-case"),
        ({"": "x"}, "", "lower-case"),
        ({"shop": {"a": 1}}, "shop", "32 bits"),
        ({"shop": 1.5}, "shop", "32 bits"),
        ({"shop": 2**31}, "shop", "32 bits"),
        ({"data": 1, "data_base64": "AA=="}, "data_base64", "not both"),
        ({"data_base64": "=A"}, "data_base64", "base64"),
        ({"data_base64": 5}, "data_base64", "text"),
    ],
)
def test_what_is_malformed(change: dict[str, Any], name: str, says: str) -> None:
    with pytest.raises(Malformed, match=says) as caught:
        structured(json.dumps(REQUIRED | change).encode())
    assert caught.value.name == name


@pytest.mark.parametrize("raw", [b"", b"5", b"[]", b'{"id": tru}'])
def test_what_is_no_object(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        structured(raw)


def test_a_batch_is_an_array() -> None:
    assert split(b'[ {"a": 1} , 2 ]') == [b'{"a": 1}', b"2"]
    with pytest.raises(msgspec.DecodeError):
        split(b"{}")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Euro %E2%82%AC %F0%9F%98%80", "Euro € 😀"),
        ('"a \\"quoted\\" \\\\ one"', 'a "quoted" \\ one'),
        ("%22", '"'),
        ("100%25", "100%"),
        ("  spaced  ", "spaced"),
    ],
)
def test_headers_are_unquoted_and_percent_decoded(header: str, value: str) -> None:
    draft = binary(
        [*((f"ce-{name}", text) for name, text in REQUIRED.items()), ("ce-subject", header)], "", b""
    )
    assert draft.subject == value


@pytest.mark.parametrize(
    ("header", "name", "says"),
    [
        (("ce-subject", "%ff"), "subject", "UTF-8"),
        (("ce-id", "2"), "id", "twice"),
        (("ce-data", "x"), "data", "the body"),
        (("ce-datacontenttype", "text/plain"), "datacontenttype", "Content-Type"),
        (("ce-my-shop", "x"), "my-shop", "lower-case"),
    ],
)
def test_malformed_headers(header: tuple[str, str], name: str, says: str) -> None:
    with pytest.raises(Malformed, match=says) as caught:
        binary([*((f"ce-{key}", text) for key, text in REQUIRED.items()), header], "", b"")
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/json", True),
        ("application/vnd.shop+json", True),
        ("", True),
        ("text/plain", False),
        ("application/jsonlines", False),
        ("application/octet-stream", False),
    ],
)
def test_which_data_is_json(content_type: str, json: bool) -> None:
    assert cloudevents.is_json(content_type) is json
