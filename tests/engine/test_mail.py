"""Campaigns, bounces, suppression and the promo rule: real SMTP, both databases, a clock of our own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hookline.model import DAY, HOUR, MINUTE, SECOND, Campaign, CampaignInput, Delivery, Suppression
from hookline.rules import tokens
from hookline.storage.claiming import Wanted
from support.engine import Engine, running
from support.mailserver import MailServer


def promo(campaign: str) -> dict[str, object]:
    """The rule of the contract, with a static code."""
    return {
        "name": "promo for early readers",
        "on": ["email.opened", "email.clicked"],
        "if": f"message.campaign == '{campaign}' && event.time - message.sent_at <= duration('24h')"
        " && !event.data.machine",
        "limit": {"count": 1, "per": "contact", "within": "forever"},
        "do": {
            "kind": "email",
            "to": "{{ contact.attributes.first_name }} <{{ event.subject }}>",
            "from": "shop@example.com",
            "subject": "Thank you, {{ contact.attributes.first_name }}",
            "html": "<p>Your code: EARLY10</p>",
        },
    }


async def readers(engine: Engine, *names: str) -> tuple[Campaign, dict[str, Delivery]]:
    """A campaign that was sent to these readers; each one's delivery by name."""
    listed = await engine.new_list("readers")
    for name in names:
        raw = json.dumps({"first_name": name.title()}).encode()
        await engine.contact(f"{name}@example.com", listed.id, attributes=raw)
    campaign = await engine.campaign(listed)
    sent = {str(d.address).partition("@")[0]: d for d in await engine.deliveries(campaign=campaign.id)}
    return campaign, sent


async def test_a_campaign_reaches_everybody_on_its_list_once(post: Engine, mailserver: MailServer) -> None:
    listed = await post.new_list("readers")
    names = [f"reader{n}" for n in range(40)]
    for name in names:
        await post.contact(f"{name}@example.com", listed.id, attributes=b'{"first_name": "J\xc3\xb8rn"}')
    await post.contact("stranger@example.com")
    campaign = await post.campaign(listed)
    assert sorted(address for address, _ in mailserver.mails) == sorted(
        f"{name}@example.com" for name in names
    )
    (mail,) = mailserver.to("reader7@example.com")
    assert mail["subject"] == "Hello Jørn" and mail["from"] == "Shop <shop@example.com>"
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "Hi reader7@example.com" in html and "http://mail.example/t/c/" in text
    found = {}
    for kind in "ocu":
        match = re.search(rf"http://mail\.example/t/{kind}/([\w-]+)", html + str(mail["list-unsubscribe"]))
        assert match is not None, (kind, html, mail["list-unsubscribe"])
        found[kind] = tokens.read(post.token_key, match[1])
    assert found["c"].url == "https://shop.example/?a=1&b=2"  # type: ignore[union-attr]
    assert found["u"].list == listed.id  # type: ignore[union-attr]
    figures = await post.stats(campaign)
    assert (figures["attempted"], figures["sent"], figures["delivered"], figures["open_rate"]) == (
        40,
        40,
        40,
        0,
    )
    done = await post.storage.campaigns.get("default", campaign.id)
    assert done.state == "sent"
    assert [e.type for e in await post.events("campaign.*")] == ["campaign.finished", "campaign.started"]


async def test_a_refusal_is_a_bounce_and_the_address_is_not_mailed_again(
    post: Engine, mailserver: MailServer
) -> None:
    mailserver.refuse["gone@example.com"] = ["550 5.1.1 No such user here"]
    mailserver.refuse["full@example.com"] = ["552 5.2.2 Mailbox full"]
    campaign, sent = await readers(post, "ada", "gone", "full")
    bounces = {e.subject: json.loads(e.data) for e in await post.events("email.bounced")}
    gone, full = bounces["gone@example.com"], bounces["full@example.com"]
    assert (gone["hard"], gone["reason"], gone["smtp_code"], gone["enhanced_code"]) == (
        True, "user_unknown", 550, "5.1.1",
    )  # fmt: skip
    assert (full["hard"], full["reason"]) == (False, "mailbox_full")
    assert (sent["gone"].state, sent["gone"].error) == ("failed", "smtp_permanent")
    figures = await post.stats(campaign)
    assert (figures["attempted"], figures["sent"], figures["bounced"], figures["bounced_hard"]) == (
        3,
        1,
        2,
        1,
    )
    assert figures["delivered"] == 1 and figures["bounce_rate"] == round(2 / 3, 6)
    again = await post.campaign(await post.storage.contacts.list_named("default", "readers"))
    (blocked,) = await post.events("email.blocked")
    assert blocked.subject == "gone@example.com" and json.loads(blocked.data)["reason"] == "hard_bounce"
    assert (await post.stats(again))["blocked"] == 1 and (await post.stats(again))["attempted"] == 2


async def test_a_suppressed_contact_is_blocked_and_not_tried(post: Engine, mailserver: MailServer) -> None:
    entry = Suppression(tenant="default", address="bob@example.com", reason="manual", created_at=0)
    await post.storage.contacts.suppress(entry)
    campaign, sent = await readers(post, "ada", "bob")
    assert [address for address, _ in mailserver.mails] == ["ada@example.com"]
    assert (sent["bob"].state, sent["bob"].error) == ("failed", "suppressed")
    figures = await post.stats(campaign)
    assert (figures["attempted"], figures["blocked"], figures["delivered"]) == (1, 1, 1)


async def test_a_temporary_refusal_is_deferred_then_sent(post: Engine, mailserver: MailServer) -> None:
    mailserver.refuse["grey@example.com"] = ["451 4.7.1 Greylisted, come back", "250 OK"]
    campaign, sent = await readers(post, "grey")
    assert sent["grey"].state == "waiting"
    figures = await post.stats(campaign)
    assert (figures["attempted"], figures["pending"], figures["delivered"]) == (1, 1, 0)
    post.clock.advance(5 * MINUTE)
    await post.work()
    figures = await post.stats(campaign)
    assert (figures["attempted"], figures["sent"], figures["pending"], figures["delivered"]) == (1, 1, 0, 1)
    assert len(mailserver.to("grey@example.com")) == 1


async def test_a_mail_that_never_gets_through_ends_as_a_bounce(post: Engine, mailserver: MailServer) -> None:
    mailserver.refuse["grey@example.com"] = ["451 4.7.1 Not now"]
    campaign, sent = await readers(post, "grey")
    for _ in range(12):
        post.clock.advance(DAY)
        await post.work()
    done = await post.storage.deliveries.get("default", sent["grey"].id)
    figures = await post.stats(campaign)
    assert (done.state, figures["bounced"], figures["pending"], figures["bounced_hard"]) == (
        "failed",
        1,
        0,
        0,
    )


async def test_opens_are_counted_by_people_and_by_machines(post: Engine) -> None:
    campaign, sent = await readers(post, "ada", "bob")
    for _ in range(2):
        await post.told("email.opened", sent["ada"])
    await post.told("email.opened", sent["bob"], machine=True, machine_reason="apple_privacy_proxy")
    await post.told("email.clicked", sent["ada"], url="https://shop.example/")
    figures = await post.stats(campaign)
    assert (figures["opened"], figures["opened_total"], figures["opened_machine"]) == (1, 2, 1)
    assert (figures["open_rate"], figures["click_rate"], figures["click_to_open_rate"]) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize(("after", "promised"), [(DAY - SECOND, 1), (DAY, 1), (DAY + SECOND, 0)])
async def test_the_promo_goes_to_who_opens_within_24_hours(
    post: Engine, mailserver: MailServer, after: int, promised: int
) -> None:
    campaign, sent = await readers(post, "ada")
    await post.hook(promo(campaign.id))
    post.clock.advance(after)
    await post.told("email.opened", sent["ada"])
    await post.work()
    promos = [mail for mail in mailserver.to("ada@example.com") if mail["subject"] == "Thank you, Ada"]
    assert [mail["to"] for mail in promos] == ["Ada <ada@example.com>"] * promised
    assert len(promos) == promised


async def test_two_opens_give_one_code_machines_none_and_the_trace_says_so(
    post: Engine, mailserver: MailServer
) -> None:
    campaign, sent = await readers(post, "ada", "mac")
    await post.hook(promo(campaign.id))
    first = await post.told("email.opened", sent["ada"])
    second = await post.told("email.clicked", sent["ada"])
    machine = await post.told("email.opened", sent["mac"], machine=True)
    await post.work()
    assert len(mailserver.to("ada@example.com")) == 2 and len(mailserver.to("mac@example.com")) == 1
    verdicts = [
        (await post.storage.events.get("default", answer.id)).verdicts[0].verdict
        for answer in (first, second, machine)
    ]
    assert verdicts == ["matched", "limit", "condition"]


async def test_opening_the_promo_is_not_a_reason_for_another(post: Engine, mailserver: MailServer) -> None:
    _, sent = await readers(post, "ada")
    anything = promo("x") | {"if": "!event.data.machine", "limit": None}
    await post.hook(anything)
    await post.told("email.opened", sent["ada"])
    await post.work()
    (promised,) = [d for d in await post.deliveries() if d.hook]
    again = await post.told("email.opened", promised)
    await post.work()
    assert len(mailserver.to("ada@example.com")) == 2
    stored = await post.storage.events.get("default", again.id)
    assert stored.verdicts[0].verdict == "loop"


async def test_who_unsubscribed_between_open_and_promo_gets_none(
    post: Engine, mailserver: MailServer
) -> None:
    campaign, sent = await readers(post, "ada")
    await post.hook(promo(campaign.id))
    await post.told("email.opened", sent["ada"])
    await post.told("email.unsubscribed", sent["ada"], list=campaign.list)
    await post.work()
    assert len(mailserver.to("ada@example.com")) == 1
    assert [e.subject for e in await post.events("email.blocked")] == ["ada@example.com"]


async def test_transactional_mail_passes_an_unsubscription_but_not_a_complaint(
    post: Engine, mailserver: MailServer
) -> None:
    campaign, sent = await readers(post, "ada", "bob")
    receipt = promo("x")["do"] | {"stream": "transactional", "subject": "Receipt"}  # type: ignore[operator]
    await post.hook({"on": ["order.paid"], "do": receipt})
    await post.told("email.unsubscribed", sent["ada"], list=campaign.list)
    await post.told("email.complained", sent["bob"])
    for name in ("ada", "bob"):
        await post.publish("order.paid", subject=f"{name}@example.com")
    await post.work()
    assert [mail["subject"] for mail in mailserver.to("ada@example.com")] == ["Hello Ada", "Receipt"]
    assert [mail["subject"] for mail in mailserver.to("bob@example.com")] == ["Hello Bob"]
    assert mailserver.to("ada@example.com")[1]["list-unsubscribe"] is None


async def test_a_mail_in_doubt_after_a_crash_is_shown_and_not_sent_twice(
    database_url: str | Path, mailserver: MailServer
) -> None:
    async with running(database_url, mailserver.url) as first:
        listed = await first.new_list("readers")
        for name in ("ada", "bob", "cyd"):
            await first.contact(f"{name}@example.com", listed.id)
        spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
        campaign = await first.storage.campaigns.put(
            Campaign(tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1)
        )
        await first.campaigns.start(campaign)
        await first.campaigns.run_once()
        one = Wanted(tenant="default", lane="cmp_x", firsts=1)
        claimed = (await first.storage.deliveries.claim([one], "prc_dead", first.clock.now())).work
        assert len(claimed) == 1
    async with running(database_url, mailserver.url) as second:
        await second.dispatcher.take_over(-DAY)
        await second.work()
        states = {d.address: (d.state, d.error) for d in await second.deliveries(campaign="cmp_x")}
        assert states.pop(claimed[0][0].address) == ("failed", "crashed")
        assert set(states.values()) == {("succeeded", None)} and len(mailserver.mails) == 2
        done = await second.storage.campaigns.get("default", "cmp_x")
        assert done.state == "sent"


async def test_an_smtp_server_that_is_away_is_waited_for(database_url: str | Path) -> None:
    async with running(database_url, "smtp://127.0.0.1:9") as engine:
        listed = await engine.new_list("readers")
        await engine.contact("ada@example.com", listed.id)
        campaign = await engine.campaign(listed)
        (waiting,) = await engine.deliveries(campaign=campaign.id)
        assert (waiting.state, waiting.error) == ("waiting", "smtp_temporary")
        assert (await engine.stats(campaign))["attempted"] == 0, "nobody was asked"
        assert waiting.next_at is not None and waiting.next_at - engine.clock.now() < HOUR
