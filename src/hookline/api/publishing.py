"""`POST /v1/events`, the hot path: a raw ASGI handler, so that an event costs no framework."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec import Raw, Struct

from hookline.api import bodies
from hookline.api.auth import Authenticator, require
from hookline.api.errors import (
    MEDIA_TYPE,
    ApiError,
    Fault,
    as_api_error,
    bad_parameter,
    escape,
    from_validation,
    invalid,
)
from hookline.model import EventDraft, Strict
from hookline.rules import cloudevents, payload
from hookline.rules.matching import is_reserved
from hookline.rules.times import parse_time
from hookline.services import Services
from hookline.storage.units import Accepted, SourceIdConflict

MAX_EVENTS = 1000
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
# How long the texts of an event may be, in characters.
LENGTHS = (("type", 200), ("source_id", 256), ("source", 512), ("subject", 512))
# Hookline's own events are told from repeated ones by these, so nobody else may speak in their name.
OWN_SOURCES = ("hookline", "mailer")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

T = TypeVar("T")
Headers = Iterable[tuple[bytes, bytes]]


class EventInput(Strict, frozen=True, kw_only=True):
    """An event as our own JSON has it. ``source`` is the key's id where none is given."""

    type: str
    data: Raw
    id: str | None = None
    source: str | None = None
    subject: str | None = None
    time: str | None = None


class EventAccepted(Struct, frozen=True):
    """``id`` is ours; of a duplicate the first event's. ``deliveries`` says how many the event owes."""

    id: str
    duplicate: bool
    deliveries: int


class EventsAccepted(Struct, frozen=True):
    events: list[EventAccepted]


_one = msgspec.json.Decoder(EventInput)
_many = msgspec.json.Decoder(list[EventInput])
_encode = msgspec.json.Encoder().encode


class Publisher:
    """The handler. It answers 202 only when every event is durable, with every delivery it owes."""

    def __init__(self, services: Services, authenticator: Authenticator) -> None:
        self._intake = services.intake
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = scope["headers"]
        most = bodies.limited(receive, headers, bodies.MAX_EVENTS)
        status, fields, body = await self.reply(headers, scope["query_string"], most)
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def reply(
        self, headers: Headers, query: bytes, body: bytes | Receive
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of the answer to a request whose headers have names in lower case."""
        try:
            answer = await self._answer(headers, query, body)
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            problem = as_api_error(error)
            answer = problem.body()
            fields = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
            return problem.status, [*_fields(MEDIA_TYPE.encode(), answer), *fields], answer
        return 202, _fields(b"application/json", answer), answer

    async def _answer(self, headers: Headers, query: bytes, body: bytes | Receive) -> bytes:
        named = dict(headers)
        key = await self._authenticator.key(named.get(b"authorization", b"").decode("latin-1"))
        require(key, "publish")
        if query:
            for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
                raise bad_parameter(name, "there is no such parameter")
        bodies.check_encoding(named.get(b"content-encoding", b"").decode("latin-1"))
        content_type = named.get(b"content-type", b"").decode("latin-1")
        if not isinstance(body, bytes):
            body = await bodies.read(body)
        drafts, many = read_events(content_type, headers, body, key.id)
        try:
            accepted = await self._intake.accept(key.tenant, drafts) if drafts else []
        except SourceIdConflict as error:
            place = f"#/{error.index}/id" if many else "#/id"
            detail = f"this source and id came before with another body, as {error.first}"
            raise ApiError(409, f"{place}: {detail}", [Fault(detail, pointer=place)]) from None
        answers = [_answer(one) for one in accepted]
        return _encode(EventsAccepted(answers) if many else answers[0])


def _fields(media: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-content-type-options", b"nosniff"),
        (b"content-type", media),
        (b"content-length", b"%d" % len(body)),
    ]


def _answer(accepted: Accepted) -> EventAccepted:
    return EventAccepted(accepted.id, accepted.duplicate, len(accepted.deliveries) + len(accepted.joined))


def read_events(
    content_type: str, headers: Headers, body: bytes, source: str
) -> tuple[list[EventDraft], bool]:
    """The events of a body, and whether it is an array of them; ``source`` stands in where none is given.

    Raises ApiError: 400, 413, 415 or 422, and 403 for what only Hookline may say.
    """
    media = content_type.partition(";")[0].strip().lower()
    try:
        if media == STRUCTURED:
            drafts, many = [_cloudevent(body, "")], False
        elif media == BATCHED:
            parts = _bounded(cloudevents.split(body))
            drafts, many = [_cloudevent(part, f"/{place}") for place, part in enumerate(parts)], True
        elif any(name.startswith(b"ce-") for name, _ in headers):
            drafts, many = [_binary(headers, content_type, body)], False
        else:
            bodies.check_json_type(content_type)
            drafts, many = _own(body, source)
    except msgspec.ValidationError as error:
        raise from_validation(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bodies.unreadable(error) from None
    except RecursionError:
        raise ApiError(400, "the JSON is nested too deeply") from None
    if not many and len(body) > bodies.MAX_BODY:
        raise ApiError(413, f"an event is at most {bodies.MAX_BODY} bytes")
    for place, draft in enumerate(drafts):
        base = f"/{place}" if many else ""
        check_texts(draft, base)
        _check_allowed(draft, base)
        check_payload(draft, base)
    return drafts, many


def _own(body: bytes, source: str) -> tuple[list[EventDraft], bool]:
    body.decode()  # `data` is passed over by the decoder: this looks at its bytes
    if body.lstrip()[:1] != b"[":
        return [to_draft(_one.decode(body), source, "")], False
    events = _bounded(_many.decode(body))
    return [to_draft(event, source, f"/{place}") for place, event in enumerate(events)], True


def _bounded(events: list[T]) -> list[T]:
    if len(events) > MAX_EVENTS:
        raise ApiError(422, f"at most {MAX_EVENTS} events are taken at once; these are {len(events)}")
    return events


def to_draft(event: EventInput, source: str, base: str) -> EventDraft:
    """What intake takes; ``source`` stands in where the event names none."""
    try:
        time = None if event.time is None else parse_time(event.time)
    except ValueError as error:
        raise invalid(f"{base}/time", str(error)) from None
    return EventDraft(
        type=event.type,
        source=source if event.source is None else event.source,
        source_id=event.id,
        subject=event.subject,
        time=time,
        data=bytes(event.data),
    )


def _cloudevent(raw: bytes, base: str) -> EventDraft:
    raw.decode()
    try:
        return cloudevents.structured(raw)
    except cloudevents.Malformed as error:
        raise invalid(f"{base}/{escape(error.name)}", error.detail) from None
    except msgspec.ValidationError as error:
        raise from_validation(error, base=base) from None


def _binary(headers: Headers, content_type: str, body: bytes) -> EventDraft:
    try:
        attributes = [(name.decode(), value.decode()) for name, value in headers if name.startswith(b"ce-")]
        return cloudevents.binary(attributes, content_type, body)
    except cloudevents.Malformed as error:
        raise invalid(f"/{escape(error.name)}", error.detail) from None


def check_texts(draft: EventDraft, base: str) -> None:
    """ApiError 422 for texts that are too long, or that no database or header could hold."""
    for name, most in LENGTHS:
        text: str | None = getattr(draft, name)
        pointer = f"{base}/{'id' if name == 'source_id' else name}"
        if text is not None and not 1 <= len(text) <= most:
            raise invalid(pointer, f"this has 1 to {most} characters, not {len(text)}")
        if text is not None and _CONTROL.search(text):
            raise invalid(pointer, "this cannot contain control characters")
    if not draft.type.isprintable() or " " in draft.type or "*" in draft.type:
        raise invalid(f"{base}/type", "an event type has no spaces, asterisks or invisible characters")


def _check_allowed(draft: EventDraft, base: str) -> None:
    """ApiError 403 for what only Hookline and its sources may say, so that nobody forges an open."""
    if is_reserved(draft.type):
        detail = f"{draft.type} events come from Hookline and its sources alone"
        raise ApiError(403, detail, [Fault(detail, pointer=f"#{base}/type")])
    if draft.source in OWN_SOURCES or draft.source.startswith("src_"):
        detail = f"the source {draft.source} is Hookline's own"
        raise ApiError(403, detail, [Fault(detail, pointer=f"#{base}/source")])


def check_payload(draft: EventDraft, base: str) -> None:
    """ApiError for data that is no JSON (400), too large (413), or that conditions could not read (422)."""
    if len(draft.data) > bodies.MAX_BODY:
        raise ApiError(413, f"#{base}: an event is at most {bodies.MAX_BODY} bytes")
    try:
        if draft.data:
            payload.check(draft.data)
    except msgspec.DecodeError as error:
        if not isinstance(error, msgspec.ValidationError):
            raise bodies.unreadable(error) from None
        raise from_validation(error, base=f"{base}/data") from None
    except ValueError as error:
        raise invalid(f"{base}/data", str(error)) from None
