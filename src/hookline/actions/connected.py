"""Connections as actions use them: looked up for each attempt, so that a change counts for the next one."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlsplit

from hookline.actions.headers import check_header
from hookline.actions.work import Invalid, Work
from hookline.model import Connection, Outcome

_PORTS = {"http": 80, "https": 443}
_WAYS = "give a token, or a username with its password, or a header with its value"


async def connection_for(work: Work, name: str, kind: str) -> Connection | Outcome:
    """The tenant's connection, or what becomes of a delivery that lacks it."""
    found = await work.tools.storage.access.connection(work.delivery.tenant, name)
    if found is None or found.kind != kind:
        return Outcome(result="permanent", error="provider", detail=f"there is no connection {name}")
    return found


def header_of(connection: Connection) -> tuple[str, str]:
    """The header in which the credentials of a connection of kind ``http`` are sent: a bearer token (RFC 6750), basic
    auth (RFC 7617), or one by name. Raises Invalid."""
    given = connection.credentials
    match sorted(given):
        case ["token"]:
            name, value = "authorization", f"Bearer {given['token']}"
        case ["password", "username"]:
            if ":" in given["username"]:
                raise Invalid("/credentials/username", "a user name of basic auth has no colon")
            login = f"{given['username']}:{given['password']}".encode()
            name, value = "authorization", f"Basic {b64encode(login).decode()}"
        case ["header", "value"]:
            name, value = given["header"].lower(), given["value"]
        case _:
            raise Invalid("/credentials", _WAYS)
    check_header("/credentials/" + ("header" if "header" in given else next(iter(given))), name, value)
    return name, value


def aimed(url: str, connection: Connection) -> str:
    """Where a hook's ``url`` leads with a connection: a path is below its base URL, and another URL has its scheme,
    host and port, for credentials go nowhere else. Raises Invalid."""
    base = connection.base_url or ""
    if url.startswith("/"):
        return base.rstrip("/") + url
    if _origin(url) != _origin(base):
        raise Invalid("/do/url", f"with this connection it is a path, or a URL at {urlsplit(base).netloc}")
    return url


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return "", None, None
