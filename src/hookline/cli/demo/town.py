"""Whom Hookline tells: a shop, a warehouse that is ill at first, a Slack channel, an SMS gateway.

They are real servers on a socket of their own, and each checks what it gets as the real one would.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from hookline.cli.asgi import Receive, Scope, Send, headers_of, read_body, respond
from hookline.rules.signing import SignatureError, verify

ACCOUNT, TOKEN, NUMBER = "AC00000000000000000000000000000001", "a-token-of-the-gateway", "+15005550006"
SLACK_PATH = "/slack/services/T0000/B0000/demo"
JSON, TEXT = "application/json", "text/plain"
LARGEST = 1024 * 1024


class Reply(Struct, frozen=True):
    status: int
    body: bytes = b""
    kind: str = TEXT


class Subscriber:
    """A receiver of Standard Webhooks that verifies each with its secret. ``events`` are those it took."""

    def __init__(self, failures: int = 0) -> None:
        self.secret = ""
        self.events: list[Any] = []
        self.faults: list[str] = []
        self._failures = failures
        self._seen: set[str] = set()

    def take(self, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            verify(self.secret, headers, body, time.time())
        except SignatureError as error:
            self.faults.append(str(error))
            return Reply(401, b"bad signature")
        if self._failures:
            self._failures -= 1
            return Reply(500, b"the stock database is locked")
        if headers["webhook-id"] in self._seen:
            self.faults.append(f"{headers['webhook-id']} came twice")
        self._seen.add(headers["webhook-id"])
        self.events.append(msgspec.json.decode(body))
        return Reply(204)

    def counts(self) -> Counter[str]:
        """How many events of each type it took."""
        return Counter(event["type"] for event in self.events)


class Channel:
    """Slack's incoming webhook."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def take(self, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            text = msgspec.json.decode(body)["text"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return Reply(400, b"invalid_payload")
        if headers.get("content-type", "").partition(";")[0] != JSON or not text:
            return Reply(400, b"no_text")
        self.lines.append(text)
        return Reply(200, b"ok")


class Gateway:
    """Twilio's API for messages, as far as sending goes."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def take(self, headers: Mapping[str, str], body: bytes) -> Reply:
        scheme, _, login = headers.get("authorization", "").partition(" ")
        if scheme != "Basic" or b64decode(login).decode() != f"{ACCOUNT}:{TOKEN}":
            return Reply(
                401, msgspec.json.encode({"code": 20003, "message": "Authenticate", "status": 401}), JSON
            )
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.keys() != {"To", "From", "Body"} or form["From"] != NUMBER or not form["To"].startswith("+"):
            refusal = {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400}
            return Reply(400, msgspec.json.encode(refusal), JSON)
        self.messages.append((form["To"], form["Body"]))
        sent = {
            "sid": f"SM{len(self.messages):032d}",
            "status": "queued",
            "to": form["To"],
            "body": form["Body"],
        }
        return Reply(201, msgspec.json.encode(sent), JSON)


class Town:
    """All of them behind one socket, told apart by the first part of the path."""

    def __init__(self) -> None:
        self.shop = Subscriber()
        self.warehouse = Subscriber(failures=2)
        self.slack = Channel()
        self.sms = Gateway()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, LARGEST)
        if body is not None:
            reply = self._reply(f"{scope['method']} {scope['path']}", headers_of(scope), body)
            await respond(send, reply.status, {"content-type": reply.kind}, reply.body)

    def _reply(self, asked: str, headers: Mapping[str, str], body: bytes) -> Reply:
        match asked:
            case "POST /shop/hooks":
                return self.shop.take(headers, body)
            case "POST /warehouse/hooks":
                return self.warehouse.take(headers, body)
            case asked if asked == f"POST {SLACK_PATH}":
                return self.slack.take(headers, body)
            case asked if asked == f"POST /sms/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
                return self.sms.take(headers, body)
        return Reply(404, b"nobody lives here")
