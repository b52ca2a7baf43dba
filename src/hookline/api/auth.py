"""Who calls: API keys, looked up by their SHA-256, and what each scope reaches."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler

from hookline.api.errors import ApiError
from hookline.model import Key
from hookline.rules.keys import SCOPES, digest
from hookline.storage import Storage, StorageUnavailable

REMEMBER_SECONDS = 2.0
REMEMBER_KEYS = 1024

# For a handler's `opt`. Without one, GET asks for `read` and everything else for `manage`.
PUBLIC = {"scope": "public"}
PUBLISH = {"scope": "publish"}
MANAGE = {"scope": "manage"}
# Basic auth in a key's place: any name, and the key as the password.
BASIC = {"basic": True}


class Authenticator:
    """Finds keys, and remembers those it found for ``REMEMBER_SECONDS``: a key revoked elsewhere lives on so long."""

    def __init__(self, storage: Storage, seconds: Callable[[], float] = monotonic) -> None:
        self._storage = storage
        self._seconds = seconds
        self._known: dict[bytes, tuple[float, Key]] = {}

    async def key(self, authorization: str | None) -> Key:
        """The key of an ``Authorization`` header. ApiError 401 for none."""
        scheme, _, text = (authorization or "").strip().partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise _unauthorized("send an API key: Authorization: Bearer hl_…", "Bearer")
        name = digest(text)
        known = self._known.get(name)
        if known is not None and self._seconds() - known[0] < REMEMBER_SECONDS:
            return known[1]
        key = await self._storage.access.key_by_digest(name)
        if key is None:
            self._known.pop(name, None)
            raise _unauthorized("this API key is unknown or was revoked", 'Bearer error="invalid_token"')
        if len(self._known) >= REMEMBER_KEYS:
            self._known.clear()
        self._known[name] = (self._seconds(), key)
        return key

    async def lets(self, authorization: str | None) -> bool:
        """Whether this header's key still holds; while the database is away, it does."""
        try:
            await self.key(authorization)
        except ApiError:
            return False
        except StorageUnavailable:
            pass
        return True

    def forget(self) -> None:
        """Look every key up anew: one was revoked."""
        self._known.clear()

    async def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Let a request through to its handler, with ``connection.auth`` its key, or raise 401 or 403."""
        scope = needed_scope(handler.opt, str(connection.scope.get("method")))
        if scope == "public":
            return
        authorization = connection.headers.get("authorization")
        key = await self.key(_bearer(authorization) if handler.opt.get("basic") else authorization)
        require(key, scope)
        connection.scope["auth"] = key


def needed_scope(opt: Mapping[str, Any], method: str) -> str:
    """What a handler with this ``opt`` asks of a key, or ``public``."""
    if method == "OPTIONS":
        return "public"
    return str(opt.get("scope", "read" if method in ("GET", "HEAD") else "manage"))


def require(key: Key, scope: str) -> None:
    """ApiError 403 unless the key's scope reaches ``scope``; each scope has those before it."""
    if SCOPES.index(key.scope) < SCOPES.index(scope):
        raise ApiError(403, f"this needs a key with the scope {scope}; this key has {key.scope}")


def _bearer(authorization: str | None) -> str | None:
    """Basic auth (RFC 7617) whose password is a key, as the header that the key itself would have."""
    scheme, _, encoded = (authorization or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        return "Bearer " + b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _unauthorized(detail: str, challenge: str) -> ApiError:
    return ApiError(401, detail, headers={"www-authenticate": challenge})


Caller = NamedDependency[Key]
"""A handler's ``key: Caller`` is the API key that called it."""


def provide_key(request: Request[Any, Key, Any]) -> Key:
    """What ``guard`` found."""
    return request.auth
