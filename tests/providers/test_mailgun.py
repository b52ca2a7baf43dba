"""Mailgun's events as its documentation describes them, signed as it signs."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, mailgun
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = mailgun.PROVIDER
KEY = "key-0123456789abcdef"
CREDENTIALS = {"signing_key": KEY}
NOW = 1_700_000_000
TOKEN = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COMMON: Mapping[str, Any] = {
    "id": "G9Bn5sl1TC6nu79C8C0bwg",
    "timestamp": 1_699_999_990.375624,
    "log-level": "info",
    "recipient": "ada@example.com",
    "recipient-domain": "example.com",
    "tags": ["my_tag_1", "my_tag_2"],
    "campaigns": [],
    "user-variables": {"order": "17", "n": 2},
    "flags": {"is-test-mode": False},
    "message": {
        "headers": {
            "to": "Ada <ada@example.com>",
            "message-id": "2013@mg.example",
            "from": "Bob <bob@mg.example>",
        }
    },
}
SEEN: Mapping[str, Any] = {
    "ip": "192.0.2.7",
    "geolocation": {"country": "DK", "region": "84", "city": "Copenhagen"},
    "client-info": {
        "client-os": "Linux",
        "device-type": "desktop",
        "client-name": "Firefox",
        "client-type": "browser",
        "user-agent": AGENT,
        "bot": "",
    },
}
FAILED: Mapping[str, Any] = {
    "severity": "permanent",
    "reason": "bounce",
    "delivery-status": {
        "attempt-no": 1,
        "message": "5.1.1 The email account that you tried to reach does not exist",
        "code": 550,
        "description": "",
        "session-seconds": 0.4,
    },
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "accepted": {"method": "smtp"},
    "delivered": {"delivery-status": {"code": 250, "message": "OK", "description": "", "tls": True}},
    "failed": FAILED,
    "rejected": {"reject": {"reason": "Sandbox subdomains are for test purposes only", "description": ""}},
    "opened": SEEN,
    "clicked": {**SEEN, "url": "https://shop.example/a?b=c"},
    "complained": {},
    "unsubscribed": SEEN,
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"event": name, **COMMON, **SAMPLES[name], **changes}


def call(event: Any, at: int = NOW, key: str = KEY, **signature: Any) -> Incoming:
    given = {
        "timestamp": str(at),
        "token": TOKEN,
        "signature": hmac.new(key.encode(), f"{at}{TOKEN}".encode(), hashlib.sha256).hexdigest(),
    } | signature
    return Incoming({}, as_json({"signature": given, "event-data": event}), now=float(NOW))


def parse(event: Any) -> ParsedEvent:
    [parsed] = PROVIDER.parse(call(event), CREDENTIALS)
    return parsed


@pytest.mark.parametrize(
    ("name", "type", "facts"),
    [
        ("accepted", "email.sent", {}),
        ("delivered", "email.delivered", {"detail": "OK"}),
        (
            "failed",
            "email.bounced",
            {
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": "5.1.1 The email account that you tried to reach does not exist",
                "reason": "user_unknown",
                "hard": True,
            },
        ),
        (
            "rejected",
            "email.blocked",
            {"reason": "policy", "detail": "Sandbox subdomains are for test purposes only"},
        ),
        (
            "opened",
            "email.opened",
            {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False, "machine_reason": None},
        ),
        (
            "clicked",
            "email.clicked",
            {
                "url": "https://shop.example/a?b=c",
                "ip": "192.0.2.7",
                "user_agent": AGENT,
                "machine": False,
                "machine_reason": None,
            },
        ),
        ("complained", "email.complained", {}),
        ("unsubscribed", "email.unsubscribed", {"ip": "192.0.2.7", "user_agent": AGENT}),
    ],
)
def test_the_events(name: str, type: str, facts: dict[str, Any]) -> None:
    event = parse(sample(name))
    assert (event.type, event.email, event.time) == (type, "ada@example.com", 1_699_999_990_375_624)
    about = {"tags": ["my_tag_1", "my_tag_2"], "metadata": {"order": "17", "n": 2}}
    assert event.facts == facts | about
    assert (event.id, event.raw) == (TOKEN, as_json(sample(name)))
    assert event.ours == ("mailgun.accepted" if name == "accepted" else None)


@pytest.mark.parametrize(
    ("changes", "type", "reason", "hard"),
    [
        ({"reason": "suppress-bounce"}, "email.blocked", "hard_bounce", None),
        ({"reason": "suppress-complaint"}, "email.blocked", "complaint", None),
        ({"reason": "suppress-unsubscribe"}, "email.blocked", "unsubscribe", None),
        (
            {"reason": "old", "delivery-status": {"message": "Too old", "code": 602}},
            "email.bounced",
            "expired",
            False,
        ),
        (
            {"reason": "generic", "delivery-status": {"message": "550 spam", "code": 550}},
            "email.bounced",
            "spam",
            False,
        ),
        ({"reason": "bounce", "delivery-status": {}}, "email.bounced", "other", True),
        ({"reason": "generic", "delivery-status": {}}, "email.bounced", "other", False),
        ({"reason": "generic", "delivery-status": {"bounce-type": "hard"}}, "email.bounced", "other", True),
        (
            {"delivery-status": {"code": 550, "bounce-type": "soft", "message": "no such user"}},
            "email.bounced",
            "user_unknown",
            False,
        ),
        (
            {"delivery-status": {"code": 552, "message": "5.2.2 mailbox full"}},
            "email.bounced",
            "mailbox_full",
            False,
        ),
        (
            {"severity": "temporary", "delivery-status": {"code": 452, "message": "4.2.2 mailbox full"}},
            "email.deferred",
            "mailbox_full",
            None,
        ),
        (
            {"severity": "temporary", "reason": "greylisted", "delivery-status": {}},
            "email.deferred",
            "greylisted",
            None,
        ),
        ({"severity": "temporary", "reason": 1, "delivery-status": None}, "email.deferred", "other", None),
    ],
)
def test_failures(changes: dict[str, Any], type: str, reason: str, hard: bool | None) -> None:
    event = parse(sample("failed", **changes))
    assert (event.type, event.facts["reason"], event.facts.get("hard")) == (type, reason, hard)


def test_our_message_comes_back() -> None:
    message = new_id("dlv")
    assert parse(sample("opened", **{"user-variables": {"hookline": message}})).message == message
    headers = {"headers": {"message-id": f"{message}@shop.example"}}
    assert parse(sample("opened", message=headers)).message == message
    assert parse(sample("opened")).message is None


@pytest.mark.parametrize(
    ("bot", "agent", "judged"),
    [
        ("apple", "Mozilla/5.0 (Macintosh)", (True, "apple_privacy_proxy")),
        ("generic", AGENT, (True, "scanner")),
        ("gmail", AGENT, (True, "gmail_prefetch")),
        ("gmail", "Mozilla/5.0 … (via ggpht.com GoogleImageProxy)", (False, None)),
        ("", "Mozilla/5.0", (True, "apple_privacy_proxy")),
        ([], None, (False, None)),
    ],
)
def test_machines_are_told_apart(bot: Any, agent: Any, judged: tuple[bool, str | None]) -> None:
    facts = parse(sample("opened", **{"client-info": {"bot": bot, "user-agent": agent}})).facts
    assert (facts["machine"], facts["machine_reason"]) == judged


def test_unknown_names_are_kept() -> None:
    event = parse({"event": "stored", "timestamp": 1.5})
    assert (event.type, event.known, event.time) == ("mailgun.stored", True, 1_500_000)
    assert parse({"event": "snooze"}).known is False


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"signature": {}}, "`event-data`"),
        ({"event-data": []}, "`event-data`"),
        ({"event-data": {}}, "no `event`"),
        ({"event-data": {"event": "opened"}}, r"\(opened\) has no `recipient`"),
        ([{}, {}], "one event"),
    ],
)
def test_what_is_wrong_is_named(body: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROVIDER.parse(Incoming({}, as_json(body)), CREDENTIALS)


def test_the_signature_is_checked() -> None:
    PROVIDER.verify(call(sample("opened")), CREDENTIALS)
    PROVIDER.verify(call(sample("opened"), timestamp=NOW), CREDENTIALS)
    PROVIDER.verify(call(sample("opened"), NOW - 8 * 3600), CREDENTIALS)  # Mailgun goes on for eight hours
    old = call(sample("opened"), NOW - 30 * 86_400)
    PROVIDER.verify(old, CREDENTIALS)
    with pytest.raises(NotSigned, match="s ago"):
        PROVIDER.verify(old, {**CREDENTIALS, "tolerance": "14d"})
    with pytest.raises(ValueError, match="tolerance"):
        PROVIDER.check({**CREDENTIALS, "tolerance": "long"})
    for wrong in (
        call(sample("opened"), key="another"),
        call(sample("opened"), NOW + 3600),
        call(sample("opened"), token="other"),
        call(sample("opened"), signature="é"),
        call(sample("opened"), signature=None),
        call(sample("opened"), timestamp="soon"),
        Incoming({}, b"event=opened&timestamp=1&token=x&signature=y"),
        Incoming({}, b"{}"),
        Incoming({}, b"[]"),
        Incoming({}, b'{"signature": "x"}'),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, CREDENTIALS)


@given(mutated(*[{"signature": {"token": "t"}, "event-data": sample(name)} for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(body: Any) -> None:
    read(PROVIDER, as_json(body))


def test_a_domain_without_servers_is_dead_whatever_mailguns_own_code_says() -> None:
    words = {
        "code": 498,
        "message": "No MX for nowhere.example",
        "description": "No MX for [nowhere.example]",
    }
    event = sample("failed") | {"severity": "permanent", "reason": "generic", "delivery-status": words}
    [parsed] = PROVIDER.parse(call(event), CREDENTIALS)
    assert (parsed.type, parsed.facts["reason"], parsed.facts["hard"]) == (
        "email.bounced",
        "host_unknown",
        True,
    )
    assert "smtp_code" not in parsed.facts
