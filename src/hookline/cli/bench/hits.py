"""``hookline bench --hits``: how soon pixels and links are answered, alone and while a campaign goes out."""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from hookline.app import App
from hookline.cli import serving
from hookline.cli.asgi import Asgi
from hookline.cli.bench import visits
from hookline.cli.bench.child import Child, child
from hookline.cli.bench.mail import draft, sent, started
from hookline.cli.bench.sink import Asked, Told
from hookline.cli.common import TENANT, Mistake
from hookline.cli.door import Quick
from hookline.rules import tokens

READ = 1000
"""Mails that are read: those of a campaign before, at most so many."""
CONNECTIONS = 50
LINKS = 3


class HitFigures(Struct, frozen=True, kw_only=True):
    """``sent_meanwhile`` are the mails of the campaign beside it, a second; ``kept`` the hits that were recorded, and
    ``behind`` the seconds from the last answer to the last record."""

    rate: float
    alone: visits.Answered
    beside: visits.Answered
    sent_meanwhile: float
    kept: int
    behind: float
    nothing_lost: bool


async def measure(contacts: int, database: str, rate: float, seconds: float) -> HitFigures:
    """Mistake when it does not come to an end."""
    with tempfile.TemporaryDirectory(prefix="hookline-bench-") as home:
        async with (
            child("sink", Asked, Told) as sink,
            child("visits", visits.Asked, visits.Answered) as readers,
        ):
            with serving.listen("127.0.0.1", 0) as listener:
                app = await started(home, database, sink)
                serving.tune()
                quick = Quick(app.asgi.publisher.reply, app.asgi.hits.visit)
                try:
                    async with serving.serving(cast("Asgi", app.asgi), listener, quick):
                        port = listener.getsockname()[1]
                        asked = visits.Asked(
                            port=port, paths=[], rate=rate, seconds=seconds, connections=CONNECTIONS
                        )
                        return await _run(app, sink, readers, asked, contacts)
                finally:
                    await app.stop()


async def _read_mails(app: App, count: int) -> list[str]:
    """What readers ask for of a campaign that has gone out: of each mail three opens and a click, one after another
    through all mails."""
    services = app.services
    campaign = await draft(app, count)
    await services.campaigns.start(campaign)
    await sent(app, campaign, 60)
    mails = await services.storage.campaigns.recipients(TENANT, campaign.id, limit=count)
    pixels = [f"/t/o/{tokens.make_open(services.token_key, TENANT, mail.id)}" for mail in mails]
    links = [
        "/t/c/"
        + tokens.make_click(
            services.token_key, TENANT, mail.id, f"https://shop.example/{n % LINKS}", n % LINKS
        )
        for n, mail in enumerate(mails)
    ]
    return [*pixels, *links, *pixels, *pixels]


async def _run(
    app: App,
    sink: Child[Asked, Told],
    readers: Child[visits.Asked, visits.Answered],
    asked: visits.Asked,
    contacts: int,
) -> HitFigures:
    services = app.services
    asked = replace(asked, paths=await _read_mails(app, min(READ, contacts)))
    second = await draft(app, contacts)
    alone = await readers.ask(asked)
    await app.asgi.idle()
    before, began = (await sink.ask(Asked())).mails, time.monotonic()
    await services.campaigns.start(second)
    while (await sink.ask(Asked())).mails == before:
        await asyncio.sleep(0.01)
        if time.monotonic() - began > 30:
            raise Mistake("the campaign does not begin")
    before, began = (await sink.ask(Asked())).mails, time.monotonic()
    beside = await readers.ask(asked)
    took, ended = time.monotonic() - began, time.monotonic()
    meanwhile = (await sink.ask(Asked())).mails - before
    await app.asgi.idle()
    behind = time.monotonic() - ended
    await services.storage.campaigns.cancel(TENANT, second.id)
    found = await services.storage.figures.totals(TENANT, "type", limit=100)
    kept = sum(b.figures["events"] for b in found if b.name in ("email.opened", "email.clicked"))
    return HitFigures(
        rate=asked.rate,
        alone=alone,
        beside=beside,
        sent_meanwhile=round(meanwhile / took, 1),
        kept=kept,
        behind=round(behind, 3),
        nothing_lost=kept == alone.requests + beside.requests and not alone.failed and not beside.failed,
    )
