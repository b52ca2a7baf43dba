"""Amazon SES records as its developer guide describes them, in SNS envelopes that are signed as SNS signs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, ses
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read
from support.sns import CERTIFICATE, CERTIFICATE_URL, CONFIRMATION, NOW, TOPIC, certificate, envelope, signed

PROVIDER = ses.PROVIDER
CREDENTIALS = {"topic_arn": TOPIC}
MAIL: Mapping[str, Any] = {
    "timestamp": "2026-05-04T12:29:00.012Z",
    "source": "Sender Name <sender@example.com>",
    "sendingAccountId": "123456789012",
    "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
    "destination": ["ada@example.com"],
    "headersTruncated": False,
    "headers": [
        {"name": "From", "value": "Sender Name <sender@example.com>"},
        {"name": "Message-ID", "value": "<x@example.com>"},
    ],
    "commonHeaders": {"from": ["Sender Name <sender@example.com>"], "messageId": "<x@example.com>"},
    "tags": {"ses:configuration-set": ["ConfigSet"], "order": ["17"]},
}
AT = "2026-05-04T12:30:00.123Z"
MICROS = 1_777_897_800_123_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
BOUNCE: Mapping[str, Any] = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "bouncedRecipients": [
        {
            "emailAddress": "ada@example.com",
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown",
        }
    ],
    "timestamp": AT,
    "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
    "reportingMTA": "dsn; mta.example.com",
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Send": {"send": {}},
    "Delivery": {
        "delivery": {
            "timestamp": AT,
            "processingTimeMillis": 11018,
            "recipients": ["ada@example.com"],
            "smtpResponse": "250 2.6.0 Message received",
            "reportingMTA": "mta.example.com",
        }
    },
    "DeliveryDelay": {
        "deliveryDelay": {
            "timestamp": AT,
            "delayType": "TransientCommunicationFailure",
            "expirationTime": "2026-05-04T18:30:00.914Z",
            "delayedRecipients": [
                {"emailAddress": "ada@example.com", "status": "4.4.1", "diagnosticCode": "smtp; 421"}
            ],
        }
    },
    "Bounce": {"bounce": BOUNCE},
    "Complaint": {
        "complaint": {
            "complainedRecipients": [{"emailAddress": "ada@example.com"}],
            "timestamp": AT,
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "userAgent": "Example Corp Feedback Loop (V0.01)",
            "complaintFeedbackType": "abuse",
            "arrivalDate": AT,
        }
    },
    "Reject": {"reject": {"reason": "Bad content"}},
    "Open": {"open": {"ipAddress": "192.0.2.1", "timestamp": AT, "userAgent": AGENT}},
    "Click": {
        "click": {
            "ipAddress": "192.0.2.1",
            "link": "https://shop.example/a",
            "linkTags": {"k": ["v"]},
            "timestamp": AT,
            "userAgent": AGENT,
        }
    },
    "Rendering Failure": {"failure": {"errorMessage": "Attribute 'name' is not present", "templateName": "T"}},
    "Subscription": {
        "subscription": {
            "contactList": "ContactListName",
            "timestamp": AT,
            "source": "UnsubscribeHeader",
            "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
            "oldTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": []},
        }
    },
}  # fmt: skip


def sample(kind: str, mail: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    [(name, told)] = SAMPLES[kind].items()
    return {"eventType": kind, name: {**told, **changes}, "mail": {**MAIL, **(mail or {})}}


def parse(record: Any, **changes: Any) -> list[ParsedEvent]:
    return PROVIDER.parse(signed(envelope(record, **changes)), CREDENTIALS)


@pytest.mark.parametrize(
    ("kind", "type", "facts"),
    [
        ("Send", "email.sent", {}),
        ("Delivery", "email.delivered", {"detail": "250 2.6.0 Message received"}),
        (
            "DeliveryDelay",
            "email.deferred",
            {"smtp_code": 421, "enhanced_code": "4.4.1", "detail": "smtp; 421", "reason": "network"},
        ),
        (
            "Bounce",
            "email.bounced",
            {
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": "smtp; 550 5.1.1 user unknown",
                "reason": "user_unknown",
                "hard": True,
            },
        ),
        ("Complaint", "email.complained", {"detail": "abuse"}),
        ("Reject", "email.blocked", {"reason": "content", "detail": "Bad content"}),
        (
            "Open",
            "email.opened",
            {"ip": "192.0.2.1", "user_agent": AGENT, "machine": False, "machine_reason": None},
        ),
        (
            "Click",
            "email.clicked",
            {
                "url": "https://shop.example/a",
                "ip": "192.0.2.1",
                "user_agent": AGENT,
                "machine": False,
                "machine_reason": None,
            },
        ),
        (
            "Rendering Failure",
            "email.blocked",
            {"reason": "content", "detail": "Attribute 'name' is not present"},
        ),
        ("Subscription", "email.unsubscribed", {}),
    ],
)
@pytest.mark.parametrize("way", ["eventType", "notificationType"])
def test_the_events(way: str, kind: str, type: str, facts: dict[str, Any]) -> None:
    record = sample(kind)
    record[way] = record.pop("eventType")
    [event] = parse(record)
    assert (event.type, event.email) == (type, "ada@example.com")
    assert event.time == (
        MICROS if kind not in ("Send", "Reject", "Rendering Failure") else 1_777_897_740_012_000
    )
    assert event.facts == facts | {"metadata": {"order": "17"}}
    assert event.raw == json.dumps(record).encode()
    assert event.ours == ("ses.Send" if kind == "Send" else None)


def test_each_recipient_has_an_event_of_its_own() -> None:
    both = [{"emailAddress": "ada@example.com"}, {"emailAddress": "Bob <bob@example.com>"}]
    mail = {"destination": ["ada@example.com", "bob@example.com", "cleo@example.com"]}
    for record in (
        sample("Bounce", mail, bouncedRecipients=both),
        sample("Complaint", mail, complainedRecipients=both),
        sample("Delivery", mail, recipients=["ada@example.com", "bob@example.com"]),
        sample("DeliveryDelay", mail, delayedRecipients=both),
    ):
        events = parse(record)
        assert [event.email for event in events] == ["ada@example.com", "bob@example.com"]
        assert len({event.id for event in events}) == 2
        assert [event.id for event in parse(record)] == [event.id for event in events]
    assert len(parse(sample("Send", mail))) == 3
    [seen] = parse(sample("Open", mail))
    assert (seen.type, seen.email) == ("email.opened", None)


@pytest.mark.parametrize(
    ("changes", "reason", "hard"),
    [
        ({"bounceSubType": "NoEmail"}, "user_unknown", True),
        ({"bounceType": "Transient", "bounceSubType": "MailboxFull"}, "mailbox_full", False),
        ({"bounceType": "Transient", "bounceSubType": "MessageTooLarge"}, "message_too_large", False),
        ({"bounceType": "Transient", "bounceSubType": "ContentRejected"}, "content", False),
        ({"bounceType": "Transient", "bounceSubType": "CustomTimeoutExceeded"}, "expired", False),
        ({"bounceType": "Transient", "bounceSubType": "General"}, "other", False),
        ({"bounceSubType": "General"}, "other", True),
        ({"bounceType": "Undetermined", "bounceSubType": "Undetermined"}, "other", False),
        ({"bounceType": 1, "bounceSubType": None}, "other", False),
    ],
)
def test_bounces_without_an_answer(changes: dict[str, Any], reason: str, hard: bool) -> None:
    bare = [{"emailAddress": "ada@example.com"}]
    facts = parse(sample("Bounce", bouncedRecipients=bare, **changes))[0].facts
    assert (facts["reason"], facts["hard"]) == (reason, hard)


def test_what_was_not_tried_is_blocked() -> None:
    [suppressed] = parse(sample("Bounce", bounceSubType="OnAccountSuppressionList"))
    assert (suppressed.type, suppressed.facts["reason"]) == ("email.blocked", "blocked")
    assert "hard" not in suppressed.facts
    [complaint] = parse(sample("Complaint", complaintSubType="OnAccountSuppressionList"))
    assert (complaint.type, complaint.facts["detail"]) == ("email.blocked", "OnAccountSuppressionList")


def test_what_is_no_complaint_and_no_leaving() -> None:
    [kept] = parse(sample("Complaint", complaintFeedbackType="not-spam"))
    assert (kept.type, kept.known) == ("ses.Complaint", True)
    chosen = {
        "unsubscribeAll": False,
        "topicSubscriptionStatus": [{"topicName": "a", "subscriptionStatus": "OptIn"}],
    }
    [same] = parse(sample("Subscription", newTopicPreferences=chosen))
    assert (same.type, same.known) == ("ses.Subscription", True)
    chosen["topicSubscriptionStatus"] = [{"topicName": "a", "subscriptionStatus": "OptOut"}]
    assert parse(sample("Subscription", newTopicPreferences=chosen))[0].type == "email.unsubscribed"
    [before] = parse(sample("Subscription", newTopicPreferences=chosen, oldTopicPreferences=chosen))
    assert before.type == "ses.Subscription"


def test_our_message_comes_back() -> None:
    message = new_id("dlv")
    for mail in (
        {"tags": {"hookline": [message]}},
        {"headers": [{"name": "x-hookline-message", "value": message}]},
        {"headers": [{"name": "Message-Id", "value": f"<{message}@shop.example>"}]},
        {"commonHeaders": {"messageId": f"<{message}@shop.example>"}},
    ):
        assert parse(sample("Delivery", mail))[0].message == message
    assert parse(sample("Delivery"))[0].message is None


@pytest.mark.parametrize(
    ("message", "type", "known"),
    [
        ("Successfully validated SNS topic for Amazon SES event publishing.", "ses.notification", True),
        ({"notificationType": "AmazonSnsSubscriptionSucceeded"}, "ses.AmazonSnsSubscriptionSucceeded", True),
        ({"eventType": "Snooze", "mail": MAIL}, "ses.Snooze", False),
        ({"alarm": "x"}, "ses.notification", False),
        ({"eventType": "Bounce", "mail": MAIL}, "ses.Bounce", False),
    ],
)
def test_other_messages_are_kept(message: Any, type: str, known: bool) -> None:
    [event] = parse(message)
    assert (event.type, event.known) == (type, known)


def test_the_signature_is_checked() -> None:
    for version in ("1", "2"):
        PROVIDER.verify(signed(envelope(sample("Open"), SignatureVersion=version)), CREDENTIALS)
        PROVIDER.verify(signed(envelope("tést ✓", SignatureVersion=version, Subject="About")), CREDENTIALS)
        PROVIDER.verify(signed({**CONFIRMATION, "SignatureVersion": version}), CREDENTIALS)
    right = signed(envelope(sample("Open")))
    assert PROVIDER.wanted(right, CREDENTIALS) == CERTIFICATE_URL
    old = signed(envelope("x"), now=NOW + timedelta(days=30))
    PROVIDER.verify(old, CREDENTIALS)
    with pytest.raises(NotSigned, match="s ago"):
        PROVIDER.verify(old, {**CREDENTIALS, "tolerance": "14d"})
    with pytest.raises(ValueError, match="tolerance"):
        PROVIDER.check({**CREDENTIALS, "tolerance": "long"})
    other = rsa.generate_private_key(65537, 2048)
    for call in (
        signed(envelope(sample("Open")), other),
        Incoming(right.headers, right.body.replace(b"192.0.2.1", b"192.0.2.2"), now=right.now, fetched=right.fetched),
        Incoming(right.headers, right.body, now=right.now),
        Incoming(right.headers, right.body, now=right.now, fetched={CERTIFICATE_URL: certificate(other)}),
        Incoming(right.headers, right.body, now=right.now, fetched={CERTIFICATE_URL: b"<html>"}),
        signed(envelope("x", TopicArn="arn:aws:sns:eu-west-1:999999999999:evil")),
        signed(envelope("x", Timestamp="yesterday")),
        Incoming({}, right.body.replace(b'"SignatureVersion": "2"', b'"SignatureVersion": "3"'), fetched=right.fetched),
        Incoming({}, b"{}"),
        Incoming({}, b"[]"),
        Incoming({}, b"no"),
        Incoming({}, as_json(envelope("x", Type="Rumour"))),
    ):  # fmt: skip
        with pytest.raises(NotSigned):
            PROVIDER.verify(call, CREDENTIALS)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0a.pem",
        "https://evil.example/SimpleNotificationService-0a.pem",
        "https://sns.evil.example/?x=.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://evil@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com/evil.pem",
        "https://mybucket.s3.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem\n",
        None,
    ],
)
def test_nothing_is_fetched_from_elsewhere(url: Any) -> None:
    with pytest.raises(NotSigned, match="SigningCertURL"):
        PROVIDER.wanted(signed(envelope("x", SigningCertURL=url)), CREDENTIALS)


def test_amazon_in_china_is_amazon() -> None:
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0a.pem"
    assert PROVIDER.wanted(signed(envelope("x", SigningCertURL=url)), CREDENTIALS) == url


def test_a_subscription_is_confirmed_at_amazon_alone() -> None:
    reply = PROVIDER.answer(signed(CONFIRMATION), CREDENTIALS)
    assert reply is not None
    assert reply.visit == CONFIRMATION["SubscribeURL"]
    assert PROVIDER.answer(signed(envelope(sample("Open"))), CREDENTIALS) is None
    for url in (
        "https://evil.example/?Action=ConfirmSubscription&a",
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish&a",
    ):
        with pytest.raises(ValueError, match="SubscribeURL"):
            PROVIDER.answer(signed({**CONFIRMATION, "SubscribeURL": url}), CREDENTIALS)
    [left] = PROVIDER.parse(signed({**CONFIRMATION, "Type": "UnsubscribeConfirmation"}), CREDENTIALS)
    assert (left.type, left.known) == ("ses.UnsubscribeConfirmation", True)


def test_raw_delivery_is_refused_with_the_way_out() -> None:
    for headers in ({"x-amz-sns-rawdelivery": "true"}, {}):
        with pytest.raises(NotSigned, match="switch off raw message delivery"):
            PROVIDER.wanted(Incoming(headers, as_json(sample("Open"))), CREDENTIALS)


def test_the_topic_is_an_arn() -> None:
    PROVIDER.check(CREDENTIALS)
    PROVIDER.check({"topic_arn": "arn:aws-cn:sns:cn-north-1:123456789012:mail.fifo"})
    for wrong in ("mail", "arn:aws:sqs:eu-west-1:123456789012:mail", TOPIC + "/x"):
        with pytest.raises(ValueError, match="ARN"):
            PROVIDER.check({"topic_arn": wrong})


@given(mutated(*[sample(kind) for kind in SAMPLES]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(record: Any) -> None:
    read(PROVIDER, as_json(envelope(record)))


@given(mutated(envelope(sample("Bounce")), CONFIRMATION))
def test_so_are_envelopes(told: Any) -> None:
    body = as_json(told)
    read(PROVIDER, body)
    with pytest.raises(NotSigned):
        PROVIDER.verify(Incoming({}, body, fetched={CERTIFICATE_URL: CERTIFICATE}), CREDENTIALS)


def test_a_time_may_have_a_space_before_its_zone() -> None:
    [event] = parse(sample("Send", mail={"timestamp": "2026-05-04T12:30:00 +0000"}))
    assert event.time == MICROS - 123_000
