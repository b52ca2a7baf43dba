"""`/t/s/…`: the page on which somebody confirms that he wants to be on a list; public, and only for signed links."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from hookline.api.auth import PUBLIC
from hookline.api.errors import ApiError
from hookline.api.tracking import PAGE, PAGE_HEADERS
from hookline.model import ContactList
from hookline.rules import tokens
from hookline.rules.contacts import told
from hookline.services import Services
from hookline.storage.contacts import confirming
from hookline.storage.units import ContactMoved

ASK = PAGE.format(
    title="Confirm your subscription",
    body='<p>Please confirm that you want these mails.</p>\n<form method="post">'
    '<button name="confirm" value="yes">Confirm</button></form>',
)
DONE = PAGE.format(title="You are subscribed", body="<p>Thank you. You will get these mails.</p>")
OVER = PAGE.format(
    title="This link is no longer valid",
    body="<p>Nothing was changed. Please ask for the mails again, and you will get a new link.</p>",
)


class Confirmer:
    def __init__(self, services: Services) -> None:
        self._contacts = services.storage.contacts
        self._intake = services.intake
        self._clock = services.clock
        self._key = services.token_key

    def read(self, token: str) -> tokens.ConfirmToken:
        """ApiError 404 for a token that was not signed here, or for another purpose."""
        try:
            return tokens.read(self._key, token, tokens.ConfirmToken)
        except tokens.BadToken:
            raise ApiError(404, "this is no address of ours") from None

    async def standing(self, token: tokens.ConfirmToken) -> tuple[ContactList | None, str]:
        """The list, and whether the link is ``open``, was ``done``, or is ``over``."""
        listed = await self._contacts.list_named(token.tenant, token.list)
        contact = await self._contacts.get(token.tenant, token.contact)
        if listed is None or contact is None or contact.email != token.email:
            return listed, "over"
        status = (await self._contacts.lists_of(token.tenant, contact.id)).get(listed.id)
        if status == "subscribed":
            return listed, "done"
        valid = status == "pending" and self._clock.now() < token.until
        return listed, "open" if valid else "over"

    async def confirm(self, token: tokens.ConfirmToken) -> tuple[ContactList | None, str]:
        """The same, after the contact was put on the list, if it could be."""
        listed, standing = await self.standing(token)
        contact = await self._contacts.get(token.tenant, token.contact)
        if listed is None or contact is None or standing != "open":
            return listed, standing
        mark = self._contacts.mark(token.tenant, token.email)
        write = partial(confirming, contact, listed.id, mark, self._clock.now())
        events = [told(contact, "contact.subscribed", {"list": listed.id})]
        try:
            await self._intake.accept(token.tenant, events, write)
        except ContactMoved:  # somebody was quicker
            return await self.standing(token)
        return listed, "done"


def routes(services: Services) -> list[HTTPRouteHandler]:
    confirmer = Confirmer(services)

    @route(
        "/t/s/{token:str}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST],
        opt=PUBLIC,
        include_in_schema=False,
        status_code=200,
    )
    async def confirm(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
        """Only a POST confirms; a scanner that follows links does not."""
        found = confirmer.read(token)
        posted = request.method == "POST"
        listed, standing = await (confirmer.confirm(found) if posted else confirmer.standing(found))
        target = listed.double_opt_in.redirect if listed and listed.double_opt_in else None
        headers = dict(PAGE_HEADERS)
        if target is not None:  # a form leads only where the page lets it
            parts = urlsplit(target)
            own = "form-action 'self'"
            headers["content-security-policy"] = headers["content-security-policy"].replace(
                own, f"{own} {parts.scheme}://{parts.netloc}"
            )
        if standing == "over":
            return Response(OVER, status_code=410, media_type="text/html", headers=headers)
        if standing == "open":
            return Response(ASK, media_type="text/html", headers=headers)
        if posted and target is not None:
            headers["location"] = target
            return Response("", status_code=303, media_type="text/html", headers=headers)
        return Response(DONE, media_type="text/html", headers=headers)

    return [confirm]
