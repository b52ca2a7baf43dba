"""The description of the API, OpenAPI 3.1: what Litestar derives from the handlers, and what it cannot know."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from msgspec import Struct

from hookline import __version__
from hookline.api.auth import PUBLIC, needed_scope
from hookline.api.errors import MEDIA_TYPE, Problem
from hookline.api.publishing import BATCHED, STRUCTURED
from hookline.model import Strict

PATH = "/openapi.json"
DESCRIPTION = """\
Send an API key with every call: `Authorization: Bearer hl_…`. A key has a scope: `read` reads everything, \
`publish` also publishes events, `manage` changes everything.

Errors are problem details (RFC 9457, `application/problem+json`). Their `errors` name the `pointer` of a field \
of the body, or the `parameter` of the query.

Lists answer `{"data": […], "next": …}`, newest first. `next` is what `after` takes for the page after it, and \
`null` on the last.

Times are RFC 3339 in UTC, durations are `"90s"`, `"5m"`, `"24h"`, `"7d"`. Unknown fields are errors. A body is \
at most 1 MiB, an array of events 8 MiB.
"""
_GENERIC = re.compile(rb"Page_[\w.]*?(\w+)_(?=\")")


class _Json(OpenAPIRenderPlugin):
    """Serves the completed description."""

    def __init__(self) -> None:
        # The second path keeps Litestar from adding one of its own.
        super().__init__(path=["/", PATH], media_type=MediaType.JSON)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return msgspec.json.encode(completed(request.app, openapi_schema))


def config() -> OpenAPIConfig:
    """What Litestar is to derive, and to serve at ``PATH``."""
    return OpenAPIConfig(
        title="Hookline",
        version=__version__,
        description=DESCRIPTION,
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"key": []}],
        use_handler_docstrings=True,
        openapi_router=Router(PATH, route_handlers=[], include_in_schema=False, opt=PUBLIC),
        render_plugins=[_Json()],
    )


def described(app: Litestar) -> dict[str, Any]:
    """The whole description, as plain values."""
    return completed(app, app.openapi_schema.to_schema())


def completed(app: Litestar, derived: dict[str, Any]) -> dict[str, Any]:
    schema = deepcopy(derived)
    scopes = _scopes(app)
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            scope = scopes[path, method.upper()]
            if scope == "public":
                operation["security"] = []
            else:
                operation["x-scope"] = scope
            operation["responses"].pop("400", None)  # Litestar's own form of an error
            operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
    _also_cloudevents(schema["paths"]["/v1/events"]["post"])
    components = schema["components"]
    components["responses"] = {
        "Problem": {
            "description": "What went wrong.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    components["schemas"] |= msgspec.json.schema_components(
        [Problem], ref_template="#/components/schemas/{name}"
    )[1]
    strict = {kind.__name__ for kind in _subclasses(Strict)}
    meanings = {kind.__name__: kind.__doc__ for kind in _subclasses(Struct)}
    for name, found in components["schemas"].items():
        if name in strict:
            found["additionalProperties"] = False
        found.setdefault("description", (meanings.get(name) or "").replace("``", "`"))
    named: dict[str, Any] = msgspec.json.decode(_GENERIC.sub(rb"PageOf\1", msgspec.json.encode(schema)))
    return named


def _scopes(app: Litestar) -> dict[tuple[str, str], str]:
    return {
        (route.path_format or "/", method): needed_scope(handler.opt, method)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    }


def _also_cloudevents(operation: dict[str, Any]) -> None:
    event = {"type": "object", "required": ["specversion", "id", "source", "type"]}
    operation["requestBody"]["content"] |= {
        STRUCTURED: {"schema": event},
        BATCHED: {"schema": {"type": "array", "items": event}},
    }


def _subclasses(kind: type[Any]) -> list[type[Any]]:
    return [kind, *(inner for one in kind.__subclasses__() for inner in _subclasses(one))]
