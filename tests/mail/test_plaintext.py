"""The text of an HTML mail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.mail import compose
from hookline.mail.plaintext import text_source, to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One\n two</p><p>three</p>", "One two\n\nthree"),
        ("<div>One</div><div>two<br>three<br/><br>four</div>", "One\ntwo\nthree\n\nfour"),
        ("a<b>b</b> <i> c </i>d", "ab c d"),
        ("<h1>Title</h1>text<hr>end", "Title\n\ntext\n\n---\n\nend"),
        ("&lt;&amp;&nbsp;&euro;&#x41;", "<& €A"),
        ('<a href="https://a.example/?a=1&amp;b">shop</a>!', "shop (https://a.example/?a=1&b)!"),
        ('<a href="https://a.example">https://a.example</a>', "https://a.example"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<a href="#top">top</a> <a>none</a> <a href="/x">here</a>', "top none here"),
        ('<a href="https://a.example"><img alt="Our shop"></a>', "Our shop (https://a.example)"),
        ('<a href="https://a.example"><img src=x></a>', "https://a.example"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<ol><li>one</li><li>two<ul><li>deep</li></ul></li></ol>", "1. one\n2. two\n  - deep"),
        ("<ul><li><p>one</p></li><li></li><li>two</li></ul>", "- one\n\n-\n- two"),
        ("<table><tr><th>a<th>b</tr><tr><td>1</td><td>2</td></tr></table>", "a b\n1 2"),
        ("<pre>a\n  b\n</pre>c", "a\n  b\n\nc"),
        ("<title>T</title><style>p{}</style><script>x</script>a<!-- b --><noscript>c</noscript>", "a"),
        ("<head><meta charset=utf-8><title>T</title>x</head><body>a</body>", "a"),
        ('<div style="DISPLAY: none">pre<div>view</div></div><p hidden>b</p>a', "a"),
        ('<input hidden><img alt="" style="display:none">a', "a"),
        ("<!--[if mso]>x<![endif]-->a<![if !mso]>b<![endif]>", "ab"),
        ("", ""),
        (" \n <p> </p>", ""),
        ("a</p></div></ul></a></pre>b<a href='https://a.example'>", "a\n\nb"),
        ("a < b > c <3", "a < b > c <3"),
    ],
)
def test_html_becomes_text(html: str, text: str) -> None:
    assert to_text(html) == text


@given(st.text())
def test_escaped_text_comes_back_but_for_its_white_space(text: str) -> None:
    shown = to_text(text.replace("&", "&amp;").replace("<", "&lt;"))
    assert "".join(shown.split()) == "".join(text.split())


@given(st.text(st.sampled_from("<>/ \"='!-aplidvu\n&;:"), max_size=80))
def test_any_markup_gives_some_text(html: str) -> None:
    lines = to_text(html).split("\n")
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<ul><li>",
        "<!--",
        "<a href='",
        "<pre>",
        "</",
        "<div hidden>",
        "a\n",
        "<a href=x>",
        "<a>b</a",
        "</ul>",
    ],
)
def test_megabytes_of_nonsense_take_no_time(piece: str) -> None:
    assert isinstance(to_text(piece * (300_000 // len(piece))), str)


# --- made once, from the source of a template ------------------------------------------------------

VARIABLES = {
    "name": "Ada",
    "url": "https://own.example/?a=1&b=2",
    "yes": True,
    "no": False,
    "items": ["x", "y&z"],
}
FRAGMENTS = [
    "<ol><li>a</li><li><a href='{{ url }}'>b</a></li></ol>",
    "<p>Dear {{ name }},</p>", "<p>One\n  two</p>", "<br>", "{{ name }} &amp; Co", "<b>{{ items[1] }}</b>", "<hr>",
    '<a href="{{ url }}">own</a>', '<a href="https://a.example/?n={{ name }}&amp;x">{{ name }}</a>', " ", "\n", "word",
    "<ul><li>a</li><li>{{ name }}</li></ul>", "<h2>{{ name }}</h2>", '<img alt="{{ name }}">', "{# note #}", "<div>",
    "<table><tr><td>{{ name }}</td><td>b</td></tr></table>", "</div>", "<style>p{}</style>", "{% set a = name %}",
    '<a href="mailto:{{ name }}@b.example">mail</a>', "<div style='display:none'>{{ name }}</div>",
    '<a href="{% if yes %}https://b.example{% else %}{{ url }}{% endif %}">b</a>',
]  # fmt: skip
BLOCKS = ["{% if yes %}", "{% if no %}", "{% for i in items %}<li>{{ i }}</li>"]

documents = st.recursive(
    st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join),
    lambda inner: st.tuples(st.sampled_from(BLOCKS), inner, inner).map(
        lambda parts: (
            parts[0] + parts[1] + ("{% endfor %}" if "for" in parts[0] else "{% endif %}") + parts[2]
        )
    ),
    max_leaves=4,
).filter(bool)


class Same:
    """Links that stay as they are."""

    open_url = trap_url = unsubscribe_url = "https://t.example/"

    def click(self, url: str, link: int) -> str:
        return url


def prepared(source: str) -> compose.Prepared:
    return compose.prepare(
        subject="s",
        html=source,
        text=None,
        from_="a@example.com",
        reply_to=None,
        track_opens=True,
        track_clicks=True,
        variables=VARIABLES,
    )


@given(documents)
def test_the_text_made_from_the_source_is_the_text_of_the_finished_html(source: str) -> None:
    mail = prepared(source)
    assert mail.text is not None
    rendered = mail.render(VARIABLES, Same())
    expected = to_text(rendered.html or "")
    assert (rendered.text or "") == expected


@pytest.mark.parametrize(
    "source",
    [
        "<p>{{ name|safe }}</p>",
        "{% autoescape false %}{{ name }}{% endautoescape %}",
        "{% set x %}<b>a</b>{% endset %}{{ x }}",
        "{% raw %}<p>{{ x }}</p>{% endraw %}",
        "<b {% if yes %}class=x{% endif %}>a</b>",
        "<style>{% if yes %}p{}{% endif %}</style>a",
        "<ol>{% for i in items %}<li>{{ i }}</li>{% endfor %}</ol>",
        "&#123;&#123; name }} a",
        "\U000f0000a",
    ],
)
def test_where_the_source_cannot_tell_each_mail_is_converted(source: str) -> None:
    mail = prepared(source)
    assert mail.text is None
    rendered = mail.render({**VARIABLES, "name": "<p>Ada</p>Lovelace"}, None)
    assert rendered.text == to_text(rendered.html or "") != ""


def test_template_syntax_keeps_its_place() -> None:
    source = text_source("A<br>{% if x %}<br>B {{ b }}{% endif %}&amp;C", "_url")
    assert source == "A\x0b{% if x %}\x0bB {{ b }}{% endif %}&C"
