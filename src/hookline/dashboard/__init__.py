"""One page for people: a campaign's figures, live, and a form that adds a webhook.

The page is static. Its script talks to ``/v1`` with an API key that the user pastes, or that comes in the
address's fragment (``#key=hl_…``), which browsers never send; the key stays in the tab's session storage.
"""

from __future__ import annotations

from importlib.resources import files

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

PUBLIC = {"scope": "public"}  # for the API's guard: the page itself tells nothing
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
ASSETS = (
    "page.css", "page.js", "api.js", "dom.js", "words.js", "figures.js", "form.js", "hooks.js", "events.js",
    "answer.js", "icon.svg",
)  # fmt: skip

# Events and receivers' answers are untrusted: with Trusted Types a slip into innerHTML throws instead of running
# (CSP level 3 and https://www.w3.org/TR/trusted-types/).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def routes() -> list[HTTPRouteHandler]:
    """Handlers for ``GET /`` and ``/dashboard``, the page, and ``/assets/{name}``, what it is made of."""
    page = _load("page.html")
    assets = {name: _load(name) for name in ASSETS}

    @get(["/", "/dashboard"], opt=PUBLIC, include_in_schema=False)
    async def dashboard() -> Response[bytes]:
        return _response("page.html", page)

    @get("/assets/{name:str}", opt=PUBLIC, include_in_schema=False)
    async def asset(name: FromPath[str]) -> Response[bytes]:
        if name not in assets:
            raise NotFoundException(f"there is no {name} here")
        return _response(name, assets[name])

    return [dashboard, asset]


def _load(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


def _response(name: str, body: bytes) -> Response[bytes]:
    media_type = MEDIA_TYPES[name[name.rindex(".") :]]
    return Response(body, media_type=media_type, headers=HEADERS)
