"""Hooks: what a user writes, and what is stored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from hookline.model.common import Strict


class Limit(Strict, frozen=True, kw_only=True):
    """At most ``count`` deliveries ``per`` contact, subject or hook ``within`` a duration or for ever."""

    count: Annotated[int, Meta(ge=1, le=1000)]
    per: Literal["contact", "subject", "hook"]
    within: str = "forever"


class Batch(Strict, frozen=True, kw_only=True):
    """Up to ``max`` events in one delivery, which waits ``every`` so long for more of them."""

    max: Annotated[int, Meta(ge=1, le=1000)] = 100
    every: str = "1s"


class RateInput(Strict, frozen=True, kw_only=True):
    """At most ``count`` attempts in any span of ``per``."""

    count: Annotated[int, Meta(ge=1, le=100_000)]
    per: str


# 5 s to 3.5 days in nine retries: a receiver may be away for a long weekend.
DEFAULT_SCHEDULE = ("5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h")


class Retry(Strict, frozen=True, kw_only=True):
    schedule: Annotated[list[str], Meta(max_length=50)] = msgspec.field(
        default_factory=lambda: list(DEFAULT_SCHEDULE)
    )
    timeout: str = "15s"


class WebhookAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    url: str
    format: Literal["standard", "cloudevents", "mailjet", "mailjet-grouped", "template"] = "standard"
    headers: dict[str, str] = {}
    template: str | None = None
    signatures: Annotated[list[Literal["v1", "v1a"]], Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: ["v1"]
    )
    ca: str | None = None
    connection: str | None = None


class SlackAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="slack"):
    url: str | None = None
    connection: str | None = None
    channel: str | None = None
    text: str | None = None
    blocks: list[Any] | None = None


class EmailAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="email"):
    to: str
    from_: str = msgspec.field(name="from")
    template: str | None = None
    subject: str = ""
    html: str | None = None
    text: str | None = None
    reply_to: str | None = None
    stream: Literal["bulk", "transactional"] = "bulk"


class SmsAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="sms"):
    connection: str
    to: str
    text: str


class ContactAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="contact"):
    contact: str | None = None
    require: str | None = None
    set: dict[str, str] = {}
    add_tags: list[str] = []
    remove_tags: list[str] = []
    subscribe: list[str] = []
    unsubscribe: list[str] = []


Action = WebhookAction | SlackAction | EmailAction | SmsAction | ContactAction


class HookInput(Strict, frozen=True, kw_only=True):
    """What a user writes to make a hook."""

    on: Annotated[list[str], Meta(min_length=1, max_length=100)]
    do: Action
    name: Annotated[str, Meta(max_length=200)] = ""
    if_: str | None = msgspec.field(name="if", default=None)
    limit: Limit | None = None
    batch: Batch | None = None
    retry: Retry = msgspec.field(default_factory=Retry)
    rate: RateInput | None = None
    concurrency: Annotated[int, Meta(ge=1, le=1000)] | None = None
    order: Literal["subject"] | None = None
    enabled: bool = True
    metadata: dict[str, str] = {}
    secret: str | None = None


class SigningKey(Struct, frozen=True, array_like=True):
    """A secret (``whsec_…``) or an Ed25519 key pair (``whsk_…``) that signs, up to ``until`` where it has an end."""

    text: str
    until: int | None = None


class Hook(Struct, frozen=True, kw_only=True):
    """A stored hook. ``keys`` are what its webhooks are signed with, newest first."""

    tenant: str
    id: str
    spec: HookInput
    created_at: int
    updated_at: int
    keys: tuple[SigningKey, ...] = ()
    disabled_reason: str | None = None
    seq: int = 0
