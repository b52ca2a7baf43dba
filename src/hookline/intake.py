"""The one door: every event comes in here, is matched with the hooks, and is committed with what it owes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hookline.actions import compile_hook
from hookline.actions.facts import Facts
from hookline.actions.work import CompiledHook, Invalid
from hookline.clock import Clock
from hookline.model import Delivery, Event, EventDraft, Hook, Kind, Verdict, VerdictKind
from hookline.rules import cel
from hookline.rules.addresses import normalise
from hookline.rules.effects import EFFECTIVE, effect_of
from hookline.rules.ids import new_id
from hookline.rules.matching import TypeIndex, limit_subject, loops
from hookline.rules.times import parse_duration
from hookline.storage import Storage
from hookline.storage.plans import Plan
from hookline.storage.units import Accepted, EventKey, LimitClaim, Prepared, StaleConfig, Unit

Reserve = Callable[[str, Kind], str | None]
Release = Callable[[str], None]
Born = Callable[[Sequence[Accepted]], None]
FIRST_WINS = bytes(16)  # a body that all events of a source share, where just their ids matter
NO_HOOKS = TypeIndex(())
BREATH = 10
# Fractions stay the texts that they were, told apart from texts: no two amounts become one by rounding.
_exact = msgspec.json.Decoder(float_hook=lambda text: {"\0": text})
_sorted = msgspec.json.Encoder(order="sorted")


class Config(Struct, frozen=True):
    """The hooks of one version of the configuration."""

    version: int
    indexes: Mapping[str, TypeIndex]
    hooks: Mapping[tuple[str, str], CompiledHook | Invalid]


class Intake:
    """Accepts events. ``reserve``, ``release`` and ``born`` are the dispatcher's, handed over by ``app``.

    ``reserve(lane, kind)`` gives the epoch that a delivery is born leased to, or ``None`` when its lane
    is full or its kind has to be claimed before the act.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._config: Config | None = None
        self._before: Config | None = None
        self._loading: asyncio.Task[None] | None = None
        self.facts = Facts(storage)
        self.reserve: Reserve = lambda lane, kind: None
        self.release: Release = lambda lane: None
        self.born: Born = lambda accepted: None

    async def accept(
        self,
        tenant: str,
        drafts: Sequence[EventDraft],
        write: Callable[[], Plan[None]] | None = None,
        *,
        bulk: bool = False,
    ) -> list[Accepted]:
        """Store events all or none, with every delivery they owe, and set the dispatcher to work.

        ``write`` is what the events tell of, committed with them; it may raise ContactMoved. What is ``bulk`` lets
        others go before.
        Raises SourceIdConflict when one came before with another body, StorageUnavailable when the
        database is away; nothing is stored then.
        """
        while True:
            unit = msgspec.structs.replace(await self.prepare(tenant, drafts), write=write, bulk=bulk)
            try:
                accepted = await self._storage.accept(unit)
            except BaseException as error:
                self.give_back(unit, ())
                if isinstance(error, StaleConfig):
                    self.forget_config()
                    continue
                raise
            self.give_back(unit, accepted)
            self.born(accepted)
            return accepted

    def give_back(self, unit: Unit, accepted: Sequence[Accepted]) -> None:
        """Release the places in lanes that were reserved for deliveries which did not come to be."""
        kept = {delivery.id for answer in accepted for delivery in answer.deliveries}
        for item in unit.items:
            for delivery in item.deliveries:
                if delivery.owner is not None and delivery.id not in kept:
                    self.release(delivery.lane)

    def expect_config(self, version: int) -> bool:
        """This version holds now: whether ours is another, and will be read anew."""
        ours = self._config or self._before
        moved = ours is not None and ours.version != version
        if moved:
            self.forget_config()
        return moved

    def forget_config(self) -> None:
        """Read the hooks anew before the next use."""
        self._before, self._config = self._config or self._before, None

    async def config(self) -> Config:
        """The hooks as they were when they were last read."""
        while self._config is None:
            if self._loading is None or self._loading.done():  # one reads for all who wait
                self._loading = asyncio.create_task(self._load())
            await asyncio.shield(self._loading)
        return self._config

    async def _load(self) -> None:
        version, hooks = await self._storage.hooks.everything()
        known = self._before.hooks if self._before else {}
        by_tenant: dict[str, list[Hook]] = {}
        compiled: dict[tuple[str, str], CompiledHook | Invalid] = {}
        for hook in hooks:
            by_tenant.setdefault(hook.tenant, []).append(hook)
            before = known.get((hook.tenant, hook.id))
            if isinstance(before, CompiledHook) and before.hook == hook:
                compiled[hook.tenant, hook.id] = before
            else:
                compiled[hook.tenant, hook.id] = _compiled(hook)
        indexes = {tenant: TypeIndex(found) for tenant, found in by_tenant.items()}
        self._config = Config(version, indexes, compiled)

    async def hook(self, tenant: str, hook: str) -> CompiledHook | Invalid | None:
        """A hook by its id. One that we have not heard of may have been made in another process: look again."""
        found = (await self.config()).hooks.get((tenant, hook))
        if found is None and self.expect_config(await self._storage.hooks.version()):
            found = (await self.config()).hooks.get((tenant, hook))
        return found

    async def prepare(self, tenant: str, drafts: Sequence[EventDraft]) -> Unit:
        """Match drafts with the hooks of now; the unit holds only while the configuration stays."""
        config = await self.config()
        now = self._clock.now()
        items: list[Prepared] = []
        try:
            for place, draft in enumerate(drafts, 1):
                items.append(await self._prepare(config, tenant, draft, now))
                if place % BREATH == 0:  # a thousand events with conditions take a while: let others in
                    await asyncio.sleep(0)
        except BaseException:
            self.give_back(Unit(tenant, config.version, tuple(items)), ())
            raise
        return Unit(tenant, config.version, tuple(items))

    async def _prepare(self, config: Config, tenant: str, draft: EventDraft, now: int) -> Prepared:
        event = event_of(tenant, draft, now)
        effect = None
        if draft.type in EFFECTIVE:
            data = _object(draft.data)
            effect = effect_of(draft.type, _normalised(draft.subject), data)
            event = msgspec.structs.replace(
                event, campaign=_text(data.get("campaign")), message=_text(data.get("message"))
            )
        verdicts, deliveries, claims = await self._match(config, event, draft, now)
        if draft.type == "contact.pending":
            deliveries.append(_confirmation(event, now))
        gathers = {delivery.id: most for delivery in deliveries if (most := _most(config, delivery))}
        return Prepared(
            event=msgspec.structs.replace(event, verdicts=tuple(verdicts)),
            deliveries=tuple(deliveries),
            claims=tuple(claims),
            key=_key(draft, now) if draft.source_id is not None else None,
            effect=effect,
            gathers=gathers,
        )

    async def _match(
        self, config: Config, event: Event, draft: EventDraft, now: int
    ) -> tuple[list[Verdict], list[Delivery], list[LimitClaim]]:
        verdicts: list[Verdict] = []
        ready: list[CompiledHook] = []
        for hook in config.indexes.get(event.tenant, NO_HOOKS).find(event.type):
            compiled = config.hooks[event.tenant, hook.id]
            refusal = _refusal(hook, compiled, draft) or _passes_over(compiled, event)
            if refusal is not None:
                verdicts.append(Verdict(hook.id, *refusal))
            elif isinstance(compiled, CompiledHook):
                ready.append(compiled)
        deliveries: list[Delivery] = []
        claims: list[LimitClaim] = []
        if not ready:
            return verdicts, deliveries, claims
        names: frozenset[str] = frozenset()
        for compiled in ready:
            names |= _needs(compiled)
        values = await self.facts.load(event, names, now) if names else {}
        for compiled in ready:
            hook = compiled.hook
            verdict, detail = _judge(compiled, values)
            claim: LimitClaim | None = None
            delivery = new_id("dlv")
            if verdict == "matched" and hook.spec.limit is not None:
                claim = _claim(hook, event, values, delivery, now)
                if claim is None:
                    verdict, detail = (
                        "error",
                        f"the limit is per {hook.spec.limit.per}, but the event has none",
                    )
            verdicts.append(Verdict(hook.id, verdict, detail))
            if verdict == "matched":
                claims += [claim] if claim else []
                deliveries.append(self._delivery(delivery, compiled, event, values, now))
        return verdicts, deliveries, claims

    def _delivery(
        self, name: str, compiled: CompiledHook, event: Event, values: Mapping[str, Any], now: int
    ) -> Delivery:
        hook = compiled.hook
        contact = values.get("contact")
        address = compiled.plan.address(values)
        batch, pace = compiled.batch, compiled.pace
        # Last, so that nothing can fail behind it. What gathers events is begun by its time, or when it is full;
        # what has a pace is claimed.
        owner = self.reserve(hook.id, compiled.kind) if batch is None and pace is None else None
        return Delivery(
            tenant=event.tenant,
            id=name,
            lane=hook.id,
            order_key=pace.order_key(event.subject, name, hook.id if batch else None) if pace else None,
            kind=compiled.kind,
            state="waiting" if batch else "queued" if owner is None else "sending",
            next_at=now + batch.every if batch else now if owner is None else None,
            owner=owner,
            hook=hook.id,
            event=event.id,
            contact=contact["id"] if contact else None,
            address=address,
            depth=event.depth + 1,
            size=1 if batch else 0,
            weight=len(event.data) if batch else 0,
            created_at=now,
            updated_at=now,
        )


def _confirmation(event: Event, now: int) -> Delivery:
    """The mail that asks somebody whether he wants to be on a list; its lane is the list's."""
    data = _object(event.data)
    return Delivery(
        tenant=event.tenant,
        id=new_id("dlv"),
        lane=str(data["list"]),
        kind="email",
        state="queued",
        next_at=now,
        event=event.id,
        contact=_text(data.get("contact")),
        address=_text(data.get("email")),
        depth=event.depth + 1,
        created_at=now,
        updated_at=now,
    )


def event_of(tenant: str, draft: EventDraft, now: int) -> Event:
    """A draft as an event of this moment, with an id and without a place yet."""
    return Event(
        tenant=tenant,
        id=new_id("evt"),
        type=draft.type,
        source=draft.source,
        source_id=draft.source_id,
        subject=draft.subject,
        time=now if draft.time is None else draft.time,
        accepted_at=now,
        data=draft.data,
        envelope=draft.envelope,
        cause=draft.cause,
        depth=draft.depth,
    )


def _compiled(hook: Hook) -> CompiledHook | Invalid:
    try:
        return compile_hook(hook)
    except Invalid as error:  # saved by an older Hookline that allowed it
        return error


def _refusal(
    hook: Hook, compiled: CompiledHook | Invalid, draft: EventDraft
) -> tuple[VerdictKind, str] | None:
    """Why a hook that asked for the type is not even tried."""
    if not hook.spec.enabled or hook.disabled_reason:
        return "disabled", hook.disabled_reason or "the hook is switched off"
    loop = loops(hook, draft.cause_hook, draft.depth)
    if loop is not None:
        return "loop", loop
    if isinstance(compiled, Invalid):
        return "error", str(compiled)
    return None


def _passes_over(compiled: CompiledHook | Invalid, event: Event) -> tuple[VerdictKind, str] | None:
    """Why a hook's action could not tell of this event."""
    why = compiled.plan.passes_over(event) if isinstance(compiled, CompiledHook) else ""
    return ("condition", why) if why else None


def _most(config: Config, delivery: Delivery) -> int:
    """How many events a delivery takes, if it is a batch."""
    compiled = config.hooks[delivery.tenant, delivery.lane] if delivery.size else None
    return compiled.batch.most if isinstance(compiled, CompiledHook) and compiled.batch else 0


def _needs(compiled: CompiledHook) -> frozenset[str]:
    needs = compiled.condition.names if compiled.condition else frozenset()
    limit = compiled.hook.spec.limit
    if limit is not None and limit.per == "contact":
        needs |= {"contact"}
    return needs | compiled.plan.address_names


def _judge(compiled: CompiledHook, values: Mapping[str, Any]) -> tuple[VerdictKind, str]:
    if compiled.condition is None:
        return "matched", ""
    try:
        held = cel.truth(compiled.condition.evaluate(values))
    except cel.EvalError as error:
        return "error", str(error)
    return ("matched", "") if held else ("condition", "the condition is false for this event")


def _claim(hook: Hook, event: Event, values: Mapping[str, Any], delivery: str, now: int) -> LimitClaim | None:
    limit = hook.spec.limit
    if limit is None:
        return None
    contact = values.get("contact") or {}
    address = contact.get("email") or contact.get("phone")
    subject = limit_subject(limit.per, event, address, _normalised(event.subject))
    if subject is None:
        return None
    since = -1 if limit.within == "forever" else now - parse_duration(limit.within)
    return LimitClaim(hook.id, subject, delivery, since, limit.count)


def _key(draft: EventDraft, now: int) -> EventKey:
    name = hashlib.sha256(f"{draft.source}\0{draft.source_id}".encode()).digest()[:16]
    if draft.first_wins:
        return EventKey(draft.source, name, FIRST_WINS, now)
    head = repr((draft.type, draft.subject, draft.time)).encode()
    # No text of JSON has a NUL: what is between two of them is one part.
    parts = b"\0".join((head, _canonical(draft.data), _canonical(draft.envelope or b"")))
    body = hashlib.sha256(parts).digest()[:16]
    return EventKey(draft.source, name, body, now)


def _canonical(raw: bytes) -> bytes:
    """JSON without the accidents of spelling, so that a client that serialises anew is no other body."""
    return _sorted.encode(_exact.decode(raw)) if raw else b""


def _object(raw: bytes) -> Mapping[str, Any]:
    value = cel.from_json(raw) if raw else None
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _normalised(subject: str | None) -> str | None:
    return normalise(subject) if subject and "@" in subject else subject
