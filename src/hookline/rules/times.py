"""Times and durations as people write them, and the integers that we keep (microseconds, UTC)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
LONGEST = 3650 * UNITS["d"]
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
# RFC 3339, section 5.6.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_duration(text: str) -> int:
    """Microseconds of ``"90s"``, ``"5m"``, ``"24h"``, ``"7d"`` or a row of these (``"1h30m"``).

    ValueError, in words for the user, for anything else and for more than ten years.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(
            f'{text!r} is not a duration; write a number and a unit, such as "90s", "5m", "24h", "7d"'
        )
    total = sum(int(number) * UNITS[unit] for number, unit in parts)
    if total > LONGEST:
        raise ValueError(f"{text!r} is longer than ten years")
    return total


def parse_time(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time; digits beyond the sixth are cut off."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time, such as 2026-05-04T12:30:00Z")
    day, clock, fraction, zone = match.groups()
    try:
        if clock.endswith(":60"):  # a leap second: the last moment of its minute
            clock, fraction = clock[:-2] + "59", "999999"
        moment = datetime.fromisoformat(f"{day}T{clock}")
        offset = _offset(zone)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    try:
        whole = moment.replace(tzinfo=timezone(offset)).astimezone(UTC) - EPOCH
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    return whole // timedelta(microseconds=1) + micros


def _offset(zone: str) -> timedelta:
    if zone in "Zz":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError("its offset is out of range")
    sign = -1 if zone[0] == "-" else 1
    return sign * timedelta(hours=hours, minutes=minutes)


def format_time(micros: int) -> str:
    """RFC 3339 in UTC with as many digits as are needed: none, three or six."""
    seconds, fraction = divmod(micros, 1_000_000)
    if fraction == 0:
        return _second(seconds) + "Z"
    if fraction % 1000 == 0:
        return f"{_second(seconds)}.{fraction // 1000:03d}Z"
    return f"{_second(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return to_datetime(seconds * 1_000_000).isoformat(timespec="seconds")[:-6]


def to_datetime(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def from_datetime(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
