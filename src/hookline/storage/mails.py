"""Single mails: what was asked for, and the delivery that owes it, in one commit."""

from __future__ import annotations

from typing import cast

import msgspec

from hookline.model import Delivery, MessageInput
from hookline.storage.accepting import (
    CLAIM_KEYS,
    DELIVERY_COLUMNS,
    INSERT_DELIVERIES,
    KEY_COLUMNS,
    delivery_row,
)
from hookline.storage.plans import Database, Many, Plan, Sql, Wake, one

# Beside the keys of events; a publisher's source and id have another hash.
KEY_SOURCE = "hookline"


class KeyConflict(Exception):
    """The idempotency key came before, with another mail."""


class Mails:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(
        self, delivery: Delivery, spec: MessageInput, labels: bytes | None, key: tuple[bytes, bytes] | None
    ) -> str:
        """Store a mail that is owed; its id, or that of the first one with this key.

        ``key`` is a hash of the idempotency key and one of the mail. Raises KeyConflict.
        """

        def plan() -> Plan[str]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            if key is not None:
                name = (delivery.tenant, KEY_SOURCE, key[0])
                row = (*name, delivery.id, key[1], delivery.created_at)
                claimed = yield Many(CLAIM_KEYS, KEY_COLUMNS, [row])
                if claimed[0][0] != 1:
                    found = yield Sql(
                        "SELECT event, body FROM event_keys WHERE tenant = ? AND source = ? AND hash = ?",
                        name,
                    )
                    first, body = cast("tuple[str, bytes]", found[0])
                    if body != key[1]:
                        raise KeyConflict
                    return first
            placed = msgspec.structs.replace(delivery, seq=cast("int", clock[0][0]))
            yield Many(INSERT_DELIVERIES, DELIVERY_COLUMNS, [delivery_row(placed)])
            yield Sql(
                "INSERT INTO mails (tenant, id, spec, labels) VALUES (?, ?, ?, ?)",
                (delivery.tenant, delivery.id, msgspec.json.encode(spec), labels),
            )
            yield Wake("dispatch")
            return delivery.id

        return await self._db.run(plan)

    async def get(self, tenant: str, name: str) -> MessageInput | None:
        def plan() -> Plan[MessageInput | None]:
            row = one((yield Sql("SELECT spec FROM mails WHERE tenant = ? AND id = ?", (tenant, name))))
            return msgspec.json.decode(cast("bytes", row[0]), type=MessageInput) if row else None

        return await self._db.read(plan)
