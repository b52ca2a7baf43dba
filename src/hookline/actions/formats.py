"""How an event is written for a receiver: the contract's own shape, CloudEvents, or Mailjet's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from hookline.model import Event
from hookline.rules import mailjet
from hookline.rules.times import format_time

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


class _Head(msgspec.Struct, frozen=True):
    id: str
    type: str
    timestamp: str
    source: str
    subject: str | None


def standard(event: Event) -> bytes:
    """The contract's own shape. The publisher's ``data`` goes out with its bytes unchanged."""
    head = _encode(_Head(event.id, event.type, format_time(event.time), event.source, event.subject))
    return b'%s,"data":%s}' % (head[:-1], event.data or b"null")


def cloudevent(event: Event) -> bytes:
    """CloudEvents 1.0 in JSON, structured mode, with the attributes that the publisher sent."""
    extra: dict[str, Any] = msgspec.json.decode(event.envelope) if event.envelope else {}
    attributes = {
        "specversion": "1.0",
        "id": event.source_id or event.id,
        "source": event.source,
        "type": event.type,
        "time": format_time(event.time),
    }
    if event.subject is not None:
        attributes["subject"] = event.subject
    head = msgspec.json.encode(attributes | extra)
    return head[:-1] + b',"data":' + event.data + b"}" if event.data else head


def array(write: Callable[[Event], bytes]) -> Callable[[Sequence[Event]], bytes]:
    """How several events are written: a JSON array of what one would be."""
    return lambda events: b"[" + b",".join(map(write, events)) + b"]"


# By `do.format`: how one event is written, and the content type of it.
FORMATS: dict[str, tuple[Callable[[Event], bytes], str]] = {
    "standard": (standard, JSON),
    "cloudevents": (cloudevent, "application/cloudevents+json"),
    "mailjet": (mailjet.encode, JSON),
}
# The same for a batch.
BATCH_FORMATS: dict[str, tuple[Callable[[Sequence[Event]], bytes], str]] = {
    "standard": (array(standard), JSON),
    "cloudevents": (array(cloudevent), "application/cloudevents-batch+json"),
    "mailjet": (array(mailjet.encode), JSON),  # one that was gathered when the hook had the other format
    "mailjet-grouped": (array(mailjet.encode), JSON),
}
