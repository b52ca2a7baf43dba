"""`/v1/suppressions`: the addresses that are not mailed, and why."""

from __future__ import annotations

from typing import Literal

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.errors import invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import Strict, Suppression
from hookline.rules.addresses import normalise, parse_address
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Suppressions"]
Reason = Literal["hard_bounce", "complaint", "unsubscribe", "manual", "invalid"]


class SuppressionInput(Strict, frozen=True, kw_only=True):
    """``unsubscribe`` stops bulk mail only, of all lists; the other reasons stop all mail."""

    address: str
    reason: Reason = "manual"


class SuppressionShown(Struct, frozen=True, kw_only=True):
    """``list`` is ``null`` where all lists are meant; ``event`` is what told of it, where that is known."""

    address: str
    reason: Reason
    list: str | None
    event: str | None
    created_at: str


def _shown(entry: Suppression) -> SuppressionShown:
    return SuppressionShown(
        address=entry.address,
        reason=entry.reason,
        list=entry.list or None,
        event=entry.event,
        created_at=format_time(entry.created_at),
    )


def routes(services: Services) -> list[HTTPRouteHandler]:
    contacts, clock = services.storage.contacts, services.clock

    @post("/v1/suppressions", tags=TAGS, operation_id="createSuppression", summary="Suppress an address")
    async def create(key: Caller, data: JSONBody[SuppressionInput]) -> SuppressionShown:
        """An address may be suppressed for several reasons; the same once more changes nothing."""
        try:
            address = normalise(parse_address(data.address)[1])
        except ValueError as error:
            raise invalid("/address", str(error)) from None
        new = Suppression(tenant=key.tenant, address=address, reason=data.reason, created_at=clock.now())
        await contacts.suppress(new)
        kept = await contacts.suppressions(key.tenant, address)
        first = next((entry for entry in kept if (entry.reason, entry.list) == (new.reason, new.list)), new)
        return _shown(first)

    @get("/v1/suppressions", tags=TAGS, operation_id="listSuppressions", summary="List suppressions")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[SuppressionShown]:
        found = await contacts.page_of_suppressions(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    @delete(
        "/v1/suppressions/{address:str}",
        tags=TAGS,
        operation_id="deleteSuppressions",
        summary="Allow an address again",
    )
    async def remove(key: Caller, address: FromPath[str]) -> None:
        """Forgets every reason not to mail it. A contact that left a list has still left it."""
        if not await contacts.unsuppress(key.tenant, normalise(address)):
            raise not_found("suppression of", address)

    return [create, index, remove]
