"""MailerSend's events in both their shapes, signed as it signs."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from hookline.providers import Incoming, NotSigned, ParsedEvent, mailersend
from hookline.rules.ids import new_id
from support.mutations import as_json, mutated, read

PROVIDER = mailersend.PROVIDER
SECRET = {"signing_secret": "jFLlSmxwUcYdZzEqcTxkAMQ5jq7oDHMN"}
WHEN = 1_606_471_686_258_000  # of data.created_at below
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SEEN = {"ip": "192.0.2.7", "user_agent": AGENT}
ABOUT: Mapping[str, Any] = {
    "sent": None,
    "delivered": None,
    "deferred": {"reason": "421 4.7.0 try again later"},
    "soft_bounced": {"object": "recipient_bounce", "reason": "552 5.2.2 mailbox full"},
    "hard_bounced": {"object": "recipient_bounce", "reason": "550 5.1.1 no such user"},
    "suppressed": {"reason": "on the suppression list"},
    "opened": {"object": "open", **SEEN},
    "clicked": {"object": "click", "url": "https://shop.example/a?b=c", **SEEN},
    "unsubscribed": {"object": "recipient_unsubscribe", "reason": "option_1", "readable_reason": "no longer"},
    "spam_complaint": {"object": "spam_complaint", "reason": None},
}


def first(name: str, message: str = "5fc0d003f718c9016234b9d3", **changes: Any) -> dict[str, Any]:
    """Version 1."""
    mail = {
        "object": "email",
        "id": "5fc0d003e7a5e7035446aa32",
        "from": "test@mailersend.com",
        "tags": ["welcome"],
        "message": {"object": "message", "id": message},
        "recipient": {"object": "recipient", "id": "5fbd0", "email": "ada@example.com"},
    }
    data = {
        "object": "activity",
        "id": "5fc0d006b42c3e16e1774882",
        "type": name,
        "created_at": "2020-11-27T10:08:06.258000Z",
        "email": mail,
        "morph": ABOUT.get(name),
    }
    return {
        "type": f"activity.{name}",
        "domain_id": "yv69oxl5kl785kw2",
        "created_at": "2020-11-27T10:08:08.298647Z",
        "webhook_id": "2351ndgwr4zqx8ko",
        "url": "https://your-domain.com/webhook",
        "data": data | changes,
    }


def second(name: str, **changes: Any) -> dict[str, Any]:
    """Version 2."""
    data = {
        "id": "5fc0d006b42c3e16e1774882",
        "type": name,
        "message_id": "6889b",
        "email_id": "6889c",
        "email": "ada@example.com",
        "tags": ["welcome"],
        "meta": ABOUT.get(name) or [],
    }
    return {"type": f"activity.{name}", "created_at": "2020-11-27T10:08:06.258000Z", "data": data | changes}


def parse(event: Any) -> ParsedEvent:
    [found] = PROVIDER.parse(Incoming({}, as_json(event)), SECRET)
    return found


def signed(body: bytes, secret: str = SECRET["signing_secret"]) -> Incoming:
    return Incoming({"signature": hmac.digest(secret.encode(), body, "sha256").hex()}, body)


@pytest.mark.parametrize("shape", [first, second])
@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("sent", "email.sent", {}),
        ("delivered", "email.delivered", {}),
        ("deferred", "email.deferred", {"smtp_code": 421, "enhanced_code": "4.7.0", "reason": "system"}),
        ("soft_bounced", "email.bounced", {"reason": "mailbox_full", "hard": False}),
        ("hard_bounced", "email.bounced", {"smtp_code": 550, "reason": "user_unknown", "hard": True}),
        ("suppressed", "email.blocked", {"reason": "blocked"}),
        ("opened", "email.opened", {**SEEN, "machine": False}),
        ("clicked", "email.clicked", {**SEEN, "url": "https://shop.example/a?b=c", "machine": False}),
        ("unsubscribed", "email.unsubscribed", {"detail": "option_1"}),
        ("spam_complaint", "email.complained", {}),
    ],
)
def test_the_events(shape: Any, name: str, kind: str, facts: dict[str, Any]) -> None:
    event = parse(shape(name))
    assert (event.type, event.email, event.time) == (kind, "ada@example.com", WHEN)
    assert event.id == "5fc0d006b42c3e16e1774882"
    assert event.facts == {**event.facts, **facts, "tags": ["welcome"]}
    assert event.ours == ("mailersend.sent" if name == "sent" else None)


def test_the_first_open_and_the_first_click_are_one() -> None:
    assert parse(second("opened_unique")).type == "email.opened"
    assert parse(second("clicked_unique")).type == "email.clicked"


def test_our_message_comes_back_where_it_can() -> None:
    message = new_id("dlv")
    for event in (
        first("opened", f"{message}@shop.example"),
        second("opened", message_id=f"<{message}@shop.example>"),
        second("opened", tags=["a", message]),
    ):
        assert parse(event).message == message


def test_what_has_no_word_of_ours_is_kept() -> None:
    survey, pause, new = (
        parse({"type": name, "created_at": "2025-08-05 22:27:14", "data": {}})
        for name in ("activity.survey_opened", "maintenance.start", "activity.snoozed")
    )
    assert [(event.type, event.known) for event in (survey, pause, new)] == [
        ("mailersend.survey_opened", True),
        ("mailersend.maintenance_start", True),
        ("mailersend.snoozed", False),
    ]
    assert pause.time == 1_754_432_834_000_000


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "no `type`"),
        (first("opened") | {"created_at": 1, "data": {"email": "a@b.example"}}, "no `created_at`"),
        (second("opened", email=None), "no recipient"),
        (first("opened", email={"recipient": 17}), "no recipient"),
    ],
)
def test_what_is_wrong_is_named(event: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(event)


def test_the_signature_is_checked() -> None:
    body = as_json(first("opened"))
    PROVIDER.verify(signed(body), SECRET)
    PROVIDER.verify(Incoming({"signature": signed(body).headers["signature"].upper()}, body), SECRET)
    for wrong in (
        Incoming(signed(body).headers, body + b" "),
        signed(body, "other"),
        signed(body, mailersend.TEST_SECRET),
        Incoming({"signature": "é"}, body),
        Incoming({}, body),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, SECRET)


def test_an_address_can_be_tried_before_there_is_a_secret() -> None:
    ping = (
        b'{"type":"webhook.test","message":"This is a ping test message","created_at":"2026-03-27T07:24:20Z"}'
    )
    tried = signed(ping, mailersend.TEST_SECRET)
    for credentials in ({}, SECRET):
        PROVIDER.verify(tried, credentials)
    assert PROVIDER.parse(tried, {}) == []
    batch = b"[" + ping + b"," + as_json(first("opened")) + b"]"  # what is published signs nothing else
    with pytest.raises(NotSigned):
        PROVIDER.verify(signed(batch, mailersend.TEST_SECRET), SECRET)


@given(mutated(*[shape(name) for name in ABOUT for shape in (first, second)]))
def test_whatever_is_changed_is_parsed_or_refused_in_words(value: Any) -> None:
    read(PROVIDER, as_json(value))
