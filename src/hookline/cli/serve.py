"""``hookline serve``: the whole of Hookline in one process, until it is told to stop."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, cast

import typer
from msgspec.structs import replace

from hookline import __version__
from hookline.cli.asgi import Asgi
from hookline.cli.common import EVERYTHING, mistakes, with_settings
from hookline.settings import Settings


@with_settings(*EVERYTHING)
async def serve(
    settings: Settings,
    dev: Annotated[
        bool,
        typer.Option("--dev", help="The first five minutes: a key, loopback allowed, mail caught and shown."),
    ] = False,
) -> None:
    """Serve the API, deliver what is owed, send campaigns. SIGTERM and Ctrl-C finish what is under way."""
    from hookline.app import build
    from hookline.cli import dev as development
    from hookline.cli import serving
    from hookline.cli.door import Quick

    serving.set_up_log()
    serving.raise_open_files()
    stop = serving.told_to_stop()
    async with AsyncExitStack() as stack:
        with mistakes():
            stack.enter_context(serving.owning(settings))
        listener = stack.enter_context(serving.listen(*settings.address))
        settings = replace(settings, listen=serving.address_of(listener))
        box = None
        if dev:
            settings, box = await development.prepare(settings, stack)
        with mistakes():
            app = await build(settings)
        stack.push_async_callback(app.stop)
        with mistakes():
            await app.start()
        serving.tune()
        asgi = development.DevFront(app, box) if dev else cast("Asgi", app.asgi)
        quick = Quick(app.asgi.publisher.reply, app.asgi.hits.visit)
        await stack.enter_async_context(serving.serving(asgi, listener, quick, settings.grace_seconds))
        if dev:
            await development.introduce(app, box is not None)
        else:
            mail = f", and for mail on {':'.join(map(str, app.mail_address))}" if app.mail_address else ""
            print(f"Hookline {__version__} listens on http://{settings.listen}{mail}", flush=True)
        await stop.wait()
