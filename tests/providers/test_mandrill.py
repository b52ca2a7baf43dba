"""Mandrill's events as its help pages have them, signed as it signs."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, mandrill
from hookline.rules.ids import new_id
from support.mutations import mutated, read

PROVIDER = mandrill.PROVIDER
NOW = 1_384_954_004
URL = "https://hooks.example/in/src_1?a=b"
KEY = {"key": "pr_fsjZ8wzpoSUrVuMEG_Q"}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MESSAGE: Mapping[str, Any] = {
    "ts": 1_365_109_999,
    "subject": "This an example webhook message",
    "email": "ada@example.com",
    "sender": "example.sender@mandrillapp.com",
    "tags": ["webhook-example"],
    "state": "sent",
    "metadata": {"user_id": 111},
    "_id": "exampleaaaaaaaaaaaaaaaaaaaaaaaaa",
    "_version": "exampleaaaaaaaaaaaaaaa",
}
TRY = {"diag": "451 4.3.5 Temporarily unavailable, try again later.", "ts": 1_365_111_111, "type": "deferred"}
SEEN = {"ip": "192.0.2.7", "location": {"country_short": "DK"}, "user_agent": AGENT}
# name: what is in `msg` besides, and beside it
SAMPLES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "send": ({"opens": [], "clicks": []}, {}),
    "delivered": ({"diag": "250 OK"}, {}),
    "deferral": ({"smtp_events": [TRY]}, {}),
    "hard_bounce": ({"bounce_description": "bad_mailbox", "diag": "smtp;550 5.1.1 does not exist"}, {}),
    "soft_bounce": ({"bounce_description": "mailbox_full", "diag": "smtp;552 5.2.2 Over Quota"}, {}),
    "reject": ({"state": "rejected", "reject": {"reason": "hard-bounce", "detail": "550 no such user"}}, {}),
    "open": ({}, {**SEEN, "user_agent_parsed": {"type": "Email Client", "ua_family": "Firefox"}}),
    "click": ({}, {**SEEN, "url": "https://shop.example/a?b=c"}),
    "spam": ({}, {}),
    "unsub": ({}, {}),
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    inside, beside = SAMPLES[name]
    return {"event": name, "ts": NOW, "_id": "x", "msg": {**MESSAGE, **inside, **changes}, **beside}


def form(*events: Any) -> bytes:
    return urlencode({"mandrill_events": json.dumps(events)}).encode()


def parse(*events: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming({}, form(*events)), {})


def signed(body: bytes, text: str, key: str = KEY["key"], url: str = URL) -> Incoming:
    """``text`` is what is signed behind the URL."""
    mac = base64.b64encode(hmac.digest(key.encode(), (url + text).encode(), "sha1")).decode()
    return Incoming({"x-mandrill-signature": mac}, body, url=URL)


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("send", "email.sent", {}),
        ("delivered", "email.delivered", {"detail": "250 OK"}),
        ("deferral", "email.deferred", {"smtp_code": 451, "enhanced_code": "4.3.5", "reason": "system"}),
        (
            "hard_bounce",
            "email.bounced",
            {"smtp_code": 550, "enhanced_code": "5.1.1", "reason": "user_unknown", "hard": True}
            | {"detail": "550 5.1.1 does not exist"},
        ),
        ("soft_bounce", "email.bounced", {"smtp_code": 552, "reason": "mailbox_full", "hard": False}),
        ("reject", "email.blocked", {"reason": "hard_bounce", "detail": "550 no such user"}),
        ("open", "email.opened", {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False}),
        ("click", "email.clicked", {"url": "https://shop.example/a?b=c", "machine": False}),
        ("spam", "email.complained", {}),
        ("unsub", "email.unsubscribed", {}),
    ],
)
def test_the_events(name: str, kind: str, facts: dict[str, Any]) -> None:
    [event] = parse(sample(name))
    assert (event.type, event.email, event.time) == (kind, "ada@example.com", NOW * 1_000_000)
    assert event.facts == {**event.facts, **facts}
    assert (event.facts["tags"], event.facts["metadata"]) == (["webhook-example"], {"user_id": 111})
    assert event.ours == ("mandrill.send" if name == "send" else None)
    assert json.loads(event.raw) == sample(name)


def test_our_message_comes_back_in_the_metadata() -> None:
    message = new_id("dlv")
    [event] = parse(sample("open", metadata={"hookline": message}))
    assert (event.message, "metadata" in event.facts) == (message, False)
    assert parse(sample("open", metadata=[]))[0].message is None


@pytest.mark.parametrize(
    ("changes", "reason", "hard"),
    [
        ({"bounce_description": "invalid_domain", "diag": ""}, "host_unknown", True),
        ({"bounce_description": "general", "diag": "smtp;550 5.7.1 listed by a blocklist"}, "blocked", False),
        ({"bounce_description": "general", "diag": None}, "other", True),
        ({"bounce_description": 7, "diag": {}}, "other", True),
    ],
)
def test_hard_bounces(changes: dict[str, Any], reason: str, hard: bool) -> None:
    facts = parse(sample("hard_bounce", **changes))[0].facts
    assert (facts["reason"], facts["hard"]) == (reason, hard)


def test_repeats_have_one_id_and_others_have_others() -> None:
    again = [parse(sample("open"))[0].id for _ in range(2)]
    assert again[0] == again[1] != parse(sample("open", email="bob@example.com"))[0].id


def test_what_has_no_word_of_ours_is_kept() -> None:
    listed = {"type": "blacklist", "action": "add", "reject": {"email": "ada@example.com"}, "ts": NOW}
    mail = {"event": "inbound", "ts": NOW, "msg": {"email": "us@example.com", "raw_msg": "…"}}
    events = parse(listed, mail, {"event": "snooze"})
    assert [(event.type, event.email, event.known) for event in events] == [
        ("mandrill.blacklist", "ada@example.com", True),
        ("mandrill.inbound", "us@example.com", True),
        ("mandrill.snooze", None, False),
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no `mandrill_events`"),
        (b"{}", "no form"),
        (b"mandrill_events=17", "not a JSON object"),
        (b"mandrill_events=%5B", "not JSON"),
        (form({}), "event 0 has no `event`"),
        (form({"event": "open", "msg": MESSAGE}), r"event 0 \(open\) has no `ts`"),
        (form({"event": "open", "ts": NOW, "msg": {}}), r"event 0 \(open\) has no `msg.email`"),
        (form({"event": "send", "ts": NOW}), r"event 0 \(send\) has no `msg.email`"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROVIDER.parse(Incoming({}, body), {})


def test_the_signature_is_checked() -> None:
    text = json.dumps([sample("open")])
    body = urlencode({"mandrill_events": text, "b": "2 ü", "a": "1"}).encode()
    right = "a1b2 ümandrill_events" + text
    PROVIDER.verify(signed(body, right), KEY)
    PROVIDER.verify(
        signed(body, right, url="https://elsewhere.example"), {**KEY, "url": "https://elsewhere.example"}
    )
    for wrong in (
        signed(body, right, key="other"),
        signed(body, right, key="test-webhook"),
        signed(body, right, url=URL + "/"),
        signed(body, right + " "),
        signed(b"\xff=1", right),
        Incoming({}, body, url=URL),
        Incoming({"x-mandrill-signature": "é"}, body, url=URL),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, KEY)


def test_an_address_can_be_tried_before_there_is_a_key() -> None:
    tried = signed(b"mandrill_events=%5B%5D", "mandrill_events[]", key="test-webhook")
    for credentials in ({}, KEY):
        PROVIDER.verify(tried, credentials)
    assert PROVIDER.parse(tried, {}) == []
    with pytest.raises(NotSigned, match="no key yet"):
        PROVIDER.verify(signed(b"mandrill_events=%5B%5D", "mandrill_events[]"), {})


@given(mutated(*[[sample(name)] for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(PROVIDER, urlencode({"mandrill_events": json.dumps(value)}).encode())


def test_an_open_of_a_forgotten_mail_is_of_nobody() -> None:
    body = form({"event": "open", "ts": NOW, "ip": "192.0.2.7", "_id": "x"})
    [event] = PROVIDER.parse(Incoming({}, body), {})
    assert (event.type, event.email, event.message, event.facts["ip"]) == (
        "email.opened", None, None, "192.0.2.7",
    )  # fmt: skip
