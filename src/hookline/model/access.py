"""Who and what may come in: keys, connections, sources."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

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


Priority = Annotated[int, Meta(ge=0, le=65_535)]
FIRST_PRIORITY = 10


class ConnectionInput(Strict, frozen=True, kw_only=True):
    """``base_url`` is where an SMTP server or an HTTP API is. Of several SMTP servers that of the lowest ``priority``
    is the first, as with MX records (RFC 5321 5.1); other kinds have none."""

    name: Name
    kind: Literal["twilio", "slack", "smtp", "http"]
    credentials: dict[str, str] = {}
    base_url: str | None = None
    priority: Priority | None = None


class Connection(Struct, frozen=True, kw_only=True):
    """Credentials for actions, in clear: sealed by storage, and never shown by the API."""

    tenant: str
    id: str
    name: str
    kind: str
    base_url: str | None
    credentials: dict[str, str]
    created_at: int
    priority: int = FIRST_PRIORITY
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
