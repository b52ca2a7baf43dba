"""Exact arithmetic: nothing is ever rounded in silence, whatever the thread's decimal context says."""

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.rules import cel


def run(source: str, **variables: object) -> object:
    return cel.compile(source, variables).evaluate(variables)


def table(*rows: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("source", "expected"), rows, ids=[source for source, _ in rows])


@table(
    ("0.1 + 0.2", "0.3"),
    ("1.10 + 1.10", "2.20"),
    ("100 - 0.01", "99.99"),
    ("1.5 * 3", "4.5"),
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("7 / -2", "-3"),
    ("-7 % 3", "-1"),
    ("7 % -3", "1"),
    ("7 / 2.0", "3.5"),
    ("-7.5 % 2", "-1.5"),
    ("10 / 4.0", "2.5"),
    ("2.0 / 3", "0.6666666666666666666666666666666667"),
    ("1.0 / 8", "0.125"),
    ("-0.0", "0.0"),
    ("-(1.5)", "-1.5"),
    ("9223372036854775807 + 1", "9223372036854775808"),
    ("9999999999999999999999999999999998 + 0.0 + 1", "9999999999999999999999999999999999"),
)
def test_arithmetic(source: str, expected: str) -> None:
    assert str(run(source)) == expected


@table(
    ("170141183460469231731687303715884105727 + 1", "the result is out of range"),
    ("-170141183460469231731687303715884105727 - 1", "the result is out of range"),
    ("170141183460469231731687303715884105727 * 2", "the result is out of range"),
    ("1e99 * 10.0", "the result is too large"),
    ("9e99 + 9e99", "the result is too large"),
    ("1.0 / 1e-100", "the result is too large"),
    ("1e-99 / 100", "the result is too close to zero"),
    ("1e-99 * 0.01", "the result is too close to zero"),
    ("1e33 + 0.01", "the exact result has more than 34 digits"),
    ("1e33 - 0.01", "the exact result has more than 34 digits"),
    ("1.111111111111111111 * 1.111111111111111111", "the exact result has more than 34 digits"),
    ("1 / 0", "division by zero"),
    ("1 % 0", "division by zero"),
    ("1.0 / 0", "division by zero"),
    ("1 / 0.0", "division by zero"),
    ("0.0 / 0.0", "division by zero"),
    ("1.5 % 0", "division by zero"),
    ("1e99 % 0.3", "this cannot be computed exactly in 34 digits"),
)
def test_results_that_are_refused(source: str, expected: str) -> None:
    with pytest.raises(cel.EvalError) as caught:
        run(source)
    assert str(caught.value) == f"{source}: {expected}"


amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=4)
integers = st.integers(-(2**62), 2**62)


@given(amounts | integers, amounts | integers)
@settings(deadline=None)
def test_adding_and_taking_away_is_nothing(a: Decimal | int, b: Decimal | int) -> None:
    assert run("a + b - b == a && a - b + b == a && a + b == b + a", a=a, b=b) is True


# Within 34 digits: what a product of amounts beyond them says is another test's.
@given(amounts, amounts | st.integers(-(10**15), 10**15))
@settings(deadline=None)
def test_sums_products_and_order_are_exact(a: Decimal, b: Decimal | int) -> None:
    exact_a, exact_b = Fraction(a), Fraction(b)
    for source, exact in (
        ("a + b", exact_a + exact_b),
        ("a - b", exact_a - exact_b),
        ("a * b", exact_a * exact_b),
    ):
        result = run(source, a=a, b=b)
        assert isinstance(result, Decimal)
        assert Fraction(result) == exact
    assert run("[a < b, a <= b, a == b, a != b]", a=a, b=b) == [
        exact_a < exact_b,
        exact_a <= exact_b,
        exact_a == exact_b,
        exact_a != exact_b,
    ]


@given(amounts, amounts.filter(bool))
@settings(deadline=None)
def test_a_quotient_is_right_to_34_digits(a: Decimal, b: Decimal) -> None:
    result = run("a / b", a=a, b=b)
    assert isinstance(result, Decimal)
    exact = Fraction(a) / Fraction(b)
    assert abs(Fraction(result) - exact) <= abs(exact) * Fraction(1, 10**33)
    assert run("a % b + int(a / b) * b == a", a=a, b=b) is True or abs(exact) >= 10**33


@given(integers, integers.filter(bool))
@settings(deadline=None)
def test_int_division_truncates(a: int, b: int) -> None:
    assert run("a / b", a=a, b=b) == int(Fraction(a, b))
    assert run("a / b * b + a % b", a=a, b=b) == a


def test_the_threads_context_means_nothing() -> None:
    with decimal.localcontext(prec=2, Emax=2, Emin=-2, traps=dict.fromkeys(decimal.getcontext().traps, True)):
        assert str(run("123.456 + 1")) == "124.456"
        assert str(run("-(123.456)")) == "-123.456"
        assert str(run("round(123.455, 2) + abs(-1000.01)")) == "1123.47"
        assert cel.to_json(cel.from_json(b"[123456.789]")) == b"[123456.789]"


def test_numbers_from_data_may_be_larger_than_any_result() -> None:
    big, tiny = Decimal("1E+999999999999"), Decimal("1E-999999999999")
    huge = 10**4000
    assert run(
        "[big > huge, big == 1, tiny > 0, tiny < 1, huge == huge, big == big]", big=big, tiny=tiny, huge=huge
    ) == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    for source in (
        "big + 1",
        "big * big",
        "tiny * tiny",
        "big % 3",
        "int(big)",
        "round(big, 2)",
        "huge + 1",
        "-huge",
        "huge / 1.0",
    ):
        with pytest.raises(cel.EvalError):
            run(source, big=big, tiny=tiny, huge=huge)
