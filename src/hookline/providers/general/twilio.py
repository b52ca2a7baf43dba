"""What Twilio sends: messages that come in, what became of those sent, calls, and event streams.

Signed with HMAC-SHA1, base64, in ``X-Twilio-Signature``: over the URL that Twilio called and the form's names and
values, sorted by name; for JSON over the URL alone, whose ``bodySHA256`` is the body's digest ("Webhooks security").
Twilio may or may not write the port of its scheme into the URL. There is no time in what is signed, and no id:
a digest of the form tells repeats apart. A message is answered with instructions, so the answer is to do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

from hookline.providers import fields, proofs
from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider, Reply
from hookline.rules.addresses import normalise_phone

NAME = "twilio"
PORTS = {"http": 80, "https": 443}
NOTHING_TO_DO = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


def verify(call: Incoming, credentials: Credentials) -> None:
    given = proofs.header(call, "X-Twilio-Signature")
    digest = call.query.get("bodySHA256")
    if digest is not None:
        if not proofs.same(digest.lower(), hashlib.sha256(call.body).hexdigest()):
            raise NotSigned("bodySHA256 in the URL is not the body's")
        signed = ""
    else:
        signed = _sorted(call)
    url = credentials.get("url") or call.url
    if digest is not None and credentials.get("url"):
        url = f"{url.partition('?')[0]}?{urlsplit(call.url).query}"
    right = [_signature(credentials["auth_token"], spelled + signed) for spelled in _spellings(url)]
    if not any([proofs.same(given.strip(), one) for one in right]):  # noqa: C419 - always all
        raise NotSigned(
            "the signature does not match: another token, another address than ours, or an altered body"
        )


def _sorted(call: Incoming) -> str:
    """The form's names and values as they are signed: each value of a name once."""
    try:
        pairs = fields.form_pairs(call.body)
    except ValueError as error:
        raise NotSigned(str(error)) from None
    return "".join(name + text for name, text in sorted(set(pairs)))


def _spellings(url: str) -> list[str]:
    """The URL without the port of its scheme, and with it."""
    try:
        parts = urlsplit(url)
        port, usual = parts.port, PORTS.get(parts.scheme)
    except ValueError:
        return [url]
    if usual is None or port not in (None, usual):
        return [url]
    bare = parts.netloc.removesuffix(f":{usual}")
    return [url.replace(parts.netloc, netloc, 1) for netloc in (bare, f"{bare}:{usual}")]


def _signature(token: str, signed: str) -> str:
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    if not events.looks_json(call.body):
        return [_of_form(events.read_as_sent(call))]
    return [_of_stream(raw, event) for raw, event in fields.split(call.body)]


def _of_form(body: events.Body) -> ParsedEvent:
    found: dict[str, Any] = body.value if isinstance(body.value, dict) else {}
    status = fields.text(found.get("MessageStatus")) or fields.text(found.get("SmsStatus"))
    if found.get("MessageSid") or found.get("SmsSid"):
        incoming = "MessageStatus" not in found and status in (None, "received", "receiving")
        name = "message.received" if incoming else f"message.{(status or 'event').lower()}"
    elif found.get("CallSid"):
        incoming = str(found.get("Direction", "inbound")).startswith("inbound")
        name = f"call.{(fields.text(found.get('CallStatus')) or 'event').lower()}"
    else:
        incoming, name = True, "event"
    other = fields.text(found.get("From" if incoming else "To"))
    return events.event(events.under(NAME, name), body, events.identity(None, body.mark), _phone(other))


def _of_stream(raw: bytes, event: dict[str, Any]) -> ParsedEvent:
    """A CloudEvent of an event stream."""
    name = (fields.text(event.get("type")) or "").removeprefix("com.twilio.")
    body = events.Body(raw, event)
    id = events.identity(fields.text(event.get("id")), raw)
    about = _phone(events.first(event, "data.to", "data.from"))
    return events.event(events.under(NAME, name), body, id, about, fields.iso(event.get("time")))


def _phone(text: str | None) -> str | None:
    bare = text.partition(":")[2] or text if text else None  # whatsapp:+45…
    return (normalise_phone(bare) or bare) if bare else None


PROVIDER = Provider(
    name=NAME,
    credentials={
        "auth_token": "the account's auth token",
        "url": "the address exactly as Twilio has it, where that is not the source's own",
    },
    optional=frozenset({"url"}),
    verify=verify,
    parse=parse,
    thanks=Reply(body=NOTHING_TO_DO, media_type="text/xml"),
)
