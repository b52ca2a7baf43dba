"""Any HMAC, by settings."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.providers import Incoming, NotSigned, ParsedEvent
from hookline.providers.general import signed
from support.mutations import read

PROVIDER = signed.PROVIDER
NOW = 1_700_000_000
BODY = b'{"type": "order.paid", "reference": 17, "customer": {"email": "ada@example.com"}}'
BASE = {"secret": "s3cret", "header": "X-Signature"}


def mac(text: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.digest(b"s3cret", text, algorithm)


def call(headers: Mapping[str, str], body: bytes = BODY, **more: Any) -> Incoming:
    return Incoming(headers, body, url="https://hooks.example/in/src_1", now=float(NOW), **more)


def parse(
    settings: Mapping[str, str], body: bytes = BODY, headers: Mapping[str, str] | None = None
) -> ParsedEvent:
    [event] = PROVIDER.parse(call(headers or {}, body), {**BASE, **settings})
    return event


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({}, {"x-signature": mac(BODY).hex()}),
        ({}, {"x-signature": mac(BODY).hex().upper() + " "}),
        ({"prefix": "sha256="}, {"x-signature": "sha256=" + mac(BODY).hex()}),
        ({"algorithm": "sha1"}, {"x-signature": mac(BODY, "sha1").hex()}),
        (
            {"algorithm": "sha512", "encoding": "base64"},
            {"x-signature": base64.b64encode(mac(BODY, "sha512")).decode()},
        ),
        ({"encoding": "base64"}, {"x-signature": base64.urlsafe_b64encode(mac(BODY)).decode().rstrip("=")}),
        (
            {"timestamp_header": "X-Time"},
            {"x-signature": mac(b"%d." % NOW + BODY).hex(), "x-time": str(NOW)},
        ),
        (
            {"timestamp_header": "X-Time", "template": "v0:{timestamp}:{body}", "prefix": "v0="},
            {"x-signature": "v0=" + mac(b"v0:%d:" % (NOW * 1000) + BODY).hex(), "x-time": str(NOW * 1000)},
        ),
        (
            {
                "timestamp_header": "X-Time",
                "template": "{timestamp}\n{url}\n{id}\n{body}",
                "id_header": "X-Id",
            },
            {"x-time": "2023-11-14T22:13:20Z", "x-id": "a1"}
            | {
                "x-signature": mac(b"2023-11-14T22:13:20Z\nhttps://hooks.example/in/src_1\na1\n" + BODY).hex()
            },
        ),
        (
            {
                "timestamp_header": "X-Signature",
                "timestamp_prefix": "ts=",
                "prefix": "h1=",
                "template": "{timestamp}:{body}",
            },
            {"x-signature": f"ts={NOW};h1={'0' * 64};h1={mac(b'%d:' % NOW + BODY).hex()}"},
        ),
        (
            {"timestamp_header": "X-Time", "tolerance": "2h"},
            {"x-signature": mac(b"%d." % (NOW - 7000) + BODY).hex(), "x-time": str(NOW - 7000)},
        ),
    ],
)
def test_settings_say_how_it_is_signed(settings: dict[str, str], headers: dict[str, str]) -> None:
    PROVIDER.check(BASE | settings)
    PROVIDER.verify(call(headers), BASE | settings)
    for wrong in (call(headers, BODY + b" "), call(dict.fromkeys(headers, "")), call({})):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, BASE | settings)
    with pytest.raises(NotSigned, match="does not match"):
        PROVIDER.verify(call(headers), BASE | settings | {"secret": "other"})


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (str(NOW - 3600), "signed 3600 s ago"),
        (str(NOW + 3600), "in the future"),
        (str((NOW - 3600) * 1000), "signed 3600 s ago"),
        ("soon", "neither seconds"),
        ("9" * 400, "neither seconds"),
    ],
)
def test_a_time_that_is_signed_is_looked_at(at: str, words: str) -> None:
    headers = {"x-signature": mac(at.encode() + b"." + BODY).hex(), "x-time": at}
    with pytest.raises(NotSigned, match=words):
        PROVIDER.verify(call(headers), {**BASE, "timestamp_header": "X-Time"})


def test_a_prefix_that_is_not_there() -> None:
    for settings, headers in (
        ({"prefix": "v1="}, {"x-signature": mac(BODY).hex()}),
        ({"timestamp_header": "X-Signature", "timestamp_prefix": "t="}, {"x-signature": mac(BODY).hex()}),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(call(headers), BASE | settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"algorithm": "md5"}, "algorithm is one of sha256"),
        ({"encoding": "base32"}, "encoding is one of hex"),
        ({"template": "{timestamp}"}, "has {body}"),
        ({"template": "{body}{secret}"}, "is made of"),
        ({"template": "{timestamp}.{body}"}, "go together"),
        ({"timestamp_header": "X-Time", "template": "{body}"}, "go together"),
        ({"template": "{id}.{body}"}, "id_header"),
        ({"tolerance": "5m"}, "tolerance needs"),
        ({"timestamp_prefix": "t="}, "timestamp_prefix needs"),
        ({"timestamp_header": "X-Time", "tolerance": "soon"}, "not a duration"),
        ({"type": "email.opened"}, "Hookline's own"),
        ({"type": "a b"}, "no type at all"),
        ({"type": "a", "type_field": "b"}, "not both"),
        ({"type_header": "a", "type_field": "b"}, "not both"),
        ({"id_header": "a", "id_field": "b"}, "not both"),
        ({"repeats": "sometimes"}, "drop or keep"),
        ({"repeats": "keep", "id_field": "b"}, "give it, or repeats"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROVIDER.check(BASE | settings)


def test_settings_say_what_is_what() -> None:
    event = parse({"id_field": "reference", "subject_field": "customer.email"})
    assert (event.type, event.id, event.subject, event.raw) == ("order.paid", "17", "ada@example.com", BODY)
    assert parse({"type": "bank.withdrawal"}).type == "bank.withdrawal"
    assert (
        parse({"type_header": "X-Topic"}, headers={"x-topic": "hook.disabled"}).type == "hmac.hook.disabled"
    )
    assert parse({"type_field": "customer.email"}).type == "ada@example.com"
    assert parse({"type_field": "nothing.here"}).type == "hmac.event"
    assert parse({}, b'{"event": "a.b"}').type == "a.b"
    assert parse({}, b'[{"a": [5]}]').type == "hmac.event"
    assert parse({"id_field": "0.a.0"}, b'[{"a": [5]}]').id == "5"
    assert parse({"id_header": "X-Id"}, headers={"x-id": "a1"}).id == "a1"


def test_a_call_is_its_own_id_where_it_has_none() -> None:
    timed = {"timestamp_header": "X-Time"}
    first, again, later = (parse(timed, headers={"x-time": at}).id for at in ("1", "1", "2"))
    assert first == again != later  # a replay is a duplicate; the same again later is not
    assert parse({}).id == parse({}).id != parse({}, b"{}").id
    assert parse({"id_field": "nothing"}).id == parse({}).id


def test_equal_calls_can_be_meant() -> None:
    keep = {**BASE, "repeats": "keep"}
    first, later = (PROVIDER.parse(Incoming({}, BODY, now=NOW + n), keep)[0].id for n in (0.25, 0.5))
    assert first != later


def test_a_form_is_an_object() -> None:
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert parse({}, b"a=1&b=&a=2&a=%C3%BC", form).raw == '{"a":["1","2","ü"],"b":""}'.encode()
    assert parse({}, BODY, form).raw == BODY  # what curl calls everything
    for body, headers, words in (
        (b"--x", {"content-type": "multipart/form-data; boundary=x"}, "send JSON"),
        (b"{", {}, "not JSON"),
        (b"[1,", form, "not JSON"),
        (b"[" * 100 + b"]" * 100, {}, "nested"),
        (b"[1" + b",1" * 1_000_001 + b"]", {}, "too much"),
    ):
        with pytest.raises(ValueError, match=words):
            parse({}, body, headers)


@given(
    st.binary(max_size=100), st.sampled_from(["", "application/x-www-form-urlencoded"]), st.text(max_size=20)
)
def test_any_call_is_taken_or_refused_in_words(body: bytes, media: str, text: str) -> None:
    settings = {**BASE, "type_header": "t", "id_header": "i", "timestamp_header": "n", "prefix": "v="}
    headers = {"content-type": media, "t": text, "i": text, "n": text or "0", "x-signature": text}
    with pytest.raises(NotSigned):
        PROVIDER.verify(call(headers, body), settings)
    for event in read(PROVIDER, body, headers, settings):
        assert event.type
        assert event.id.isascii()


@pytest.mark.parametrize(
    ("body", "media", "raw", "envelope"),
    [
        (b"<a>\xc3\xbc</a>", "text/xml", '"<a>ü</a>"'.encode(), {"datacontenttype": "text/xml"}),
        (b"", "", b'""', {"datacontenttype": "text/plain"}),
        (b"a", "application/x-www-form-urlencoded", b'"a"', {"datacontenttype": "application/x-www-form-urlencoded"}),
        (b"\xff=1", "image/gif", b"", {"datacontenttype": "image/gif", "data_base64": "/z0x"}),
        (b"a\0b", "", b"", {"datacontenttype": "text/plain", "data_base64": "YQBi"}),
    ],
)  # fmt: skip
def test_what_is_neither_json_nor_a_form_is_kept_as_it_is(
    body: bytes, media: str, raw: bytes, envelope: dict[str, str]
) -> None:
    event = parse({}, body, {"content-type": media})
    assert (event.type, event.raw) == ("hmac.event", raw)
    assert json.loads(event.envelope or b"null") == envelope


def test_a_window_can_be_set_and_switched_off() -> None:
    sent = {"x-time": "1700000000", "x-sig": hmac.digest(b"s", b"1700000000.{}", "sha256").hex()}
    base = {"secret": "s", "header": "X-Sig", "timestamp_header": "X-Time"}
    year_later = Incoming(sent, b"{}", now=1_731_536_000.0)
    for tolerance, taken in ((None, False), ("300d", False), ("370d", True), ("off", True), ("0", True)):
        credentials = base | ({"tolerance": tolerance} if tolerance else {})
        PROVIDER.check(credentials)
        if taken:
            PROVIDER.verify(year_later, credentials)
        else:
            with pytest.raises(NotSigned, match="s ago"):
                PROVIDER.verify(year_later, credentials)
    with pytest.raises(NotSigned, match="in the future"):
        PROVIDER.verify(Incoming(sent, b"{}", now=1_600_000_000.0), base | {"tolerance": "off"})


def test_bytes_that_are_no_text_are_told_apart() -> None:
    one, other, again = (parse({}, body, {}).id for body in (b"\xff1", b"\xff2", b"\xff1"))
    assert one == again != other
