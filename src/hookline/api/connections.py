"""`/v1/connections`: credentials for actions; kept sealed, and never shown again."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from hookline.api.auth import Caller
from hookline.api.errors import invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import Connection, ConnectionInput, Name, Strict
from hookline.net.targets import TargetRefused
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Connections"]
HIDDEN = "…"
CREDENTIALS: Mapping[str, tuple[str, ...]] = {"twilio": ("account_sid", "auth_token", "from")}


class ConnectionPatch(Strict, frozen=True, kw_only=True):
    """``credentials`` that are named are replaced, the others stay."""

    name: Name | UnsetType = UNSET
    base_url: str | UnsetType | None = UNSET
    credentials: dict[str, str] | UnsetType = UNSET


class ConnectionShown(Struct, frozen=True, kw_only=True):
    """``credentials`` says which are set, not what they are."""

    id: str
    name: str
    kind: str
    base_url: str | None
    credentials: dict[str, str]
    created_at: str


def _shown(connection: Connection) -> ConnectionShown:
    return ConnectionShown(
        id=connection.id,
        name=connection.name,
        kind=connection.kind,
        base_url=connection.base_url,
        credentials=dict.fromkeys(connection.credentials, HIDDEN),
        created_at=format_time(connection.created_at),
    )


def check_credentials(
    given: Mapping[str, str], names: tuple[str, ...], optional: Collection[str] = ()
) -> None:
    """ApiError 422, naming the field, unless all of ``names`` but the optional are given, and each is some text."""
    for name in given:
        if name not in names:
            pointer = "/credentials/" + name.replace("~", "~0").replace("/", "~1")
            raise invalid(pointer, f"unknown field; there are {', '.join(names)}")
    for name in names:
        if (name not in optional or name in given) and not given.get(name, "").strip():
            raise invalid(f"/credentials/{name}", "this field is required")


def routes(services: Services) -> list[HTTPRouteHandler]:
    access, clock = services.storage.access, services.clock

    def check(connection: Connection) -> Connection:
        check_credentials(connection.credentials, CREDENTIALS[connection.kind])
        if connection.base_url is not None:
            if "?" in connection.base_url:
                raise invalid("/base_url", "a base URL has no query")
            try:
                services.http.check(connection.base_url)
            except TargetRefused as error:
                raise invalid("/base_url", str(error)) from None
        return connection

    async def find(key: Caller, connection_id: FromPath[str]) -> Connection:
        found = await access.connection(key.tenant, connection_id)
        if found is None:
            raise not_found("connection", connection_id)
        return found

    @post("/v1/connections", tags=TAGS, operation_id="createConnection", summary="Make a connection")
    async def create(key: Caller, data: JSONBody[ConnectionInput]) -> ConnectionShown:
        new = Connection(
            tenant=key.tenant,
            id=new_id("con"),
            name=data.name,
            kind=data.kind,
            base_url=data.base_url,
            credentials=data.credentials,
            created_at=clock.now(),
        )
        return _shown(await access.put_connection(check(new)))

    @get("/v1/connections", tags=TAGS, operation_id="listConnections", summary="List connections")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[ConnectionShown]:
        found = await access.page_of_connections(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    @get(
        "/v1/connections/{connection_id:str}",
        tags=TAGS,
        operation_id="getConnection",
        summary="Read a connection",
    )
    async def one(key: Caller, connection_id: FromPath[str]) -> ConnectionShown:
        return _shown(await find(key, connection_id))

    @patch(
        "/v1/connections/{connection_id:str}",
        tags=TAGS,
        operation_id="changeConnection",
        summary="Change a connection",
    )
    async def change(
        key: Caller, connection_id: FromPath[str], data: JSONBody[ConnectionPatch]
    ) -> ConnectionShown:
        """Counts for the next attempt, also of deliveries that wait."""
        stored = await find(key, connection_id)
        given = {} if data.credentials is UNSET else data.credentials
        # What comes back as it was shown stays as it is.
        new = {name: text for name, text in given.items() if text != HIDDEN}
        changed = msgspec.structs.replace(
            stored,
            name=stored.name if data.name is UNSET else data.name,
            base_url=stored.base_url if data.base_url is UNSET else data.base_url,
            credentials=stored.credentials | new,
        )
        check(changed)
        # Credentials do not follow to an address of somebody's choosing; the provider's own is another matter.
        moved = changed.base_url is not None and changed.base_url != stored.base_url
        if moved and set(new) != set(stored.credentials):
            raise invalid("/credentials", "with another base_url, give the credentials again")
        return _shown(await access.put_connection(changed))

    @delete(
        "/v1/connections/{connection_id:str}",
        tags=TAGS,
        operation_id="deleteConnection",
        summary="Delete a connection",
    )
    async def remove(key: Caller, connection_id: FromPath[str]) -> None:
        """Deliveries that still need it fail, and say so."""
        if not await access.delete_connection(key.tenant, connection_id):
            raise not_found("connection", connection_id)

    return [create, index, one, change, remove]
