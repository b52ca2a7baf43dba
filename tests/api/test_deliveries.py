"""`/v1/deliveries`: what was owed, and how each attempt went."""

from __future__ import annotations

import pytest

from support.client import Client
from support.receiver import Receiver


@pytest.fixture
def api(either_api: Client) -> Client:
    """Both databases: what is asked here is answered by SQL."""
    return either_api


async def test_a_delivery_with_its_attempts(api: Client, receiver: Receiver) -> None:
    receiver.answers = [500, 204]
    receiver.body = b"sorry"
    retry = {"schedule": ["1ms"]}
    hook = await api.hook(receiver.url, retry=retry)
    event = await api.publish(data={"total": 5})
    while (await api.get("/v1/deliveries")).json["data"][0]["state"] != "succeeded":
        await api.settled()
    [listed] = (await api.get("/v1/deliveries")).json["data"]
    shown = (await api.get(f"/v1/deliveries/{listed['id']}")).json
    attempts = shown.pop("attempts")
    assert shown.pop("events") == [event]
    assert shown == listed
    wanted = {"kind": "webhook", "state": "succeeded", "hook": hook["id"], "event": event, "attempt_count": 2}
    assert wanted.items() <= shown.items()
    assert [(one["number"], one["outcome"], one["error"], one["status"]) for one in attempts] == [
        (1, "retry", "http_status", 500),
        (2, "ok", None, 204),
    ]
    assert attempts[0]["response"]["body"] == "sorry"
    assert attempts[0]["request"]["headers"]["webhook-id"] == event
    assert '"total": 5' in attempts[0]["request"]["body"]
    assert attempts[0]["started_at"] <= attempts[0]["finished_at"]


async def test_filters(api: Client, receiver: Receiver) -> None:
    good, bad = await api.hook(receiver.url), await api.hook("http://127.0.0.1:9/")
    first, second = await api.publish(), await api.publish()
    await api.settled()

    async def found(query: str) -> set[tuple[str, str]]:
        rows = (await api.get(f"/v1/deliveries?{query}")).json["data"]
        return {(row["hook"], row["event"]) for row in rows}

    everything = {(hook["id"], event) for hook in (good, bad) for event in (first, second)}
    assert await found("") == everything
    assert await found(f"hook={good['id']}") == {(good["id"], first), (good["id"], second)}
    assert await found(f"event={first}") == {(good["id"], first), (bad["id"], first)}
    assert await found("state=succeeded") == {(good["id"], first), (good["id"], second)}
    assert await found(f"state=succeeded&event={second}") == {(good["id"], second)}
    assert await found("campaign=cmp_none") == set()
    assert await found("since=1h") == everything
    assert await found("until=1h") == set()
    page = (await api.get("/v1/deliveries?limit=3")).json
    rest = (await api.get(f"/v1/deliveries?limit=3&after={page['next']}")).json
    assert (len(page["data"]), len(rest["data"]), rest["next"]) == (3, 1, None)


@pytest.mark.parametrize(
    ("query", "name"), [("state=lost", "state"), ("standing=held", "standing"), ("hok=x", "hok")]
)
async def test_wrong_parameters_are_named(api: Client, query: str, name: str) -> None:
    reply = await api.get(f"/v1/deliveries?{query}")
    assert (reply.status, list(reply.faults)) == (422, [name])


async def test_what_is_not_there(api: Client) -> None:
    reply = await api.get("/v1/deliveries/dlv_none")
    assert (reply.status, reply.json["detail"]) == (404, "there is no delivery dlv_none")
