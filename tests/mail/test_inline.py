"""Style sheets written into elements; all else in the source stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.mail import compose
from hookline.mail.inline import StyleError, inline

SHEET = "<style>td.a { color: red } p { margin: 0 } p.k { margin: 1px }</style>"


def test_rules_are_written_into_the_elements_that_they_are_about() -> None:
    made = inline(SHEET + '<table><tr><td class=a>x</td></tr></table><p class="k">y</p><p>z</p><b>n</b>')
    assert '<td style="color: red;" class=a>x</td>' in made
    assert '<p style="margin: 1px;" class="k">y</p>' in made, "the more special rule holds"
    assert '<p style="margin: 0;">z</p><b>n</b>' in made
    assert made.startswith(SHEET), "for what cannot be inlined"


@pytest.mark.parametrize(
    "broken",
    ["b { color: red", "b { color: 'red }", "b { color: red } /* and", "@media print { b { margin: 0 }"],
)
def test_a_style_sheet_that_is_never_closed_is_left_alone(broken: str) -> None:
    source = f"<style>{broken}</style>NEXT<b>x</b><p>y</p>"
    assert inline(source) == source
    made = inline(source.replace("NEXT", "<style>p { margin: 0 } i::after { content: '}' /* { */ }</style>"))
    assert made.endswith('<b>x</b><p style="margin: 0;">y</p>')


def test_an_elements_own_style_stays_and_comes_last() -> None:
    made = inline(
        SHEET + "<p style='color:green'>x</p><p style=color:blue>y</p><td class=a style=\"color:blue\">"
    )
    assert "<p style='margin: 0;color: green'>x</p>" in made
    assert '<p style="margin: 0;color: blue">y</p>' in made


KEPT = (
    "<!--[if mso]><p>old</p><![endif]--><![if !mso]><b>new</b><![endif]>",
    "&nbsp;&copy;&amp;amp; é",
    '<a href="mailto:ada@example.com?subject=a&b">m</a>',
    '<a href="{{ unsubscribe_url }}">leave</a>',
    "{% for item in contact.attributes.items %}<i>{{ item }}</i>{% endfor %}",
    "{% if a < b %}<i>x</i>{% endif %}",
    "<TABLE>{% for x in y %}<TR><TD>{{ x }}{% endfor %}</TABLE>",
    '<i {% if a %}class="k"{% endif %}>',
)


@pytest.mark.parametrize("kept", KEPT)
def test_all_else_stays_byte_for_byte(kept: str) -> None:
    source = f"{SHEET}<p>before</p>{kept}<p>after</p>"
    assert inline(source) == source.replace("<p>before", '<p style="margin: 0;">before').replace(
        "<p>after", '<p style="margin: 0;">after'
    )


def test_expressions_in_styles_are_kept_and_conditions_are_left_alone() -> None:
    sheet = "<style>p { font-size: {{ size }}px } {% if x %}b { color: red }{% endif %}</style>"
    assert '<p style="font-size' not in inline(sheet + "<p>x</p>"), "a sheet with conditions is not inlined"
    sheet = "<style>p { color: {{ colour }} }</style>"
    made = inline(sheet + '<p style="margin: {{ m }}">x</p><p style="{% if a %}top:0{% endif %}">y</p>')
    assert 'color: {{ colour }};margin: {{ m }}"' in made
    assert '<p style="{% if a %}top:0{% endif %}">y</p>' in made


def test_a_source_without_style_sheets_is_not_touched() -> None:
    source = '<P Style="color:RED">x <p>y'
    assert inline(source) is source


def test_what_would_take_too_long_is_refused() -> None:
    sheet = "<style>" + "p{top:0}" * 3000 + "</style>"
    with pytest.raises(StyleError, match="too many"):
        inline(sheet + "<p>" * 3000)
    with pytest.raises(compose.FieldError, match="html: "):
        compose.prepare(
            subject="s", html=sheet + "<p>" * 3000, text=None, from_="a@example.com", reply_to=None,
            track_opens=True, track_clicks=True, variables=(),
        )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "<div>" * 40_000,
        "<svg>" + "<td>" * 40_000,
        ("<div>" * 3999 + "<object>" + "</div>" * 3999) * 5,
        "<p><b></p>" * 20_000,
        "<div/>" * 30_000,
    ],
)
def test_what_would_break_a_parser_is_refused(body: str) -> None:
    """Each would end the process, on its stack or out of memory, if css-inline got to see it."""
    with pytest.raises(StyleError, match="never closed"):
        inline(SHEET + body)


def test_long_lists_of_selectors_and_long_rules_are_refused() -> None:
    with pytest.raises(StyleError, match="50000 selectors for 501 elements"):
        inline("<style>" + "p," * 49_999 + "p{top:0}</style>" + "<p>x</p>" * 500)
    with pytest.raises(StyleError, match="a rule of 100006 characters"):
        inline("<style>p{top:" + "x" * 100_000 + "}</style>" + "<p>x</p>" * 500)


def test_html_as_people_write_it_is_not_taken_for_that() -> None:
    loose = "<ul>" + "<li>x<p>y" * 1500 + "</ul>" + "<table><tr><td><font><b>z</table>" * 50
    made = inline(SHEET + loose + "<p>last")
    assert made.endswith('<p style="margin: 0;">last')


@given(
    st.lists(st.sampled_from([*KEPT, SHEET, "<p", ">", "<p class=k>", "</p>", "text", '"', "<!--", "-->"]))
)
def test_only_style_attributes_are_added(parts: list[str]) -> None:
    source = "".join(parts)
    try:
        made = inline(source)
    except StyleError:
        return
    assert re.sub(r' style="[^"{<>]*"', "", made) == re.sub(r' style="[^"{<>]*"', "", source)
