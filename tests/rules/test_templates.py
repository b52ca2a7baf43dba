"""Templates: what they see, what they are refused, and that they always end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import minijinja
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.rules import templates
from hookline.rules.tags import guarded
from hookline.rules.templates import TemplateError, plain

NAMES = ("event", "contact", "x")


def render(source: str, html: bool = False, **variables: object) -> str:
    return templates.compile(source, NAMES, html=html).render(variables)


def refused(source: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        templates.compile(source, NAMES, html=False)
    return caught.value


# --- what they see -------------------------------------------------------------------------------


def test_text_is_escaped_in_html_only() -> None:
    assert render("{{ x }}", html=True, x="<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert render("{{ x }}", x="<b>&\"'") == "<b>&\"'"
    assert render("{{ x|safe }}", html=True, x="<b>") == "<b>"


def test_its_names_are_the_variables_that_it_mentions() -> None:
    source = "{% set y = 1 %}{{ y }}{{ contact.email }}{% for i in range(2) %}{{ i }}{{ x }}{% endfor %}"
    assert templates.compile(source, NAMES, html=True).names == {"contact", "x"}


@pytest.mark.parametrize(
    "source", ["{{ x }}", "{{ x.y.z }}", "{{ event.no.such.thing }}", "{{ contact.none }}"]
)
def test_nothing_renders_as_nothing(source: str) -> None:
    assert render(source, event={}, contact={"none": None}) == ""


def test_default_stands_in_for_what_is_missing_or_none() -> None:
    assert (
        render("{{ contact.name|default('you') }} {{ contact.x|d('z') }}", contact={"name": None}) == "you z"
    )
    assert render("{{ x|default('a') }}{{ x|default('a', true) }}", x="") == "a"
    assert render("{{ x|default(1) }}", x=0) == "0"


def test_white_space_is_kept() -> None:
    assert render("a\n{{ x }}\n", x="b") == "a\nb\n"


def test_a_missing_key_named_like_a_method_is_empty() -> None:
    source = "[{{ x.items }}][{% if x.items %}yes{% endif %}][{% for i in x.keys %}yes{% endfor %}]"
    assert render(source, x={"a": 1}) == "[][][]"
    assert render(source, x={"items": "i", "keys": [1]}) == "[i][yes][yes]"
    assert render("{% for k, v in x.items() %}{{ k }}={{ v }};{% endfor %}", x={"a": 1, "b": 2}) == "a=1;b=2;"
    assert (
        render("{{ x.get('a') }}{{ x.get('b', 2) }}{{ x.keys() }}{{ x.values() }}", x={"a": 1})
        == '12["a"][1]'
    )


def test_maps_and_lists_print_as_json() -> None:
    assert render("{{ x }}", x={"a": [1, None, "é"]}) == '{"a":[1,null,"é"]}'


def test_tojson_gives_json_that_is_safe_in_html_too() -> None:
    value = {"a": "</script>'&", "b": [1.5, None, True], "c": Decimal("987.60")}
    for html in (True, False):
        text = render("{{ x|tojson }}", html=html, x=value)
        assert msgspec.json.decode(text) == {"a": "</script>'&", "b": [1.5, None, True], "c": 987.6}
        assert "<" not in text and "'" not in text


def test_money_and_dates() -> None:
    for value, expected in [
        (987.6, "987.60"),
        ("987.6", "987.60"),
        (Decimal("0.005"), "0.01"),
        (3, "3.00"),
        (None, ""),
    ]:
        assert render("{{ x|money }}", x=value) == expected
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (
        render("{{ x|date }} {{ x|date('%d %B %Y, %H:%M') }}", x=moment)
        == "2026-01-02 02 January 2026, 03:04"
    )
    assert render("{{ x|date }}", x=None) == ""


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ x|money }}", "abc"),
        ("{{ x|money }}", True),
        ("{{ x|money }}", [1]),
        ("{{ x|money }}", float("inf")),
        ("{{ x|date }}", "yesterday"),
        ("{{ x|date }}", 5),
        ("{{ x|date('%999999999d') }}", "2026-01-02"),
        ("{{ x|money(1, 2) }}", 1),
        ("{{ x() }}", {}),
        ("{{ x.y() }}", {}),
        ("{{ x + 1 }}", {}),
        ("{{ 1 / x }}", 0),
    ],
)
def test_what_fails_is_a_template_error(source: str, value: object) -> None:
    with pytest.raises(TemplateError):
        render(source, x=value)


# --- plain data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("987.60"), 987.6),
        (Decimal("800.00"), 800),
        (Decimal("1E+3"), 1000),
        (Decimal("0.1000000000000000000001"), "0.1000000000000000000001"),
        (Decimal("NaN"), "NaN"),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000006Z"),
        (date(2026, 1, 2), "2026-01-02"),
        ((1, (2,)), [1, [2]]),
        ({1: {"a": None}}, {"1": {"a": None}}),
        (minijinja.safe("<b>"), "<b>"),
    ],
)
def test_plain_values(value: object, expected: object) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected) or isinstance(found, dict | list)
    assert plain(found) == found


def test_text_that_was_marked_as_safe_is_not_any_more() -> None:
    assert render("{{ x }}", html=True, x=minijinja.safe("<b>")) == "&lt;b&gt;"


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_only_plain_types_reach_a_template(value: object) -> None:
    def check(item: object) -> None:
        if isinstance(item, dict):
            for key, inner in item.items():
                assert type(key) is str
                check(inner)
        elif isinstance(item, list):
            for inner in item:
                check(inner)
        else:
            assert item is None or type(item) in (str, int, float, bool)

    check(plain(value))
    render("{{ x }}{{ x|tojson }}", x=value)


def test_what_is_not_data_or_too_deep_is_refused() -> None:
    deep: object = {}
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), b"bytes", deep, {"a": [lambda: 1]}):
        with pytest.raises(TemplateError):
            render("{{ x }}", x=value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.clear() }}",
        "{{ x.update({'a': 2}) }}",
        "{{ x.pop('a') }}",
        "{{ x.l.append(2) }}",
        "{{ x.l.sort() }}",
        "{{ x.__class__.__mro__() }}",
        "{{ x.__init__() }}",
        "{{ x.items.__self__() }}",
        "{{ x.l.__class__() }}",
        "{{ (x|attr('clear'))() }}",
        "{% set call = x.clear %}{{ call() }}",
        "{% set call = x|attr('clear') %}{{ call() }}",
        "{% set call = x.l|attr('append') %}{{ call(2) }}",
        "{% set call = x.items|attr('__self__') %}{{ call() }}",
    ],
)
def test_a_template_changes_nothing_and_reaches_nothing(source: str) -> None:
    data = {"a": 1, "l": [1]}
    with pytest.raises(TemplateError):
        templates.compile(source, NAMES, html=False).render({"x": data})
    assert data == {"a": 1, "l": [1]}


def test_methods_of_text_maps_and_loops_may_be_called() -> None:
    source = "{% for k, v in x.items() %}{{ loop.cycle(k.upper(), '-') }}{{ x.get(k).title() }}{% endfor %}"
    assert render(source, x={"a": "one", "b": "two"}) == "AOne-Two"


@pytest.mark.parametrize("source", ["{{ x.upper() }}", "{{ x() }}", "{{ x.get() }}", "{{ x.l.count(1) }}"])
def test_a_call_that_fails_is_told_without_names_of_ours(source: str) -> None:
    with pytest.raises(TemplateError, match=r"^calls ") as caught:
        templates.compile(source, NAMES, html=False).render({"x": {"l": [1]}})
    assert not any(word in str(caught.value) for word in ("_Map", "_List", "NoneType", "lambda"))


@pytest.mark.parametrize("name", ["__class__", "__dict__", "clear", "fromkeys", "_call", "copy"])
def test_attributes_of_python_objects_are_not_seen(name: str) -> None:
    assert render(f"{{{{ x.{name} }}}}{{{{ x.l.{name} }}}}{{{{ x['{name}'] }}}}", x={"l": []}) == ""


# --- what they are refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ foo }}", "line 1, column 4: unknown variable 'foo'; known: contact, event, x"),
        ("a\n  {{ foo.bar }}", "line 2, column 6: unknown variable 'foo'"),
        ("{{ x.foo }}{{ foo }}", "line 1, column 15: unknown variable 'foo'"),
        ("\n\n{% if code('A') %}{% endif %}", "line 3, column 7: code() is not available yet"),
        ("{{ foo() }}", "line 1, column 4: unknown function 'foo'"),
        ("{{ debug() }}", "unknown function 'debug'"),
        ("{% set ns = namespace() %}", "unknown function 'namespace'"),
        ("é{% if false %}{{ x|nope }}{% endif %}", "line 1, column 21: unknown filter 'nope'"),
        ("{% filter nope %}{% endfilter %}", "unknown filter 'nope'"),
        ("{{ x|pprint }}", "unknown filter 'pprint'"),
        ("{{ x is nope }}", "line 1, column 9: unknown test 'nope'"),
        ("{{ x is not nope }}", "unknown test 'nope'"),
        ("é\né{{ x. }}", "line 2, column 8: unexpected end of variable block"),
        ("{% if x %}", "line 1, column 9: unexpected end of input"),
        ("a{{ x", "line 1, column 2: {{ is never closed"),
        ("{# x", "{# is never closed"),
        ("{% raw %} x", "{% is never closed"),
        ("{% include 'a' %}", "line 1, column 4: 'include' is not available in templates"),
        ("{%- extends 'a' %}", "'extends' is not available"),
        ("{% import 'a' as b %}", "'import' is not available"),
        ("{% from 'a' import b %}", "'from' is not available"),
        ("{% macro a() %}{% endmacro %}", "'macro' is not available"),
        ("{% block a %}{% endblock %}", "'block' is not available"),
        ("{% for i in x recursive %}{% endfor %}", "recursive loops are not available"),
        ("a\n{{ contact.attributes.foo() }}", "line 2, column 23: unknown method 'foo'"),
        ("{% for i in x.l.clear () %}{% endfor %}", "line 1, column 17: unknown method 'clear'"),
        ("{{ x['foo']() }}", "line 1, column 12: a value cannot be called"),
        ("{{ '%s'.format(1) }}", "'format' is not available"),
        ("{{ x|tojson(indent=9) }}", "'tojson' takes no arguments"),
        ("{{ " + "-" * 5000 + "1 }}", "longer than 4000 characters"),
        ("{% if x %}" + "{% elif x %}" * 501 + "{% endif %}", "more than 500 elif"),
        ("x" * (templates.MAX_SOURCE + 1), "longer than 262144 characters"),
    ],
)
def test_a_wrong_source_is_refused_with_its_place(source: str, complaint: str) -> None:
    assert complaint in str(refused(source))


def test_an_error_is_one_readable_line() -> None:
    error = refused("ab\n{{ foo }}")
    assert (error.message, error.line, error.column) == (
        "unknown variable 'foo'; known: contact, event, x",
        2,
        4,
    )
    with pytest.raises(TemplateError) as caught:
        render("\n{{ x.keys() }}", x="text")
    assert str(caught.value) == "line 2: string has no method named keys"


@pytest.mark.parametrize(
    "source",
    [
        "{# {{ foo }} {% bar %} #}ok",
        "{% raw %}{{ foo }}{% endraw %}",
        "{{ '{{ foo }} |nope }}' }}",
        '{{ "a\\"}}b" }}',
        "{{ {'a': {'b': 1}}.a.b }}",
        "{%- if x is defined and x is not none -%}{%- endif -%}",
        "{% with a = 1, b = x %}{{ a }}{{ b }}{% endwith %}",
    ],
)
def test_what_looks_wrong_but_is_right(source: str) -> None:
    render(source)


PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", "{% raw %}", "{% endraw %}", *"ax1 {}[]().,|=-*'\"\\"]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_source_gives_a_template_or_a_template_error(source: str) -> None:
    try:
        templates.compile(source, ("a", "x", "ax", "xa"), html=True).render({"a": 1, "x": {"a": [1]}})
    except TemplateError:
        return


numbers = st.integers(-9, 9).map(str) | st.sampled_from(["n", "m.k", "m['k']", "(n)", "t|length", "n|abs"])


@given(
    st.recursive(
        numbers,
        lambda inner: (
            st.tuples(inner, st.sampled_from([" * ", "*", " + ", "-", " // ", " % ", "* -"]), inner)
            .map("".join)
            .flatmap(lambda text: st.sampled_from([text, f"({text})", f"({text})|abs"]))
        ),
    )
)
def test_products_mean_what_they_say(expression: str) -> None:
    """The check that is put on both operands of ``*`` leaves the value as it is."""
    source = f"{{{{ {expression} }}}}"
    variables = {"n": 3, "m": {"k": 2}, "t": "abcd"}
    engine = minijinja.Environment()
    try:
        expected = engine.render_str(source, None, **variables)
    except minijinja.TemplateError:
        return
    assert templates.compile(source, tuple(variables), html=False).render(variables) == expected


def test_text_may_be_repeated_and_lists_not() -> None:
    assert render("{{ '-' * 3 }}{{ 2 * 'a' }}{{ 2 * x|length }}", x=[1, 2]) == "---aa4"
    for source in ("{{ x * 2 }}", "{{ 2 * x }}", "{{ [1] * 2 }}", "{{ 2 * (x) }}", "{{ 2 * -1 * x|list }}"):
        with pytest.raises(TemplateError, match="works on numbers"):
            render(source, x=[1])


def test_guarding_leaves_other_sources_alone() -> None:
    source = "a * b {{ x ** 2 }} {% raw %}{{ a * b }}{% endraw %}{# a * b #}{{ '*' }}"
    assert guarded(source) == source


def test_a_result_has_a_bound() -> None:
    with pytest.raises(TemplateError, match="longer than 2097152"):
        render("{{ x }}{{ x }}{{ x }}", x="y" * 1_000_000)
