"""Brevo's events as its documentation describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, brevo
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = brevo.PROVIDER
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COMMON: Mapping[str, Any] = {
    "email": "ada@example.com",
    "id": 26224,
    "date": "2023-11-14 23:13:20",
    "ts": 1_699_999_990,
    "message-id": "<201798300811.5787683@relay.domain.com>",
    "ts_event": 1_700_000_000,
    "subject": "My first transactional",
    "X-Mailin-custom": "some_custom_header",
    "sending_ip": "192.0.2.1",
    "template_id": 22,
    "tags": ["transac_messages"],
    "ts_epoch": 1_700_000_000_123,
}
SEEN: Mapping[str, Any] = {
    "user_agent": AGENT,
    "device_used": "DESKTOP",
    "mirror_link": "https://b.example",
    "ip": "192.0.2.7",
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "request": {},
    "delivered": {},
    "deferred": {"reason": "421 4.4.2 Connection timed out"},
    "hard_bounce": {"reason": "550 5.1.1 no such user here"},
    "soft_bounce": {"reason": "452 4.2.2 mailbox is full"},
    "invalid_email": {},
    "blocked": {"reason": "blocked : due to blacklist user"},
    "error": {"reason": "Error connecting to SMTP server"},
    "spam": {},
    "opened": SEEN,
    "unique_opened": SEEN,
    "proxy_open": SEEN,
    "unique_proxy_open": SEEN,
    "click": {**SEEN, "link": "https://shop.example/a?b=c"},
    "unsubscribed": {},
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"event": name, **COMMON, **SAMPLES[name], **changes}


def parse(*events: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming({}, as_json(list(events) if len(events) > 1 else events[0])), {})


def seen(machine: bool = False, reason: str | None = None) -> dict[str, Any]:
    return {"ip": "192.0.2.7", "user_agent": AGENT, "machine": machine, "machine_reason": reason}


@pytest.mark.parametrize(
    ("name", "type", "facts"),
    [
        ("request", "email.sent", {}),
        ("delivered", "email.delivered", {}),
        (
            "deferred",
            "email.deferred",
            {
                "smtp_code": 421,
                "enhanced_code": "4.4.2",
                "detail": "421 4.4.2 Connection timed out",
                "reason": "network",
            },
        ),
        (
            "hard_bounce",
            "email.bounced",
            {
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": "550 5.1.1 no such user here",
                "reason": "user_unknown",
                "hard": True,
            },
        ),
        (
            "soft_bounce",
            "email.bounced",
            {
                "smtp_code": 452,
                "enhanced_code": "4.2.2",
                "detail": "452 4.2.2 mailbox is full",
                "reason": "mailbox_full",
                "hard": False,
            },
        ),
        ("invalid_email", "email.bounced", {"reason": "user_unknown", "hard": True}),
        ("blocked", "email.blocked", {"reason": "blocked", "detail": "blocked : due to blacklist user"}),
        ("error", "email.blocked", {"reason": "other", "detail": "Error connecting to SMTP server"}),
        ("spam", "email.complained", {}),
        ("opened", "email.opened", seen()),
        ("unique_opened", "email.opened", seen()),
        ("proxy_open", "email.opened", seen(True, "apple_privacy_proxy")),
        ("unique_proxy_open", "email.opened", seen(True, "apple_privacy_proxy")),
        ("click", "email.clicked", {"url": "https://shop.example/a?b=c"} | seen()),
        ("unsubscribed", "email.unsubscribed", {}),
    ],
)
def test_the_events(name: str, type: str, facts: dict[str, Any]) -> None:
    [event] = parse(sample(name))
    assert (event.type, event.email, event.time) == (type, "ada@example.com", 1_700_000_000_123_000)
    assert event.facts == facts | {"tags": ["transac_messages"]}
    assert (event.message, event.id) == (None, "")
    assert event.ours == ("brevo.request" if name == "request" else None)


def test_a_batch_keeps_its_order() -> None:
    assert [event.type for event in parse(sample("delivered"), sample("spam"))] == [
        "email.delivered",
        "email.complained",
    ]


def test_our_message_comes_back() -> None:
    message = new_id("dlv")
    for changes in (
        {"X-Mailin-custom": f"hookline:{message}"},
        {"X-Mailin-custom": f"a:b|hookline:{message}"},
        {"message-id": f"<{message}@shop.example>"},
    ):
        assert parse(sample("opened", **changes))[0].message == message
    assert parse(sample("opened", **{"X-Mailin-custom": f"other:{message}"}))[0].message is None


def test_marketing_webhooks_are_understood() -> None:
    campaign = {
        "camp_id": 4,
        "campaign name": "Spring",
        "email": "ada@example.com",
        "ts_event": 1_700_000_000,
        "ts": 1,
    }
    for name, type in (
        ("hardBounce", "email.bounced"),
        ("opened", "email.opened"),
        ("proxyOpen", "email.opened"),
        ("unsubscribe", "email.unsubscribed"),
        ("spam", "email.complained"),
    ):
        [event] = parse({"event": name, **campaign})
        assert (event.type, event.time) == (type, 1_700_000_000_000_000)
    [click] = parse({"event": "click", "URL": "https://shop.example/", **campaign})
    assert click.facts["url"] == "https://shop.example/"
    [added] = parse({"event": "listAddition", "email": ["a@b.example", "c@d.example"], "list_id": [1]})
    assert (added.type, added.known, added.email) == ("brevo.listAddition", True, None)


def test_tags_come_in_many_shapes() -> None:
    for changes, tags in (
        ({"tags": None, "tag": '["a","b"]'}, ["a", "b"]),
        ({"tags": None, "tag": "a"}, ["a"]),
        ({"tags": None, "tag": "[a"}, ["[a"]),
        ({"tags": [], "tag": ""}, None),
    ):
        assert parse(sample("delivered", **changes))[0].facts.get("tags") == tags


def test_unknown_names_are_kept() -> None:
    [event] = parse({"event": "snooze"})
    assert (event.type, event.known) == ("brevo.snooze", False)


@pytest.mark.parametrize(
    ("event", "words"),
    [({}, "no `event`"), (sample("opened", email=[]), r"event 0 \(opened\) has no `email`")],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(event)


def test_it_is_known_by_its_token() -> None:
    PROVIDER.verify(Incoming({"authorization": "Bearer tok"}, b""), {"token": "tok"})
    for authorization in ("Bearer tik", "Basic tok", "tok", ""):
        with pytest.raises(NotSigned):
            PROVIDER.verify(Incoming({"authorization": authorization}, b""), {"token": "tok"})


@given(mutated(*[[sample(name), sample("opened")] for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(events: Any) -> None:
    read(PROVIDER, as_json(events))


def test_seconds_are_no_milliseconds() -> None:
    assert parse(sample("delivered", ts_epoch=1_700_000_000))[0].time == 1_700_000_000_000_000
    assert parse(sample("delivered", ts_epoch="1700000000123"))[0].time == 1_700_000_000_123_000


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("sent", "email.sent"),
        ("clicked", "email.clicked"),
        ("invalid", "email.bounced"),
        ("loadedByProxy", "email.opened"),
    ],
)
def test_other_spellings_are_understood(name: str, type: str) -> None:
    assert parse({**COMMON, "event": name})[0].type == type


@pytest.mark.parametrize(
    ("header", "metadata"),
    [
        ("order:17|shop : DK|hookline:x", {"order": "17", "shop": "DK"}),
        ('{"order": 17, "hookline": "x"}', {"order": 17}),
        ("{order: 17}", {"{order": "17}"}),
        ("some_custom_header", None),
        ("", None),
    ],
)
def test_what_the_sender_attached_comes_back(header: str, metadata: Any) -> None:
    [event] = parse(sample("opened", **{"X-Mailin-custom": header}))
    assert event.facts.get("metadata") == metadata
