"""Values and their operators: exact numbers, equality across types, bounded sizes.

An operator takes the budget and two values. It gives ``NotImplemented`` where the types do not fit, and
raises ``ArithmeticError`` or ``ValueError`` where the values do not; the compiler puts both into words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Subnormal,
)
from typing import Any

from hookline.rules.cel.errors import EvalError, Exhausted

STEPS = 20_000
MAX_TEXT = 1 << 20
MAX_ITEMS = 100_000
INT_LIMIT = 1 << 127

# Never the thread's context: that one rounds silently, and any library may change it. 34 digits is
# decimal128 of IEEE 754; subnormals would lose digits, so they are refused.
_FAULTS = [InvalidOperation, DivisionByZero, Overflow, Subnormal]
EXACT = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-100, Emax=99, capitals=1, clamp=0, flags=[],
                traps=[*_FAULTS, Inexact])  # fmt: skip
ROUNDING = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-100, Emax=99, capitals=1, clamp=0, flags=[],
                   traps=_FAULTS)  # fmt: skip

NUMBERS = frozenset({int, Decimal})
_ORDERED = frozenset({bool, str, bytes, datetime, timedelta})

Operator = Callable[["Budget", Any, Any], object]


class Budget:
    """What is left of the steps of one evaluation. A step is well under a microsecond of work."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = STEPS

    def charge(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Exhausted


# A closure of a compiled expression gets the variables, and under the key ``BUDGET`` the budget.
BUDGET = ""
Scope = dict[str, Any]
Run = Callable[[Scope], object]


def constant(value: object) -> Run:
    return lambda scope: value


@dataclass(frozen=True, slots=True)
class Type:
    """A type as a value, what ``type(x)`` gives."""

    name: str


_NAMES = {
    type(None): ("null_type", "null"),
    bool: ("bool", "a bool"),
    int: ("int", "an int"),
    Decimal: ("double", "a decimal"),
    str: ("string", "a string"),
    bytes: ("bytes", "bytes"),
    list: ("list", "a list"),
    dict: ("map", "a map"),
    datetime: ("google.protobuf.Timestamp", "a timestamp"),
    timedelta: ("google.protobuf.Duration", "a duration"),
    Type: ("type", "a type"),
}
# Names that stand for types in a source. ``uint`` is ``int`` here.
TYPES = {name: Type(name) for name, _ in _NAMES.values()} | {"uint": Type("int")}


def type_of(value: object) -> Type:
    if type(value) not in _NAMES:
        raise EvalError(f"a value of Python's type {type(value).__name__} cannot be used here")
    return TYPES[_NAMES[type(value)][0]]


def kind(value: object) -> str:
    """The kind of a value in a sentence: "a string"."""
    return kind_of(type(value))


def kind_of(python_type: type) -> str:
    return _NAMES.get(python_type, ("", f"Python's {python_type.__name__}"))[1]


def truth(value: object) -> bool:
    """What a condition means: true is true; false and null are false; ``EvalError`` for anything else."""
    if value is True:
        return True
    if value is False or value is None:
        return False
    shown = str(value) if type(value) in NUMBERS else kind(value)
    raise EvalError(f"the condition gave {shown}, not true or false")


def fits(length: int, limit: int = MAX_TEXT) -> int:
    """``length``, the length of a text or a list about to be made. ValueError where it is too long."""
    if length > limit:
        what = "items" if limit == MAX_ITEMS else "characters"
        raise ValueError(f"the result would have more than {limit} {what}")
    return length


def check_result(value: object) -> None:
    """Refuses a list or a map that is too large all in all. A value may occur in it any number of times."""
    items = characters = 0
    pending = [value]
    while pending:
        one = pending.pop()
        if type(one) is str or type(one) is bytes:
            characters += len(one)
        elif type(one) is list or type(one) is dict:
            items += len(one)
            if items <= MAX_ITEMS:
                pending.extend(one)
                pending.extend(one.values() if type(one) is dict else ())
        if items > MAX_ITEMS or characters > MAX_TEXT:
            raise EvalError(f"the result has more than {MAX_ITEMS} items or {MAX_TEXT} characters")


# --- equality and order --------------------------------------------------------------------------


def equal(budget: Budget, a: Any, b: Any) -> bool:
    """Numbers by value, lists and maps by their items; what is of different types is different."""
    kind_a = type(a)
    if kind_a is not type(b):
        return _numbers(budget, a, b) and bool(a == b)
    if kind_a is list:
        budget.charge(1 + len(a))
        return len(a) == len(b) and all(equal(budget, x, y) for x, y in zip(a, b, strict=True))
    if kind_a is dict:
        budget.charge(1 + len(a))
        return len(a) == len(b) and all(
            holds_key(budget, b, key) and equal(budget, value, at_key(budget, b, key))
            for key, value in a.items()
        )
    if (kind_a is str or kind_a is bytes) and len(a) > 1024:
        budget.charge(len(a) >> 10)
    return bool(a == b)


def unequal(budget: Budget, a: Any, b: Any) -> bool:
    return not equal(budget, a, b)


def _ordering(compare: Callable[[Any, Any], bool]) -> Operator:
    def operator(budget: Budget, a: Any, b: Any) -> object:
        kind_a, kind_b = type(a), type(b)
        if (kind_a is int and kind_b is int) or _numbers(budget, a, b):
            return compare(a, b)
        if kind_a is not kind_b or kind_a not in _ORDERED:
            return NotImplemented
        if (kind_a is str or kind_a is bytes) and len(a) > 1024:
            budget.charge(len(a) >> 10)
        return compare(a, b)

    return operator


def contained(budget: Budget, a: Any, b: Any) -> object:
    """``a in b``: one of the items of a list, one of the keys of a map."""
    if type(b) is list:
        budget.charge(1 + len(b) // 8)
        return any(equal(budget, a, item) for item in b)
    return holds_key(budget, b, a) if type(b) is dict else NotImplemented


# --- keys ----------------------------------------------------------------------------------------


def holds_key(budget: Budget, container: dict[Any, Any], key: Any) -> bool:
    if type(key) is str:
        return key in container
    # To Python 1, 1.0 and True are one key; here the last is another.
    budget.charge(1 + len(container) // 8)
    return any(equal(budget, key, one) for one in container)


def at_key(budget: Budget, container: dict[Any, Any], key: Any) -> object:
    """The value at ``key``; null where there is none."""
    if type(key) is str:
        return container.get(key)
    budget.charge(1 + len(container) // 8)
    return next((value for one, value in container.items() if equal(budget, key, one)), None)


def item(budget: Budget, container: Any, key: Any) -> object:
    """``container[key]``; null for an unknown key, an index outside the list, and in null."""
    if container is None:
        return None
    if type(container) is list and type(key) is int:
        return container[key] if 0 <= key < len(container) else None
    if type(container) is dict and (type(key) in NUMBERS or type(key) is str or type(key) is bool):
        return at_key(budget, container, key)
    return NotImplemented


# --- arithmetic ----------------------------------------------------------------------------------


def _numbers(budget: Budget, a: Any, b: Any) -> bool:
    """Whether both are numbers. Ints of thousands of digits, which JSON may hold, have their price."""
    if type(a) not in NUMBERS or type(b) not in NUMBERS:
        return False
    bits = (a.bit_length() if type(a) is int else 0) + (b.bit_length() if type(b) is int else 0)
    if bits > 256:
        budget.charge(bits >> 8)
    return True


def bounded(number: int) -> int:
    if -INT_LIMIT < number < INT_LIMIT:
        return number
    raise OverflowError("a whole number has up to 127 bits")


def add(budget: Budget, a: Any, b: Any) -> object:
    kind_a, kind_b = type(a), type(b)
    if kind_a is int and kind_b is int:
        return bounded(a + b)
    if _numbers(budget, a, b):
        return EXACT.add(a, b)
    if kind_a is not kind_b:
        times = {kind_a, kind_b} == {datetime, timedelta}
        return a + b if times else NotImplemented
    if kind_a is str or kind_a is bytes:
        budget.charge(1 + (fits(len(a) + len(b)) >> 6))
        return a + b
    if kind_a is list:
        budget.charge(1 + fits(len(a) + len(b), MAX_ITEMS))
        return a + b
    return a + b if kind_a is timedelta else NotImplemented


def subtract(budget: Budget, a: Any, b: Any) -> object:
    kind_a, kind_b = type(a), type(b)
    if kind_a is int and kind_b is int:
        return bounded(a - b)
    if _numbers(budget, a, b):
        return EXACT.subtract(a, b)
    if (kind_a is datetime or kind_a is timedelta) and (kind_b is kind_a or kind_b is timedelta):
        return a - b
    return NotImplemented


def multiply(budget: Budget, a: Any, b: Any) -> object:
    if not _numbers(budget, a, b):
        return NotImplemented
    return bounded(a * b) if type(a) is int and type(b) is int else EXACT.multiply(a, b)


def divide(budget: Budget, a: Any, b: Any) -> object:
    if not _numbers(budget, a, b):
        return NotImplemented
    if not b:
        raise ZeroDivisionError
    if type(a) is int and type(b) is int:
        quotient = abs(a) // abs(b)
        return bounded(quotient if (a < 0) == (b < 0) else -quotient)
    return ROUNDING.divide(a, b)


def remainder(budget: Budget, a: Any, b: Any) -> object:
    """What truncating division leaves; it has the sign of ``a``."""
    if not _numbers(budget, a, b):
        return NotImplemented
    if not b:
        raise ZeroDivisionError
    if type(a) is int and type(b) is int:
        rest = abs(a) % abs(b)
        return bounded(rest if a >= 0 else -rest)
    return EXACT.remainder(a, b)


def negate(value: Any) -> object:
    if type(value) is int:
        return bounded(-value)
    if type(value) is Decimal:
        return value.copy_negate() if value else value
    return NotImplemented


OPERATORS: dict[str, tuple[Operator, str]] = {
    "==": (equal, "compared"),
    "!=": (unequal, "compared"),
    "<": (_ordering(lambda a, b: a < b), "compared"),
    "<=": (_ordering(lambda a, b: a <= b), "compared"),
    ">": (_ordering(lambda a, b: a > b), "compared"),
    ">=": (_ordering(lambda a, b: a >= b), "compared"),
    "in": (contained, "searched"),
    "+": (add, "added"),
    "-": (subtract, "subtracted"),
    "*": (multiply, "multiplied"),
    "/": (divide, "divided"),
    "%": (remainder, "divided"),
}
