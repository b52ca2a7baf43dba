"""What a connection of each kind has to be before it is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from hookline.actions.connected import header_of
from hookline.actions.work import Invalid
from hookline.api.errors import escape, invalid
from hookline.model import Connection
from hookline.net.smtp import parse_smtp_url
from hookline.net.targets import TargetRefused
from hookline.services import Services


class Kind(Struct, frozen=True):
    """The names of its credentials, of which some may be left out, and whether it has to have a base URL."""

    credentials: tuple[str, ...]
    optional: tuple[str, ...] = ()
    located: bool = False


_HTTP = ("token", "username", "password", "header", "value")
KINDS: Mapping[str, Kind] = {
    "twilio": Kind(("account_sid", "auth_token", "from")),
    "slack": Kind(("token",)),
    "smtp": Kind(("username", "password"), ("username", "password"), located=True),
    "http": Kind(_HTTP, _HTTP, located=True),
}


def check_credentials(
    given: Mapping[str, str], names: tuple[str, ...], optional: Collection[str] = ()
) -> None:
    """ApiError 422, naming the field, unless all of ``names`` but the optional are given, and each is some text."""
    for name in given:
        if name not in names:
            raise invalid(f"/credentials/{escape(name)}", f"unknown field; there are {', '.join(names)}")
    for name in names:
        if (name not in optional or name in given) and not given.get(name, "").strip():
            raise invalid(f"/credentials/{name}", "this field is required")


def checked(services: Services, connection: Connection) -> None:
    """ApiError 422, naming the field, for one that could not be used."""
    kind = KINDS[connection.kind]
    if kind.located and connection.base_url is None:
        raise invalid("/base_url", "this field is required")
    check_credentials(connection.credentials, kind.credentials, kind.optional)
    if connection.kind == "smtp":
        _check_smtp(services, connection)
    elif connection.base_url is not None:
        if "?" in connection.base_url:
            raise invalid("/base_url", "a base URL has no query")
        try:
            services.http.check(connection.base_url)
        except TargetRefused as error:
            raise invalid("/base_url", str(error)) from None
    if connection.kind == "http":
        try:
            header_of(connection)
        except Invalid as error:
            raise invalid(error.pointer, error.detail) from None


async def vet(services: Services, connection: Connection) -> None:
    """ApiError 422 for a checked one whose host leads, as DNS has it now, only where nothing may reach."""
    try:
        if connection.kind == "smtp":
            await services.mailer.servers.vet(connection)
        elif connection.base_url is not None:
            await services.http.vet(connection.base_url)
    except TargetRefused as error:
        raise invalid("/base_url", str(error)) from None


def _check_smtp(services: Services, connection: Connection) -> None:
    given = connection.credentials
    if len(given) == 1:
        missing = "password" if "username" in given else "username"
        raise invalid(f"/credentials/{missing}", "a login has both a username and a password")
    for name, text in given.items():
        if any(ord(char) < 32 for char in text):
            raise invalid(f"/credentials/{name}", "this holds a control character")
    try:
        if parse_smtp_url(connection.base_url or "").username is not None:
            raise invalid("/base_url", "leave the login out of the URL: it belongs into credentials")
        services.mailer.servers.check(connection)
    except (TargetRefused, ValueError) as error:
        raise invalid("/base_url", str(error)) from None
