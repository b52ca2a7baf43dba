"""`/v1/sources`, and `/in/{source}` where their webhooks arrive: verified, kept raw, answered once durable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar import HttpMethod, Request, Response, delete, get, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.api.auth import PUBLIC, Caller
from hookline.api.connections import HIDDEN, check_credentials
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.mail_events import mail_event
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import EventDraft, Message, Source, SourceInput
from hookline.providers import BY_NAME, Incoming, ParsedEvent
from hookline.rules.addresses import normalise
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services
from hookline.storage.units import Accepted, SourceIdConflict

log = structlog.get_logger("hookline.sources")
TAGS = ["Sources"]
METHODS = [HttpMethod.POST, HttpMethod.GET, HttpMethod.HEAD, HttpMethod.OPTIONS]


class SourceShown(Struct, frozen=True, kw_only=True):
    """``url`` is for the provider; ``refused`` counts the calls that it did not sign. ``credentials`` says
    which are set, not what they are."""

    id: str
    name: str
    kind: str
    url: str
    credentials: dict[str, str]
    refused: int
    created_at: str


class Received(Struct, frozen=True):
    """How many events were new, and how many had come before."""

    accepted: int
    duplicates: int


class Receiver:
    """Takes in what providers send."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._intake = services.intake

    async def find(self, source_id: str) -> Source:
        found = await self._storage.access.source_anywhere(source_id)
        if found is None:
            raise not_found("source", source_id)
        return found

    async def receive(self, source: Source, call: Incoming) -> Received:
        """ApiError 401 for a call that the provider did not sign, 400 for one that cannot be read."""
        provider = BY_NAME[source.kind]
        if not provider.verify(call, source.credentials):
            await self._storage.access.count_refused(source.tenant, source.id)
            challenge = {"www-authenticate": provider.CHALLENGE} if provider.CHALLENGE else {}
            raise ApiError(
                401, f"this is not signed as {source.kind} signs for this source", headers=challenge
            )
        try:
            events = provider.parse(call.body)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        accepted = await self._accept(source, [await self._draft(source, event) for event in events])
        repeated = sum(answer.duplicate for answer in accepted)
        return Received(len(accepted) - repeated, len(events) - len(accepted) + repeated)

    async def _accept(self, source: Source, drafts: list[EventDraft]) -> list[Accepted]:
        """All or none; one that came before, with what we knew of it then, is left out."""
        while drafts:
            try:
                return await self._intake.accept(source.tenant, drafts)
            except SourceIdConflict as conflict:
                drafts = drafts[: conflict.index] + drafts[conflict.index + 1 :]
        return []

    async def _draft(self, source: Source, event: ParsedEvent) -> EventDraft:
        about = {"provider": source.kind, "provider_event": msgspec.Raw(event.raw)}
        if not event.type.startswith("email."):
            log.warning("a provider's event is not understood", type=event.type, source=source.id)
            return EventDraft(
                type=event.type,
                source=source.id,
                source_id=event.id,
                subject=event.email,
                time=event.time,
                data=event.raw,
            )
        facts = {**event.facts, **about}
        message = await self._message(source, event)
        if message is not None:
            return mail_event(event.type, source.id, message, facts, source_id=event.id, time=event.time)
        address = normalise(event.email or "")
        return EventDraft(
            type=event.type,
            source=source.id,
            source_id=event.id,
            subject=address,
            time=event.time,
            data=msgspec.json.encode({"email": address, **facts}),
        )

    async def _message(self, source: Source, event: ParsedEvent) -> Message | None:
        if event.message is None:
            return None
        return await self._storage.campaigns.message(source.tenant, event.message)


def handshake(headers: Mapping[str, str]) -> dict[str, str]:
    """The answer to OPTIONS: CloudEvents' HTTP 1.1 Web Hooks, section 4. We take calls from any origin."""
    answer = {"allow": ", ".join(METHODS)}
    origin = headers.get("webhook-request-origin")
    if origin is not None:
        answer |= {"webhook-allowed-origin": origin, "webhook-allowed-rate": "*"}
    return answer


def _credentials(data: SourceInput) -> None:
    """ApiError 422, naming the field, for a source that could not verify anything."""
    provider = BY_NAME.get(data.kind)
    if provider is None:
        raise invalid("/kind", f"unknown kind {data.kind[:100]!r}; there are {', '.join(BY_NAME)}")
    check_credentials(data.credentials, tuple(provider.CREDENTIALS))
    try:
        provider.check_credentials(data.credentials)
    except ValueError as error:
        raise invalid("/credentials", str(error)) from None


def routes(services: Services) -> list[HTTPRouteHandler]:
    return [*_managing(services), _receiving(Receiver(services))]


def _managing(services: Services) -> list[HTTPRouteHandler]:
    access, clock = services.storage.access, services.clock
    base = services.settings.public_url.rstrip("/") or f"http://{services.settings.listen}"

    def shown(source: Source) -> SourceShown:
        return SourceShown(
            id=source.id,
            name=source.name,
            kind=source.kind,
            url=f"{base}/in/{source.id}",
            credentials=dict.fromkeys(source.credentials, HIDDEN),
            refused=source.refused,
            created_at=format_time(source.created_at),
        )

    @post("/v1/sources", tags=TAGS, operation_id="createSource", summary="Make a source")
    async def create(key: Caller, data: JSONBody[SourceInput]) -> SourceShown:
        """Give its `url` to the provider. Mailjet signs by basic auth: put the `username` and `password` of
        `credentials` into the URL that it gets, as in https://username:password@…"""
        _credentials(data)
        new = Source(
            tenant=key.tenant,
            id=new_id("src"),
            name=data.name,
            kind=data.kind,
            credentials=data.credentials,
            created_at=clock.now(),
        )
        return shown(await access.put_source(new))

    @get("/v1/sources", tags=TAGS, operation_id="listSources", summary="List sources")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[SourceShown]:
        found = await access.page_of_sources(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, shown)

    @get("/v1/sources/{source_id:str}", tags=TAGS, operation_id="getSource", summary="Read a source")
    async def one(key: Caller, source_id: FromPath[str]) -> SourceShown:
        found = await access.source(key.tenant, source_id)
        if found is None:
            raise not_found("source", source_id)
        return shown(found)

    @delete("/v1/sources/{source_id:str}", tags=TAGS, operation_id="deleteSource", summary="Delete a source")
    async def remove(key: Caller, source_id: FromPath[str]) -> None:
        """Its address stops working; its events stay."""
        if not await access.delete_source(key.tenant, source_id):
            raise not_found("source", source_id)

    return [create, index, one, remove]


def _receiving(receiver: Receiver) -> HTTPRouteHandler:
    @route(
        "/in/{source_id:str}",
        http_method=METHODS,
        status_code=200,
        opt=PUBLIC,
        include_in_schema=False,
    )
    async def receive(request: Request[Any, Any, Any], source_id: FromPath[str]) -> Response[Received | None]:
        """200 only once all is durable; GET and HEAD answer providers that look whether someone is there."""
        source = await receiver.find(source_id)
        if request.method == "OPTIONS":
            return Response(None, status_code=204, headers=handshake(request.headers))
        if request.method != "POST":
            return Response(None, status_code=200)
        call = Incoming(dict(request.headers), await request.body())
        return Response(await receiver.receive(source, call), status_code=200)

    return receive
