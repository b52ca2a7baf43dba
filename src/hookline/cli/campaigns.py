"""``hookline campaigns``: send one, and see how it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli.common import TENANT, Mistake, group, on_app, on_database
from hookline.model import Campaign
from hookline.stats import campaign_figures
from hookline.storage import Storage

if TYPE_CHECKING:
    from hookline.app import App

app = group("campaigns", "Campaigns: send one, see its figures.")
CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN_ID")]


async def _campaign(storage: Storage, name: str) -> Campaign:
    found = await storage.campaigns.get(TENANT, name)
    if found is None:
        raise Mistake(f"there is no campaign {name}")
    return found


@app.command("send")
@on_app
async def send(hookline: App, campaign: CampaignId) -> None:
    """Begin to send a campaign. The serve that runs, or the next one, does it within seconds."""
    settings = hookline.services.settings
    for name in ("smtp_url", "public_url"):
        if not getattr(settings, name):
            raise Mistake(f"set HOOKLINE_{name.upper()}, as serve has it: without it no campaign is sent")
    found = await _campaign(hookline.services.storage, campaign)
    if not await hookline.services.campaigns.start(found):
        raise Mistake(f"{campaign} is no draft any more: it is {found.state}")
    print(f"{campaign} is being sent")


@app.command("stats")
@on_database
async def stats(storage: Storage, campaign: CampaignId) -> None:
    """Show a campaign's counts and rates as they are now."""
    found = await _campaign(storage, campaign)
    print(f"{found.spec.name} ({found.state})")
    for name, value in (await campaign_figures(storage, TENANT, campaign)).items():
        shown = "-" if value is None else f"{value:.1%}" if name.endswith("_rate") else str(value)
        print(f"{name:<20}{shown:>8}")
