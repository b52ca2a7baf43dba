"""Machines that only their haste gives away: scanners that pretend to be browsers, and follow all that they find.

Judged by the hits (opens and clicks) of a message, or from an address, that are close together in time; the one
that gives a burst away may come last. Pure, and more hits never make less of a burst, so that the order in which they
become known is all the same. Being quick after the sending says nothing by itself, and neither does a click
without an open: many people's programs show no images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from hookline.model import SECOND

WINDOW = 10 * SECOND
"""How far apart hits of one burst may be."""
LINKS = 3
"""So many different links of one mail within ``AT_ONCE`` are followed by nobody."""
AT_ONCE = 3 * SECOND
MESSAGES = 10
"""Hits on so many mails within ``WINDOW`` from one address come from a machine that stands before many mailboxes."""
HIDDEN = "hidden_link"


class Hit(NamedTuple):
    """An open (without ``link``) or a click, and who did it as far as is known so far."""

    message: str
    event: str
    time: int
    click: bool
    link: str
    machine: bool
    reason: str | None
    own: bool = True


def shared(address: str | None, agent: str | None) -> str | None:
    """An address whose hits on many mails speak of a machine; none for a proxy before many people.

    Not addresses that are private: they are those of a proxy of our own, and say nothing of who asks.
    """
    if not address or "GoogleImageProxy" in (agent or ""):
        return None
    try:
        return address if ip_address(address).is_global else None
    except ValueError:
        return None


def of_message(hits: Sequence[Hit]) -> dict[str, str]:
    """Which of a message's hits, by event, turn out to be a machine's, and why."""
    found: dict[str, str] = {}
    traps = [hit.time for hit in hits if hit.reason == HIDDEN]
    clicks = sorted((hit for hit in hits if hit.click and hit.link), key=lambda hit: hit.time)
    bursts: list[tuple[int, int]] = []
    for first in clicks:
        together = [hit for hit in clicks if 0 <= hit.time - first.time <= AT_ONCE]
        links = {hit.link for hit in together}
        if len(links) >= LINKS:
            bursts.append((first.time, together[-1].time))
    for hit in hits:
        if hit.machine:
            continue
        if any(abs(hit.time - time) <= WINDOW for time in traps):
            found[hit.event] = HIDDEN
        elif hit.click and any(start <= hit.time <= end for start, end in bursts):
            found[hit.event] = "all_links"
    return found


def of_address(hits: Sequence[Hit]) -> Mapping[str, str]:
    """Which of the hits from one address, by event, turn out to be a machine's, and why."""
    ordered = sorted(hits, key=lambda hit: hit.time)
    found: dict[str, str] = {}
    start = 0
    for end, hit in enumerate(ordered):
        while hit.time - ordered[start].time > WINDOW:
            start += 1
        together = ordered[start : end + 1]
        if len({each.message for each in together}) >= MESSAGES:
            found |= {each.event: "shared_address" for each in together if not each.machine}
    return found
