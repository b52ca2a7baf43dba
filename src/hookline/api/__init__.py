"""The HTTP API: one module for each resource, listed once, here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from litestar import Litestar, Response
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Receive, Scope, Send

from hookline.api import (
    campaign_figures,
    campaign_life,
    campaigns,
    confirming,
    connections,
    contacts,
    deliveries,
    docs,
    erasures,
    events,
    exports,
    health,
    hooks,
    imports,
    inbound,
    keys,
    lists,
    mail_templates,
    mailjet,
    messages,
    openapi,
    receiving,
    replays,
    segments,
    sources,
    stats,
    suppressions,
    tracking,
)
from hookline.api.auth import Authenticator, provide_key
from hookline.api.bodies import MAX_BODY, MAX_IN, MAX_MAIL, JsonBody, limited
from hookline.api.errors import ApiError, handle
from hookline.api.hits import Hits
from hookline.api.paging import known_parameters
from hookline.api.publishing import Publisher
from hookline.services import Services
from hookline.storage import StorageUnavailable

UNHEARD_OF: Literal["TRACE"] = "TRACE"  # a method that nothing here answers


class Resource(Protocol):
    """What each module has."""

    def routes(self, services: Services) -> Sequence[HTTPRouteHandler]: ...


RESOURCES: tuple[Resource, ...] = (
    events, hooks, deliveries, replays, imports, exports, erasures, contacts, lists, segments, suppressions,
    mail_templates, campaigns, campaign_life, campaign_figures, messages, connections, sources, receiving,
    inbound, keys, tracking, confirming, mailjet, health, stats, docs,
)  # fmt: skip


class Api:
    """The API, and ``pages`` beside it, as an ASGI application. ``publisher`` answers ``POST /v1/events`` and ``hits``
    pixels and links of mails, the hot paths, past the framework."""

    def __init__(self, services: Services, pages: Sequence[HTTPRouteHandler] = ()) -> None:
        authenticator = Authenticator(services.storage)
        self.publisher = Publisher(services, authenticator)
        self.hits = Hits(services)
        self._framework = build_litestar(services, authenticator, pages)

    async def idle(self) -> None:
        """Return when all is stored that was answered so far."""
        await self.hits.idle()

    async def close(self, seconds: float) -> None:
        """Write down what was answered and is not stored yet, within so many seconds."""
        await self.hits.close(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._framework(scope, receive, send)
        elif scope["method"] == "HEAD" and not scope["path"].startswith(
            "/t/"
        ):  # there it is no reader's doing
            await self({**scope, "method": "GET"}, receive, _bodiless(send))
        elif scope["method"] == "OPTIONS" and not scope["path"].startswith("/in/"):
            await self._framework({**scope, "method": UNHEARD_OF}, receive, _methods(send))
        elif scope["path"] == "/v1/events" and scope["method"] == "POST":
            await self.publisher(scope, receive, send)
        elif scope["path"].startswith(("/t/o/", "/t/c/", "/t/h/")) and await self.hits.answered(scope, send):
            pass
        elif scope["path"] == "/v1/contacts/import":  # read as it comes, of any length
            await self._framework(scope, receive, send)
        else:
            await self._framework(scope, limited(receive, scope["headers"], _most(scope["path"])), send)


def _bodiless(send: Send) -> Send:
    """Sends the head of an answer only (RFC 9110, 9.3.2), and says at once that this was all."""

    async def head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return head


def _methods(send: Send) -> Send:
    """Turns the refusal of a method, which names those that there are, into the answer to OPTIONS (9.3.7).

    The framework's own answer knows those of one handler of a path only.
    """

    async def options(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            allow = dict(message["headers"]).get(b"allow", b"").decode().split(", ")
            more = ["HEAD"] if "GET" in allow else []
            told = ", ".join(sorted({*allow, "OPTIONS", *more})).encode()
            await send({**message, "status": 204, "headers": [(b"allow", told)]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            refused.append(True)
        elif not refused:
            await send(message)

    refused: list[bool] = []
    return options


def _most(path: str) -> int:
    """How many bytes a request's body may have."""
    if path == "/in/mail":
        return MAX_MAIL
    return MAX_IN if path.startswith("/in/") else MAX_BODY


def build_litestar(
    services: Services, authenticator: Authenticator, pages: Sequence[HTTPRouteHandler]
) -> Litestar:
    """Everything but the hot path."""
    return Litestar(
        [*(handler for resource in RESOURCES for handler in resource.routes(services)), *pages],
        guards=[authenticator.guard, known_parameters],
        dependencies={
            "key": Provide(provide_key, sync_to_thread=False),
            "authenticator": Provide(lambda: authenticator, sync_to_thread=False),
        },
        dto=JsonBody,
        return_dto=None,
        exception_handlers={
            ApiError: handle, HTTPException: handle, StorageUnavailable: handle, Exception: handle
        },
        request_max_body_size=None,  # see `limited`
        after_request=_protect,
        openapi_config=openapi.config(),
        logging_config=None,
    )  # fmt: skip


def _protect(response: Response[Any]) -> Response[Any]:
    """Answers are not for caches, and are what they say they are."""
    response.headers.setdefault("cache-control", "no-store")
    response.headers.setdefault("x-content-type-options", "nosniff")
    return response
