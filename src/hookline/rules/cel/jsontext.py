"""JSON to values and back, with exact numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec

from hookline.rules.cel.values import Type, kind
from hookline.rules.times import format_time, from_datetime

# Far more than any amount has, and few enough that arithmetic takes no time.
MAX_NUMBER = 500
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


def from_json(raw: bytes) -> object:
    """The value of a JSON text (RFC 8259): whole numbers as ``int``, all others as ``Decimal``, both exact.

    Of a key that comes twice the last counts. ValueError for what is not JSON.
    """
    try:
        return _DECODER.decode(raw)
    except RecursionError:
        raise ValueError("this is nested too deeply") from None


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER:
        raise ValueError(f"a number has more than {MAX_NUMBER} characters")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number has an exponent that is too large") from None


_DECODER: msgspec.json.Decoder[object] = msgspec.json.Decoder(float_hook=_decimal)


def to_json(value: object) -> bytes:
    """The JSON text of a value.

    A ``Decimal`` becomes a number, a time RFC 3339 in UTC, a duration its seconds (``"90s"``), bytes base64.
    Keys become strings; ``msgspec.Raw`` stays as it is. ValueError for what is no value of the language.
    """
    try:
        return msgspec.json.encode(_plain(value))
    except RecursionError:
        raise ValueError("this is nested too deeply") from None


def decimal_text(number: Decimal) -> str:
    """Plain notation, except for numbers of more than 100 places."""
    return f"{number:f}" if -100 <= number.adjusted() <= 100 else str(number)


def duration_text(duration: timedelta) -> str:
    """Seconds, as JSON of protocol buffers has it: ``"90s"``, ``"-1.5s"``."""
    sign = "-" if duration < timedelta() else ""
    seconds, rest = divmod(abs(duration), _SECOND)
    fraction = f".{rest // _MICROSECOND:06d}".rstrip("0") if rest else ""
    return f"{sign}{seconds}{fraction}s"


def time_text(moment: datetime) -> str:
    return format_time(from_datetime(moment))


# What JSON has a spelling for as it is; looked up first, because most of all values are texts.
_SAME = frozenset((str, int, bool, type(None), bytes, msgspec.Raw))


def _plain(value: object) -> object:
    if type(value) in _SAME or isinstance(value, int | str | bytes):
        return value
    if isinstance(value, Decimal):
        return msgspec.Raw(decimal_text(value).encode())
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key if type(key) is str else _key(key): _plain(one) for key, one in value.items()}
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Type):
        return value.name
    raise ValueError(f"there is no JSON for {kind(value)}")


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)
