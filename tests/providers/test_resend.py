"""Resend's events as its documentation describes them, signed as Svix signs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from standardwebhooks import Webhook

from hookline.providers import Incoming, NotSigned, ParsedEvent, resend
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = resend.PROVIDER
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CREDENTIALS = {"signing_secret": SECRET}
NOW = 1_700_000_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
COMMON: Mapping[str, Any] = {
    "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
    "created_at": "2023-11-14 22:10:00.894719+00",
    "from": "Acme <onboarding@resend.dev>",
    "to": ["Ada <ada@example.com>"],
    "subject": "Sending this example",
    "tags": [{"name": "order", "value": "17"}],
}
SEEN: Mapping[str, Any] = {
    "ipAddress": "192.0.2.7",
    "timestamp": "2023-11-14T22:13:10.577Z",
    "userAgent": AGENT,
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "email.sent": {},
    "email.delivered": {},
    "email.delivery_delayed": {},
    "email.bounced": {
        "bounce": {
            "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
            "message": "The recipient's mail server permanently rejected the email.",
            "subType": "General",
            "type": "Permanent",
        }
    },
    "email.complained": {},
    "email.opened": {"open": SEEN},
    "email.clicked": {"click": {**SEEN, "link": "https://shop.example/a?b=c"}},
    "email.failed": {"failed": {"reason": "reached_daily_quota"}},
    "email.suppressed": {
        "suppressed": {"message": "It is on the suppression list", "type": "OnAccountSuppressionList"}
    },
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": name,
        "created_at": "2023-11-14T22:13:20.126Z",
        "data": {**COMMON, **SAMPLES[name], **changes},
    }


def parse(event: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming({"svix-id": "msg_1"}, as_json(event)), {})


@pytest.mark.parametrize(
    ("name", "type", "facts"),
    [
        ("email.sent", "email.sent", {}),
        ("email.delivered", "email.delivered", {}),
        ("email.delivery_delayed", "email.deferred", {"reason": "other"}),
        (
            "email.bounced",
            "email.bounced",
            {
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": "smtp; 550 5.1.1 user unknown",
                "reason": "user_unknown",
                "hard": True,
            },
        ),
        ("email.complained", "email.complained", {}),
        (
            "email.opened",
            "email.opened",
            {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False, "machine_reason": None},
        ),
        (
            "email.clicked",
            "email.clicked",
            {
                "url": "https://shop.example/a?b=c",
                "ip": "192.0.2.7",
                "user_agent": AGENT,
                "machine": False,
                "machine_reason": None,
            },
        ),
        ("email.failed", "email.blocked", {"reason": "rate_limited", "detail": "reached_daily_quota"}),
        (
            "email.suppressed",
            "email.blocked",
            {"reason": "blocked", "detail": "It is on the suppression list"},
        ),
    ],
)
def test_the_events(name: str, type: str, facts: dict[str, Any]) -> None:
    [event] = parse(sample(name))
    seen = name in ("email.opened", "email.clicked")
    at = 1_699_999_990_577_000 if seen else 1_700_000_000_126_000
    assert (event.type, event.email, event.time) == (type, "ada@example.com", at)
    assert event.facts == facts | {"metadata": {"order": "17"}}
    assert (event.id, event.ours) == ("msg_1", "resend.sent" if name == "email.sent" else None)


@pytest.mark.parametrize(
    ("bounce", "reason", "hard"),
    [
        ({"type": "Permanent", "message": "It bounced."}, "other", True),
        ({"type": "Transient", "message": "552 5.2.2 mailbox full"}, "mailbox_full", False),
        (
            {"type": "Permanent", "diagnosticCode": "smtp; 550 5.7.1 blocked using a blocklist"},
            "blocked",
            False,
        ),
        ({"type": "Undetermined"}, "other", False),
        (None, "other", False),
    ],
)
def test_bounces(bounce: Any, reason: str, hard: bool) -> None:
    facts = parse(sample("email.bounced", bounce=bounce))[0].facts
    assert (facts["reason"], facts["hard"]) == (reason, hard)


def test_each_recipient_has_an_event_of_its_own() -> None:
    both = ["ada@example.com", "bob@example.com"]
    events = parse(sample("email.delivered", to=both))
    assert [(event.email, event.id) for event in events] == [
        ("ada@example.com", "msg_1/ada@example.com"),
        ("bob@example.com", "msg_1/bob@example.com"),
    ]
    [seen] = parse(sample("email.opened", to=both))
    assert (seen.email, seen.id) == (None, "msg_1")
    assert parse(sample("email.delivered", to="ada@example.com"))[0].email == "ada@example.com"


def test_our_message_comes_back() -> None:
    message = new_id("dlv")
    for changes in (
        {"tags": {"hookline": message}},
        {"tags": [{"name": "hookline", "value": message}]},
        {"headers": [{"name": "X-Hookline-Message", "value": message}]},
        {"message_id": f"<{message}@shop.example>"},
    ):
        assert parse(sample("email.delivered", **changes))[0].message == message
    assert parse(sample("email.delivered"))[0].message is None


def test_other_names_are_kept() -> None:
    for name, type, known in (
        ("contact.created", "resend.contact_created", True),
        ("email.scheduled", "resend.email_scheduled", True),
        ("email.snoozed", "resend.email_snoozed", False),
    ):
        [event] = parse({"type": name, "data": {}})
        assert (event.type, event.known) == (type, known)


@pytest.mark.parametrize(
    ("event", "words"),
    [({}, "no `type`"), ([], "no `type`"), (sample("email.sent", to=[]), r"\(email.sent\) has no `to`")],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(event)


def test_the_signature_is_checked() -> None:
    body = as_json(sample("email.sent"))
    signature = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(NOW, UTC), body.decode())
    headers = {"svix-id": "msg_1", "svix-timestamp": str(NOW), "svix-signature": f"v1,xx {signature}"}
    PROVIDER.verify(Incoming(headers, body, now=NOW + 299.0), CREDENTIALS)
    for changed, said in (
        (Incoming(headers, body + b" ", now=float(NOW)), "no v1 signature"),
        (Incoming(headers, body, now=NOW + 3600.0), "3600 s ago"),
        (Incoming(headers | {"svix-id": "msg_2"}, body, now=float(NOW)), "no v1 signature"),
        (Incoming(headers | {"svix-timestamp": "soon"}, body, now=float(NOW)), "svix-timestamp"),
        (Incoming({}, body, now=float(NOW)), "svix-id is missing"),
    ):
        with pytest.raises(NotSigned, match=said):
            PROVIDER.verify(changed, CREDENTIALS)
    PROVIDER.check(CREDENTIALS)
    with pytest.raises(ValueError, match="whsec_"):
        PROVIDER.check({"signing_secret": "re_123"})


@given(mutated(*[sample(name) for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(event: Any) -> None:
    read(PROVIDER, as_json(event), {"svix-id": "msg_1"})
