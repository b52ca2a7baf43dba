"""``hookline bench --mail``: a campaign the whole way, in this process: owed, claimed, sent, recorded and counted."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from msgspec import Struct

from hookline.app import App, build
from hookline.cli.bench.bare_mail import bare_mails
from hookline.cli.bench.child import Child, child
from hookline.cli.bench.sink import Asked, Told
from hookline.cli.common import TENANT, Mistake
from hookline.model import Campaign, CampaignInput, ContactList
from hookline.rules.ids import new_id
from hookline.settings import Settings
from hookline.stats import campaign_figures

MIB = 2**20
BLOCK = 1000
BARE = 5000  # mails of the bare loop
SAMPLE = b"The spring has come, and with it what you waited for.\r\n"
PARAGRAPH = (
    "<p>Dear {{ contact.attributes.first_name }}, the spring has come, and with it what you waited for. "
)
HTML = (
    "<h1>Hello {{ contact.attributes.first_name }}</h1>"
    + "".join(
        f'{PARAGRAPH}<a href="https://shop.example/{n}?a=1&amp;b=2">Look at number {n}</a>.</p>\n'
        for n in range(12)
    )
    + "<p>{{ contact.email }}</p>"
)


class MailFigures(Struct, frozen=True, kw_only=True):
    """``seconds`` are from the start of the campaign to its last mail recorded, ``cpu_ms`` this process's for a mail;
    memory is in MiB, before and at its highest. ``bare_…`` is what aiosmtplib alone does against the same server,
    ``ratio`` the campaign's part of it. ``recorded`` are the mails that are owed, sent or not."""

    contacts: int
    sent: int
    taken: int
    recorded: int
    mail_bytes: int
    seconds: float
    mails_per_second: float
    bare_per_second: float
    ratio: float
    cpu_ms: float
    bare_cpu_ms: float
    memory_before: float
    memory_peak: float
    nothing_lost: bool


async def measure(contacts: int, database: str, most: float | None = None) -> MailFigures:
    """A campaign to so many, or what is sent of it in ``most`` seconds. Mistake when it does not come to an end."""
    with tempfile.TemporaryDirectory(prefix="hookline-bench-") as home:
        async with child("sink", Asked, Told) as sink:
            app = await started(home, database, sink)
            try:
                return await _campaign(app, contacts, lambda: sink.ask(Asked()), most)
            finally:
                await app.stop()


async def started(home: str, database: str, sink: Child[Asked, Told]) -> App:
    """Hookline in this process, whose mail goes to the sink."""
    settings = Settings(
        home=home,
        database=database,
        smtp_url=f"smtp://127.0.0.1:{(await sink.ask(Asked())).port}?starttls=never",
        public_url="https://mail.example",
    )
    app = await build(settings)
    await app.start()
    return app


async def _campaign(
    app: App, contacts: int, ask: Callable[[], Awaitable[Told]], most: float | None
) -> MailFigures:
    services = app.services
    storage = services.storage
    campaign = await draft(app, contacts)
    before, cpu, started = _memory(), time.process_time(), time.monotonic()
    await services.campaigns.start(campaign)
    if most is None:
        await sent(app, campaign, 60 + contacts / 50)
    else:
        await _beginning(app, campaign, most)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    peak = _memory()
    figures = await campaign_figures(storage, TENANT, campaign.id)
    told = await ask()
    taken = int(figures["sent"] or 0)
    mail_bytes = told.bytes // max(1, told.mails)
    bare, bare_cpu = await bare_mails(
        told.port, SAMPLE * (1 + mail_bytes // len(SAMPLE)), min(BARE, max(contacts, 1))
    )
    return MailFigures(
        contacts=contacts,
        sent=taken,
        taken=told.mails,
        recorded=await storage.campaigns.recipient_count(TENANT, campaign.id),
        mail_bytes=mail_bytes,
        seconds=round(seconds, 2),
        mails_per_second=round(taken / seconds, 1),
        bare_per_second=round(bare, 1),
        ratio=round(taken / seconds / bare, 2),
        cpu_ms=round(1000 * cpu / max(1, taken), 3),
        bare_cpu_ms=round(bare_cpu, 3),
        memory_before=before,
        memory_peak=peak,
        nothing_lost=taken == told.mails and (taken == contacts or most is not None),
    )


async def _beginning(app: App, campaign: Campaign, seconds: float) -> None:
    """Let a campaign go on for so long, and return when nothing of it is under way any more."""
    storage = app.services.storage
    await asyncio.sleep(seconds)
    await storage.campaigns.pause(TENANT, campaign.id)
    while await storage.deliveries.page(TENANT, limit=1, campaign=campaign.id, state="sending"):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)


async def draft(app: App, contacts: int) -> Campaign:
    """A campaign for a list of its own with so many contacts."""
    storage, now = app.services.storage, app.services.clock.now()
    listed = await storage.contacts.create_list(
        ContactList(tenant=TENANT, id=new_id("lst"), name=new_id("lst"), created_at=now)
    )
    if listed is None:
        raise Mistake("the bench's list is there already")
    await _fill(app, listed.id, contacts)
    spec = CampaignInput(
        name="bench", list=listed.id, from_="Shop <shop@example.com>",
        subject="Hello {{ contact.attributes.first_name }}", html=HTML,
    )  # fmt: skip
    return await storage.campaigns.put(
        Campaign(tenant=TENANT, id=new_id("cmp"), spec=spec, list=listed.id, state="draft", created_at=now)
    )


async def sent(app: App, campaign: Campaign, patience: float) -> None:
    """Return when a campaign has come to its end; Mistake when it does not within so many seconds."""
    storage, started = app.services.storage, time.monotonic()
    while (found := await storage.campaigns.get(TENANT, campaign.id)) is None or found.state != "sent":
        await asyncio.sleep(0.1)
        if time.monotonic() - started > patience:
            raise Mistake("the campaign does not come to its end")


async def _fill(app: App, listed: str, contacts: int) -> None:
    """The contacts, by the import that there is for them."""
    from hookline.api.importing import Importer
    from hookline.api.imports import Imports, spec_of

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, contacts, BLOCK):
            lines = [
                {"email": f"reader{n}@d{n % 50}.example", "attributes": {"first_name": f"Reader {n}"}}
                for n in range(first, min(first + BLOCK, contacts))
            ]
            yield b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

    book = Imports(app.services)
    spec = spec_of(format="ndjson", charset=None, types=None, size=None)
    job = await book.new(TENANT, spec, list=listed, events=False, resubscribe=False, confirmed=True)
    await Importer(app.services, job, new=True).run(pieces())


def _memory() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB, 1)
