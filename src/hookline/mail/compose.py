"""Mails from templates: prepared once for a campaign or a hook, then rendered and built for each recipient."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import Protocol

import minijinja
from msgspec import Struct

from hookline.mail import mime
from hookline.mail.inline import StyleError, inline
from hookline.mail.markup import attribute_value
from hookline.mail.plaintext import laid_out, text_source, to_text
from hookline.mail.weave import CLICK, FOOTER, OPEN, TRAP, UNSUBSCRIBE, URL, Woven, weave_html, weave_text
from hookline.rules import templates
from hookline.rules.addresses import parse_address
from hookline.rules.tags import error_at, references, tags, words
from hookline.rules.templates import Template, TemplateError

MAX_SUBJECT = 998  # characters
MAX_WOVEN = 4 * templates.MAX_SOURCE

_WEB = re.compile(r"https?://", re.I)
_IGNORED_IN_URLS = re.compile(r"[\t\r\n]")  # by browsers (WHATWG URL, 4.4)
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_MESSAGE_ID = re.compile(r"[A-Za-z0-9._+=-]+@[A-Za-z0-9.-]+")
_URL_IN_HEADER = re.compile(r"https?://[!-;=?-~]+")
_MIME_HEADERS = ("mime-version", "content-type", "content-transfer-encoding")
_OURS = frozenset((CLICK, FOOTER, OPEN, TRAP, URL))
_TAKEN = frozenset(("from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", *_MIME_HEADERS))

Mailbox = tuple[str, str]  # name and address, as parse_address gives them


class FieldError(TemplateError):
    """What is wrong with a mail, and in which of its fields (as the API calls them)."""

    def __init__(self, field: str, error: TemplateError | str) -> None:
        if isinstance(error, TemplateError):
            super().__init__(error.message, error.line, error.column)
        else:
            super().__init__(error)
        self.field = field

    @property
    def detail(self) -> str:
        """The complaint with its place, without the field."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"


class LinkMaker(Protocol):
    """The signed addresses of one message."""

    @property
    def open_url(self) -> str: ...
    @property
    def trap_url(self) -> str: ...
    @property
    def unsubscribe_url(self) -> str: ...
    def click(self, url: str, link: int, /) -> str:
        """The tracked address of a link; ``ValueError`` where there is none, and it stays as it is."""


class Rendered(Struct, frozen=True, kw_only=True):
    """One recipient's mail before it is put into bytes."""

    subject: str
    from_: Mailbox
    reply_to: Mailbox | None
    html: str | None
    text: str | None

    @property
    def sender(self) -> str:
        """The address that it comes from, for the envelope."""
        return self.from_[1]


class Prepared(Struct, frozen=True, kw_only=True):
    """A mail whose templates are compiled and woven.

    ``names`` are the variables that they mention, ``links`` the tracked links by index, as in the source.
    A sender or reply address without template syntax is a mailbox already. ``text`` was made from the HTML's
    source where ``text_is_derived``; where it is ``None``, each finished HTML is converted.
    """

    subject: Template
    from_: Template | Mailbox
    reply_to: Template | Mailbox | None
    html: Template | None
    text: Template | None
    text_is_derived: bool
    names: frozenset[str]
    links: tuple[str, ...]

    def render(
        self, variables: Mapping[str, object], links: LinkMaker | None, *, footer_url: str | None = None
    ) -> Rendered:
        """The mail for these variables; raises ``FieldError``.

        Without ``links`` nothing is tracked and ``unsubscribe_url`` is ``footer_url``. A part that does not
        mention ``unsubscribe_url`` gets a small footer that leads to ``footer_url``, if there is one.
        """
        leave = links.unsubscribe_url if links else footer_url or ""
        given = {
            **variables,
            UNSUBSCRIBE: leave,
            OPEN: links.open_url if links else "",
            TRAP: links.trap_url if links else "",
            FOOTER: footer_url or "",
        }
        untracked = {leave, footer_url}
        html = _render("html", self.html, given, html_click(links, untracked))
        text = _render("text", self.text, given, text_click(links, untracked))
        if text is None and html is not None:
            text = to_text(html)
        elif text is not None and self.text_is_derived:
            text = laid_out(text)
        subject = mime.clean(_render("subject", self.subject, given) or "")
        if len(subject) > MAX_SUBJECT:
            raise FieldError("subject", f"longer than {MAX_SUBJECT} characters")
        from_, reply_to = self.mailboxes(given)
        return Rendered(
            subject=subject, from_=from_, reply_to=reply_to, html=html, text=text or (None if html else "")
        )

    def mailboxes(self, given: Mapping[str, object]) -> tuple[Mailbox, Mailbox | None]:
        """Whom it comes from and whom an answer goes to; raises ``FieldError``."""
        from_ = _mailbox("from", self.from_, given) or ("", "")
        return from_, _mailbox("reply_to", self.reply_to, given)


def prepare(
    *,
    subject: str,
    html: str | None,
    text: str | None,
    from_: str,
    reply_to: str | None,
    track_opens: bool,
    track_clicks: bool,
    variables: Collection[str],
) -> Prepared:
    """Compile a mail's templates and weave tracking in; raises ``FieldError``.

    Templates may use ``variables`` and ``unsubscribe_url``. What has no template syntax is checked whole.
    """
    if not html and not text:
        raise FieldError("html", "a mail needs an html or a text")
    if "\n" in subject or "\r" in subject:
        raise FieldError("subject", "a subject is one line: it cannot hold a line break")
    known = {*variables, UNSUBSCRIBE}
    subject_template = _compile("subject", subject, known)
    sender = _compile_mailbox("from", from_, known)
    reply = _compile_mailbox("reply_to", reply_to, known) if reply_to else None
    names = {
        name
        for found in (subject_template, sender, reply)
        if isinstance(found, Template)
        for name in found.names
    }
    links: tuple[str, ...] = ()
    html_template = text_template = None
    if html:
        used = _compile("html", html, known, html=True).names
        try:
            html = inline(html)
        except StyleError as error:
            raise FieldError("html", str(error)) from None
        woven = weave_html(html, clicks=track_clicks, opens=track_opens, footer=UNSUBSCRIBE not in used)
        html_template = _compile_woven("html", woven, known, html=True)
        text_template = None if text else _derived(woven, known)
        names, links = names | used, woven.links
    if text:
        used = _compile("text", text, known).names
        woven = weave_text(text, clicks=track_clicks, footer=UNSUBSCRIBE not in used, first=len(links))
        text_template = _compile_woven("text", woven, known, html=False)
        names, links = names | used, links + woven.links
    return Prepared(
        subject=subject_template,
        from_=sender,
        reply_to=reply,
        html=html_template,
        text=text_template,
        text_is_derived=not text,
        names=frozenset(names - {UNSUBSCRIBE}),
        links=links,
    )


def build(
    rendered: Rendered,
    *,
    to: str | Mailbox,
    message_id: str,
    date: float | str,
    list_unsubscribe_url: str | None = None,
    list_unsubscribe_address: str | None = None,
    extra: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The whole message (RFC 5322), ready for DATA but for dot-stuffing.

    ``to`` is an address or a mailbox, ``date`` seconds since the epoch or the header's text. Where
    ``message_id`` has no ``@``, the sender's domain is put behind it. ``list_unsubscribe_url`` becomes
    both headers of one-click unsubscribing (RFC 8058), ``list_unsubscribe_address`` the other way in the
    first of them, by mail (RFC 2369). ``extra`` are headers of ours, such as
    Feedback-ID; ``ValueError`` for what cannot be one, ``FieldError`` for a ``to`` that is no address.
    """
    _, _, domain = rendered.sender.rpartition("@")
    identity = message_id if "@" in message_id else f"{message_id}@{domain}"
    if not _MESSAGE_ID.fullmatch(identity):
        raise ValueError("not a Message-ID")
    when = date if isinstance(date, str) else format_datetime(datetime.fromtimestamp(date, UTC))
    head = [
        _from_header(rendered.from_),
        _mailbox_header("To", "to", ("", to) if isinstance(to, str) else to),
        _mailbox_header("Reply-To", "reply_to", rendered.reply_to) if rendered.reply_to else "",
        mime.header("Subject", rendered.subject),
        mime.raw_header("Date", when),
        mime.raw_header("Message-ID", f"<{identity}>"),
    ]
    if list_unsubscribe_url:
        if not _URL_IN_HEADER.fullmatch(list_unsubscribe_url):
            raise ValueError("not a URL for List-Unsubscribe")
        by_mail = f", <mailto:{list_unsubscribe_address}>" if list_unsubscribe_address else ""
        head.append(mime.raw_header("List-Unsubscribe", f"<{list_unsubscribe_url}>{by_mail}"))
        head.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    for name, value in extra:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _TAKEN:
            raise ValueError(f"{name[:80]!r} cannot be given as an extra header")
        head.append(mime.header(name, value))
    head.append("MIME-Version: 1.0\r\n")
    bodies = (("plain", rendered.text), ("html", rendered.html))
    parts = [mime.text_part(subtype, body) for subtype, body in bodies if body is not None]
    content = parts[0] if len(parts) == 1 else mime.alternative(parts)
    return "".join(head).encode("ascii") + content.removesuffix(b"\r\n") + b"\r\n"


def _compile(field: str, source: str, known: Collection[str], *, html: bool = False) -> Template:
    try:
        template = templates.compile(source, known, html=html)
        _refuse_ours(source)
    except TemplateError as error:
        raise FieldError(field, error) from None
    return template


def _refuse_ours(source: str) -> None:
    """What is woven in has names that a template must not take for its own: it would lose its footer, or its links."""
    for tag in tags(source):
        if tag.kind == "statement":
            for word in references(words(source, tag)):
                if word.text in _OURS:
                    raise error_at(source, word.start, f"the name {word.text!r} is taken: choose another")


def _compile_woven(field: str, woven: Woven, known: Collection[str], *, html: bool) -> Template:
    try:
        return templates.compile(
            woven.source, {*known, CLICK, OPEN, TRAP, FOOTER}, html=html, limit=MAX_WOVEN
        )
    except TemplateError as error:
        raise FieldError(field, f"links cannot be tracked here: {error.message}") from None


def _derived(woven: Woven, known: Collection[str]) -> Template | None:
    """The template of the text of an HTML template, if there can be one."""
    source = text_source(woven.source, URL)
    if source is None:
        return None
    try:
        return templates.compile(source, {*known, CLICK, OPEN, TRAP, FOOTER}, html=False, limit=MAX_WOVEN)
    except TemplateError:  # statements that the markup tore apart
        return None


def _compile_mailbox(field: str, source: str, known: Collection[str]) -> Template | Mailbox:
    template = _compile(field, source, known)
    return template if "{" in source else _parse_mailbox(field, source)


def _parse_mailbox(field: str, text: str) -> Mailbox:
    try:
        return parse_address(text)
    except ValueError as error:
        raise FieldError(field, str(error)) from None


def _mailbox(field: str, given: Template | Mailbox | None, values: Mapping[str, object]) -> Mailbox | None:
    """The mailbox of a field for these values; none where a reply address renders to nothing."""
    if not isinstance(given, Template):
        return given
    text = _render(field, given, values) or ""
    return None if field == "reply_to" and not text.strip() else _parse_mailbox(field, text)


@lru_cache(64)  # the same for all mails of a campaign
def _from_header(mailbox: Mailbox) -> str:
    return _mailbox_header("From", "from", mailbox)


def _mailbox_header(name: str, field: str, mailbox: Mailbox) -> str:
    try:
        return mime.mailbox_header(name, *mailbox)
    except ValueError as error:
        raise FieldError(field, str(error)) from None


def _render(
    field: str,
    template: Template | None,
    given: Mapping[str, object],
    click: Callable[[str, int], str] | None = None,
) -> str | None:
    if template is None:
        return None
    try:
        return template.render(given, {CLICK: click} if click else None)
    except TemplateError as error:
        raise FieldError(field, error) from None


def html_click(links: LinkMaker | None, untracked: Collection[str | None]) -> Callable[[str, int], str]:
    """What the woven source of an HTML template calls: an attribute's value in, one out."""
    track = text_click(links, untracked)

    def click(value: str, index: int) -> str:
        url = address_of(value)
        tracked = track(url, index) if is_web(url) else url
        return minijinja.safe(value if tracked == url else escape(tracked))

    return click


def text_click(links: LinkMaker | None, untracked: Collection[str | None]) -> Callable[[str, int], str]:
    """The same for a text."""

    def click(url: str, index: int) -> str:
        if links is None or url in untracked:
            return url
        try:
            return links.click(url, index)
        except (ValueError, OverflowError):  # too long to be carried in a token
            return url

    return click


def address_of(value: str) -> str:
    """Where a link leads whose attribute has this value."""
    return _IGNORED_IN_URLS.sub("", attribute_value(value)).strip(" ")


def is_web(url: str) -> bool:
    return _WEB.match(url) is not None
