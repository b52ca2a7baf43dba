"""A mail that goes to many: what all of them have in common is worked out once, and each is filled in.

A woven source is cut into stretches that are the same in every mail, and gaps. A gap is a tracked link, whose address
is known, or a piece of template syntax; the engine renders all of those at once, from a small template that holds
nothing else. What comes out is, character for character, what ``compose.Prepared.render`` gives, only sooner; and
where there is any doubt (a value that would change the layout of the text around it, an error that has to say where
it is, syntax that reaches beyond itself), that is asked instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from html import escape

from msgspec import Struct

from hookline.mail import mime
from hookline.mail.compose import (
    MAX_SUBJECT,
    MAX_WOVEN,
    LinkMaker,
    Prepared,
    Rendered,
    address_of,
    html_click,
    is_web,
    text_click,
)
from hookline.mail.plaintext import laid_out, to_text
from hookline.mail.weave import CLICK, FOOTER, OPEN, TRAP, UNSUBSCRIBE, URL
from hookline.rules import templates
from hookline.rules.tags import Tag, tags, words
from hookline.rules.templates import MAX_OUTPUT, Template, TemplateError

_GAP = "\0"  # between values; one that holds it is seen by their number
_STAND_IN = "\ue000"
_LINK = re.compile(rf"\{{% set {URL} %\}}([^{{}}]*)\{{% endset %\}}\{{\{{ {CLICK}\({URL}, ([0-9]+)\) \}}\}}")
_TOLD = frozenset(f"{{% if {name} %}}" for name in (OPEN, TRAP, FOOTER))  # asked once, for all of a series
_OPENING = frozenset(("if", "for", "with", "filter", "autoescape"))
_BINDING = frozenset(("set", "do"))
_HALF_A_SLASH = re.compile(r"&(?:#(?:x(?:2f?)?)?)?\Z")
_SIMPLE = re.compile(r"\{\{ *[^\W\d]\w*(?:\.[^\W\d]\w*)* *\}\}")
_TAME = re.compile(r"\S+(?: \S+)*")  # words with single spaces between them: no layout depends on which


Click = Callable[[str, int], str]


class Form(Struct, frozen=True):
    """A part of a mail: stretches and gaps in turn, each gap empty here.

    ``values`` says which value goes to which place; ``links`` which link does, and what stands there untracked.
    """

    parts: tuple[str, ...]
    values: tuple[tuple[int, int], ...]
    links: tuple[tuple[int, int, str], ...]

    def fill(self, values: Sequence[str], links: Sequence[str]) -> str:
        filled = list(self.parts)
        for place, index in self.values:
            filled[place] = values[index]
        for place, index, untracked in self.links:
            filled[place] = links[index] or untracked
        return "".join(filled)


class Values:
    """All that is to be rendered for a mail, as one template. ``alike``: the same piece has the same value."""

    def __init__(self, *, html: bool, alike: bool) -> None:
        self._html, self._alike = html, alike
        self.pieces: list[str] = []
        self.places: dict[str, int] = {}
        self._template: Template | None = None

    def place(self, piece: str) -> int:
        """Where the value of this piece will be found."""
        if self._alike and piece in self.places:
            return self.places[piece]
        self.places[piece] = len(self.pieces)
        self.pieces.append(piece)
        return self.places[piece]

    def within(self, others: Values) -> tuple[int, ...] | None:
        """Where these values are among others; ``None`` where some are not, or may not be the same."""
        if not all(piece in others.places and _SIMPLE.fullmatch(piece) for piece in self.pieces):
            return None
        return tuple(others.places[piece] for piece in self.pieces)

    def compile(self, names: Collection[str]) -> None:
        if self.pieces:
            source = _GAP.join(self.pieces)
            self._template = templates.compile(source, names, html=self._html, limit=2 * MAX_WOVEN)

    def render(self, given: Mapping[str, object], click: Click) -> list[str] | None:
        """The values; ``None`` where it cannot be told where one ends."""
        if self._template is None:
            return []
        functions = {CLICK: click} if CLICK in self._template.names else None
        found = self._template.render(given, functions).split(_GAP)
        return found if len(found) == len(self.pieces) else None


class Series:
    """The mails of one campaign, or of one hook."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.sketch: Sketch | None = None
        self._sketched = False

    def render(
        self, variables: Mapping[str, object], links: LinkMaker, *, footer_url: str | None = None
    ) -> Rendered:
        """As ``Prepared.render``."""
        if not self._sketched:
            self.sketch, self._sketched = _sketch(self.prepared), True
        filled = self.sketch.fill(variables, links, footer_url) if self.sketch and footer_url else None
        return filled or self.prepared.render(variables, links, footer_url=footer_url)


class Sketch(Struct, frozen=True, kw_only=True):
    """The forms of a mail's parts. ``laid`` is the text with its layout done; it holds for tame values. ``shared`` says
    where among the HTML's values those of the text are, if all of them are there."""

    prepared: Prepared
    names: frozenset[str]
    in_html: Values
    in_text: Values
    shared: tuple[int, ...] | None
    clicks: tuple[tuple[str, int], ...]
    subject: Form
    html: Form | None
    text: Form | None
    laid: Form | None

    def fill(self, variables: Mapping[str, object], links: LinkMaker, footer_url: str) -> Rendered | None:
        """The mail; ``None`` where that has to be found out on the long way."""
        leave = links.unsubscribe_url
        untracked = {leave, footer_url}
        given: dict[str, object] = {
            UNSUBSCRIBE: leave, OPEN: links.open_url, TRAP: links.trap_url, FOOTER: footer_url,
        }  # fmt: skip
        try:
            given |= {name: templates.plain(variables[name]) for name in self.names & variables.keys()}
            marked_up = self.in_html.render(given, html_click(links, untracked))
            plain = self._plain(marked_up) or self.in_text.render(given, text_click(links, untracked))
            from_, reply_to = self.prepared.mailboxes(given)
        except TemplateError:
            return None
        if marked_up is None or plain is None:
            return None
        tracked = self._tracked(links, untracked)
        html = self.html.fill(marked_up, escape(_GAP.join(tracked)).split(_GAP)) if self.html else None
        text = self._text(plain, tracked) if self.text else to_text(html or "")
        subject = mime.clean(self.subject.fill(plain, ()))
        if len(subject) > MAX_SUBJECT or max(len(html or ""), len(text)) > MAX_OUTPUT:
            return None
        return Rendered(
            subject=subject, from_=from_, reply_to=reply_to, html=html, text=text or (None if html else "")
        )

    def _plain(self, marked_up: Sequence[str] | None) -> list[str] | None:
        """The text's values where they are those of the HTML: what was escaped there has an ampersand in it."""
        if marked_up is None or self.shared is None:
            return None
        found = [marked_up[index] for index in self.shared]
        return None if "&" in "".join(found) else found

    def _tracked(self, links: LinkMaker, untracked: Collection[str]) -> list[str]:
        """Where each link leads; "" where that is not tracked."""
        found = []
        for url, index in self.clicks:
            try:
                found.append("" if url in untracked else links.click(url, index))
            except (ValueError, OverflowError):  # too long to be carried in a token
                found.append("")
        return found

    def _text(self, values: Sequence[str], links: Sequence[str]) -> str:
        if self.laid and all(_TAME.fullmatch(values[index]) for _, index in self.laid.values):
            return self.laid.fill(values, links)
        text = self.text.fill(values, links) if self.text else ""
        return laid_out(text) if self.prepared.text_is_derived else text


def _sketch(prepared: Prepared) -> Sketch | None:
    """``None`` for a mail whose templates cannot be cut."""
    given = (prepared.subject, prepared.html, prepared.text)
    sources = [template.source if template else None for template in given]
    if _binds(prepared.subject.source):  # the text's values come after the subject's, in one template
        return None
    alike = not any(_binds(source) for source in sources if source)
    in_html, in_text = (Values(html=html, alike=alike) for html in (True, False))
    clicks: dict[tuple[str, int], int] = {}
    try:
        cut = [
            _cut(source, in_html if place == 1 else in_text, clicks, html=place == 1)
            if source is not None
            else None
            for place, source in enumerate(sources)
        ]
        for values in (in_html, in_text):
            values.compile(prepared.names | {UNSUBSCRIBE, OPEN, TRAP, FOOTER, CLICK})
    except (_Uncut, TemplateError):
        return None
    subject, html, text = cut
    return Sketch(
        prepared=prepared,
        names=prepared.names,
        in_html=in_html,
        in_text=in_text,
        shared=in_text.within(in_html) if alike else None,
        clicks=tuple(clicks),
        subject=subject or Form(("",), (), ()),
        html=html,
        text=text,
        laid=_laid(text) if text and prepared.text_is_derived else None,
    )


def _binds(source: str) -> bool:
    """Whether a piece of it may depend on those before."""
    rest = _LINK.sub("", source)
    return any(found and found[0].text in _BINDING for found in (words(rest, tag) for tag in tags(rest)))


class _Uncut(Exception):
    pass


def _cut(source: str, values: Values, clicks: dict[tuple[str, int], int], *, html: bool) -> Form:
    """The form of a source. Raises _Uncut where syntax reaches beyond itself."""
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    links: list[tuple[int, int, str]] = []
    position = 0

    def stretch(end: int) -> None:
        text = source[position:end]
        if html and _HALF_A_SLASH.search(text):  # what follows might complete it
            raise _Uncut
        parts.append(text.replace("&#x2f;", "/") if html else text)

    for start, end in _pieces(source):
        stretch(start)
        parts.append("")
        position = end
        if source[start:end] in _TOLD or source.startswith(("{% endif", "{#"), start):
            continue
        link = _LINK.fullmatch(source, start, end)
        url = address_of(link[1]) if link and html else link[1] if link else ""
        if link is None:
            places.append((len(parts) - 1, values.place(source[start:end])))
        elif html and not is_web(url):
            parts[-1] = link[1].replace("&#x2f;", "/")
        else:
            number = clicks.setdefault((url, int(link[2])), len(clicks))
            links.append((len(parts) - 1, number, link[1].replace("&#x2f;", "/") if html else link[1]))
    stretch(len(source))
    return Form(tuple(parts), tuple(places), tuple(links))


def _pieces(source: str) -> Iterator[tuple[int, int]]:
    """Where the gaps of a source are: a link, an expression, or a statement with all that it holds."""
    position = start = depth = told = 0
    for tag in tags(source):
        if tag.start < position:  # of a link
            continue
        if "-" in (source[tag.start + 2], source[tag.end - 3]) or source[tag.start + 2] == "+":
            raise _Uncut  # it takes away white space around it
        found = _LINK.match(source, tag.start) if depth == 0 else None
        position = found.end() if found else tag.end
        word = next((word.text for word in words(source, tag)), "") if tag.kind == "statement" else ""
        if depth == 0:
            start = tag.start
        if depth == 0 and source[tag.start : tag.end] in _TOLD:
            told += 1
        elif depth == 0 and told and word == "endif":
            told -= 1
        elif not found and (word in _OPENING or (word == "set" and _is_block(source, tag))):
            depth += 1
        elif word.startswith("end"):
            depth -= 1
        if depth < 0:
            raise _Uncut
        if depth == 0:
            yield start, position
    if depth:
        raise _Uncut


def _is_block(source: str, tag: Tag) -> bool:
    return all(word.text != "=" for word in words(source, tag))


def _laid(form: Form) -> Form | None:
    """The form of a text with its layout done, for gaps that are filled with words."""
    gaps = {place for place, _ in form.values} | {place for place, *_ in form.links}
    if any(_STAND_IN in part for part in form.parts):
        return None
    if not all(_TAME.fullmatch(untracked) for *_, untracked in form.links):
        return None
    marked = "".join(_STAND_IN if place in gaps else part for place, part in enumerate(form.parts))
    stretches = laid_out(marked).split(_STAND_IN)
    order = sorted(gaps)
    parts = [""] * (2 * len(order) + 1)
    parts[::2] = stretches
    at = {place: 2 * number + 1 for number, place in enumerate(order)}
    return Form(
        tuple(parts),
        tuple((at[place], index) for place, index in form.values),
        tuple((at[place], index, untracked) for place, index, untracked in form.links),
    )
