"""Ids: a prefix that says what it is, and a UUIDv7 (RFC 9562) in lower-case base32hex, so they sort by time."""

from __future__ import annotations

import re

import uuid_utils

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_ID = re.compile(r"[a-z]{3,4}_[0-9a-v]{26}", re.ASCII)


def new_id(prefix: str) -> str:
    """A new id such as ``evt_06a9…``; ``prefix`` is one of the contract's, without the underscore."""
    pairs = _PAIRS  # ten bits each: 128 and two zeros
    n = uuid_utils.uuid7().int << 2
    return (
        f"{prefix}_{pairs[n >> 120]}{pairs[n >> 110 & 1023]}{pairs[n >> 100 & 1023]}{pairs[n >> 90 & 1023]}"
        f"{pairs[n >> 80 & 1023]}{pairs[n >> 70 & 1023]}{pairs[n >> 60 & 1023]}{pairs[n >> 50 & 1023]}"
        f"{pairs[n >> 40 & 1023]}{pairs[n >> 30 & 1023]}{pairs[n >> 20 & 1023]}{pairs[n >> 10 & 1023]}"
        f"{pairs[n & 1023]}"
    )


def is_id(text: str, prefix: str) -> bool:
    """Whether ``text`` could be an id of this kind; it says nothing about whether there is such a thing."""
    return text.startswith(prefix + "_") and _ID.fullmatch(text) is not None
