"""One mail: checked, stored, sent, followed; and once, however often it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hookline.settings import Settings
from support.client import Client, client_of
from support.mailserver import MailServer

RECEIPT: dict[str, Any] = {
    "to": "Ada <Ada@Example.com>",
    "from": "Shop <shop@example.com>",
    "subject": "Order {{ variables.number }}",
    "text": "Thank you, {{ contact.attributes.first_name }}. https://shop.example/order",
    "variables": {"number": 17},
    "stream": "transactional",
    "tags": ["receipt"],
    "metadata": {"order": "17"},
}


async def events(api: Client, kind: str) -> list[Any]:
    return list((await api.get(f"/v1/events?type={kind}")).json["data"])


async def test_one_mail_goes_out_and_is_followed(
    tmp_path: Path, database_url: str | Path, mailserver: MailServer
) -> None:
    settings = Settings(
        home=str(tmp_path),
        secret_key="00" * 32,
        database=database_url if isinstance(database_url, str) else "",
        smtp_url=mailserver.url,
        public_url="https://mail.example",
    )
    async with client_of(settings) as api:
        ada = {"email": "ada@example.com", "attributes": {"first_name": "Ada"}}
        assert (await api.post("/v1/contacts", ada)).status == 201
        reply = await api.post("/v1/messages", RECEIPT)
        assert (reply.status, reply.json["duplicate"]) == (202, False)
        name = reply.json["id"]
        await api.settled()
        (mail,) = mailserver.to("ada@example.com")
        assert mail["to"] == "Ada <ada@example.com>"
        assert mail["subject"] == "Order 17" and mail["list-unsubscribe"] is None
        assert mail["message-id"] == f"<{name}@example.com>"
        told = (await api.get(f"/v1/deliveries/{name}")).json
        assert (told["state"], told["kind"], told["hook"], told["campaign"]) == (
            "succeeded",
            "email",
            None,
            None,
        )
        (sent,) = await events(api, "email.sent")
        for field, value in (("message", name), ("tags", ["receipt"]), ("metadata", {"order": "17"})):
            assert sent["data"][field] == value
        body = mail.get_content()
        click = body[body.index("/t/c/") :].split()[0]
        assert (await api.get(click, allow_redirects=False)).status == 302
        (clicked,) = await events(api, "email.clicked")
        assert (clicked["data"]["message"], clicked["data"]["tags"]) == (name, ["receipt"])


async def test_a_template_has_what_the_mail_does_not_say(mail_api: Client, mailserver: MailServer) -> None:
    made = await mail_api.post("/v1/templates", {"name": "hi", "subject": "Hello", "html": "<p>Hi</p>"})
    assert made.status == 201, made.body
    body = {name: RECEIPT[name] for name in ("to", "from")}
    assert (await mail_api.post("/v1/messages", body | {"template": "hi"})).status == 202
    assert (await mail_api.post("/v1/messages", body | {"template": "hi", "subject": "Yo"})).status == 202
    unknown = await mail_api.post("/v1/messages", body | {"template": "ho"})
    assert (unknown.status, list(unknown.faults)) == (422, ["#/template"])
    assert list((await mail_api.post("/v1/messages", body | {"text": "x"})).faults) == ["#/subject"]
    await mail_api.settled()
    assert sorted(str(mail["subject"]) for _, mail in mailserver.mails) == ["Hello", "Yo"]


async def test_the_same_key_sends_once(mail_api: Client, mailserver: MailServer) -> None:
    async def ask(body: dict[str, Any], key: str, api: Client = mail_api) -> Any:
        return await api.post("/v1/messages", body, headers={"idempotency-key": key})

    first = await ask(RECEIPT, "a")
    again = await ask(dict(reversed(RECEIPT.items())), "a")
    assert (again.status, again.json) == (202, {"id": first.json["id"], "duplicate": True})
    assert (await ask(RECEIPT | {"subject": "Other"}, "a")).status == 409
    assert (await ask(RECEIPT, "b")).json["duplicate"] is False
    other = await mail_api.with_key(tenant="other")
    assert (await ask(RECEIPT, "a", other)).json["duplicate"] is False
    assert (await ask(RECEIPT, "x" * 256)).status == 422
    await mail_api.settled()
    assert len(mailserver.mails) == 3


async def test_a_stream_says_what_stops_it(mail_api: Client, mailserver: MailServer) -> None:
    await mail_api.post("/v1/suppressions", {"address": "ada@example.com", "reason": "unsubscribe"})
    ids = {}
    for stream in ("bulk", "transactional"):
        ids[stream] = (await mail_api.post("/v1/messages", RECEIPT | {"stream": stream})).json["id"]
    await mail_api.settled()
    assert [str(mail["message-id"]) for _, mail in mailserver.mails] == [
        f"<{ids['transactional']}@example.com>"
    ]
    (blocked,) = await events(mail_api, "email.blocked")
    assert (blocked["data"]["message"], blocked["data"]["tags"]) == (ids["bulk"], ["receipt"])


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"to": "nobody"}, "#/to", "nobody"),
        ({"to": ["a@b.example"]}, "#/to", ""),
        ({"from": "shop"}, "#/from", "shop"),
        ({"subject": ""}, "#/subject", ""),
        ({"text": None}, "#/html", "html or a text"),
        ({"text": "{{ nmae }}"}, "#/text", "nmae"),
        ({"stream": "fast"}, "#/stream", ""),
        ({"metadata": {"a": 1}}, "#/metadata", ""),
        ({"metadata": {str(n): "x" for n in range(51)}}, "#/metadata", "50"),
        ({"cc": "x@example.com"}, "#/cc", "unknown field"),
    ],
)
async def test_bad_input_names_the_field(mail_api: Client, change: Any, pointer: str, words: str) -> None:
    reply = await mail_api.post("/v1/messages", RECEIPT | change)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert words in reply.faults[pointer]
    assert (await mail_api.get("/v1/deliveries")).json["data"] == []


async def test_what_is_missing_is_named(api: Client, deaf_api: Client) -> None:
    for client, setting in ((api, "HOOKLINE_SMTP_URL"), (deaf_api, "HOOKLINE_PUBLIC_URL")):
        reply = await client.post("/v1/messages", RECEIPT)
        assert (reply.status, setting in reply.json["detail"]) == (409, True)
