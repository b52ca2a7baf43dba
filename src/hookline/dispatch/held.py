"""What a process holds: each delivery with the number of its attempts.

One that was taken over by another process, settled there as crashed and claimed again is other work than it was:
what is left of the old must neither be begun for that nor end the new.
"""

from __future__ import annotations

from collections.abc import Iterable

from hookline.model import Delivery

Item = tuple[str, int]


def _item(delivery: Delivery) -> Item:
    return delivery.id, delivery.attempts


class Held:
    def __init__(self) -> None:
        self._items: dict[str, int] = {}

    def __contains__(self, delivery: Delivery) -> bool:
        return self._items.get(delivery.id) == delivery.attempts

    def add(self, deliveries: Iterable[Delivery]) -> None:
        self._items.update(map(_item, deliveries))

    def drop(self, delivery: Delivery) -> None:
        """It is held no more, as it was then."""
        if delivery in self:
            del self._items[delivery.id]

    def items(self) -> frozenset[Item]:
        """All that is held at this moment."""
        return frozenset(self._items.items())

    def keep(self, before: frozenset[Item], owned: Iterable[Delivery]) -> None:
        """Of what was held ``before`` only what the database says is still ours. What came since is kept, too."""
        lost = before.difference(map(_item, owned))
        self._items = dict(self.items() - lost)
