"""The stage: an empty Hookline, a mail server, a town of receivers, and a clock that the demo owns."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from hookline.app import App, build
from hookline.cli.common import Mistake
from hookline.cli.demo.cast import CAST
from hookline.cli.demo.town import Town
from hookline.cli.demo.web import Api
from hookline.cli.dev import LOOPBACK, DevFront
from hookline.cli.keys import make_key
from hookline.cli.postbox import Postbox, postbox
from hookline.cli.serving import address_of, listen, serving
from hookline.clock import ManualClock, RealClock
from hookline.model import HOUR, MINUTE
from hookline.settings import Settings

HOST = "127.0.0.1"
USUAL_PORT = 8000
LAST_HOUR = 31
Notice = Callable[[], Awaitable[None]]


class Stage(Struct, frozen=True):
    """``url`` is Hookline's, ``town_url`` the receivers'; ``api`` speaks with ``key``."""

    app: App
    clock: ManualClock
    url: str
    key: str
    api: Api
    box: Postbox
    town: Town
    town_url: str

    async def work(self) -> None:
        """Return when all that is due at this moment is done."""
        services = self.app.services
        await self.app.asgi.idle()  # where many open a mail at once they are answered before it is recorded
        for _ in range(2):  # a campaign that has sent its last mail finishes, which is an event, too
            await services.campaigns.run_once()
            await services.dispatcher.idle()
        await self.box.sync()

    async def pass_time(self, until: int, notice: Notice) -> None:
        """Let time pass up to ``until``, pausing at every moment at which something falls due."""
        while (now := self.clock.now()) < until:
            lanes = (await self.app.services.storage.deliveries.due(now)).lanes
            due = [lane.retry_at for lane in lanes if lane.retry_at is not None and lane.retry_at > now]
            self.clock.advance(min([*due, until]) - now)
            await self.work()
            await notice()


@asynccontextmanager
async def staging(usual_port: bool) -> AsyncIterator[Stage]:
    """A stage for as long as the block lasts; nothing of it is kept. The time of its beginning is so long ago
    that the stories end about now."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="hookline-demo-"))
        listener = stack.enter_context(_listen(usual_port))
        town_listener = stack.enter_context(listen(HOST, 0))
        box = await stack.enter_async_context(
            postbox(refuse=[reader.email for reader in CAST if reader.fate == "bounces"])
        )
        town = Town()
        await stack.enter_async_context(serving(town, town_listener))
        url = f"http://{address_of(listener)}"
        settings = Settings(
            home=home,
            listen=address_of(listener),
            public_url=url,
            smtp_url=f"{box.smtp_url}&provider=mailjet",
            allow_targets=LOOPBACK,
        )
        clock = ManualClock(RealClock().now() // MINUTE * MINUTE - LAST_HOUR * HOUR)
        app = await build(settings, clock=clock, chance=lambda: 0.5)
        stack.push_async_callback(app.stop)
        await app.start()
        key = await make_key(app.services.storage, "demo", "manage")
        await stack.enter_async_context(serving(DevFront(app, box), listener))
        yield Stage(app, clock, url, key, Api(url, key), box, town, f"http://{address_of(town_listener)}")


def _listen(usual_port: bool) -> socket.socket:
    if usual_port:
        with contextlib.suppress(Mistake):  # it is taken: any other will do
            return listen(HOST, USUAL_PORT)
    return listen(HOST, 0)
