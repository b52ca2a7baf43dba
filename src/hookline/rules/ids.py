"""Ids: a prefix that says what it is, and a UUIDv7 (RFC 9562) in lower-case base32hex, so they sort by time."""

from __future__ import annotations

import re
from base64 import b32hexencode

import uuid_utils

_ID = re.compile(r"[a-z]{3,4}_[0-9a-v]{26}", re.ASCII)


def new_id(prefix: str) -> str:
    """A new id such as ``evt_06a9…``; ``prefix`` is one of the contract's, without the underscore."""
    return f"{prefix}_{b32hexencode(uuid_utils.uuid7().bytes)[:26].decode().lower()}"


def is_id(text: str, prefix: str) -> bool:
    """Whether ``text`` could be an id of this kind; it says nothing about whether there is such a thing."""
    return text.startswith(prefix + "_") and _ID.fullmatch(text) is not None
