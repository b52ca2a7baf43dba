"""What providers send to a source's address, from the door to the events; each way of signing once."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hookline.api.errors import ApiError
from hookline.api.receiving import Files, Receiver
from hookline.net.http import Request, Response
from hookline.providers import Incoming, Reply
from support.client import Client
from support.sns import CERTIFICATE, CERTIFICATE_URL, CONFIRMATION, NOW, TOPIC, signed

PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEY = base64.b64encode(
    PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
BOUNCE = {
    "event": "bounce",
    "email": "bob@example.com",
    "timestamp": 1_790_000_000,
    "sg_event_id": "bounce-1",
    "reason": "550 5.1.1 no such user",
    "type": "bounce",
}


async def events(api: Client) -> list[dict[str, Any]]:
    return list(reversed((await api.get("/v1/events")).json["data"]))


def signature(body: bytes, at: int) -> dict[str, Any]:
    given = PRIVATE.sign(str(at).encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "authorization": None,
        "x-twilio-email-event-webhook-signature": base64.b64encode(given).decode(),
        "x-twilio-email-event-webhook-timestamp": str(at),
    }


async def test_a_source_whose_key_comes_later_refuses_until_it_has_it(api: Client) -> None:
    made = (await api.post("/v1/sources", {"kind": "sendgrid", "name": "mail"})).json
    body = json.dumps([BOUNCE]).encode()
    path = f"/in/{made['id']}"
    refused = await api.post(path, body, headers=signature(body, int(time.time())))
    assert refused.status == 401
    assert "no verification_key yet" in refused.json["detail"]
    changed = await api.patch(f"/v1/sources/{made['id']}", {"credentials": {"verification_key": KEY}})
    assert changed.json["credentials"] == {"verification_key": "…"}
    assert changed.json["refused"] == 1
    taken = await api.post(path, body, headers=signature(body, int(time.time())))
    assert (taken.status, taken.json) == (200, {"accepted": 1, "duplicates": 0})
    [event] = await events(api)
    assert (event["type"], event["data"]["reason"], event["data"]["hard"]) == (
        "email.bounced",
        "user_unknown",
        True,
    )
    [entry] = (await api.get("/v1/suppressions")).json["data"]
    assert (entry["address"], entry["reason"]) == ("bob@example.com", "hard_bounce")


async def test_a_replay_an_hour_later_is_a_duplicate_and_what_is_too_old_is_refused(api: Client) -> None:
    source = {
        "kind": "sendgrid",
        "name": "mail",
        "credentials": {"verification_key": KEY, "tolerance": "14d"},
    }
    made = (await api.post("/v1/sources", source)).json
    body = json.dumps([BOUNCE]).encode()
    then = signature(body, int(time.time()) - 3600)
    assert (await api.post(f"/in/{made['id']}", body, headers=then)).json["accepted"] == 1
    assert (await api.post(f"/in/{made['id']}", body, headers=then)).json == {"accepted": 0, "duplicates": 1}
    old = await api.post(f"/in/{made['id']}", body, headers=signature(body, int(time.time()) - 30 * 86_400))
    assert old.status == 401
    assert "s ago" in old.json["detail"]
    assert len(await events(api)) == 1


async def test_bodies_that_take_much_memory_are_refused(api: Client) -> None:
    credentials = {"username": "us", "password": "pw"}
    made = (await api.post("/v1/sources", {"kind": "sendgrid", "name": "m", "credentials": credentials})).json
    headers = {"authorization": "Basic " + base64.b64encode(b"us:pw").decode()}
    for body, words in (
        (b"[" + b"1," * 2_000_000 + b"1]", "too much"),
        (b"[" + b'{"event":"x"},' * 30_000 + b"{}]", "more than 10000 events"),
    ):
        reply = await api.post(f"/in/{made['id']}", body, headers=headers)
        assert reply.status == 400
        assert words in reply.json["detail"]
    assert (await api.post(f"/in/{made['id']}", b" " * 20_000_000, headers=headers)).status == 413
    assert await events(api) == []


async def test_what_a_signature_needs_is_fetched_once_and_trouble_with_it_is_passing(api: Client) -> None:
    source = {"kind": "ses", "name": "mail", "credentials": {"topic_arn": TOPIC}}
    made = (await api.post("/v1/sources", source)).json
    asked: list[str] = []
    answers = [Response(error="dns", detail="the host could not be resolved"), Response(status=403)]

    async def send(request: Request) -> Response:
        asked.append(request.url)
        return answers.pop(0) if answers else Response(status=200, body=b"no certificate")

    receiver = Receiver(api.app.services, Files(send))
    stored = await receiver.find(made["id"])
    told = {
        "Type": "Notification",
        "TopicArn": TOPIC,
        "SigningCertURL": CERTIFICATE_URL,
        "SignatureVersion": "2",
    }
    call = Incoming({}, json.dumps(told).encode(), now=time.time())
    statuses = []
    for _ in range(4):
        with pytest.raises(ApiError) as caught:
            await receiver.receive(stored, call)
        statuses.append(caught.value.status)
    assert statuses == [502, 502, 401, 401]  # only what came is kept
    assert asked == [CERTIFICATE_URL] * 3
    other = json.dumps(told | {"TopicArn": TOPIC + "x"}).encode()
    with pytest.raises(ApiError):
        await receiver.receive(stored, Incoming({}, other))
    assert len(asked) == 3


async def test_a_subscription_is_confirmed_and_says_so_only_then(api: Client) -> None:
    source = {"kind": "ses", "name": "mail", "credentials": {"topic_arn": TOPIC}}
    made = (await api.post("/v1/sources", source)).json
    asked: list[str] = []
    confirmed = [Response(status=500), Response(status=200, body=b"<ConfirmSubscriptionResponse/>")]

    async def send(request: Request) -> Response:
        asked.append(request.url)
        if request.url == CERTIFICATE_URL:
            return Response(status=200, body=CERTIFICATE)
        return confirmed.pop(0)

    receiver = Receiver(api.app.services, Files(send))
    stored = await receiver.find(made["id"])
    call = signed(CONFIRMATION, now=NOW)
    with pytest.raises(ApiError) as caught:
        await receiver.receive(stored, call)
    assert caught.value.status == 502
    assert isinstance(await receiver.receive(stored, call), Reply)
    assert asked == [CERTIFICATE_URL, CONFIRMATION["SubscribeURL"], CONFIRMATION["SubscribeURL"]]


async def test_samples_that_share_an_id_are_as_many_as_they_are(api: Client) -> None:
    credentials = {"username": "us", "password": "pw"}
    made = (
        await api.post("/v1/sources", {"kind": "sparkpost", "name": "mail", "credentials": credentials})
    ).json
    about = {"event_id": "92356927693813856", "rcpt_to": "ada@example.com", "timestamp": "1454442600"}
    body = [
        {"msys": {"message_event": about | {"type": "delivery"}}},
        {"msys": {"track_event": about | {"type": "open"}}},
    ]
    basic = {"authorization": "Basic dXM6cHc="}
    for expected in ({"accepted": 2, "duplicates": 0}, {"accepted": 0, "duplicates": 2}):
        assert (await api.post(f"/in/{made['id']}", body, headers=basic)).json == expected
