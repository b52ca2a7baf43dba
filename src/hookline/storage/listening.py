"""What processes on one PostgreSQL say to each other when they commit work: LISTEN and NOTIFY.

A message is sent by the commit that it tells of, so nobody hears of what was rolled back. It names a loop and
nothing else: who hears it looks into the database. Where it cannot be heard, as behind a pooler that lends
connections for a transaction each, the loops find the work at their next look by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, get_args

import asyncpg

from hookline.storage.plans import Loop

CHANNEL = "hookline"
SAY = f"SELECT pg_notify('{CHANNEL}', $1)"
GATHER_SECONDS = 0.02  # a burst of commits is one reason to look, not a hundred
CHECK_SECONDS = 15.0  # a line that was cut without a word looks like one on which nobody speaks
RECONNECT_SECONDS = 0.5


async def keep_listening(url: str, heard: Callable[[str], None], away: tuple[type[Exception], ...]) -> None:
    """Call ``heard`` with what is said, on a connection of its own, until cancelled. One that is lost (``away``)
    is made anew, and all loops are named then: nobody knows what was said meanwhile."""
    while True:
        with contextlib.suppress(*away):
            connection = await asyncpg.connect(url, timeout=5, command_timeout=5)
            try:
                await _until_lost(connection, heard)
            finally:
                connection.terminate()
        await asyncio.sleep(RECONNECT_SECONDS)


async def _until_lost(connection: asyncpg.Connection[asyncpg.Record], heard: Callable[[str], None]) -> None:
    said: set[str] = set(get_args(Loop))
    something = asyncio.Event()

    def note(_connection: Any, _process: int, _channel: str, loop: object) -> None:
        said.add(str(loop))
        something.set()

    await connection.add_listener(CHANNEL, note)
    connection.add_termination_listener(lambda _connection: something.set())
    while not connection.is_closed():
        something.clear()
        for loop in said:
            heard(loop)
        said.clear()
        await asyncio.sleep(GATHER_SECONDS)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await something.wait()
        except TimeoutError:
            await connection.execute("SELECT 1")
