"""CloudEvents 1.0 by its HTTP binding, structured, batched or binary, delivered as its Web Hooks have it.

Calls bring a token: as ``Authorization: Bearer …``, or in the address as ``access_token=`` (sections 3.1 and 3.2) or
``key=``. The validation handshake (section 4) is answered for every source: we take any sender's calls, at any
rate, so a ``WebHook-Request-Callback`` need not be visited. The ``source`` and ``id`` of an event together tell repeats
apart; both are kept in the event's envelope, and given out again as they came.
Azure Event Grid's own schema is taken, too.
"""

from __future__ import annotations

import msgspec

from hookline.model import EventDraft
from hookline.providers import fields, proofs
from hookline.providers.general import eventgrid, events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider, Reply
from hookline.rules import cloudevents, payload

NAME = "cloudevents"
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


def verify(call: Incoming, credentials: Credentials) -> None:
    scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
    given = [call.query.get("access_token", ""), call.query.get("key", "")]
    if scheme.lower() == "bearer":
        given.append(bearer.strip())
    if not any([proofs.same(one, credentials["token"]) for one in given]):  # noqa: C419 - always all
        raise NotSigned(
            "the token is missing or wrong: Authorization: Bearer …, or ?access_token=… in the address"
        )


def answer(call: Incoming, credentials: Credentials) -> Reply | None:
    return eventgrid.answer(call)


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    if call.body.count(b",") > fields.MOST_COMMAS:
        raise ValueError("there is too much in the body")
    try:
        return [_event(place, draft) for place, draft in enumerate(_drafts(call))]
    except cloudevents.Malformed as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"the body is not JSON, or not of the form of CloudEvents: {error}") from None


def _drafts(call: Incoming) -> list[EventDraft]:
    media, start = events.media_type(call), call.body.lstrip()[:1]
    if "ce-specversion" in call.headers:
        found = sorted(
            (name, _utf8(name, text)) for name, text in call.headers.items() if name.startswith("ce-")
        )
        return [cloudevents.binary(found, call.headers.get("content-type", ""), call.body)]
    call.body.decode()  # `data` is passed over by the decoder: this looks at its bytes
    if media == BATCHED or (media != STRUCTURED and start == b"["):  # not every sender names the type
        parts = cloudevents.split(call.body)
        if len(parts) > fields.MOST_EVENTS:
            raise ValueError(f"more than {fields.MOST_EVENTS} events come at once")
        return [_structured(part) for part in parts]
    if media == STRUCTURED or start == b"{":
        return [_structured(call.body)]
    raise ValueError(
        f"this is no CloudEvent: send it as {STRUCTURED}, or with the headers ce-specversion, ce-id, …"
    )


def _structured(raw: bytes) -> EventDraft:
    return eventgrid.draft(raw) or cloudevents.structured(raw)


def _utf8(name: str, text: str) -> str:
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        raise cloudevents.Malformed(name, "this is not UTF-8") from None


def _event(place: int, draft: EventDraft) -> ParsedEvent:
    try:
        if draft.data:
            payload.check(draft.data)
    except ValueError as error:
        raise ValueError(f"event {place}: its data: {error}") from None
    id = draft.source_id or ""
    envelope = msgspec.json.decode(draft.envelope, type=dict[str, msgspec.Raw]) if draft.envelope else {}
    whole = {"source": draft.source, "id": id, **envelope}
    found = events.event(
        events.free(NAME, draft.type),
        events.Body(draft.data, None),
        events.identity(f"{draft.source} {id}"),
        draft.subject,
        draft.time,
    )
    return msgspec.structs.replace(found, envelope=msgspec.json.encode(whole))


PROVIDER = Provider(
    name=NAME,
    credentials={"token": "a text of your choice that calls bring as a bearer token, or in the address"},
    challenge='Bearer realm="Hookline"',
    verify=verify,
    answer=answer,
    parse=parse,
)
