"""Several SMTP servers in order of preference: the first that is well gets the mail.

A server that cannot be reached, refuses the login or says 421 (RFC 5321 3.8: it is about to close) has said nothing
about the message, so the next one is asked within the same attempt. That ends once the content is on its way, for then
a second server could mean a second mail. A server that was ill rests for a while, and longer each time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from hookline.net.smtp import BEFORE_MAIL, SmtpClient, SmtpResult, SmtpSettings, parse_smtp_url

REST_SECONDS = 15.0
LONGEST_REST = 300.0
_BETWEEN = re.compile(r"[\s,]+(?=smtps?://)")
# (sender, message) for the provider whose relay it goes to, "" for none
Write = Callable[[str], tuple[str, bytes]]


class Relay:
    """A server, the ``provider`` whose relay it is, and how it does; ``connection`` is the tenant's that names it, ""
    for one of the settings."""

    def __init__(self, client: SmtpClient, provider: str = "", connection: str = "") -> None:
        self.client, self.provider, self.connection = client, provider, connection
        self.rests_until = 0.0
        self._rest = REST_SECONDS

    def fell_ill(self, now: float) -> None:
        if self.rests_until <= now:  # those that were under way with it say nothing new
            self.rests_until, self._rest = now + self._rest, min(2 * self._rest, LONGEST_REST)

    def is_well(self) -> None:
        self.rests_until, self._rest = 0.0, REST_SECONDS


class Sent(Struct, frozen=True):
    """What came of it, with the server that said so and what it was given."""

    result: SmtpResult
    place: int
    sender: str
    size: int
    connection: str = ""


class Relays:
    def __init__(self, relays: Sequence[Relay], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._relays = relays
        self._monotonic = monotonic

    @property
    def hosts(self) -> list[tuple[str, str]]:
        """The hosts, the best first, each with the provider whose relay it is."""
        return [(relay.client.host, relay.provider) for relay in self._relays]

    async def send(self, write: Write, to: str) -> Sent:
        """Hand a mail to the first server that is well; each is written its own. Raises what ``write`` raises, and
        ``ValueError`` for an address that cannot be written to the wire."""
        now = self._monotonic()
        places = [place for place, relay in enumerate(self._relays) if relay.rests_until <= now]
        found: Sent | None = None
        for place in places or range(len(self._relays)):  # when all are ill, each is tried
            relay = self._relays[place]
            sender, message = write(relay.provider)
            result = await relay.client.send(sender, to, message)
            found = Sent(result, place, sender, len(message), relay.connection)
            if not _is_ill(result):
                relay.is_well()
                return found
            relay.fell_ill(self._monotonic())
            if result.stage == "data" and result.code is not None:  # it may have the content
                return found
        if found is None:
            raise ValueError("there is no SMTP server")
        return found

    async def close(self) -> None:
        for relay in self._relays:
            await relay.client.close()


def parse_smtp_urls(text: str) -> list[SmtpSettings]:
    """The servers of a setting: URLs between commas or spaces, the best first. Raises ``ValueError``."""
    return [parse_smtp_url(url) for url in _BETWEEN.split(text.strip())]


def _is_ill(result: SmtpResult) -> bool:
    """Whether this is the server's trouble, and not the message's or the recipient's."""
    if result.ok or result.ambiguous:
        return False
    return result.stage in BEFORE_MAIL or result.code in (None, 421)
