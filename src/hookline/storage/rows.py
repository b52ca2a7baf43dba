"""A delivery as a row, read."""

from __future__ import annotations

from typing import Any

from hookline.model import Delivery
from hookline.storage.accepting import DELIVERY_COLUMNS, names
from hookline.storage.plans import Row

COLUMNS = names(DELIVERY_COLUMNS)
FIELDS = COLUMNS.split(", ")


def to_delivery(row: Row) -> Delivery:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    return Delivery(**values)
