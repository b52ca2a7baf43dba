"""The end of an attempt: the lifecycle decides, and one commit stores all that follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog

from hookline.actions.work import CompiledHook
from hookline.clock import Clock
from hookline.intake import Intake
from hookline.model import SECOND, Attempt, Delivery, EventDraft, Outcome
from hookline.rules import health, lifecycle
from hookline.rules.ids import new_id
from hookline.rules.lifecycle import SMTP_SCHEDULE, Policy
from hookline.storage import Storage, StorageUnavailable
from hookline.storage.deliveries import Settled
from hookline.storage.grouping import Grouped
from hookline.storage.health import disable_hook
from hookline.storage.units import Accepted, ContactMoved, HookMoved, Settlement, StaleConfig, Unit

log = structlog.get_logger("hookline.dispatch")
GROUP = 500
BREATH = 16  # are decided upon before others have their turn
MAX_DETAIL = 2000
RETRY_STORAGE = SECOND


class Done(msgspec.Struct, frozen=True):
    """An attempt that is over, with its times."""

    delivery: Delivery
    outcome: Outcome
    started: int
    finished: int

    @property
    def plain(self) -> bool:
        """Whether it went well, and changes nothing that may have to be undone: it can be settled beside others."""
        return self.outcome.result == "ok" and self.outcome.change is None


class Settler:
    """Settles attempts, in groups, once each."""

    def __init__(self, storage: Storage, intake: Intake, clock: Clock, chance: Callable[[], float]) -> None:
        self._storage = storage
        self._intake = intake
        self._clock = clock
        self._chance = chance
        self._group: Grouped[Settlement, Settled] = Grouped(self._flush, GROUP)
        self._waiting = 0
        self._disabled: dict[tuple[str, str], int] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something known that the database would not take yet."""
        return self._waiting > 0

    async def settle(self, delivery: Delivery, outcome: Outcome, started: int) -> Delivery | None:
        """Store the end of an attempt; the delivery as it then is, or ``None`` when its contact moved on.

        While the database is away it waits and tries again: what was done is not done a second time
        because writing it down failed.
        """
        finished = self._clock.now()
        troubled = away = False
        try:
            while True:
                try:
                    return await self._settle(delivery, outcome, started, finished)
                except ContactMoved:
                    return None
                except StaleConfig:
                    self._intake.forget_config()
                except Exception as error:  # noqa: BLE001 - what is known is kept, whatever the trouble
                    before, away = away, isinstance(error, StorageUnavailable)
                    self._waiting += away - before  # a fault of one settlement holds up nobody else
                    if not troubled:
                        self._complain(delivery, error)
                    troubled = True
                    await self._clock.wait(asyncio.Event(), self._clock.now() + RETRY_STORAGE)
        finally:
            self._waiting -= away

    async def settle_plain(self, done: Sequence[Done]) -> list[Delivery | None]:
        """Store the ends of attempts that went well, in one go; each delivery as it then is, or ``None`` where it
        could not be stored and has to be settled by itself."""
        settlements: list[Settlement] = []
        settled: list[Delivery | None] = []
        try:
            for place, one in enumerate(done, 1):
                if place % BREATH == 0:
                    await asyncio.sleep(0)
                decided = await self._decide(one.delivery, one.outcome, one.started, one.finished)
                settlements.append(decided)
            answers = await self._flush(settlements)
        except BaseException:
            for settlement in settlements:
                self._undo(settlement)
            raise
        for settlement, answer in zip(settlements, answers, strict=True):
            if isinstance(answer, BaseException):
                self._undo(settlement)
                settled.append(None)
            else:
                self._announce(settlement, answer, settlement.follow_ups)
                settled.append(settlement.after)
        return settled

    async def _settle(self, delivery: Delivery, outcome: Outcome, started: int, finished: int) -> Delivery:
        settlement = await self._decide(delivery, outcome, started, finished)
        try:
            settled = await self._group.submit(settlement)
        except BaseException:
            self._undo(settlement)
            raise
        self._announce(settlement, settled, settlement.follow_ups)
        return settlement.after

    def _undo(self, settlement: Settlement) -> None:
        """It was not stored: what was promised for it is not owed."""
        if settlement.follow_ups is not None:
            self._intake.give_back(settlement.follow_ups, ())
        hook = settlement.delivery.hook
        if settlement.disable_hook is not None and hook is not None:  # it is still to be done
            self._disabled.pop((settlement.delivery.tenant, hook), None)

    def _complain(self, delivery: Delivery, error: Exception) -> None:
        if not isinstance(error, StorageUnavailable):
            log.error("a settlement fails, and is tried again", delivery=delivery.id, error=repr(error))
        elif self._waiting == 1:  # once for an outage, not once for each delivery
            log.warning("storage away, keeping what is known", error=str(error))

    def _announce(self, settlement: Settlement, settled: Settled, unit: Unit | None) -> None:
        if settlement.delivery.id in settled.lost:
            log.warning("a late settlement was refused", delivery=settlement.delivery.id)
        if settlement.disable_hook is not None:
            self._intake.forget_config()
        if unit is None:
            return
        stored = {item.event.id: item for item in settled.stored}
        accepted = [
            Accepted(item.event.id, False, stored[item.event.id].event, stored[item.event.id].deliveries)
            for item in unit.items
            if item.event.id in stored
        ]
        self._intake.give_back(unit, accepted)
        self._intake.born(accepted)

    async def _decide(self, delivery: Delivery, outcome: Outcome, started: int, finished: int) -> Settlement:
        hook = await self._intake.hook(delivery.tenant, delivery.hook) if delivery.hook else None
        schedule = hook.schedule if isinstance(hook, CompiledHook) else SMTP_SCHEDULE
        if isinstance(hook, CompiledHook) and hook.hook.updated_at > started:
            outcome = msgspec.structs.replace(outcome, disable_hook=None)  # it was another address, perhaps
        now = self._clock.now()
        off = isinstance(hook, CompiledHook) and bool(hook.hook.disabled_reason or not hook.hook.spec.enabled)
        if off and outcome.error == "cancelled":  # it was not even begun: that is no attempt
            held = msgspec.structs.replace(delivery, state="held", owner=None, next_at=None, updated_at=now)
            return Settlement(delivery=delivery, after=held)
        after = lifecycle.settle(delivery, outcome, Policy(schedule), now, self._chance())
        if outcome.error == "cancelled":
            after = msgspec.structs.replace(after, state="cancelled", next_at=None)
        if after.next_at is not None and (off or outcome.disable_hook is not None):
            after = msgspec.structs.replace(after, state="held", next_at=None)
        drafts = [*outcome.follow_ups]
        if after.state == "failed":  # a mail that was put off for the last time has bounced
            drafts = [_instead(draft, "email.deferred", "email.bounced") for draft in drafts]
        if after.state == "failed" and outcome.error != "suppressed":
            drafts.append(_failed(after, outcome))
        disable = None if off else self._first_to_disable(hook, outcome)
        if disable is not None:
            drafts.append(_disabled(after.hook, disable, after))
        attempt = Attempt(
            tenant=delivery.tenant,
            id=new_id("att"),
            delivery=delivery.id,
            number=after.attempts,
            started_at=started,
            finished_at=finished,
            outcome=outcome.result,
            error=outcome.error,
            detail=_plain(outcome.detail),
            status=outcome.status,
            request=outcome.request,
            response=outcome.response,
        )
        return Settlement(
            delivery=delivery,
            after=after,
            attempt=attempt,
            follow_ups=await self._intake.prepare(delivery.tenant, drafts) if drafts else None,
            change=outcome.change,
            disable_hook=disable,
            hook_well=None if off else health.well(outcome),
        )

    def _first_to_disable(self, hook: object, outcome: Outcome) -> str | None:
        """Why the hook is to be disabled, said by the first of the deliveries that found it out."""
        if outcome.disable_hook is None or not isinstance(hook, CompiledHook):
            return None
        name = (hook.hook.tenant, hook.hook.id)
        if self._disabled.get(name) == hook.hook.updated_at:
            return None
        self._disabled[name] = hook.hook.updated_at
        return outcome.disable_hook

    async def _flush(self, batch: Sequence[Settlement]) -> Sequence[Settled | BaseException]:
        # A change of a contact may have to be undone: it goes alone, so that it takes nobody with it.
        plain = [settlement for settlement in batch if settlement.change is None]
        answers: dict[str, Settled | BaseException] = {}
        if plain:
            try:
                together = await self._storage.deliveries.settle(plain)
                await self._give_up(together)
                answers = dict.fromkeys((s.delivery.id for s in plain), together)
            except StorageUnavailable as error:
                answers = dict.fromkeys((s.delivery.id for s in plain), error)
            except Exception:  # noqa: BLE001 - one of them spoils it: find out which
                answers = {s.delivery.id: await self._alone(s) for s in plain}
        for settlement in batch:
            if settlement.change is not None:
                answers[settlement.delivery.id] = await self._alone(settlement)
        return [answers[settlement.delivery.id] for settlement in batch]

    async def _alone(self, settlement: Settlement) -> Settled | BaseException:
        try:
            settled = await self._storage.deliveries.settle([settlement])
            await self._give_up(settled)
            return settled
        except Exception as error:  # noqa: BLE001 - it belongs to this one
            return error

    async def _give_up(self, settled: Settled) -> None:
        """Switch off the hooks that failed for too long; if that does not come about now, the next failure does it."""
        for ill in settled.illnesses:
            now = self._clock.now()
            reason = health.given_up(ill.since, ill.failures, now)
            if reason is None:
                continue
            try:
                hook = await self._intake.hook(ill.tenant, ill.hook)
                if (
                    isinstance(hook, CompiledHook)
                    and hook.hook.spec.enabled
                    and not hook.hook.disabled_reason
                ):
                    version = hook.hook.updated_at
                    write = partial(
                        disable_hook, ill.tenant, ill.hook, reason, max(now, version + 1), version
                    )
                    await self._intake.accept(ill.tenant, [_disabled(ill.hook, reason)], write=write)
            except (HookMoved, StorageUnavailable) as error:
                log.info("a failing hook is switched off later", hook=ill.hook, error=str(error))
            self._intake.forget_config()


def _plain(text: str) -> str:
    """Text as PostgreSQL can hold it, and no longer than people read."""
    return text.replace("\0", "\ufffd")[:MAX_DETAIL]


def _instead(draft: EventDraft, kind: str, other: str) -> EventDraft:
    return msgspec.structs.replace(draft, type=other) if draft.type == kind else draft


def _failed(delivery: Delivery, outcome: Outcome) -> EventDraft:
    data = {
        "delivery": delivery.id,
        "message": delivery.id if delivery.kind == "email" else None,
        "hook": delivery.hook,
        "campaign": delivery.campaign,
        "event": delivery.event,
        "error": outcome.error,
        "detail": outcome.detail,
        "attempts": delivery.attempts,
    }
    return EventDraft(
        type="delivery.failed",
        source="hookline",
        subject=delivery.hook or delivery.campaign,
        data=msgspec.json.encode(data),
        cause=delivery.id,
        cause_hook=delivery.hook,
        depth=delivery.depth,
    )


def _disabled(hook: str | None, reason: str, delivery: Delivery | None = None) -> EventDraft:
    """``delivery`` is the one that found it out, where it was one alone."""
    data = {"hook": hook, "reason": reason} | ({"delivery": delivery.id} if delivery else {})
    return EventDraft(
        type="hook.disabled",
        source="hookline",
        subject=hook,
        data=msgspec.json.encode(data),
        cause=delivery.id if delivery else None,
        cause_hook=hook,
        depth=delivery.depth if delivery else 0,
    )
