"""Pixels, links and unsubscribing: what readers do, and what only looks like it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hookline.rules import tokens
from hookline.rules.ids import new_id
from support.client import Client, Reply
from support.mailserver import MailServer
from support.receiver import Receiver

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
PUBLIC = "https://mail.example"
TARGET = "https://shop.example/sale?a=1&b=2#top"


class Mail(NamedTuple):
    """A mail that has arrived: the paths of its pixel, its link and its way out."""

    campaign: str
    pixel: str
    link: str
    leave: str
    header: str


@pytest.fixture
async def mail(mail_api: Client, mailserver: MailServer) -> Mail:
    """Ada has got the campaign."""
    await mail_api.post("/v1/lists", {"name": "news"})
    for name in ("ada", "bob"):
        await mail_api.post("/v1/contacts", {"email": f"{name}@example.com", "lists": ["news"]})
    spec = {
        "name": "spring",
        "list": "news",
        "from": "shop@example.com",
        "subject": "Hello",
        "html": f'<a href="{TARGET.replace("&", "&amp;")}">look</a>',
    }
    campaign = (await mail_api.post("/v1/campaigns", spec)).json["id"]
    assert (await mail_api.post(f"/v1/campaigns/{campaign}/send")).status == 202
    await mail_api.app.services.campaigns.run_once()
    await mail_api.settled()
    [message] = mailserver.to("ada@example.com")
    body = message.get_body(("html",))
    assert body is not None
    found = {kind: path for path, kind in re.findall(rf'"{PUBLIC}(/t/(.)/[^"]+)"', body.get_content())}
    header = message["list-unsubscribe"].strip("<>").removeprefix(PUBLIC)
    return Mail(campaign, found["o"], found["c"], found["u"], header)


async def visit(api: Client, method: str, path: str, agent: str | None = FIREFOX, **options: Any) -> Reply:
    """What a reader's program does: no key, no redirect followed."""
    headers = {"authorization": None, "user-agent": agent} | options.pop("headers", {})
    return await api.call(method, path, headers=headers, allow_redirects=False, **options)


async def events(api: Client, kind: str) -> list[dict[str, Any]]:
    return list(reversed((await api.get(f"/v1/events?type={kind}")).json["data"]))


async def stats(api: Client, mail: Mail) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/v1/campaigns/{mail.campaign}/stats")).json
    return found


def check_headers(reply: Reply) -> None:
    assert reply.headers["cache-control"] == "no-store, private"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-robots-tag"] == "noindex"
    assert "set-cookie" not in reply.headers


@contextlib.contextmanager
def storage_away(home: Path, table: str) -> Iterator[None]:
    """A database without one of its tables is as good as away, at once."""
    with contextlib.closing(sqlite3.connect(home / "hookline.db", isolation_level=None)) as other:
        other.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
        yield
        other.execute(f"ALTER TABLE elsewhere RENAME TO {table}")


# --- pixel


async def test_an_open_is_an_event_of_the_mail(mail_api: Client, mail: Mail) -> None:
    reply = await visit(mail_api, "GET", mail.pixel)
    assert (reply.status, reply.headers["content-type"]) == (200, "image/gif")
    assert reply.body.startswith(b"GIF89a\x01\x00\x01\x00")
    assert len(reply.body) < 100
    check_headers(reply)
    [opened] = await events(mail_api, "email.opened")
    [sent] = [one for one in await events(mail_api, "email.sent") if one["subject"] == "ada@example.com"]
    shared = {name: sent["data"][name] for name in ("message", "campaign", "contact", "email", "sent_at")}
    assert opened["data"] == shared | {
        "ip": "127.0.0.1",
        "user_agent": FIREFOX,
        "machine": False,
        "machine_reason": None,
    }
    assert (opened["subject"], opened["source"]) == ("ada@example.com", "mailer")
    assert (opened["cause"], opened["campaign"]) == (shared["message"], mail.campaign)
    assert opened["depth"] == sent["depth"]


async def test_opens_are_counted_by_mail_and_in_all(mail_api: Client, mail: Mail) -> None:
    for agent in (FIREFOX, FIREFOX, "Mozilla/5.0", None):
        await visit(mail_api, "GET", mail.pixel, agent)
    found = await stats(mail_api, mail)
    assert (found["opened"], found["opened_total"], found["opened_machine"]) == (1, 2, 1)
    assert found["open_rate"] == 0.5
    reasons = [one["data"]["machine_reason"] for one in await events(mail_api, "email.opened")]
    assert reasons[:3] == [None, None, "apple_privacy_proxy"]
    assert (
        len((await mail_api.get(f"/v1/campaigns/{mail.campaign}/recipients?opened=true")).json["data"]) == 1
    )


async def test_head_is_answered_and_never_counted(mail_api: Client, mail: Mail) -> None:
    pixel, link = await visit(mail_api, "HEAD", mail.pixel), await visit(mail_api, "HEAD", mail.link)
    assert (pixel.status, pixel.body, int(pixel.headers["content-length"]) > 0) == (200, b"", True)
    assert (link.status, link.headers["location"]) == (302, TARGET)
    assert (await visit(mail_api, "HEAD", mail.leave)).status == 200
    for kind in ("email.opened", "email.clicked", "email.unsubscribed"):
        assert await events(mail_api, kind) == []


# --- links


async def test_a_click_leads_on_and_is_an_event(mail_api: Client, mail: Mail) -> None:
    reply = await visit(mail_api, "GET", mail.link)
    assert (reply.status, reply.headers["location"], reply.body) == (302, TARGET, b"")
    check_headers(reply)
    [clicked] = await events(mail_api, "email.clicked")
    assert clicked["data"] | {"url": TARGET, "link": 0, "machine": False} == clicked["data"]
    await visit(mail_api, "GET", mail.link)
    await visit(mail_api, "GET", mail.link, "curl/8.5.0")
    found = await stats(mail_api, mail)
    assert (found["clicked"], found["clicked_total"]) == (1, 2)
    assert [one["data"]["machine"] for one in await events(mail_api, "email.clicked")] == [False, False, True]


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://shop.example/søg?q=blå", "https://shop.example/s%C3%B8g?q=bl%C3%A5"),
        ("https://shop.example/a b", "https://shop.example/a%20b"),
        ("https://shop.example/%C3%B8?x=%26", "https://shop.example/%C3%B8?x=%26"),
        ("https://shop.example/\r\nset-cookie: a=b", "https://shop.example/%0D%0Aset-cookie:%20a=b"),
        ("HTTPS://[2001:db8::1]:8443/~x(1)", "HTTPS://[2001:db8::1]:8443/~x(1)"),
    ],
)
async def test_any_signed_url_fits_into_the_header(api: Client, url: str, location: str) -> None:
    token = tokens.make_click(api.app.services.token_key, "default", new_id("dlv"), url, 0)
    reply = await visit(api, "GET", f"/t/c/{token}")
    assert (reply.status, reply.headers["location"]) == (302, location)
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example", "data:text/html,x", "ftp://a.example"]
)
async def test_only_web_addresses_are_led_to(api: Client, url: str) -> None:
    token = tokens.make_click(api.app.services.token_key, "default", new_id("dlv"), url, 0)
    reply = await visit(api, "GET", f"/t/c/{token}")
    assert (reply.status, "location" in reply.headers) == (404, False)


@pytest.mark.parametrize("table", ["messages", "events"])
async def test_readers_are_served_while_the_database_is_away_and_heard_when_it_is_back(
    mail_api: Client, mail: Mail, tmp_path: Path, table: str, receiver: Receiver
) -> None:
    await mail_api.hook(receiver.url, on=["email.opened", "email.clicked"])
    heard = asyncio.Event()

    def listen(_: object) -> None:
        if len(receiver.got) == 2:
            heard.set()

    receiver.on_request = listen
    with storage_away(tmp_path, table):
        link, pixel = await visit(mail_api, "GET", mail.link), await visit(mail_api, "GET", mail.pixel)
        # Who wants to leave must not be told that he has: his mail program asks again.
        leave = await visit(mail_api, "POST", mail.leave)
    assert (link.status, link.headers["location"]) == (302, TARGET)
    assert pixel.status == 200
    await asyncio.wait_for(heard.wait(), 20)
    assert {got.json["type"] for got in receiver.got} == {"email.opened", "email.clicked"}
    assert leave.status == 503
    assert int(leave.headers["retry-after"]) >= 1
    assert (await visit(mail_api, "POST", mail.leave)).status == 200
    assert len(await events(mail_api, "email.unsubscribed")) == 1


async def test_a_slow_database_keeps_nobody_waiting_and_loses_nothing(
    mail_api: Client, mail: Mail, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "hookline.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reply = await visit(mail_api, "GET", mail.link)
        assert (reply.status, reply.headers["location"]) == (302, TARGET)
        other.execute("ROLLBACK")
    await mail_api.post("/v1/lists", {"name": "after"})  # what was asked for before it is written now
    assert len(await events(mail_api, "email.clicked")) == 1


async def test_many_at_once_are_all_heard(mail_api: Client, mail: Mail) -> None:
    replies = await asyncio.gather(*(visit(mail_api, "GET", mail.pixel) for _ in range(60)))
    assert {reply.status for reply in replies} == {200}
    async with asyncio.timeout(20):
        while (found := await stats(mail_api, mail))["opened_total"] < 60:
            pass
    assert (found["opened"], found["opened_total"]) == (1, 60)


# --- leaving


async def test_looking_at_the_page_does_nothing(mail_api: Client, mail: Mail) -> None:
    assert mail.header == mail.leave
    reply = await visit(mail_api, "GET", mail.leave)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    check_headers(reply)
    page = reply.body.decode()
    assert '<form method="post">' in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert await events(mail_api, "email.unsubscribed") == []
    assert (await mail_api.get("/v1/suppressions")).json["data"] == []


@pytest.mark.parametrize("body", ["form", "multipart", "empty"])
async def test_one_click_leaves_the_list(mail_api: Client, mail: Mail, body: str) -> None:
    options: dict[str, Any] = {}
    if body == "form":
        content = b"List-Unsubscribe=One-Click"
        options = {"body": content, "headers": {"content-type": "application/x-www-form-urlencoded"}}
    elif body == "multipart":
        content = (
            b'--x\r\ncontent-disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
        )
        options = {"body": content, "headers": {"content-type": "multipart/form-data; boundary=x"}}
    reply = await visit(mail_api, "POST", mail.header, **options)
    assert (reply.status, "location" in reply.headers) == (200, False)
    check_headers(reply)
    assert b"You are unsubscribed" in reply.body
    listed = (await mail_api.get("/v1/lists/news")).json
    assert listed["subscribed"] == 1
    contact = (await mail_api.get("/v1/contacts/ada@example.com")).json
    assert contact["lists"] == [{"id": listed["id"], "status": "unsubscribed"}]
    [told], [left] = (
        await events(mail_api, "email.unsubscribed"),
        await events(mail_api, "contact.unsubscribed"),
    )
    assert told["data"]["list"] == left["data"]["list"] == listed["id"]
    assert told["data"]["method"] == ("page" if body == "empty" else "one-click")
    assert told["data"]["contact"] == left["data"]["contact"] == contact["id"]
    [entry] = (await mail_api.get("/v1/suppressions")).json["data"]
    assert (entry["address"], entry["reason"], entry["list"]) == (
        "ada@example.com",
        "unsubscribe",
        listed["id"],
    )
    assert (await stats(mail_api, mail))["unsubscribed"] == 1


async def test_leaving_counts_once_wherever_it_is_asked_for(mail_api: Client, mail: Mail) -> None:
    replies = await asyncio.gather(
        *(visit(mail_api, "POST", mail.leave, agent) for agent in (FIREFOX, "x", "y"))
    )
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len(await events(mail_api, "email.unsubscribed")) == 1
    assert len(await events(mail_api, "contact.unsubscribed")) == 1


async def test_who_came_back_may_leave_again(mail_api: Client, mail: Mail) -> None:
    await visit(mail_api, "POST", mail.leave)
    contact = {"kind": "contact", "contact": "ada@example.com", "subscribe": ["news"]}
    assert (await mail_api.post("/v1/hooks", {"on": ["came.back"], "do": contact})).status == 201
    await mail_api.publish("came.back")
    await mail_api.settled()
    assert (await mail_api.get("/v1/lists/news")).json["subscribed"] == 2
    assert (await visit(mail_api, "POST", mail.leave)).status == 200
    assert (await mail_api.get("/v1/lists/news")).json["subscribed"] == 1
    assert len(await events(mail_api, "contact.unsubscribed")) == 2
    assert (await stats(mail_api, mail))["unsubscribed"] == 1


async def test_a_token_for_all_lists_suppresses_the_address_for_all(mail_api: Client, mail: Mail) -> None:
    [sent] = [one for one in await events(mail_api, "email.sent") if one["subject"] == "ada@example.com"]
    message = sent["data"]["message"]
    token = tokens.make_unsubscribe(mail_api.app.services.token_key, "default", message, "")
    assert (await visit(mail_api, "POST", f"/t/u/{token}")).status == 200
    [entry] = (await mail_api.get("/v1/suppressions")).json["data"]
    assert (entry["reason"], entry["list"]) == ("unsubscribe", None)
    assert "list" not in (await events(mail_api, "email.unsubscribed"))[0]["data"]


# --- forged, altered, unknown


async def test_what_was_not_signed_here_is_a_404_and_nothing_else(mail_api: Client, mail: Mail) -> None:
    other_key = bytes(32)
    message = new_id("dlv")
    forged = {
        f"/t/o/{tokens.make_open(other_key, 'default', message)}",
        f"/t/c/{tokens.make_click(other_key, 'default', message, 'https://evil.example', 0)}",
        f"/t/u/{tokens.make_unsubscribe(other_key, 'default', message, '')}",
    }
    await mail_api.app.services.campaigns.run_once()  # the campaign is over, and has said so
    before = await mail_api.stored()
    for path in (mail.pixel, mail.link, mail.leave):
        forged |= {path[:-1], path + "A", path[:-4] + path[-4:].swapcase(), path.replace("/t/", "/t/c/", 1)}
        # A token is good for its own purpose only.
        forged |= {f"/t/{kind}/{path[5:]}" for kind in "ocu" if path[3] != kind}
    for path in (
        *forged,
        "/t/o/x",
        "/t/c/x?url=https://evil.example",
        "/t/u/" + "A" * 9000,
        "/t/o/%00",
        "/t/u/ø",
    ):
        for method in ("GET", "HEAD", *(["POST"] if path.startswith("/t/u/") else [])):
            reply = await visit(mail_api, method, path)
            assert (reply.status, "location" in reply.headers) == (404, False), (method, path)
    assert await mail_api.stored() == before


async def test_a_mail_that_is_not_known_records_nothing(api: Client) -> None:
    key, message = api.app.services.token_key, new_id("dlv")
    assert (await visit(api, "GET", f"/t/o/{tokens.make_open(key, 'default', message)}")).status == 200
    link = await visit(api, "GET", f"/t/c/{tokens.make_click(key, 'default', message, TARGET, 0)}")
    assert (link.status, link.headers["location"]) == (302, TARGET)
    leave = await visit(api, "POST", f"/t/u/{tokens.make_unsubscribe(key, 'default', message, '')}")
    assert leave.status == 404
    assert b"Nothing was changed" in leave.body
    assert (await api.stored())[0] == 0
    assert (await api.get("/v1/suppressions")).json["data"] == []


async def test_a_token_leads_to_its_own_tenant(mail_api: Client, mail: Mail) -> None:
    [sent] = [one for one in await events(mail_api, "email.sent") if one["subject"] == "ada@example.com"]
    token = tokens.make_open(mail_api.app.services.token_key, "other", sent["data"]["message"])
    assert (await visit(mail_api, "GET", f"/t/o/{token}")).status == 200
    assert await events(mail_api, "email.opened") == []


# --- hooks


async def test_a_hook_does_not_see_what_came_of_its_own_mail(
    mail_api: Client, mail: Mail, mailserver: MailServer
) -> None:
    reply = {
        "kind": "email",
        "to": "{{ event.subject }}",
        "from": "shop@example.com",
        "subject": "Thank you",
        "text": "For opening.",
        "html": "<p>For opening.</p>",
    }
    assert (await mail_api.post("/v1/hooks", {"on": ["email.opened"], "do": reply})).status == 201
    await visit(mail_api, "GET", mail.pixel)
    await mail_api.settled()
    [_, thanks] = mailserver.to("ada@example.com")
    body = thanks.get_body(("html",))
    assert body is not None
    found = re.search(rf"{PUBLIC}(/t/o/[\w-]+)", body.get_content())
    assert found is not None
    await visit(mail_api, "GET", found[1])
    await mail_api.settled()
    assert len(await events(mail_api, "email.opened")) == 2
    assert len(mailserver.to("ada@example.com")) == 2


# --- figures


async def test_the_figures_of_a_campaign_by_link_and_domain(mail_api: Client, mail: Mail) -> None:
    await visit(mail_api, "GET", mail.pixel)
    for agent in (FIREFOX, FIREFOX, "curl/8.0"):
        await visit(mail_api, "GET", mail.link, agent)
    found = await stats(mail_api, mail)
    assert found["links"] == [
        {
            "link": 0,
            "url": TARGET,
            "clicked": 1,
            "clicked_total": 2,
            "clicked_machine": 1,
        }
    ]
    [domain] = found["domains"]
    assert (domain["domain"], domain["attempted"], domain["opened"], domain["clicked"]) == (
        "example.com",
        2,
        1,
        1,
    )
    path = f"/v1/stats?by=link&campaign={mail.campaign}&resolution=day&timing=message"
    [link] = (await mail_api.get(path)).json["data"]
    assert (link["link"], link["clicked"], link["clicked_total"]) == ("0", 1, 2)
    for query in ("", "?by=campaign", "?by=list", "?by=domain", f"?by=domain&campaign={mail.campaign}"):
        [row] = (await mail_api.get(f"/v1/stats{query}")).json["data"]
        assert (row["attempted"], row["sent"], row["opened"], row["click_rate"]) == (2, 2, 1, 0.5), query


async def test_who_follows_a_link_that_nobody_can_see_is_a_machine_in_all_that_it_did(
    mail_api: Client, mail: Mail, mailserver: MailServer
) -> None:
    [message] = mailserver.to("ada@example.com")
    body = message.get_body(("html",))
    assert body is not None
    [trap] = re.findall(rf'<a href="{PUBLIC}(/t/h/[^"]+)" style="display:none"', body.get_content())
    text = message.get_body(("plain",))
    assert text is not None and "/t/h/" not in text.get_content()
    for path in (mail.pixel, mail.link):
        await visit(mail_api, "GET", path)
    assert (await stats(mail_api, mail))["clicked"] == 1
    assert (await visit(mail_api, "HEAD", trap)).status == 204
    assert (await stats(mail_api, mail))["clicked"] == 1
    assert (await visit(mail_api, "GET", trap)).status == 204
    found = await stats(mail_api, mail)
    assert (found["opened"], found["clicked"], found["clicked_total"]) == (0, 0, 0)
    assert (found["opened_machine"], found["clicked_machine"]) == (1, 1)
    assert found["links"][0]["clicked_machine"] == 1
    [opened] = await events(mail_api, "email.opened")
    shown = (await mail_api.get(f"/v1/events/{opened['id']}")).json
    assert (shown["machine"], shown["machine_reason"], shown["data"]["machine"]) == (
        True,
        "hidden_link",
        False,
    )
    assert (await visit(mail_api, "GET", trap.replace("/t/h/", "/t/o/"))).status == 404
    assert (await visit(mail_api, "GET", mail.pixel.replace("/t/o/", "/t/h/"))).status == 404


async def test_what_was_answered_is_stored_before_the_end(mail_api: Client, mail: Mail) -> None:
    count = 120  # more than readers wait for
    await asyncio.gather(*(visit(mail_api, "GET", mail.pixel) for _ in range(count)))
    await mail_api.app.asgi.close(10)
    found = await mail_api.app.services.storage.events.page("default", limit=1000, type="email.opened")
    assert len(found) == count
