"""Campaigns, templates and messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from hookline.model.common import Name, Strict
from hookline.model.hooks import RateInput


class Track(Strict, frozen=True, kw_only=True):
    opens: bool = True
    clicks: bool = True


class TemplateInput(Strict, frozen=True, kw_only=True):
    """What a user writes to make a template: of html and text one at least."""

    name: Name
    subject: Annotated[str, Meta(min_length=1, max_length=998)]
    html: str | None = None
    text: str | None = None


class Template(Struct, frozen=True, kw_only=True):
    """Texts of a mail, to be used by campaigns and hooks. Fields stand as their columns do."""

    tenant: str
    id: str
    seq: int = 0
    name: str
    subject: str
    html: str | None = None
    text: str | None = None
    created_at: int
    updated_at: int


class ThrottleInput(Strict, frozen=True, kw_only=True):
    """How fast a campaign's mails go: all, and those to each of some domains; ``*`` is each domain not named."""

    rate: RateInput | None = None
    domains: Annotated[dict[str, RateInput], Meta(max_length=100)] = {}


class CampaignInput(Strict, frozen=True, kw_only=True):
    """What a user writes to make a campaign. What it does not say of its texts is the ``template``'s."""

    name: Name
    list: str | None = None
    segment: str | None = None
    from_: str = msgspec.field(name="from")
    template: str | None = None
    subject: Annotated[str, Meta(max_length=998)] = ""
    html: str | None = None
    text: str | None = None
    reply_to: str | None = None
    track: Track = msgspec.field(default_factory=Track)
    send_at: str | None = None
    throttle: ThrottleInput | None = None


CampaignState = Literal["draft", "scheduled", "sending", "paused", "sent", "cancelled"]


class Campaign(Struct, frozen=True, kw_only=True):
    """``cursor`` is the sequence of the last list member that has a delivery; -1 when all have one.

    ``list`` is "" for a campaign to a segment of all contacts. ``send_at`` is when it is to begin,
    ``throttle`` its throttle as claims read it (JSON). One that is
    cancelled is ``finished_at`` once nothing of it is left to do.
    """

    tenant: str
    id: str
    spec: CampaignInput
    list: str
    state: CampaignState
    created_at: int
    send_at: int | None = None
    throttle: bytes | None = None
    started_at: int | None = None
    finished_at: int | None = None
    segment: str | None = None
    cursor: int = 0
    seq: int = 0


class MessageInput(Strict, frozen=True, kw_only=True):
    """What a user writes to send one mail. ``variables`` are for its templates, ``tags`` and ``metadata`` come back in
    all that is told of it."""

    to: str
    from_: str = msgspec.field(name="from")
    subject: Annotated[str, Meta(max_length=998)] = ""
    template: str | None = None
    html: str | None = None
    text: str | None = None
    reply_to: str | None = None
    stream: Literal["bulk", "transactional"] = "bulk"
    track: Track = msgspec.field(default_factory=Track)
    variables: dict[str, Any] = {}
    tags: Annotated[list[Name], Meta(max_length=20)] = []
    metadata: dict[str, str] = {}


class Message(Struct, frozen=True, kw_only=True):
    """A mail to one contact. Its id is its delivery's; ``flags`` are bits of ``rules.counting``, ``labels`` the tags
    and metadata that it was given, as JSON."""

    tenant: str
    id: str
    address: str
    sent_at: int
    campaign: str | None = None
    hook: str | None = None
    contact: str | None = None
    depth: int = 0
    flags: int = 0
    labels: bytes | None = None
