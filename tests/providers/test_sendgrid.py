"""SendGrid's events as Twilio documents them, signed as it signs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, sendgrid
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = sendgrid.PROVIDER
NOW = 1_700_000_000
PRIVATE = ec.generate_private_key(ec.SECP256R1())


def shown(key: Any) -> str:
    """A public key as SendGrid's pages show it."""
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


KEY = shown(PRIVATE.public_key())
COMMON: Mapping[str, Any] = {
    "email": "ada@example.com",
    "timestamp": NOW,
    "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
    "category": ["cat facts"],
    "sg_event_id": "ZGVsaXZlcmVkLTAtMjI",
    "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "processed": {"send_at": NOW},
    "deferred": {"response": "421 4.7.0 try again later", "attempt": "5"},
    "delivered": {"response": "250 OK", "ip": "168.1.1.1", "tls": 1},
    "bounce": {
        "reason": "550 5.1.1 The email account that you tried to reach does not exist",
        "status": "5.1.1",
        "type": "bounce",
        "bounce_classification": "Invalid Address",
        "ip": "168.1.1.1",
    },
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "open": {"useragent": AGENT, "ip": "192.0.2.7", "sg_content_type": "html", "sg_machine_open": False},
    "click": {
        "useragent": AGENT,
        "ip": "192.0.2.7",
        "url": "https://shop.example/a?b=c",
        "url_offset": {"index": 0, "type": "html"},
    },
    "spamreport": {},
    "unsubscribe": {},
    "group_unsubscribe": {
        "useragent": AGENT,
        "ip": "192.0.2.7",
        "url": "http://s.example/",
        "asm_group_id": 10,
    },
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"event": name, **COMMON, **SAMPLES[name], **changes}


def parse(*events: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(Incoming({}, as_json(list(events))), {})


def signed(body: bytes, at: int = NOW, private: Any = PRIVATE, **headers: str) -> Incoming:
    signature = private.sign(str(at).encode() + body, ec.ECDSA(hashes.SHA256()))
    given = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": str(at),
    }
    return Incoming(given | headers, body, now=float(NOW))


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("processed", "email.sent", {}),
        (
            "deferred",
            "email.deferred",
            {
                "smtp_code": 421,
                "enhanced_code": "4.7.0",
                "detail": "421 4.7.0 try again later",
                "reason": "system",
            },
        ),
        ("delivered", "email.delivered", {"detail": "250 OK"}),
        (
            "bounce",
            "email.bounced",
            {
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": "550 5.1.1 The email account that you tried to reach does not exist",
                "reason": "user_unknown",
                "hard": True,
            },
        ),
        ("dropped", "email.blocked", {"reason": "hard_bounce", "detail": "Bounced Address"}),
        (
            "open",
            "email.opened",
            {"ip": "192.0.2.7", "user_agent": AGENT, "machine": False, "machine_reason": None},
        ),
        (
            "click",
            "email.clicked",
            {
                "url": "https://shop.example/a?b=c",
                "ip": "192.0.2.7",
                "user_agent": AGENT,
                "machine": False,
                "machine_reason": None,
            },
        ),
        ("spamreport", "email.complained", {}),
        ("unsubscribe", "email.unsubscribed", {}),
        ("group_unsubscribe", "email.unsubscribed", {"ip": "192.0.2.7", "user_agent": AGENT}),
    ],
)
def test_the_events(name: str, kind: str, facts: dict[str, Any]) -> None:
    [event] = parse(sample(name))
    assert (event.type, event.email, event.time) == (kind, "ada@example.com", NOW * 1_000_000)
    assert (event.id, event.message) == ("ZGVsaXZlcmVkLTAtMjI", None)
    assert event.facts == facts | {"tags": ["cat facts"]}


@pytest.mark.parametrize(
    ("changes", "reason", "hard"),
    [
        ({"reason": "500 unknown recipient", "status": "5.0.0"}, "user_unknown", True),
        ({"reason": "552 5.2.2 mailbox full", "status": "5.2.2"}, "mailbox_full", False),
        ({"reason": "550 5.7.1 listed by a blocklist", "type": "blocked"}, "blocked", False),
        ({"reason": "550 5.1.1 no such user", "type": "blocked"}, "user_unknown", False),
        ({"reason": "", "status": ""}, "user_unknown", True),
        ({"reason": "", "status": "", "bounce_classification": "Reputation"}, "blocked", False),
        (
            {"reason": "", "status": "", "bounce_classification": "Content", "type": "blocked"},
            "content",
            False,
        ),
        ({"reason": "", "status": "", "bounce_classification": "Unclassified"}, "other", True),
        ({"reason": 7, "status": None, "bounce_classification": [], "type": None}, "other", False),
    ],
)
def test_bounces(changes: dict[str, Any], reason: str, hard: bool) -> None:
    facts = parse(sample("bounce", **changes))[0].facts
    assert (facts["reason"], facts["hard"]) == (reason, hard)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("Unsubscribed Address", "unsubscribe"),
        ("Spam Reporting Address", "complaint"),
        ("Invalid", "invalid"),
        ("Invalid SMTPAPI header", "protocol"),
        ("Spam Content (if spam checker app enabled)", "spam"),
        ("Recipient List over Package Quota", "rate_limited"),
        ("something new", "other"),
        (None, "other"),
    ],
)
def test_what_was_not_tried(why: str | None, reason: str) -> None:
    assert parse(sample("dropped", reason=why))[0].facts["reason"] == reason


def test_what_the_sender_attached_comes_back() -> None:
    message = new_id("dlv")
    [flat, nested, by_id] = parse(
        sample("open", hookline=message, order="17", paid=True),
        sample("open", unique_args={"hookline": message, "order": "17"}),
        sample("open", **{"smtp-id": f"<{message}@shop.example>", "category": "one"}),
    )
    assert [event.message for event in (flat, nested, by_id)] == [message] * 3
    assert flat.facts["metadata"] == {"order": "17", "paid": True}
    assert nested.facts["metadata"] == {"order": "17"}
    assert by_id.facts["tags"] == ["one"]
    assert parse(sample("processed", hookline=message))[0].ours == "sendgrid.processed"


def test_machines_are_told_apart() -> None:
    for changes, judged in (
        ({"sg_machine_open": True}, (True, "apple_privacy_proxy")),
        ({"useragent": "Mozilla/5.0"}, (True, "apple_privacy_proxy")),
        ({"useragent": None}, (False, None)),
    ):
        facts = parse(sample("open", **changes))[0].facts
        assert (facts["machine"], facts["machine_reason"]) == judged
    facts = parse(sample("click", useragent="Barracuda Sentinel"))[0].facts
    assert facts["machine_reason"] == "scanner"


def test_what_has_no_word_of_ours_is_kept() -> None:
    again, status, new = parse(
        {"event": "group_resubscribe", **COMMON},
        {
            "event": "account_status_change",
            "timestamp": NOW,
            "type": "compliance_suspend",
            "sg_event_id": "a",
        },
        {"event": "snooze", "what": 1},
    )
    assert [event.type for event in (again, status, new)] == [
        "sendgrid.group_resubscribe",
        "sendgrid.account_status_change",
        "sendgrid.snooze",
    ]
    assert [event.known for event in (again, status, new)] == [True, True, False]
    assert new.raw == b'{"event": "snooze", "what": 1}'


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "event 1 has no `event`"),
        (sample("open", timestamp="soon"), r"event 1 \(open\) has no `timestamp`"),
        (sample("open", email=17), r"event 1 \(open\) has no `email`"),
        (17, "event 1 is not a JSON object"),
    ],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(sample("open"), event)


def test_the_signature_is_checked() -> None:
    body = as_json([sample("open")])
    for key in (KEY, f"-----BEGIN PUBLIC KEY-----\n{KEY[:64]}\n{KEY[64:]}\n-----END PUBLIC KEY-----\n"):
        PROVIDER.check({"verification_key": key})
        PROVIDER.verify(signed(body), {"verification_key": key})
    PROVIDER.verify(signed(body, NOW - 86_400), {"verification_key": KEY})  # SendGrid goes on for a day
    old = signed(body, NOW - 30 * 86_400)
    PROVIDER.verify(old, {"verification_key": KEY})
    with pytest.raises(NotSigned, match="s ago"):
        PROVIDER.verify(old, {**{"verification_key": KEY}, "tolerance": "14d"})
    with pytest.raises(ValueError, match="tolerance"):
        PROVIDER.check({**{"verification_key": KEY}, "tolerance": "long"})
    right = signed(body)
    for wrong in (
        Incoming(right.headers, body + b" ", now=right.now),
        Incoming({}, body, now=right.now),
        signed(body, private=ec.generate_private_key(ec.SECP256R1())),
        Incoming({**right.headers, "x-twilio-email-event-webhook-timestamp": "1"}, body, now=right.now),
        Incoming({**right.headers, "x-twilio-email-event-webhook-signature": "é"}, body, now=right.now),
        Incoming({**right.headers, "x-twilio-email-event-webhook-signature": "aGk="}, body, now=right.now),
        signed(body, NOW + 3600),
        Incoming({"authorization": "Basic Og=="}, body, now=right.now),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, {"verification_key": KEY})


def test_without_a_key_basic_auth_or_a_token_does() -> None:
    basic = Incoming({"authorization": "Basic " + base64.b64encode(b"us:pw").decode()}, b"")
    PROVIDER.verify(basic, {"username": "us", "password": "pw"})
    PROVIDER.verify(Incoming({"authorization": "Bearer tok"}, b""), {"token": "tok"})
    for call, credentials in (
        (basic, {"username": "us", "password": "other"}),
        (basic, {"token": "tok"}),
        (Incoming({}, b""), {"token": "tok"}),
        (Incoming({"x-hookline-token": "tik"}, b""), {"token": "tok", "username": "us", "password": "pw"}),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(call, credentials)
    with pytest.raises(NotSigned, match="no verification_key yet"):
        PROVIDER.verify(basic, {})


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"verification_key": "not a key"}, "no public key"),
        ({"verification_key": "aGVsbG8="}, "no public key"),
        ({"verification_key": shown(rsa.generate_private_key(65537, 2048).public_key())}, "another kind"),
        ({"username": "us"}, "go together"),
        ({"username": "u:s", "password": "x"}, "colon"),
        ({"password": "x"}, "go together"),
    ],
)
def test_credentials_that_cannot_be(credentials: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROVIDER.check(credentials)


@given(mutated(*[[sample(name), sample("open", unique_args={"a": 1})] for name in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(PROVIDER, as_json(value))


def test_what_is_given_up_for_its_age_and_who_left_from_where() -> None:
    given_up = sample("bounce") | {"type": "expired", "reason": "unable to get mx info", "status": ""}
    given_up |= {"bounce_classification": "Unclassified"}
    left = sample("group_unsubscribe") | {"ip": "192.0.2.7", "useragent": "x"}
    bounced, unsubscribed = PROVIDER.parse(Incoming({}, as_json([given_up, left])), {})
    assert (bounced.facts["reason"], bounced.facts["hard"]) == ("expired", False)
    assert (unsubscribed.facts["ip"], unsubscribed.facts["user_agent"]) == ("192.0.2.7", "x")
