"""`/v1/lists`: the lists that contacts subscribe to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from hookline.api.auth import Caller
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.mail import confirming
from hookline.mail.compose import FieldError
from hookline.model import ContactList, DoubleOptIn, Name, Strict
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Lists"]


class ListInput(Strict, frozen=True, kw_only=True):
    """With ``double_opt_in`` whoever is put on the list is asked by a mail first, and is ``pending`` until then."""

    name: Name
    double_opt_in: DoubleOptIn | None = None


class ListPatch(Strict, frozen=True, kw_only=True):
    """``double_opt_in`` is replaced as a whole; ``null`` asks nobody any more."""

    name: Name | UnsetType = UNSET
    double_opt_in: DoubleOptIn | UnsetType | None = UNSET


class ListShown(Struct, frozen=True, kw_only=True):
    """``subscribed`` is how many of its members a campaign would reach now."""

    id: str
    name: str
    double_opt_in: DoubleOptIn | None
    subscribed: int
    created_at: str


def _shown(row: tuple[ContactList, int]) -> ListShown:
    found, subscribed = row
    return ListShown(
        id=found.id,
        name=found.name,
        double_opt_in=found.double_opt_in,
        subscribed=subscribed,
        created_at=format_time(found.created_at),
    )


def _name(text: str) -> str:
    name = text.strip()
    if not name:
        raise invalid("/name", "a list has a name")
    if name.startswith("lst_"):
        raise invalid("/name", "a name does not begin with lst_, as ids do")
    return name


def _check_asking(services: Services, asking: DoubleOptIn | None) -> None:
    """ApiError 422 for a mail that cannot be, 409 where no mail could be sent."""
    if asking is None:
        return
    try:
        confirming.prepare(asking)
    except FieldError as error:
        raise invalid(f"/double_opt_in/{error.field}", error.detail) from None
    if asking.redirect is not None:
        parts = urlsplit(asking.redirect)
        if parts.scheme not in ("http", "https") or not parts.hostname or not asking.redirect.isprintable():
            raise invalid(
                "/double_opt_in/redirect", "this is an http(s) address such as https://shop.example/welcome"
            )
    for name in ("smtp_url", "public_url"):
        if not getattr(services.settings, name):
            raise ApiError(
                409, f"nobody could be asked by mail: set HOOKLINE_{name.upper()} (serve --dev brings it)"
            )


def routes(services: Services) -> list[HTTPRouteHandler]:
    contacts, clock = services.storage.contacts, services.clock

    @post("/v1/lists", tags=TAGS, operation_id="createList", summary="Make a list")
    async def create(key: Caller, data: JSONBody[ListInput]) -> ListShown:
        name = _name(data.name)
        _check_asking(services, data.double_opt_in)
        made = ContactList(
            tenant=key.tenant,
            id=new_id("lst"),
            name=name,
            double_opt_in=data.double_opt_in,
            created_at=clock.now(),
        )
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
        return await show(found)

    async def show(found: ContactList) -> ListShown:
        # The newest before the place after its own is the list itself, with its count.
        return _shown((await contacts.page_of_lists(found.tenant, limit=1, before=found.seq + 1))[0])

    @patch("/v1/lists/{list_id:str}", tags=TAGS, operation_id="changeList", summary="Change a list")
    async def change(key: Caller, list_id: FromPath[str], data: JSONBody[ListPatch]) -> ListShown:
        """Who is pending stays so; nobody who is subscribed is asked anew."""
        stored = await contacts.list_named(key.tenant, list_id)
        if stored is None:
            raise not_found("list", list_id)
        fields: dict[str, Any] = {}
        if data.name is not UNSET:
            fields["name"] = _name(data.name)
        if data.double_opt_in is not UNSET:
            _check_asking(services, data.double_opt_in)
            fields["double_opt_in"] = data.double_opt_in
        changed = msgspec.structs.replace(stored, **fields)
        if not await contacts.change_list(changed):
            raise ApiError(409, f"there is a list {changed.name!r} already")
        return await show(changed)

    return [create, index, one, change]
