"""What Slack sends, signed as "Verifying requests from Slack" has it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import slack

PROVIDER = slack.PROVIDER
# The documented example.
SECRET = {"signing_secret": "8f742231b10e8888abcd99yyyzzz85a5"}
NOW = 1_531_420_618
COMMAND = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def signed(body: bytes, at: int = NOW, headers: Mapping[str, str] | None = None) -> Incoming:
    mac = hmac.digest(SECRET["signing_secret"].encode(), f"v0:{at}:".encode() + body, "sha256").hex()
    given = {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={mac}"}
    return Incoming({**given, **(headers or {})}, body, now=float(NOW))


def test_the_documented_example() -> None:
    call = Incoming(
        {"x-slack-request-timestamp": str(NOW), "x-slack-signature": SIGNATURE, **FORM},
        COMMAND,
        now=NOW + 10.0,
    )
    PROVIDER.verify(call, SECRET)
    assert PROVIDER.answer(call, SECRET) is None
    [event] = PROVIDER.parse(call, SECRET)
    assert (event.type, event.subject) == ("slack.command", "U2CERLKJA")
    assert event.id == "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    assert json.loads(event.raw)["command"] == "/webhook-collect"
    assert json.loads(event.raw)["text"] == ""


def test_a_challenge_is_answered() -> None:
    call = signed(
        b'{"token": "x", "type": "url_verification",'
        b' "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}'
    )
    reply = PROVIDER.answer(call, SECRET)
    assert reply is not None
    assert (reply.body, reply.media_type) == (
        b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",
        "text/plain",
    )
    tried = PROVIDER.answer(signed(b"ssl_check=1&token=x", headers=FORM), SECRET)
    assert tried is not None
    assert tried.body == b""


def test_an_event_and_its_retry() -> None:
    body = json.dumps(
        {
            "type": "event_callback",
            "event": {"type": "app_mention", "user": "U061F7AUR", "text": "hi"},
            "event_id": "Ev0PV52K25",
            "event_time": 1_525_215_129,
        }
    ).encode()
    for headers in ({}, {"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"}):
        [event] = PROVIDER.parse(signed(body, headers=headers), SECRET)
        assert (event.type, event.id, event.subject) == ("slack.app_mention", "Ev0PV52K25", "U061F7AUR")
        assert (event.raw, event.time) == (body, 1_525_215_129_000_000)


def test_an_interaction() -> None:
    sent = (
        '{"type": "block_actions", "user": {"id": "U1"}, "trigger_id": "13345224609.738474920.8088930838d8"}'
    )
    [event] = PROVIDER.parse(signed(urlencode({"payload": sent}).encode(), headers=FORM), SECRET)
    assert (event.type, event.raw, event.subject) == ("slack.block_actions", sent.encode(), "U1")
    assert event.id == "13345224609.738474920.8088930838d8"
    [limited] = PROVIDER.parse(
        signed(b'{"type": "app_rate_limited", "minute_rate_limited": 1518467820}'), SECRET
    )
    assert (limited.type, limited.subject, len(limited.id)) == ("slack.app_rate_limited", None, 32)


@pytest.mark.parametrize(
    "call",
    [
        Incoming({**signed(COMMAND).headers, "x-slack-signature": SIGNATURE + "0"}, COMMAND, now=NOW),
        Incoming(signed(COMMAND).headers, COMMAND + b"&", now=NOW),
        Incoming({**signed(COMMAND).headers, "x-slack-request-timestamp": "soon"}, COMMAND, now=NOW),
        Incoming({**signed(COMMAND).headers, "x-slack-signature": "v0=é"}, COMMAND, now=NOW),
        Incoming({}, COMMAND, now=NOW),
        signed(COMMAND, NOW - 3600),
        signed(COMMAND, NOW + 3600),
    ],
)
def test_another_call_is_not(call: Incoming) -> None:
    with pytest.raises(NotSigned):
        PROVIDER.verify(call, SECRET)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"type": "event_callback"}', b'{"type": 17}'])
def test_what_is_wrong_is_named(body: bytes) -> None:
    with pytest.raises(ValueError, match="neither a `type` nor a `command`"):
        PROVIDER.parse(signed(body), SECRET)
