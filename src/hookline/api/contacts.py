"""`/v1/contacts`: whom we know. Attributes keep the exact numbers that they came with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Raw, Struct, UnsetType

from hookline.api.auth import Caller
from hookline.api.errors import ApiError, bad_parameter, invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import Contact, EventDraft, Strict
from hookline.rules.addresses import normalise
from hookline.rules.contacts import (
    Change,
    Wrong,
    applied,
    changes,
    check_attributes,
    check_email,
    check_phone,
    check_tags,
    joining,
    told,
    told_new,
)
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services
from hookline.storage.contacts import creating, updating
from hookline.storage.units import ContactMoved

TAGS = ["Contacts"]
TRIES = 5
BUSY = "the contact is being changed by others at this moment; try again"


class ContactPatch(Strict, frozen=True, kw_only=True):
    """What is left out stays as it is.

    ``attributes`` are merged, ``null`` takes one out. ``lists`` (ids or names) are joined; none is left by
    leaving it out, and one that the contact has left is not joined again. ``tags`` replace those before.
    """

    email: str | UnsetType = UNSET
    phone: str | UnsetType | None = UNSET
    attributes: Raw | UnsetType = UNSET
    lists: list[str] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    status: Literal["active", "unsubscribed"] | UnsetType = UNSET


class ContactInput(ContactPatch, frozen=True, kw_only=True):
    """A contact, known by its email: one that is known already is changed as by ``PATCH``."""

    email: str


class Membership(Struct, frozen=True):
    """``id`` is the list's; ``status`` is ``subscribed``, ``unsubscribed``, or ``pending`` until it is confirmed."""

    id: str
    status: str


class ContactShown(Struct, frozen=True, kw_only=True):
    id: str
    email: str | None
    phone: str | None
    attributes: Raw
    tags: list[str]
    lists: list[Membership]
    status: Literal["active", "unsubscribed"]
    created_at: str
    updated_at: str


def checked(data: ContactPatch) -> Change:
    """The change, its lists left out. Wrong for what a contact cannot have."""
    fields: dict[str, Any] = {}
    if data.email is not UNSET:
        fields["email"] = check_email(data.email)
    if data.phone is not UNSET:
        fields["phone"] = check_phone(data.phone)
    if data.tags is not UNSET:
        fields["tags"] = check_tags(data.tags)
    if data.status is not UNSET:
        fields["status"] = data.status
    attributes = {} if data.attributes is UNSET else check_attributes(bytes(data.attributes))
    return Change(fields=fields, attributes=attributes)


class Contacts:
    """Makes and changes contacts, each change with its events."""

    def __init__(self, services: Services) -> None:
        self._contacts = services.storage.contacts
        self._intake = services.intake
        self._clock = services.clock

    async def find(self, tenant: str, name: str) -> Contact:
        """By id or email; ApiError 404."""
        if "@" in name:
            found = await self._contacts.by_email(tenant, normalise(name))
        else:
            found = await self._contacts.get(tenant, name)
        if found is None:
            raise not_found("contact", name)
        return found

    async def check(self, tenant: str, data: ContactPatch) -> Change:
        """ApiError 422, naming the field, for what a contact cannot have."""
        try:
            change = checked(data)
        except Wrong as error:
            raise wrong(error) from None
        lists: list[str] = []
        asking: set[str] = set()
        for place, name in enumerate([] if data.lists is UNSET else data.lists):
            found = await self._contacts.list_named(tenant, name)
            if found is None:
                raise invalid(f"/lists/{place}", f"there is no list {name!r}")
            lists.append(found.id)
            if found.double_opt_in is not None:
                asking.add(found.id)
        return msgspec.structs.replace(change, lists=tuple(dict.fromkeys(lists)), asking=frozenset(asking))

    async def put(self, tenant: str, change: Change) -> tuple[Contact, bool]:
        """Make a contact, or change the one with this email; whether it is new."""
        for _ in range(TRIES):
            stored = await self._contacts.by_email(tenant, change.fields["email"])
            if stored is not None:
                changed = await self._change(stored, change)
                if changed is not None:
                    return changed, False
                continue
            now = self._clock.now()
            new = Contact(tenant=tenant, id=new_id("ctc"), email=None, created_at=now, updated_at=now)
            made = _applied(new, change)
            with contextlib.suppress(ContactMoved):  # somebody else has just made it: change that one
                join, ask = _joining(change, {}, now)
                events = [told_new(made), *_joined(made, join, ask)]
                await self._intake.accept(tenant, events, partial(creating, made, join, ask))
                return made, True
        raise ApiError(409, BUSY)

    async def change(self, contact: Contact, change: Change) -> Contact:
        """Change a contact; ApiError 409 when another one has its new email."""
        for _ in range(TRIES):
            email = change.fields.get("email", contact.email)
            if email != contact.email and await self._contacts.by_email(contact.tenant, email) is not None:
                raise ApiError(409, f"another contact has the email {email}")
            changed = await self._change(contact, change)
            if changed is not None:
                return changed
            contact = await self.find(contact.tenant, contact.id)
        raise ApiError(409, BUSY)

    async def _change(self, stored: Contact, change: Change) -> Contact | None:
        """Store the change and tell of it; ``None`` when the contact has moved on meanwhile."""
        after = _applied(stored, change)
        changed = changes(stored, after)
        now = self._clock.now()
        before = await self._contacts.memberships(stored.tenant, stored.id) if change.lists else {}
        join, ask = _joining(change, before, now)
        if not (changed or join or ask):
            return stored
        after = msgspec.structs.replace(after, updated_at=now)
        events = [told(after, "contact.updated", {"changed": changed})] if changed else []
        if after.status == "unsubscribed" != stored.status:
            events.append(told(after, "contact.unsubscribed", {}))
        events += _joined(after, join, ask)
        try:
            await self._intake.accept(after.tenant, events, partial(updating, after, join, ask))
        except ContactMoved:
            return None
        return after

    async def show(self, contact: Contact) -> ContactShown:
        lists = await self._contacts.lists_of(contact.tenant, contact.id)
        return ContactShown(
            id=contact.id,
            email=contact.email,
            phone=contact.phone,
            attributes=Raw(contact.attributes),
            tags=list(contact.tags),
            lists=[Membership(name, status) for name, status in lists.items()],
            status=contact.status,
            created_at=format_time(contact.created_at),
            updated_at=format_time(contact.updated_at),
        )


def _applied(contact: Contact, change: Change) -> Contact:
    try:
        return applied(contact, change)
    except Wrong as error:
        raise wrong(error) from None


def wrong(error: Wrong) -> ApiError:
    """422 for what a contact cannot have."""
    return invalid(error.pointer, error.detail)


def _joining(change: Change, before: Mapping[str, tuple[str, int]], now: int) -> tuple[list[str], list[str]]:
    """The lists to join, and those that ask first."""
    found: dict[str | None, list[str]] = {}
    for name in change.lists:
        status, since = before.get(name, (None, 0))
        how = joining(name in change.asking, status, since, now, on_purpose=False)
        found.setdefault(how, []).append(name)
    return found.get("join", []), found.get("asked", [])


def _joined(contact: Contact, join: Sequence[str], ask: Sequence[str]) -> list[EventDraft]:
    events = [told(contact, "contact.subscribed", {"list": name}) for name in join]
    return events + [told(contact, "contact.pending", {"list": name}) for name in ask]


# --- routes ---------------------------------------------------------------------------------------


def routes(services: Services) -> list[HTTPRouteHandler]:
    contacts, book = services.storage.contacts, Contacts(services)

    @post(
        "/v1/contacts",
        tags=TAGS,
        operation_id="putContact",
        summary="Make or change a contact",
        responses={200: ResponseSpec(ContactShown, description="The email was known: changed.")},
    )
    async def put(key: Caller, data: JSONBody[ContactInput]) -> Response[ContactShown]:
        """201 for a new contact, 200 where the email was known."""
        contact, new = await book.put(key.tenant, await book.check(key.tenant, data))
        return Response(await book.show(contact), status_code=201 if new else 200)

    @get("/v1/contacts", tags=TAGS, operation_id="listContacts", summary="List contacts")
    async def index(
        key: Caller,
        list: FromQuery[str | None] = None,
        limit: Limit = 50,
        after: After = None,
    ) -> Page[ContactShown]:
        """All, or those subscribed to a list (its id or name)."""
        named = None if list is None else await contacts.list_named(key.tenant, list)
        if list is not None and named is None:
            raise bad_parameter("list", f"there is no list {list!r}")
        found = await contacts.page(
            key.tenant, limit=limit + 1, before=place_of(after), in_list=named.id if named else None
        )
        page = page_of(found, limit, lambda contact: contact)
        return Page(await asyncio.gather(*(book.show(contact) for contact in page.data)), page.next)

    @get("/v1/contacts/{contact:str}", tags=TAGS, operation_id="getContact", summary="Read a contact")
    async def one(key: Caller, contact: FromPath[str]) -> ContactShown:
        """By id or email."""
        return await book.show(await book.find(key.tenant, contact))

    @patch("/v1/contacts/{contact:str}", tags=TAGS, operation_id="changeContact", summary="Change a contact")
    async def change(key: Caller, contact: FromPath[str], data: JSONBody[ContactPatch]) -> ContactShown:
        stored = await book.find(key.tenant, contact)
        return await book.show(await book.change(stored, await book.check(key.tenant, data)))

    @delete("/v1/contacts/{contact:str}", tags=TAGS, operation_id="deleteContact", summary="Delete a contact")
    async def remove(key: Caller, contact: FromPath[str]) -> None:
        """Its events and suppressions stay: an address that is not to be mailed is still not mailed."""
        stored = await book.find(key.tenant, contact)
        if not await contacts.delete(key.tenant, stored.id):
            raise not_found("contact", contact)

    return [put, index, one, change, remove]
