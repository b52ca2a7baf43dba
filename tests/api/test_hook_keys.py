"""What webhooks are signed with: brought, rotated with a grace, and Ed25519 on wish."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from hookline.clock import ManualClock
from hookline.model import DAY, HOUR
from hookline.rules import signing
from hookline.rules.times import format_time
from hookline.settings import Settings
from support.client import Client, client_of
from support.receiver import Got, Receiver

OWN = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def versions(got: Got) -> list[str]:
    return [one.partition(",")[0] for one in got.headers["webhook-signature"].split(" ")]


def verified_by(got: Got, key: str) -> bool:
    try:
        signing.verify(key, got.headers, got.body, float(got.headers["webhook-timestamp"]))
    except signing.SignatureError:
        return False
    return True


async def arrived(api: Client, receiver: Receiver) -> Got:
    await api.publish()
    await api.settled()
    return receiver.got[-1]


async def rotate(api: Client, hook: str, **wish: Any) -> Any:
    reply = await api.post(f"/v1/hooks/{hook}/secret/rotate", wish)
    assert reply.status == 200, reply.body
    return reply.json


async def test_both_secrets_sign_during_the_grace_and_one_afterwards(
    timed: tuple[Client, ManualClock], receiver: Receiver
) -> None:
    api, clock = timed
    made = await api.hook(receiver.url)
    hook, first = made["id"], made["secret"]
    keys = await rotate(api, hook, grace="24h")
    second = keys["secret"]
    assert second != first and [old["key"] for old in keys["previous"]] == [first]
    assert (await api.get(f"/v1/hooks/{hook}/secret")).json == keys
    got = await arrived(api, receiver)
    assert versions(got) == ["v1", "v1"]
    assert got.headers["webhook-signature"].split(" ")[0] == signing.sign(
        [second], got.headers["webhook-id"], int(got.headers["webhook-timestamp"]), got.body
    ), "the newest first"
    for secret in (first, second):
        assert Webhook(secret).verify(got.body, got.headers)["id"] == got.headers["webhook-id"]
    clock.advance(23 * HOUR)
    assert (await api.patch(f"/v1/hooks/{hook}", {"name": "patched"})).status == 200
    assert verified_by(await arrived(api, receiver), first), "a patch loses no key"
    clock.advance(HOUR)
    got = await arrived(api, receiver)
    assert (versions(got), verified_by(got, second)) == (["v1"], True)
    assert (await api.get(f"/v1/hooks/{hook}/secret")).json == {"secret": second}
    await api.patch(f"/v1/hooks/{hook}", {"name": "again"})
    stored = await api.app.services.storage.hooks.get("default", hook)
    assert stored is not None and [key.text for key in stored.keys] == [second], (
        "nothing is kept of the old one"
    )


async def test_what_nothing_is_said_of_is_as_usual_also_without_a_body(
    timed: tuple[Client, ManualClock], receiver: Receiver
) -> None:
    api, clock = timed
    hook = (await api.hook(receiver.url))["id"]
    reply = await api.post(f"/v1/hooks/{hook}/secret/rotate")
    assert reply.status == 200 and reply.json["previous"][0]["until"] == format_time(clock.now() + DAY)
    assert (await api.post(f"/v1/hooks/{hook}/test")).json["ok"]


async def test_without_a_grace_the_old_secret_is_out_at_once(api: Client, receiver: Receiver) -> None:
    made = await api.hook(receiver.url)
    keys = await rotate(api, made["id"], grace="0s", secret=OWN)
    assert keys == {"secret": OWN}
    got = await arrived(api, receiver)
    assert (versions(got), verified_by(got, OWN)) == (["v1"], True)


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"grace": "31d"}, "#/grace"),
        ({"grace": "30d1s"}, "#/grace"),
        ({"grace": "-1s"}, "#/grace"),
        ({"grace": "a while"}, "#/grace"),
        ({"grace": 5}, "#/grace"),
        ({"secret": "whsec_short"}, "#/secret"),
        ({"secret": "s3cret"}, "#/secret"),
        ({"secret": "whsk_" + base64.b64encode(bytes(32)).decode()}, "#/secret"),
        ({"secrte": OWN}, "#/secrte"),
    ],
)
async def test_a_bad_wish_changes_nothing(api: Client, wish: dict[str, Any], pointer: str) -> None:
    made = await api.hook()
    reply = await api.post(f"/v1/hooks/{made['id']}/secret/rotate", wish)
    assert (reply.status, list(reply.faults)) == (422, [pointer])
    assert (await api.get(f"/v1/hooks/{made['id']}/secret")).json == {"secret": made["secret"]}


async def test_the_same_secret_is_no_rotation(api: Client) -> None:
    made = await api.hook(secret=OWN)
    reply = await api.post(f"/v1/hooks/{made['id']}/secret/rotate", {"secret": OWN})
    assert list(reply.faults) == ["#/secret"] and OWN not in reply.body.decode()


async def test_so_many_secrets_sign_and_no_more(api: Client) -> None:
    made = await api.hook()
    for _ in range(signing.MOST_KEYS - 1):
        await rotate(api, made["id"])
    refused = await api.post(f"/v1/hooks/{made['id']}/secret/rotate", {})
    assert refused.status == 409 and "0s" in refused.json["detail"]
    assert "previous" not in await rotate(api, made["id"], grace="0s")


async def test_who_may_rotate_what(api: Client) -> None:
    made = await api.hook()
    slack = await api.hook(do={"kind": "slack", "url": "https://slack.example/services/a"})
    path = f"/v1/hooks/{made['id']}/secret/rotate"
    assert (await (await api.with_key("publish")).post(path, {})).status == 403
    assert (await (await api.with_key(tenant="other")).post(path, {})).status == 404
    assert (await api.post(f"/v1/hooks/{slack['id']}/secret/rotate", {})).status == 409
    assert (await api.post("/v1/hooks/hook_x/secret/rotate", {})).status == 404


async def test_ed25519_beside_the_secret_and_alone(api: Client, receiver: Receiver) -> None:
    do = {"kind": "webhook", "url": receiver.url, "signatures": ["v1", "v1a"]}
    made = await api.hook(do=do)
    public = made["public_key"]
    assert len(base64.b64decode(public.removeprefix("whpk_"), validate=True)) == 32
    assert "public_key" not in (await api.get(f"/v1/hooks/{made['id']}")).json
    keys = (await api.get(f"/v1/hooks/{made['id']}/secret")).json
    assert keys == {"secret": made["secret"], "public_key": public}
    got = await arrived(api, receiver)
    assert versions(got) == ["v1", "v1a"]
    assert verified_by(got, made["secret"]) and verified_by(got, public)
    assert Webhook(made["secret"]).verify(got.body, got.headers), (
        "a library that knows v1 alone is not confused"
    )
    await api.patch(f"/v1/hooks/{made['id']}", {"do": {"signatures": ["v1a"]}})
    got = await arrived(api, receiver)
    assert (versions(got), verified_by(got, public)) == (["v1a"], True)


async def test_a_patch_asks_for_ed25519_and_rotating_changes_both(api: Client, receiver: Receiver) -> None:
    made = await api.hook(receiver.url)
    path = f"/v1/hooks/{made['id']}"
    assert (await api.patch(path, {"do": {"signatures": ["v1", "v1a"]}})).status == 200
    before = (await api.get(path + "/secret")).json
    assert before["secret"] == made["secret"]
    after = await rotate(api, made["id"], grace="1h")
    assert after["public_key"] != before["public_key"] and after["secret"] != before["secret"]
    assert {old["key"] for old in after["previous"]} == {before["public_key"], before["secret"]}
    got = await arrived(api, receiver)
    assert versions(got) == ["v1", "v1", "v1a", "v1a"]
    for keys in (before, after):
        assert verified_by(got, keys["secret"]) and verified_by(got, keys["public_key"])
    for shown in ("/v1/hooks", path, path + "/secret", "/v1/deliveries"):
        assert b"whsk_" not in (await api.get(shown)).body, "the private half is nobody's business"


async def test_a_secret_that_is_brought_by_a_patch_counts_alone(api: Client, receiver: Receiver) -> None:
    made = await api.hook(receiver.url)
    await rotate(api, made["id"], grace="1h")
    await api.patch(f"/v1/hooks/{made['id']}", {"secret": OWN})
    assert (await api.get(f"/v1/hooks/{made['id']}/secret")).json == {"secret": OWN}
    assert versions(await arrived(api, receiver)) == ["v1"]


async def test_keys_outlive_a_restart_and_do_not_lie_in_the_file_in_clear(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), secret_key="00" * 32)
    async with client_of(settings) as api:
        made = await api.hook(do={"kind": "webhook", "url": "https://a.example/", "signatures": ["v1a"]})
        keys = await rotate(api, made["id"], grace="30d")
    async with client_of(settings) as api:
        assert (await api.get(f"/v1/hooks/{made['id']}/secret")).json == keys
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"whsk_" not in raw and keys["secret"].encode() not in raw
