"""Reports of providers with something in them changed that no documentation foresees."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from hookline.providers import Incoming, NotSigned, ParsedEvent, Provider

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all that is inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, one in inside for found in ((*at, key), *places(one, (*at, key)))]


@st.composite
def mutated(draw: st.DrawFn, *samples: Any) -> Any:
    """One of the samples with one to three things in it replaced by anything, or taken out."""
    value = copy.deepcopy(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 3))):
        ways = places(value)
        if not ways:
            break
        *way, last = draw(st.sampled_from(ways))
        holder = value
        for step in way:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(ANYTHING)
        else:
            del holder[last]
    return value


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def read(
    provider: Provider,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> list[ParsedEvent]:
    """The events of a body, or none where it is refused in words; whatever is wrong with it, nothing else happens."""
    call = Incoming(headers or {}, body, now=1_700_000_000.0)
    try:
        if provider.answer(call, credentials or {}) is not None:
            return []
        events = provider.parse(call, credentials or {})
    except (ValueError, NotSigned) as error:
        events, words = [], str(error)
        assert words
    for event in events:
        assert event.type.startswith(("email.", f"{provider.name}.")) or event.known
        assert event.email is None or event.email.isprintable()
        assert event.time is None or 0 <= event.time <= 253_402_300_800_000_000
        assert msgspec.json.encode(event.facts)
        assert ("machine" in event.facts) == (event.type in ("email.opened", "email.clicked"))
        assert ("hard" in event.facts) == (event.type == "email.bounced")
    return events
