"""Mailtrap's events as its documentation has them, signed as it signs."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, mailtrap
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = mailtrap.PROVIDER
NOW = 1_733_497_282
SECRET = {"signing_secret": "8d74ef9c3a2b1f60"}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COMMON: Mapping[str, Any] = {
    "message_id": "1df37d17-0286-4d8b-8edf-bc4ec5be86e6",
    "sending_stream": "transactional",
    "sending_domain_name": "examplesender.com",
    "email": "ada@example.com",
    "category": "Password reset",
    "custom_variables": {"variable_a": "value", "baz": 123},
    "event_id": "bede7236-2284-43d6-a953-1fdcafd0fdbc",
    "timestamp": NOW,
}
SEEN = {"ip": "192.0.2.7", "user_agent": AGENT}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "delivery": {},
    "soft bounce": {
        "response": "[CS01] Mailbox is over quota",
        "response_code": 452,
        "bounce_category": "quota",
    },
    "bounce": {"response": "5.5.1 User Unknown", "response_code": 550, "bounce_category": "badrecipient"},
    "suspension": {"reason": "Account suspended"},
    "reject": {"reason": "Recipient in the suppression list"},
    "open": SEEN,
    "click": {**SEEN, "url": "https://shop.example/a?b=c"},
    "unsubscribe": SEEN,
    "spam": {},
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"event": name, **COMMON, **SAMPLES.get(name, {}), **changes}


def parse(*events: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming({}, as_json({"events": events})), SECRET)


def signed(body: bytes, secret: str = SECRET["signing_secret"]) -> Incoming:
    return Incoming({"mailtrap-signature": hmac.digest(secret.encode(), body, "sha256").hex()}, body)


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("delivery", "email.delivered", {}),
        ("soft bounce", "email.bounced", {"smtp_code": 452, "reason": "mailbox_full", "hard": False}),
        (
            "bounce",
            "email.bounced",
            {"smtp_code": 550, "enhanced_code": "5.5.1", "reason": "user_unknown", "hard": True},
        ),
        ("suspension", "email.blocked", {"reason": "policy", "detail": "Account suspended"}),
        ("reject", "email.blocked", {"reason": "blocked", "detail": "Recipient in the suppression list"}),
        ("open", "email.opened", {**SEEN, "machine": False}),
        ("click", "email.clicked", {**SEEN, "url": "https://shop.example/a?b=c", "machine": False}),
        ("unsubscribe", "email.unsubscribed", SEEN),
        ("spam", "email.complained", {}),
    ],
)
def test_the_events(name: str, kind: str, facts: dict[str, Any]) -> None:
    for written in (name, name.replace(" ", "_")):
        [event] = parse(sample(name, event=written))
        assert (event.type, event.email, event.time) == (kind, "ada@example.com", NOW * 1_000_000)
        assert (event.id, event.message) == ("bede7236-2284-43d6-a953-1fdcafd0fdbc", None)
        about = {"tags": ["Password reset"], "metadata": {"variable_a": "value", "baz": 123}}
        assert event.facts == {**event.facts, **facts, **about}


@pytest.mark.parametrize(
    ("changes", "reason", "hard"),
    [
        ({"response": "Message rejected due to local policy", "bounce_category": "spam"}, "policy", False),
        ({"response": None, "response_code": None}, "user_unknown", True),
        ({"response": "", "response_code": "x", "bounce_category": "bad-domain"}, "host_unknown", True),
        ({"response": "", "response_code": None, "bounce_category": "spam-related"}, "spam", False),
        ({"response": "", "response_code": None, "bounce_category": 7}, "other", False),
    ],
)
def test_bounces(changes: dict[str, Any], reason: str, hard: bool) -> None:
    facts = parse(sample("bounce", **changes))[0].facts
    assert (facts["reason"], facts["hard"]) == (reason, hard)


def test_lines_are_read_as_well_as_an_array() -> None:
    names = ["delivery", "open", "click"]
    lines = b"\n".join(as_json(sample(name)) for name in names)
    for body in (
        lines,
        lines + b"\n",
        lines.replace(b"\n", b"\r\n\r\n"),
        as_json([sample(name) for name in names]),
    ):
        events = PROVIDER.parse(Incoming({}, body), SECRET)
        assert [event.type for event in events] == ["email.delivered", "email.opened", "email.clicked"]
        assert json.loads(events[0].raw) == sample("delivery")
    pretty = json.dumps({"events": [sample("open")]}, indent=2).encode()
    assert [event.type for event in PROVIDER.parse(Incoming({}, pretty), SECRET)] == ["email.opened"]
    assert [event.type for event in PROVIDER.parse(Incoming({}, as_json(sample("open"))), SECRET)] == [
        "email.opened"
    ]
    for body in (b"{" + b"\n" * 100_000, b'{"event": "open"}\n{"event": ', b"{}\n{}"):
        with pytest.raises(ValueError, match=r"not JSON|no `event`"):
            PROVIDER.parse(Incoming({}, body), SECRET)


def test_our_message_comes_back_in_the_variables() -> None:
    message = new_id("dlv")
    [event] = parse(sample("open", custom_variables={"hookline": message}))
    assert (event.message, "metadata" in event.facts) == (message, False)


def test_what_has_no_word_of_ours_is_kept() -> None:
    log, new = parse({"event": "activity_log.user.updated", "timestamp": NOW, "actor": {}}, sample("snooze"))
    assert [(event.type, event.known) for event in (log, new)] == [
        ("mailtrap.activity_log_user_updated", True),
        ("mailtrap.snooze", False),
    ]
    assert len(log.id) == 32


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "event 1 has no `event`"),
        (sample("open", timestamp="soon"), r"event 1 \(open\) has no `timestamp`"),
        (sample("open", email=17), r"event 1 \(open\) has no `email`"),
    ],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(sample("open"), event)


def test_the_signature_is_checked() -> None:
    body = as_json({"events": [sample("open")]})
    PROVIDER.verify(signed(body), SECRET)
    for wrong in (
        Incoming(signed(body).headers, body + b" "),
        signed(body, "other"),
        Incoming({"mailtrap-signature": "é"}, body),
        Incoming({}, body),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, SECRET)


@given(mutated(*[{"events": [sample(name)]} for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(PROVIDER, as_json(value))
