"""Who and what may come in: keys, connections, sources."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hookline.model.common import Name, Strict


class Key(Struct, frozen=True, kw_only=True):
    """An API key; the key itself is known only to its user, we keep its SHA-256."""

    tenant: str
    id: str
    name: str
    scope: Literal["read", "publish", "manage"]
    created_at: int
    revoked_at: int | None = None
    seq: int = 0


class ConnectionInput(Strict, frozen=True, kw_only=True):
    name: Name
    kind: Literal["twilio"]
    credentials: dict[str, str]
    base_url: str | None = None


class Connection(Struct, frozen=True, kw_only=True):
    """Credentials for actions, in clear: sealed by storage, and never shown by the API."""

    tenant: str
    id: str
    name: str
    kind: str
    base_url: str | None
    credentials: dict[str, str]
    created_at: int
    seq: int = 0


class SourceInput(Strict, frozen=True, kw_only=True):
    name: Name
    kind: str
    credentials: dict[str, str] = {}


class Source(Struct, frozen=True, kw_only=True):
    """Where a provider's webhooks arrive; its id is the address's last part."""

    tenant: str
    id: str
    name: str
    kind: str
    credentials: dict[str, str]
    created_at: int
    refused: int = 0
    seq: int = 0
