"""Tracking woven into a template's source, once, so that it costs each mail next to nothing.

The value of each link that may lead to the web is wrapped so that, when rendered, it goes through
``_click(url, index)``; a pixel is added, and, where there are such links, one more that nobody can see; where the
source has no unsubscribe link, a footer for one (they show only if ``_open``, ``_trap`` and ``_footer`` say where they
lead). All else stays byte for byte: comments, other schemes, anchors, relative links, what is inside ``raw``.
"""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple

from hookline.mail.markup import EXPRESSION, STATEMENT, Attribute, attributes, masked, scan
from hookline.rules import templates

CLICK, OPEN, TRAP, FOOTER, UNSUBSCRIBE = "_click", "_open", "_trap", "_footer", "unsubscribe_url"
URL = "_url"  # holds a link's own address until it is passed to _click

_WEB = re.compile(rf"https?://|[{STATEMENT}{EXPRESSION}]", re.I)
_TEXT_URL = re.compile(rf"https?://[^\s<>\"'{STATEMENT}]+", re.I)
_PIXEL = (
    f'{{% if {OPEN} %}}<img src="{{{{ {OPEN} }}}}" width="1" height="1" alt="" '
    'style="display:block;border:0;width:1px;height:1px">{% endif %}'
)
# Only a program that follows all that it finds gets here; readers aloud pass over it, too.
_TRAP = (
    f'{{% if {TRAP} %}}<a href="{{{{ {TRAP} }}}}" style="display:none" aria-hidden="true" tabindex="-1"></a>'
    "{% endif %}"
)
_FOOTER = (
    f'{{% if {FOOTER} %}}<p style="margin:24px 0;font-size:12px;color:#666;text-align:center">'
    f'<a href="{{{{ {FOOTER} }}}}" style="color:#666">Unsubscribe</a></p>{{% endif %}}'
)
_TEXT_FOOTER = f"{{% if {FOOTER} %}}\n\n-- \nUnsubscribe: {{{{ {FOOTER} }}}}\n{{% endif %}}"


class Woven(NamedTuple):
    """The source with tracking in it, and its links as they stood there; ``index`` counts from ``first``."""

    source: str
    links: tuple[str, ...]


def weave_html(source: str, *, clicks: bool, opens: bool, footer: bool) -> Woven:
    """Weave into the source of an HTML template that compiles."""
    hidden = masked(source)
    links: list[tuple[int, int]] = []
    end = {"body": len(source), "html": len(source)}
    for piece in scan(hidden):
        if piece.kind == "start" and piece.name in ("a", "area"):
            href = next((item for item in attributes(hidden, piece) if item.name == "href"), None)
            if clicks and href is not None and _may_be_web(source, hidden, href):
                links.append((href.start, href.end))
        elif piece.kind == "end" and piece.name in end:
            end[piece.name] = piece.start
    added = (_FOOTER if footer else "") + (_TRAP if links else "") + (_PIXEL if opens else "")
    place = min(end["body"], end["html"])
    # A page of several that the template chooses from ends somewhere else each time.
    return _insert(source, links, 0, place if _stands_alone(source[:place]) else len(source), added)


def weave_text(source: str, *, clicks: bool, footer: bool, first: int) -> Woven:
    """Weave into the source of a plain text template; its links are counted from ``first``."""
    hidden = masked(source)
    links = []
    for found in _TEXT_URL.finditer(hidden) if clicks else ():
        links.append((found.start(), found.start() + len(_without_punctuation(found[0]))))
    return _insert(source, links, first, len(source), _TEXT_FOOTER if footer else "")


def _insert(source: str, links: list[tuple[int, int]], first: int, end: int, added: str) -> Woven:
    pieces, position = [], 0
    for index, (start, stop) in enumerate(links, first):
        pieces += [_closed(source[position:start]), f"{{% set {URL} %}}", _closed(source[start:stop])]
        pieces.append(f"{{% endset %}}{{{{ {CLICK}({URL}, {index}) }}}}")
        position = stop
    if end < position:  # the closing tag stands before the last link: a page after the page
        end = len(source)
    pieces += [_closed(source[position:end]), added, source[end:]]
    return Woven("".join(pieces), tuple(source[start:stop] for start, stop in links))


def _closed(text: str) -> str:
    """The text, such that its last character does not become one with the template syntax put behind it."""
    return text[:-1] + "{{ '{' }}" if text.endswith("{") else text


def _may_be_web(source: str, hidden: str, href: Attribute) -> bool:
    """Whether a link may lead to http(s), as far as its source tells; rendering has the last word."""
    value = source[href.start : href.end]
    if re.search(rf"\b{UNSUBSCRIBE}\b", value):
        return False
    shown = hidden[href.start : href.end]
    if not _WEB.match(unescape(shown).lstrip(" \t\r\n\f")):
        return False
    return STATEMENT not in shown or _stands_alone(value)


def _stands_alone(value: str) -> bool:
    """Whether the statements in a value, or in a source as far as it is given, are all closed in it."""
    try:
        templates.compile(value, _Anything(), html=True, limit=len(value))
    except templates.TemplateError:
        return False
    return True


class _Anything(frozenset[str]):
    """Every name: variables are checked elsewhere."""

    def __contains__(self, _name: object) -> bool:
        return True


def _without_punctuation(url: str) -> str:
    """A URL in running text without what ends the sentence, and without a parenthesis that it did not open."""
    while url:
        last = url[-1]
        if last in ".,;:!?*_" or (last == ")" and url.count("(") < url.count(")")) or last == "]":
            url = url[:-1]
        else:
            break
    return url
