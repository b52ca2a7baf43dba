"""Files of contacts: read in a stream, the same file twice changes nothing, and each bad line is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from support.client import Client

CSV = {"content-type": "text/csv"}
NDJSON = {"content-type": "application/x-ndjson"}


async def take(api: Client, body: Any, query: str = "", headers: dict[str, str] = CSV) -> Any:
    """The report of an import that goes to the file's end."""
    raw = body.encode() if isinstance(body, str) else body
    reply = await api.post("/v1/contacts/import" + query, raw, headers=headers)
    assert reply.status == 200, reply.body
    assert reply.headers["hookline-import"] == reply.json["id"]
    return reply.json


def counts(report: Any) -> tuple[int, ...]:
    return tuple(report[name] for name in ("read", "created", "updated", "unchanged", "kept_out", "bad"))


async def contact(api: Client, name: str) -> Any:
    reply = await api.get(f"/v1/contacts/{name}")
    assert reply.status == 200, reply.body
    return reply.json


async def told(api: Client, kind: str) -> list[Any]:
    return [one["data"] for one in (await api.get(f"/v1/events?type={kind}&limit=250")).json["data"]][::-1]


async def the_list(api: Client, name: str = "news") -> str:
    return str((await api.post("/v1/lists", {"name": name})).json["id"])


async def test_a_file_becomes_contacts_and_the_same_file_changes_nothing(either_api: Client) -> None:
    api = either_api
    news = await the_list(api)
    await api.post("/v1/contacts", {"email": "ada@example.com", "attributes": {"city": "Paris", "age": 1}})
    file = (
        "\ufeffEmail;phone;Tags;first_name;balance:number;vip:boolean;attributes.home:json\r\n"
        "Ada@Example.com;+45 20 12 34 56;vip,new;Ada;1000.10;yes;\"{\"\"zip\"\": \"\"01234\"\"}\"\r\n"
        "bob@example.com;;;\"Bob; \"\"Jr\"\"\nthe second\";;;\r\n"
        ";;;;;;\r\n"
    )  # fmt: skip
    report = await take(api, file, "?list=news")
    assert counts(report) == (2, 1, 1, 0, 0, 0)
    assert (report["state"], report["list"], report["bytes"]) == ("finished", news, len(file.encode()) - 3)
    ada, bob = await contact(api, "ada@example.com"), await contact(api, "bob@example.com")
    assert (ada["phone"], ada["tags"]) == ("+4520123456", ["vip", "new"])
    assert ada["attributes"] == {
        "city": "Paris", "age": 1, "first_name": "Ada", "balance": 1000.1, "vip": True, "home": {"zip": "01234"},
    }  # fmt: skip
    assert bob["attributes"] == {"first_name": 'Bob; "Jr"\nthe second'}
    assert [one["lists"] for one in (ada, bob)] == [[{"id": news, "status": "subscribed"}]] * 2
    [created] = [one for one in await told(api, "contact.created") if "import" in one]
    assert (created["email"], created["import"]) == ("bob@example.com", report["id"])
    [updated] = await told(api, "contact.updated")
    assert set(updated["changed"]) == {"phone", "tags", "first_name", "balance", "vip", "home"}
    assert [one["list"] for one in await told(api, "contact.subscribed")] == [news, news]
    before = await api.stored()
    again = await take(api, file, "?list=news")
    assert counts(again) == (2, 0, 0, 2, 0, 0)
    assert await api.stored() == before
    assert [await contact(api, one["id"]) for one in (ada, bob)] == [ada, bob]


async def test_twenty_thousand_rows_while_others_are_served(either_api: Client) -> None:
    api = either_api
    await the_list(api)
    size = 20_000

    async def file() -> AsyncIterator[bytes]:
        yield b"email,name,score:number\n"
        for start in range(0, size, 1000):
            yield b"".join(b"p%d@example.com,%d,%d.5\n" % (n, n, n) for n in range(start, start + 1000))

    seen: list[Any] = []

    async def watch() -> None:
        while not (seen and seen[-1]["state"] == "finished"):
            found = (await api.get("/v1/imports?limit=1")).json["data"]
            seen.extend(found)

    report, _ = await asyncio.gather(take(api, file(), "?list=news&events=false"), watch())
    assert counts(report) == (size, size, 0, 0, 0, 0)
    lines = [one["read"] for one in seen]
    assert lines == sorted(lines) and len(set(lines)) > 3, "progress is seen while it runs"
    assert (await api.get("/v1/lists/news")).json["subscribed"] == size
    assert (await contact(api, "p19999@example.com"))["attributes"] == {"name": "19999", "score": 19999.5}
    assert (await api.stored())[0] == 0, "no events were asked for"


async def test_lines_of_json_keep_their_types(api: Client) -> None:
    await the_list(api)
    file = (
        b'{"email": "ada@example.com", "attributes": {"balance": 1000.10, "vip": true, "n": 12345678901234567890}}\n'
        b"\n"
        b'{"email": "bob@example.com", "tags": ["a;b"], "lists": ["news"], "status": "unsubscribed"}'
    )
    report = await take(api, file, headers=NDJSON)
    assert counts(report) == (2, 2, 0, 0, 0, 0)
    shown = await api.get("/v1/contacts/ada@example.com")
    assert b'"balance":1000.10' in shown.body and b'"n":12345678901234567890' in shown.body
    bob = await contact(api, "bob@example.com")
    assert (bob["tags"], bob["status"], len(bob["lists"])) == (["a;b"], "unsubscribed", 1)


async def test_every_bad_line_is_named_and_the_others_are_taken(either_api: Client) -> None:
    file = "\n".join(
        [
            "email,phone,tags,status,lists,age:number,ok:boolean,data:json",
            "good@example.com,,,,,1,true,[1]",
            "no address,,,,,,,",
            ",+4520123456,,,,,,",
            "a@example.com,123,,,,,,",
            f"b@example.com,,{'x' * 101},,,,,",
            "c@example.com,,,asleep,,,,",
            "d@example.com,,,,nowhere,,,",
            'e@example.com,,,,,"1,5",,',
            "f@example.com,,,,,,perhaps,",
            "g@example.com,,,,,,,{",
            "h@example.com,,,",
            "i@example.com,,,,,,,,more",
            '"j@example.com,,,,,,,',
            'k@example.com,"a"b,,,,,,',
            "l@example.com,\0,,,,,,",
            f"m@example.com,,,,,,,\"{'x' * 300_000}\"",
            "Good@Example.com,,late,,,2,,",
        ]
    )  # fmt: skip
    report = await take(either_api, file)
    assert counts(report) == (17, 1, 1, 0, 0, 15)
    assert [(one["line"], one["field"]) for one in report["errors"]] == [
        (3, "email"), (4, "email"), (5, "phone"), (6, "tags/0"), (7, "status"), (8, "lists"),
        (9, "attributes/age"), (10, "attributes/ok"), (11, "attributes/data"), (12, ""), (13, ""), (14, ""),
        (15, ""), (16, "phone"), (17, ""),
    ]  # fmt: skip
    assert all(one["detail"] for one in report["errors"])
    assert (await either_api.get(f"/v1/imports/{report['id']}")).json == report
    found = (await either_api.get("/v1/contacts")).json["data"]
    assert [(one["email"], one["tags"], one["attributes"]["age"]) for one in found] == [
        ("good@example.com", ["late"], 2)
    ]


async def test_bad_lines_of_json_are_named(api: Client) -> None:
    lines = [
        b'{"email": "ada@example.com"}', b"{", b"[]", b'{"email": "x"}', b'{"email": "a@example.com", "x": 1}',
        b'{"email": "a@example.com", "tags": ["a", 1]}', b'{"email": "\xff@example.com"}', b'"\\ud800"',
        b'{"email": "a@example.com", "attributes": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
        b'{"email": "a@example.com", "attributes": {"a": "' + b"x" * 70_000 + b'"}}',
    ]  # fmt: skip
    report = await take(api, b"\n".join(lines), headers=NDJSON)
    assert counts(report) == (10, 1, 0, 0, 0, 9)
    assert [(one["line"], one["field"]) for one in report["errors"]] == [
        (2, ""), (3, ""), (4, "email"), (5, "x"), (6, "tags/1"), (7, ""), (8, ""), (9, ""), (10, "attributes"),
    ]  # fmt: skip


async def test_a_thousand_errors_are_kept_and_all_are_counted(api: Client) -> None:
    report = await take(api, "email\n" + "x\n" * 12_345 + "ada@example.com\n")
    assert counts(report) == (12_346, 1, 0, 0, 0, 12_345)
    assert [one["line"] for one in report["errors"]] == list(range(2, 1002))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("name,city\nAda,Paris\n", "line 1: no column is named email"),
        ("ada@example.com,Ada\n", "line 1: no column is named email"),
        ("email,name,name\n", "line 1: two columns are named 'name'"),
        ("email,name,attributes.name\n", "two columns"),
        ("email,e-mail\n", "two columns"),
        (",".join(["email", *(f"c{n}" for n in range(600))]), "at most 500 columns"),
        (f"email,{'x' * 101}", "1 to 100 characters"),
        ('email,"name\n' + "a@example.com,b\n" * 10, "line 1: a quote is opened"),
        ("x" * 10_000_000, "line 1: the line is longer than"),
        (b"PK\x03\x04 and so on", "Excel"),
        (b"\x1f\x8b and so on", "gzip"),
        ("email\nada@example.com".encode("utf-32"), "UTF-32"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_as_a_whole(api: Client, body: Any, said: str) -> None:
    raw = body.encode() if isinstance(body, str) else body
    reply = await api.post("/v1/contacts/import", raw, headers=CSV)
    assert reply.status == 422 and said in reply.json["detail"], reply.body
    assert (await api.get("/v1/imports")).json["data"] == []
    reply = await api.post("/v1/contacts/import", b' [{"email": "ada@example.com"}]', headers=NDJSON)
    assert reply.status == 422 and "not an array" in reply.json["detail"]


@pytest.mark.parametrize(
    ("charset", "header"),
    [
        ("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", ""), ("utf-16-be", ""), ("cp1252", ""),
        ("utf-16-be", "utf-16be"), ("iso-8859-1", "ISO-8859-1"), ("iso-8859-5", "iso-8859-5"), ("koi8-r", "koi8-r"),
    ],
)  # fmt: skip
async def test_charsets_are_found_out_or_told(api: Client, charset: str, header: str) -> None:
    name = "Жук" if charset in ("iso-8859-5", "koi8-r") else "Åse Grønbæk"
    file = f'email,name\nada@example.com,{name}\nbob@example.com,"x, {name}"\n'.encode(charset)
    headers = CSV if not header else {"content-type": f"text/csv; charset={header}"}

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(file), 3):
            yield file[at : at + 3]

    report = await take(api, pieces(), headers=headers)
    assert counts(report) == (2, 2, 0, 0, 0, 0)
    assert (await contact(api, "ada@example.com"))["attributes"] == {"name": name}
    assert (await contact(api, "bob@example.com"))["attributes"] == {"name": "x, " + name}


async def test_what_is_not_of_the_charset_is_a_bad_line(api: Client) -> None:
    file = "email,name\na@example.com,Åse\n".encode() + b"b@example.com,\xc5se\nc@example.com,ok\n"
    report = await take(api, file)
    assert [(one["line"], one["field"]) for one in report["errors"]] == [(3, "attributes/name")]
    assert "UTF-8" in report["errors"][0]["detail"]
    report = await take(api, file, "?charset=utf-8")
    assert counts(report) == (3, 0, 0, 2, 0, 1)


async def test_who_has_left_is_not_put_back_unless_it_is_asked_for(either_api: Client) -> None:
    api = either_api
    news = await the_list(api)
    emails = ("left", "all", "gone", "complained", "fresh")
    await take(api, "email\n" + "".join(f"{name}@example.com\n" for name in emails[:2]), "?list=news")
    report = await take(api, "email,unsubscribed_lists\nleft@example.com,news\n")
    assert counts(report) == (1, 0, 1, 0, 0, 0)
    assert [one["list"] for one in await told(api, "contact.unsubscribed")] == [news]
    await api.patch("/v1/contacts/all@example.com", {"status": "unsubscribed"})
    for name, reason in (("gone", "unsubscribe"), ("complained", "complaint")):
        await api.post("/v1/suppressions", {"address": f"{name}@example.com", "reason": reason})
    file = "email,status\n" + "".join(f"{name}@example.com,active\n" for name in emails)
    report = await take(api, file, "?list=news")
    assert counts(report) == (5, 3, 0, 2, 4, 0)
    assert (await api.get("/v1/lists/news")).json["subscribed"] == 2  # `all` never left the list itself

    async def status(name: str) -> tuple[str, list[str]]:
        shown = await contact(api, f"{name}@example.com")
        return shown["status"], [one["status"] for one in shown["lists"]]

    assert [await status(name) for name in emails] == [
        ("active", ["unsubscribed"]), ("unsubscribed", ["subscribed"]), ("active", []), ("active", []),
        ("active", ["subscribed"]),
    ]  # fmt: skip
    assert counts(await take(api, file, "?list=news")) == (5, 0, 0, 5, 4, 0)
    report = await take(api, file, "?list=news&resubscribe=true")
    assert counts(report) == (5, 0, 3, 2, 1, 0)
    assert [await status(name) for name in emails] == [
        ("active", ["subscribed"]), ("active", ["subscribed"]), ("active", ["subscribed"]), ("active", []),
        ("active", ["subscribed"]),
    ]  # fmt: skip
    left = (await api.get("/v1/suppressions")).json["data"]
    assert [one["address"] for one in left] == ["complained@example.com"]
    assert counts(await take(api, file, "?list=news&resubscribe=true")) == (5, 0, 0, 5, 1, 0)


async def test_an_address_that_comes_twice_is_one_contact(either_api: Client) -> None:
    file = "email,a,b\nada@example.com,1,\nADA@example.com,,2\nada@example.com,1,2\n"
    assert counts(await take(either_api, file)) == (3, 1, 1, 1, 0, 0)
    assert (await contact(either_api, "ada@example.com"))["attributes"] == {"a": "1", "b": "2"}
    assert len(await told(either_api, "contact.created")) == 1


async def test_the_same_file_changes_nothing_also_where_an_address_has_several_lines(api: Client) -> None:
    file = "email,city\nada@example.com,Paris\nada@example.com,Rome\n"
    assert counts(await take(api, file)) == (2, 1, 1, 0, 0, 0)
    before = await contact(api, "ada@example.com")
    assert counts(await take(api, file)) == (2, 0, 0, 2, 0, 0)
    assert await contact(api, "ada@example.com") == before
    assert await told(api, "contact.updated") == []


async def test_a_later_line_that_puts_somebody_back_counts_more_than_an_earlier_one(api: Client) -> None:
    await the_list(api)
    await take(api, "email,lists\nada@example.com,news\n")
    file = "email,lists,unsubscribed_lists\nada@example.com,,news\nada@example.com,news,\n"
    for query, status in (("?resubscribe=true", "subscribed"), ("", "unsubscribed")):
        await take(api, file, query)
        assert [one["status"] for one in (await contact(api, "ada@example.com"))["lists"]] == [status], query


async def newest(api: Client, enough: Callable[[Any], bool]) -> Any:
    """The newest import, as soon as it is so far."""
    while True:
        for found in (await api.get("/v1/imports?limit=1")).json["data"]:
            if enough(found):
                return found
        await asyncio.sleep(0.01)


async def break_off(api: Client, file: bytes, size: int) -> None:
    """Send the first ``size`` bytes of a file, and break the connection while they are read."""

    async def pieces() -> AsyncIterator[bytes]:
        yield file[:size]
        await newest(api, lambda job: job["read"] >= 100)
        raise ConnectionResetError

    with pytest.raises((aiohttp.ClientError, ConnectionResetError)):
        await api.post("/v1/contacts/import", pieces(), headers=CSV)


async def test_a_broken_import_goes_on_where_it_was(either_api: Client) -> None:
    api = either_api
    rows = [f"p{n}@example.com,{n}" if n % 50 else "no address,0" for n in range(6000)]
    file = ("email,n\n" + "\n".join(rows)).encode()
    await break_off(api, file, 80_000)
    job = await newest(api, lambda job: job["state"] == "stopped")
    assert 100 <= job["read"] < 6000 and job["read"] == job["created"] + job["bad"]
    again = f"/v1/contacts/import?resume={job['id']}"
    for other in (file.upper(), file[:30_000]):
        reply = await api.post(again, other, headers=CSV)
        assert reply.status == 409 and "read" in reply.json["detail"]
        assert reply.headers["hookline-import"] == job["id"]
    report = await take(api, file, f"?resume={job['id']}")
    assert counts(report) == (6000, 5880, 0, 0, 0, 120)
    assert [one["line"] for one in report["errors"]] == [n + 2 for n in range(0, 6000, 50)]
    assert report["bytes"] == len(file)
    done = await api.post(f"/v1/contacts/import?resume={job['id']}", file, headers=CSV)
    assert done.status == 409 and "finished" in done.json["detail"]


async def test_hooks_see_what_an_import_changes(api: Client, receiver: Any) -> None:
    await api.hook(receiver.url, on=["contact.created"])
    await take(api, "email\nada@example.com\nbob@example.com\n")
    await api.settled()
    assert {json.loads(got.body)["data"]["email"] for got in receiver.got} == {
        "ada@example.com",
        "bob@example.com",
    }


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?list=nowhere", CSV, 422), ("?format=xml", CSV, 422), ("?charset=utf-7", CSV, 422), ("?types=x", CSV, 422),
        ("?types=x:number", CSV, 422), ("?lits=news", CSV, 422), ("?resume=imp_x", CSV, 404),
        ("", {"content-type": "application/json"}, 415), ("", {"content-type": "text/csv; charset=ebcdic"}, 415),
        ("", {"content-type": "text/csv", "content-encoding": "gzip"}, 415),
    ],
)  # fmt: skip
async def test_bad_questions_are_refused(
    api: Client, query: str, headers: dict[str, str], status: int
) -> None:
    reply = await api.post("/v1/contacts/import" + query, b"email\nada@example.com\n", headers=headers)
    assert reply.status == status, reply.body
    assert (await api.get("/v1/contacts")).json["data"] == []


async def test_imports_are_of_one_tenant_and_need_a_key_that_manages(api: Client) -> None:
    report = await take(api, "email\nada@example.com\n")
    other = await api.with_key(tenant="other")
    assert (await other.get("/v1/imports")).json["data"] == []
    assert (await other.get(f"/v1/imports/{report['id']}")).status == 404
    reader = await api.with_key("publish")
    assert (await reader.post("/v1/contacts/import", b"email\n", headers=CSV)).status == 403
    nobody = Client(api.session, api.url, api.app, "hl_nobody")
    assert (await nobody.post("/v1/contacts/import", b"email\n" * 100_000, headers=CSV)).status == 401
