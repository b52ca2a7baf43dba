"""What an email event adds to a campaign's figures: pure, once for a message however many tell of it.

The figures are those of the contract, section 2: a mail that was refused in the session was tried
(``attempted``) and bounced, and was never ``sent``; one that was not tried is ``blocked`` and no more.
"""

from __future__ import annotations

ATTEMPTED, SENT, PENDING, BOUNCED, BOUNCED_HARD, BLOCKED = 1, 2, 4, 8, 16, 32
OPENED, OPENED_MACHINE, CLICKED, COMPLAINED, UNSUBSCRIBED, DELIVERED = 64, 128, 256, 512, 1024, 2048

COUNTERS = (
    "attempted", "sent", "pending", "opened", "opened_total", "opened_machine", "clicked", "clicked_total",
    "bounced", "bounced_hard", "blocked", "complained", "unsubscribed", "cancelled",
)  # fmt: skip

# Who opens a mail or complains of it has got it, although nobody says "delivered" of one that was delayed.
ARRIVED = frozenset(
    {"email.delivered", "email.opened", "email.clicked", "email.complained", "email.unsubscribed"}
)


def fold(flags: int, kind: str, *, machine: bool = False, hard: bool = False) -> tuple[int, dict[str, int]]:
    """The message's flags after an event of type ``kind``, and what it adds to each counter."""
    add: dict[str, int] = {}

    def mark(flag: int, name: str) -> None:
        nonlocal flags
        if not flags & flag:
            flags |= flag
            add[name] = add.get(name, 0) + 1

    def clear(flag: int, name: str) -> None:
        nonlocal flags
        if flags & flag:
            flags &= ~flag
            add[name] = add.get(name, 0) - 1

    if kind in ARRIVED:
        clear(PENDING, "pending")
        flags |= DELIVERED
    match kind:
        case "email.sent":
            mark(ATTEMPTED, "attempted")
            mark(SENT, "sent")
            clear(PENDING, "pending")
        case "email.delivered":
            mark(ATTEMPTED, "attempted")
        case "email.deferred":
            mark(ATTEMPTED, "attempted")
            if not flags & (DELIVERED | BOUNCED):
                mark(PENDING, "pending")
        case "email.bounced":
            mark(ATTEMPTED, "attempted")
            mark(BOUNCED, "bounced")
            clear(PENDING, "pending")
            if hard:
                mark(BOUNCED_HARD, "bounced_hard")
        case "email.blocked":
            mark(BLOCKED, "blocked")
            clear(PENDING, "pending")
            if not flags & BOUNCED:  # what bounced was tried, whatever is said of it later
                clear(ATTEMPTED, "attempted")
        case "email.opened" if machine:
            mark(OPENED_MACHINE, "opened_machine")
        case "email.opened":
            mark(OPENED, "opened")
            add["opened_total"] = 1
        case "email.clicked" if not machine:
            mark(CLICKED, "clicked")
            add["clicked_total"] = 1
        case "email.complained":
            mark(COMPLAINED, "complained")
        case "email.unsubscribed":
            mark(UNSUBSCRIBED, "unsubscribed")
    return flags, {name: value for name, value in add.items() if value}
