"""`/v1/lists`: the lists that contacts subscribe to."""

from __future__ import annotations

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import ContactList, Name, Strict
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Lists"]


class ListInput(Strict, frozen=True, kw_only=True):
    name: Name


class ListShown(Struct, frozen=True, kw_only=True):
    """``subscribed`` is how many of its members a campaign would reach now."""

    id: str
    name: str
    subscribed: int
    created_at: str


def _shown(row: tuple[ContactList, int]) -> ListShown:
    found, subscribed = row
    return ListShown(
        id=found.id, name=found.name, subscribed=subscribed, created_at=format_time(found.created_at)
    )


def routes(services: Services) -> list[HTTPRouteHandler]:
    contacts, clock = services.storage.contacts, services.clock

    @post("/v1/lists", tags=TAGS, operation_id="createList", summary="Make a list")
    async def create(key: Caller, data: JSONBody[ListInput]) -> ListShown:
        name = data.name.strip()
        if not name:
            raise invalid("/name", "a list has a name")
        if name.startswith("lst_"):
            raise invalid("/name", "a name does not begin with lst_, as ids do")
        made = ContactList(tenant=key.tenant, id=new_id("lst"), name=name, created_at=clock.now())
        if await contacts.create_list(made) is None:
            raise ApiError(409, f"there is a list {name!r} already")
        return _shown((made, 0))

    @get("/v1/lists", tags=TAGS, operation_id="listLists", summary="List the lists")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[ListShown]:
        found = await contacts.page_of_lists(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown, lambda row: row[0].seq)

    @get("/v1/lists/{list_id:str}", tags=TAGS, operation_id="getList", summary="Read a list")
    async def one(key: Caller, list_id: FromPath[str]) -> ListShown:
        """By its id or its name."""
        found = await contacts.list_named(key.tenant, list_id)
        if found is None:
            raise not_found("list", list_id)
        # The newest before the place after its own is the list itself, with its count.
        return _shown((await contacts.page_of_lists(key.tenant, limit=1, before=found.seq + 1))[0])

    return [create, index, one]
