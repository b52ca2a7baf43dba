"""The functions: CEL's own, its common string extensions, and a few of ours for amounts.

A function gets values of the types it declares, never null unless it takes anything, and raises
``ValueError`` with a sentence for values that it cannot use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import re2

from hookline.rules.cel.jsontext import decimal_text, duration_text, time_text
from hookline.rules.cel.values import (
    EXACT,
    MAX_ITEMS,
    ROUNDING,
    bounded,
    fits,
    kind,
    type_of,
)
from hookline.rules.times import EPOCH, parse_time, to_datetime

Types = tuple[type, ...]

TEXT: Types = (str,)
NUMBER: Types = (int, Decimal)
TIME: Types = (datetime,)
ANYTHING: Types = ()

_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200})(?:[eE][+-]?[0-9]{1,9})?")
_DURATION = re.compile(r"([+-]?)((?:[0-9]{1,30}(?:\.[0-9]{1,30})?(?:d|h|ms|m|s|us|µs|μs|ns)){1,8})|[+-]?0")
_DURATION_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_OFFSET = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")
_MICROSECONDS: dict[str, int | Fraction] = {
    "d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000,
    "us": 1, "µs": 1, "μs": 1, "ns": Fraction(1, 1000),
}  # fmt: skip
_BOOLS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True)
_BOOLS |= dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TO_LOWER = str.maketrans(_UPPER, _UPPER.lower())
_TO_UPPER = str.maketrans(_UPPER.lower(), _UPPER)


@dataclass(frozen=True, slots=True)
class Function:
    """``takes`` are the types of the arguments, a method's receiver first; of them ``needs`` must be given.

    ``prepare`` turns the last argument into what ``run`` gets: once, when the expression is compiled, if it
    is a literal. It costs ``prepare_cost`` steps; if that is more than 0 its results are kept for a while.
    """

    run: Callable[..., object]
    takes: tuple[Types, ...]
    needs: int
    variadic: bool = False
    weighs: bool = True
    prepare: Callable[[Any], object] | None = None
    prepare_cost: int = 0


def _function(run: Callable[..., object], *takes: Types, optional: int = 0, **more: Any) -> Function:
    return Function(run, takes, len(takes) - optional, **more)


# --- conversions ---------------------------------------------------------------------------------


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _to_int(value: Any) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            raise ValueError(f"{_shorten(value)} is not a whole number")
        value = int(value)
    elif isinstance(value, datetime):
        value = (value - EPOCH) // timedelta(seconds=1)
    elif isinstance(value, Decimal) and value.adjusted() > 50:  # int() would write out every digit
        raise OverflowError
    return bounded(int(value))


def _to_uint(value: Any) -> int:
    number = _to_int(value)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def _to_decimal(value: Any) -> Decimal:
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError(f"{_shorten(value)} is not a number")
    return EXACT.create_decimal(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in _BOOLS:
        raise ValueError(f"{_shorten(value)} is neither 'true' nor 'false'")
    return _BOOLS[value]


def _to_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _to_string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("these bytes are not UTF-8") from None
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return time_text(value)
    return duration_text(value) if isinstance(value, timedelta) else str(value)


def _to_time(value: Any) -> datetime:
    if isinstance(value, str):
        if len(value) > 40:
            raise ValueError(f"{_shorten(value)} is not an RFC 3339 time")
        return to_datetime(parse_time(value))
    return value if isinstance(value, datetime) else EPOCH + timedelta(seconds=value)


def _to_duration(value: Any) -> timedelta:
    """The form of Go's ``time.ParseDuration``, and days. What is finer than a microsecond is cut off."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError(f"{_shorten(value)} is not a duration, such as '90s', '1h30m' or '7d'")
    parts = _DURATION_PART.findall(found[2] or "")
    total = int(sum(Fraction(number) * _MICROSECONDS[unit] for number, unit in parts))
    return timedelta(microseconds=-total if found[1] == "-" else total)


def _same(value: object) -> object:
    return value


# --- text ----------------------------------------------------------------------------------------


def _pattern(text: str) -> object:
    if len(text) > 1000:
        raise ValueError("a pattern has up to 1000 characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = 1 << 20
    try:
        return re2.compile(text.encode(), options)
    except re2.error as error:
        detail = error.args[0].decode(errors="replace") if error.args else ""
        raise ValueError(f"{_shorten(text)} is not a regular expression (RE2): {detail}") from None


def _matches(text: str, pattern: Any) -> bool:
    return pattern.search(text.encode()) is not None


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    found = text.count(old)
    count = found if limit < 0 else min(found, limit)
    fits(len(text) + count * (len(new) - len(old)))
    return text.replace(old, new, count)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit in (0, 1):
        return [text] * limit
    if separator:
        pieces = text.count(separator) + 1
        fits(pieces if limit < 0 else min(pieces, limit), MAX_ITEMS)
        return text.split(separator, max(limit - 1, -1))
    pieces = fits(len(text) if limit < 0 else min(len(text), limit), MAX_ITEMS)
    return [*text[: pieces - 1], text[pieces - 1 :]] if pieces else []


def _join(items: list[Any], separator: str = "") -> str:
    for one in items:
        if type(one) is not str:
            raise ValueError(f"only strings can be joined, but the list holds {kind(one)}")
    fits(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def _within(text: str, *positions: int) -> None:
    for position in positions:
        if not 0 <= position <= len(text):
            raise ValueError(f"{position} is outside the string, which has {len(text)} characters")


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    _within(text, start, end)
    if start > end:
        raise ValueError(f"the start {start} is behind the end {end}")
    return text[start:end]


def _index_of(text: str, part: str, start: int = 0) -> int:
    _within(text, start)
    return text.find(part, start)


def _char_at(text: str, position: int) -> str:
    _within(text, position)
    return text[position : position + 1]


# --- amounts -------------------------------------------------------------------------------------


def _round(number: Any, digits: int = 0) -> int | Decimal:
    """To ``digits`` places behind the point, halves away from zero; an int stays as it is."""
    if not 0 <= digits <= 30:
        raise ValueError(f"digits are 0 to 30, not {digits}")
    if isinstance(number, int):
        return number
    place = Decimal((0, (1,), -digits))
    return number.quantize(place, rounding=ROUND_HALF_UP, context=ROUNDING)  # type: ignore[no-any-return]


def _extreme(choose: Callable[[list[Any]], Any]) -> Function:
    def run(*given: Any) -> object:
        numbers: list[Any] = given[0] if len(given) == 1 and type(given[0]) is list else list(given)
        for number in numbers:
            if type(number) not in NUMBER:
                raise ValueError(f"only numbers have a greatest and a least, not {kind(number)}")
        if not numbers:
            raise ValueError("an empty list has no greatest and no least number")
        return choose(numbers)

    return _function(run, (*NUMBER, list), variadic=True)


# --- times ---------------------------------------------------------------------------------------


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset and int(offset[2]) < 24 and int(offset[3]) < 60:
        delta = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-delta if offset[1] == "-" else delta)
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        example = "such as 'Europe/Berlin' or '+02:00'"
        raise ValueError(f"{_shorten(name)} is not a known time zone, {example}") from None


def _of_time(read: Callable[[datetime], int]) -> Function:
    def run(moment: datetime, zone: tzinfo = UTC) -> int:
        return read(moment.astimezone(zone))

    return _function(run, TIME, TEXT, optional=1, prepare=_zone, prepare_cost=200)


def _of_both(read: Callable[[datetime], int], unit: timedelta, modulus: int | None = None) -> Function:
    """A part of a time, or of a duration: how many ``unit`` it has, toward zero, modulo ``modulus``."""

    def run(value: datetime | timedelta, zone: tzinfo | None = None) -> int:
        if isinstance(value, datetime):
            return read(value.astimezone(zone or UTC))
        if zone:
            raise ValueError("a duration has no time zone")
        whole = abs(value) // unit
        whole = whole % modulus if modulus else whole
        return whole if value >= timedelta() else -whole

    return _function(run, (datetime, timedelta), TEXT, optional=1, prepare=_zone, prepare_cost=200)


_SIZED: Types = (str, bytes, list, dict)
_SIZE = _function(len, _SIZED, weighs=False)
_MATCHES = _function(_matches, TEXT, TEXT, prepare=_pattern, prepare_cost=1000)
_GREATEST = _extreme(max)
_LEAST = _extreme(min)

FUNCTIONS: dict[str, Function] = {
    "size": _SIZE,
    "matches": _MATCHES,
    "string": _function(_to_string, (str, int, Decimal, bool, bytes, datetime, timedelta)),
    "int": _function(_to_int, (int, Decimal, str, datetime)),
    "uint": _function(_to_uint, (int, Decimal, str)),
    "double": _function(_to_decimal, (int, Decimal, str)),
    "bool": _function(_to_bool, (bool, str)),
    "bytes": _function(_to_bytes, (bytes, str)),
    "timestamp": _function(_same, (str, int, datetime), prepare=_to_time),
    "duration": _function(_same, (str, timedelta), prepare=_to_duration),
    "type": _function(type_of, ANYTHING, weighs=False),
    "dyn": _function(_same, ANYTHING, weighs=False),
    "round": _function(_round, NUMBER, (int,), optional=1),
    "abs": _function(
        lambda number: bounded(abs(number)) if type(number) is int else number.copy_abs(), NUMBER
    ),
    "max": _GREATEST,
    "min": _LEAST,
    "math.greatest": _GREATEST,
    "math.least": _LEAST,
}

METHODS: dict[str, Function] = {
    "size": _SIZE,
    "matches": _MATCHES,
    "contains": _function(lambda text, part: part in text, TEXT, TEXT),
    "startsWith": _function(str.startswith, TEXT, TEXT),
    "endsWith": _function(str.endswith, TEXT, TEXT),
    "lowerAscii": _function(lambda text: text.translate(_TO_LOWER), TEXT),
    "upperAscii": _function(lambda text: text.translate(_TO_UPPER), TEXT),
    "trim": _function(str.strip, TEXT),
    "replace": _function(_replace, TEXT, TEXT, TEXT, (int,), optional=1),
    "split": _function(_split, TEXT, TEXT, (int,), optional=1),
    "join": _function(_join, (list,), TEXT, optional=1),
    "substring": _function(_substring, TEXT, (int,), (int,), optional=1),
    "indexOf": _function(_index_of, TEXT, TEXT, (int,), optional=1),
    "charAt": _function(_char_at, TEXT, (int,)),
    "getFullYear": _of_time(lambda moment: moment.year),
    "getMonth": _of_time(lambda moment: moment.month - 1),
    "getDate": _of_time(lambda moment: moment.day),
    "getDayOfMonth": _of_time(lambda moment: moment.day - 1),
    "getDayOfYear": _of_time(lambda moment: moment.timetuple().tm_yday - 1),
    "getDayOfWeek": _of_time(lambda moment: moment.isoweekday() % 7),
    "getHours": _of_both(lambda moment: moment.hour, timedelta(hours=1)),
    "getMinutes": _of_both(lambda moment: moment.minute, timedelta(minutes=1)),
    "getSeconds": _of_both(lambda moment: moment.second, timedelta(seconds=1)),
    "getMilliseconds": _of_both(lambda moment: moment.microsecond // 1000, timedelta(milliseconds=1), 1000),
}


def weight(value: object) -> int:
    """The steps that reading an argument costs."""
    if type(value) is str or type(value) is bytes:
        return len(value) >> 6
    if type(value) is int:
        return value.bit_length() >> 8
    return len(value) if type(value) is list else 0
