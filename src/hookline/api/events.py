"""`/v1/events`: what happened, and what became of it. Publishing itself is in `publishing`."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from hookline.api import streaming
from hookline.api.auth import PUBLISH, Authenticator, Caller
from hookline.api.errors import ApiError, not_found
from hookline.api.event_view import EventShown, EventTraced, shown, traced
from hookline.api.paging import After, Limit, Moment, Page, moment, page_of, place_of
from hookline.api.publishing import EventAccepted, EventInput, EventsAccepted
from hookline.model import Event, Key
from hookline.rules.catalogue import EventType, catalogue
from hookline.services import Services

TAGS = ["Events"]
Type = Annotated[str | None, QueryParameter(description='An event type, or a prefix such as "email.*".')]
Source = Annotated[str | None, QueryParameter(description="Where the events came from.")]
Subject = Annotated[
    str | None, QueryParameter(description="What the events are about, exactly as published.")
]
LastEvent = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="The `id` of the last event that was seen.")
]
Campaign = Annotated[str | None, QueryParameter(description="A campaign's id.")]


class EventTypes(Struct, frozen=True):
    data: list[EventType]


def routes(services: Services) -> list[HTTPRouteHandler]:
    events, clock = services.storage.events, services.clock

    @post(
        "/v1/events", status_code=202, opt=PUBLISH, tags=TAGS, operation_id="publishEvents",
        summary="Publish an event, or up to 1,000",
    )  # fmt: skip
    async def publish(data: JSONBody[EventInput | list[EventInput]]) -> EventAccepted | EventsAccepted:
        """All of them are stored, or none. Also takes CloudEvents 1.0: structured, batched and binary."""
        raise ApiError(
            404, "publish to /v1/events"
        )  # described here, done by `publishing` before we are asked

    @get("/v1/events", tags=TAGS, operation_id="listEvents", summary="List events")
    async def index(
        *,
        key: Caller,
        type: Type = None,
        source: Source = None,
        subject: Subject = None,
        campaign: Campaign = None,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = 50,
        after: After = None,
    ) -> Page[EventShown]:
        """Newest first. `since` and `until` are about the time of acceptance."""
        now = clock.now()
        found = await events.page(
            key.tenant,
            limit=limit + 1,
            before=place_of(after),
            type=type,
            source=source,
            subject=subject,
            campaign=campaign,
            since=moment("since", since, now),
            until=moment("until", until, now),
        )
        return page_of(found, limit, shown)

    @get("/v1/events/{event_id:str}", tags=TAGS, operation_id="getEvent", summary="An event and its trace")
    async def one(key: Caller, event_id: FromPath[str]) -> EventTraced:
        """`trace` says what each hook that looked at the event made of it."""
        event = await events.get(key.tenant, event_id)
        if event is None:
            raise not_found("event", event_id)
        return await traced(services.storage, event, services.dispatcher.waits)

    @get("/v1/event-types", tags=TAGS, operation_id="listEventTypes", summary="The events of Hookline's own")
    async def types() -> EventTypes:
        return EventTypes(catalogue())

    return [publish, index, one, _stream(services), types]


def _stream(services: Services) -> HTTPRouteHandler:
    events = services.storage.events

    @get(
        "/v1/events/stream", tags=TAGS, operation_id="streamEvents", summary="Follow events as they come",
        media_type=streaming.MEDIA_TYPE,
    )  # fmt: skip
    async def stream(
        *,
        request: Request[Any, Key, Any],
        key: Caller,
        authenticator: NamedDependency[Authenticator],
        last: LastEvent = None,
        type: Type = None,
        source: Source = None,
        subject: Subject = None,
        campaign: Campaign = None,
    ) -> Stream:
        """Server-Sent Events. `Last-Event-ID` goes on, without a gap, after the event that had this id."""
        place = place_of(last or None, "Last-Event-ID")
        start = await events.last_place() if place is None else place

        async def after(place: int) -> list[Event]:
            return await events.page(
                key.tenant,
                limit=streaming.BATCH,
                after=place,
                type=type,
                source=source,
                subject=subject,
                campaign=campaign,
            )

        async def allowed() -> bool:
            return await authenticator.lets(request.headers.get("authorization"))

        feed = streaming.follow(after, events.last_place, start, allowed)
        return Stream(feed, media_type=streaming.MEDIA_TYPE, headers={"x-accel-buffering": "no"})

    return stream
