"""Erasing people (GDPR, article 17): `POST /v1/contacts/{contact}/erase`, and how far it is."""

from __future__ import annotations

from typing import Literal

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.contacts import Contacts
from hookline.api.errors import ApiError, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import Contact, Erasure
from hookline.rules.contacts import Wrong, check_email
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Contacts"]


class ErasureShown(Struct, frozen=True, kw_only=True):
    """``contact`` is an id that leads nowhere any more. ``events`` were about it, and have lost what they said;
    ``mark`` stands where the address was.
    """

    id: str
    state: Literal["running", "finished"]
    contact: str
    mark: str
    events: int
    created_at: str
    finished_at: str | None


def _shown(erasure: Erasure) -> ErasureShown:
    return ErasureShown(
        id=erasure.id,
        state=erasure.state,
        contact=erasure.contact,
        mark=erasure.mark,
        events=erasure.erased,
        created_at=format_time(erasure.created_at),
        finished_at=None if erasure.finished_at is None else format_time(erasure.finished_at),
    )


def routes(services: Services) -> list[HTTPRouteHandler]:
    erasures, clock, book = services.storage.erasures, services.clock, Contacts(services)

    async def find(tenant: str, name: str) -> Contact:
        """The contact; or nobody yet of that address, of whom events may tell all the same."""
        try:
            return await book.find(tenant, name)
        except ApiError:
            now = clock.now()
            try:
                email = check_email(name) if "@" in name else None
            except Wrong:
                email = None
            if email is None:
                raise
            return Contact(tenant=tenant, id=new_id("ctc"), email=email, created_at=now, updated_at=now)

    @post(
        "/v1/contacts/{contact:str}/erase",
        tags=TAGS,
        operation_id="eraseContact",
        summary="Erase a person",
        status_code=202,
    )
    async def erase(key: Caller, contact: FromPath[str]) -> ErasureShown:
        """By id or email, also an email that is no contact's any more. The contact is gone at once; events,
        deliveries, attempts and messages about it are overwritten step by step, and statistics stay.
        """
        return _shown(await services.eraser.begin(await find(key.tenant, contact)))

    @get("/v1/erasures", tags=TAGS, operation_id="listErasures", summary="List erasures")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[ErasureShown]:
        found = await erasures.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    @get(
        "/v1/erasures/{erasure_id:str}", tags=TAGS, operation_id="getErasure", summary="How far an erasure is"
    )
    async def one(key: Caller, erasure_id: FromPath[str]) -> ErasureShown:
        found = await erasures.get(key.tenant, erasure_id)
        if found is None:
            raise not_found("erasure", erasure_id)
        return _shown(found)

    return [erase, index, one]
