"""Azure Event Grid's own schema, which subscriptions have that are not set to CloudEvents ("Event Grid event schema").

Before it delivers, Event Grid sends an event that asks for its code back ("Endpoint validation with Event Grid event
schema"). The fields become the CloudEvents attributes that Azure gives them where it translates the one into the other.
"""

from __future__ import annotations

import msgspec

from hookline.model import EventDraft
from hookline.providers import fields
from hookline.providers.general import events
from hookline.providers.parsed import Incoming
from hookline.providers.provider import Reply

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


def answer(call: Incoming) -> Reply | None:
    """The code of a validation event, as Event Grid wants it back; ``None`` for any other call."""
    if VALIDATION.encode().lower() not in call.body.lower():
        return None
    value = events.read_json(call.body).value
    event = value[0] if isinstance(value, list) and value else value
    kind, code = events.first(event, "eventType"), events.first(event, "data.validationCode")
    if code is None or kind is None or kind.lower() != VALIDATION.lower():
        return None
    return Reply(body=msgspec.json.encode({"validationResponse": code}), media_type="application/json")


def draft(raw: bytes) -> EventDraft | None:
    """An event of this schema; ``None`` for a CloudEvent, and for what is neither. Raises msgspec.DecodeError."""
    found = _object.decode(raw)
    if "specversion" in found or "eventType" not in found:
        return None
    told = {name: msgspec.json.decode(value) for name, value in found.items() if name != "data"}
    kind, id = fields.text(told.get("eventType")), fields.text(told.get("id"))
    if kind is None or id is None:
        return None
    version = fields.text(told.get("dataVersion"))
    return EventDraft(
        type=kind,
        source=fields.text(told.get("topic")) or "eventgrid",
        source_id=id,
        subject=fields.text(told.get("subject")),
        time=fields.iso(told.get("eventTime")),
        data=bytes(found.get("data", b"")),
        envelope=msgspec.json.encode({"dataschema": f"#{version}"}) if version else None,
    )
