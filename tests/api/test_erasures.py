"""Erasing a person: the address is nowhere any more, and the figures are what they were."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hookline.clock import ManualClock
from hookline.model import Erasure
from hookline.settings import Settings
from support.client import Client, client_of
from support.mailserver import MailServer
from support.receiver import Receiver

START = 1_790_000_000_000_000
BROWSER = {"authorization": None, "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
ADA = re.compile(rb"ada@example\.com|ada\\u0040|Lovelace|4520123456", re.IGNORECASE)


@pytest.fixture
async def site(
    tmp_path: Path, database_url: str | Path, mailserver: MailServer
) -> AsyncIterator[tuple[Client, str | Path]]:
    """A Hookline that sends mail, on SQLite and then on PostgreSQL, and where its data is."""
    settings = Settings(
        home=str(tmp_path), database=database_url if isinstance(database_url, str) else "", smtp_url=mailserver.url,
        public_url="https://mail.example", allow_targets="127.0.0.0/8", secret_key="00" * 32,
    )  # fmt: skip
    async with client_of(settings, ManualClock(START)) as client:
        yield client, database_url


async def everything(url: str | Path) -> list[tuple[str, str, bytes]]:
    """Each text and each blob of the whole database, with its table and column."""
    found: list[tuple[str, str, bytes]] = []
    tables: dict[str, list[dict[str, Any]]] = {}
    if isinstance(url, Path):
        connection = sqlite3.connect(url)
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}  # noqa: S608
        connection.close()
    else:
        database = await asyncpg.connect(url)
        rows = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in rows:
            tables[name] = [dict(row) for row in await database.fetch(f"SELECT * FROM {name}")]  # noqa: S608
        await database.close()
    for table, rows_of in tables.items():
        for row in rows_of:
            for column, value in row.items():
                if isinstance(value, str | bytes):
                    found.append((table, column, value.encode() if isinstance(value, str) else value))
    return found


async def where(url: str | Path) -> set[tuple[str, str]]:
    """The columns in which something of Ada is."""
    return {(table, column) for table, column, text in await everything(url) if ADA.search(text)}


async def erased(api: Client, name: str) -> Any:
    """Erase somebody, to the end."""
    begun = await api.post(f"/v1/contacts/{name}/erase")
    assert begun.status == 202, begun.body
    await api.app.services.eraser.run_once()
    done = (await api.get(f"/v1/erasures/{begun.json['id']}")).json
    assert done["state"] == "finished"
    return done


async def a_full_life(api: Client, mailserver: MailServer, receiver: Receiver) -> str:
    """Ada is told of in every table that can; the campaign's id."""
    await api.post("/v1/lists", {"name": "news"})
    file = (
        "email,phone,name\nada@example.com,+4520123456,Ada Lovelace\nbob@example.com,,Bob\n"
        "Ada@Example.com,4520123456,x\n"
    )
    await api.post("/v1/contacts/import?list=news", file.encode(), headers={"content-type": "text/csv"})
    await api.hook(receiver.url, on=["*"], name="everything")
    await api.hook(receiver.url, on=["order.*"], batch={"max": 2, "every": "1s"})
    await api.hook(
        "https://127.0.0.1:1/", on=["order.paid"], order="subject"
    )  # nobody is there: it waits to be tried again
    thanks = {
        "kind": "email",
        "to": "{{ event.subject }}",
        "from": "shop@example.com",
        "subject": "Hi",
        "text": "x",
    }
    await api.hook(on=["order.paid"], do=thanks, limit={"count": 1, "per": "subject"})
    await api.publish(subject="Ada@Example.COM", id="of ada@example.com", data={"n": 1})
    await api.publish(data={"who": {"mail": "Ada Lovelace <ADA@example.com>"}})
    await api.publish(
        "order.shipped", subject="bob@example.com", data={"cc": ["ada\u0040example.com"], "n": 7}
    )
    cloud = {"specversion": "1.0", "id": "1", "source": "shop", "type": "order.sent", "by": "ada@example.com"}
    await api.post("/v1/events", cloud, headers={"content-type": "application/cloudevents+json"})
    draft = {
        "name": "Spring",
        "list": "news",
        "from": "shop@example.com",
        "subject": "Dear {{ contact.email }}",
    }
    draft["html"] = '<p>Hello <a href="https://shop.example/">look</a></p>'
    campaign = str((await api.post("/v1/campaigns", draft)).json["id"])
    await api.post(f"/v1/campaigns/{campaign}/send")
    await api.app.services.campaigns.run_once()
    while len(mailserver.to("ada@example.com")) < 2 or not mailserver.to("bob@example.com"):
        await api.settled()
    part = next(mail for mail in mailserver.to("ada@example.com") if "Dear" in str(mail["subject"])).get_body(
        ("html",)
    )
    assert part is not None
    for text in part.get_content().split('"'):
        path = text.removeprefix("https://mail.example")
        if path.startswith(("/t/o/", "/t/c/")):
            await api.get(path, headers=BROWSER, allow_redirects=False)
    await api.post("/v1/suppressions", {"address": "ada@example.com", "reason": "complaint"})
    return campaign


async def test_the_address_is_nowhere_and_the_figures_stay(
    site: tuple[Client, str | Path], mailserver: MailServer, receiver: Receiver
) -> None:
    api, url = site
    campaign = await a_full_life(api, mailserver, receiver)
    kept = await where(url)
    assert kept >= {
        ("contacts", "email"), ("events", "subject"), ("events", "data"), ("events", "source_id"),
        ("events", "envelope"), ("deliveries", "address"), ("messages", "address"), ("attempts", "request"),
        ("limits", "subject"), ("suppressions", "address"), ("import_faults", "detail"),
    }, kept  # fmt: skip
    stats = (await api.get(f"/v1/campaigns/{campaign}/stats")).json
    assert (stats["opened"], stats["clicked"]) == (1, 1)
    before = await api.stored()
    ada = (await api.get("/v1/contacts/ada@example.com")).json
    done = await erased(api, "Ada@example.com")
    assert (done["contact"], done["mark"][:7]) == (ada["id"], "erased:")
    assert await where(url) == set()
    if isinstance(url, Path):  # nor in pages that are free now, nor in the WAL
        files = {path.name: path.read_bytes() for path in url.parent.iterdir() if path.is_file()}
        assert b"bob@example.com" in files["hookline.db"]
        assert {name for name, raw in files.items() if ADA.search(raw)} == set()
    assert (await api.get("/v1/contacts/ada@example.com")).status == 404
    assert (await api.stored())[0] >= before[0], "no event is lost"
    after = (await api.get(f"/v1/campaigns/{campaign}/stats")).json
    assert after == stats
    opened = (await api.get("/v1/events?type=email.opened")).json["data"]
    assert [(one["subject"], one["data"]["erased"], one["data"]["campaign"]) for one in opened] == [
        (done["mark"], True, campaign)
    ]
    states = {one["state"] for one in (await api.get("/v1/deliveries?limit=250")).json["data"]}
    assert "queued" not in states and "cancelled" in states
    bob = (await api.get("/v1/contacts/bob@example.com")).json
    assert bob["attributes"] == {"name": "Bob"}
    told = (await api.get("/v1/events?subject=bob@example.com&type=contact.created")).json["data"]
    assert told[0]["data"]["attributes"] == {"name": "Bob"}, "what is about others stays"


async def test_who_was_erased_is_not_mailed_by_accident(
    site: tuple[Client, str | Path], mailserver: MailServer
) -> None:
    api, url = site
    await api.post("/v1/lists", {"name": "news"})
    for name in ("ada", "bob"):
        await api.post("/v1/contacts", {"email": f"{name}@example.com", "lists": ["news"]})
    await erased(api, "ada@example.com")
    assert await where(url) == set()
    file = b"email\nada@example.com\nbob@example.com\n"
    report = await api.post("/v1/contacts/import?list=news", file, headers={"content-type": "text/csv"})
    assert (report.json["created"], report.json["kept_out"]) == (1, 1)
    await api.post("/v1/contacts", {"email": "ada@example.com", "lists": ["news"]})
    draft = {"name": "Spring", "list": "news", "from": "shop@example.com", "subject": "Hi", "text": "Hi"}
    campaign = (await api.post("/v1/campaigns", draft)).json["id"]
    await api.post(f"/v1/campaigns/{campaign}/send")
    while (await api.get(f"/v1/campaigns/{campaign}")).json["state"] != "sent":
        await api.settled()
        await api.app.services.campaigns.run_once()
    assert [to for to, _ in mailserver.mails] == ["bob@example.com"]
    assert (await api.call("DELETE", "/v1/suppressions/ada@example.com")).status == 204
    assert (await api.get("/v1/suppressions")).json["data"] == []


async def test_an_erasure_goes_on_in_steps_and_after_a_break(site: tuple[Client, str | Path]) -> None:
    api, url = site
    await api.post("/v1/contacts", {"email": "ada@example.com"})
    events = [{"type": "order.paid", "subject": "ada@example.com", "data": {"n": n}} for n in range(1000)]
    for _ in range(2):
        await api.post("/v1/events", events)
    storage = api.app.services.storage
    ada = (await api.get("/v1/contacts/ada@example.com")).json["id"]
    mark = storage.contacts.mark("default", "ada@example.com")
    new = Erasure(
        tenant="default", id="era_a", contact=ada, mark=mark, created_at=START, email="ada@example.com"
    )  # fmt: skip
    left = await storage.erasures.create(new, ["ada@example.com"])
    await storage.erasures.step(left, START)
    await api.publish(subject="ada@example.com")  # comes while it goes on
    await api.app.services.eraser.run_once()
    assert await where(url) == set()
    done = (await api.get("/v1/erasures/era_a")).json
    assert (done["state"], done["events"]) == ("finished", 2002)
    assert (await storage.erasures.step(left, START)) == left, "what is behind is not done twice"
    assert (await api.get("/v1/erasures")).json["data"] == [done]


async def test_erasures_are_of_one_tenant(site: tuple[Client, str | Path]) -> None:
    api, _ = site
    made = (await api.post("/v1/contacts", {"email": "ada@example.com"})).json
    other = await api.with_key(tenant="other")
    await other.post("/v1/contacts", {"email": "ada@example.com", "attributes": {"name": "Ada"}})
    assert (await other.post(f"/v1/contacts/{made['id']}/erase")).status == 404
    done = await erased(api, made["id"])
    assert (await other.get("/v1/contacts/ada@example.com")).json["attributes"] == {"name": "Ada"}
    assert (await other.get(f"/v1/erasures/{done['id']}")).status == 404
    assert (await api.post("/v1/contacts/nobody/erase")).status == 404
    assert (await erased(api, "who.is.no.contact@example.com"))["events"] == 0
    assert (await (await api.with_key("publish")).post("/v1/contacts/x@example.com/erase")).status == 403
