"""Campaigns, their messages, and their figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import msgspec

from hookline.model import Campaign, CampaignInput, Delivery, Message
from hookline.storage.accepting import DELIVERY_COLUMNS, INSERT_RECIPIENTS, delivery_row
from hookline.storage.counting import count_cancelled
from hookline.storage.plans import TAKE_CLOCK, Database, Many, Plan, Row, Sql, Wake, one

COLUMNS = "tenant, id, seq, spec, list, segment, state, cursor, created_at, send_at, throttle, started_at, finished_at"
FIELDS = COLUMNS.split(", ")
MESSAGE_COLUMNS = "tenant, id, campaign, hook, contact, address, sent_at, depth, flags"
MESSAGE_FIELDS = MESSAGE_COLUMNS.split(", ")
EVERYONE = -1
# Campaigns of which nothing more is to be taken: lanes that a claim leaves out, however much waits in them.
RESTING = "SELECT id FROM campaigns WHERE finished_at IS NULL AND state IN ('paused', 'cancelled')"
# The same, and those with a throttle.
HELD_BACK = (
    "SELECT id, state, throttle FROM campaigns WHERE finished_at IS NULL"
    " AND (state IN ('paused', 'cancelled') OR state = 'sending' AND throttle IS NOT NULL)"
)
_CANCEL = (
    "UPDATE deliveries SET state = 'cancelled', next_at = NULL, error = 'cancelled', resume_state = NULL,"
    " resume_at = NULL, updated_at = ? WHERE (tenant, id) IN (SELECT d.tenant, d.id FROM deliveries d"
    " WHERE tenant = ? AND campaign = ? AND state IN ('waiting', 'queued', 'sending') AND next_at IS NOT NULL"
    " AND hook IS NULL LIMIT ? {skip_locked}) RETURNING id"
)


def _to_campaign(row: Row) -> Campaign:
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    values["spec"] = msgspec.json.decode(values["spec"], type=CampaignInput)
    return Campaign(**values)


def _to_message(row: Row) -> Message:
    values: dict[str, Any] = dict(zip(MESSAGE_FIELDS, row, strict=True))
    return Message(**values)


class Campaigns:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, campaign: Campaign) -> Campaign:
        """Store a new or changed draft; one that is no draft any more stays as it is."""

        def plan() -> Plan[Campaign]:
            clock = yield Sql("UPDATE clock SET seq = seq + 1 WHERE id = 1 RETURNING seq")
            seq = campaign.seq or cast("int", clock[0][0])
            yield Sql(
                f"INSERT INTO campaigns ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (tenant, id) DO UPDATE SET spec = excluded.spec, list = excluded.list,"
                " segment = excluded.segment, send_at = excluded.send_at,"
                " throttle = excluded.throttle"
                " WHERE campaigns.state = 'draft'",
                (
                    campaign.tenant, campaign.id, seq, msgspec.json.encode(campaign.spec), campaign.list,
                    campaign.segment, campaign.state, campaign.cursor, campaign.created_at, campaign.send_at,
                    campaign.throttle,
                    None, None,
                ),
            )  # fmt: skip
            return msgspec.structs.replace(campaign, seq=seq)

        return await self._db.run(plan)

    async def start(self, tenant: str, campaign: str, now: int, at: int | None = None) -> bool:
        """Turn a draft into one that is being sent, now or from ``at`` on; false when it is no draft."""
        later = at is not None and at > now

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "UPDATE campaigns SET state = ?, started_at = ?, send_at = ?"
                " WHERE tenant = ? AND id = ? AND state = 'draft' RETURNING id",
                ("scheduled" if later else "sending", None if later else now, at, tenant, campaign),
            )
            yield Wake("campaigns")
            return bool(rows)

        return await self._db.run(plan)

    async def start_due(self, now: int) -> int | None:
        """Start the scheduled campaigns, of all tenants, whose time has come; when the next one's comes."""
        first = "SELECT MIN(send_at) FROM campaigns WHERE finished_at IS NULL AND state = 'scheduled'"

        def look() -> Plan[int | None]:
            return cast("int | None", (yield Sql(first))[0][0])

        def plan() -> Plan[int | None]:
            yield Sql(
                "UPDATE campaigns SET state = 'sending', started_at = ?"
                " WHERE finished_at IS NULL AND state = 'scheduled' AND send_at <= ?",
                (now, now),
            )
            return (yield from look())

        following = await self._db.read(look)
        return following if following is None or following > now else await self._db.run(plan)

    async def pause(self, tenant: str, campaign: str) -> None:
        """Let nothing more of a campaign begin, on any process, however much of it waits."""

        def plan() -> Plan[None]:
            yield Sql(
                "UPDATE campaigns SET state = 'paused' WHERE tenant = ? AND id = ? AND state = 'sending'",
                (tenant, campaign),
            )

        await self._db.run(plan)

    async def resume(self, tenant: str, campaign: str) -> None:
        """Go on with a paused campaign."""

        def plan() -> Plan[None]:
            yield Sql(
                "UPDATE campaigns SET state = 'sending' WHERE tenant = ? AND id = ? AND state = 'paused'",
                (tenant, campaign),
            )
            yield Wake("campaigns")
            yield Wake("dispatch")

        await self._db.run(plan)

    async def cancel(self, tenant: str, campaign: str) -> None:
        """End a campaign for good; one that has not begun becomes a draft again."""

        def plan() -> Plan[None]:
            yield Sql(
                "UPDATE campaigns SET state = CASE WHEN state = 'scheduled' THEN 'draft' ELSE 'cancelled' END"
                " WHERE tenant = ? AND id = ? AND state IN ('scheduled', 'sending', 'paused')",
                (tenant, campaign),
            )
            yield Wake("campaigns")

        await self._db.run(plan)

    async def cancel_some(self, campaign: Campaign, now: int, limit: int) -> int:
        """Cancel so many of a cancelled campaign's pending deliveries, and count them; how many these were."""

        def plan() -> Plan[int]:
            yield TAKE_CLOCK
            rows = yield Sql(
                _CANCEL.format(skip_locked=self._db.skip_locked), (now, campaign.tenant, campaign.id, limit)
            )
            mails = [(campaign.tenant, campaign.id, cast("str", name)) for (name,) in rows]
            yield from count_cancelled(mails, now)
            return len(rows)

        return await self._db.run(plan)

    async def resting(self, tenant: str) -> dict[str, str]:
        """Campaigns that are paused, or cancelled and not at their end; their state by their id."""

        def plan() -> Plan[dict[str, str]]:
            rows = yield Sql(
                "SELECT id, state FROM campaigns WHERE tenant = ? AND finished_at IS NULL"
                " AND state IN ('paused', 'cancelled')",
                (tenant,),
            )
            return dict(cast("list[tuple[str, str]]", rows))

        return await self._db.read(plan)

    async def add_recipients(self, campaign: Campaign, deliveries: Sequence[Delivery], cursor: int) -> int:
        """Store a chunk of a campaign's deliveries and move its cursor, in one commit; how many were new.

        Nothing happens when another process has moved the cursor meanwhile, or somebody has paused the campaign.
        """

        def plan() -> Plan[int]:
            yield TAKE_CLOCK
            moved = yield Sql(
                "UPDATE campaigns SET cursor = ? WHERE tenant = ? AND id = ? AND cursor = ?"
                " AND state = 'sending' RETURNING id",
                (cursor, campaign.tenant, campaign.id, campaign.cursor),
            )
            if not moved or not deliveries:
                return 0
            clock = yield Sql("UPDATE clock SET seq = seq + ? WHERE id = 1 RETURNING seq", (len(deliveries),))
            first = cast("int", clock[0][0]) - len(deliveries) + 1
            rows = [
                delivery_row(msgspec.structs.replace(delivery, seq=first + place))
                for place, delivery in enumerate(deliveries)
            ]
            yield Wake("dispatch")
            return len((yield Many(INSERT_RECIPIENTS, DELIVERY_COLUMNS, rows)))

        return await self._db.run(plan, bulk=True)

    async def is_over(self, tenant: str, campaign: str) -> bool:
        """Whether every recipient who is to have a delivery has one, and all of these are at an end."""

        def plan() -> Plan[bool]:
            rows = yield Sql(
                "SELECT 1 FROM campaigns WHERE tenant = ? AND id = ?"
                " AND (state = 'sending' AND cursor = ? OR state = 'cancelled')"
                " AND NOT EXISTS (SELECT 1 FROM deliveries d"
                " WHERE d.tenant = campaigns.tenant AND d.campaign = campaigns.id"
                " AND d.state IN ('waiting', 'queued', 'sending'))",
                (tenant, campaign, EVERYONE),
            )
            return bool(rows)

        return await self._db.read(plan)

    async def finish(self, tenant: str, campaign: str, now: int) -> None:
        """Close a campaign that is over."""

        def plan() -> Plan[None]:
            yield Sql(
                "UPDATE campaigns SET state = CASE WHEN state = 'sending' THEN 'sent' ELSE state END,"
                " finished_at = ? WHERE tenant = ? AND id = ? AND state IN ('sending', 'cancelled')"
                " AND finished_at IS NULL",
                (now, tenant, campaign),
            )
            yield Sql(
                "DELETE FROM lanes WHERE tenant = ? AND (lane = ? OR lane LIKE ?)",
                (tenant, campaign, f"{campaign} %"),
            )

        await self._db.run(plan)

    async def get(self, tenant: str, campaign: str) -> Campaign | None:
        def plan() -> Plan[Campaign | None]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM campaigns WHERE tenant = ? AND id = ?", (tenant, campaign)
            )
            row = one(rows)
            return _to_campaign(row) if row else None

        return await self._db.read(plan)

    async def sending(self) -> list[Campaign]:
        """All campaigns of which there is something to do, of all tenants: to be sent, or to be cancelled."""

        def plan() -> Plan[list[Campaign]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM campaigns WHERE finished_at IS NULL AND state IN ('sending', 'cancelled')"
                " ORDER BY seq"
            )
            return [_to_campaign(row) for row in rows]

        return await self._db.read(plan)

    async def page(self, tenant: str, *, limit: int, before: int | None = None) -> list[Campaign]:
        """Newest first, those before the place ``before``."""

        def plan() -> Plan[list[Campaign]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM campaigns WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (tenant, before or 2**62, limit),
            )
            return [_to_campaign(row) for row in rows]

        return await self._db.read(plan)

    async def recipient_count(self, tenant: str, campaign: str) -> int:
        """How many contacts have a delivery of the campaign."""

        def plan() -> Plan[int]:
            rows = yield Sql(
                "SELECT COUNT(*) FROM deliveries WHERE tenant = ? AND campaign = ?", (tenant, campaign)
            )
            return cast("int", rows[0][0])

        return await self._db.read(plan)

    async def message(self, tenant: str, message: str) -> Message | None:
        return (await self.messages(tenant, [message])).get(message)

    async def messages(self, tenant: str, names: Collection[str]) -> dict[str, Message]:
        """Those of these messages that there are, by id."""
        if not names:
            return {}

        def plan() -> Plan[dict[str, Message]]:
            columns = ", ".join(f"m.{name}" for name in MESSAGE_FIELDS)
            rows = yield Many(
                f"SELECT {columns}, (SELECT w.labels FROM mails w WHERE w.tenant = m.tenant AND w.id = m.id)"
                " FROM messages m, {v} WHERE m.tenant = v.tenant AND m.id = v.id",
                "tenant:t id:t",
                [(tenant, name) for name in sorted(set(names))],
            )
            found = [
                msgspec.structs.replace(_to_message(row[:-1]), labels=cast("bytes | None", row[-1]))
                for row in rows
            ]
            return {message.id: message for message in found}

        return await self._db.read(plan)

    async def recipients(
        self, tenant: str, campaign: str, *, limit: int, after: str = "", has: int = 0, lacks: int = 0
    ) -> list[Message]:
        """A campaign's messages by id, those whose flags have all bits of ``has`` and none of ``lacks``."""

        def plan() -> Plan[list[Message]]:
            rows = yield Sql(
                f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE tenant = ? AND campaign = ? AND id > ?"
                " AND (flags & ?) = ? AND (flags & ?) = 0 ORDER BY id LIMIT ?",
                (tenant, campaign, after, has, has, lacks, limit),
            )
            return [_to_message(row) for row in rows]

        return await self._db.read(plan)
