"""`/v1/sources`: where events come from that are not published with a key."""

from __future__ import annotations

import functools
from secrets import token_urlsafe

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from hookline.api.auth import Caller
from hookline.api.connection_kinds import check_credentials
from hookline.api.connections import HIDDEN
from hookline.api.errors import invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.api.receiving import SECRET_PARAMETER
from hookline.model import Name, Source, SourceInput, Strict
from hookline.providers import BY_NAME, Provider
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Sources"]


class SourceShown(Struct, frozen=True, kw_only=True):
    """``url`` is for the provider; ``refused`` counts the calls that it did not sign. ``credentials`` says
    which are set, not what they are; settings among them are shown."""

    id: str
    name: str
    kind: str
    url: str
    credentials: dict[str, str]
    refused: int
    created_at: str


class SourcePatch(Strict, frozen=True, kw_only=True):
    """``credentials`` that are named are replaced, or taken away by ``null``; the others stay."""

    name: Name | UnsetType = UNSET
    credentials: dict[str, str | None] | UnsetType = UNSET


def _provider(kind: str) -> Provider:
    """ApiError 422 for a kind that there is not."""
    found = BY_NAME.get(kind)
    if found is None:
        raise invalid("/kind", f"unknown kind {kind[:100]!r}; there are {', '.join(BY_NAME)}")
    return found


def _checked(source: Source) -> Source:
    """The source with what is made here; ApiError 422, naming the field, where it could not verify anything.

    A provider that shows its key only once it has the address gets a source without, which refuses calls.
    """
    provider, given = _provider(source.kind), source.credentials
    if provider.secret and provider.secret not in given:
        given = given | {provider.secret: token_urlsafe(24)}
    if given or not provider.late:
        check_credentials(given, tuple(provider.credentials), provider.optional)
        try:
            provider.check(given)
        except ValueError as error:
            raise invalid("/credentials", str(error)) from None
    return msgspec.structs.replace(source, credentials=given)


def _shown(base: str, source: Source, *, fresh: bool = False) -> SourceShown:
    """``base`` is what our addresses begin with; a key in the address is told where it is ``fresh``."""
    secret = BY_NAME[source.kind].secret
    key = f"?{SECRET_PARAMETER}={source.credentials[secret] if fresh else HIDDEN}" if secret else ""
    return SourceShown(
        id=source.id,
        name=source.name,
        kind=source.kind,
        url=f"{base}/in/{source.id}{key}",
        credentials={
            name: text if name in BY_NAME[source.kind].shown else HIDDEN
            for name, text in source.credentials.items()
        },
        refused=source.refused,
        created_at=format_time(source.created_at),
    )


def routes(services: Services) -> list[HTTPRouteHandler]:
    access, clock = services.storage.access, services.clock
    shown = functools.partial(_shown, services.settings.base_url)

    @post("/v1/sources", tags=TAGS, operation_id="createSource", summary="Make a source")
    async def create(key: Caller, data: JSONBody[SourceInput]) -> SourceShown:
        """Give its `url` to the provider; docs/providers.md says what each needs. Where the provider signs by
        basic auth, put the `username` and `password` of `credentials` into the URL that it gets, as in
        https://username:password@…; where it shows its key only afterwards, set that by `PATCH`."""
        new = Source(
            tenant=key.tenant,
            id=new_id("src"),
            name=data.name,
            kind=data.kind,
            credentials=data.credentials,
            created_at=clock.now(),
        )
        return shown(await access.put_source(_checked(new)), fresh=True)

    @get("/v1/sources", tags=TAGS, operation_id="listSources", summary="List sources")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[SourceShown]:
        found = await access.page_of_sources(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, shown)

    async def find(key: Caller, source_id: str) -> Source:
        found = await access.source(key.tenant, source_id)
        if found is None:
            raise not_found("source", source_id)
        return found

    @get("/v1/sources/{source_id:str}", tags=TAGS, operation_id="getSource", summary="Read a source")
    async def one(key: Caller, source_id: FromPath[str]) -> SourceShown:
        return shown(await find(key, source_id))

    @patch("/v1/sources/{source_id:str}", tags=TAGS, operation_id="changeSource", summary="Change a source")
    async def change(key: Caller, source_id: FromPath[str], data: JSONBody[SourcePatch]) -> SourceShown:
        """Counts for the next call. A key in the address is shown again only where it is set here."""
        stored = await find(key, source_id)
        given = {} if data.credentials is UNSET else data.credentials
        # What comes back as it was shown stays as it is.
        merged = stored.credentials | {name: text for name, text in given.items() if text != HIDDEN}
        changed = msgspec.structs.replace(
            stored,
            name=stored.name if data.name is UNSET else data.name,
            credentials={name: text for name, text in merged.items() if text is not None},
        )
        fresh = BY_NAME[stored.kind].secret in given
        return shown(await access.put_source(_checked(changed)), fresh=fresh)

    @delete("/v1/sources/{source_id:str}", tags=TAGS, operation_id="deleteSource", summary="Delete a source")
    async def remove(key: Caller, source_id: FromPath[str]) -> None:
        """Its address stops working; its events stay."""
        if not await access.delete_source(key.tenant, source_id):
            raise not_found("source", source_id)

    return [create, index, one, change, remove]
