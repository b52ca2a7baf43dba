"""Segments: contacts by a condition over what they are and what was sent to them."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Client
from support.mailserver import MailServer

PEOPLE: list[dict[str, Any]] = [
    {
        "email": "ada@example.com",
        "tags": ["vip"],
        "lists": ["news"],
        "attributes": {"country": "DK", "orders": 12},
    },
    {"email": "bob@example.com", "tags": ["vip"], "attributes": {"country": "SE", "orders": "many"}},
    {"email": "cleo@example.com", "lists": ["news"], "attributes": {"country": "DK", "orders": 1.5}},
    {"email": "dora@example.com", "status": "unsubscribed"},
]


async def filled(api: Client) -> None:
    await api.post("/v1/lists", {"name": "news"})
    for person in PEOPLE:
        assert (await api.post("/v1/contacts", person)).status == 201


async def preview(api: Client, condition: str, **more: str) -> Any:
    reply = await api.post("/v1/segments/preview", {"if": condition} | more)
    assert reply.status == 200, reply.body
    return reply.json


async def who(api: Client, condition: str, **more: str) -> list[str]:
    found = await preview(api, condition, **more)
    names = [one["email"].partition("@")[0] for one in found["sample"]]
    assert (found["count"], found["errors"]) == (len(names), 0), found
    return names


async def test_a_condition_is_previewed(either_api: Client) -> None:
    api = either_api
    await filled(api)
    assert await who(api, "contact.attributes.country == 'DK' && 'vip' in contact.tags") == ["ada"]
    assert await who(api, "'news' in contact.lists") == ["ada", "cleo"]
    assert await who(api, "contact.attributes.country == 'DK'", list="news") == ["ada", "cleo"]
    assert await who(api, "'vip' in contact.tags", list="news") == ["ada"]
    assert await who(api, "contact.status == 'active' && contact.created_at <= now") == ["ada", "bob", "cleo"]
    assert await who(api, "contact.sent == 0 && contact.last_sent_at == null") == [
        "ada",
        "bob",
        "cleo",
        "dora",
    ]
    assert await who(api, "contact.attributes.country == 'NO'") == []
    found = await preview(api, "contact.attributes.orders > 10")
    assert (found["count"], found["of"], found["errors"]) == (1, 4, 2)
    bob = (await api.get("/v1/contacts/bob@example.com")).json
    assert found["error"]["contact"] == bob["id"] and "text" in found["error"]["detail"]
    assert await preview(await api.with_key("read", "other"), "true") == {
        "count": 0, "of": 0, "complete": True, "sample": [], "errors": 0, "error": None
    }  # fmt: skip


async def test_many_contacts_are_looked_at_and_ten_are_shown(either_api: Client) -> None:
    file = "email,n:number\n" + "".join(f"p{n}@example.com,{n}\n" for n in range(1500))
    headers = {"content-type": "text/csv"}
    await either_api.post("/v1/contacts/import?events=false", file.encode(), headers=headers)
    found = await preview(either_api, "contact.attributes.n % 2 == 0")
    assert (found["count"], found["of"], found["complete"], len(found["sample"])) == (750, 1500, True, 10)
    found = await preview(either_api, "contact.attributes.n % 2 == 0", within="0s")
    assert (found["count"], found["of"], found["complete"]) == (250, 500, False), "one step, and no more"
    for wrong in ("31s", "soon"):
        refused = await either_api.post("/v1/segments/preview", {"if": "true", "within": wrong})
        assert (refused.status, list(refused.faults)) == (422, ["#/within"])


async def test_segments_are_made_read_changed_and_deleted(either_api: Client) -> None:
    api = either_api
    made = (
        await api.post("/v1/segments", {"name": "Danes", "if": "contact.attributes.country == 'DK'"})
    ).json
    assert made["id"].startswith("seg_") and made["if"] == "contact.attributes.country == 'DK'"
    for name in (made["id"], "Danes"):
        assert (await api.get(f"/v1/segments/{name}")).json == made
    assert (await api.post("/v1/segments", {"name": "Danes", "if": "true"})).status == 409
    other = (await api.post("/v1/segments", {"name": "All", "if": "true"})).json
    assert (await api.patch(f"/v1/segments/{other['id']}", {"name": "Danes"})).status == 409
    changed = (await api.patch("/v1/segments/All", {"if": "false"})).json
    assert (changed["name"], changed["if"]) == ("All", "false")
    assert [one["name"] for one in (await api.get("/v1/segments")).json["data"]] == ["All", "Danes"]
    stranger = await api.with_key(tenant="other")
    assert (await stranger.get("/v1/segments")).json["data"] == []
    for method in ("GET", "DELETE"):
        assert (await stranger.call(method, f"/v1/segments/{made['id']}")).status == 404
    assert (await api.call("DELETE", "/v1/segments/Danes")).status == 204
    assert (await api.get("/v1/segments/Danes")).status == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x"}, "#/if"), ({"if": "true"}, "#/name"), ({"name": " ", "if": "true"}, "#/name"),
        ({"name": "seg_x", "if": "true"}, "#/name"), ({"name": "x", "if": "contact."}, "#/if"),
        ({"name": "x", "if": "event.id == 'x'"}, "#/if"), ({"name": "x", "if": "true", "list": "y"}, "#/list"),
    ],
)  # fmt: skip
async def test_bad_segments_are_refused(api: Client, body: Any, pointer: str) -> None:
    reply = await api.post("/v1/segments", body)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.get("/v1/segments")).json["data"] == []


async def test_what_does_not_compile_is_named_with_its_place(api: Client) -> None:
    reply = await api.post("/v1/segments/preview", {"if": "contact.tags ==\n == 1"})
    assert reply.status == 422 and "2:2" in reply.faults["#/if"]
    assert (await api.post("/v1/segments/preview", {"if": "true", "list": "nowhere"})).status == 422


async def campaign(api: Client, **fields: Any) -> Any:
    draft = {"name": "Spring", "from": "shop@example.com", "subject": "Hi", "text": "Hi"} | fields
    reply = await api.post("/v1/campaigns", draft)
    assert reply.status == 201, reply.body
    assert (await api.post(f"/v1/campaigns/{reply.json['id']}/send")).status == 202
    while (await api.get(f"/v1/campaigns/{reply.json['id']}")).json["state"] != "sent":
        await api.settled()
        await api.app.services.campaigns.run_once()
    return reply.json


async def test_a_campaign_goes_to_a_segment_or_to_those_of_a_list_in_it(
    mail_api: Client, mailserver: MailServer
) -> None:
    api = mail_api
    await filled(api)
    segment = (await api.post("/v1/segments", {"name": "vips", "if": "'vip' in contact.tags"})).json
    both = await campaign(api, list="news", segment="vips")
    assert (both["list"], both["segment"]) == ((await api.get("/v1/lists/news")).json["id"], segment["id"])
    assert [to for to, _ in mailserver.mails] == ["ada@example.com"]
    alone = await campaign(api, segment=segment["id"])
    assert alone["list"] is None
    assert sorted(to for to, _ in mailserver.mails[1:]) == ["ada@example.com", "bob@example.com"]
    started = (await api.get("/v1/events?type=campaign.started")).json["data"]
    assert started[0]["data"]["list"] is None
    assert await who(api, "contact.sent == 2 && contact.last_sent_at > now - duration('1d')") == ["ada"]
    assert await who(api, "contact.sent > 0 && contact.opened == 0") == ["ada", "bob"]
    assert (await api.call("DELETE", "/v1/segments/vips")).status == 204


async def test_what_was_opened_and_clicked_is_known(mail_api: Client, mailserver: MailServer) -> None:
    api = mail_api
    await filled(api)
    await campaign(api, list="news", html='<p><a href="https://shop.example/">look</a></p>', text=None)
    part = mailserver.to("ada@example.com")[0].get_body(("html",))
    assert part is not None
    addresses = [text.removeprefix("https://mail.example") for text in part.get_content().split('"')]
    link = next(text for text in addresses if text.startswith("/t/c/"))
    pixel = next(text for text in addresses if text.startswith("/t/o/"))
    browser = {"authorization": None, "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
    assert await who(api, "contact.last_opened_at != null || contact.last_clicked_at != null") == []
    for _ in range(2):
        assert (await api.get(pixel, headers=browser)).status == 200
    assert await who(api, "contact.opened == 1 && contact.last_opened_at > now - duration('1h')") == ["ada"]
    await api.get(link, headers=browser, allow_redirects=False)
    assert await who(api, "contact.clicked == 1 && contact.last_clicked_at >= contact.last_sent_at") == [
        "ada"
    ]


async def test_a_segment_that_a_campaign_needs_stays(api: Client) -> None:
    await api.post("/v1/segments", {"name": "all", "if": "true"})
    draft = {"name": "x", "segment": "all", "from": "a@example.com", "subject": "Hi", "text": "Hi"}
    made = (await api.post("/v1/campaigns", draft)).json
    refused = await api.call("DELETE", "/v1/segments/all")
    assert refused.status == 409 and "campaign" in refused.json["detail"]
    assert (await api.patch(f"/v1/campaigns/{made['id']}", {"segment": None})).status == 422
    await api.post("/v1/lists", {"name": "news"})
    changed = (await api.patch(f"/v1/campaigns/{made['id']}", {"segment": None, "list": "news"})).json
    assert changed["segment"] is None
    assert (await api.call("DELETE", "/v1/segments/all")).status == 204
    draft["segment"] = "nowhere"
    assert list((await api.post("/v1/campaigns", draft)).faults) == ["#/segment"]
