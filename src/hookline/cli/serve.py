"""``hookline serve``: the whole of Hookline in one process, until it is told to stop."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from hookline import __version__
from hookline.cli.common import EVERYTHING, Mistake, mistakes, with_settings
from hookline.settings import Settings

if TYPE_CHECKING:
    from hookline.app import App

LOOPBACK = "127.0.0.0/8,::1/128"
ANY_HOST = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - how to reach what listens everywhere


@with_settings(*EVERYTHING)
async def serve(
    settings: Settings,
    dev: Annotated[
        bool,
        typer.Option("--dev", help="The first five minutes: a key, loopback allowed, mail caught and shown."),
    ] = False,
) -> None:
    """Serve the API, deliver what is owed, send campaigns."""
    from hookline.app import build
    from hookline.cli import serving
    from hookline.cli.dev import DevFront

    serving.set_up_log()
    stop = serving.told_to_stop()
    async with AsyncExitStack() as stack:
        with mistakes():
            stack.enter_context(serving.owning(settings))
        listener = stack.enter_context(serving.listen(*settings.address))
        settings = replace(settings, listen=serving.address_of(listener))
        box = None
        if dev:
            settings, box = await _for_development(settings, stack)
        with mistakes():
            app = await build(settings)
        stack.push_async_callback(app.stop)
        await app.start()
        asgi = app.asgi if not dev else DevFront(app, box)
        await stack.enter_async_context(serving.serving(asgi, listener))
        if dev:
            await _introduce(app, box is not None)
        else:
            print(f"Hookline {__version__} listens on http://{settings.listen}", flush=True)
        await stop.wait()
