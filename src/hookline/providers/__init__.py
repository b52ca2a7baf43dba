"""Email providers' webhooks: one module for each, listed once, here. Pure: no clock, no look-ups, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hookline.providers import mailjet
from hookline.providers.parsed import Incoming, ParsedEvent

__all__ = ["BY_NAME", "PROVIDERS", "Incoming", "ParsedEvent", "Provider"]


class Provider(Protocol):
    """The names that a module in this package has."""

    NAME: str
    """The source's ``kind``."""
    CREDENTIALS: Mapping[str, str]
    """What a source needs to verify calls, by name, each with its meaning in words for the user."""
    CHALLENGE: str
    """``WWW-Authenticate`` of the 401 (RFC 9110, 11.6.1); "" where the provider signs in another way."""

    def check_credentials(self, credentials: Mapping[str, str]) -> None:
        """ValueError, in words for the user, for credentials that could never verify a call."""
        ...

    def verify(self, call: Incoming, credentials: Mapping[str, str]) -> bool:
        """Whether the provider made this call; constant time where secrets are compared."""
        ...

    def parse(self, body: bytes) -> list[ParsedEvent]:
        """The events of a body. ValueError, in words, where it is not what the provider sends."""
        ...


PROVIDERS: tuple[Provider, ...] = (mailjet,)
BY_NAME: Mapping[str, Provider] = {provider.NAME: provider for provider in PROVIDERS}
