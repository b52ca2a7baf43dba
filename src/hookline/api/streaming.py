"""Events as they come, as Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from hookline.api.event_view import shown
from hookline.api.paging import cursor
from hookline.model import Event
from hookline.storage import StorageUnavailable

MEDIA_TYPE = "text/event-stream"
POLL_SECONDS = 0.25
HEARTBEAT_SECONDS = 15.0
BATCH = 100
_LINE_END = re.compile(rb"\r\n|\r|\n")


async def follow(
    after: Callable[[int], Awaitable[list[Event]]],
    newest: Callable[[], Awaitable[int]],
    place: int,
    allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """What was committed after ``place``, without end; a comment now and then, while ``allowed`` says yes.

    ``after`` finds up to ``BATCH`` events after a place, the oldest first, and ``newest`` is the last place
    there is. Both are of the commit-safe sequence, so nothing is skipped or repeated, and what was looked at
    once is not looked at again, however rarely there is something. While the database is away it waits.
    """
    yield b"retry: 1000\n: following\n\n"
    silent = 0.0
    while True:
        found: list[Event] = []
        seen = place
        with contextlib.suppress(StorageUnavailable):
            last = await newest()  # before looking: all that comes up to here is committed, and will be found
            if last > place:
                found = await after(place)
                seen = last
        for event in found:
            place = event.seq
            yield message(event)
        if found:
            silent = 0.0
        if len(found) == BATCH:
            continue
        place = max(place, seen)
        await asyncio.sleep(POLL_SECONDS)
        silent += POLL_SECONDS
        if silent >= HEARTBEAT_SECONDS:
            if not await allowed():
                return
            silent = 0.0
            yield b": still here\n\n"


def message(event: Event) -> bytes:
    """One event. Line ends inside JSON are white space, so they may become those of the format."""
    text = msgspec.json.encode(shown(event))
    lines = b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(text))
    return b"id: " + cursor(event.seq).encode() + b"\n" + lines + b"\n"
