"""Random expressions: against the Rust implementation of CEL where the languages agree, and for nothing
but our two exceptions where they do not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import cel as rust
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookline.rules import cel
from hookline.rules.cel.functions import FUNCTIONS, METHODS

Source = st.SearchStrategy[str]

unhurried = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- the oracle ----------------------------------------------------------------------------------

# ASCII, because the oracle counts the bytes of a string.
words = st.text("ab z", max_size=4)
small = st.integers(-30, 30)


def shaped(shape: str, *parts: Source) -> Source:
    return st.tuples(*parts).map(lambda texts: shape.format(*texts))


def choice(*texts: str) -> Source:
    return st.sampled_from(texts)


operator = choice("+", "-", "*", "/", "%")
comparison = choice("==", "!=", "<", "<=", ">", ">=")
leaves = {
    "int": small.map(str) | choice("x", "y", "0x1F"),
    "string": words.map(repr) | choice("s", "t", '"""a"""', r"r'\a'"),
    "ints": st.lists(small, max_size=3).map(str) | choice("xs"),
    "bool": choice("true", "false", "p"),
}


@cache
def expressions(depth: int) -> dict[str, Source]:
    """For each type, expressions of it that are nested up to ``depth`` levels deep."""
    if depth == 0:
        return leaves
    inner = expressions(depth - 1)
    int_, string, ints, bool_ = inner.values()
    grown = {
        "int": st.one_of(
            shaped("{} {} {} {} {}", int_, operator, int_, operator, int_),
            shaped("({} {} {})", int_, operator, int_),
            shaped("-({})", int_),
            shaped("size({})", string | ints),
            shaped("({} ? {} : {})", bool_, int_, int_),
            shaped("int(string({}))", int_),
        ),
        "string": st.one_of(
            shaped("({} + {})", string, string),
            shaped("({} ? {} : {})", bool_, string, string),
            shaped("string({})", int_),
        ),
        "ints": st.one_of(
            shaped("[{}, {}]", int_, int_),
            shaped("({} + {})", ints, ints),
            shaped("{}.filter(y, {})", ints, bool_),
            shaped("{}.map(x, {})", ints, int_),
        ),
        "bool": st.one_of(
            shaped("({} {} {})", int_, comparison, int_),
            shaped("({} {} {})", string, comparison, string),
            shaped("({} == {})", int_, string),
            shaped("({} == {})", ints, ints),
            shaped("({} in {})", int_, ints),
            shaped("{}.{}({})", string, choice("startsWith", "endsWith", "contains"), string),
            shaped("({} && {})", bool_, bool_),
            shaped("({} || {})", bool_, bool_),
            shaped("({} && {} || {} && {})", bool_, bool_, bool_, bool_),
            shaped("!{}", bool_),
            shaped("({} ? {} : {})", bool_, bool_, bool_),
            shaped("{}.{}(x, {})", ints, choice("all", "exists", "exists_one"), bool_),
        ),
    }
    return {name: inner[name] | grown[name] for name in grown}


known = st.fixed_dictionaries(
    {"x": small, "y": small, "s": words, "t": words, "p": st.booleans(), "xs": st.lists(small, max_size=3)}
)


def outcome(evaluate: Callable[[], object], *failures: type[Exception]) -> object:
    """The value with its type, for 1 and true are equal to Python; or that there is none."""
    try:
        value = evaluate()
    except failures:
        return "failed"
    return (value, type(value))


@pytest.mark.parametrize("kind", leaves)
@given(data=st.data(), variables=known)
@unhurried
def test_like_the_rust_implementation(kind: str, data: st.DataObject, variables: dict[str, Any]) -> None:
    source = data.draw(expressions(3)[kind])
    try:
        expected = outcome(lambda: rust.evaluate(source, variables), ZeroDivisionError)
    except OverflowError:  # beyond 64 bits, where ours goes on
        return
    expression = cel.compile(source, variables)
    assert outcome(lambda: expression.evaluate(variables), cel.EvalError) == expected


# --- nothing but our exceptions ------------------------------------------------------------------

# More than JSON can hold, and the ends of every range.
anything = st.recursive(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            1,
            -1,
            2**127 - 1,
            -(2**64),
            10**400,
            "",
            "a",
            "é€😀",
            "7d",
            "2026-01-01T00:00:00Z",
            b"",
            b"\xff",
        ]
        + [
            Decimal(text)
            for text in ("0", "-0.0", "0.1", "1E+99", "1E-100", "1E+9999", "-1E-9999", "3." + "3" * 40)
        ]
        + [
            datetime(1, 1, 1, tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
            timedelta.max,
            timedelta.min,
            timedelta(1),
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=5,
)
atoms = choice(
    *(
        "a",
        "b",
        "c",
        "0",
        "1",
        "7",
        "1.5",
        "-2",
        "1e99",
        "1e-100",
        f"0x{'F' * 30}",
        "true",
        "null",
        "[]",
        "{}",
    ),
    *("int", "google.protobuf.Duration", "''", "'a'", "'7d'", "'UTC'", "'[a-z]+'", "b'\\xff'"),
    "'2026-01-01T00:00:00Z'",
)
operators = choice("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||")
wild: Source = st.recursive(
    atoms,
    lambda inner: st.one_of(
        shaped("({} {} {})", inner, operators, inner),
        shaped("{}{}", choice("-", "!"), inner),
        shaped("({} ? {} : {})", inner, inner, inner),
        shaped("{}[{}]", inner, inner),
        shaped("{}.{}", inner, choice("a", "b", "`a-b`")),
        shaped("has({}.a)", inner),
        shaped("[{}, {}]", inner, inner),
        shaped("{{{}: {}}}", inner, inner),
        shaped("{}.{}(a, {})", inner, choice("all", "exists", "exists_one", "filter", "map"), inner),
        shaped("{}.map(b, {}, {})", inner, inner, inner),
        shaped("{}({})", choice(*FUNCTIONS), inner),
        shaped("{}({}, {})", choice("round", "max", "min", "matches"), inner, inner),
        shaped("{}.{}()", inner, choice(*METHODS)),
        shaped("{}.{}({})", inner, choice(*METHODS), inner),
        shaped("{}.{}({}, {})", inner, choice("replace", "substring", "split", "indexOf"), inner, inner),
    ),
    max_leaves=12,
)


def run_safely(source: str, variables: dict[str, object]) -> None:
    """Compiles and evaluates; what can fail does so with our own exceptions, in words and with a place."""
    failure: Exception | None = None
    try:
        cel.to_json(cel.compile(source, variables).evaluate(variables))
    except (cel.CelError, cel.EvalError) as error:
        failure = error
    assert failure is None or 0 < len(str(failure)) < 500
    if isinstance(failure, cel.CelError):
        line = [*source.split("\n"), ""][failure.line - 1]
        assert 1 <= failure.column <= len(line) + 1


@given(wild, st.fixed_dictionaries({"a": anything, "b": anything, "c": anything}))
@unhurried
def test_any_expression_has_a_value_or_an_error(source: str, variables: dict[str, object]) -> None:
    run_safely(source, variables)


@given(st.text())
@unhurried
def test_any_text_compiles_or_does_not(source: str) -> None:
    run_safely(source, {})


pieces = choice(
    *(
        "a",
        "has(",
        ".map(",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        ".",
        "-",
        "!",
        "+",
        "==",
        "&&",
        "||",
        "in",
    ),
    *(
        "null",
        "true",
        "1",
        "1.5",
        ".5",
        "1e9",
        "'a'",
        '"""',
        "r'",
        "b'",
        "\\",
        "\\u",
        "`",
        "for",
        "not",
        "//",
        "\n",
    ),
)


@given(st.lists(pieces, max_size=20).map(" ".join) | st.lists(pieces, max_size=20).map("".join))
@unhurried
def test_any_row_of_tokens_compiles_or_does_not(source: str) -> None:
    run_safely(source, {"a": [1]})
