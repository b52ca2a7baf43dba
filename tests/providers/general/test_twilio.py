"""What Twilio sends, signed as "Webhooks security" has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import twilio

PROVIDER = twilio.PROVIDER
# The documented example.
TOKEN = {"auth_token": "12345"}
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}
SIGNATURE = "GvWf1cFY/Q7PnoempGyD5oXAezc="
FORM = {"content-type": "application/x-www-form-urlencoded"}


def sent(form: Mapping[str, object], signature: str = SIGNATURE, url: str = URL) -> Incoming:
    body = urlencode(form, doseq=True).encode()
    return Incoming({"x-twilio-signature": signature, **FORM}, body, url=url)


def mac(text: str) -> str:
    return base64.b64encode(hmac.digest(b"12345", text.encode(), "sha1")).decode()


def test_the_documented_example() -> None:
    PROVIDER.verify(sent(CALL), TOKEN)
    for wrong in (
        sent({**CALL, "Digits": "1235"}),
        sent(CALL, SIGNATURE.lower()),
        sent(CALL, "é"),
        sent(CALL, url=URL + "0"),
        Incoming(FORM, sent(CALL).body, url=URL),
        Incoming(sent(CALL).headers, b"\xff", url=URL),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(wrong, TOKEN)
    with pytest.raises(NotSigned):
        PROVIDER.verify(sent(CALL), {"auth_token": "other"})


def test_the_port_of_the_scheme_may_be_there_or_not() -> None:
    plain, ported = "https://hooks.example/in/src_1", "https://hooks.example:443/in/src_1"
    for called in (plain, ported):
        for spelled in (plain, ported):
            PROVIDER.verify(sent({"a": "b"}, mac(spelled + "ab"), called), TOKEN)
    with pytest.raises(NotSigned):
        PROVIDER.verify(sent({"a": "b"}, mac("https://hooks.example:8443/in/src_1ab"), plain), TOKEN)
    PROVIDER.verify(
        sent({"a": "b"}, mac("https://other.example/xab")), {**TOKEN, "url": "https://other.example/x"}
    )


def test_a_name_that_comes_twice_is_signed_with_each_value_once() -> None:
    PROVIDER.verify(sent({"b": ["2", "1", "2"], "a": ""}, mac(URL + "ab1b2")), TOKEN)


def test_json_is_signed_by_its_digest() -> None:
    event_of_a_stream = {
        "specversion": "1.0",
        "type": "com.twilio.messaging.message.delivered",
        "id": "EZ1",
        "time": "2024-01-02T03:04:05Z",
        "data": {"to": "+45 12 34 56 78"},
    }
    body = json.dumps([event_of_a_stream]).encode()
    url = f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"x-twilio-signature": mac(url), "content-type": "application/json"}

    def call(raw: bytes) -> Incoming:
        return Incoming(headers, raw, url=url, query={"bodySHA256": hashlib.sha256(body).hexdigest()})

    PROVIDER.verify(call(body), TOKEN)
    with pytest.raises(NotSigned, match="bodySHA256"):
        PROVIDER.verify(call(body + b" "), TOKEN)
    [event] = PROVIDER.parse(call(body), TOKEN)
    assert (event.type, event.id, event.subject) == (
        "twilio.messaging.message.delivered",
        "EZ1",
        "+4512345678",
    )
    assert (event.raw, event.time) == (body[1:-1], 1_704_164_645_000_000)


@pytest.mark.parametrize(
    ("form", "kind", "subject"),
    [
        ({"SmsStatus": "received", "Body": "STOP", "MessageSid": "SM1"}, "message.received", "+14158675310"),
        (
            {"MessageSid": "SM1", "Body": "hi", "From": "whatsapp:+14158675310"},
            "message.received",
            "+14158675310",
        ),
        (
            {"MessageStatus": "delivered", "SmsStatus": "delivered", "SmsSid": "SM1"},
            "message.delivered",
            "+18005551212",
        ),
        (
            {"MessageStatus": "failed", "ErrorCode": "30003", "SmsSid": "SM1"},
            "message.failed",
            "+18005551212",
        ),
        (
            {"CallSid": "CA1", "CallStatus": "in-progress", "Direction": "inbound"},
            "call.in-progress",
            "+14158675310",
        ),
        ({"CallSid": "CA1", "CallStatus": "busy", "Direction": "outbound-api"}, "call.busy", "+18005551212"),
        ({"From": "", "Level": "ERROR"}, "event", None),
    ],
)
def test_what_it_tells(form: dict[str, str], kind: str, subject: str | None) -> None:
    whole = {"From": "+14158675310", "To": "+18005551212", **form}
    [event] = PROVIDER.parse(sent(whole), TOKEN)
    assert (event.type, event.subject) == (f"twilio.{kind}", subject)
    assert json.loads(event.raw) == whole
    assert event.id == PROVIDER.parse(sent(whole), TOKEN)[0].id != PROVIDER.parse(sent(CALL), TOKEN)[0].id


def test_it_is_told_to_do_nothing() -> None:
    assert PROVIDER.thanks is not None
    assert (PROVIDER.thanks.media_type, b"<Response/>" in PROVIDER.thanks.body) == ("text/xml", True)
