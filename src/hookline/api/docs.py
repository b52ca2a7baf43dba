"""`/docs`: the description of the API as a page to read, made on the server, without a script."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from hookline.api.auth import PUBLIC
from hookline.api.openapi import PATH, described
from hookline.services import Services

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
h2 { margin-top: 3rem; border-bottom: 1px solid #8886; }
h3 { margin: 2rem 0 0.25rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
td { border-top: 1px solid #8884; padding: 0.25rem 1rem 0.25rem 0; vertical-align: top; }
td:first-child { width: 14rem; }
nav ul { columns: 2; }
.scope { color: #767676; }
"""
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_CODE = re.compile(r"`([^`]*)`")


def routes(services: Services) -> list[HTTPRouteHandler]:
    @get("/docs", opt=PUBLIC, include_in_schema=False)
    async def docs(request: Request[Any, Any, Any]) -> Response[str]:
        return Response(page(described(request.app)), media_type=MediaType.HTML, headers=HEADERS)

    return [docs]


def page(api: Mapping[str, Any]) -> str:
    """The whole page for an OpenAPI description."""
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, item in api["paths"].items():
        for method, operation in item.items():
            for tag in operation.get("tags", ["Other"]):
                by_tag.setdefault(tag, []).append((method.upper(), path, operation))
    schemas = api["components"]["schemas"]
    info = api["info"]
    return "".join(
        (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>',
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><main>',
            f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1>{_paragraphs(info['description'])}",
            f'<p>For programs: <a href="{PATH}"><code>{PATH}</code></a>, OpenAPI {escape(api["openapi"])}.</p>',
            f"<nav>{_contents(by_tag)}</nav>",
            *(_section(tag, operations) for tag, operations in by_tag.items()),
            '<h2 id="types">Types</h2>',
            *(_type(name, schemas[name]) for name in sorted(schemas)),
            "</main></html>",
        )
    )


def _contents(by_tag: Mapping[str, Iterable[tuple[str, str, Mapping[str, Any]]]]) -> str:
    rows: list[str] = []
    for tag, operations in by_tag.items():
        items = "".join(
            f'<li><a href="#{escape(operation["operationId"])}">{escape(operation.get("summary", path))}</a>'
            for _, path, operation in operations
        )
        rows.append(f"<p><strong>{escape(tag)}</strong></p><ul>{items}</ul>")
    return "".join(rows)


def _section(tag: str, operations: Iterable[tuple[str, str, Mapping[str, Any]]]) -> str:
    return f"<h2>{escape(tag)}</h2>" + "".join(_operation(*one) for one in operations)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    scope = operation.get("x-scope")
    rows = [
        (
            f"<code>{escape(one['name'])}</code> in {one['in']}",
            _words(one["schema"]),
            one.get("description", ""),
        )
        for one in operation.get("parameters", ())
    ]
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        rows.append(("body", _words(body["schema"]), f"`{media}`"))
    for status, response in operation["responses"].items():
        if status == "default":
            continue
        content = response.get("content", {})
        answer = next((_words(one["schema"]) for one in content.values() if "schema" in one), "nothing")
        rows.append((f"answers {escape(status)}", answer, ""))
    needs = f"a key with the scope {escape(scope)}" if scope else "no key"
    return (
        f'<h3 id="{escape(operation["operationId"])}">{escape(operation.get("summary", ""))}</h3>'
        f"<p><code>{method} {escape(path)}</code> <span class=scope>needs {needs}</span></p>"
        f"{_paragraphs(operation.get('description', ''))}{_table(rows)}"
    )


def _type(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(field)}</code>{'' if field in required else ' (optional)'}",
            _words(found),
            found.get("description", ""),
        )
        for field, found in schema.get("properties", {}).items()
    ]
    body = _table(rows) if rows else f"<p>{_words(schema)}</p>"
    return (
        f'<h3 id="type-{escape(name)}">{escape(name)}</h3>{_paragraphs(schema.get("description", ""))}{body}'
    )


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    cells = "".join(f"<tr><td>{name}<td>{words}<td>{_inline(text)}" for name, words, text in rows)
    return f"<table>{cells}</table>" if cells else ""


def _words(schema: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#type-{name}">{name}</a>'
    for combined in ("oneOf", "anyOf"):
        if combined in schema:
            return " or ".join(_words(one) for one in schema[combined])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"array of {_words(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_words(schema['additionalProperties'])}"
    return escape(" or ".join(kind) if isinstance(kind, list) else kind)


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
