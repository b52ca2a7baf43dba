"""What an email event changes besides being an event: whom it suppresses, and how it counts.

Hard bounces and complaints stop all mail to an address; unsubscribing stops bulk mail, of one list or of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from hookline.rules.bursts import shared

EFFECTIVE = frozenset(
    {
        "email.sent", "email.delivered", "email.deferred", "email.opened", "email.clicked", "email.bounced",
        "email.blocked", "email.complained", "email.unsubscribed", "delivery.failed",
    }
)  # fmt: skip


MAILER = "mailer"
"""The source of what we tell of our own mails."""
HITS = frozenset({"email.opened", "email.clicked"})
MAX_LINK = 500  # characters


class Effect(Struct, frozen=True):
    """``address`` is normalised; ``list`` is "" where all lists are meant.

    ``link`` is what a click's link is counted by: its place in the mail, or, where others tell of it, its URL.
    ``ip`` is given where many hits from there would be a machine's (``rules.bursts``).
    """

    machine: bool = False
    hard: bool = False
    link: str = ""
    ip: str | None = None
    reason: str | None = None
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
    machine = data.get("machine") is True
    return Effect(
        machine=machine,
        hard=hard and event_type == "email.bounced",
        link=_link(data) if event_type == "email.clicked" else "",
        ip=shared(_text(data, "ip"), _text(data, "user_agent")) if event_type in HITS else None,
        reason=_text(data, "machine_reason") if machine else None,
        list=listed if suppress == "unsubscribe" and isinstance(listed, str) else "",
        suppress=suppress,
        address=address,
    )


def _link(data: Mapping[str, object]) -> str:
    place = data.get("link")
    if isinstance(place, int) and not isinstance(place, bool):
        return str(place)
    return (_text(data, "url") or "")[:MAX_LINK]


def _text(data: Mapping[str, object], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) and value else None
