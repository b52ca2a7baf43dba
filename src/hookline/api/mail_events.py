"""Events about a mail of ours that come in from outside: a reader's, or a provider's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hookline.model import EventDraft, Message
from hookline.rules.times import format_time


def mail_event(
    kind: str,
    source: str,
    message: Message,
    facts: Mapping[str, Any],
    *,
    source_id: str | None = None,
    time: int | None = None,
) -> EventDraft:
    """The event with what we know of the message; its hook must not see what came of its own mail."""
    about = {
        "message": message.id,
        "campaign": message.campaign,
        "contact": message.contact,
        "email": message.address,
        "sent_at": format_time(message.sent_at),
    }
    labels = msgspec.json.decode(message.labels) if message.labels else {}
    known = labels | {name: value for name, value in about.items() if value is not None}
    return EventDraft(
        type=kind,
        source=source,
        source_id=source_id,
        subject=message.address,
        time=time,
        data=msgspec.json.encode(known | dict(facts)),
        cause=message.id,
        cause_hook=message.hook,
        depth=message.depth,
    )
