"""The units of time, the words of the closed lists, and the base of what users write."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

SECOND = 1_000_000


MINUTE = 60 * SECOND


HOUR = 60 * MINUTE


DAY = 24 * HOUR


Name = Annotated[str, Meta(min_length=1, max_length=200)]


State = Literal["waiting", "queued", "sending", "succeeded", "failed", "cancelled", "held"]


Kind = Literal["webhook", "slack", "email", "sms", "contact"]


AttemptError = Literal[
    "timeout_connect", "timeout_read", "timeout_total", "dns", "refused", "reset", "tls",
    "blocked_address", "redirect", "http_status", "gone", "rate_limited", "protocol", "template",
    "smtp_temporary", "smtp_permanent", "suppressed", "provider", "crashed", "cancelled",
]  # fmt: skip


ReplayState = Literal["succeeded", "failed", "cancelled", "held", "disabled"]


VerdictKind = Literal["matched", "condition", "limit", "disabled", "loop", "error"]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what users write: unknown fields are errors."""
