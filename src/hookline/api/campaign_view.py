"""How campaigns, their figures and their recipients are shown."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from hookline.model import Campaign, CampaignState, Message, ThrottleInput
from hookline.rules import counting
from hookline.rules.times import format_time


class CampaignShown(Struct, frozen=True, kw_only=True):
    """``list`` and ``segment`` are ids; with both, the campaign is for those of the list who are in the segment."""

    id: str
    name: str
    list: str | None
    segment: str | None
    from_: str = msgspec.field(name="from")
    reply_to: str | None
    template: str | None
    subject: str
    html: str | None
    text: str | None
    track: dict[str, bool]
    state: CampaignState
    send_at: str | None
    throttle: ThrottleInput | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class LinkStats(Struct, frozen=True, kw_only=True):
    """A link, as it stands in the template, by its place among the mail's links; ``null`` where a provider tells of it,
    by its URL. ``clicked`` counts messages, ``clicked_machine`` those in which a machine followed it."""

    link: int | None
    url: str
    clicked: int
    clicked_total: int
    clicked_machine: int


class DomainStats(Struct, frozen=True, kw_only=True):
    """Figures of the recipients at one domain."""

    domain: str
    attempted: int
    delivered: int
    opened: int
    clicked: int
    bounced: int
    complained: int
    unsubscribed: int


class Stats(Struct, frozen=True, kw_only=True):
    """Counts of messages (``_total``: of events) and rates as fractions of 1, ``null`` without a denominator.

    ``links`` are the most clicked, ``domains`` those of the most recipients, at most 50 of each.
    """

    recipients: int
    waiting: int
    cancelled: int
    attempted: int
    sent: int
    pending: int
    delivered: int
    opened: int
    opened_total: int
    opened_machine: int
    clicked: int
    clicked_total: int
    clicked_machine: int
    bounced: int
    bounced_hard: int
    blocked: int
    failed: int
    complained: int
    unsubscribed: int
    open_rate: float | None
    click_rate: float | None
    click_to_open_rate: float | None
    unsubscribe_rate: float | None
    complaint_rate: float | None
    bounce_rate: float | None
    links: list[LinkStats]
    domains: list[DomainStats]
    definitions: dict[str, str]


class Recipient(Struct, frozen=True, kw_only=True):
    """One message of a campaign, and what has happened to it."""

    message: str
    contact: str | None
    email: str
    sent_at: str
    sent: bool
    pending: bool
    opened: bool
    opened_machine: bool
    clicked: bool
    bounced: bool
    bounced_hard: bool
    blocked: bool
    failed: bool
    complained: bool
    unsubscribed: bool


FLAGS = {
    "sent": counting.SENT,
    "pending": counting.PENDING,
    "opened": counting.OPENED,
    "opened_machine": counting.OPENED_MACHINE,
    "clicked": counting.CLICKED,
    "bounced": counting.BOUNCED,
    "bounced_hard": counting.BOUNCED_HARD,
    "blocked": counting.BLOCKED,
    "failed": counting.FAILED,
    "complained": counting.COMPLAINED,
    "unsubscribed": counting.UNSUBSCRIBED,
}


def shown(campaign: Campaign) -> CampaignShown:
    spec = campaign.spec
    return CampaignShown(
        id=campaign.id,
        name=spec.name,
        list=campaign.list or None,
        segment=campaign.segment,
        from_=spec.from_,
        reply_to=spec.reply_to,
        template=spec.template,
        subject=spec.subject,
        html=spec.html,
        text=spec.text,
        track={"opens": spec.track.opens, "clicks": spec.track.clicks},
        state=campaign.state,
        send_at=None if campaign.send_at is None else format_time(campaign.send_at),
        created_at=format_time(campaign.created_at),
        throttle=spec.throttle,
        started_at=None if campaign.started_at is None else format_time(campaign.started_at),
        finished_at=None if campaign.finished_at is None else format_time(campaign.finished_at),
    )


def recipient(message: Message) -> Recipient:
    return Recipient(
        message=message.id,
        contact=message.contact,
        email=message.address,
        sent_at=format_time(message.sent_at),
        **{name: bool(message.flags & flag) for name, flag in FLAGS.items()},
    )
