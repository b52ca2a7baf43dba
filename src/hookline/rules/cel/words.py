"""What is said to the user when something does not fit. Texts of expressions are cut to a readable length."""

from __future__ import annotations

import decimal
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

from hookline.rules.cel.functions import FUNCTIONS, METHODS
from hookline.rules.cel.macros import MACROS
from hookline.rules.cel.values import NUMBERS, kind, kind_of

_ARITHMETIC = (
    (decimal.InvalidOperation, "this cannot be computed exactly in 34 digits"),
    (ZeroDivisionError, "division by zero"),
    (decimal.Overflow, "the result is too large"),
    (decimal.Subnormal, "the result is too close to zero"),
    (decimal.Inexact, "the exact result has more than 34 digits"),
    (OverflowError, "the result is out of range"),
)
_REMEDIES = {
    int: "double() makes a number of text",
    decimal.Decimal: "double() makes a number of text",
    datetime: "timestamp() makes a time of text",
    timedelta: "duration() makes a duration of text",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An operator in the source, what its operands are then called in a sentence, and the texts."""

    operator: str
    done: str
    text: str
    left: str
    right: str


def excerpt(text: str) -> str:
    """A piece of the source on one line, of at most 60 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"


def listing(items: Iterable[str], last: str) -> str:
    """``a, b and c``"""
    *head, tail = items
    return f"{', '.join(head)} {last} {tail}" if head else tail


def reason(error: Exception) -> str:
    return next(
        (words for kind_of_error, words in _ARITHMETIC if isinstance(error, kind_of_error)), str(error)
    )


def failure(text: str, error: Exception) -> str:
    return f"{text}: {reason(error)}"


def mismatch(place: Place, left: object, right: object) -> str:
    """Why an operator has no result for values of these types."""
    unknown = place.left if left is None else place.right if right is None else ""
    if place.operator == "in":
        return unsuitable("'in'", (list, dict), place.right, right)
    if unknown and place.done == "compared":
        return f"{unknown} is not known, so it cannot be compared"
    if unknown:
        return f"{unknown} is not known, so {place.text} cannot be computed"
    both = f"{place.left} is {kind(left)} and {place.right} is {kind(right)}"
    return f"{both}: they cannot be {place.done}{_remedy(place.operator, {type(left), type(right)})}"


def _remedy(operator: str, types: set[type]) -> str:
    if str not in types:
        return ""
    if operator == "+" and types & NUMBERS:
        return "; string() makes text of a number"
    return next((f"; {remedy}" for other, remedy in _REMEDIES.items() if other in types), "")


def unsuitable(what: str, wanted: Collection[type], text: str, value: object) -> str:
    needs = f"{what} needs {listing(map(kind_of, wanted), 'or')}"
    return f"{text} is not known, but {needs}" if value is None else f"{needs}, but {text} is {kind(value)}"


def no_field(text: str, value: object, field: str) -> str:
    return f"{text} is {kind(value)}, so it has no field {field!r}"


def bad_index(text: str, container: object, key_text: str, key: object) -> str:
    if type(container) is list:
        return f"{text} is a list, so its index must be an int, but {key_text} is {kind(key)}"
    if type(container) is dict:
        return f"{key_text} is {kind(key)}, and such a key is in no map"
    return f"{text} is {kind(container)}, so nothing can be looked up in it"


def not_a_truth(text: str, value: object) -> str:
    return f"{text} is {kind(value)}, not true or false"


def unknown_variable(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    which = f"known are {listing(sorted(known), 'and')}" if known else "there are none here"
    return f"there is no variable {name!r}; {which}{hint}"


def unknown_function(name: str, is_method: bool) -> str:
    here, there = (METHODS, FUNCTIONS) if is_method else (FUNCTIONS, METHODS)
    what = "method" if is_method else "function"
    if name == "not":
        return "there is no function 'not'; 'not' is written '!'"
    if name in there or (name in MACROS and not is_method):
        usage = f"{name}(value)" if is_method else f"value.{name}()"
        usage = MACROS[name].usage if name in MACROS else usage
        return f"there is no {what} {name!r}; it is written {usage}"
    near = get_close_matches(name, [*here, *(MACROS if is_method else ("has",))], 1)
    return f"there is no {what} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def wrong_count(name: str, lowest: int, highest: int | None, given: int) -> str:
    if highest is None:
        wanted = f"at least {lowest} argument{'s' if lowest != 1 else ''}"
    else:
        wanted = str(lowest) if lowest == highest else listing(map(str, range(lowest, highest + 1)), "or")
        wanted = f"{wanted if highest else 'no'} argument{'s' if highest != 1 else ''}"
    return f"{name}() takes {wanted}, not {given}"
