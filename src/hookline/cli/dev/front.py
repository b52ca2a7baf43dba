"""What ``serve --dev`` puts in front of the API: ``/dev/mail`` and ``/dev/inbox``."""

from __future__ import annotations

import time
from collections import deque
from html import escape
from typing import cast

from msgspec import Struct

from hookline.app import App
from hookline.cli.asgi import Asgi, Receive, Scope, Send, headers_of, read_body
from hookline.cli.common import TENANT
from hookline.cli.dev import pages
from hookline.cli.postbox import Mail, Postbox
from hookline.rules.signing import SignatureError, verify

KEPT = 200
LARGEST = 2 * 1024 * 1024
SHOWN_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature", "hookline-delivery", "content-type")
NO_SUCH_MAIL = pages.page("No such mail", "<p>It is not there, or no longer.</p>")


class Arrival(Struct, frozen=True):
    """A webhook as it arrived; ``verdict`` is what checking its signature said."""

    number: int
    at: float
    headers: dict[str, str]
    body: bytes
    genuine: bool
    verdict: str


class DevFront:
    """Answers under ``/dev/`` and hands everything else on."""

    def __init__(self, app: App, box: Postbox | None) -> None:
        self._storage = app.services.storage
        self._behind = cast("Asgi", app.asgi)
        self._box = box
        self._arrivals: deque[Arrival] = deque(maxlen=KEPT)
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].rstrip("/") if scope["type"] == "http" else ""
        if path == "/dev/inbox" and scope["method"] == "POST":
            await self._take(scope, receive)
            await pages.answer(send, 204)
        elif path == "/dev/inbox":
            await pages.answer(send, 200, inbox_page(self._arrivals))
        elif self._box is not None and path == "/dev/mail":
            await pages.answer(send, 200, mails_page(self._box))
        elif self._box is not None and path.startswith("/dev/mail/"):
            number = path.removeprefix("/dev/mail/")
            found = next((mail for mail in self._box.mails if str(mail.number) == number), None)
            await pages.answer(send, 200 if found else 404, mail_page(found) if found else NO_SUCH_MAIL)
        else:
            await self._behind(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive) -> None:
        body = await read_body(receive, LARGEST)
        if body is None:
            return
        headers = headers_of(scope)
        genuine, verdict = await self._check(headers, body)
        self._count += 1
        self._arrivals.append(Arrival(self._count, time.time(), headers, body, genuine, verdict))
        named = "".join(filter(str.isprintable, headers.get("webhook-id", "a request")))[:80]
        print(f"inbox: {named}, {verdict}", flush=True)

    async def _check(self, headers: dict[str, str], body: bytes) -> tuple[bool, str]:
        """As a receiver does it; only that we look up the key that a receiver would have been given."""
        delivery = await self._storage.deliveries.get(TENANT, headers.get("hookline-delivery", ""))
        hook = await self._storage.hooks.get(TENANT, delivery.hook or "") if delivery else None
        why = "no delivery of ours is named by its headers"
        for key in hook.keys if hook else ():
            try:
                verify(key.text, headers, body, time.time())
            except SignatureError as error:
                why = str(error)
            else:
                return True, "the signature is valid"
        return False, f"NOT signed by us: {why}"


def mails_page(box: Postbox) -> bytes:
    rows = [
        (
            f'<a href="/dev/mail/{mail.number}">{escape(str(mail.parsed["subject"] or "(no subject)"))}</a>',
            escape(mail.recipient),
            escape(mail.sender),
            pages.moment(mail.at / 1e6),
        )
        for mail in reversed(box.mails)
    ]
    body = pages.table(
        ("Subject", "To", "From", "At"), rows, "No mail yet. What Hookline sends is shown here."
    )
    return pages.page("Mail", f"<p>Nothing of this has left the machine.</p>{body}", refresh=True)


def mail_page(mail: Mail) -> bytes:
    headers = [(escape(name), escape(str(value))) for name, value in mail.parsed.items()]
    html, text = mail.text("html"), mail.text("plain")
    body = [pages.table(("Header", "Value"), headers, "", "headers")]
    if html:
        body.append(
            "<h2>HTML</h2><p>Looking at it is an opening, following a link a click, as for any reader.</p>"
            # No scripts, forms or access to this page; links open beside it.
            '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" title="The mail"'
            f' srcdoc="{escape("<base target=_blank>" + html)}"></iframe>'
        )
    if text:
        body.append(f"<h2>Text</h2><pre>{escape(text)}</pre>")
    return pages.page(str(mail.parsed["subject"] or "(no subject)"), "".join(body), back="/dev/mail")


def inbox_page(arrivals: deque[Arrival]) -> bytes:
    parts = []
    for arrival in reversed(arrivals):
        shown = "\n".join(
            f"{name}: {arrival.headers[name]}" for name in SHOWN_HEADERS if name in arrival.headers
        )
        body = arrival.body.decode("utf-8", "replace")
        parts.append(
            f'<h2 class="{"good" if arrival.genuine else "bad"}">{escape(arrival.verdict)}'
            f" <small>{pages.moment(arrival.at)}</small></h2><pre>{escape(shown)}\n\n{escape(body)}</pre>"
        )
    none = "<p>Nothing yet. A hook with this page's address as its <code>url</code> delivers here.</p>"
    return pages.page("Inbox", "".join(parts) or none, refresh=True)
