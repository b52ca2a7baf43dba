"""`/v3/REST/eventcallbackurl`, by Mailjet's own client with only its base URL changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from mailjet_rest import Client as MailjetClient
from mailjet_rest.errors import MailjetApiError

from hookline.api.mailjet import PATH
from support.client import Client
from support.receiver import Receiver


def mailjet(api: Client) -> Any:
    return MailjetClient(auth=("any-name", api.key), version="v3", api_url=api.url)


async def call(method: Callable[..., Any], **given: Any) -> tuple[int, Any]:
    """One call of the client, which blocks: in a thread."""
    try:
        reply = await asyncio.to_thread(method, **given)
    except MailjetApiError as error:
        return error.status_code, json.loads(error.response_body)
    return reply.status_code, reply.json() if reply.content else None


async def test_the_mailjet_client_creates_lists_changes_and_deletes(api: Client) -> None:
    urls = mailjet(api).eventcallbackurl
    status, made = await call(urls.create, data={"EventType": "open", "Url": "https://shop.example/mj"})
    assert (status, made["Count"], made["Total"]) == (201, 1, 1)
    (row,) = made["Data"]
    assert row | {"ID": 0, "APIKeyID": 0} == {
        "APIKeyID": 0, "APIKeyALT": "", "EventType": "open", "ID": 0, "IsBackup": False, "Status": "alive",
        "Url": "https://shop.example/mj", "Version": 1,
    }  # fmt: skip
    assert isinstance(row["ID"], int) and isinstance(row["APIKeyID"], int)
    await call(urls.create, data={"EventType": "click", "Url": "https://shop.example/c", "Version": 2})
    status, listed = await call(urls.get)
    assert (status, [one["EventType"] for one in listed["Data"]]) == (200, ["open", "click"])
    status, listed = await call(urls.get, filters={"EventType": "click", "Limit": 1})
    assert [(one["EventType"], one["Version"]) for one in listed["Data"]] == [("click", 2)]
    change = {"Url": "https://shop.example/new", "Version": 2}
    status, changed = await call(urls.update, id=row["ID"], data=change)
    assert status == 200 and changed["Data"][0] | change == changed["Data"][0]
    status, one = await call(urls.get, id=row["ID"])
    assert one == changed
    assert (await call(urls.get, id="open|false"))[1] == changed
    assert await call(urls.delete, id=row["ID"]) == (204, None)
    status, gone = await call(urls.get, id=row["ID"])
    assert (status, gone["StatusCode"], gone["ErrorMessage"]) == (404, 404, "Object not found")


async def test_what_it_made_is_a_hook_that_brings_mailjets_objects(
    mail_api: Client, receiver: Receiver
) -> None:
    await call(
        mailjet(mail_api).eventcallbackurl.create, data={"EventType": "sent", "Url": receiver.url + "/mj"}
    )
    listed = (await mail_api.post("/v1/lists", {"name": "all"})).json["id"]
    await mail_api.post("/v1/contacts", {"email": "ada@example.com", "lists": [listed]})
    draft = {"name": "n", "list": listed, "from": "s@example.com", "subject": "Hi", "text": "Hello"}
    campaign = (await mail_api.post("/v1/campaigns", draft)).json["id"]
    await mail_api.post(f"/v1/campaigns/{campaign}/send")
    services = mail_api.app.services
    await services.campaigns.run_once()
    await mail_api.settled()
    (got,) = receiver.got
    told = json.loads(got.body)
    assert (told["event"], told["email"], told["customcampaign"]) == ("sent", "ada@example.com", campaign)
    assert told["smtp_reply"].startswith("sent (") and told["CustomID"].startswith("dlv_")


async def test_a_url_with_a_password_is_called_with_basic_auth(api: Client, receiver: Receiver) -> None:
    urls = mailjet(api).eventcallbackurl
    url = receiver.url.replace("http://", "http://shop:s%2Bcret@")
    _, made = await call(urls.create, data={"EventType": "unsub", "Url": url})
    row = made["Data"][0]
    assert "cret" not in json.dumps(made) and row["Url"].startswith("http://shop:")
    hook = (await api.get("/v1/hooks")).json["data"][0]
    event = {"type": "email.unsubscribed", "data": {"email": "ada@example.com"}}
    await api.post(f"/v1/hooks/{hook['id']}/test", {"event": event})
    await call(urls.update, id=row["ID"], data={"Url": row["Url"]})
    await api.post(f"/v1/hooks/{hook['id']}/test", {"event": event})
    assert [got.headers["authorization"] for got in receiver.got] == ["Basic c2hvcDpzK2NyZXQ="] * 2


async def test_a_stored_password_follows_to_no_other_host(api: Client) -> None:
    urls = mailjet(api).eventcallbackurl
    _, made = await call(urls.create, data={"Url": "https://shop:secret@shop.example/mj"})
    row = made["Data"][0]
    for url in (
        row["Url"].replace("@shop.example", "@thief.example"),
        row["Url"].replace("@shop.example", "@shop.example:8443"),
        row["Url"].replace("//shop:", "//other:"),
    ):
        status, error = await call(urls.update, id=row["ID"], data={"Url": url})
        assert status == 400 and "give the password again" in error["ErrorMessage"]
    status, _ = await call(urls.update, id=row["ID"], data={"Url": row["Url"].replace("/mj", "/other")})
    assert status == 200
    url = "https://shop:secret@other.example/"
    assert (await call(urls.update, id=row["ID"], data={"Url": url}))[0] == 200


async def test_a_dead_callback_comes_back_with_a_new_url(api: Client) -> None:
    urls = mailjet(api).eventcallbackurl
    _, made = await call(urls.create, data={"Url": "https://shop.example/mj", "Status": "dead"})
    row = made["Data"][0]
    assert (row["EventType"], row["Status"]) == ("open", "dead"), "open is the default"
    _, changed = await call(urls.update, id=row["ID"], data={"Url": "https://shop.example/2"})
    assert changed["Data"][0]["Status"] == "alive"


async def test_what_is_wrong_is_said_as_mailjet_says_it(api: Client) -> None:
    urls = mailjet(api).eventcallbackurl
    await call(urls.create, data={"EventType": "spam", "Url": "https://shop.example/mj"})
    for data, word in (
        ({"EventType": "opened", "Url": "https://shop.example/"}, "EventType"),
        ({"EventType": "spam", "Url": "https://shop.example/"}, "already"),
        ({"EventType": "open"}, "Url"),
        ({"EventType": "open", "Url": "http://10.0.0.1/"}, "Url"),
        ({"EventType": "open", "Url": "https://shop.example/", "IsBackup": True}, "not available yet"),
    ):
        status, error = await call(urls.create, data=data)
        assert (status, error["StatusCode"]) == (400, 400) and word in error["ErrorMessage"], error
    stranger = MailjetClient(auth=("any", "hl_wrong"), version="v3", api_url=api.url)
    status, error = await call(stranger.eventcallbackurl.get)
    assert (status, error["StatusCode"]) == (401, 401)
    reader = mailjet(await api.with_key("read"))
    assert (await call(reader.eventcallbackurl.get))[0] == 200
    assert (await call(reader.eventcallbackurl.create, data={"Url": "https://shop.example/"}))[0] == 403
    other = mailjet(await api.with_key(tenant="other"))
    _, rows = await call(urls.get)
    assert (await call(other.eventcallbackurl.get))[1]["Count"] == 0
    assert (await call(other.eventcallbackurl.get, id=rows["Data"][0]["ID"]))[0] == 404


@pytest.mark.parametrize(
    ("media", "body"),
    [
        (
            "application/x-www-form-urlencoded",
            b'{"EventType":"click","Url":"https://shop.example/c","Version":2}',
        ),
        (
            "application/x-www-form-urlencoded",
            b"EventType=click&Url=https%3A%2F%2Fshop.example%2Fc&Version=2",
        ),
        (
            "text/plain",
            b'{"EventType":"click","Url":"https://shop.example/c","Version":"2","IsBackup":"false"}',
        ),
        (None, b'{"EventType":"click","Url":"https://shop.example/c","Version":2,"IsBackup":0,"ID":0}'),
    ],
)
async def test_other_clients_write_otherwise(api: Client, media: str | None, body: bytes) -> None:
    basic = {"authorization": aiohttp.encode_basic_auth("any", api.key), "content-type": media}
    made = await api.post(PATH, body, headers=basic)
    assert made.status == 201, made.json
    (row,) = made.json["Data"]
    assert (row["EventType"], row["Url"], row["Version"]) == ("click", "https://shop.example/c", 2)


@pytest.mark.parametrize(
    "body", [b"nonsense", b"[]", b"17", b"", b'{"Url": "a', b"\xff=1", b"Url=a%00", b'{"Url":"a\\u0000"}']
)
async def test_what_cannot_be_read_is_a_400(api: Client, body: bytes) -> None:
    answer = await api.post(PATH, body)
    assert (answer.status, answer.json["StatusCode"]) == (400, 400)


async def test_of_callbacks_that_are_made_at_once_for_one_event_there_is_one(api: Client) -> None:
    wish = {"EventType": "open", "Url": "http://127.0.0.1:9/"}
    made = await asyncio.gather(*(api.post(PATH, wish) for _ in range(4)))
    assert sorted(reply.status for reply in made) == [201, 400, 400, 400]


async def test_lists_are_filtered_sorted_and_counted(api: Client) -> None:
    urls = mailjet(api).eventcallbackurl
    for kind, version, status in (("open", 1, "alive"), ("click", 2, "dead"), ("spam", 2, "alive")):
        data = {
            "EventType": kind,
            "Url": f"https://shop.example/{kind}",
            "Version": version,
            "Status": status,
        }
        assert (await call(urls.create, data=data))[0] == 201
    for filters, kinds, total in (
        ({"EventType": "click"}, ["click"], 1),
        ({"Status": "alive"}, ["open", "spam"], 2),
        ({"Version": 2}, ["click", "spam"], 2),
        ({"IsBackup": "true"}, [], 0),
        ({"IsBackup": 0, "Limit": 0}, ["open", "click", "spam"], 3),
        ({"limit": 1, "offset": 1}, ["click"], 3),
        ({"Sort": "ID desc"}, ["spam", "click", "open"], 3),
        ({"sort": "EventType+DESC", "Limit": 2}, ["spam", "open"], 3),
        ({"Url": "https://shop.example/open"}, ["open"], 1),
    ):
        code, found = await call(urls.get, filters=filters)
        assert code == 200, found
        assert ([row["EventType"] for row in found["Data"]], found["Total"]) == (kinds, total), filters
        assert found["Count"] == len(kinds)
    assert (await call(urls.get, filters={"CountOnly": 1}))[1] == {"Count": 3, "Data": [], "Total": 3}
    for wrong in (
        {"EventType": "opened"},
        {"Limit": 1001},
        {"Offset": -1},
        {"Sort": "Colour"},
        {"Sort": "ID up"},
    ):
        code, error = await call(urls.get, filters=wrong)
        assert (code, error["StatusCode"]) == (400, 400) and next(iter(wrong)) in error["ErrorMessage"]
