"""A sender that proves nothing."""

from __future__ import annotations

import pytest

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import unsigned

PROVIDER = unsigned.PROVIDER
KEY = {"key": "0123456789abcdef-_"}


def test_a_key_is_hard_to_guess_and_fits_an_address() -> None:
    PROVIDER.check(KEY)
    PROVIDER.verify(Incoming({}, b""), KEY)
    with pytest.raises(NotSigned, match="no key yet"):
        PROVIDER.verify(Incoming({}, b""), {})
    for key in ("short", "0123456789abcdef&", "é" * 20):
        with pytest.raises(ValueError, match="at least 16"):
            PROVIDER.check({"key": key})
    with pytest.raises(ValueError, match="not both"):
        PROVIDER.check({**KEY, "type": "a", "type_field": "b"})


def test_an_event() -> None:
    [event] = PROVIDER.parse(Incoming({}, b'{"event": "door.opened", "n": 1.10}'), KEY)
    assert (event.type, event.raw) == ("door.opened", b'{"event": "door.opened", "n": 1.10}')
    assert PROVIDER.parse(Incoming({}, b'{"type": "email.opened"}'), KEY)[0].type == "unsigned.email.opened"
    assert PROVIDER.parse(Incoming({}, b"17"), KEY)[0].type == "unsigned.event"
