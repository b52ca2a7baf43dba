"""Postmark's records as its webhook pages describe them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, postmark
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = postmark.PROVIDER
AT = "2026-05-04T12:30:00.9070259Z"
MICROS = 1_777_897_800_907_025
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COMMON: Mapping[str, Any] = {
    "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
    "MessageStream": "outbound",
    "ServerID": 23,
    "Metadata": {"order": "17"},
    "Tag": "welcome",
}
SEEN: Mapping[str, Any] = {
    "Recipient": "ada@example.com",
    "ReceivedAt": AT,
    "UserAgent": AGENT,
    "Platform": "Desktop",
    "Client": {"Name": "Firefox 128", "Company": "Mozilla", "Family": "Firefox"},
    "OS": {"Name": "Linux", "Company": "", "Family": "Linux"},
    "Geo": {"CountryISOCode": "DK", "Country": "Denmark", "IP": "192.0.2.7"},
}
BOUNCED: Mapping[str, Any] = {
    "ID": 4323372036854775807,
    "Type": "HardBounce",
    "TypeCode": 1,
    "Name": "Hard bounce",
    "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
    "Details": "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
    "Email": "ada@example.com",
    "From": "sender@example.com",
    "BouncedAt": AT,
    "DumpAvailable": True,
    "Inactive": True,
    "CanActivate": True,
    "Subject": "Test subject",
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Delivery": {"Recipient": "ada@example.com", "DeliveredAt": AT, "Details": "smtp;250 OK"},
    "Bounce": BOUNCED,
    "SpamComplaint": {
        **BOUNCED,
        "Type": "SpamComplaint",
        "TypeCode": 100001,
        "Details": "Test spam complaint",
    },
    "Open": {**SEEN, "FirstOpen": True},
    "Click": {**SEEN, "ClickLocation": "HTML", "OriginalLink": "https://shop.example/a?b=c"},
    "SubscriptionChange": {
        "Recipient": "ada@example.com",
        "ChangedAt": AT,
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
    },
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"RecordType": name, **COMMON, **SAMPLES[name], **changes}


def parse(event: Any, **headers: str) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming(headers, as_json(event)), {})


@pytest.mark.parametrize(
    ("name", "type", "facts"),
    [
        ("Delivery", "email.delivered", {"detail": "smtp;250 OK"}),
        (
            "Bounce",
            "email.bounced",
            {
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": BOUNCED["Details"],
                "reason": "user_unknown",
                "hard": True,
            },
        ),
        ("SpamComplaint", "email.complained", {"detail": "Test spam complaint"}),
        (
            "Open",
            "email.opened",
            {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False, "machine_reason": None},
        ),
        (
            "Click",
            "email.clicked",
            {
                "url": "https://shop.example/a?b=c",
                "ip": "192.0.2.7",
                "user_agent": AGENT,
                "machine": False,
                "machine_reason": None,
            },
        ),
        ("SubscriptionChange", "email.unsubscribed", {}),
    ],
)
def test_the_records(name: str, type: str, facts: dict[str, Any]) -> None:
    [event] = parse(sample(name))
    assert (event.type, event.email, event.time) == (type, "ada@example.com", MICROS)
    assert event.facts == facts | {"tags": ["welcome"], "metadata": {"order": "17"}}
    assert event.message is None


@pytest.mark.parametrize(
    ("kind", "type", "reason", "hard"),
    [
        ("HardBounce", "email.bounced", "user_unknown", True),
        ("SoftBounce", "email.bounced", "other", False),
        ("Transient", "email.deferred", "other", None),
        ("DnsError", "email.bounced", "network", False),
        ("Blocked", "email.bounced", "blocked", False),
        ("SpamNotification", "email.bounced", "spam", False),
        ("VirusNotification", "email.bounced", "content", False),
        ("DMARCPolicy", "email.bounced", "auth_failure", False),
        ("BadEmailAddress", "email.bounced", "user_unknown", True),
        ("Unknown", "email.bounced", "other", False),
        ("SpamComplaint", "email.complained", None, None),
        ("Unsubscribe", "email.unsubscribed", None, None),
        ("ManuallyDeactivated", "email.blocked", "manual", None),
        ("SMTPApiError", "email.blocked", "protocol", None),
        ("TemplateRenderingFailed", "email.blocked", "content", None),
        ("AutoResponder", "postmark.AutoResponder", None, None),
        ("AddressChange", "postmark.AddressChange", None, None),
        ("ChallengeVerification", "postmark.ChallengeVerification", None, None),
    ],
)
def test_the_types_of_bounces(kind: str, type: str, reason: str | None, hard: bool | None) -> None:
    [event] = parse(sample("Bounce", Type=kind, Details="", Description=""))
    assert (event.type, event.known) == (type, True)
    assert (event.facts.get("reason"), event.facts.get("hard")) == (reason, hard)


def test_a_hard_bounce_of_a_full_mailbox_is_not_hard() -> None:
    [event] = parse(sample("Bounce", Details="smtp;552 5.2.2 mailbox full"))
    assert (event.facts["reason"], event.facts["hard"]) == ("mailbox_full", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"SuppressSending": False, "SuppressionReason": None},
        {"SuppressionReason": "HardBounce"},
        {"SuppressionReason": "SpamComplaint"},
        {"Origin": "Admin"},
        {"Origin": "Customer"},
    ],
)
def test_what_is_no_unsubscribing(changes: dict[str, Any]) -> None:
    [event] = parse(sample("SubscriptionChange", **changes))
    assert (event.type, event.known) == ("postmark.SubscriptionChange", True)


def test_our_message_comes_back() -> None:
    message = new_id("dlv")
    [event] = parse(sample("Delivery", Metadata={"hookline": message, "a": "b"}))
    assert (event.message, event.facts["metadata"]) == (message, {"a": "b"})


def test_repeats_are_told_apart_by_the_trace() -> None:
    trace = {"x-pm-webhook-trace-id": "7d1ebd2c"}
    assert parse(sample("Open"), **trace)[0].id == "7d1ebd2c"
    assert parse(sample("Open"))[0].id == ""
    assert [event.id for event in parse([sample("Open"), sample("Click")], **trace)] == ["", ""]


def test_unknown_names_are_kept() -> None:
    [event] = parse({"RecordType": "Snooze"})
    assert (event.type, event.known) == ("postmark.Snooze", False)
    [event] = parse(sample("Bounce", Type="Odd one!"))
    assert (event.type, event.known) == ("postmark.unknown", False)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "`RecordType`"),
        ({"RecordType": 1}, "`RecordType`"),
        (sample("Open", Recipient=None), r"\(Open\) has no `Recipient`"),
        (sample("Bounce", Email=""), r"\(Bounce\) has no `Email`"),
    ],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(event)


def test_it_is_known_by_basic_auth_or_a_header() -> None:
    basic = Incoming({"authorization": "Basic " + base64.b64encode(b"us:pw").decode()}, b"")
    PROVIDER.verify(basic, {"username": "us", "password": "pw"})
    PROVIDER.verify(Incoming({"x-hookline-token": "tok"}, b""), {"token": "tok"})
    with pytest.raises(NotSigned):
        PROVIDER.verify(basic, {"username": "us", "password": "px"})
    with pytest.raises(NotSigned):
        PROVIDER.verify(Incoming({"x-hookline-token": "tok2"}, b""), {"token": "tok"})
    with pytest.raises(ValueError, match="a username and a password, or a token"):
        PROVIDER.check({})


@given(mutated(*[sample(name) for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(event: Any) -> None:
    read(PROVIDER, as_json(event))
