"""`/t/u/…`: unsubscribing; public, and only for tokens that were signed here. Pixels and links are in `hits`."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from hookline.api.auth import PUBLIC
from hookline.api.errors import ApiError
from hookline.api.hits import HEADERS, LONGEST_AGENT
from hookline.api.mail_events import mail_event
from hookline.mail.sender import SOURCE
from hookline.model import EventDraft, Message
from hookline.rules import tokens
from hookline.rules.ids import new_id
from hookline.services import Services
from hookline.storage.units import Accepted, SourceIdConflict

PAGE_HEADERS = {
    **HEADERS,
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
}
LONGEST_FORM = 4096  # bytes of what is posted that are looked at
_ONE_CLICK = re.compile(rb"List-Unsubscribe\b.{0,200}?One-Click", re.I | re.S)
FETCH = [HttpMethod.GET, HttpMethod.HEAD]
T = TypeVar("T", bound=tokens.Token)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1.5rem; }}
button {{ font: inherit; padding: .6rem 1.4rem; cursor: pointer; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181d; color: #e8e8e8; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
ASK = PAGE.format(
    title="Unsubscribe?",
    body='<p>You will get no more of these mails.</p>\n<form method="post">'
    '<button name="unsubscribe" value="page">Unsubscribe</button></form>',
)
DONE = PAGE.format(title="You are unsubscribed", body="<p>You will get no more of these mails.</p>")
UNKNOWN = PAGE.format(
    title="Nothing was changed",
    body="<p>This link is from a test, or from a mail that is no longer known here.</p>",
)


class Tracker:
    """Records who leaves."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._intake = services.intake
        self._key = services.token_key

    def read(self, token: str, kind: type[T]) -> T:
        """ApiError 404 for a token that was not signed here, or for another purpose."""
        try:
            return tokens.read(self._key, token, kind)
        except tokens.BadToken:
            raise ApiError(404, "this is no address of ours") from None

    async def unsubscribe(self, token: tokens.UnsubscribeToken, about: dict[str, Any]) -> bool:
        """Once, however often it is asked for; false when the message is not known."""
        message = await self._storage.campaigns.message(token.tenant, token.message)
        if message is None:
            return False
        await self.leave(message, token.list, about)
        return True

    async def leave(self, message: Message, list_id: str, about: dict[str, Any]) -> Accepted:
        """The recipient of a message wants no more of a list, of anything where it is ""; the first event of it."""
        name = f"{message.id}/unsubscribed/{list_id}"
        try:
            first = (await self._intake.accept(message.tenant, _leaving(message, list_id, about, name)))[0]
        except SourceIdConflict as conflict:  # the same, from another place
            first = Accepted(conflict.first, duplicate=True)
        if first.duplicate and not await self._has_left(message, list_id):
            # Came back on purpose since, and wants to leave again.
            again = _leaving(message, list_id, about, f"{name}/{new_id('evt')}")
            first = (await self._intake.accept(message.tenant, again))[0]
        return first

    async def _has_left(self, message: Message, list_id: str) -> bool:
        contacts = self._storage.contacts
        if message.contact is not None and list_id:
            lists = await contacts.lists_of(message.tenant, message.contact)
            if lists.get(list_id) == "subscribed":
                return False
        kept = await contacts.suppressions(message.tenant, message.address)
        return any(entry.reason == "unsubscribe" and entry.list in ("", list_id) for entry in kept)


def _leaving(message: Message, list_id: str, about: dict[str, Any], name: str) -> list[EventDraft]:
    facts = {**about, "list": list_id} if list_id else about
    drafts = [mail_event("email.unsubscribed", SOURCE, message, facts, source_id=name)]
    if message.contact is not None:
        drafts.append(mail_event("contact.unsubscribed", SOURCE, message, facts, source_id=f"{name}/contact"))
    return drafts


def _about(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Who asks, as far as the connection tells."""
    told = {
        "ip": request.client.host if request.client else None,
        "user_agent": request.headers.get("user-agent", "")[:LONGEST_AGENT] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


async def _method(request: Request[Any, Any, Any]) -> str:
    """``one-click`` for what RFC 8058 has receivers post, as a form of either kind; ``page`` for our own button."""
    start = b""
    async for piece in request.stream():
        start += piece
        if len(start) >= LONGEST_FORM:
            break
    return "one-click" if _ONE_CLICK.search(start) else "page"


def routes(services: Services) -> list[HTTPRouteHandler]:
    tracker = Tracker(services)

    @route(
        "/t/u/{token:str}",
        http_method=[*FETCH, HttpMethod.POST],
        opt=PUBLIC,
        include_in_schema=False,
        status_code=200,
    )
    async def leave(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
        """RFC 8058: only a POST unsubscribes, whatever its body; a scanner that follows links does not."""
        found = tracker.read(token, tokens.UnsubscribeToken)
        page, status = ASK, 200
        if request.method == "POST":
            known = await tracker.unsubscribe(found, {"method": await _method(request), **_about(request)})
            page, status = (DONE, 200) if known else (UNKNOWN, 404)
        return Response(page, status_code=status, media_type="text/html", headers=PAGE_HEADERS)

    return [leave]
