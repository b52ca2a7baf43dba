"""``hookline worker``: one more process on a PostgreSQL database, without HTTP."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

from msgspec.structs import replace

from hookline import __version__
from hookline.cli.common import EVERYTHING, Mistake, mistakes, with_settings
from hookline.settings import Settings


@with_settings(*(name for name in EVERYTHING if name not in ("listen", "mail_listen")))
async def worker(settings: Settings) -> None:
    """Share the work of a PostgreSQL database: deliver, send campaigns, carry replays on. It serves no API."""
    from hookline.app import build
    from hookline.cli import serving

    if not settings.database:
        raise Mistake(
            "a worker needs PostgreSQL (--database): with SQLite the one serve that owns the file does all the work"
        )
    serving.set_up_log()
    serving.raise_open_files()
    stop = serving.told_to_stop()
    async with AsyncExitStack() as stack:
        with mistakes():
            app = await build(replace(settings, mail_listen=""))  # that is for serve
        stack.push_async_callback(app.stop)
        with mistakes():
            await app.start()
        print(f"Hookline {__version__} works beside the others, as process {os.getpid()}", flush=True)
        await stop.wait()
