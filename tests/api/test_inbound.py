"""What comes back: real bounces, complaints and answers to mails that were really sent, by HTTP and by SMTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hookline.rules.ids import new_id
from hookline.settings import Settings
from support import mails
from support.client import Client, client_of
from support.mails import mail
from support.mailserver import MailServer
from support.receiver import Receiver
from support.smtp import conversation, hand_in

DOMAIN = "in.shop.example"
ADA = "ada@reader.example"


@pytest.fixture
async def post(tmp_path: Path, mailserver: MailServer) -> AsyncIterator[Client]:
    """A Hookline with a domain for what comes back, which listens for mail."""
    settings = Settings(
        home=str(tmp_path),
        allow_targets="127.0.0.0/8",
        secret_key="00" * 32,
        smtp_url=mailserver.url,
        public_url="https://mail.example",
        bounce_domain=DOMAIN,
        mail_listen="127.0.0.1:0",
    )
    async with client_of(settings) as client:
        yield client


def port(post: Client) -> tuple[str, int]:
    """Where it listens for mail."""
    assert post.app.mail_address is not None
    return post.app.mail_address


async def sent(post: Client, *addresses: str) -> Any:
    """A campaign that was sent to these; its id."""
    listed = (await post.post("/v1/lists", {"name": "readers"})).json["id"]
    for address in addresses:
        assert (await post.post("/v1/contacts", {"email": address, "lists": [listed]})).status < 300
    spec = {
        "name": "spring",
        "list": listed,
        "from": "shop@shop.example",
        "subject": "Hi",
        "html": "<p>Hello</p>",
    }
    campaign = (await post.post("/v1/campaigns", spec)).json["id"]
    assert (await post.post(f"/v1/campaigns/{campaign}/send")).status == 202
    await post.app.services.campaigns.run_once()
    await post.settled()
    async with asyncio.timeout(10):  # until its last event is stored, too
        while (await post.get(f"/v1/campaigns/{campaign}")).json["finished_at"] is None:
            await post.app.services.campaigns.run_once()
    return campaign


async def take(post: Client, raw: bytes, to: str = "") -> Any:
    answer = await post.post(
        f"/in/mail?to={to}" if to else "/in/mail", raw, headers={"content-type": "message/rfc822"}
    )
    assert answer.status == 200, answer.body
    return answer.json


async def events(post: Client, kind: str) -> list[dict[str, Any]]:
    return list((await post.get(f"/v1/events?type={kind}")).json["data"])


async def suppressed(post: Client) -> dict[str, str]:
    return {one["address"]: one["reason"] for one in (await post.get("/v1/suppressions")).json["data"]}


async def stats(post: Client, campaign: str) -> dict[str, Any]:
    return dict((await post.get(f"/v1/campaigns/{campaign}/stats")).json)


async def test_the_whole_story_of_a_bounce(post: Client, mailserver: MailServer, receiver: Receiver) -> None:
    hook = await post.hook(receiver.url, on=["email.bounced"])
    campaign = await sent(post, ADA, "bob@reader.example")
    before = await stats(post, campaign)
    assert (before["delivered"], before["bounced"]) == (2, 0)
    path = mailserver.sender_of(ADA)
    assert re.fullmatch(rf"b-[0-9a-v]{{42}}@{DOMAIN}", path)
    # Servers on the way may change the case of an address.
    raw = mail(mails.POSTFIX, to=path, rcpt=ADA)
    await hand_in(port(post), raw, path.upper().replace(DOMAIN.upper(), DOMAIN))
    (event,) = await events(post, "email.bounced")
    data = event["data"]
    assert (event["subject"], data["campaign"], data["hard"]) == (ADA, campaign, True)
    assert (data["reason"], data["smtp_code"], data["enhanced_code"]) == ("user_unknown", 550, "5.1.1")
    assert "User unknown in virtual mailbox table" in data["detail"]
    assert data["provider_event"]["raw"].startswith("From: Mail Delivery System")
    assert await suppressed(post) == {ADA: "hard_bounce"}
    after = await stats(post, campaign)
    assert (after["delivered"], after["bounced"], after["bounced_hard"], after["sent"]) == (1, 1, 1, 2)
    await post.settled()
    (body,) = receiver.verified(hook["secret"])
    assert body["data"]["reason"] == "user_unknown"
    # The same once more, by both ways, changes nothing.
    await hand_in(port(post), raw, path)
    again = await take(post, raw, path)
    assert (again["accepted"], again["duplicates"], again["reports"][0]["event"]) == (0, 1, event["id"])
    assert await stats(post, campaign) == after and len(await events(post, "email.bounced")) == 1


async def test_a_full_mailbox_bounces_and_is_mailed_again(post: Client, mailserver: MailServer) -> None:
    campaign = await sent(post, ADA)
    answer = await take(post, mail(mails.FULL, rcpt=ADA), mailserver.sender_of(ADA))
    assert (answer["accepted"], answer["ignored"], answer["reason"]) == (1, 0, None)
    (report,) = answer["reports"]
    assert (report["kind"], report["reason"], report["hard"]) == ("bounced", "mailbox_full", False)
    assert (await stats(post, campaign))["bounced"] == 1 and await suppressed(post) == {}


async def test_a_delay_is_pending_until_it_is_known_better(post: Client, mailserver: MailServer) -> None:
    campaign = await sent(post, ADA)
    path = mailserver.sender_of(ADA)
    await take(post, mail(mails.DELAY, rcpt=ADA), path)
    assert (await stats(post, campaign))["delivered"] == 0
    assert [e["data"]["reason"] for e in await events(post, "email.deferred")] == ["network"]
    await take(post, mail(mails.DELIVERED.replace("4ABC@", "4ABD@"), rcpt=ADA), path)
    assert (await stats(post, campaign))["delivered"] == 1 and len(await events(post, "email.delivered")) == 1


@pytest.mark.parametrize(
    "forged",
    [
        mails.POSTFIX,
        mails.EXIM,
        mails.FEEDBACK,
        mails.JMRP,
        mails.POSTFIX.replace("{original}", "Subject: nothing of yours\n"),
    ],
)
async def test_what_we_never_sent_suppresses_nobody(
    post: Client, mailserver: MailServer, forged: str
) -> None:
    await sent(post, ADA)
    answer = await take(post, mail(forged, to=f"b-{'0' * 42}@{DOMAIN}", rcpt=ADA, message=new_id("dlv")))
    assert (answer["accepted"], answer["duplicates"]) == (0, 0)
    assert answer["reason"] == "it names no message that was sent from here, to that recipient"
    assert await suppressed(post) == {} and await events(post, "email.bounced") == []


async def test_without_a_token_the_message_and_its_recipient_are_needed(
    post: Client, mailserver: MailServer
) -> None:
    await sent(post, ADA)
    message = str(mailserver.to(ADA)[0]["x-hookline-message"])
    other = await take(
        post, mail(mails.EXIM, to="shop@shop.example", rcpt="bob@reader.example", message=message)
    )
    assert other["accepted"] == 0
    stranger = await post.with_key(tenant="other")
    raw = mail(mails.SENDMAIL, to="shop@shop.example", rcpt=ADA, message=message)
    assert (await take(stranger, raw))["accepted"] == 0
    assert (await take(stranger, raw, mailserver.sender_of(ADA)))["accepted"] == 0
    ours = await take(post, raw)
    assert ours["accepted"] == 1 and ours["reports"][0]["message"] == message
    assert await suppressed(post) == {ADA: "hard_bounce"}


@pytest.mark.parametrize("rcpt_field", ["", "Original-Rcpt-To: <redacted>\n", None])
async def test_a_complaint_finds_who_complained(
    post: Client, mailserver: MailServer, rcpt_field: str | None
) -> None:
    campaign = await sent(post, ADA)
    raw = mail(
        mails.FEEDBACK.replace("To: {rcpt}", "To: undisclosed"),
        to=mailserver.sender_of(ADA),
        rcpt=ADA,
        rcpt_field=rcpt_field,
        message="dlv_none",
    )
    await hand_in(port(post), raw, f"fbl@{DOMAIN}")
    (event,) = await events(post, "email.complained")
    assert event["subject"] == ADA and event["data"]["campaign"] == campaign
    assert await suppressed(post) == {ADA: "complaint"}
    assert (await stats(post, campaign))["complained"] == 1


async def test_a_complaint_is_known_by_the_unsubscribe_link_alone(
    post: Client, mailserver: MailServer
) -> None:
    await sent(post, ADA)
    link = str(mailserver.to(ADA)[0]["list-unsubscribe"])
    raw = mail(
        mails.JMRP.replace("X-Store-Info: J++/JTCzmObr", f"List-Unsubscribe: {link}"), message="dlv_none"
    )
    assert (await take(post, raw))["accepted"] == 1
    assert await suppressed(post) == {ADA: "complaint"}


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        (mails.AWAY, "auto_reply"),
        (mails.AWAY_ITALIAN, "auto_reply"),
        (mails.RECEIPT, "auto_reply"),
        (mails.NOT_SPAM, "not_spam"),
        (mails.AUTH_FAILURE, "auth_failure"),
        (mails.RELAYED, "relayed"),
        (mails.PERSON, None),
    ],
)
async def test_what_is_neither_bounce_nor_complaint_changes_nothing(
    post: Client, mailserver: MailServer, template: str, kind: str | None
) -> None:
    campaign = await sent(post, ADA)
    before = await stats(post, campaign)
    stored = await post.stored()
    path = mailserver.sender_of(ADA)
    answer = await take(post, mail(template, to=path, rcpt=ADA), path)
    assert (answer["accepted"], answer["ignored"]) == (0, 1) and answer["reason"]
    assert [report["kind"] for report in answer["reports"]] == ([kind] if kind else [])
    assert await stats(post, campaign) == before and await post.stored() == stored


async def test_unsubscribing_by_mail(post: Client, mailserver: MailServer) -> None:
    campaign = await sent(post, ADA)
    header = str(mailserver.to(ADA)[0]["list-unsubscribe"])
    found = re.fullmatch(
        r"<https://mail\.example/t/u/[\w-]+>, <mailto:(u-[0-9a-v]+@in\.shop\.example)>", header
    )
    assert found is not None
    for _ in range(2):
        await hand_in(port(post), mail(mails.PERSON, to=found[1], rcpt=ADA), found[1])
    (event,) = await events(post, "email.unsubscribed")
    assert event["subject"] == ADA and event["data"]["list"]
    assert await suppressed(post) == {ADA: "unsubscribe"}
    assert (await stats(post, campaign))["unsubscribed"] == 1


async def test_an_automatic_answer_to_the_unsubscribe_address_unsubscribes_nobody(
    post: Client, mailserver: MailServer
) -> None:
    await sent(post, ADA)
    local = mailserver.sender_of(ADA)
    address = str(mailserver.to(ADA)[0]["list-unsubscribe"]).partition("mailto:")[2].rstrip(">")
    assert address != local
    await hand_in(port(post), mail(mails.AWAY, to=address, rcpt=ADA), address)
    assert await events(post, "email.unsubscribed") == [] and await suppressed(post) == {}


async def test_the_key_needs_the_scope_and_the_mail_its_size(post: Client) -> None:
    reader = await post.with_key("read")
    assert (await reader.post("/in/mail", b"x")).status == 403
    assert (await post.post("/in/mail", b"x", headers={"authorization": None})).status == 401
    big = await post.post("/in/mail", b"x" * (25 * 1024 * 1024 + 1))
    assert big.status == 413 and "26214400" in big.json["detail"]
    for odd in (b"", b"\0\0\0", b"\xff" * 1000, b"\r\n\r\n", b": : :\n\n"):
        assert (await take(post, odd))["accepted"] == 0


async def test_mail_for_others_is_refused(post: Client, mailserver: MailServer) -> None:
    await sent(post, ADA)
    path = mailserver.sender_of(ADA)
    unsigned = f"b-{'0' * 42}@{DOMAIN}"
    async with conversation(port(post)) as talk:
        assert await talk.say("EHLO mx.reader.example") == 250
        assert await talk.say("MAIL FROM:<>") == 250
        assert await talk.say("RCPT TO:<ada@elsewhere.example>") == 550
        assert await talk.say(f"RCPT TO:<{unsigned}>") == 550
        assert await talk.say("DATA") == 503
        assert await talk.say(f"RCPT TO:<{path}>") == 250
        assert await talk.say(f"RCPT TO:<postmaster@{DOMAIN}>") == 250
        assert await talk.say("DATA") == 354
        assert await talk.say(mail(mails.FULL, rcpt=ADA).decode().replace("\r\n.", "\r\n..") + "\r\n.") == 250
        assert await talk.say("QUIT") == 221
    assert len(await events(post, "email.bounced")) == 1
