"""Campaigns: drafted, checked, tested, sent once to everyone, and counted."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Client
from support.mailserver import MailServer

SPRING = {
    "name": "spring",
    "list": "news",
    "from": "Shop <shop@example.com>",
    "subject": "Hello {{ contact.attributes.first_name }}",
    "html": '<p>Hi {{ contact.email }}, <a href="https://shop.example/sale?a=1&amp;b=2">look</a></p>',
    "track": {"opens": True, "clicks": True},
}


async def readers(api: Client, *names: str) -> None:
    """A list `news` with these readers."""
    assert (await api.post("/v1/lists", {"name": "news"})).status == 201
    for name in names:
        body = {"email": f"{name}@example.com", "lists": ["news"], "attributes": {"first_name": name.title()}}
        assert (await api.post("/v1/contacts", body)).status == 201


async def draft(api: Client, **fields: Any) -> Any:
    made = await api.post("/v1/campaigns", SPRING | fields)
    assert made.status == 201, made.body
    return made.json


async def send(api: Client, **fields: Any) -> str:
    """Send a new campaign to its end; its path."""
    path = f"/v1/campaigns/{(await draft(api, **fields))['id']}"
    assert (await api.post(f"{path}/send")).status == 202
    await api.app.services.campaigns.run_once()
    await api.settled()
    await api.app.services.campaigns.run_once()
    return path


async def test_a_draft_shows_what_was_written(api: Client) -> None:
    await readers(api)
    made = await draft(api)
    listed = (await api.get("/v1/lists/news")).json
    assert made == SPRING | {
        "id": made["id"],
        "list": listed["id"],
        "segment": None,
        "template": None,
        "reply_to": None,
        "text": None,
        "state": "draft",
        "send_at": None,
        "throttle": None,
        "created_at": made["created_at"],
        "started_at": None,
        "finished_at": None,
    }
    assert made["id"].startswith("cmp_")
    assert (await api.get(f"/v1/campaigns/{made['id']}")).json == made
    second = await draft(api, name="summer")
    page = (await api.get("/v1/campaigns?limit=1")).json
    assert page["data"] == [second]
    assert (await api.get(f"/v1/campaigns?after={page['next']}")).json == {"data": [made], "next": None}
    assert (await api.stored())[0] == 0


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"name": ""}, "#/name", ""),
        ({"name": None}, "#/name", ""),
        ({"list": "nwes"}, "#/list", "'nwes'"),
        ({"from": "shop"}, "#/from", "shop"),
        ({"from": "a@b.example, c@d.example"}, "#/from", ""),
        ({"reply_to": "nobody"}, "#/reply_to", "nobody"),
        ({"subject": ""}, "#/subject", ""),
        ({"subject": "x" * 999}, "#/subject", ""),
        ({"subject": "{{ contact.email"}, "#/subject", "line 1"),
        ({"subject": "Hello\r\nBcc: eve@example.com"}, "#/subject", "one line"),
        ({"subject": "Hello\nyou"}, "#/subject", "one line"),
        ({"html": None}, "#/html", "html or a text"),
        ({"html": "", "text": ""}, "#/html", "html or a text"),
        ({"html": "<p>\n  {{ contcat.email }}</p>"}, "#/html", "line 2, column 6"),
        ({"text": "{% for x in y %}"}, "#/text", "line 1"),
        ({"html": "{{ code('EARLY') }}"}, "#/html", "not available yet"),
        ({"track": {"opens": "yes"}}, "#/track/opens", ""),
        ({"track": {"links": True}}, "#/track/links", "unknown field"),
        ({"send_at": "tomorrow"}, "#/send_at", "RFC 3339"),
        ({"throttle": {"rate": {"count": 0, "per": "1s"}}}, "#/throttle/rate/count", ""),
        ({"throttle": {"rate": {"count": 1, "per": "x"}}}, "#/throttle/rate/per", "duration"),
        ({"throttle": {"domains": {"a b": {"count": 1, "per": "1s"}}}}, "#/throttle/domains/a b", "domain"),
        ({"template": "tpl_x"}, "#/template", "no template"),
        ({"subject": " "}, "#/subject", "needs a subject"),
        ({"colour": "red"}, "#/colour", "unknown field"),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(
    api: Client, change: Any, pointer: str, words: str
) -> None:
    await readers(api)
    reply = await api.post("/v1/campaigns", SPRING | change)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert words in reply.faults[pointer]
    assert (await api.get("/v1/campaigns")).json["data"] == []


@pytest.mark.parametrize("field", ["name", "list", "from", "subject"])
async def test_what_is_required_is_asked_for(api: Client, field: str) -> None:
    await readers(api)
    reply = await api.post("/v1/campaigns", {k: v for k, v in SPRING.items() if k != field})
    assert (reply.status, list(reply.faults)) == (422, [f"#/{field}"])


async def test_a_draft_is_changed(api: Client) -> None:
    await readers(api)
    other = (await api.post("/v1/lists", {"name": "other"})).json
    made = await draft(api, reply_to="desk@example.com")
    path = f"/v1/campaigns/{made['id']}"
    patch = {"list": "other", "html": None, "text": "Hi", "track": {"opens": False}, "reply_to": None}
    changed = await api.patch(path, patch)
    assert changed.status == 200
    assert changed.json == made | {
        "list": other["id"],
        "html": None,
        "text": "Hi",
        "track": {"opens": False, "clicks": True},
        "reply_to": None,
    }
    for bad, pointer in (
        ({"text": None}, "#/html"),
        ({"subject": None}, "#/subject"),
        ({"list": "nowhere"}, "#/list"),
        ({"send_at": "2030-13-01T00:00:00Z"}, "#/send_at"),
        ({"state": "sent"}, "#/state"),
    ):
        reply = await api.patch(path, bad)
        assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.patch(path, ["list"])).status == 422
    assert (await api.get(path)).json == changed.json


async def test_everyone_on_the_list_gets_it_once(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada", "bob")
    await mail_api.post("/v1/contacts", {"email": "cleo@example.com"})
    path = await send(mail_api)
    assert sorted(address for address, _ in mailserver.mails) == ["ada@example.com", "bob@example.com"]
    [mail] = mailserver.to("ada@example.com")
    assert mail["subject"] == "Hello Ada"
    campaign = (await mail_api.get(path)).json
    assert campaign["state"] == "sent"
    assert campaign["started_at"] <= campaign["finished_at"]
    types = [event["type"] for event in (await mail_api.get("/v1/events")).json["data"]]
    assert types.count("email.sent") == 2
    assert (types.count("campaign.started"), types.count("campaign.finished")) == (1, 1)


async def test_what_was_sent_is_no_draft_any_more(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada")
    path = await send(mail_api)
    for reply in (await mail_api.post(f"{path}/send"), await mail_api.patch(path, {"name": "x"})):
        assert reply.status == 409
        assert "no draft" in reply.json["detail"]
    assert len(mailserver.mails) == 1
    assert (await mail_api.get(path)).json["name"] == "spring"


async def test_sending_needs_members(mail_api: Client) -> None:
    await readers(mail_api)
    made = await draft(mail_api)
    for _ in range(2):
        reply = await mail_api.post(f"/v1/campaigns/{made['id']}/send")
        assert reply.status == 409
        assert "no subscribed members" in reply.json["detail"]
        await mail_api.post("/v1/contacts", {"email": "ada@example.com"})  # on no list
    assert (await mail_api.get(f"/v1/campaigns/{made['id']}")).json["state"] == "draft"


async def test_sending_names_the_setting_that_is_missing(api: Client) -> None:
    await readers(api, "ada")
    made = await draft(api)
    path = f"/v1/campaigns/{made['id']}"
    for reply in (await api.post(f"{path}/send"), await api.post(f"{path}/test", {"to": "ada@example.com"})):
        assert reply.status == 409
        assert "HOOKLINE_SMTP_URL" in reply.json["detail"]
    assert (await api.get(path)).json == made


async def test_sending_needs_an_address_that_readers_reach(deaf_api: Client, mailserver: MailServer) -> None:
    await readers(deaf_api, "ada")
    path = f"/v1/campaigns/{(await draft(deaf_api))['id']}"
    for reply in (
        await deaf_api.post(f"{path}/send"),
        await deaf_api.post(f"{path}/test", {"to": "ada@example.com"}),
    ):
        assert reply.status == 409
        assert "HOOKLINE_PUBLIC_URL" in reply.json["detail"]
    assert mailserver.mails == []


async def test_a_test_mail_goes_to_one_and_counts_nowhere(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada", "bob")
    made = await draft(mail_api)
    path = f"/v1/campaigns/{made['id']}"
    reply = await mail_api.post(f"{path}/test", {"to": "Ada <ADA@example.com>"})
    assert (reply.status, reply.json["result"], reply.json["status"]) == (200, "ok", 250)
    reply = await mail_api.post(f"{path}/test", {"to": "desk@example.com"})
    assert reply.json["result"] == "ok"
    assert [address for address, _ in mailserver.mails] == ["ada@example.com", "desk@example.com"]
    [mail] = mailserver.to("ada@example.com")
    body = mail.get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert mail["subject"] == "Hello Ada"
    assert "https://shop.example/sale?a=1&amp;b=2" in html
    assert "/t/o/" not in html
    assert "/t/c/" not in html
    assert mailserver.to("desk@example.com")[0]["subject"].strip() == "Hello"
    assert (await mail_api.get(f"{path}/stats")).json["attempted"] == 0
    assert (await mail_api.get(f"{path}/recipients")).json["data"] == []
    assert [one["type"] for one in (await mail_api.get("/v1/events?type=email.*")).json["data"]] == []
    assert (await mail_api.get(path)).json == made


async def test_a_draft_changed_after_its_test_is_sent_as_it_is_then(
    mail_api: Client, mailserver: MailServer
) -> None:
    await readers(mail_api, "ada")
    path = f"/v1/campaigns/{(await draft(mail_api))['id']}"
    await mail_api.post(f"{path}/test", {"to": "ada@example.com"})
    await mail_api.patch(path, {"subject": "Hi again"})
    await mail_api.post(f"{path}/send")
    await mail_api.app.services.campaigns.run_once()
    await mail_api.settled()
    assert [mail["subject"] for mail in mailserver.to("ada@example.com")] == ["Hello Ada", "Hi again"]


async def test_a_test_says_why_it_was_not_sent(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api)
    path = f"/v1/campaigns/{(await draft(mail_api))['id']}/test"
    mailserver.refuse["gone@example.com"] = ["550 5.1.1 no such user"]
    reply = await mail_api.post(path, {"to": "gone@example.com"})
    assert (reply.status, reply.json["result"], reply.json["error"]) == (200, "permanent", "smtp_permanent")
    assert (reply.json["status"], "no such user" in reply.json["detail"]) == (550, True)
    await mail_api.post("/v1/suppressions", {"address": "ada@example.com"})
    reply = await mail_api.post(path, {"to": "ada@example.com"})
    assert (reply.json["result"], reply.json["error"]) == ("permanent", "suppressed")
    assert (await mail_api.get("/v1/suppressions")).json["data"][0]["address"] == "ada@example.com"
    for body, pointer in (({"to": "ada"}, "#/to"), ({}, "#/to"), ({"to": "a@b.example", "cc": "x"}, "#/cc")):
        reply = await mail_api.post(path, body)
        assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert mailserver.mails == []


async def test_the_figures_follow_what_happens(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada", "bob", "cleo", "dan")
    mailserver.refuse["bob@example.com"] = ["550 5.1.1 no such user"]
    await mail_api.post("/v1/suppressions", {"address": "cleo@example.com"})
    path = await send(mail_api)
    stats = (await mail_api.get(f"{path}/stats")).json
    expected = {
        "recipients": 4,
        "waiting": 0,
        "attempted": 3,
        "sent": 2,
        "delivered": 2,
        "bounced": 1,
        "bounced_hard": 1,
        "blocked": 1,
        "opened": 0,
        "open_rate": 0.0,
        "click_to_open_rate": None,
        "bounce_rate": round(1 / 3, 6),
    }
    assert stats | expected == stats
    assert stats.keys() - {"definitions", "links", "domains"} == stats["definitions"].keys()
    assert stats["definitions"]["open_rate"] == "opened / delivered"

    async def who(query: str) -> list[str]:
        found = (await mail_api.get(f"{path}/recipients?{query}")).json["data"]
        return sorted(one["email"].partition("@")[0] for one in found)

    assert await who("") == ["ada", "bob", "cleo", "dan"]
    assert await who("sent=true") == ["ada", "dan"]
    assert await who("bounced=true") == await who("bounced_hard=true") == ["bob"]
    assert await who("bounced=false&blocked=false") == ["ada", "dan"]
    assert await who("blocked=true") == ["cleo"]
    assert await who("sent=true&opened=true") == []
    [bob] = (await mail_api.get(f"{path}/recipients?bounced=true")).json["data"]
    assert (bob["sent"], bob["bounced"], bob["bounced_hard"], bob["opened"]) == (False, True, True, False)
    assert bob["message"].startswith("dlv_")


async def test_the_figures_add_up_also_where_no_server_was_asked(
    mail_api: Client, mailserver: MailServer
) -> None:
    await readers(mail_api, "ada", "bob", "cleo", "dan", "eve")
    mailserver.refuse["bob@example.com"] = ["550 5.1.1 no such user"]
    mailserver.refuse["dan@example.com"] = ["451 4.7.1 later"]
    await mail_api.post("/v1/suppressions", {"address": "cleo@example.com"})
    broken = "{{ 1 // 0 if contact.attributes.first_name in ['Ada', 'Eve'] else 'Hello' }}"
    path = await send(mail_api, subject=broken)
    stats = (await mail_api.get(f"{path}/stats")).json
    parts = {name: stats[name] for name in ("attempted", "blocked", "failed", "cancelled")}
    assert parts == {"attempted": 2, "blocked": 1, "failed": 2, "cancelled": 0}
    assert stats["recipients"] == sum(parts.values()) == 5
    assert stats["attempted"] == stats["delivered"] + stats["bounced"] + stats["pending"]
    found = (await mail_api.get(f"{path}/recipients?failed=true")).json["data"]
    assert {one["email"] for one in found} == {"ada@example.com", "eve@example.com"}
    [row] = (await mail_api.get("/v1/stats?by=domain")).json["data"]
    assert (row["failed"], row["attempted"]) == (2, 2)
    told = (await mail_api.get("/v1/events?type=delivery.failed")).json["data"]
    assert {event["data"].get("message") for event in told} >= {one["message"] for one in found}


async def test_a_draft_has_figures_too(api: Client) -> None:
    await readers(api, "ada")
    stats = (await api.get(f"/v1/campaigns/{(await draft(api))['id']}/stats")).json
    assert (stats["recipients"], stats["delivered"], stats["open_rate"]) == (0, 0, None)


async def test_recipients_come_in_pages(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada", "bob", "cleo")
    path = await send(mail_api)
    page = (await mail_api.get(f"{path}/recipients?limit=2&sent=true")).json
    rest = (await mail_api.get(f"{path}/recipients?limit=2&sent=true&after={page['next']}")).json
    assert (len(page["data"]), len(rest["data"]), rest["next"]) == (2, 1, None)
    assert len({one["email"] for one in page["data"] + rest["data"]}) == 3
    for query, name in (("after=x", "after"), ("opened=perhaps", "opened"), ("deliverd=true", "deliverd")):
        reply = await mail_api.get(f"{path}/recipients?{query}")
        assert (reply.status, list(reply.faults)) == (422, [name])


async def test_tenants_do_not_see_each_other(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada")
    path = f"/v1/campaigns/{(await draft(mail_api))['id']}"
    other = await mail_api.with_key(tenant="other")
    for method, under, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("POST", "/send", None),
        ("POST", "/test", {"to": "ada@example.com"}),
        ("GET", "/stats", None),
        ("GET", "/recipients", None),
    ):
        assert (await other.call(method, path + under, body)).status == 404
    reply = await other.post("/v1/campaigns", SPRING)
    assert (reply.status, list(reply.faults)) == (422, ["#/list"])
    assert mailserver.mails == []


async def test_a_campaign_is_scheduled_and_taken_back(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api)
    made = await draft(mail_api, send_at="2199-01-01T00:00:00+01:00")
    assert made["send_at"] == "2198-12-31T23:00:00Z"
    path = f"/v1/campaigns/{made['id']}"
    sent = await mail_api.post(f"{path}/send")
    assert (sent.status, sent.json["state"], sent.json["started_at"]) == (202, "scheduled", None)
    for refused in ("/pause", "/resume", "/send"):
        assert (await mail_api.post(path + refused)).status == 409
    changed = await mail_api.patch(path, {"name": "x"})
    assert (changed.status, "cancel it" in changed.json["detail"]) == (409, True)
    taken_back = await mail_api.post(f"{path}/cancel")
    assert (taken_back.status, taken_back.json["state"]) == (200, "draft")
    assert (await mail_api.post(f"{path}/send", {"send_at": "soon"})).faults.keys() == {"#/send_at"}
    later = await mail_api.post(f"{path}/send", {"send_at": "2198-01-01T00:00:00Z"})
    assert (later.json["state"], later.json["send_at"]) == ("scheduled", "2198-01-01T00:00:00Z")
    assert mailserver.mails == []


async def test_a_paused_campaign_says_so_and_goes_on(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada")
    made = await draft(mail_api)
    path = f"/v1/campaigns/{made['id']}"
    assert (await mail_api.post(f"{path}/pause")).status == 409
    storage, runner = mail_api.app.services.storage.campaigns, mail_api.app.services.campaigns
    campaign = await storage.get("default", made["id"])
    assert campaign is not None
    # The loops of the app run beside this test: a mail that is held up by the server keeps the campaign open.
    mailserver.refuse["ada@example.com"] = ["451 4.7.1 Later", "250 OK"]
    assert (await mail_api.post(f"{path}/send")).status == 202
    await runner.run_once()
    await mail_api.settled()
    for _ in range(2):
        paused = await mail_api.post(f"{path}/pause")
        assert (paused.status, paused.json["state"]) == (200, "paused")
    [delivery] = (await mail_api.get("/v1/deliveries")).json["data"]
    assert (delivery["waits_for"], delivery["next_attempt_at"]) == ("its campaign is paused", None)
    assert (await mail_api.get(f"/v1/deliveries/{delivery['id']}")).json["waits_for"] is not None
    assert (await mail_api.post(f"/v1/deliveries/{delivery['id']}/retry")).status == 202
    await mail_api.settled()
    assert mailserver.mails == []
    resumed = await mail_api.post(f"{path}/resume")
    assert (resumed.status, resumed.json["state"]) == (200, "sending")
    await mail_api.settled()
    await runner.run_once()
    [delivery] = (await mail_api.get("/v1/deliveries")).json["data"]
    assert (delivery["state"], delivery["waits_for"], len(mailserver.mails)) == ("succeeded", None, 1)
    assert (await mail_api.get(path)).json["state"] == "sent"
    assert (await mail_api.post(f"{path}/cancel")).status == 409


async def test_who_is_deleted_or_erased_meanwhile_is_counted_as_cancelled(
    mail_api: Client, mailserver: MailServer
) -> None:
    await readers(mail_api, "ada", "bob")
    for name in ("ada", "bob"):
        mailserver.refuse[f"{name}@example.com"] = ["451 4.7.1 Later"]
    path = await send(mail_api)
    waiting = {d["address"]: d["id"] for d in (await mail_api.get("/v1/deliveries")).json["data"]}
    assert (await mail_api.call("DELETE", "/v1/contacts/ada@example.com")).status == 204
    assert (await mail_api.post(f"/v1/deliveries/{waiting['ada@example.com']}/retry")).status == 202
    await mail_api.settled()
    assert (await mail_api.get(f"{path}/stats")).json["cancelled"] == 1
    assert (await mail_api.post("/v1/contacts/bob@example.com/erase")).status == 202
    stats = (await mail_api.get(f"{path}/stats")).json
    assert (stats["recipients"], stats["cancelled"], stats["waiting"], mailserver.mails) == (2, 2, 0, [])
    assert (stats["attempted"], stats["pending"]) == (0, 0)


async def test_a_cancelled_campaign_stays_so_and_is_counted(mail_api: Client, mailserver: MailServer) -> None:
    await readers(mail_api, "ada")
    mailserver.refuse["ada@example.com"] = ["451 4.7.1 Later"]
    path = await send(mail_api)
    stats = (await mail_api.get(f"{path}/stats")).json
    assert (stats["attempted"], stats["pending"], stats["cancelled"]) == (1, 1, 0)
    for _ in range(2):
        cancelled = await mail_api.post(f"{path}/cancel")
        assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
    await mail_api.app.services.campaigns.run_once()
    stats = (await mail_api.get(f"{path}/stats")).json
    assert (stats["cancelled"], stats["waiting"], stats["attempted"], stats["pending"]) == (1, 0, 0, 0)
    assert (await mail_api.post(f"{path}/resume")).status == 409
    stranger = await mail_api.with_key(tenant="other")
    for step in ("pause", "resume", "cancel"):
        assert (await stranger.post(f"{path}/{step}")).status == 404


async def test_a_mail_that_was_retried_and_then_cancelled_is_counted_once(
    mail_api: Client, mailserver: MailServer
) -> None:
    """What it was before is told already: a refusal, or that no server answered."""
    await readers(mail_api, "ada", "bob", "cleo", "dan")
    mailserver.refuse["bob@example.com"] = ["550 5.1.1 no such user"]
    mailserver.refuse["dan@example.com"] = ["451 4.7.1 later"]
    await mail_api.post("/v1/suppressions", {"address": "cleo@example.com"})
    broken = "{{ 1 // 0 if contact.attributes.first_name == 'Ada' else 'Hello' }}"
    path = await send(mail_api, subject=broken)
    assert (await mail_api.post(f"{path}/pause")).status == 200
    for delivery in (await mail_api.get("/v1/deliveries")).json["data"]:
        assert (await mail_api.post(f"/v1/deliveries/{delivery['id']}/retry")).status == 202
    assert (await mail_api.post(f"{path}/cancel")).status == 200
    await mail_api.app.services.campaigns.run_once()
    stats = (await mail_api.get(f"{path}/stats")).json
    parts = {
        name: stats[name] for name in ("delivered", "bounced", "pending", "blocked", "failed", "cancelled")
    }
    assert parts == {"delivered": 0, "bounced": 1, "pending": 0, "blocked": 1, "failed": 1, "cancelled": 1}
    assert stats["recipients"] == sum(parts.values()) == 4
