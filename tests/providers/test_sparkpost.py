"""SparkPost's events as its event reference has them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, sparkpost
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = sparkpost.PROVIDER
NOW = 1_460_989_507
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COMMON: Mapping[str, Any] = {
    "campaign_id": "Example Campaign Name",
    "customer_id": "1",
    "event_id": "92356927693813856",
    "friendly_from": "sender@example.com",
    "injection_time": "2016-04-18T14:25:07.000Z",
    "ip_address": "127.0.0.1",
    "message_id": "000443ee14578172be22",
    "rcpt_meta": {"customKey": "customValue"},
    "rcpt_tags": ["male", "US"],
    "rcpt_to": "ada@example.com",
    "raw_rcpt_to": "Ada@example.com",
    "timestamp": str(NOW),
}
REFUSED: Mapping[str, Any] = {
    "bounce_class": "1",
    "error_code": "554",
    "raw_reason": "MAIL REFUSED - IP (17.99.99.99) is in black list",
    "reason": "MAIL REFUSED - IP (a.b.c.d) is in black list",
}
SEEN: Mapping[str, Any] = {"user_agent": AGENT, "ip_address": "192.0.2.7", "geo_ip": {"country": "DK"}}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "injection": {},
    "delivery": {"delv_method": "esmtp", "num_retries": "2"},
    "bounce": REFUSED,
    "delay": {
        **REFUSED,
        "bounce_class": "70",
        "error_code": "421",
        "raw_reason": "421 4.7.0 try again later",
    },
    "out_of_band": {
        **REFUSED,
        "bounce_class": "10",
        "raw_reason": "550 5.1.1 no such user",
        "error_code": "550",
    },
    "policy_rejection": {"bounce_class": "25", "error_code": "550", "raw_reason": "550 5.7.1 suppressed"},
    "spam_complaint": {"fbtype": "abuse", "report_by": "server.email.com"},
    "generation_failure": {"error_code": "554", "raw_reason": "a substitution failed"},
    "open": SEEN,
    "initial_open": SEEN,
    "click": {**SEEN, "target_link_name": "a", "target_link_url": "https://shop.example/a?b=c"},
    "list_unsubscribe": {"mailfrom": "recipient@example.com"},
    "link_unsubscribe": {
        "user_agent": AGENT,
        "ip_address": "192.0.2.7",
        "target_link_url": "https://x.example",
    },
}
CLASSES = {
    "spam_complaint": "message_event",
    "open": "track_event",
    "initial_open": "track_event",
    "click": "track_event",
    "list_unsubscribe": "unsubscribe_event",
    "link_unsubscribe": "unsubscribe_event",
    "generation_failure": "gen_event",
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    inside = {"type": name, **COMMON, **SAMPLES.get(name, {}), **changes}
    return {"msys": {CLASSES.get(name, "message_event"): inside}}


def parse(*events: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming({}, as_json(list(events))), {})


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("injection", "email.sent", {}),
        ("delivery", "email.delivered", {}),
        ("bounce", "email.bounced", {"smtp_code": 554, "reason": "blocked", "hard": False}),
        (
            "delay",
            "email.deferred",
            {"smtp_code": 421, "enhanced_code": "4.7.0", "reason": "system"},
        ),
        (
            "out_of_band",
            "email.bounced",
            {"smtp_code": 550, "enhanced_code": "5.1.1", "reason": "user_unknown", "hard": True},
        ),
        (
            "policy_rejection",
            "email.blocked",
            {"smtp_code": 550, "enhanced_code": "5.7.1", "reason": "policy"},
        ),
        ("generation_failure", "email.blocked", {"smtp_code": 554, "reason": "content"}),
        ("spam_complaint", "email.complained", {"detail": "abuse"}),
        ("open", "email.opened", {"machine": False, "machine_reason": None, "ip": "192.0.2.7"}),
        ("initial_open", "email.opened", {"machine": True, "machine_reason": "prefetch"}),
        (
            "click",
            "email.clicked",
            {"machine": False, "url": "https://shop.example/a?b=c", "user_agent": AGENT},
        ),
        ("list_unsubscribe", "email.unsubscribed", {}),
        ("link_unsubscribe", "email.unsubscribed", {"ip": "192.0.2.7", "user_agent": AGENT}),
    ],
)
def test_the_events(name: str, kind: str, facts: dict[str, Any]) -> None:
    [event] = parse(sample(name))
    assert (event.type, event.email, event.time) == (kind, "Ada@example.com", NOW * 1_000_000)
    assert (event.id, event.message) == ("92356927693813856", None)
    assert event.facts == {**event.facts, **facts}
    assert (event.facts["tags"], event.facts["metadata"]) == (["male", "US"], {"customKey": "customValue"})
    assert ("ip" in event.facts) == (name in ("open", "initial_open", "click", "link_unsubscribe"))
    assert event.ours == ("sparkpost.injection" if name == "injection" else None)


@pytest.mark.parametrize(
    ("code", "kind", "reason", "hard"),
    [
        (10, "email.bounced", "user_unknown", True),
        (20, "email.bounced", "other", False),
        (21, "email.bounced", "host_unknown", False),
        (22, "email.bounced", "mailbox_full", False),
        (23, "email.bounced", "message_too_large", False),
        (24, "email.bounced", "expired", False),
        (25, "email.blocked", "policy", None),
        (30, "email.bounced", "user_unknown", True),
        (40, "email.bounced", "other", False),
        (50, "email.bounced", "blocked", False),
        (51, "email.bounced", "blocked", False),
        (52, "email.bounced", "spam", False),
        (53, "email.bounced", "content", False),
        (54, "email.bounced", "policy", False),
        (60, "sparkpost.auto_reply", None, None),
        (70, "email.bounced", "system", False),
        (80, "sparkpost.subscribe_request", None, None),
        (90, "email.unsubscribed", None, None),
        (100, "sparkpost.challenge_response", None, None),
        (777, "email.bounced", "other", False),
    ],
)
def test_bounce_classes(code: int, kind: str, reason: str | None, hard: bool | None) -> None:
    for written in (code, str(code)):
        [event] = parse(sample("bounce", bounce_class=written, raw_reason="", reason="", error_code=None))
        assert (event.type, event.facts.get("reason"), event.facts.get("hard")) == (kind, reason, hard)


def test_words_outweigh_a_class() -> None:
    [event] = parse(sample("bounce", bounce_class="10", raw_reason="552 5.2.2 mailbox full"))
    assert (event.facts["reason"], event.facts["hard"]) == ("mailbox_full", False)


def test_our_message_comes_back_in_the_metadata() -> None:
    message = new_id("dlv")
    [event] = parse(sample("open", rcpt_meta={"hookline": message, "order": 17}))
    assert (event.message, event.facts["metadata"]) == (message, {"order": 17})


def test_a_ping_tells_nothing_and_what_is_new_is_kept() -> None:
    assert parse({"msys": {}}) == []
    assert PROVIDER.parse(Incoming({}, b'{"msys": {}}'), {}) == []
    relayed, new = parse({"msys": {"relay_event": {"type": "relay_delivery"}}}, sample("snooze"))
    assert [(event.type, event.known) for event in (relayed, new)] == [
        ("sparkpost.relay_delivery", True),
        ("sparkpost.snooze", False),
    ]
    assert parse(sample("open", user_agent_parsed={"is_prefetched": True}))[0].facts["machine"] is True


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "event 1 has no `msys`"),
        ({"msys": {"track_event": 17}}, "no object in `msys.track_event`"),
        ({"msys": {"track_event": {}}}, "event 1 has no `type`"),
        (sample("open", timestamp="soon"), r"event 1 \(open\) has no `timestamp`"),
        (sample("open", raw_rcpt_to=None, rcpt_to=7), r"event 1 \(open\) has no `rcpt_to`"),
    ],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(sample("open"), event)


def test_basic_auth_a_header_or_a_token_proves_it() -> None:
    basic = {"authorization": "Basic " + base64.b64encode(b"us:pw").decode()}
    PROVIDER.verify(Incoming(basic, b""), {"username": "us", "password": "pw"})
    for headers in (
        {"authorization": "Bearer tok"},
        {"x-hookline-token": "tok"},
        {"x-messagesystems-webhook-token": "tok"},
    ):
        PROVIDER.verify(Incoming(headers, b""), {"token": "tok"})
        with pytest.raises(NotSigned):
            PROVIDER.verify(Incoming(headers, b""), {"token": "tik"})
        with pytest.raises(NotSigned):
            PROVIDER.verify(Incoming(headers, b""), {"username": "us", "password": "pw"})
    with pytest.raises(ValueError, match="or a token"):
        PROVIDER.check({})


@given(mutated(*[[sample(name), {"msys": {}}] for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(PROVIDER, as_json(value))


def test_mail_that_comes_in_is_kept() -> None:
    [event] = parse({"msys": {"relay_message": {"rcpt_to": "us@example.com", "content": {"html": "x"}}}})
    assert (event.type, event.email, event.known) == ("sparkpost.relay_message", "us@example.com", True)
