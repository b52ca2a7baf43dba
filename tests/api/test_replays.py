"""`/v1/replays` and the manual retry: what they answer, and that they do what they say."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Client
from support.receiver import Receiver


@pytest.fixture
def api(either_api: Client) -> Client:
    """Both databases: what is asked here is answered by SQL."""
    return either_api


async def failed(api: Client, receiver: Receiver) -> tuple[str, list[str]]:
    """A hook with two deliveries that failed for good; its id and theirs."""
    receiver.answers = [500, 500]
    hook = await api.hook(receiver.url, on=["order.*"], retry={"schedule": []})
    for _ in range(2):
        await api.publish("order.paid")
        await api.app.services.dispatcher.idle()
    found = (await api.get(f"/v1/deliveries?hook={hook['id']}&state=failed")).json["data"]
    assert len(found) == 2
    return hook["id"], [delivery["id"] for delivery in found]


async def work(api: Client) -> None:
    await api.app.services.replayer.run_once()
    await api.app.services.dispatcher.idle()


async def test_a_retry_is_one_more_attempt(api: Client, receiver: Receiver) -> None:
    _, (newer, _) = await failed(api, receiver)
    reply = await api.post(f"/v1/deliveries/{newer}/retry")
    assert (reply.status, reply.json["id"]) == (202, newer)
    await api.app.services.dispatcher.idle()
    shown = (await api.get(f"/v1/deliveries/{newer}")).json
    assert (shown["state"], [a["outcome"] for a in shown["attempts"]]) == ("succeeded", ["retry", "ok"])
    again = await api.post(f"/v1/deliveries/{newer}/retry")
    assert again.status == 409 and "replay" in again.json["detail"]


async def test_there_is_no_retry_once_the_hook_is_off_or_deleted(api: Client, receiver: Receiver) -> None:
    """It would be held, or cancelled, and nothing tried."""
    hook, (newer, _) = await failed(api, receiver)
    await api.patch(f"/v1/hooks/{hook}", {"enabled": False})
    off = await api.post(f"/v1/deliveries/{newer}/retry")
    assert off.status == 409 and "switch it on" in off.json["detail"]
    await api.call("DELETE", f"/v1/hooks/{hook}")
    deleted = await api.post(f"/v1/deliveries/{newer}/retry")
    assert deleted.status == 409 and "was deleted" in deleted.json["detail"]
    assert (await api.get(f"/v1/deliveries/{newer}")).json["state"] == "failed"


async def test_a_dry_run_counts_and_a_replay_does_it(api: Client, receiver: Receiver) -> None:
    hook, _ = await failed(api, receiver)
    wish: dict[str, Any] = {"hook": hook, "types": ["order.*"], "since": "1d"}
    dry = await api.post("/v1/replays", wish | {"dry_run": True})
    assert (dry.status, dry.json["total"], dry.json["id"]) == (200, 2, None)
    assert (await api.get("/v1/replays")).json["data"] == []
    begun = await api.post("/v1/replays", wish)
    assert (begun.status, begun.json["total"]) == (202, 2)
    await work(api)
    after = (await api.get(f"/v1/replays/{begun.json['id']}")).json
    assert (after["state"], after["done"], len(receiver.got)) == ("finished", 2, 4)
    assert [one["id"] for one in (await api.get("/v1/replays")).json["data"]] == [begun.json["id"]]
    assert (await api.call("DELETE", f"/v1/replays/{begun.json['id']}")).status == 409


async def test_what_cannot_be_replayed_is_refused_by_name(api: Client, receiver: Receiver) -> None:
    hook, _ = await failed(api, receiver)
    for body, pointer in (
        ({"hook": "hook_nope"}, "#/hook"),
        ({"hook": hook, "types": ["email.opend"]}, "#/types/0"),
        ({"hook": hook, "since": "yesterday"}, "#/since"),
        ({"hook": hook, "since": "1d", "until": "2d"}, "#/until"),
        ({"hook": hook, "states": ["lost"]}, "#/states/0"),
        ({"hook": hook, "states": []}, "#/states"),
        ({"hook": hook, "speed": 3}, "#/speed"),
    ):
        reply = await api.post("/v1/replays", body)
        assert (reply.status, list(reply.faults)) == (422, [pointer]), reply.body
    assert (await api.get("/v1/replays")).json["data"] == []


async def test_another_tenants_are_not_there(api: Client, receiver: Receiver) -> None:
    hook, (delivery, _) = await failed(api, receiver)
    replay = (await api.post("/v1/replays", {"hook": hook})).json["id"]
    other = await api.with_key(tenant="other")
    assert (await other.post(f"/v1/deliveries/{delivery}/retry")).status == 404
    assert (await other.post("/v1/replays", {"hook": hook})).status == 422
    assert (await other.get(f"/v1/replays/{replay}")).status == 404
    assert (await other.call("DELETE", f"/v1/replays/{replay}")).status == 404
    assert (await (await api.with_key("publish")).post("/v1/replays", {"hook": hook})).status == 403
