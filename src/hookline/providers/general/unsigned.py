"""Any sender that proves nothing: a secret in the address is all that tells its calls from others'.

The secret shows in logs of whoever carries the call, so this is for senders that can do no better. Without an id
a call that is the same as an earlier one is a repeat.
"""

from __future__ import annotations

import re

from hookline.providers.general import naming
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider

NAME = "unsigned"
_KEY = re.compile(r"[A-Za-z0-9_-]{16,200}", re.ASCII)


def check(credentials: Credentials) -> None:
    if not _KEY.fullmatch(credentials["key"]):
        raise ValueError("the key of an address is at least 16 letters, digits, - and _")
    naming.check(credentials)


def verify(call: Incoming, credentials: Credentials) -> None:
    """Nothing but that there is a key: whoever comes by the address with it has it."""
    if "key" not in credentials:
        raise NotSigned("this source has no key yet: set it in its credentials")


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    return [naming.event(NAME, call, credentials)]


PROVIDER = Provider(
    name=NAME,
    credentials={
        "key": "the secret in the address (?key=…); made where none is given, and shown this once",
        **naming.SETTINGS,
    },
    optional=frozenset(naming.SETTINGS),
    shown=frozenset(naming.SETTINGS),
    secret="key",  # noqa: S106 - its name
    check=check,
    verify=verify,
    parse=parse,
)
