"""What a provider is: how its calls are told from others', and how they are read. All of it is pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from hookline.providers.parsed import Incoming, ParsedEvent

Credentials = Mapping[str, str]
Check = Callable[[Credentials], None]
Verify = Callable[[Incoming, Credentials], None]
Parse = Callable[[Incoming, Credentials], list[ParsedEvent]]
Wanted = Callable[[Incoming, Credentials], str | None]


class NotSigned(Exception):
    """A call that is not taken as the provider's; the text says why, for the one who sets the source up."""


class Reply(Struct, frozen=True, kw_only=True):
    """The answer to a call that tells of no events but asks for something, such as a challenge.

    Where ``visit`` is a URL, the answer is given only once a GET of it went well.
    """

    body: bytes = b""
    media_type: str = "text/plain"
    visit: str = ""


Answer = Callable[[Incoming, Credentials], Reply | None]


def no_objection(credentials: Credentials) -> None:
    """The ``check`` of a provider that can say nothing of credentials before a call comes."""


def nothing(call: Incoming, credentials: Credentials) -> None:
    """The ``wanted`` and ``answer`` of a provider that has none."""


class Provider(Struct, frozen=True, kw_only=True):
    """One kind of source.

    ``credentials`` are what is needed to verify calls, by name, each with its meaning in words for the user;
    those named in ``optional`` may be left out; those in ``shown`` are settings, and no secrets.
    ``late``: the provider shows them only once it has the source's address, so a source is made without, and
    refuses calls until it has them.
    ``challenge`` is the ``WWW-Authenticate`` of a 401 (RFC 9110, 11.6.1), "" where calls are signed.
    ``secret`` names the credential that is part of the address itself (``?key=…``), made here where none is given.

    ``id_per_type``: events of two types are two, though they come with one id, as in the provider's own samples.

    ``check`` raises ValueError, in words for the user, for credentials that could never verify a call.
    ``verify`` raises NotSigned unless the provider made the call; it compares secrets in constant time.
    ``wanted`` is the URL of what ``verify`` needs besides, such as a certificate; NotSigned for a bad one.
    ``thanks`` is the answer once the events are durable, where the provider reads what it is told.
    ``answer`` and ``parse`` see verified calls only. ``parse`` raises ValueError, in words, for a body that is
    not what the provider sends, and for nothing else whatever the body is.
    """

    name: str
    credentials: Mapping[str, str]
    verify: Verify
    parse: Parse
    optional: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    late: bool = False
    challenge: str = ""
    secret: str = ""
    id_per_type: bool = False
    check: Check = no_objection
    wanted: Wanted = nothing
    answer: Answer = nothing
    thanks: Reply | None = None
