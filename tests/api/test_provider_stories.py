"""Sent through a provider's SMTP relay, and heard back through its webhook: one story."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hookline.settings import Settings
from support.client import Client, client_of
from support.mailserver import MailServer

PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
PROVIDERS_MARKS = {"X-MJ-CustomID", "X-SMTPAPI"}

Report = tuple[str, EmailMessage]  # what happened, in our word for it, to which mail


class Relay(NamedTuple):
    """A provider as it is played here: what it says of its mails, and how it proves that it said it."""

    credentials: Mapping[str, str]
    report: Callable[[str, EmailMessage, int], dict[str, Any]]
    sign: Callable[[bytes], dict[str, Any]]
    sent: tuple[str, ...]
    """What becomes of "the recipient's server took it", in the order of the reports."""


def by_sendgrid(what: str, mail: EmailMessage, number: int) -> dict[str, Any]:
    """As the Event Webhook's reference has it: the unique arguments are keys of the event."""
    told = {
        "sent": {"event": "processed"},
        "delivered": {"event": "delivered", "response": "250 OK"},
        "opened": {"event": "open", "useragent": AGENT, "ip": "192.0.2.7"},
        "clicked": {
            "event": "click",
            "useragent": AGENT,
            "url": "https://shop.example/sale",
            "ip": "192.0.2.7",
        },
        "bounced": {
            "event": "bounce",
            "type": "bounce",
            "status": "5.1.1",
            "reason": "550 5.1.1 no such user",
        },
        "complained": {"event": "spamreport"},
        "unsubscribed": {"event": "unsubscribe"},
    }[what]
    return {
        "email": str(mail["To"]),
        "timestamp": int(time.time()),
        "sg_event_id": f"event-{number}",
        "sg_message_id": f"{mail['To']}.filter0001",
        "smtp-id": "<rewritten@geopod-ismtpd-1>",
        **told,
        **json.loads(mail["X-SMTPAPI"])["unique_args"],
    }


def signed_by_sendgrid(body: bytes) -> dict[str, Any]:
    at = str(int(time.time()))
    signature = PRIVATE.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": at,
    }


def by_mailjet(what: str, mail: EmailMessage, number: int) -> dict[str, Any]:
    """As the Event API's guide has it: the header's text comes back as CustomID."""
    told = {
        "sent": None,
        "delivered": {"event": "sent", "smtp_reply": "sent (250 2.0.0 OK)"},
        "opened": {"event": "open", "agent": AGENT, "ip": "192.0.2.7", "geo": "DK"},
        "clicked": {"event": "click", "agent": AGENT, "url": "https://shop.example/sale", "ip": "192.0.2.7"},
        "bounced": {
            "event": "bounce",
            "hard_bounce": True,
            "error_related_to": "recipient",
            "error": "user unknown",
        },
        "complained": {"event": "spam", "source": "JMRPP"},
        "unsubscribed": {"event": "unsub", "agent": AGENT},
    }[what]
    if told is None:  # of taking a mail Mailjet says nothing
        return {}
    return {
        "time": int(time.time()),
        "MessageID": 19421777835146490 + number,
        "email": str(mail["To"]),
        "CustomID": str(mail["X-MJ-CustomID"]),
        **told,
    }


RELAYS = {
    "sendgrid": Relay(
        {"verification_key": base64.b64encode(PUBLIC).decode()},
        by_sendgrid,
        signed_by_sendgrid,
        ("sendgrid.processed", "email.delivered"),
    ),
    "mailjet": Relay(
        {"username": "us", "password": "pw"},
        by_mailjet,
        lambda body: {"authorization": "Basic " + base64.b64encode(b"us:pw").decode()},
        ("email.delivered",),
    ),
}


@pytest.fixture(params=sorted(RELAYS))
async def story(
    request: pytest.FixtureRequest, tmp_path: Path, mailserver: MailServer
) -> AsyncIterator[tuple[str, Client, MailServer]]:
    """A Hookline whose SMTP server is said to be a provider's."""
    settings = Settings(
        home=str(tmp_path),
        allow_targets="127.0.0.0/8",
        public_url="https://mail.example",
        smtp_url=f"{mailserver.url}?provider={request.param}",
    )
    async with client_of(settings) as api:
        yield request.param, api, mailserver


async def send_campaign(api: Client, *names: str) -> str:
    """Its path."""
    await api.post("/v1/lists", {"name": "news"})
    for name in names:
        await api.post("/v1/contacts", {"email": f"{name}@example.com", "lists": ["news"]})
    spec = {
        "name": "spring",
        "list": "news",
        "from": "shop@example.com",
        "subject": "Hello",
        "html": '<p><a href="https://shop.example/sale">look</a></p>',
    }
    path = f"/v1/campaigns/{(await api.post('/v1/campaigns', spec)).json['id']}"
    assert (await api.post(f"{path}/send")).status == 202
    await api.app.services.campaigns.run_once()
    await api.settled()
    return path


async def open_ourselves(api: Client, mail: EmailMessage) -> None:
    """The reader's mail program fetches our pixel."""
    body = mail.get_body(("html",))
    assert body is not None
    found = re.search(r'https://mail\.example(/t/o/[^"]+)', body.get_content())
    assert found is not None
    headers = {"user-agent": AGENT, "authorization": None}
    assert (await api.get(found[1], headers=headers)).status == 200


async def test_each_message_counts_once_though_two_tell_of_it(story: tuple[str, Client, MailServer]) -> None:
    name, api, server = story
    relay = RELAYS[name]
    path = await send_campaign(api, "ada", "bob", "cleo", "dan")
    ada, bob, cleo, dan = (server.to(f"{who}@example.com")[0] for who in ("ada", "bob", "cleo", "dan"))
    assert {header for header in PROVIDERS_MARKS if header in ada} == {
        {"sendgrid": "X-SMTPAPI", "mailjet": "X-MJ-CustomID"}[name]
    }
    made = await api.post("/v1/sources", {"kind": name, "name": "mail", "credentials": relay.credentials})
    address = f"/in/{made.json['id']}"

    happened: list[Report] = [
        *[("sent", mail) for mail in (ada, bob, cleo, dan)],
        *[("delivered", mail) for mail in (ada, cleo, dan)],
        ("opened", ada),
        ("clicked", ada),
        ("bounced", bob),
        ("opened", cleo),
        ("complained", cleo),
        ("unsubscribed", dan),
    ]
    reports = [relay.report(what, mail, number) for number, (what, mail) in enumerate(happened)]
    body = json.dumps([report for report in reports if report]).encode()
    await open_ourselves(api, ada)
    told = await api.post(address, body, headers=relay.sign(body))
    assert (told.status, told.json["duplicates"]) == (200, 0)
    again = await api.post(address, body, headers=relay.sign(body))
    assert again.json == {"accepted": 0, "duplicates": told.json["accepted"]}

    stats = (await api.get(f"{path}/stats")).json
    expected = {
        "recipients": 4,
        "attempted": 4,
        "sent": 4,
        "delivered": 3,
        "opened": 2,
        "opened_total": 2,  # Ada's once: by our pixel, though the provider reports it, too
        "clicked": 1,
        "bounced": 1,
        "bounced_hard": 1,
        "complained": 1,
        "unsubscribed": 1,
        "open_rate": round(2 / 3, 6),
    }
    assert stats | expected == stats
    suppressed = (await api.get("/v1/suppressions")).json["data"]
    assert {(one["address"], one["reason"]) for one in suppressed} == {
        ("bob@example.com", "hard_bounce"),
        ("cleo@example.com", "complaint"),
        ("dan@example.com", "unsubscribe"),
    }
    events = (await api.get("/v1/events?subject=ada@example.com&limit=250")).json["data"]
    from_provider = [one for one in reversed(events) if one["source"] == made.json["id"]]
    assert tuple(one["type"] for one in from_provider) == (*relay.sent, "email.opened", "email.clicked")
    for event in from_provider:
        assert event["data"]["campaign"] == path.rpartition("/")[2]
        assert event["data"]["message"] == str(ada["X-Hookline-Message"])
        assert event["cause"] == event["data"]["message"]


async def test_a_report_of_our_message_with_another_recipient_changes_nothing(
    story: tuple[str, Client, MailServer],
) -> None:
    name, api, server = story
    relay = RELAYS[name]
    path = await send_campaign(api, "ada")
    [mail] = server.to("ada@example.com")
    made = await api.post("/v1/sources", {"kind": name, "name": "mail", "credentials": relay.credentials})
    body = json.dumps([relay.report("bounced", mail, 1) | {"email": "bob@example.com"}]).encode()
    assert (await api.post(f"/in/{made.json['id']}", body, headers=relay.sign(body))).json["accepted"] == 1
    stats = (await api.get(f"{path}/stats")).json
    assert (stats["sent"], stats["bounced"]) == (1, 0)
    [suppressed] = (await api.get("/v1/suppressions")).json["data"]
    assert suppressed["address"] == "bob@example.com"
