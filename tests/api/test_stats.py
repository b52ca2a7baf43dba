"""`/v1/stats`: what was counted, by what it was about and by time."""

from __future__ import annotations

import pytest

from hookline.clock import ManualClock
from hookline.model import DAY, MINUTE
from support.client import Client
from support.mailserver import MailServer
from support.receiver import Receiver


@pytest.fixture
async def counted(timed: tuple[Client, ManualClock]) -> Client:
    """Two events in one hour, and one the day after."""
    api, clock = timed
    for later in (0, MINUTE, DAY):
        clock.advance(later)
        await api.post("/v1/events", {"type": "order.paid", "source": "shop", "data": {}})
    await api.post("/v1/events", {"type": "order.lost", "source": "till", "data": {}})
    return api


async def test_events_are_counted_by_type_and_source_and_time(counted: Client) -> None:
    found = (await counted.get("/v1/stats?by=type")).json
    assert found["data"] == [{"type": "order.lost", "events": 1}, {"type": "order.paid", "events": 3}]
    assert found["definitions"]["events"]
    found = (await counted.get("/v1/stats?by=source&source=shop&resolution=hour")).json
    assert found["data"] == [
        {"source": "shop", "time": "2026-09-21T14:00:00Z", "events": 2},
        {"source": "shop", "time": "2026-09-22T14:00:00Z", "events": 1},
    ]
    found = (await counted.get("/v1/stats?by=type&resolution=day&since=2026-09-22T13:59:00Z")).json
    assert (found["since"], found["until"]) == ("2026-09-22T00:00:00Z", None)
    assert [row["time"] for row in found["data"]] == ["2026-09-22T00:00:00Z"] * 2
    found = (await counted.get("/v1/stats?by=type&type=order.paid&until=2026-09-21T23:01:00Z")).json
    assert (found["until"], found["data"]) == (
        "2026-09-22T00:00:00Z",
        [{"type": "order.paid", "events": 2}],
    )


async def test_deliveries_are_counted_by_hook(api: Client) -> None:
    spec = {"on": ["order.*"], "do": {"kind": "webhook", "url": "http://127.0.0.1:9/"}}
    hook = (await api.post("/v1/hooks", spec)).json["id"]
    for kind in ("order.paid", "user.born", "order.lost"):
        await api.post("/v1/events", {"type": kind, "source": "shop", "data": {}})
    [row] = (await api.get("/v1/stats?by=hook")).json["data"]
    assert (row["hook"], row["deliveries"], row["attempted"], row["open_rate"]) == (hook, 2, 0, None)
    for query in ("", "&since=1d", "&resolution=day"):  # of no message's time
        for row in (await api.get(f"/v1/stats?by=hook&timing=message{query}")).json["data"]:
            assert not [name for name in row if name.startswith("deliveries")]


async def test_how_many_deliveries_of_a_hook_failed(
    timed: tuple[Client, ManualClock], receiver: Receiver
) -> None:
    api, clock = timed
    receiver.answers = [200, 200, 410]
    hook = (await api.hook(receiver.url))["id"]
    for _ in range(3):
        await api.publish()
        await api.settled()

    async def row(query: str = "") -> dict[str, int]:
        found = (await api.get(f"/v1/stats?by=hook&hook={hook}{query}")).json["data"]
        return {name: sum(one[f"deliveries{name}"] for one in found) for name in ("", "_failed")}

    expected = {"": 3, "_failed": 1}
    assert await row() == await row("&resolution=day") == await row("&resolution=hour") == expected
    clock.advance(DAY)
    [failed] = (await api.get("/v1/deliveries?state=failed")).json["data"]
    await api.patch(f"/v1/hooks/{hook}", {"enabled": True})
    assert (await api.post(f"/v1/deliveries/{failed['id']}/retry")).status == 202
    await api.settled()
    assert await row() == {"": 3, "_failed": 0}
    days = (await api.get(f"/v1/stats?by=hook&hook={hook}&resolution=day")).json["data"]
    assert [day["deliveries_failed"] for day in days if day["deliveries"]] == [0]


async def test_what_is_cancelled_after_it_was_put_off_is_pending_no_more(
    mail_api: Client, mailserver: MailServer
) -> None:
    letter = {"to": "ada@example.com", "from": "shop@example.com", "subject": "Hi", "text": "Hi"}
    mailserver.refuse["ada@example.com"] = ["451 4.7.1 later"] * 2
    spec = {"on": ["order.paid"], "do": {"kind": "email", **letter}}
    hook = (await mail_api.post("/v1/hooks", spec)).json["id"]
    await mail_api.post("/v1/events", {"type": "order.paid", "source": "shop", "data": {}})
    await mail_api.post("/v1/messages", letter)
    await mail_api.settled()

    async def figures() -> tuple[int, int]:
        [row] = (await mail_api.get("/v1/stats")).json["data"]
        return row["attempted"], row["pending"]

    assert await figures() == (2, 2)
    assert (await mail_api.call("DELETE", f"/v1/hooks/{hook}")).status == 204
    assert await figures() == (1, 1)
    assert (await mail_api.post("/v1/contacts/ada@example.com/erase")).status == 202
    assert await figures() == (0, 0)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("by=type&timing=message", "timing"),
        ("by=link", "campaign"),
        ("by=campaign&domain=example.com", "domain"),
        ("campaign=cmp_x", "campaign"),
        ("by=domain&campaign=cmp_x&resolution=day", "campaign"),
        ("by=pigeon", "by"),
        ("resolution=week", "resolution"),
        ("since=yesterday", "since"),
        ("sinse=1d", "sinse"),
    ],
)
async def test_what_was_not_counted_so_is_refused(api: Client, query: str, parameter: str) -> None:
    reply = await api.get(f"/v1/stats?{query}")
    assert (reply.status, [fault["parameter"] for fault in reply.json["errors"]]) == (422, [parameter])


async def test_a_word_that_is_none_of_a_parameters_is_told_which_there_are(api: Client) -> None:
    words = {"by=pigeon": "list, source, type; not 'pigeon'", "resolution=week": "one of day, hour, total"}
    for query, told in words.items():
        reply = await api.get(f"/v1/stats?{query}")
        assert told in reply.json["errors"][0]["detail"], reply.json
