"""What can be done about an event: one module for each kind, listed once, here."""

from __future__ import annotations

from typing import cast

from hookline.actions import contact, email, slack, sms, webhook
from hookline.actions.facts import Facts
from hookline.actions.work import (
    CONDITION_VARIABLES,
    ActionModule,
    Batching,
    CompiledHook,
    Invalid,
    Plan,
    Tools,
    Work,
)
from hookline.model import DAY, HOUR, SECOND, Delivery, Event, Hook, HookInput, Kind, Outcome
from hookline.rules import cel
from hookline.rules.pacing import Pace, Rate
from hookline.rules.templates import TemplateError
from hookline.rules.times import parse_duration

ACTIONS: tuple[ActionModule, ...] = (webhook, slack, email, sms, contact)
SHORTEST_PERIOD, LONGEST_PERIOD = SECOND // 10, 31 * DAY
BY_KIND = {module.KIND: module for module in ACTIONS}


def compile_hook(hook: Hook) -> CompiledHook:
    """Prepare a hook to act. Raises Invalid, naming the field, for one that cannot."""
    spec = hook.spec
    kind = spec.do.__struct_config__.tag
    condition = None
    if spec.if_ is not None:
        try:
            condition = cel.compile(spec.if_, CONDITION_VARIABLES)
        except cel.CelError as error:
            raise Invalid("/if", str(error)) from None
    schedule = [_duration(f"/retry/schedule/{place}", text) for place, text in enumerate(spec.retry.schedule)]
    timeout = _duration("/retry/timeout", spec.retry.timeout)
    if not 0 < timeout <= 60 * SECOND:
        raise Invalid("/retry/timeout", "a time-out is more than nothing and at most 60s")
    limited = spec.limit is not None and spec.limit.within != "forever"
    if spec.limit is not None and limited and _duration("/limit/within", spec.limit.within) < SECOND:
        raise Invalid("/limit/within", "a limit counts within 1s at least; a shorter time limits nothing")
    plan = BY_KIND[str(kind)].compile(spec.do)
    return CompiledHook(
        hook=hook,
        kind=cast("Kind", kind),
        condition=condition,
        plan=plan,
        schedule=tuple(schedule),
        timeout=timeout / SECOND,
        batch=_batching(spec, plan),
        pace=_pace(spec, plan),
    )


def _batching(spec: HookInput, plan: Plan) -> Batching | None:
    """How a hook gathers events, if it does."""
    if spec.batch is None:
        return plan.batch
    if not plan.batches:
        raise Invalid(
            "/batch", "only webhooks in the formats standard, cloudevents and mailjet-grouped have batches"
        )
    every = _duration("/batch/every", spec.batch.every)
    if not 0 < every <= HOUR:
        raise Invalid("/batch/every", "a batch waits for its events for more than nothing and at most 1h")
    return Batching(spec.batch.max, every)


def _pace(spec: HookInput, plan: Plan) -> Pace | None:
    rate = plan.rate
    if spec.rate is not None:
        per = _duration("/rate/per", spec.rate.per)
        if not SHORTEST_PERIOD <= per <= LONGEST_PERIOD:
            raise Invalid("/rate/per", "a rate is per 100ms at least and 31d at most")
        rate = Rate(spec.rate.count, per)
    pace = Pace(rate, spec.concurrency, spec.order is not None)
    return None if pace == Pace() else pace


def _duration(pointer: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Invalid(pointer, str(error)) from None


async def perform(
    delivery: Delivery, event: Event | None, hook: CompiledHook | Invalid | None, facts: Facts, tools: Tools
) -> Outcome:
    """Make one attempt. What is expected to go wrong is an outcome, not an exception."""
    if delivery.campaign is not None and delivery.hook is None:
        return await email.perform_campaign(delivery, tools)
    if delivery.campaign is None and delivery.hook is None:
        return await (email.perform_confirmation if delivery.event else email.perform_message)(
            delivery, tools
        )
    if hook is None or isinstance(hook, Invalid):
        why = "the hook was deleted" if hook is None else str(hook)
        return Outcome(result="permanent", error="cancelled", detail=why)
    if hook.kind != delivery.kind:
        why = f"the hook's action is now {hook.kind}, this delivery was for {delivery.kind}"
        return Outcome(result="permanent", error="cancelled", detail=why)
    if hook.hook.disabled_reason or not hook.hook.spec.enabled:
        return Outcome(result="retry", error="cancelled", detail="the hook is switched off")
    if event is None:
        return Outcome(result="permanent", error="cancelled", detail="the event is no longer kept")
    try:
        variables = await facts.load(event, hook.plan.names, tools.clock.now()) if hook.plan.names else {}
    except (TemplateError, cel.EvalError, ValueError) as error:
        return Outcome(result="permanent", error="template", detail=str(error))
    events: tuple[Event, ...] = ()
    if delivery.size:
        events = tuple(await tools.storage.events.of_batch(delivery.tenant, delivery.id))
    elif hook.batch is not None:
        events = (event,)
    return await BY_KIND[hook.kind].perform(Work(delivery, event, hook, variables, tools, events))
