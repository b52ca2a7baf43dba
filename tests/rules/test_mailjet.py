"""Our email events as Mailjet's objects, and taken back in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hookline.model import Event
from hookline.providers import mailjet as provider
from hookline.providers.parsed import Incoming
from hookline.rules import mailjet
from hookline.rules.ids import new_id

MESSAGE, CAMPAIGN, CONTACT = new_id("dlv"), new_id("cmp"), new_id("ctc")
EVERY = {
    "event", "time", "MessageID", "Message_GUID", "email", "mj_campaign_id", "mj_contact_id",
    "customcampaign", "CustomID", "Payload", "mj_message_id",
}  # fmt: skip
SEEN = {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "machine": False}


def event_of(kind: str, **data: Any) -> Event:
    about = {"message": MESSAGE, "campaign": CAMPAIGN, "contact": CONTACT, "email": "ada@example.com"}
    return Event(
        tenant="default",
        id=new_id("evt"),
        type=kind,
        source="mailer",
        subject="ada@example.com",
        time=1_790_000_000_500_000,
        accepted_at=0,
        message=MESSAGE,
        campaign=CAMPAIGN,
        data=msgspec.json.encode(about | data),
    )


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("email.sent", {"detail": "250 2.0.0 OK"}, {"event": "sent", "smtp_reply": "sent (250 2.0.0 OK)"}),
    ("email.opened", SEEN, {"event": "open", "ip": "192.0.2.7", "geo": "", "agent": SEEN["user_agent"]}),
    (
        "email.clicked",
        SEEN | {"url": "https://shop.example/?a=1"},
        {
            "event": "click", "url": "https://shop.example/?a=1", "ip": "192.0.2.7", "geo": "",
            "agent": SEEN["user_agent"],
        },
    ),
    (
        "email.bounced",
        {"hard": True, "reason": "user_unknown", "detail": "550 5.1.1 no such user"},
        {
            "event": "bounce", "blocked": True, "hard_bounce": True, "error_related_to": "recipient",
            "error": "user unknown", "comment": "550 5.1.1 no such user",
        },
    ),
    (
        "email.blocked",
        {"reason": "hard_bounce"},
        {"event": "blocked", "error_related_to": "mailjet", "error": "preblocked"},
    ),
    ("email.complained", {"detail": "JMRPP"}, {"event": "spam", "source": "JMRPP"}),
    (
        "email.unsubscribed",
        {"list": "lst_x", "ip": "192.0.2.7"},
        {"event": "unsub", "mj_list_id": mailjet.number_of("lst_x", 53), "ip": "192.0.2.7", "geo": "", "agent": ""},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "more"), CASES, ids=[case[0] for case in CASES])
def test_each_event_is_the_object_that_mailjet_would_send(
    kind: str, data: dict[str, Any], more: dict[str, Any]
) -> None:
    made = mailjet.to_object(event_of(kind, **data))
    assert made.keys() == EVERY | more.keys()
    assert {name: made[name] for name in more} == more
    assert made["time"] == 1_790_000_000 and made["email"] == "ada@example.com"
    assert made["CustomID"] == MESSAGE and made["customcampaign"] == CAMPAIGN
    assert 0 < made["MessageID"] < 2**63 and made["mj_message_id"] == str(made["MessageID"])
    assert 0 < made["mj_campaign_id"] < 2**53 and 0 < made["mj_contact_id"] < 2**53
    same = mailjet.to_object(event_of("email.opened"))
    assert same["MessageID"] == made["MessageID"] and same["Message_GUID"] == made["Message_GUID"]


@pytest.mark.parametrize(("kind", "data", "more"), CASES, ids=[case[0] for case in CASES])
def test_what_we_say_as_mailjet_would_is_understood_again(
    kind: str, data: dict[str, Any], more: dict[str, Any]
) -> None:
    event = event_of(kind, **data)
    body = b"[" + mailjet.encode(event) + b"]"
    (parsed,) = provider.parse(Incoming(headers={}, body=body), {})
    assert (parsed.type, parsed.email, parsed.message) == (kind, "ada@example.com", MESSAGE)
    assert parsed.time == event.time // 1_000_000 * 1_000_000
    for name in ("url", "ip", "hard"):
        assert parsed.facts.get(name) == (data.get(name) if name in more or name == "hard" else None)


@pytest.mark.parametrize(
    ("kind", "data", "more"),
    [
        ("email.sent", {"smtp_code": 250, "enhanced_code": "2.0.0", "detail": "OK 14"}, "sent (250 2.0.0 OK 14)"),
        ("email.sent", {"smtp_code": 250, "detail": "OK 14"}, "sent (250 OK 14)"),
        ("email.bounced", {"smtp_code": 550, "enhanced_code": "5.1.1", "detail": "no user"}, "550 5.1.1 no user"),
        ("email.bounced", {"smtp_code": 550, "enhanced_code": "5.1.1", "detail": "smtp; 550 no"}, "smtp; 550 no"),
    ],
)  # fmt: skip
def test_the_answer_of_the_server_stands_with_its_codes(kind: str, data: dict[str, Any], more: str) -> None:
    made = mailjet.to_object(event_of(kind, **data))
    assert made.get("smtp_reply", made.get("comment")) == more


def test_a_mail_is_sent_once() -> None:
    assert mailjet.passes_over(event_of("email.sent")) == ""
    assert "once" in mailjet.passes_over(event_of("email.delivered"))
    foreign = msgspec.structs.replace(event_of("email.delivered"), message=None)
    assert mailjet.passes_over(foreign) == "" and mailjet.to_object(foreign)["event"] == "sent"
    assert "email.deferred" in mailjet.passes_over(event_of("email.deferred"))


def test_every_error_is_one_that_mailjet_has() -> None:
    pairs = set(mailjet.ERRORS.values()) | {mailjet.UNKNOWN}
    assert pairs <= set(provider.REASONS)
    assert mailjet.number_of("", 53) == 0


def test_one_click_and_what_was_attached_are_told_as_mailjet_tells_them() -> None:
    told = mailjet.to_object(
        event_of("email.unsubscribed", method="one-click", user_agent="bot", metadata={"order": "17"})
    )
    assert (told["agent"], told["geo"], told["Payload"]) == ("List-Unsubscribe", "", '{"order":"17"}')
    told = mailjet.to_object(event_of("email.unsubscribed", method="page", metadata={"Payload": "17"}))
    assert (told["agent"], told["Payload"]) == ("", "17")
