"""Where everything is wired: ``build`` makes all there is, and hand-overs are callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import time
from collections.abc import Callable
from typing import Any

from hookline import dashboard
from hookline.actions.work import Tools
from hookline.api import Api
from hookline.api.inbound import MailDesk
from hookline.clock import Clock, RealClock
from hookline.dispatch import MAIL_CONNECTIONS, Dispatcher
from hookline.dispatch.replays import Replayer
from hookline.intake import Intake
from hookline.mail.campaigns import CampaignRunner
from hookline.mail.erasing import Eraser
from hookline.mail.sender import Mailer
from hookline.mail.servers import Servers
from hookline.net.dns import Dns, Resolver
from hookline.net.http import HttpClient
from hookline.net.inbox import Inbox
from hookline.net.relays import Relay, Relays, parse_smtp_urls
from hookline.net.smtp import SmtpClient
from hookline.net.targets import Targets
from hookline.rules.correlation import relay_of
from hookline.rules.dkim import signer
from hookline.services import Services
from hookline.settings import Settings, dkim_keys, secret_key
from hookline.storage import derive, open_storage

# A lane takes 32 at most: hundreds of hooks may hang at once before each has to do with fewer.
MOST_CONNECTIONS = 16_000


class App:
    """A whole Hookline: ``asgi`` is its HTTP face, ``services`` what is behind it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.asgi = Api(services, dashboard.routes())
        if services.mailer is not None:  # what readers do is written down first
            services.mailer.turns.urgent = self.asgi.hits.behind
        self._desk = MailDesk(services)
        self._inbox: Inbox | None = None
        self.mail_address: tuple[str, int] | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Take back what a stopped process left open, then begin to work. OSError where no mail can be listened for."""
        services = self.services
        await services.dispatcher.start()
        for work in (
            services.dispatcher.beat(),
            services.dispatcher.run(),
            services.dispatcher.watch(),
            services.campaigns.run(),
            services.eraser.run(),
            services.replayer.run(),
            services.storage.listen(
                {
                    "dispatch": services.dispatcher.wake,
                    "campaigns": services.campaigns.look,
                    "replays": services.replayer.look,
                }
            ),
        ):
            self._tasks.append(asyncio.create_task(work))
        address = services.settings.mail_address
        if address is not None:
            self._inbox = Inbox(services.settings.bounce_domain, self._desk.ours, self._take)
            self.mail_address = await self._inbox.open(*address)

    async def _take(self, raw: bytes, to: list[str]) -> None:
        await self._desk.receive(raw, to)

    async def stop(self) -> None:
        """Finish what is under way within the grace that is set, and close everything."""
        services = self.services
        grace = services.settings.grace_seconds
        if self._inbox is not None:
            await self._inbox.close(grace)
        await self.asgi.close(grace)
        # The heart goes on, lest others take over what is finished now; and a claim is not cut off, lest nobody
        # know of what it took.
        for task in self._tasks[2:]:
            task.cancel()
        await services.dispatcher.stop(grace)
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await services.http.close()
        await services.mailer.servers.close()
        await services.storage.close()


async def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    wall: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
    resolver: Resolver | None = None,
) -> App:
    """Open the database and wire the parts. ValueError for settings that cannot be.

    ``clock`` rules everything but signatures, which receivers check against ``wall``, real time.
    ``resolver`` replaces the system's.
    """
    clock = clock or RealClock()
    key = secret_key(settings)
    targets = Targets.parse(settings.allow_targets)
    servers = parse_smtp_urls(settings.smtp_url) if settings.smtp_url else []
    providers = [relay_of(server.host, server.provider) for server in servers]
    signers = [signer(*key) for key in dkim_keys(settings)]
    storage = await open_storage(settings.storage_url, key)
    connections = _most_connections()
    http = HttpClient(targets, resolver=resolver, max_connections=connections)
    clients = [SmtpClient(server, connections=MAIL_CONNECTIONS) for server in servers]
    relays = [Relay(client, provider) for client, provider in zip(clients, providers, strict=True)]
    token_key = derive(key, "tokens")
    mailer = Mailer(
        Servers(
            storage,
            Relays(relays) if relays else None,
            Dns(targets.for_mail(), resolver),
            connections=MAIL_CONNECTIONS,
        ),
        storage,
        settings.public_url,
        token_key,
        bounce_domain=settings.bounce_domain,
        signers=signers,
        clock=clock,
        wall=wall,
    )
    intake = Intake(storage, clock)
    tools = Tools(http=http, mailer=mailer, storage=storage, clock=clock, wall=wall)
    places = connections * 15 // 16  # the rest is for who tries a hook out, and for lanes that have none left
    dispatcher = Dispatcher(storage, intake, tools, chance, places)
    campaigns = CampaignRunner(storage, clock)
    campaigns.accept, campaigns.wake = intake.accept, dispatcher.wake
    dispatcher.settled = campaigns.settled
    services = Services(
        settings=settings,
        storage=storage,
        intake=intake,
        dispatcher=dispatcher,
        http=http,
        mailer=mailer,
        campaigns=campaigns,
        eraser=Eraser(storage, clock),
        replayer=Replayer(storage, intake, clock, dispatcher.wake),
        clock=clock,
        wall=wall,
        token_key=token_key,
    )
    return App(services)


def _most_connections() -> int:
    """How many connections to receivers this process may have at once: most of the files that it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MOST_CONNECTIONS
        if files == resource.RLIM_INFINITY
        else max(64, min(MOST_CONNECTIONS, files * 3 // 4))
    )
