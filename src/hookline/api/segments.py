"""`/v1/segments`: contacts by a condition over what they are and what was sent to them."""

from __future__ import annotations

from time import monotonic
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from hookline.api.auth import Caller
from hookline.api.contacts import Contacts, ContactShown
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.mail import segments as mail
from hookline.model import SECOND, Contact, Segment, Strict
from hookline.rules import cel
from hookline.rules.ids import new_id
from hookline.rules.times import format_time, parse_duration
from hookline.services import Services

TAGS = ["Segments"]
SAMPLE = 10
LONGEST_SECONDS = 30
SegmentName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^\s*\S")]


class SegmentInput(Strict, frozen=True, kw_only=True):
    """``if`` is CEL over ``contact`` and ``now``."""

    name: SegmentName
    if_: str = msgspec.field(name="if")


class SegmentPatch(Strict, frozen=True, kw_only=True):
    name: SegmentName | UnsetType = UNSET
    if_: str | UnsetType = msgspec.field(name="if", default=UNSET)


class PreviewInput(Strict, frozen=True, kw_only=True):
    """``list`` (an id or a name) looks at those subscribed to it alone. After ``within``, 30 s at most, it stops."""

    if_: str = msgspec.field(name="if")
    list: str | None = None
    within: str = "2s"


class SegmentShown(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    if_: str = msgspec.field(name="if")
    created_at: str
    updated_at: str


class SegmentError(Struct, frozen=True):
    """For this contact the condition has no value, and counts as false."""

    contact: str
    detail: str


class Preview(Struct, frozen=True, kw_only=True):
    """The condition holds for ``count`` of ``of`` contacts; ``sample`` are the first of them.

    ``complete``: whether all were looked at; else time was over, and ``of`` says how many were, the oldest.
    """

    count: int
    of: int
    complete: bool
    sample: list[ContactShown]
    errors: int
    error: SegmentError | None


def _compiled(source: str) -> mail.Condition:
    try:
        return mail.compile(source)
    except cel.CelError as error:
        raise invalid("/if", str(error)) from None


def _patience(within: str) -> float:
    """In seconds. ApiError 422."""
    try:
        seconds = parse_duration(within) / SECOND
    except ValueError as error:
        raise invalid("/within", str(error)) from None
    if seconds > LONGEST_SECONDS:
        raise invalid("/within", f"a preview takes {LONGEST_SECONDS}s at most")
    return seconds


def _name(text: str) -> str:
    if text.strip().startswith("seg_"):
        raise invalid("/name", "a name does not begin with seg_, as ids do")
    return text.strip()


def _shown(segment: Segment) -> SegmentShown:
    return SegmentShown(
        id=segment.id,
        name=segment.name,
        if_=segment.condition,
        created_at=format_time(segment.created_at),
        updated_at=format_time(segment.updated_at),
    )


class Segments:
    """What the handlers share."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._clock = services.clock
        self._book = Contacts(services)

    async def find(self, tenant: str, name: str) -> Segment:
        found = await self._storage.segments.get(tenant, name)
        if found is None:
            raise not_found("segment", name)
        return found

    async def put(self, segment: Segment) -> SegmentShown:
        stored = await self._storage.segments.put(segment)
        if stored is None:
            raise ApiError(409, f"there is a segment {segment.name!r} already")
        return _shown(stored)

    async def preview(self, tenant: str, data: PreviewInput) -> Preview:
        condition = _compiled(data.if_)
        in_list = None
        if data.list is not None:
            named = await self._storage.contacts.list_named(tenant, data.list)
            if named is None:
                raise invalid("/list", f"there is no list {data.list!r}")
            in_list = named.id
        until = monotonic() + _patience(data.within)
        complete = True
        sample: list[Contact] = []
        count = of = errors = 0
        error: tuple[str, str] | None = None
        walk = mail.Segments(self._storage).walk(tenant, condition, self._clock.now(), in_list)
        async for found in walk:
            sample += found.contacts[: SAMPLE - len(sample)]
            count, of, errors = count + len(found.contacts), of + found.of, errors + found.errors
            error = error or found.error
            if not found.last and monotonic() >= until:
                complete = False
                break
        return Preview(
            count=count,
            of=of,
            complete=complete,
            sample=[await self._book.show(contact) for contact in sample],
            errors=errors,
            error=SegmentError(*error) if error else None,
        )


def routes(services: Services) -> list[HTTPRouteHandler]:
    segments, clock, book = services.storage.segments, services.clock, Segments(services)

    @post("/v1/segments", tags=TAGS, operation_id="createSegment", summary="Make a segment")
    async def create(key: Caller, data: JSONBody[SegmentInput]) -> SegmentShown:
        """A condition that does not compile is a 422 with its place."""
        _compiled(data.if_)
        now = clock.now()
        return await book.put(
            Segment(
                tenant=key.tenant,
                id=new_id("seg"),
                name=_name(data.name),
                condition=data.if_,
                created_at=now,
                updated_at=now,
            )
        )

    @get("/v1/segments", tags=TAGS, operation_id="listSegments", summary="List segments")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[SegmentShown]:
        found = await segments.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    @post(
        "/v1/segments/preview",
        tags=TAGS,
        operation_id="previewSegment",
        summary="Count whom a condition holds for",
        status_code=200,
        opt={"scope": "read"},
    )
    async def preview(key: Caller, data: JSONBody[PreviewInput]) -> Preview:
        """Looks at every contact now, as long as `within` lets it, and stores nothing."""
        return await book.preview(key.tenant, data)

    return [create, index, preview, *_single(services, book)]


def _single(services: Services, book: Segments) -> list[HTTPRouteHandler]:
    segments, clock = services.storage.segments, services.clock

    @get("/v1/segments/{segment:str}", tags=TAGS, operation_id="getSegment", summary="Read a segment")
    async def one(key: Caller, segment: FromPath[str]) -> SegmentShown:
        """By its id or its name."""
        return _shown(await book.find(key.tenant, segment))

    @patch("/v1/segments/{segment:str}", tags=TAGS, operation_id="changeSegment", summary="Change a segment")
    async def change(key: Caller, segment: FromPath[str], data: JSONBody[SegmentPatch]) -> SegmentShown:
        """A campaign that is being sent goes on with the new condition."""
        stored = await book.find(key.tenant, segment)
        fields: dict[str, Any] = {}
        if data.name is not UNSET:
            fields["name"] = _name(data.name)
        if data.if_ is not UNSET:
            _compiled(data.if_)
            fields["condition"] = data.if_
        return await book.put(msgspec.structs.replace(stored, **fields, updated_at=clock.now()))

    @delete("/v1/segments/{segment:str}", tags=TAGS, operation_id="deleteSegment", summary="Delete a segment")
    async def remove(key: Caller, segment: FromPath[str]) -> None:
        """409 while a campaign that is not over is for it."""
        stored = await book.find(key.tenant, segment)
        if not await segments.delete(key.tenant, stored.id):
            raise ApiError(409, "a campaign that is not over is for this segment")

    return [one, change, remove]
