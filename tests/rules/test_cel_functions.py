"""The functions and methods, JSON, times and durations."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.rules import cel

VARIABLES = {
    "t": datetime(2026, 1, 4, 23, 59, 58, 765_432, tzinfo=UTC),
    "d": timedelta(days=-1, seconds=-1.5),
    "s": "héllo",
}


def value(source: str) -> object:
    return cel.compile(source, VARIABLES).evaluate(VARIABLES)


def table(*rows: tuple[str, object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("source", "expected"), rows, ids=[source for source, _ in rows])


@table(
    ("size(s)", 5),
    ("s.size()", 5),
    ("size(b'\\xff')", 1),
    ("size([1, 2])", 2),
    ("{'a': 1}.size()", 1),
    ("s.contains('éll')", True),
    ("s.startsWith('hé')", True),
    ("s.endsWith('x')", False),
    ("s.contains('')", True),
    ("s.matches('^h.l+o$')", True),
    ("matches(s, 'l{3}')", False),
    ("s.matches('l' + 'l')", True),
    ("'a.b'.matches(r'a\\.b')", True),
    ("'HÉ'.lowerAscii()", "hÉ"),
    ("'hé'.upperAscii()", "Hé"),
    ("' \\t x\\n'.trim()", "x"),
    ("'aaa'.replace('a', 'b')", "bbb"),
    ("'aaa'.replace('a', 'b', 2)", "bba"),
    ("'aaa'.replace('a', '', -1)", ""),
    ("'ab'.replace('', '-')", "-a-b-"),
    ("'ab'.replace('', '-', 1)", "-ab"),
    ("'aaa'.replace('a', 'b', 0)", "aaa"),
    ("'a,b,c'.split(',')", ["a", "b", "c"]),
    ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
    ("'a,b'.split(',', 1)", ["a,b"]),
    ("'a,b'.split(',', 0)", []),
    ("'a,b'.split(',', -1)", ["a", "b"]),
    ("s.split('', 2)", ["h", "éllo"]),
    ("'ab'.split('')", ["a", "b"]),
    ("''.split('')", []),
    ("['a', 'b'].join()", "ab"),
    ("['a', 'b'].join(', ')", "a, b"),
    ("[].join('x')", ""),
    ("s.substring(1)", "éllo"),
    ("s.substring(1, 3)", "él"),
    ("s.substring(5)", ""),
    ("s.indexOf('l')", 2),
    ("s.indexOf('l', 3)", 3),
    ("s.indexOf('x')", -1),
    ("s.indexOf('', 5)", 5),
    ("s.charAt(1)", "é"),
    ("s.charAt(5)", ""),
)
def test_text(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("string(1)", "1"),
    ("string(1.50)", "1.50"),
    ("string(1e3)", "1000"),
    ("string(true)", "true"),
    ("string('a')", "a"),
    ("string(b'\\303\\251')", "é"),
    ("string(duration('90m'))", "5400s"),
    ("string(d)", "-86401.5s"),
    ("string(t)", "2026-01-04T23:59:58.765432Z"),
    ("int('-12')", -12),
    ("int(-3.9)", -3),
    ("int(3)", 3),
    ("int(timestamp('1970-01-01T00:01:00.9Z'))", 60),
    ("uint('7')", 7),
    ("uint(7.9)", 7),
    ("double('1.50')", Decimal("1.50")),
    ("double('-.5e1')", Decimal(-5)),
    ("double(2)", Decimal(2)),
    ("double(2.5)", Decimal("2.5")),
    ("bool('true') && bool('t') && bool(true)", True),
    ("bool('False') || bool('0')", False),
    ("bytes('é')", "é".encode()),
    ("bytes(b'a')", b"a"),
    ("dyn([1, 'a'])", [1, "a"]),
    ("dyn(null)", None),
    ("type(1)", cel.Type("int")),
)
def test_conversions(source: str, expected: object) -> None:
    assert (value(source), type(value(source))) == (expected, type(expected))
    assert str(value(source)) == str(expected)


@table(
    ("round(2.345, 2)", "2.35"),
    ("round(-2.345, 2)", "-2.35"),
    ("round(2.5)", "3"),
    ("round(2.4)", "2"),
    ("round(1.0, 3)", "1.000"),
    ("round(7, 2)", "7"),
    ("abs(-2)", "2"),
    ("abs(-2.50)", "2.50"),
    ("max(1, 2.5, 2)", "2.5"),
    ("min([3, 1.0])", "1.0"),
    ("max(7)", "7"),
    ("math.greatest(1, 2, 3)", "3"),
    ("math.least([1.5, 1])", "1"),
)
def test_amounts(source: str, expected: str) -> None:
    assert str(value(source)) == expected


@table(
    ("duration('90s')", timedelta(seconds=90)),
    ("duration('1h30m')", timedelta(minutes=90)),
    ("duration('1.5h')", timedelta(minutes=90)),
    ("duration('300ms')", timedelta(milliseconds=300)),
    ("duration('-90s')", timedelta(seconds=-90)),
    ("duration('7d')", timedelta(days=7)),
    ("duration('1d12h')", timedelta(hours=36)),
    ("duration('0')", timedelta()),
    ("duration('+1us')", timedelta(microseconds=1)),
    ("duration('1500ns')", timedelta(microseconds=1)),
    ("duration('-1500ns')", timedelta(microseconds=-1)),
    ("duration('2µs')", timedelta(microseconds=2)),
    ("duration('2μs')", timedelta(microseconds=2)),
    ("duration(d)", timedelta(days=-1, seconds=-1.5)),
    ("duration('1' + 'd')", timedelta(days=1)),
    ("timestamp('2026-01-04T23:59:58.765432Z') == t", True),
    ("timestamp('2026-01-05T01:00:00+02:00')", datetime(2026, 1, 4, 23, tzinfo=UTC)),
    ("timestamp('2026-01-05t01:00:00.5z')", datetime(2026, 1, 5, 1, 0, 0, 500_000, tzinfo=UTC)),
    ("timestamp(60)", datetime(1970, 1, 1, 0, 1, tzinfo=UTC)),
    ("timestamp(t) == t", True),
    ("t - t", timedelta()),
    ("t + duration('1d') - duration('1d') == t", True),
    ("duration('1s') + t > t", True),
    ("duration('1h') - duration('90m')", timedelta(minutes=-30)),
    ("duration('1h') + duration('1m')", timedelta(minutes=61)),
)
def test_times_and_durations(source: str, expected: object) -> None:
    assert value(source) == expected


@table(
    ("t.getFullYear()", 2026),
    ("t.getMonth()", 0),
    ("t.getDate()", 4),
    ("t.getDayOfMonth()", 3),
    ("t.getDayOfYear()", 3),
    ("t.getDayOfWeek()", 0),
    ("t.getHours()", 23),
    ("t.getMinutes()", 59),
    ("t.getSeconds()", 58),
    ("t.getMilliseconds()", 765),
    ("t.getHours('Europe/Berlin')", 0),
    ("t.getDate('Europe/Berlin')", 5),
    ("t.getHours('UTC')", 23),
    ("t.getMinutes('+05:30')", 29),
    ("t.getHours('-03:00')", 20),
    ("t.getDayOfWeek('02:00')", 1),
    ("t.getHours('Europe/' + 'Paris')", 0),
    ("d.getHours()", -24),
    ("d.getMinutes()", -1440),
    ("d.getSeconds()", -86401),
    ("d.getMilliseconds()", -500),
    ("duration('123.321s').getMilliseconds()", 321),
    ("duration('1d').getHours()", 24),
)
def test_parts_of_times_and_durations(source: str, expected: int) -> None:
    assert value(source) == expected


@table(
    ("int('1.5')", "int('1.5'): '1.5' is not a whole number"),
    ("int(' 1')", "int(' 1'): ' 1' is not a whole number"),
    ("int('١')", "int('١'): '١' is not a whole number"),
    (
        "int('9' + '99999999999999999999999999999999999999999')",
        "int('9' + '99999999999999999999999999999999999999999'): the result is out of range",
    ),
    ("int(1e60)", "int(1e60): the result is out of range"),
    ("uint(-1)", "uint(-1): -1 is negative"),
    ("double('NaN')", "double('NaN'): 'NaN' is not a number"),
    ("double('1e200')", "double('1e200'): the result is too large"),
    (
        "double('1.' + '00000000000000000000000000000000000001')",
        "double('1.' + '00000000000000000000000000000000000001'): the exact result has more than 34 digits",
    ),
    ("bool('yes')", "bool('yes'): 'yes' is neither 'true' nor 'false'"),
    ("string(b'\\xff')", "string(b'\\xff'): these bytes are not UTF-8"),
    (
        "string(null)",
        "null is not known, but string() needs a string, an int, a decimal, a bool, bytes, a timestamp or a duration",
    ),
    ("s.substring(6)", "s.substring(6): 6 is outside the string, which has 5 characters"),
    ("s.substring(3, 1)", "s.substring(3, 1): the start 3 is behind the end 1"),
    ("s.charAt(-1)", "s.charAt(-1): -1 is outside the string, which has 5 characters"),
    ("s.indexOf('h', 9)", "s.indexOf('h', 9): 9 is outside the string, which has 5 characters"),
    ("['a', 1].join()", "['a', 1].join(): only strings can be joined, but the list holds an int"),
    ("max([])", "max([]): an empty list has no greatest and no least number"),
    ("max(1, [2])", "max(1, [2]): only numbers have a greatest and a least, not a list"),
    ("max('a')", "max() needs an int, a decimal or a list, but 'a' is a string"),
    ("round(1.5, 31)", "round(1.5, 31): digits are 0 to 30, not 31"),
    ("round(1.5, -1)", "round(1.5, -1): digits are 0 to 30, not -1"),
    ("d.getHours('UTC')", "d.getHours('UTC'): a duration has no time zone"),
    ("d.getDate()", "getDate() needs a timestamp, but d is a duration"),
    ("t.getHours(s)", "t.getHours(s): 'héllo' is not a known time zone, such as 'Europe/Berlin' or '+02:00'"),
    (
        "t.getHours(s.substring(5))",
        "t.getHours(s.substring(5)): '' is not a known time zone, such as 'Europe/Berlin' or '+02:00'",
    ),
    (
        "t.getHours('Europe' + '')",
        "t.getHours('Europe' + ''): 'Europe' is not a known time zone, such as 'Europe/Berlin' or '+02:00'",
    ),
    (
        "t.getHours('../' + s)",
        "t.getHours('../' + s): '../héllo' is not a known time zone, such as 'Europe/Berlin' or '+02:00'",
    ),
    ("duration(s)", "duration(s): 'héllo' is not a duration, such as '90s', '1h30m' or '7d'"),
    ("timestamp(s)", "timestamp(s): 'héllo' is not an RFC 3339 time, such as 2026-05-04T12:30:00Z"),
    (
        "s.matches(s + '(')",
        "s.matches(s + '('): 'héllo(' is not a regular expression (RE2): missing ): héllo(",
    ),
    (
        "t + duration('900000000h') + duration('900000000h')",
        "t + duration('900000000h'): the result is out of range",
    ),
)
def test_values_that_a_function_cannot_use(source: str, expected: str) -> None:
    with pytest.raises(cel.EvalError) as caught:
        value(source)
    assert str(caught.value) == expected


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"1", 1),
        (b"-9223372036854775809", -(2**63) - 1),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"0.10", Decimal("0.10")),
        (b"1E400", Decimal("1E400")),
        (b"0.12345678901234567890123456789012345678", Decimal("0.12345678901234567890123456789012345678")),
        (b'{"a": [null, true, "\\u00e9"], "a": 2}', {"a": 2}),
        (b' "x" ', "x"),
    ],
)
def test_from_json(raw: bytes, expected: object) -> None:
    assert (cel.from_json(raw), type(cel.from_json(raw))) == (expected, type(expected))
    assert str(cel.from_json(raw)) == str(expected)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"NaN", b"\xff", b"1e99999999999999999999", b"0." + b"1" * 600, b"[" * 100_000, b"9" * 9000],
)
def test_from_json_refuses(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        cel.from_json(raw)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, b"null"),
        (True, b"true"),
        (2**100, b"1267650600228229401496703205376"),
        (Decimal("12.50"), b"12.50"),
        (Decimal("1E+5"), b"100000"),
        (Decimal("1E-7"), b"0.0000001"),
        (Decimal("-0.0"), b"-0.0"),
        (Decimal("1E+400"), b"1E+400"),
        ("é\n", '"é\\n"'.encode()),
        (b"\xff", b'"/w=="'),
        (datetime(2026, 1, 2, tzinfo=UTC), b'"2026-01-02T00:00:00Z"'),
        (timedelta(seconds=90), b'"90s"'),
        (timedelta(microseconds=-1_500_000), b'"-1.5s"'),
        ([1, {"a": Decimal("0.1"), True: None, 3: cel.Type("int")}], b'[1,{"a":0.1,"true":null,"3":"int"}]'),
    ],
)
def test_to_json(given: object, expected: bytes) -> None:
    assert cel.to_json(given) == expected


def test_to_json_refuses_what_is_no_value() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for given_value in (object(), 1.5, deep):
        with pytest.raises(ValueError, match=r"no JSON|nested"):
            cel.to_json(given_value)


numbers = st.integers(-(10**60), 10**60) | st.decimals(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
@settings(deadline=None)
def test_json_keeps_every_number(given_value: object) -> None:
    assert cel.from_json(cel.to_json(given_value)) == given_value
