"""Hooks switched off and on: what is told, what is held and missed, and how it is made up for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hookline.clock import ManualClock
from hookline.model import DAY
from support.client import Client
from support.receiver import Receiver


@pytest.fixture
def api(either_api: Client) -> Client:
    """Both databases: what is asked here is answered by SQL."""
    return either_api


async def told(api: Client) -> list[str]:
    return [event["type"] for event in (await api.get("/v1/events?type=hook.*")).json["data"]][::-1]


async def replayed(api: Client, wish: Any) -> Any:
    """A replay, finished."""
    reply = await api.post("/v1/replays", wish)
    assert reply.status == 202, reply.body
    await api.app.services.replayer.run_once()
    await api.settled()
    return (await api.get(f"/v1/replays/{reply.json['id']}")).json


async def test_the_whole_story_of_a_receiver_that_failed_for_days(
    timed: tuple[Client, ManualClock], receiver: Receiver
) -> None:
    api, clock = timed
    made = await api.hook(receiver.url, retry={"schedule": ["30d"]})
    path = f"/v1/hooks/{made['id']}"
    receiver.answers = [500] * 50
    for place in range(50):
        clock.advance(5 * DAY if place == 49 else 0)
        await api.publish()
        await api.settled()
    shown = (await api.get(path)).json
    assert not shown["enabled"] and "50" in shown["disabled_reason"]
    assert await told(api) == ["hook.disabled"]
    missed = [await api.publish() for _ in range(3)]
    trace = (await api.get(f"/v1/events/{missed[0]}")).json["trace"]
    assert [(one["verdict"], one["detail"]) for one in trace] == [("disabled", shown["disabled_reason"])]
    clock.advance(DAY)

    on = (await api.patch(path, {"enabled": True})).json
    wish = on["missed"]["replay"]
    assert on["missed"] == {"held": 50, "disabled": 3, "replay": wish}
    dry = (await api.post("/v1/replays", wish | {"dry_run": True})).json
    assert dry["total"] == 53
    before = len(receiver.got)
    done = await replayed(api, wish)
    assert (done["state"], done["done"], len(receiver.got) - before) == ("finished", 53, 53)
    assert len({got.headers["webhook-id"] for got in receiver.got[before:]}) == 53, "each once"
    assert (await api.post("/v1/replays", wish | {"dry_run": True})).json["total"] == 0
    assert await told(api) == ["hook.disabled", "hook.enabled"]


async def test_what_was_missed_before_is_not_offered_again(api: Client) -> None:
    made = await api.hook("https://a.example/")
    path = f"/v1/hooks/{made['id']}"
    assert "missed" not in (await api.patch(path, {"name": "x"})).json
    assert "missed" not in (await api.patch(path, {"enabled": False})).json
    await api.publish()
    on = (await api.patch(path, {"enabled": True})).json
    assert (on["missed"]["held"], on["missed"]["disabled"]) == (0, 1)
    assert "missed" not in (await api.patch(path, {"enabled": True})).json
    begun = await api.hook("https://a.example/", enabled=False, on=["basket.*"])
    on = (await api.patch(f"/v1/hooks/{begun['id']}", {"enabled": True})).json
    assert on["missed"] == {"held": 0, "disabled": 0}


async def test_a_hook_that_began_switched_off_has_missed_what_came(api: Client) -> None:
    made = await api.hook("https://a.example/", enabled=False)
    await api.publish()
    on = (await api.patch(f"/v1/hooks/{made['id']}", {"enabled": True})).json
    assert on["missed"]["disabled"] == 1


async def test_each_switch_is_told_once_however_many_ask(api: Client) -> None:
    made = await api.hook("https://a.example/")
    path = f"/v1/hooks/{made['id']}"
    for on in (False, True, False):
        replies = await asyncio.gather(*(api.patch(path, {"enabled": on}) for _ in range(5)))
        assert {reply.status for reply in replies} == {200}
    assert await told(api) == ["hook.disabled", "hook.enabled", "hook.disabled"]


async def test_hooks_on_hooks_hear_of_it(api: Client, receiver: Receiver) -> None:
    watched = await api.hook("https://a.example/", on=["order.paid"])
    await api.hook(receiver.url, on=["hook.*"])
    await api.patch(f"/v1/hooks/{watched['id']}", {"enabled": False})
    await api.patch(f"/v1/hooks/{watched['id']}", {"enabled": True})
    await api.settled()
    assert sorted(got.json["type"] for got in receiver.got) == ["hook.disabled", "hook.enabled"]


async def test_a_hook_may_hear_of_itself(api: Client, receiver: Receiver) -> None:
    """It does not hear that it is switched off, and what it owes of its own switching is held with the rest."""
    made = await api.hook(receiver.url, on=["hook.*"])
    path = f"/v1/hooks/{made['id']}"
    await api.patch(path, {"enabled": False})
    await api.settled()
    assert receiver.got == []
    assert (await api.patch(path, {"enabled": True})).status == 200
