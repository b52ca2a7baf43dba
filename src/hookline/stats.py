"""Figures: counts as they were counted, and the rates that follow from them, each with its definition."""

from __future__ import annotations

from collections.abc import Mapping

from hookline.rules.counting import COUNTERS
from hookline.storage import Storage

DEFINITIONS = {
    "recipients": "contacts that the campaign is for, so far",
    "waiting": "recipients whose mail is still to be sent, or to be tried again",
    "cancelled": "recipients whose mail was not sent, because the campaign was cancelled",
    "attempted": "messages that were tried",
    "sent": "messages that the server that we hand mail to has taken",
    "pending": "messages that were put off by the other server and not yet delivered or bounced",
    "delivered": "attempted - bounced - pending",
    "opened": "messages opened by a person at least once",
    "opened_total": "all opens by people, as our own pixel tells; as providers do, where it does not",
    "opened_machine": "messages fetched by a machine, such as a privacy proxy or a scanner",
    "clicked": "messages in which a person followed a link at least once",
    "clicked_total": "all clicks by people, as our own links tell; as providers do, where they do not",
    "clicked_machine": "messages of which a machine, such as a scanner, followed a link",
    "bounced": "messages refused, at once or later",
    "bounced_hard": "messages bounced because the address does not work",
    "blocked": "messages not tried: suppressed, or refused for policy",
    "failed": "messages that came to their end without a server's answer: a template that could not be filled in, no"
    " server reached, a crash in doubt; neither attempted nor blocked",
    "complained": "messages marked as spam",
    "unsubscribed": "messages through which the recipient unsubscribed",
    "open_rate": "opened / delivered",
    "click_rate": "clicked / delivered",
    "click_to_open_rate": "clicked / opened",
    "unsubscribe_rate": "unsubscribed / delivered",
    "complaint_rate": "complained / delivered",
    "bounce_rate": "bounced / attempted",
}
EVENT_DEFINITIONS = {
    "events": "events that were accepted",
    "deliveries": "deliveries that came to be, replays left out",
    "deliveries_failed": "deliveries that failed for good; one that is retried by hand is failed no more",
}


NOTHING = dict.fromkeys(COUNTERS, 0)


async def campaign_figures(storage: Storage, tenant: str, campaign: str) -> dict[str, int | float | None]:
    """All figures of a campaign, live: read from its counters, never recomputed from its events."""
    return rates(await storage.figures.total(tenant, "campaign", campaign))


def rates(counts: Mapping[str, int]) -> dict[str, int | float | None]:
    """All counters, ``delivered``, and the rates as fractions of 1 (``None`` without a denominator)."""
    full: dict[str, int | float | None] = {**NOTHING, **counts}
    attempted, bounced = counts.get("attempted", 0), counts.get("bounced", 0)
    opened, clicked = counts.get("opened", 0), counts.get("clicked", 0)
    delivered = attempted - bounced - counts.get("pending", 0)
    full["delivered"] = delivered
    full["open_rate"] = _rate(opened, delivered)
    full["click_rate"] = _rate(clicked, delivered)
    full["click_to_open_rate"] = _rate(clicked, opened)
    full["unsubscribe_rate"] = _rate(counts.get("unsubscribed", 0), delivered)
    full["complaint_rate"] = _rate(counts.get("complained", 0), delivered)
    full["bounce_rate"] = _rate(bounced, attempted)
    return full


def _rate(numerator: int, denominator: int) -> float | None:
    if denominator <= 0:
        return None
    return round(numerator / denominator, 6) if numerator else 0.0
