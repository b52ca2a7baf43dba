"""Mailjet's events as its guides describe them, taken in."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import BY_NAME, PROVIDERS, Incoming, NotSigned, ParsedEvent, mailjet
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

CREDENTIALS = {"username": "hookline", "password": "päss:word"}
COMMON: Mapping[str, Any] = {
    "time": 1_700_000_000,
    "MessageID": 19421777835146490,
    "Message_GUID": "1ab23cd4-e567-8901-2345-6789f0gh1i2j",
    "email": "ada@example.com",
    "mj_campaign_id": 0,
    "mj_contact_id": 0,
    "customcampaign": "",
    "CustomID": "",
    "Payload": "",
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "sent": {"mj_message_id": "19421777835146490", "smtp_reply": "sent (250 2.0.0 OK 1700000000 x)"},
    "open": {"ip": "192.0.2.7", "geo": "DK", "agent": AGENT},
    "click": {"url": "https://shop.example/a?b=c", "ip": "192.0.2.7", "geo": "DK", "agent": AGENT},
    "bounce": {
        "blocked": False,
        "hard_bounce": True,
        "error_related_to": "recipient",
        "error": "user unknown",
        "comment": "550 5.1.1 no such user",
    },
    "blocked": {"error_related_to": "mailjet", "error": "preblocked"},
    "spam": {"source": "JMRPP"},
    "unsub": {"mj_list_id": 1, "ip": "192.0.2.7", "geo": "", "agent": "List-Unsubscribe"},
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"event": name, **COMMON, **SAMPLES[name], **changes}


def body(*events: Mapping[str, Any]) -> bytes:
    return json.dumps(events[0] if len(events) == 1 else events).encode()


def parse(raw: bytes) -> list[ParsedEvent]:
    return mailjet.parse(Incoming({}, raw), CREDENTIALS)


def basic(text: bytes, scheme: str = "Basic") -> Incoming:
    return Incoming({"authorization": f"{scheme} {base64.b64encode(text).decode()}"}, b"")


def test_it_is_listed() -> None:
    assert BY_NAME["mailjet"] in PROVIDERS


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("sent", "email.sent", {"detail": "sent (250 2.0.0 OK 1700000000 x)"}),
        (
            "open",
            "email.opened",
            {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False, "machine_reason": None},
        ),
        (
            "click",
            "email.clicked",
            {
                "ip": "192.0.2.7",
                "user_agent": AGENT,
                "machine": False,
                "machine_reason": None,
                "url": "https://shop.example/a?b=c",
            },
        ),
        (
            "bounce",
            "email.bounced",
            {
                "hard": True,
                "reason": "user_unknown",
                "detail": "550 5.1.1 no such user",
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
            },
        ),
        ("blocked", "email.blocked", {"reason": "blocked", "detail": "preblocked"}),
        ("spam", "email.complained", {"detail": "JMRPP"}),
        (
            "unsub",
            "email.unsubscribed",
            {"ip": "192.0.2.7", "user_agent": "List-Unsubscribe", "method": "one-click"},
        ),
    ],
)
def test_the_seven_events(name: str, kind: str, facts: dict[str, Any]) -> None:
    [event] = parse(body(sample(name)))
    assert (event.type, event.email, event.time) == (kind, "ada@example.com", 1_700_000_000_000_000)
    assert (event.facts, event.message) == (facts, None)


def test_an_array_keeps_its_order_and_every_byte() -> None:
    raw = b'[ {"event":"spam","time":1,"email":"a@b.example","MessageID":19421777835146491} ,\n'
    raw += b'{"event":"unsub","time":2,"email":"\\u0061@b.example","n":1.10}]'
    first, second = parse(raw)
    assert (first.type, second.type) == ("email.complained", "email.unsubscribed")
    assert b"19421777835146491" in first.raw
    assert second.raw == b'{"event":"unsub","time":2,"email":"\\u0061@b.example","n":1.10}'
    assert parse(b"[]") == []


def test_our_message_comes_back_in_the_custom_id() -> None:
    message = new_id("dlv")
    assert parse(body(sample("open", CustomID=message)))[0].message == message
    for other in ("order-17", "dlv_", message + "x", 17, None):
        assert parse(body(sample("open", CustomID=other)))[0].message is None


def test_sent_is_delivered_where_the_mailer_has_said_sent() -> None:
    [event] = parse(body(sample("sent", CustomID=new_id("dlv"))))
    assert (event.type, event.ours) == ("email.sent", "email.delivered")


@pytest.mark.parametrize(
    ("related", "error", "reason"),
    [
        ("recipient", "mailbox inactive", "mailbox_inactive"),
        ("recipient", "quota exceeded", "mailbox_full"),
        ("domain", "no mail host", "host_unknown"),
        ("domain", "greylisted", "greylisted"),
        ("domain", "relay/access denied", "policy"),
        ("content", "a word that is new", "content"),
        ("spam", "content blocked", "spam"),
        ("spam", "policy issue", "policy"),
        ("system", "connection issue", "network"),
        ("system", "protocol issue", "protocol"),
        ("mailjet", "duplicate in campaign", "other"),
        ("", "", "other"),
        (None, 7, "other"),
    ],
)
def test_reasons_are_of_the_closed_list(related: Any, error: Any, reason: str) -> None:
    soft = sample("bounce", hard_bounce=False, error_related_to=related, error=error, comment="")
    facts = parse(body(soft))[0].facts
    assert (facts["hard"], facts["reason"]) == (False, reason)


def test_machines_are_told_apart() -> None:
    facts = parse(body(sample("open", agent="Mozilla/5.0")))[0].facts
    assert (facts["machine"], facts["machine_reason"]) == (True, "apple_privacy_proxy")
    facts = parse(body(sample("click", agent="Proofpoint URL Defense")))[0].facts
    assert (facts["machine"], facts["machine_reason"]) == (True, "scanner")
    facts = parse(body(sample("open", agent="")))[0].facts
    assert (facts["machine"], facts["machine_reason"]) == (False, None)


def test_ids_tell_events_apart_and_not_spellings() -> None:
    first = parse(body(sample("open")))[0].id
    respelled = json.dumps(dict(reversed(list(sample("open").items()))), indent=2).encode()
    assert parse(respelled)[0].id == first
    others = [
        sample("open", time=1_700_000_001),
        sample("open", MessageID=19421777835146491),
        sample("click"),
    ]
    assert len({first, *(parse(body(other))[0].id for other in others)}) == 4
    assert len(first) == 32


def test_an_unknown_event_is_kept() -> None:
    [event] = parse(b'{"event": "snooze", "what": 1e400}')
    assert (event.type, event.raw) == ("mailjet.snooze", b'{"event": "snooze", "what": 1e400}')
    for odd in ("a b", "a.b", "", "x" * 51, "é"):
        assert parse(body({"event": odd}))[0].type == "mailjet.unknown"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"event=open", "not JSON"),
        (b'{"event": "open"', "not JSON"),
        (b"[" * 100_000, "nested|not JSON"),
        (b'{"event": "open", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested|not JSON"),
        (b'{"event": "snooze", "x": ' + b"[" * 65 + b"]" * 65 + b"}", "event 0: this is nested"),
        (b'\xff{"event": "open"}', "not JSON"),
        (b'{"event": "open", "x": "\xff"}', "not JSON"),
        (b'"open"', "event 0 is not a JSON object"),
        (b"null", "event 0 is not a JSON object"),
        (b'[{"event": "snooze"}, 17]', "event 1 is not a JSON object"),
        (b"[[]]", "event 0 is not a JSON object"),
        (b"{}", "event 0 has no `event`"),
        (b'{"event": 17}', "event 0 has no `event`"),
        (body(sample("open", time=None)), "`time`"),
        (body(sample("open", time="now")), "`time`"),
        (body(sample("open", time=True)), "`time`"),
        (body(sample("open", time=-1)), "`time`"),
        (body(sample("open", time=10**18)), "`time`"),
        (body(sample("open", email=None)), "`email`"),
        (body(sample("open", email="a\0@b.example")), "`email`"),
        (body(sample("open", email="a" * 321)), "`email`"),
        (body(sample("open"), sample("click", email="")), r"event 1 \(click\) has no `email`"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(raw)


@given(mutated(*[[sample(name), sample("open")] for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(mailjet.PROVIDER, as_json(value))


def test_basic_auth_is_checked() -> None:
    right = "hookline:päss:word".encode()
    mailjet.verify(basic(right), CREDENTIALS)
    mailjet.verify(basic(right, "basic"), CREDENTIALS)
    for wrong in (
        basic(right + b"x"),
        basic(b"hookline:"),
        basic(b":"),
        basic(b""),
        basic(right, "Bearer"),
        Incoming({}, b""),
        Incoming({"authorization": "Basic"}, b""),
        Incoming({"authorization": "Basic ä!"}, b""),
        Incoming({"authorization": "Basic aGk"}, b""),
    ):
        with pytest.raises(NotSigned):
            mailjet.verify(wrong, CREDENTIALS)


def test_a_name_with_a_colon_is_refused() -> None:
    mailjet.PROVIDER.check(CREDENTIALS)
    with pytest.raises(ValueError, match="colon"):
        mailjet.PROVIDER.check({"username": "a:b", "password": "c"})


@pytest.mark.parametrize("time", ["1700000000", 1_700_000_000.0])
def test_the_time_may_be_a_text_or_have_a_fraction(time: Any) -> None:
    [event] = parse(body(sample("open", time=time)))
    assert event.time == 1_700_000_000_000_000


def test_a_permanent_refusal_of_a_living_address_is_not_hard() -> None:
    for error, hard in (("user unknown", True), ("quota exceeded", False)):
        for permanent in (True, 1, "true", "1"):
            [event] = parse(body(sample("bounce", error=error, hard_bounce=permanent, comment="")))
            assert event.facts["hard"] is hard
        assert parse(body(sample("bounce", error=error, hard_bounce="false")))[0].facts["hard"] is False


@pytest.mark.parametrize(
    ("payload", "metadata"),
    [
        ('{"order": 17, "vip": true}', {"order": 17, "vip": True}),
        ("order 17", {"Payload": "order 17"}),
        ("[1]", {"Payload": "[1]"}),
        ("{", {"Payload": "{"}),
        ("", None),
        (17, None),
    ],
)
def test_what_the_sender_attached_comes_back(payload: Any, metadata: Any) -> None:
    [event] = parse(body(sample("open", Payload=payload, customcampaign="spring")))
    assert (event.facts["tags"], event.facts.get("metadata")) == (["spring"], metadata)
    [named] = parse(body(sample("open", CustomID="order-17")))
    assert named.facts["metadata"] == {"CustomID": "order-17"} and "tags" not in named.facts
