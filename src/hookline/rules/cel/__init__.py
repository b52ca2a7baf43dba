"""Conditions and expressions: the Common Expression Language, compiled once into Python closures.

The language is that of https://github.com/google/cel-spec/blob/master/doc/langdef.md, without protocol
buffer messages. On purpose these things differ, because the users' data is JSON and holds amounts:

- A number with a point or an exponent is an exact decimal (34 digits), not a double. Ints and decimals
  mix. ``+ - *`` either give the exact result or fail; ``/`` rounds half-even to 34 digits; int by int
  truncates toward zero. Ints may be as large as 127 bits; ``1u`` is an int.
- What is not known is null: a missing key, a field or an item of null, an index outside a list. Null
  equals only null, counts as false where a truth is asked for, and fails wherever a value is needed.
- ``duration()`` takes days: ``"7d"``, ``"1d12h"``; times and durations count in microseconds.
- Beside CEL's functions: ``round(x, digits)`` (half away from zero), ``abs``, ``min``, ``max``, CEL's
  ``math.greatest`` and ``math.least``, and its common string extensions.

Values are ``None``, ``bool``, ``int``, ``Decimal``, ``str``, ``bytes``, ``list``, ``dict``, aware ``datetime``,
``timedelta`` and ``Type``.
"""

from hookline.rules.cel.compiler import Expression, compile
from hookline.rules.cel.errors import CelError, EvalError
from hookline.rules.cel.jsontext import from_json, to_json
from hookline.rules.cel.values import Type, truth

__all__ = ["CelError", "EvalError", "Expression", "Type", "compile", "from_json", "to_json", "truth"]
