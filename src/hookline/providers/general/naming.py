"""Settings by which the user says what is what in the calls of a sender that we know nothing of.

They stand among the source's credentials. Paths are names and indexes with points between: ``order.lines.0.sku``.
"""

from __future__ import annotations

from collections.abc import Mapping

from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials
from hookline.rules.matching import is_reserved

SETTINGS: Mapping[str, str] = {
    "type": "the type of every event",
    "type_header": "the header that has the type of an event",
    "type_field": "the path to the type in the body; without, `type` or `event`",
    "id_header": "the header that has the id of an event",
    "id_field": "the path to the id in the body",
    "repeats": "drop (without) or keep: what to do with a call without an id that is the same as an earlier one",
    "subject_field": "the path in the body to whom or what an event is about, such as an address",
}


def check(credentials: Credentials) -> None:
    """ValueError, in words for the user, for settings that contradict each other or can never hold."""
    for one, other in (("type", "type_header"), ("type", "type_field"), ("type_header", "type_field")):
        if one in credentials and other in credentials:
            raise ValueError(f"give {one} or {other}, not both")
    if "id_header" in credentials and "id_field" in credentials:
        raise ValueError("give id_header or id_field, not both")
    if credentials.get("repeats", "drop") not in ("drop", "keep"):
        raise ValueError("repeats is drop or keep")
    if credentials.get("repeats") == "keep" and credentials.keys() & {"id_header", "id_field"}:
        raise ValueError("an id tells repeats apart: give it, or repeats")
    name = credentials.get("type")
    if name is not None and (is_reserved(name) or events.free("", name) != name):
        raise ValueError(
            f"{name[:100]!r} cannot be the type of these events: it is Hookline's own, or no type at all"
        )


def event(kind: str, call: Incoming, credentials: Credentials, *parts: str) -> ParsedEvent:
    """The event of a call; ``parts`` tell calls apart that have neither an id nor another body."""
    body = events.read(call)
    if "type" in credentials:
        name: object = credentials["type"]
    elif "type_header" in credentials:
        name = call.headers.get(credentials["type_header"].lower())
    else:
        paths = (credentials["type_field"],) if "type_field" in credentials else ("type", "event")
        name = events.first(body.value, *paths)
    if "id_header" in credentials:
        id = call.headers.get(credentials["id_header"].lower())
    else:
        id = events.first(body.value, credentials["id_field"]) if "id_field" in credentials else None
    if credentials.get("repeats") == "keep":
        parts += (repr(call.now),)
    subject = (
        events.first(body.value, credentials["subject_field"]) if "subject_field" in credentials else None
    )
    return events.event(events.free(kind, name), body, events.identity(id, *parts, body.mark), subject)
