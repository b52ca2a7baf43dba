"""Tracking woven into HTML and text: what is tracked, and that nothing else changes."""

from __future__ import annotations

from html import escape, unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.mail import compose
from hookline.mail.compose import FieldError, Prepared
from hookline.rules import templates

VARIABLES = {
    "url": "https://own.example/?a=1&b='2'",
    "mail": "mailto:a@b.example",
    "id": 'x"><script>&',
    "yes": True,
    "no": False,
    "items": ["one", "two & three"],
}


class Marked:
    """Links that show what went in."""

    trap_url = ""
    open_url = "https://t.example/open?a=1&b=2"
    unsubscribe_url = "https://t.example/leave?a=1&b=2"

    def click(self, url: str, link: int) -> str:
        if "toolong" in url:
            raise ValueError("too long")
        return f"https://t.example/{link}?to=[{url}]"


def prepared(html: str | None = None, text: str | None = None, opens: bool = False) -> Prepared:
    return compose.prepare(
        subject="s",
        html=html,
        text=text,
        from_="a@example.com",
        reply_to=None,
        track_opens=opens,
        track_clicks=True,
        variables=VARIABLES,
    )


def html(source: str, *, opens: bool = False) -> str:
    return prepared(source, opens=opens).render(VARIABLES, Marked()).html or ""


def text(source: str) -> str:
    return prepared(text=source).render(VARIABLES, Marked()).text or ""


def untouched(source: str) -> str:
    return templates.compile(source, [*VARIABLES, "unsubscribe_url"], html=True).render(
        {**VARIABLES, "unsubscribe_url": Marked.unsubscribe_url}
    )


def tracked(url: str, index: int = 0) -> str:
    return escape(Marked().click(url, index))


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ('<a href="{}">x</a>', "https://a.example/"),
        ("<a href='{}'>x</a>", "http://a.example/?a=1&b=2"),
        ("<a href={}>x</a>", "https://a.example/?a=1&b=2"),
        ('<A class=b\n  HREF = "{}" >x</A>', "HTTPS://A.example/"),
        ('<area shape=rect href="{}"/>', "https://a.example/"),
        ('<a title="a > b" href="{}">x</a>', "https://a.example/"),
        ('<a {{% if yes %}}class="b"{{% endif %}} href="{}">x</a>', "https://a.example/"),
        ('<![if !mso]><a href="{}">x</a><![endif]>', "https://a.example/"),
        ('<!--[if !mso]><!--><a href="{}">x</a><!--<![endif]-->', "https://a.example/"),
        ('a < b <a href="{}">x</a>', "https://a.example/"),
        ('{{{{ "<!--" }}}}<a href="{}">x</a>', "https://a.example/"),
    ],
)
def test_a_link_to_the_web_is_tracked(source: str, url: str) -> None:
    before = source.format(escape(url))
    assert html(before) == untouched(source.format(tracked(url)))


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("?a=1&copy=2", "?a=1&copy=2"),
        ("?a=1&currency=EUR&region=eu&section=2&not=x", "?a=1&currency=EUR&region=eu&section=2&not=x"),
        ("?a=1&amp;copy=2&amp=3&lt4", "?a=1&copy=2&amp=3&lt4"),
        ("?a=&copy;&eacute;&copyx;&#38;&#x26;b", "?a=©é&copyx;&&b"),
        ("?a=&copy", "?a=©"),
        ("?a=&copy&reg;", "?a=©®"),
        ("?a&=b&;&c", "?a&=b&;&c"),
    ],
)
def test_a_link_leads_where_a_browser_would_have_gone(value: str, url: str) -> None:
    source = f'<a href="https://a.example/{value}">x</a>'
    assert html(source) == f'<a href="{tracked("https://a.example/" + url)}">x</a>'
    assert prepared(source).render(VARIABLES, None).text == f"x (https://a.example/{url})"


def test_a_link_is_rendered_before_it_is_tracked() -> None:
    assert html('<a href="https://a.example/?id={{ id }}&amp;x">x</a>') == (
        f'<a href="{tracked(VARIABLES_URL)}">x</a>'
    )
    assert html('<a href="{{ url }}">x</a>') == f'<a href="{tracked(str(VARIABLES["url"]))}">x</a>'
    assert html("""<a href="{% if no %}https://a.example{% else %}{{ url }}{% endif %}">x</a>""") == (
        f'<a href="{tracked(str(VARIABLES["url"]))}">x</a>'
    )


VARIABLES_URL = f"https://a.example/?id={VARIABLES['id']}&x"


def test_a_link_in_a_loop_keeps_its_index() -> None:
    source = '{% for i in items %}<a href="https://a.example/{{ i }}">x</a>{% endfor %}<a href="http://b.example">y</a>'
    woven = prepared(source)
    assert woven.links == ("https://a.example/{{ i }}", "http://b.example")
    expected = [("https://a.example/one", 0), ("https://a.example/two & three", 0), ("http://b.example", 1)]
    assert html(source) == "".join(
        f'<a href="{tracked(url, index)}">{"x" if index == 0 else "y"}</a>' for url, index in expected
    )


@pytest.mark.parametrize(
    "source",
    [
        '<a href="mailto:a@b.example?subject=x&amp;y">x</a>',
        '<a href="tel:+451234">x</a><a href="sms:+451234">x</a><a href="#top">x</a><a name=x>x</a>',
        '<a href="/relative">x</a><a href="page.html">x</a><a href="//a.example/">x</a><a href="">x</a>',
        '<a href="{{ unsubscribe_url }}">x</a><a href="{{ mail }}">x</a><a href="{{ no }}">x</a>',
        '{% set leave = unsubscribe_url %}<a href="{{ leave }}">x</a>',
        '<!-- <a href="https://a.example/">x</a> --><!--><b><!--[if mso]><a href="https://a.example/">x</a><![endif]-->',
        "<script>'<a href=\"https://a.example/\">'</script><style>a:before{content:'<a href=https://a.example>'}</style>",
        '<textarea><a href="https://a.example/">x</a></textarea><title><a href="https://a.example/"></title>',
        '<link href="https://a.example/"><img src="https://a.example/"><base href="https://a.example/">',
        '<a data-href="https://a.example/">x</a><b href="https://a.example/">x</b><a href>x</a>',
        "&nbsp;&copy;&#8364;&unknown; <p align=center>\t\n  <br/></P><!DOCTYPE html><?xml?>",
        '{% raw %}<a href="https://a.example/{{ x }}">x</a>{% endraw %}',
        '{{ "<a href=\'https://a.example\'>"|safe }}{# <a href="https://a.example"> #}',
        '<a href="{% if yes %}https://a.example/">{% else %}https://b.example/">{% endif %}x</a>',
        '<a href="https://a.example/toolong">x</a><a href="javascript:alert(1)">x</a>',
        '<a href="https://a.example/',
        "<a href=\"https://a.example/'>x</a>",
    ],
)
def test_all_else_stays_as_it_is(source: str) -> None:
    assert html(source) == untouched(source)


def test_browsers_ignore_white_space_in_a_link_and_so_do_we() -> None:
    assert (
        html('<a href=" https://a.example/\n  x ">x</a>')
        == f'<a href="{tracked("https://a.example/  x")}">x</a>'
    )


def test_the_pixel_stands_before_the_end_of_the_body() -> None:
    pixel = '<img src="https://t.example/open?a=1&amp;b=2" width="1"'
    for before, after in [
        ("<body>a", "</body></html>"),
        ("<html>a", "</html>"),
        ("a", ""),
        ("a<!-- </body> -->", ""),
    ]:
        found = html(before + after, opens=True)
        assert found.startswith(before + pixel) and found.endswith(">" + after)
    assert "img" not in (prepared("<p>a", opens=True).render(VARIABLES, None).html or "")


def test_text_links_are_tracked_without_the_punctuation_around_them() -> None:
    source = (
        "See https://a.example/x?a=1&b={{ no }}, (http://b.example/(y)). <HTTPS://c.example>! mailto:a@b.c"
    )
    first, second = (
        "https://t.example/0?to=[https://a.example/x?a=1&b=False]",
        "https://t.example/1?to=[http://b.example/(y)]",
    )
    third = "https://t.example/2?to=[HTTPS://c.example]"
    assert text(source) == f"See {first}, ({second}). <{third}>! mailto:a@b.c"
    assert text("{{ unsubscribe_url }} ftp://a.example") == f"{Marked.unsubscribe_url} ftp://a.example"


def test_links_of_the_text_are_counted_after_those_of_the_html() -> None:
    both = prepared('<a href="https://a.example/">x</a>', "https://b.example/")
    assert both.links == ("https://a.example/", "https://b.example/")
    assert both.render(VARIABLES, Marked()).text == "https://t.example/1?to=[https://b.example/]"


FOOTER = "https://t.example/footer"


@pytest.mark.parametrize(
    ("source", "appears"),
    [
        ("<p>a</p>", True),
        ('<a href="{{ unsubscribe_url }}">x</a>', False),
        ("{% if no %}{{ unsubscribe_url }}{% endif %}", False),
    ],
)
def test_a_footer_leads_out_where_nothing_else_does(source: str, appears: bool) -> None:
    mail = prepared(source, source)
    with_footer = mail.render(VARIABLES, Marked(), footer_url=FOOTER)
    assert (f'<a href="{FOOTER}"' in (with_footer.html or "")) is appears
    assert (f"\n-- \nUnsubscribe: {FOOTER}\n" in (with_footer.text or "")) is appears
    assert "nsubscribe" not in (mail.render(VARIABLES, None).html or "")


@pytest.mark.parametrize(
    "source",
    [
        "{% if no %}<body>a</body>{% else %}<body>b</body>{% endif %}",
        "{% if yes %}<body>a</body>{% else %}<body>b</body>{% endif %}",
        "<body>{% if no %}a</body>{% endif %}",
        "{% for item in items %}<body>{{ item }}</body>{% endfor %}",
    ],
)
def test_whichever_page_is_chosen_has_one_footer_and_one_pixel(source: str) -> None:
    mail = prepared(source, opens=True).render(VARIABLES, Marked(), footer_url=FOOTER)
    assert mail.html is not None and mail.text is not None
    assert (mail.html.count(FOOTER), mail.text.count(FOOTER), mail.html.count("<img")) == (1, 1, 1)


def test_errors_name_the_field_and_the_place_in_the_users_source() -> None:
    source = '<a href="https://a.example/">x</a>\n<a href="{{ foo }}">'
    with pytest.raises(FieldError) as caught:
        prepared(source)
    assert (caught.value.field, caught.value.line, caught.value.column) == ("html", 2, 13)


# --- any HTML ------------------------------------------------------------------------------------

FRAGMENTS = [
    '<a href="https://a.example/?x=1&amp;y={{ id }}">', "<A HREF='{{ url }}' class=x>", "<a href=http://b.example/q>",
    '<a href="mailto:a@b.example">', '<a href="{{ mail }}">', '<area href="https://c.example/">', "</a>", "<p>", "</p>",
    "text &amp; more", "{{ id }}", "{{ items[0] }}", "\n", "<br/>", "<!-- <a href='https://n.example/'> -->", "</body>",
    "<script>if (a<b) '<a href=\"https://n.example/\">'</script>", "{% raw %}{{ x }}{% endraw %}", "{# note #}",
    "<!--[if mso]><a href='https://n.example/'>x</a><![endif]-->", "<style>p>a{}</style>", '<img alt="a>b">', "< b",
    "<![if !mso]>", "<![endif]>", "<div title='a\"b'>", "<table><tr><td>", "<a {% if yes %}id=z{% endif %} href='https://d.example'>",
]  # fmt: skip
BLOCKS = ["{% if yes %}", "{% if no %}", "{% for i in items %}"]


def close(block: str) -> str:
    return "{% endfor %}" if "for" in block else "{% endif %}"


documents = st.recursive(
    st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join),
    lambda inner: st.tuples(st.sampled_from(BLOCKS), inner, inner).map(
        lambda parts: parts[0] + parts[1] + close(parts[0]) + parts[2]
    ),
    max_leaves=4,
).filter(bool)


class _Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("a", "area"):
            self.found.append(dict(reversed(attrs)).get("href") or "")


@given(documents)
def test_without_links_the_mail_is_what_was_written(source: str) -> None:
    rendered = prepared(source, opens=True).render(VARIABLES, None)
    assert rendered.html == untouched(source)


@given(documents)
def test_each_link_to_the_web_and_no_other_is_changed(source: str) -> None:
    before, after = _Links(untouched(source)).found, _Links(html(source)).found
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if old.startswith("http"):
            assert new.startswith("https://t.example/") and new.endswith(f"?to=[{old}]")
        else:
            assert new == old


@given(st.text(st.sampled_from("<>\"'=/! -aAhref:sp.{}%\n"), max_size=60))
def test_any_text_is_taken_for_html_without_harm(source: str) -> None:
    try:
        expected = untouched(source)
    except templates.TemplateError:
        return
    if source:
        assert unescape(prepared(source, opens=True).render(VARIABLES, None).html or "") == unescape(expected)


def test_a_brace_before_what_is_woven_in_stays_a_brace() -> None:
    assert html('<a href="https://a.example/{">{') == f'<a href="{tracked("https://a.example/{")}">{{'
    assert text("{https://a.example/{") == "{https://t.example/0?to=[https://a.example/{]"


def test_megabytes_of_nonsense_take_no_time() -> None:
    for piece in (
        "<a ",
        "<",
        "<!--",
        "<a href=",
        "<a href='",
        '<a b="',
        "<![",
        "</a",
        "<script>",
        "= ",
        "<a   ",
        "<a x=\"' ",
    ):
        source = (piece * templates.MAX_SOURCE)[: templates.MAX_SOURCE]
        assert prepared(source).links == ()
