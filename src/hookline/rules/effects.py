"""What an email event changes besides being an event: whom it suppresses, and how it counts.

Hard bounces and complaints stop all mail to an address; unsubscribing stops bulk mail, of one list or of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

EFFECTIVE = frozenset(
    {
        "email.sent", "email.delivered", "email.deferred", "email.opened", "email.clicked", "email.bounced",
        "email.blocked", "email.complained", "email.unsubscribed",
    }
)  # fmt: skip


class Effect(Struct, frozen=True):
    """``address`` is normalised; ``list`` is "" where all lists are meant."""

    machine: bool = False
    hard: bool = False
    list: str = ""
    suppress: Literal["hard_bounce", "complaint", "unsubscribe"] | None = None
    address: str | None = None


def effect_of(event_type: str, address: str | None, data: Mapping[str, object]) -> Effect | None:
    """The effect of an event of this type, or ``None`` for one that changes nothing."""
    if event_type not in EFFECTIVE:
        return None
    hard = data.get("hard") is True
    listed = data.get("list")
    suppress: Literal["hard_bounce", "complaint", "unsubscribe"] | None = None
    if event_type == "email.bounced" and hard:
        suppress = "hard_bounce"
    elif event_type == "email.complained":
        suppress = "complaint"
    elif event_type == "email.unsubscribed":
        suppress = "unsubscribe"
    return Effect(
        machine=data.get("machine") is True,
        hard=hard,
        list=listed if suppress == "unsubscribe" and isinstance(listed, str) else "",
        suppress=suppress,
        address=address,
    )
