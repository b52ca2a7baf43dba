"""A mail that is filled in is the mail that is rendered, character for character."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hookline.mail import compose
from hookline.mail.series import Series
from hookline.rules import tokens
from hookline.rules.templates import TemplateError

KEY = bytes(range(32))
MESSAGE = "dlv_0d1e5p6k8g9h3j2m4n7q0r1s28"
LEAVE = "https://t.example/t/u/leave"
made = tokens.MessageTokens(KEY, "default", MESSAGE)


class Links:
    open_url = f"https://t.example/t/o/{made.open()}"
    trap_url = f"https://t.example/t/h/{made.trap()}"
    unsubscribe_url = LEAVE

    def click(self, url: str, link: int) -> str:
        return f"https://t.example/?a&t={made.click(url, link)}"


PIECES = (
    "Hello ", "&amp; ", "\n", "  ", "\t", "\xa0", "é€", "\r\n", "&#x2", "f;", "{", "}", "\ue000", "-", ".", "&lt;",
    "{{ contact.name }}", "{{ contact.name }}", "{{contact.name|upper}}", "{{ x }}", "{{ x|safe }}", "{{ contact }}",
    "{{ 7 }}", "{{- x }}", "{{ x -}}", "{# no #}", "{#- no -#}", "{% raw %}{{ x }} {% if _open %}{% endraw %}",
    "{% if x %}yes {{ x }}{% elif contact.n %}{{ contact.n }}{% else %} no {% endif %}",
    "{% for i in contact.list %}{{ i }}, {% endfor %}", "{% set y = x %}", "{% set y %}{{ x }}!{% endset %}",
    "{% with z = 3 %}{{ z }}{% endwith %}", "{% filter upper %}a{{ x }}{% endfilter %}", "{{ unsubscribe_url }}",
    "{% if x %}{% set x = 'other' %}{% endif %}", '{{ "{% endif %}" }}', "{% set x = 'S' %}",
    "{% autoescape false %}{{ x }}{% endautoescape %}",
)  # fmt: skip
MARKUP = (
    "<p>", "</p>", "<br>", "<ul><li>", "</li></ul>", "<b>", "</b>", "<pre> a\n b</pre>", "<!-- {{ x }} -->",
    '<a href="https://a.example/?a=1&amp;b=2">one</a>', "<a href='https://a.example/{{ x }}'>two</a>",
    '<a href="{{ x }}">three</a>', '<a href="mailto:a@a.example">four</a>',
    '<a href=" https://b.example/ &#x2f;">x</a>',
    '<a href="https://a.example/{% if x %}y{% endif %}">five</a>', f'<a href="{LEAVE}">six</a>', "</body>",
    '<a href="{{ unsubscribe_url }}">leave</a>', "{% if x %}<a href='https://c.example'>seven</a>{% endif %}",
    f'<a href="https://long.example/{"x" * 7000}">long</a>',
)  # fmt: skip
TEXT = (*PIECES, "https://a.example/?a=1&b=2 ", "(https://a.example/{{ x }}).", f"{LEAVE} ")

values = st.one_of(
    st.none(),
    st.integers(-9, 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(
        ["Ada", "Ada Byron", " Ada", "a\0b", "\0", "a\n\nb", "<b>&/'", "é", "", "\x1d", "=?x?=", "\ue000"]
    ),
)
contacts = st.fixed_dictionaries({"name": values, "n": values, "list": st.lists(values, max_size=3)})


def text_of(pieces: tuple[str, ...], most: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


def outcome(
    mail: Series | compose.Prepared, variables: dict[str, Any], footer: str | None
) -> compose.Rendered | tuple[str, str]:
    try:
        return mail.render(variables, Links(), footer_url=footer)
    except compose.FieldError as error:
        return error.field, str(error)


@given(
    text_of((*PIECES, *MARKUP), 9),
    st.none() | text_of(TEXT, 6),
    text_of(tuple(piece for piece in PIECES if "\n" not in piece), 4),
    st.sampled_from(
        ["Shop <shop@a.example>", "Shop <shop@a.example>", "{{ x }} <shop@a.example>", "{{ x }}"]
    ),
    st.sampled_from(["", "", "{{ x }}"]),
    st.lists(st.tuples(contacts, values), min_size=1, max_size=3),
    st.sampled_from([True, True, True, False]),
)
@example("<p>{% for i in range(999999) %}{% endfor %}</p>", None, "s", "a@a.example", "", [({}, 1)], True)
@example("<p>{{ x }}</p>", "{{ x }}", "{% set x = 'other' %}S", "a@a.example", "", [({}, "v")], True)
@example("<p>a{{ x }}</p>", None, "s" * 990 + "{{ x }}", "a@a.example", "", [({}, "x" * 9), ({}, "")], True)
def test_what_is_filled_in_is_what_is_rendered(  # noqa: PLR0917
    html: str,
    text: str | None,
    subject: str,
    from_: str,
    reply_to: str,
    readers: list[tuple[dict[str, Any], Any]],
    footer: bool,
) -> None:
    try:
        mail = compose.prepare(
            subject=subject, html=html, text=text, from_=from_, reply_to=reply_to or None,
            track_opens=True, track_clicks=True, variables={"contact", "x", "y", "z"},
        )  # fmt: skip
    except TemplateError:
        return
    series = Series(mail)
    for contact, x in readers:
        given_ = ({"contact": contact, "x": x}, LEAVE if footer else None)
        assert outcome(series, *given_) == outcome(mail, *given_)


def test_what_all_have_in_common_is_not_rendered_again() -> None:
    """Nothing but the values goes through the engine, in whatever number of places they stand."""
    html = "<p>Dear {{ contact.name }}</p>" * 50 + '<a href="https://a.example/?a=1&amp;b=2">go</a>'
    mail = compose.prepare(
        subject="For {{ contact.name }}", html=html, text=None, from_="a@a.example", reply_to=None,
        track_opens=True, track_clicks=True, variables={"contact"},
    )  # fmt: skip
    series = Series(mail)
    reader = {"contact": {"name": "Ada <3"}}
    assert outcome(series, reader, LEAVE) == outcome(mail, reader, LEAVE)
    sketch = series.sketch
    assert sketch is not None
    assert sketch.laid is not None
    assert sketch.in_html.pieces == ["{{ contact.name }}", "{{ _footer }}", "{{ _trap }}", "{{ _open }}"]
    assert sketch.in_text.pieces == ["{{ contact.name }}", "{{ _footer }}"]
