"""What may stand in `data`, and what a key looks like."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.rules.keys import digest, new_key
from hookline.rules.payload import MAX_DEPTH, check, check_depth, depth

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def deepest(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(deepest, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(deepest, value), default=0)
    return 0


@given(values)
def test_depth_is_how_many_are_around_the_innermost(value: Any) -> None:
    assert depth(value) == deepest(value)


@given(st.integers(1, 2 * MAX_DEPTH), st.booleans())
def test_the_limit_is_exact(levels: int, objects: bool) -> None:
    raw = b'{"a":' * levels + b"1" + b"}" * levels if objects else b"[" * levels + b"]" * levels
    if levels <= MAX_DEPTH:
        check(raw)
        return
    with pytest.raises(ValueError, match="deeper"):
        check(raw)
    with pytest.raises(ValueError, match="deeper"):
        check_depth(raw, json.loads(raw))


@given(values)
def test_what_is_shallow_passes(value: Any) -> None:
    check(json.dumps({"wide": [[] for _ in range(200)], "brackets": "[{" * 200, "value": value}).encode())


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["read", "publish", "manage"]))
def test_keys_hold_all_their_randomness_and_are_kept_as_a_digest(random: bytes, scope: Any) -> None:
    key, text = new_key("t", "name", scope, 5, random)
    assert re.fullmatch(r"hl_[A-Za-z0-9_-]{43}", text)
    assert digest(text) == hashlib.sha256(text.encode()).digest()
    assert (key.tenant, key.name, key.scope, key.created_at, key.revoked_at) == ("t", "name", scope, 5, None)
    assert new_key("t", "name", scope, 5, random)[1] == text


def test_a_key_needs_its_randomness() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        new_key("t", "name", "read", 5, b"short")
