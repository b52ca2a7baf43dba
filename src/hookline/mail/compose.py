"""Mails from templates: prepared once for a campaign or a hook, then rendered and built for each recipient."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape, unescape

import minijinja
from msgspec import Struct

from hookline.mail import mime
from hookline.mail.links import Links
from hookline.mail.plaintext import to_text
from hookline.mail.weave import CLICK, OPEN, UNSUBSCRIBE, Woven, weave_html, weave_text
from hookline.rules import templates
from hookline.rules.addresses import parse_address
from hookline.rules.templates import Template, TemplateError

MAX_SUBJECT = 998  # characters
MAX_WOVEN = 4 * templates.MAX_SOURCE

_WEB = re.compile(r"https?://", re.I)
_IGNORED_IN_URLS = re.compile(r"[\t\r\n]")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_MESSAGE_ID = re.compile(r"[A-Za-z0-9._+=-]+@[A-Za-z0-9.-]+")
_OWN_HEADERS = frozenset(
    ("from", "to", "reply-to", "subject", "date", "message-id", "mime-version", "content-type")
    + ("content-transfer-encoding", "cc", "bcc", "sender", "return-path")
)

Mailbox = tuple[str, str]  # name and address, as parse_address gives them


class FieldError(Exception):
    """What is wrong with a mail, and in which of its fields (as the API calls them)."""

    def __init__(self, field: str, error: TemplateError | str) -> None:
        super().__init__(f"{field}: {error}")
        self.field = field
        self.error = error if isinstance(error, TemplateError) else TemplateError(error)


class Rendered(Struct, frozen=True, kw_only=True):
    """One recipient's mail before it is put into bytes; addresses are still text."""

    subject: str
    from_: str
    to: str | None
    reply_to: str | None
    html: str | None
    text: str | None


class Prepared(Struct, frozen=True, kw_only=True):
    """A mail whose templates are compiled and woven.

    ``names`` are the variables that they mention, ``links`` the tracked links by index, as in the source.
    """

    subject: Template
    from_: Template
    to: Template | None
    reply_to: Template | None
    html: Template | None
    text: Template | None
    names: frozenset[str]
    links: tuple[str, ...]

    def render(self, variables: Mapping[str, object], links: Links | None) -> Rendered:
        """The mail for these variables; raises ``FieldError``.

        Without ``links`` nothing is tracked, and ``unsubscribe_url`` is empty.
        """
        given = {
            **variables,
            UNSUBSCRIBE: links.unsubscribe_url if links else "",
            OPEN: links.open_url if links else "",
        }
        html = _render("html", self.html, given, {CLICK: _html_click(links, given[UNSUBSCRIBE])})
        text = _render("text", self.text, given, {CLICK: _text_click(links, given[UNSUBSCRIBE])})
        if text is None and html is not None:
            text = to_text(html) or None
        subject = mime.clean(self._text("subject", self.subject, given) or "")
        if len(subject) > MAX_SUBJECT:
            raise FieldError("subject", f"longer than {MAX_SUBJECT} characters")
        return Rendered(
            subject=subject,
            from_=self._text("from", self.from_, given) or "",
            to=self._text("to", self.to, given),
            reply_to=self._text("reply_to", self.reply_to, given),
            html=html,
            text=text,
        )

    @staticmethod
    def _text(field: str, template: Template | None, given: Mapping[str, object]) -> str | None:
        return _render(field, template, given, {})


def prepare(
    *,
    subject: str,
    from_: str,
    html: str | None,
    text: str | None,
    variables: Collection[str],
    to: str | None = None,
    reply_to: str | None = None,
    track_opens: bool = False,
    track_clicks: bool = False,
    bulk: bool = False,
) -> Prepared:
    """Compile a mail's templates and weave tracking in; raises ``FieldError``.

    Templates may use ``variables`` and ``unsubscribe_url``. ``bulk`` mail that does not mention the
    latter gets a small footer with it, in each part.
    """
    if html is None and text is None:
        raise FieldError("html", "a mail needs an html or a text")
    known = {*variables, UNSUBSCRIBE}
    fields = {
        name: _compile(name, source, known)
        for name, source in (("subject", subject), ("from", from_), ("to", to), ("reply_to", reply_to))
        if source is not None
    }
    for name in ("from", "to", "reply_to"):
        _check_address(name, fields.get(name))
    names: set[str] = set().union(*(template.names for template in fields.values()))
    html_template, links = None, tuple[str, ...]()
    if html is not None:
        plain = _compile("html", html, known, html=True)
        footer = bulk and UNSUBSCRIBE not in plain.names
        woven = weave_html(html, clicks=track_clicks, opens=track_opens, footer=footer)
        html_template, links = _compile_woven("html", woven, known, html=True), woven.links
        names |= plain.names
    text_template = None
    if text is not None:
        plain = _compile("text", text, known)
        footer = bulk and UNSUBSCRIBE not in plain.names
        woven = weave_text(text, clicks=track_clicks, footer=footer, first=len(links))
        text_template, links = _compile_woven("text", woven, known, html=False), links + woven.links
        names |= plain.names
    return Prepared(
        subject=fields["subject"],
        from_=fields["from"],
        to=fields.get("to"),
        reply_to=fields.get("reply_to"),
        html=html_template,
        text=text_template,
        names=frozenset(names - {UNSUBSCRIBE}),
        links=links,
    )


def build(
    rendered: Rendered,
    *,
    from_: Mailbox,
    to: Mailbox,
    message_id: str,
    date: float,
    reply_to: Mailbox | None = None,
    list_unsubscribe_url: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """The whole message (RFC 5322), ready for DATA but for dot-stuffing.

    ``message_id`` is ``left@right`` without the angle brackets, ``date`` in seconds since the epoch.
    ``list_unsubscribe_url`` becomes both headers of one-click unsubscribing (RFC 8058). ``extra`` are
    headers of ours, such as Feedback-ID; ``ValueError`` for a name or value that cannot be one.
    """
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError("not a Message-ID")
    head = [
        mime.mailbox_header("From", *from_),
        mime.mailbox_header("To", *to),
        mime.mailbox_header("Reply-To", *reply_to) if reply_to else "",
        mime.header("Subject", rendered.subject),
        f"Date: {format_datetime(datetime.fromtimestamp(date, UTC))}\r\n",
        mime.raw_header("Message-ID", f"<{message_id}>"),
    ]
    if list_unsubscribe_url:
        if not re.fullmatch(r"https?://[!-;=?-~]+", list_unsubscribe_url):
            raise ValueError("not a URL for List-Unsubscribe")
        head.append(mime.raw_header("List-Unsubscribe", f"<{list_unsubscribe_url}>"))
        head.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    for name, value in (extra or {}).items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise ValueError(f"{name[:80]!r} cannot be given as an extra header")
        head.append(mime.header(name, value))
    head.append("MIME-Version: 1.0\r\n")
    parts = [
        mime.text_part(subtype, body)
        for subtype, body in (("plain", rendered.text), ("html", rendered.html))
        if body is not None
    ]
    content = parts[0] if len(parts) == 1 else mime.alternative(parts)
    return "".join(head).encode("ascii") + content + b"\r\n"


def _compile(field: str, source: str, known: Collection[str], *, html: bool = False) -> Template:
    try:
        return templates.compile(source, known, html=html)
    except TemplateError as error:
        raise FieldError(field, error) from None


def _compile_woven(field: str, woven: Woven, known: Collection[str], *, html: bool) -> Template:
    try:
        return templates.compile(woven.source, {*known, CLICK, OPEN}, html=html, limit=MAX_WOVEN)
    except TemplateError as error:
        raise FieldError(field, f"links cannot be tracked here: {error.message}") from None


def _check_address(field: str, template: Template | None) -> None:
    """An address without template syntax can be checked when it is saved."""
    if template is None or "{" in template.source:
        return
    try:
        parse_address(template.source)
    except ValueError as error:
        raise FieldError(field, str(error)) from None


def _render(
    field: str,
    template: Template | None,
    given: Mapping[str, object],
    functions: Mapping[str, Callable[..., str]],
) -> str | None:
    if template is None:
        return None
    try:
        return template.render(given, functions)
    except TemplateError as error:
        raise FieldError(field, error) from None


def _html_click(links: Links | None, unsubscribe_url: object) -> Callable[[str, int], str]:
    """What the woven source of an HTML template calls: an attribute's value in, one out."""

    def click(value: str, index: int) -> str:
        url = _IGNORED_IN_URLS.sub("", unescape(value)).strip(" ")
        if links is None or not _WEB.match(url) or url == unsubscribe_url:
            return minijinja.safe(value)
        return minijinja.safe(escape(links.click(url, index)))

    return click


def _text_click(links: Links | None, unsubscribe_url: object) -> Callable[[str, int], str]:
    def click(url: str, index: int) -> str:
        return url if links is None or url == unsubscribe_url else links.click(url, index)

    return click
