"""What intake and dispatch hand to storage to be committed, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from hookline.model import Attempt, ContactChange, Delivery, Event
from hookline.rules.effects import Effect
from hookline.storage.plans import Plan


class EventKey(Struct, frozen=True):
    """The publisher's id as we remember it: 16 bytes of SHA-256 of it, and of what it came with."""

    source: str
    hash: bytes
    body: bytes
    seen_at: int


class LimitClaim(Struct, frozen=True):
    """A place under a hook's limit: granted while fewer than ``most`` were spent after ``since``."""

    hook: str
    subject: str
    delivery: str
    since: int
    most: int


class Prepared(Struct, frozen=True):
    """One event with all that it owes.

    ``gathers`` are those of its deliveries that are batches, with how many events they take; where one was open
    already the event has ``joined`` it instead.
    """

    event: Event
    deliveries: tuple[Delivery, ...] = ()
    claims: tuple[LimitClaim, ...] = ()
    key: EventKey | None = None
    effect: Effect | None = None
    gathers: Mapping[str, int] = {}
    joined: tuple[str, ...] = ()


class Unit(Struct, frozen=True):
    """Events that are stored all or none, matched under version ``config`` of the configuration.

    ``write`` is what they tell of, such as a contact's change: it happens in the same commit. What is ``bulk`` has
    a commit of its own, between those of others.
    """

    tenant: str
    config: int
    items: tuple[Prepared, ...]
    write: Callable[[], Plan[None]] | None = None
    bulk: bool = False


class Accepted(Struct, frozen=True):
    """The answer for one event; for a duplicate ``id`` is the first event's and ``event`` is absent.

    ``deliveries`` are those that came to be, ``joined`` the batches that took it in.
    """

    id: str
    duplicate: bool
    event: Event | None = None
    deliveries: tuple[Delivery, ...] = ()
    joined: tuple[str, ...] = ()


class Settlement(Struct, frozen=True):
    """The end of one attempt. It holds only while ``delivery.owner`` still owns the delivery.

    ``delivery`` is as it was claimed, ``after`` as it is to be; ``follow_ups`` are stored with it. There is
    no ``attempt`` where nothing was tried. ``hook_well`` is what the attempt says about its hook: whether it
    can be delivered to, or nothing.
    """

    delivery: Delivery
    after: Delivery
    attempt: Attempt | None = None
    follow_ups: Unit | None = None
    change: ContactChange | None = None
    disable_hook: str | None = None
    hook_well: bool | None = None


class StaleConfig(Exception):
    """Hooks changed since the matching: match again under the version that now holds."""


class SourceIdConflict(Exception):
    """The same source and id came before with another body."""

    def __init__(self, index: int, source: str, first: str) -> None:
        super().__init__(f"event {index} has a source and id that came before with another body, as {first}")
        self.index, self.source, self.first = index, source, first


class ContactMoved(Exception):
    """The contact changed between reading it and settling: the action has to be worked out anew."""


class HookMoved(Exception):
    """The hook changed between reading it and changing it: read it again."""
