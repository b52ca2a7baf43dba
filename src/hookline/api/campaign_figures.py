"""`/v1/campaigns/{id}/stats` and `/recipients`: what came of a campaign."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from hookline.api.auth import Caller
from hookline.api.campaign_view import FLAGS, DomainStats, LinkStats, Recipient, Stats, recipient
from hookline.api.campaigns import TAGS, Campaigns
from hookline.api.errors import bad_parameter
from hookline.api.paging import After, Limit, Page
from hookline.api.stats import link_figures
from hookline.mail.markup import attribute_value
from hookline.mail.sender import prepare_campaign
from hookline.model import Campaign
from hookline.rules.ids import is_id
from hookline.services import Services
from hookline.stats import DEFINITIONS, campaign_figures, rates
from hookline.storage import Storage

TOP = 50


def routes(services: Services) -> list[HTTPRouteHandler]:
    book = Campaigns(services)

    @get(
        "/v1/campaigns/{campaign_id:str}/stats",
        tags=TAGS,
        operation_id="getCampaignStats",
        summary="Read a campaign's figures",
    )
    async def stats(key: Caller, campaign_id: FromPath[str]) -> Stats:
        """Live."""
        return await _figures(services.storage, await book.find(key, campaign_id))

    @get(
        "/v1/campaigns/{campaign_id:str}/recipients",
        tags=TAGS,
        operation_id="listRecipients",
        summary="List who got it",
    )
    async def recipients(
        *,
        key: Caller,
        campaign_id: FromPath[str],
        limit: Limit = 50,
        after: After = None,
        sent: FromQuery[bool | None] = None,
        pending: FromQuery[bool | None] = None,
        opened: FromQuery[bool | None] = None,
        opened_machine: FromQuery[bool | None] = None,
        clicked: FromQuery[bool | None] = None,
        bounced: FromQuery[bool | None] = None,
        bounced_hard: FromQuery[bool | None] = None,
        blocked: FromQuery[bool | None] = None,
        failed: FromQuery[bool | None] = None,
        complained: FromQuery[bool | None] = None,
        unsubscribed: FromQuery[bool | None] = None,
    ) -> Page[Recipient]:
        """In the order of sending, those to whom all of this did happen (`true`) or did not (`false`)."""
        if after is not None and not is_id(after, "dlv"):
            raise bad_parameter("after", "this is no cursor; use the next of a page as it was given")
        campaign = await book.find(key, campaign_id)
        wanted = {
            "sent": sent,
            "pending": pending,
            "opened": opened,
            "opened_machine": opened_machine,
            "clicked": clicked,
            "bounced": bounced,
            "bounced_hard": bounced_hard,
            "blocked": blocked,
            "failed": failed,
            "complained": complained,
            "unsubscribed": unsubscribed,
        }
        has, lacks = _bits(wanted)
        found = await services.storage.campaigns.recipients(
            key.tenant, campaign.id, limit=limit + 1, after=after or "", has=has, lacks=lacks
        )
        following = found[limit - 1].id if len(found) > limit else None
        return Page([recipient(message) for message in found[:limit]], following)

    return [stats, recipients]


async def _figures(storage: Storage, campaign: Campaign) -> Stats:
    """All that is counted of a campaign."""
    tenant = campaign.tenant
    values: dict[str, Any] = await campaign_figures(storage, tenant, campaign.id)
    return Stats(
        recipients=await storage.campaigns.recipient_count(tenant, campaign.id),
        waiting=await storage.deliveries.open_count(tenant, campaign.id),
        links=await _links(storage, campaign),
        domains=await _domains(storage, campaign),
        definitions=DEFINITIONS,
        **values,
    )


async def _links(storage: Storage, campaign: Campaign) -> list[LinkStats]:
    """All links of the templates, and those that others tell of."""
    found = await storage.figures.totals(campaign.tenant, "link", parent=campaign.id, limit=1000)
    counted = {bucket.name: link_figures(bucket.figures) for bucket in found}
    # Of a draft nothing was counted, and it may lack its texts.
    known = () if campaign.state == "draft" else prepare_campaign(campaign.spec).links
    shown = [
        LinkStats(link=place, url=attribute_value(url), **counted.pop(str(place), link_figures({})))
        for place, url in enumerate(known)
    ]
    shown += [LinkStats(link=None, url=url, **figures) for url, figures in counted.items()]
    return sorted(shown, key=lambda link: -link.clicked_total)[:TOP]


async def _domains(storage: Storage, campaign: Campaign) -> list[DomainStats]:
    found = await storage.figures.totals(campaign.tenant, "domain", parent=campaign.id, limit=TOP)
    return [
        msgspec.convert({"domain": bucket.name, **rates(bucket.figures)}, DomainStats) for bucket in found
    ]


def _bits(wanted: dict[str, bool | None]) -> tuple[int, int]:
    """The flags that a message must have, and those that it must lack."""
    has = sum(FLAGS[name] for name, value in wanted.items() if value is True)
    lacks = sum(FLAGS[name] for name, value in wanted.items() if value is False)
    return has, lacks
