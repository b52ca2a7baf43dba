"""What holds for every provider."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.providers import BY_NAME, PROVIDERS, Incoming, NotSigned, Provider
from support.mutations import ANYTHING, read

NAMES = st.sampled_from(
    ["event", "type", "email", "timestamp", "time", "Type", "Message", "RecordType", "signature", "data", "msys",
     "event-data", "mandrill_events", "payload", "events", "id"]
)  # fmt: skip
BODIES = st.binary(max_size=200) | (
    (ANYTHING | st.recursive(ANYTHING, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))).map(
        lambda value: json.dumps(value).encode()
    )
)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@settings(max_examples=25)  # each module changes its own samples besides
@given(body=BODIES)
def test_any_body_is_parsed_or_refused_in_words(provider: Provider, body: bytes) -> None:
    read(provider, body, {"content-type": "application/json"}, dict.fromkeys(provider.credentials, "x"))


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_source_without_credentials_takes_nothing(provider: Provider) -> None:
    if provider.late:
        with pytest.raises(NotSigned):
            provider.verify(Incoming({}, b"{}", now=1_700_000_000.0), {})


def test_names_are_unlike() -> None:
    assert len(BY_NAME) == len(PROVIDERS)
    for provider in PROVIDERS:
        assert provider.name.replace("-", "").isalnum() and provider.name == provider.name.lower()
        assert set(provider.optional) <= set(provider.credentials)
        assert all(meaning for meaning in provider.credentials.values())
