"""`/v1/connections`: credentials for actions and mail; kept sealed, and never shown again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from hookline.api.auth import Caller
from hookline.api.connection_kinds import checked, vet
from hookline.api.connection_trials import ConnectionTrial, tried
from hookline.api.errors import invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import FIRST_PRIORITY, Connection, ConnectionInput, Key, Name, Priority, Strict
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Connections"]
HIDDEN = "…"


class ConnectionPatch(Strict, frozen=True, kw_only=True):
    """``credentials`` that are named are replaced, or removed by ``null``; the others stay."""

    name: Name | UnsetType = UNSET
    base_url: str | UnsetType | None = UNSET
    credentials: dict[str, str | None] | UnsetType = UNSET
    priority: Priority | UnsetType | None = UNSET


class ConnectionShown(Struct, frozen=True, kw_only=True):
    """``credentials`` says which are set, not what they are. ``priority`` is an SMTP server's."""

    id: str
    name: str
    kind: str
    base_url: str | None
    priority: int | None
    credentials: dict[str, str]
    created_at: str


def _shown(connection: Connection) -> ConnectionShown:
    return ConnectionShown(
        id=connection.id,
        name=connection.name,
        kind=connection.kind,
        base_url=connection.base_url,
        priority=connection.priority if connection.kind == "smtp" else None,
        credentials=dict.fromkeys(connection.credentials, HIDDEN),
        created_at=format_time(connection.created_at),
    )


def _priority(kind: str, given: int | None) -> int:
    if given is not None and kind != "smtp":
        raise invalid("/priority", "only SMTP servers have a priority")
    return FIRST_PRIORITY if given is None else given


class Desk:
    """What can be done with connections."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._access = services.storage.access

    async def find(self, key: Key, name: str) -> Connection:
        found = await self._access.connection(key.tenant, name)
        if found is None:
            raise not_found("connection", name)
        return found

    async def make(self, key: Key, given: ConnectionInput) -> Connection:
        new = Connection(
            tenant=key.tenant,
            id=new_id("con"),
            name=given.name,
            kind=given.kind,
            base_url=given.base_url,
            priority=_priority(given.kind, given.priority),
            credentials=given.credentials,
            created_at=self._services.clock.now(),
        )
        checked(self._services, new)
        await vet(self._services, new)
        return await self._keep(new)

    async def change(self, key: Key, name: str, given: ConnectionPatch) -> Connection:
        stored = await self.find(key, name)
        wish: Mapping[str, str | None] = {} if given.credentials is UNSET else given.credentials
        # What comes back as it was shown stays as it is.
        new = {name: text for name, text in wish.items() if text != HIDDEN}
        merged = stored.credentials | new
        changed = msgspec.structs.replace(
            stored,
            name=stored.name if given.name is UNSET else given.name,
            base_url=stored.base_url if given.base_url is UNSET else given.base_url,
            priority=stored.priority if given.priority is UNSET else _priority(stored.kind, given.priority),
            credentials={name: text for name, text in merged.items() if text is not None},
        )
        checked(self._services, changed)
        # Credentials do not follow to an address of somebody's choosing; the provider's own is another matter.
        moved = changed.base_url is not None and changed.base_url != stored.base_url
        if moved and not set(new) >= set(stored.credentials):
            raise invalid("/credentials", "with another base_url, give the credentials again")
        if moved:
            await vet(self._services, changed)
        return await self._keep(changed)

    async def delete(self, key: Key, name: str) -> None:
        if not await self._access.delete_connection(key.tenant, name):
            raise not_found("connection", name)
        await self._services.mailer.servers.changed(key.tenant)

    async def _keep(self, connection: Connection) -> Connection:
        stored = await self._access.put_connection(connection)
        await self._services.mailer.servers.changed(connection.tenant)
        return stored


def routes(services: Services) -> list[HTTPRouteHandler]:
    desk = Desk(services)

    @post("/v1/connections", tags=TAGS, operation_id="createConnection", summary="Make a connection")
    async def create(key: Caller, data: JSONBody[ConnectionInput]) -> ConnectionShown:
        """`twilio` sends SMS, `slack` posts to channels, `http` has what a webhook's receiver asks for, and `smtp` is a
        server that your mail goes through."""
        return _shown(await desk.make(key, data))

    @get("/v1/connections", tags=TAGS, operation_id="listConnections", summary="List connections")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[ConnectionShown]:
        access = services.storage.access
        found = await access.page_of_connections(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    return [create, index, *_single(services, desk)]


def _single(services: Services, desk: Desk) -> list[HTTPRouteHandler]:
    path = "/v1/connections/{connection_id:str}"

    @get(path, tags=TAGS, operation_id="getConnection", summary="Read a connection")
    async def one(key: Caller, connection_id: FromPath[str]) -> ConnectionShown:
        return _shown(await desk.find(key, connection_id))

    @patch(path, tags=TAGS, operation_id="changeConnection", summary="Change a connection")
    async def change(
        key: Caller, connection_id: FromPath[str], data: JSONBody[ConnectionPatch]
    ) -> ConnectionShown:
        """Counts for the next attempt, also of deliveries that wait."""
        return _shown(await desk.change(key, connection_id, data))

    @delete(path, tags=TAGS, operation_id="deleteConnection", summary="Delete a connection")
    async def remove(key: Caller, connection_id: FromPath[str]) -> None:
        """Deliveries that still need it fail, and say so; mail goes through the servers that are left."""
        await desk.delete(key, connection_id)

    @post(
        path + "/test", status_code=200, tags=TAGS, operation_id="testConnection", summary="Try a connection"
    )
    async def test(key: Caller, connection_id: FromPath[str]) -> ConnectionTrial:
        """Connects and logs in, and sends nothing. 409 for `http`, of which nobody knows what a login is."""
        return await tried(services, await desk.find(key, connection_id))

    return [one, change, remove, test]
