"""The language: literals, operators, names, null, logic, macros."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hookline.rules import cel

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
WORLD = {
    "event": {
        "type": "email.opened",
        "time": NOON,
        "data": {
            "machine": False,
            "n": 3,
            "price": Decimal("12.50"),
            "items": [1, 2, 3],
            "first-name": "Ada",
        },
    },
    "message": {"campaign": "cmp_1", "sent_at": NOON - timedelta(hours=23)},
    "contact": None,
    "now": NOON,
}


def value(source: str) -> object:
    return cel.compile(source, WORLD).evaluate(WORLD)


def error(source: str) -> str:
    with pytest.raises(cel.EvalError) as caught:
        value(source)
    return str(caught.value)


def table(*rows: tuple[str, object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("source", "expected"), rows, ids=[source for source, _ in rows])


@table(
    (
        "message.campaign == 'cmp_1' && event.time - message.sent_at <= duration('24h') && !event.data.machine",
        True,
    ),
    ("event.type == 'email.opened' && message.campaign in ['cmp_1', 'cmp_2']", True),
    ("event.data.price * 2 > 24.99 ? 'big' : 'small'", "big"),
    ("event.data.items.exists(i, i == event.data.n)", True),
)
def test_what_users_write(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("0", 0),
    ("42u", 42),
    ("0xfF", 255),
    ("0XAu", 10),
    ("1.5", Decimal("1.5")),
    (".5", Decimal("0.5")),
    ("1e3", Decimal(1000)),
    ("25E-1", Decimal("2.5")),
    ("true", True),
    ("false", False),
    ("null", None),
    ("170141183460469231731687303715884105727", 2**127 - 1),
    ("''", ""),
    ('"it\'s"', "it's"),
    (r"'\a\b\f\n\r\t\v\?\"\'\`\\'", "\a\b\f\n\r\t\v?\"'`\\"),
    (r"'\x41\X42\103\u00e9\U0001F600'", "ABCé😀"),
    (r"'\ud83d\ude00'", "😀"),
    (r"r'\d+'", r"\d+"),
    ("R'a'", "a"),
    ("'''it's\n'' two'''", "it's\n'' two"),
    ('"""a"b""c"""', 'a"b""c'),
    (r'r"""\n"""', r"\n"),
    ("'// no comment'", "// no comment"),
    ("b'é'", "é".encode()),
    (r"b'\xff\303\n'", b"\xff\xc3\n"),
    (r"br'\x'", b"\\x"),
    ("B'''a'b'''", b"a'b"),
    ("[1, 'a', null, [],]", [1, "a", None, []]),
    ("{'a': 1, 2: 'b', true: null,}", {"a": 1, 2: "b", True: None}),
    ("[] // the end", []),
    ("1 // one\n + 1", 2),
)
def test_literals(source: str, expected: object) -> None:
    assert (value(source), type(value(source))) == (expected, type(expected))


@table(
    ("1 + 2 * 3 - 4 / 2", 5),
    ("(1 + 2) * 3", 9),
    ("10 - 4 - 3", 3),
    ("100 / 10 / 5", 2),
    ("2 * 7 % 4", 2),
    ("1 + 1 == 2 && 3 > 2", True),
    ("true || false && false", True),
    ("1 < 2 == true", True),
    ("!true || true", True),
    ("--1", 1),
    ("- -1", 1),
    ("!!true", True),
    ("-2 * -3", 6),
    ("false ? 1 : true ? 2 : 3", 2),
    ("1 in [1] == true", True),
    ("'a' + 'b' + 'c'", "abc"),
    ("b'a' + b'b'", b"ab"),
    ("[1] + [2] + []", [1, 2]),
    ("-'abc'.size()", -3),
)
def test_precedence_and_associativity(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("'a' < 'b' && 'B' < 'a'", True),
    ("b'a' <= b'a'", True),
    ("false < true", True),
    ("now > message.sent_at", True),
    ("duration('1h') >= duration('60m')", True),
    ("1 < 1.5 && 2.0 >= 2", True),
    ("1 == 1.0", True),
    ("1 == '1'", False),
    ("1 == true", False),
    ("0 == false", False),
    ("1.0 == true", False),
    ("null == null", True),
    ("null != 0", True),
    ("'' == null", False),
    ("type(1) == type(1.0)", False),
    ("[1, 2.0] == [1.0, 2]", True),
    ("[1] == [true]", False),
    ("[1] == [1, 1]", False),
    ("{'a': [1]} == {'a': [1.0]}", True),
    ("{'a': 1} == {'b': 1}", False),
    ("{'a': null} == {'b': null}", False),
    ("{1: 'x'} == {true: 'x'}", False),
    ("{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", True),
    ("now == event.time", True),
    ("1 in [true, '1']", False),
    ("1.0 in [1]", True),
    ("null in [null]", True),
    ("'a' in {'a': null}", True),
    ("1 in {true: 0}", False),
    ("[1] in [[1]]", True),
    ("'x' in []", False),
    ("type(now) in [int]", False),
)
def test_equality_order_and_membership(source: str, expected: object) -> None:
    assert value(source) is expected


@table(
    ("event.data.n", 3),
    ("event['data']['n']", 3),
    ("event.data.`first-name`", "Ada"),
    (".event.data.n", 3),
    ("event.data.items[0]", 1),
    ("{'a': {'b': 7}}.a.b", 7),
    ("[[1, 2]][0][1]", 2),
    ("{'in': 1}['in']", 1),
    ("{1: 'int'}[1]", "int"),
    ("{1: 'int'}[1.0]", "int"),
    ("{1: 'int'}[true]", None),
    ("{true: 'bool'}[true]", "bool"),
    ("event.data.for", None),
    ("event.no", None),
    ("event.no.such.field", None),
    ("event.no['such'][0]", None),
    ("contact.email", None),
    ("contact['email']", None),
    ("event.data.items[3]", None),
    ("event.data.items[-1]", None),
    ("has(event.data.n)", True),
    ("has(event.data.no)", False),
    ("has(event.no.no)", False),
    ("has(contact.email)", False),
    ("has({'a': null}.a)", False),
    ("has({'a': false}.a)", True),
    ("type(google.protobuf.Timestamp)", cel.Type("type")),
    ("type(now) == google.protobuf.Timestamp", True),
    ("type(now - now) == google.protobuf.Duration", True),
    ("type(null) == null_type && type([]) == list", True),
    ("type({}) == map && type('') == string && type(b'') == bytes", True),
    ("type(1u) == uint && uint == int", True),
    ("type(1.0) == double && type(true) == bool && type(int) == type", True),
)
def test_names_fields_and_types(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("true && null", False),
    ("null || true", True),
    ("!null", True),
    ("null ? 1 : 2", 2),
    ("null || null", False),
    ("[1].all(x, null)", False),
    ("[1].exists(x, null)", False),
    ("[1].filter(x, null)", []),
    ("false && 1 / 0 == 1", False),
    ("1 / 0 == 1 && false", False),
    ("1 / 0 == 1 || true", True),
    ("true || 'a'", True),
    ("'a' && false", False),
    ("1 / 0 == 1 || null || 2 / 0 == 1 || true", True),
    ("true ? 1 : 1 / 0", 1),
    ("contact.age > 18 || event.data.n == 3", True),
)
def test_logic_takes_null_for_false_and_absorbs_errors(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("[1, 2, 3].all(x, x > 0)", True),
    ("[1, 2, 3].all(x, x > 1)", False),
    ("[].all(x, false)", True),
    ("[1, 0].all(x, 1 / x > 1)", False),
    ("[0, 1].exists(x, 1 / x == 1)", True),
    ("[].exists(x, true)", False),
    ("[1, 2, 3].exists_one(x, x > 2)", True),
    ("[1, 2, 3].exists_one(x, x > 1)", False),
    ("[1, 2, 3].map(x, x * x)", [1, 4, 9]),
    ("[1, 2, 3].map(x, x > 1, x * x)", [4, 9]),
    ("[1, 2, 3].filter(x, x % 2 > 0)", [1, 3]),
    ("{'a': 1, 'b': 2}.filter(k, k != 'a')", ["b"]),
    ("{'a': 1}.all(k, k == 'a')", True),
    ("[[1, 2], [3]].map(x, x.map(x, x + 1))", [[2, 3], [4]]),
    ("[1, 2].map(x, [3].exists(x, x == 3) ? x : 0)", [1, 2]),
    ("[1, 2].map(x, [10].map(y, x + y))", [[11], [12]]),
    ("[7].map(event, event)", [7]),
    ("[7].map(event, .event.data.n)", [3]),
    ("[1, 2].map(int, int + 1)", [2, 3]),
)
def test_macros(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("contact.age + 1", "contact.age is not known, so contact.age + 1 cannot be computed"),
    ("1 - contact.age", "contact.age is not known, so 1 - contact.age cannot be computed"),
    (
        "now - contact.born > duration('1h')",
        "contact.born is not known, so now - contact.born cannot be computed",
    ),
    ("contact.age >= 18", "contact.age is not known, so it cannot be compared"),
    ("-contact.age", "contact.age is not known, but '-' needs an int or a decimal"),
    ("size(contact.tags)", "contact.tags is not known, but size() needs a string, bytes, a list or a map"),
    ("contact.email.endsWith('x')", "contact.email is not known, but endsWith() needs a string"),
    ("'a'.contains(contact.email)", "contact.email is not known, but contains() needs a string"),
    ("contact.tags.exists(t, t == 'a')", "contact.tags is not known, but exists() needs a list or a map"),
    ("'a' in contact.tags", "contact.tags is not known, but 'in' needs a list or a map"),
    ("{'a': 1}[contact.key]", "contact.key is not known, so nothing can be looked up with it"),
    (
        "event.type + 1",
        "event.type is a string and 1 is an int: they cannot be added; string() makes text of a number",
    ),
    (
        "'2' * 2",
        "'2' is a string and 2 is an int: they cannot be multiplied; double() makes a number of text",
    ),
    ("now < 1", "now is a timestamp and 1 is an int: they cannot be compared"),
    (
        "now > event.type",
        "now is a timestamp and event.type is a string: they cannot be compared; timestamp() makes a time of text",
    ),
    (
        "'1h' < now - now",
        "'1h' is a string and now - now is a duration: they cannot be compared; duration() makes a duration of text",
    ),
    ("now + now", "now is a timestamp and now is a timestamp: they cannot be added"),
    ("[1] < [2]", "[1] is a list and [2] is a list: they cannot be compared"),
    ("true + true", "true is a bool and true is a bool: they cannot be added"),
    ("event.type.name", "event.type is a string, so it has no field 'name'"),
    ("has(event.type.name)", "event.type is a string, so it has no field 'name'"),
    ("event.data.items['a']", "event.data.items is a list, so its index must be an int, but 'a' is a string"),
    ("event.data[[]]", "[] is a list, and such a key is in no map"),
    ("event.type[0]", "event.type is a string, so nothing can be looked up in it"),
    ("1 in 'abc'", "'in' needs a list or a map, but 'abc' is a string"),
    ("!event.type", "event.type is a string, not true or false"),
    ("true && event.data.n", "event.data.n is an int, not true or false"),
    ("1 / 0 == 1 && true", "1 / 0: division by zero"),
    ("[0, 2].all(x, 4 / x > 1)", "4 / x: division by zero"),
    ("[1, 0].map(x, 1 / x)", "1 / x: division by zero"),
    ("[1].exists_one(x, x)", "x is an int, not true or false"),
    ("true * 2", "true is a bool and 2 is an int: they cannot be multiplied"),
    ("true / 2", "true is a bool and 2 is an int: they cannot be divided"),
    ("true % 2", "true is a bool and 2 is an int: they cannot be divided"),
    ("true - 2", "true is a bool and 2 is an int: they cannot be subtracted"),
    ("-true", "'-' needs an int or a decimal, but true is a bool"),
    ("{1.5: 0}", "a map's key needs a string, an int or a bool, but 1.5 is a decimal"),
    ("{'a': 0, 'a': 1}", "the key 'a' comes twice in this map"),
    ("{1: 0, true: 1}", "the key true comes twice in this map"),
    ("round(event.type)", "round() needs an int or a decimal, but event.type is a string"),
)
def test_errors_say_what_and_where(source: str, expected: str) -> None:
    assert error(source) == expected


def test_texts_in_errors_are_short_and_on_one_line() -> None:
    assert (
        error("'a' +\n   1")
        == "'a' is a string and 1 is an int: they cannot be added; string() makes text of a number"
    )
    assert len(error(f"'{'a' * 500}' + 1")) < 200


def test_names_are_the_variables_mentioned() -> None:
    assert cel.compile("event.type == 'x' && [1].all(now, now > 0) && has(contact.a)", WORLD).names == {
        "event",
        "contact",
    }
    assert cel.compile("[1].map(event, .event)", WORLD).names == {"event"}
    assert cel.compile("1 + 1", WORLD).names == frozenset()


def test_a_variable_that_is_not_given_is_null() -> None:
    assert cel.compile("event.data == null", WORLD).evaluate({}) is True


def test_an_expression_keeps_nothing_between_evaluations() -> None:
    expression = cel.compile("xs.map(x, x + n)", ["xs", "n"])
    variables = {"xs": [1, 2], "n": 1}
    assert [expression.evaluate(variables) for _ in range(2)] == [[2, 3], [2, 3]]
    assert variables == {"xs": [1, 2], "n": 1}
    assert expression.evaluate({"xs": [], "n": 1}) == []
    assert expression.source == "xs.map(x, x + n)"


@pytest.mark.parametrize(("given", "expected"), [(True, True), (False, False), (None, False)])
def test_truth(given: object, expected: bool) -> None:
    assert cel.truth(given) is expected


@pytest.mark.parametrize(
    ("given", "shown"),
    [(1, "1"), (Decimal("0.50"), "0.50"), ("true", "a string"), ([], "a list"), (NOON, "a timestamp")],
)
def test_truth_of_anything_else(given: object, shown: str) -> None:
    with pytest.raises(cel.EvalError, match=f"^the condition gave {shown}, not true or false$"):
        cel.truth(given)
