"""`/v1/keys`: API keys. The key itself is shown once, when it is made."""

from __future__ import annotations

import secrets

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.api.auth import MANAGE, Authenticator, Caller
from hookline.api.errors import not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import Key, Name, Strict
from hookline.rules.keys import RANDOM_BYTES, Scope, digest, new_key
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Keys"]


class KeyInput(Strict, frozen=True, kw_only=True):
    """``scope``: ``read`` reads all, ``publish`` also publishes events, ``manage`` changes everything."""

    name: Name
    scope: Scope


class KeyShown(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    scope: Scope
    created_at: str
    revoked_at: str | None


class KeyMade(Struct, frozen=True, kw_only=True):
    """``key`` is shown here and never again."""

    id: str
    name: str
    scope: Scope
    created_at: str
    key: str


def _shown(key: Key) -> KeyShown:
    return KeyShown(
        id=key.id,
        name=key.name,
        scope=key.scope,
        created_at=format_time(key.created_at),
        revoked_at=None if key.revoked_at is None else format_time(key.revoked_at),
    )


def routes(services: Services) -> list[HTTPRouteHandler]:
    access, clock = services.storage.access, services.clock

    @post("/v1/keys", tags=TAGS, operation_id="createKey", summary="Make a key")
    async def create(key: Caller, data: JSONBody[KeyInput]) -> KeyMade:
        made, text = new_key(
            key.tenant, data.name, data.scope, clock.now(), secrets.token_bytes(RANDOM_BYTES)
        )
        await access.put_key(made, digest(text))
        return KeyMade(
            id=made.id, name=made.name, scope=made.scope, created_at=format_time(made.created_at), key=text
        )

    @get("/v1/keys", opt=MANAGE, tags=TAGS, operation_id="listKeys", summary="List keys")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[KeyShown]:
        found = await access.page_of_keys(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    @delete("/v1/keys/{key_id:str}", tags=TAGS, operation_id="revokeKey", summary="Revoke a key")
    async def revoke(
        key: Caller, authenticator: NamedDependency[Authenticator], key_id: FromPath[str]
    ) -> None:
        """It stops working at once here, and within two seconds in other processes."""
        if not await access.revoke_key(key.tenant, key_id, clock.now()):
            raise not_found("key", key_id)
        authenticator.forget()

    return [create, index, revoke]
