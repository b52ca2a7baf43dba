"""What does not compile and where, and the bounds on what does."""

from datetime import UTC, datetime

import pytest

from hookline.rules import cel

KNOWN = ("contact", "event", "message", "now")


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("", (1, 1), "the expression is empty"),
        (" // nothing", (1, 1), "the expression is empty"),
        ("1 +", (1, 4), "expected a value, but the expression ends here"),
        ("1 + * 2", (1, 5), "expected a value, found '*'"),
        ("1 2", (1, 3), "expected an operator or the end, found '2'"),
        (
            "event.type ==\n  'a' and true",
            (2, 7),
            "expected an operator or the end, found 'and'; 'and' is written '&&'",
        ),
        ("true or false", (1, 6), "expected an operator or the end, found 'or'; 'or' is written '||'"),
        ("not true", (1, 5), "expected an operator or the end, found 'true'; 'not' is written '!'"),
        ("not(true)", (1, 1), "there is no function 'not'; 'not' is written '!'"),
        ("event.type = 'a'", (1, 12), "the character '=' does not belong here; '==' compares"),
        ("true & false", (1, 6), "the character '&' does not belong here; 'and' is written '&&'"),
        ("true | false", (1, 6), "the character '|' does not belong here; 'or' is written '||'"),
        ("event.größe", (1, 9), "the character 'ö' does not belong here"),
        (
            "(1 + 2",
            (1, 7),
            "expected an operator or ')' to close the '(' at 1:1, but the expression ends here",
        ),
        ("(1 + 2]", (1, 7), "expected an operator or ')' to close the '(' at 1:1, found ']'"),
        (
            "[1, 2",
            (1, 6),
            "expected an operator, ',' or ']' to close the '[' at 1:1, but the expression ends here",
        ),
        (
            "event['a'",
            (1, 10),
            "expected an operator or ']' to close the '[' at 1:6, but the expression ends here",
        ),
        (
            "{'a': 1",
            (1, 8),
            "expected an operator, ',' or '}' to close the '{' at 1:1, but the expression ends here",
        ),
        ("{'a'}", (1, 5), "expected ':' and a value after the key, found '}'"),
        ("max(1,)", (1, 7), "expected a value, found ')'"),
        (
            "true ? 1",
            (1, 9),
            "expected ':' and the value for when the condition is false, but the expression ends here",
        ),
        ("event.", (1, 7), "expected a field name after '.', but the expression ends here"),
        ("event.1", (1, 6), "expected an operator or the end, found '.1'"),
        (
            "event.in",
            (1, 7),
            "expected a field name after '.' (a field of this name is reached with ['in']), found 'in'",
        ),
        (".'a'", (1, 2), "expected a variable after '.', found \"'a'\""),
        ("for", (1, 1), "expected a value (this word is reserved), found 'for'"),
        ("Foo{a: 1}", (1, 1), "there are no message types to build; a map is written {'key': value}"),
        ("'abc", (1, 1), "this string is not closed: ' is missing"),
        ("1 + 'a\nb'", (1, 5), "this string is not closed: ' is missing"),
        ("'''a''", (1, 1), "this string is not closed: ''' is missing"),
        (r"'a\q'", (1, 3), r"the escape \q is not known here; a backslash is written \\"),
        (r"'\U00110000'", (1, 2), r"the escape \U00110000 is not known here; a backslash is written \\"),
        (r"b'\u00e9'", (1, 3), r"the escape \u00e9 is not known here"),
        (r"'\ud800'", (1, 2), "this string holds half of a surrogate pair"),
        ("'\ud800'", (1, 2), "half of a surrogate pair is no character"),
        (
            "170141183460469231731687303715884105728",
            (1, 1),
            "the number 170141183460469231731687303715884105728 is too large: whole numbers have up to 127 bits",
        ),
        (
            "1 + 1e400",
            (1, 5),
            "the number 1e400 cannot be kept exactly: decimals have up to 34 digits and lie between 1e-100 and 1e100",
        ),
        (
            "0.12345678901234567890123456789012345",
            (1, 1),
            "the number 0.12345678901234567890123456789012345 cannot be kept exactly",
        ),
        (
            "evnt.type == 'a'",
            (1, 1),
            "there is no variable 'evnt'; known are contact, event, message and now; did you mean 'event'?",
        ),
        ("true && x", (1, 9), "there is no variable 'x'; known are contact, event, message and now"),
        (
            "[1].map(x, x) == x",
            (1, 18),
            "there is no variable 'x'; known are contact, event, message and now",
        ),
        ("[1].map(x, .x)", (1, 12), "there is no variable 'x'"),
        ("google.protobuf.Any", (1, 1), "there is no variable 'google'"),
        ("event.type.startWith('a')", (1, 12), "there is no method 'startWith'; did you mean 'startsWith'?"),
        ("sise(event)", (1, 1), "there is no function 'sise'; did you mean 'size'?"),
        (
            "startsWith('a', 'b')",
            (1, 1),
            "there is no function 'startsWith'; it is written value.startsWith()",
        ),
        ("exists([1])", (1, 1), "there is no function 'exists'; it is written list.exists(item, condition)"),
        ("event.data.n.round(2)", (1, 14), "there is no method 'round'; it is written round(value)"),
        ("math.greates(1)", (1, 6), "there is no function 'math.greates'; did you mean 'math.greatest'?"),
        ("frobnicate()", (1, 1), "there is no function 'frobnicate'"),
        ("round(1.5, 1, 2)", (1, 1), "round() takes 1 or 2 arguments, not 3"),
        ("size()", (1, 1), "size() takes 1 argument, not 0"),
        ("'a'.size(1)", (1, 5), "size() takes no arguments, not 1"),
        ("'a'.contains()", (1, 5), "contains() takes 1 argument, not 0"),
        ("'a'.replace('a')", (1, 5), "replace() takes 2 or 3 arguments, not 1"),
        ("max()", (1, 1), "max() takes at least 1 argument, not 0"),
        ("has(event)", (1, 1), "has() takes one field, as in has(event.data.name)"),
        ("has(event['a'])", (1, 1), "has() takes one field, as in has(event.data.name)"),
        ("[1].all(x)", (1, 5), "all() is written list.all(item, condition)"),
        ("[1].all(event.type, true)", (1, 5), "all() is written list.all(item, condition)"),
        ("[1].all(.x, true)", (1, 5), "all() is written list.all(item, condition)"),
        (
            "[1].map(x, 1, 2, 3)",
            (1, 5),
            "map() is written list.map(item, value) or list.map(item, condition, value)",
        ),
        ("duration('24 hours')", (1, 10), "'24 hours' is not a duration, such as '90s', '1h30m' or '7d'"),
        ("duration('99999999999999d')", (1, 10), "the result is out of range"),
        (
            "timestamp('2026-01-01')",
            (1, 11),
            "'2026-01-01' is not an RFC 3339 time, such as 2026-05-04T12:30:00Z",
        ),
        (
            "timestamp('2026-02-30T00:00:00Z')",
            (1, 11),
            "'2026-02-30T00:00:00Z' is not a time: day is out of range for month",
        ),
        (
            "now.getHours('Europ/Berlin')",
            (1, 14),
            "'Europ/Berlin' is not a known time zone, such as 'Europe/Berlin' or '+02:00'",
        ),
        ("event.type.matches('a(')", (1, 20), "'a(' is not a regular expression (RE2): missing ): a("),
        (r"event.type.matches('(?=a)')", (1, 20), "'(?=a)' is not a regular expression (RE2): "),
        ("1" * 4097, (1, 1), "the expression has 4097 characters, more than 4096"),
    ],
)
def test_what_does_not_compile(source: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile(source, KNOWN)
    error = caught.value
    assert (error.line, error.column) == place
    assert error.message.startswith(message)
    assert str(error) == f"{error.line}:{error.column}: {error.message}"


def test_without_variables_none_are_listed() -> None:
    with pytest.raises(cel.CelError, match="there is no variable 'a'; there are none here"):
        cel.compile("a", ())


DEEP = [
    "(" * 2000,
    "[" * 2000,
    "{1:" * 1000,
    "-" * 4000 + "1",
    "!" * 4000 + "true",
    "max(" * 1000,
    "event[" * 600,
    "1+(" * 1000,
    "(" * 51 + "1" + ")" * 51,
    "event" + "[0]" * 1000,
    "'a'" + ".trim()" * 500,
    "[1]" + ".map(x,x)" * 400,
    "[1].map(x," * 300,
    "true?(" * 500,
    "1+1*-(true&&1<1||" * 200,
]


@pytest.mark.parametrize("source", DEEP, ids=[source[:12] for source in DEEP])
def test_deep_nesting_does_not_compile(source: str) -> None:
    with pytest.raises(cel.CelError):
        cel.compile(source, KNOWN)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("(" * 49 + "1" + ")" * 49, 1),
        ("-" * 40 + "1", 1),
        ("+".join(["1"] * 2000), 2000),
        (" && ".join(["true"] * 500), True),
        (" || ".join(["false"] * 400), False),
        ("event" + ".a" * 2000, None),
        ("event" + "[0]" * 40, None),
        ("'a'" + ".trim()" * 40, "a"),
        ("".join(f"event.n == {n} ? {n} : " for n in range(150)) + "-1", -1),
        ("[" + ",".join("1" * 2000) + "].size()", 2000),
    ],
    ids=range(10),
)
def test_long_rows_compile(source: str, expected: object) -> None:
    assert cel.compile(source, KNOWN).evaluate({}) == expected


DATA = {
    "many": list(range(1000)),
    "list": list(range(100_000)),
    "text": "a" * (1 << 20),
    "texts": ["a" * 1000] * 1000,
    "big": 10**4000,
    "map": {str(n): n for n in range(50_000)},
    "word": "ab",
    "now": datetime(2026, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("many.all(x, many.all(y, x + y >= 0))", "this takes more than 20000 steps on this input"),
        ("many.all(x, many.all(y, x + y >= 0)) || true", "this takes more than 20000 steps on this input"),
        ("many.exists(x, many.exists(y, 1 / 0 == 1))", "this takes more than 20000 steps on this input"),
        ("many.all(x, text == text)", "this takes more than 20000 steps on this input"),
        ("many.all(x, text <= text)", "this takes more than 20000 steps on this input"),
        ("many.all(x, !text.contains('b'))", "this takes more than 20000 steps on this input"),
        ("many.all(x, !text.matches('b'))", "this takes more than 20000 steps on this input"),
        ("many.all(x, word.matches('a|' + string(x)))", "this takes more than 20000 steps on this input"),
        ("many.all(x, list == list)", "this takes more than 20000 steps on this input"),
        ("many.all(x, map == map)", "this takes more than 20000 steps on this input"),
        ("many.all(x, !(-1 in list))", "this takes more than 20000 steps on this input"),
        ("many.all(x, map[x] == null)", "this takes more than 20000 steps on this input"),
        ("many.all(x, now.getHours('x' + string(x)) > 0)", "this takes more than 20000 steps on this input"),
        ("many.all(x, big > 1.5 && big > 2.5)", "this takes more than 20000 steps on this input"),
        ("many.map(x, text.substring(1))", "this takes more than 20000 steps on this input"),
        (
            "many.map(x, word.split(''))[0].size() + list.map(x, x).size()",
            "this takes more than 20000 steps on this input",
        ),
        ("many.map(x, many + many)", "this takes more than 20000 steps on this input"),
        ("text + text", "text + text: the result would have more than 1048576 characters"),
        ("bytes(text) + b'a'", "this takes more than 20000 steps on this input"),
        ("list + [1]", "list + [1]: the result would have more than 100000 items"),
        (
            "text.replace('a', 'aa')",
            "text.replace('a', 'aa'): the result would have more than 1048576 characters",
        ),
        ("text.replace('', text)", "this takes more than 20000 steps on this input"),
        ("text.split('')", "text.split(''): the result would have more than 100000 items"),
        ("text.split('a')", "text.split('a'): the result would have more than 100000 items"),
        ("texts.join('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')", "texts.join("),
        ("[text, text]", "the result has more than 100000 items or 1048576 characters"),
        ("{'a': list, 'b': list}", "the result has more than 100000 items or 1048576 characters"),
        ("[1]" + ".map(x, [x, x])" * 40, "the result has more than 100000 items or 1048576 characters"),
        ("many.matches('a')", "matches() needs a string, but many is a list"),
        ("word.matches(text)", "word.matches(text): a pattern has up to 1000 characters"),
        (
            "double(text)",
            "double(text): 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…' is not a number",
        ),
    ],
)
def test_evaluation_is_bounded(source: str, message: str) -> None:
    with pytest.raises(cel.EvalError) as caught:
        cel.compile(source, DATA).evaluate(DATA)
    assert str(caught.value).startswith(message)


def test_a_large_input_is_fine_where_the_work_is_small() -> None:
    sources = (
        "text.contains('b')",
        "text.matches('b')",
        "many.exists(x, x > 999)",
        "-1 in list",
        "map['x'] != null",
        "text != text",
    )
    assert [cel.compile(source, DATA).evaluate(DATA) for source in sources] == [False] * 6


def test_data_that_is_nested_too_deeply() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(cel.EvalError, match="nested too deeply"):
        cel.compile("a == b", "ab").evaluate({"a": deep, "b": [*deep]})


def test_a_value_that_is_none_of_the_languages() -> None:
    with pytest.raises(cel.EvalError, match="type float cannot be used here"):
        cel.compile("type(a)", "a").evaluate({"a": 1.5})
    with pytest.raises(cel.EvalError, match="a is Python's float and 1 is an int: they cannot be added"):
        cel.compile("a + 1", "a").evaluate({"a": 1.5})
