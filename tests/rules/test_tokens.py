"""Tracking tokens: what goes in comes out, and nothing else is a token."""

from __future__ import annotations

from base64 import b32hexencode, urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.rules import tokens
from hookline.rules.ids import new_id
from hookline.rules.tokens import BadToken, ClickToken, OpenToken, UnsubscribeToken

KEY = bytes(range(32))
URL = "https://shop.example/a?b=1&c=ü"

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
messages = words | st.binary(min_size=16, max_size=16).map(
    lambda raw: "dlv_" + b32hexencode(raw).decode().lower().rstrip("=")
)


@given(words, messages)
def test_an_open_is_read_back(tenant: str, message: str) -> None:
    token = tokens.make_open(KEY, tenant, message)
    assert tokens.read(KEY, token) == OpenToken(tenant, message)


@given(words, messages, words, st.integers(0, tokens.MAX_LINK))
def test_a_click_is_read_back(tenant: str, message: str, url: str, link: int) -> None:
    token = tokens.make_click(KEY, tenant, message, url, link)
    assert tokens.read(KEY, token, ClickToken) == ClickToken(tenant, message, url, link)


@given(words, messages, words)
def test_an_unsubscribe_is_read_back(tenant: str, message: str, list: str) -> None:
    token = tokens.make_unsubscribe(KEY, tenant, message, list)
    assert tokens.read(KEY, token) == UnsubscribeToken(tenant, message, list)


def test_it_is_compact_and_safe_in_a_url() -> None:
    token = tokens.make_open(KEY, "default", new_id("dlv"))
    assert len(token) == 59
    assert token.replace("-", "").replace("_", "").isalnum()


def test_an_id_that_only_looks_usual_keeps_its_spelling() -> None:
    odd = "dlv_" + "v" * 26  # sets the two bits that 16 bytes do not reach
    assert tokens.read(KEY, tokens.make_open(KEY, "default", odd)) == OpenToken("default", odd)


def test_no_character_can_be_changed_dropped_or_added() -> None:
    token = tokens.make_click(KEY, "default", new_id("dlv"), URL, 3)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    wrong = [token[:i] + other + token[i + 1 :] for i in range(len(token)) for other in alphabet]
    wrong += [token[:i] for i in range(len(token))] + [token[i:] for i in range(1, len(token))]
    wrong += [token + end for end in ("A", "=", "==", "\n", " ", "é", "%3D", ".")]
    for text in wrong:
        if text != token:
            with pytest.raises(BadToken):
                tokens.read(KEY, text)


@given(
    st.text(max_size=200)
    | st.binary(max_size=200).map(lambda raw: urlsafe_b64encode(raw).decode().rstrip("="))
)
def test_anything_else_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        tokens.read(KEY, text)


def test_a_standard_alphabet_is_another_spelling_and_refused() -> None:
    token = next(
        token
        for token in (tokens.make_click(KEY, "default", "m", URL, link) for link in range(500))
        if "-" in token or "_" in token
    )
    twin = token.replace("-", "+").replace("_", "/")
    assert urlsafe_b64decode(token + "=" * (-len(token) % 4))
    with pytest.raises(BadToken):
        tokens.read(KEY, twin)


def test_another_key_or_another_kind_is_refused() -> None:
    token = tokens.make_unsubscribe(KEY, "default", "m", "")
    with pytest.raises(BadToken, match="not signed here"):
        tokens.read(bytes(32), token)
    with pytest.raises(BadToken, match="another kind"):
        tokens.read(KEY, token, OpenToken)


def test_its_length_has_a_bound_on_both_ways() -> None:
    with pytest.raises(ValueError, match="longer than"):
        tokens.make_click(KEY, "default", "m", "https://a.example/" + "a" * 6_100, 0)
    with pytest.raises(ValueError, match="too long"):
        tokens.make_click(KEY, "default", "m", "https://a.example/" + "a" * 70_000, 0)
    with pytest.raises(BadToken, match="too long"):
        tokens.read(KEY, "A" * (tokens.MAX_TOKEN + 1))


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_key_that_is_too_short_or_too_long_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 to 64"):
        tokens.make_open(bytes(size), "default", "m")
