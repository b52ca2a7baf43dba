"""Lists that ask first: nobody is subscribed who has not pressed the button behind the link in the mail."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hookline.clock import ManualClock
from hookline.model import DAY, HOUR
from hookline.rules import tokens
from hookline.settings import Settings
from support.client import Client, Reply, client_of
from support.mailserver import MailServer

BROWSER = {"authorization": None, "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
ASKING = {"from": "News <news@example.com>"}
Site = tuple[Client, ManualClock]


@pytest.fixture
async def site(tmp_path: Path, database_url: str | Path, mailserver: MailServer) -> AsyncIterator[Site]:
    """A Hookline that sends mail, on SQLite and then on PostgreSQL, and its clock."""
    settings = Settings(
        home=str(tmp_path), database=database_url if isinstance(database_url, str) else "", smtp_url=mailserver.url,
        public_url="https://mail.example", secret_key="00" * 32,
    )  # fmt: skip
    clock = ManualClock(1_790_000_000_000_000)
    async with client_of(settings, clock) as client:
        yield client, clock


async def asking_list(api: Client, **fields: Any) -> str:
    made = await api.post("/v1/lists", {"name": "news", "double_opt_in": ASKING | fields})
    assert made.status == 201, made.body
    return str(made.json["id"])


async def subscribe(api: Client, name: str = "ada") -> str:
    """Ask for a place on the list; what the contact is on it then."""
    reply = await api.post("/v1/contacts", {"email": f"{name}@example.com", "lists": ["news"]})
    assert reply.status in (200, 201), reply.body
    await api.settled()
    return await standing(api, name)


async def standing(api: Client, name: str = "ada") -> str:
    return str((await api.get(f"/v1/contacts/{name}@example.com")).json["lists"][0]["status"])


def link(mailserver: MailServer, name: str = "ada") -> str:
    """The path in the last mail to somebody."""
    mail = mailserver.to(f"{name}@example.com")[-1]
    found = re.search(r"https://mail\.example(/t/s/[\w-]+)", mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert found is not None
    return found[1]


async def page(api: Client, path: str, method: str = "GET") -> Reply:
    return await api.call(method, path, headers=BROWSER, allow_redirects=False)


async def told(api: Client, kind: str) -> list[Any]:
    return [one["data"] for one in (await api.get(f"/v1/events?type={kind}")).json["data"]][::-1]


async def test_only_who_presses_the_button_is_subscribed(site: Site, mailserver: MailServer) -> None:
    api, _ = site
    news = await asking_list(api)
    assert await subscribe(api) == "pending"
    [mail] = mailserver.to("ada@example.com")
    assert (mail["from"], mail["subject"]) == ("News <news@example.com>", "Please confirm your subscription")
    assert "List-Unsubscribe" not in mail
    [pending] = await told(api, "contact.pending")
    assert (pending["email"], pending["list"]) == ("ada@example.com", news)
    assert await told(api, "contact.subscribed") == []
    assert (await api.get("/v1/lists/news")).json["subscribed"] == 0
    [delivery] = (await api.get("/v1/deliveries")).json["data"]
    assert (delivery["kind"], delivery["state"], delivery["hook"]) == ("email", "succeeded", None)
    path = link(mailserver)
    for method in ("GET", "HEAD", "GET"):
        shown = await page(api, path, method)
        assert shown.status == 200 and (method == "HEAD" or b'method="post"' in shown.body)
        assert shown.headers["cache-control"].startswith("no-store")
    assert await standing(api) == "pending"
    done = await page(api, path, "POST")
    assert done.status == 200 and b"You are subscribed" in done.body
    assert await standing(api) == "subscribed"
    [subscribed] = await told(api, "contact.subscribed")
    assert (subscribed["email"], subscribed["list"]) == ("ada@example.com", news)
    for method in ("POST", "GET"):
        assert b"You are subscribed" in (await page(api, path, method)).body
    assert len(await told(api, "contact.subscribed")) == 1
    assert await subscribe(api) == "subscribed" and len(mailserver.mails) == 1


async def test_a_campaign_reaches_nobody_who_is_pending(site: Site, mailserver: MailServer) -> None:
    api, _ = site
    await asking_list(api)
    for name in ("ada", "bob"):
        await subscribe(api, name)
    await page(api, link(mailserver, "bob"), "POST")
    mailserver.mails.clear()
    draft = {"name": "Spring", "list": "news", "from": "shop@example.com", "subject": "Hi", "text": "Hi"}
    campaign = (await api.post("/v1/campaigns", draft)).json["id"]
    await api.post(f"/v1/campaigns/{campaign}/send")
    await api.app.services.campaigns.run_once()
    await api.settled()
    assert [to for to, _ in mailserver.mails] == ["bob@example.com"]


async def test_asking_again_is_bounded_and_links_expire(site: Site, mailserver: MailServer) -> None:
    api, clock = site
    await asking_list(api)
    for _ in range(5):
        assert await subscribe(api) == "pending"
    assert len(mailserver.mails) == 1
    first = link(mailserver)
    clock.advance(HOUR)
    await subscribe(api)
    assert len(mailserver.mails) == 2 and link(mailserver) != first
    clock.advance(7 * DAY - 1)
    assert (await page(api, first)).status == 410
    expired = await page(api, first, "POST")
    assert expired.status == 410 and b"no longer valid" in expired.body
    assert await standing(api) == "pending"
    clock.advance(2)
    assert (await page(api, link(mailserver), "POST")).status == 410
    assert await subscribe(api) == "pending" and len(mailserver.mails) == 3
    assert (await page(api, link(mailserver), "POST")).status == 200


async def test_who_has_left_may_come_back_by_confirming(site: Site, mailserver: MailServer) -> None:
    api, _ = site
    news = await asking_list(api)
    await subscribe(api)
    old = link(mailserver)
    await page(api, old, "POST")
    file = b'{"email": "ada@example.com", "unsubscribed_lists": ["news"], "status": "unsubscribed"}'
    await api.post("/v1/contacts/import", file, headers={"content-type": "application/x-ndjson"})
    await api.post("/v1/suppressions", {"address": "ada@example.com", "reason": "unsubscribe"})
    assert await standing(api) == "unsubscribed"
    assert (await page(api, old, "POST")).status == 410, "a link of before puts nobody back"
    assert await subscribe(api) == "pending"
    assert (await page(api, link(mailserver), "POST")).status == 200
    ada = (await api.get("/v1/contacts/ada@example.com")).json
    assert (ada["lists"], ada["status"]) == ([{"id": news, "status": "subscribed"}], "active")
    assert (await api.get("/v1/suppressions")).json["data"] == []


async def test_hooks_and_imports_ask_too(site: Site, mailserver: MailServer) -> None:
    api, _ = site
    await asking_list(api)
    await api.hook(on=["order.paid"], do={"kind": "contact", "subscribe": ["news"]})
    await api.post("/v1/contacts", {"email": "ada@example.com"})
    for _ in range(2):
        await api.publish(subject="ada@example.com")
        await api.settled()
    assert (await standing(api), len(mailserver.to("ada@example.com"))) == ("pending", 1)
    file, headers = b"email\nada@example.com\nbob@example.com\n", {"content-type": "text/csv"}
    for query, created in (("?list=news&events=false", 1), ("?list=news", 0)):
        report = (await api.post(f"/v1/contacts/import{query}", file, headers=headers)).json
        assert (report["created"], report["updated"], report["bad"]) == (created, 0, 0)
        await api.settled()
    assert (await standing(api, "bob"), len(mailserver.mails)) == ("pending", 2)
    report = (await api.post("/v1/contacts/import?list=news&confirmed=true", file, headers=headers)).json
    assert report["updated"] == 2 and await standing(api, "bob") == "subscribed"
    await api.settled()
    assert len(mailserver.mails) == 2


async def test_a_mail_and_a_way_of_ones_own(site: Site, mailserver: MailServer) -> None:
    api, _ = site
    html = '<p>Dear {{ contact.attributes.name }}, <a href="{{ confirm_url }}">{{ list.name }}</a>?</p>'
    await asking_list(api, subject="{{ list.name }}?", html=html, redirect="https://shop.example/welcome?a=1")
    await api.post("/v1/contacts", {"email": "ada@example.com", "attributes": {"name": "Ada"}})
    await subscribe(api)
    [mail] = mailserver.to("ada@example.com")
    part = mail.get_body(("html",))
    assert mail["subject"] == "news?" and part is not None and "Dear Ada" in part.get_content()
    assert "/t/c/" not in part.get_content() and "/t/o/" not in part.get_content()
    shown = await page(api, link(mailserver))
    assert "form-action 'self' https://shop.example;" in shown.headers["content-security-policy"]
    done = await page(api, link(mailserver), "POST")
    assert (done.status, done.headers["location"]) == (303, "https://shop.example/welcome?a=1")


async def test_forged_and_foreign_links_do_nothing(site: Site, mailserver: MailServer) -> None:
    api, clock = site
    news = await asking_list(api)
    await subscribe(api)
    path = link(mailserver)
    key = api.app.services.token_key
    other = tokens.make_unsubscribe(key, "default", "dlv_x", news)
    for wrong in (path[:-1], path[:-2] + "AA", f"/t/s/{other}", "/t/s/x"):
        for method in ("GET", "POST"):
            assert (await page(api, wrong, method)).status == 404
    assert (await page(api, path.replace("/t/s/", "/t/u/"), "POST")).status == 404
    assert await standing(api) == "pending"
    await api.patch("/v1/contacts/ada@example.com", {"email": "eve@example.com"})
    assert (await page(api, path, "POST")).status == 410, "the link proves another address"
    assert await standing(api, "eve") == "pending"
    found = tokens.read(key, path.removeprefix("/t/s/"), tokens.ConfirmToken)
    assert (found.email, found.list, found.until) == ("ada@example.com", news, clock.now() + 7 * DAY)


async def test_lists_are_changed(mail_api: Client) -> None:
    api = mail_api
    made = (await api.post("/v1/lists", {"name": "news"})).json
    assert made["double_opt_in"] is None
    changed = await api.patch("/v1/lists/news", {"name": " tidings ", "double_opt_in": ASKING})
    assert (changed.status, changed.json["name"], changed.json["double_opt_in"]["from"]) == (
        200,
        "tidings",
        ASKING["from"],
    )
    assert (await api.get(f"/v1/lists/{made['id']}")).json == changed.json
    assert (await api.patch("/v1/lists/tidings", {"double_opt_in": None})).json["double_opt_in"] is None
    await api.post("/v1/lists", {"name": "other"})
    assert (await api.patch("/v1/lists/other", {"name": "tidings"})).status == 409
    assert (await api.patch("/v1/lists/nowhere", {"name": "x"})).status == 404
    assert (await (await api.with_key(tenant="other")).patch("/v1/lists/other", {"name": "x"})).status == 404


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "#/double_opt_in/from"), ({"from": "nobody"}, "#/double_opt_in/from"),
        (ASKING | {"text": "no link"}, "#/double_opt_in/text"),
        (ASKING | {"html": "{{ confirm_url"}, "#/double_opt_in/html"),
        (ASKING | {"text": "{{ confirm_url }} {{ event.id }}"}, "#/double_opt_in/text"),
        (ASKING | {"redirect": "javascript:alert(1)"}, "#/double_opt_in/redirect"),
        (ASKING | {"reply_to": "x@example.com"}, "#/double_opt_in/reply_to"),
    ],
)  # fmt: skip
async def test_a_mail_that_cannot_be_is_refused(mail_api: Client, fields: Any, pointer: str) -> None:
    reply = await mail_api.post("/v1/lists", {"name": "news", "double_opt_in": fields})
    assert (reply.status, list(reply.faults)) == (422, [pointer]), reply.body
    assert (await mail_api.get("/v1/lists")).json["data"] == []


async def test_without_mail_nobody_can_be_asked(api: Client, deaf_api: Client) -> None:
    for client, setting in ((api, "HOOKLINE_SMTP_URL"), (deaf_api, "HOOKLINE_PUBLIC_URL")):
        reply = await client.post("/v1/lists", {"name": "news", "double_opt_in": ASKING})
        assert reply.status == 409 and setting in reply.json["detail"]
