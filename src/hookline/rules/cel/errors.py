"""What can go wrong: a source that does not compile, an input on which it fails."""

from __future__ import annotations


class CelError(Exception):
    """The source does not compile. ``line`` and ``column`` count from 1 and point at the offending token."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class EvalError(Exception):
    """The expression has no value for this input; the text says in plain words why."""


# What Python raises where the types of values fit, but not the values.
FAILURES = (ArithmeticError, LookupError, TypeError, ValueError)


class Exhausted(Exception):
    """The step budget is spent. No ``EvalError``, so that ``||`` and ``&&`` cannot absorb it."""


def error_at(source: str, offset: int, message: str) -> CelError:
    """A ``CelError`` for the place ``offset`` characters into ``source``."""
    line_start = source.rfind("\n", 0, offset) + 1
    return CelError(message, source.count("\n", 0, offset) + 1, offset - line_start + 1)
