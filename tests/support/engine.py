"""The engine without its HTTP face, under a clock that the test owns."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from hookline.actions.work import Tools
from hookline.clock import ManualClock
from hookline.dispatch import Dispatcher
from hookline.intake import Intake
from hookline.mail.campaigns import CampaignRunner
from hookline.mail.sender import Mailer
from hookline.mail.servers import Servers
from hookline.model import (
    Attempt,
    Campaign,
    CampaignInput,
    Contact,
    ContactList,
    Delivery,
    Event,
    EventDraft,
    Hook,
    HookInput,
    SigningKey,
)
from hookline.net.dns import Dns, Resolver
from hookline.net.http import HttpClient
from hookline.net.relays import Relay, Relays, parse_smtp_urls
from hookline.net.smtp import SmtpClient
from hookline.net.targets import Targets
from hookline.rules import signing
from hookline.rules.ids import new_id
from hookline.stats import campaign_figures
from hookline.storage import derive, open_storage
from hookline.storage.units import Accepted

START = 1_790_000_000_000_000
SECRET = signing.new_secret(bytes(range(32)))
KEY = bytes(32)


class Engine:
    """Everything but the API. ``run`` works off what is due now; time passes by ``clock.advance``."""

    def __init__(
        self, storage: Any, smtp_url: str = "", resolver: Resolver | None = None, start: int = START
    ) -> None:
        self.clock = ManualClock(start)
        self.storage = storage
        self.http = HttpClient(Targets.parse("127.0.0.0/8"), resolver=resolver)
        servers = parse_smtp_urls(smtp_url) if smtp_url else []
        smtp = Relays([Relay(SmtpClient(server)) for server in servers]) if servers else None
        self.token_key = derive(KEY, "tokens")
        self.servers = Servers(storage, smtp, Dns(Targets.parse("127.0.0.0/8").for_mail(), resolver))
        mailer = Mailer(
            self.servers, storage, "http://mail.example", self.token_key, clock=self.clock, wall=time.time
        )
        self.intake = Intake(storage, self.clock)
        tools = Tools(http=self.http, mailer=mailer, storage=storage, clock=self.clock, wall=time.time)
        self.dispatcher = Dispatcher(storage, self.intake, tools, lambda: 0.5)
        self.campaigns = CampaignRunner(storage, self.clock)
        self.campaigns.accept, self.campaigns.wake = self.intake.accept, self.dispatcher.wake

    async def hook(self, spec: dict[str, Any]) -> Hook:
        new = Hook(
            tenant="default",
            id=new_id("hook"),
            spec=msgspec.convert(spec, HookInput),
            keys=(SigningKey(SECRET),),
            created_at=self.clock.now(),
            updated_at=self.clock.now(),
        )
        return await self.storage.hooks.put(new)  # type: ignore[no-any-return]

    async def publish(self, kind: str, data: Any = None, **fields: Any) -> Accepted:
        raw = data if isinstance(data, bytes) else msgspec.json.encode(data or {})
        draft = EventDraft(type=kind, source=fields.pop("source", "shop"), data=raw, **fields)
        return (await self.intake.accept("default", [draft]))[0]

    async def run(self) -> None:
        await self.dispatcher.idle()

    async def contact(self, email: str, *lists: str, **fields: Any) -> Contact:
        now = self.clock.now()
        new = Contact(
            tenant="default", id=new_id("ctc"), email=email, created_at=now, updated_at=now, **fields
        )
        await self.storage.contacts.create(new, lists)
        return new

    async def new_list(self, name: str) -> ContactList:
        new = ContactList(tenant="default", id=new_id("lst"), name=name, created_at=self.clock.now())
        return await self.storage.contacts.create_list(new)  # type: ignore[no-any-return]

    async def campaign(self, listed: ContactList, **fields: Any) -> Campaign:
        """A campaign that is being sent to a list."""
        spec = {
            "name": "spring",
            "list": listed.id,
            "from": "Shop <shop@example.com>",
            "subject": "Hello {{ contact.attributes.first_name }}",
            "html": '<p>Hi {{ contact.email }}, <a href="https://shop.example/?a=1&amp;b=2">look</a></p>',
        }
        new = Campaign(
            tenant="default",
            id=new_id("cmp"),
            spec=msgspec.convert(spec | fields, CampaignInput),
            list=listed.id,
            state="draft",
            created_at=self.clock.now(),
        )
        stored: Campaign = await self.storage.campaigns.put(new)
        assert await self.campaigns.start(stored)
        await self.work()
        return stored

    async def work(self) -> None:
        """Bring campaigns and deliveries as far as they can go now."""
        await self.campaigns.run_once()
        await self.run()
        await self.campaigns.run_once()

    async def stats(self, campaign: Campaign) -> dict[str, Any]:
        return await campaign_figures(self.storage, "default", campaign.id)

    async def told(self, kind: str, message: Delivery, **data: Any) -> Accepted:
        """What the tracking addresses raise when this mail is opened, clicked or left."""
        facts = {"message": message.id, "campaign": message.campaign, "contact": message.contact}
        return await self.publish(
            kind,
            {"email": message.address, "machine": False} | facts | data,
            source="mailer",
            subject=message.address,
            cause=message.id,
            cause_hook=message.hook,
            depth=message.depth,
        )

    async def deliveries(self, **filters: Any) -> list[Delivery]:
        return await self.storage.deliveries.page("default", limit=250, **filters)  # type: ignore[no-any-return]

    async def attempts(self, delivery: Delivery) -> list[Attempt]:
        return await self.storage.deliveries.attempts("default", delivery.id)  # type: ignore[no-any-return]

    async def events(self, kind: str) -> list[Event]:
        return await self.storage.events.page("default", limit=250, type=kind)  # type: ignore[no-any-return]

    async def close(self) -> None:
        await self.dispatcher.stop(5)
        await self.http.close()
        await self.servers.close()
        await self.storage.close()


@asynccontextmanager
async def running(
    url: str | Path, smtp_url: str = "", resolver: Resolver | None = None, start: int = START
) -> AsyncIterator[Engine]:
    engine = Engine(await open_storage(url, KEY), smtp_url, resolver, start)
    await engine.dispatcher.start()
    try:
        yield engine
    finally:
        await engine.close()
