"""Lists: newest first, in pages that walk the commit-safe sequence."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeVar

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from hookline.api.errors import bad_parameter, invalid, parameter_name
from hookline.rules.times import parse_duration, parse_time

R = TypeVar("R")
T = TypeVar("T")

# What handlers are handed that is no parameter of the query: Litestar's names, and our dependencies.
INJECTED = frozenset({"request", "data", "body", "headers", "scope", "key", "authenticator"})

Limit = Annotated[int, QueryParameter(ge=1, le=250, description="How many at most.")]
After = Annotated[str | None, QueryParameter(description="The `next` of the page before.")]
Moment = Annotated[
    str | None, QueryParameter(description='An RFC 3339 time, or a duration such as "7d" for that long ago.')
]


class Page(Struct, Generic[T], frozen=True):
    """One page; ``next`` is the cursor of the page after it, ``null`` on the last."""

    data: list[T]
    next: str | None


def cursor(place: int) -> str:
    """A place in the sequence as an opaque text."""
    return base64.urlsafe_b64encode(place.to_bytes(8, "big")).rstrip(b"=").decode()


def place_of(after: str | None, name: str = "after") -> int | None:
    """The place that a cursor stands for; ApiError 422, naming the parameter, for what is none."""
    if after is None:
        return None
    try:
        raw = base64.b64decode(after + "=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    place = int.from_bytes(raw, "big")
    if len(raw) != 8 or place >= 2**62 or cursor(place) != after:
        raise bad_parameter(name, "this is no cursor; use the next of a page as it was given")
    return place


def page_of(
    rows: Sequence[R], limit: int, show: Callable[[R], T], place: Callable[[R], int] = attrgetter("seq")
) -> Page[T]:
    """A page of the first ``limit`` of ``rows``, of which one more was asked for to know if there are more."""
    shown = rows[:limit]
    following = cursor(place(shown[-1])) if len(rows) > limit else None
    return Page([show(row) for row in shown], following)


def moment(name: str, text: str | None, now: int) -> int | None:
    """The time that a parameter means: a time, or a duration before ``now``."""
    try:
        return _moment(text, now)
    except ValueError as error:
        raise bad_parameter(name, str(error)) from None


def span(pointer: str, text: str | None, now: int) -> int | None:
    """The same for a field of the body."""
    try:
        return _moment(text, now)
    except ValueError as error:
        raise invalid(pointer, str(error)) from None


def _moment(text: str | None, now: int) -> int | None:
    if text is None:
        return None
    try:
        return now - parse_duration(text) if text[-1:] in ("s", "m", "h", "d") else parse_time(text)
    except ValueError as error:
        raise ValueError(f'{error}; a time or a duration such as "7d" is expected') from None


def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse query parameters that a handler of the API does not have: a misspelt filter must not widen."""
    if not connection.scope["path"].startswith("/v1/"):
        return
    arguments = handler.parsed_fn_signature.parameters
    known = {
        parameter_name(name, field)
        for name, field in arguments.items()
        if name not in INJECTED and name not in connection.path_params
    }
    for name in connection.query_params:
        if name not in known:
            raise bad_parameter(name, "there is no such parameter")
