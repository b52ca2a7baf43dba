"""Trying a hook now, saved or not: the real action, once, without a delivery, a limit or a change of a contact."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from hookline.actions import perform
from hookline.actions.work import CompiledHook, Tools
from hookline.api.bodies import LATER_IN_HOOK
from hookline.api.errors import ApiError, Fault, invalid
from hookline.api.hook_rules import check_url
from hookline.api.publishing import EventInput, check_payload, check_texts, to_draft
from hookline.intake import event_of
from hookline.model import (
    Action,
    AttemptError,
    Delivery,
    EmailAction,
    Event,
    Hook,
    HookInput,
    Outcome,
    SlackAction,
    SmsAction,
    Strict,
    WebhookAction,
)
from hookline.rules.addresses import normalise_phone, parse_address
from hookline.rules.catalogue import catalogue
from hookline.rules.ids import new_id
from hookline.rules.matching import matches
from hookline.services import Services


class TrialInput(Strict, frozen=True, kw_only=True):
    """``event`` or ``event_id``; without either, an example of what the hook asks for.

    ``to`` stands in for the hook's own URL, address or number.
    """

    event: EventInput | None = None
    event_id: str | None = None
    to: str | None = None


class UnsavedTrialInput(Strict, frozen=True, kw_only=True):
    """A hook that is not saved yet, and what to try it on."""

    LATER: ClassVar[frozenset[str]] = frozenset("/hook" + pointer for pointer in LATER_IN_HOOK)

    hook: HookInput
    event: EventInput | None = None
    event_id: str | None = None
    to: str | None = None


class TrialOutcome(Struct, frozen=True, kw_only=True):
    """What came of the try; ``request`` and ``response`` are what was said, where something was."""

    ok: bool
    outcome: str
    error: AttemptError | None
    detail: str
    status: int | None
    request: Any
    response: Any


def outcome_shown(outcome: Outcome) -> TrialOutcome:
    return TrialOutcome(
        ok=outcome.result == "ok",
        outcome=outcome.result,
        error=outcome.error,
        detail=outcome.detail,
        status=outcome.status,
        request=Raw(outcome.request or b"null"),
        response=Raw(outcome.response or b"null"),
    )


async def event_for(services: Services, hook: Hook, asked: TrialInput | UnsavedTrialInput) -> Event:
    """The event to try a hook on. ApiError 422 where none can be made of what was asked for."""
    if asked.event is not None and asked.event_id is not None:
        raise invalid("/event_id", "name a stored event or send one, not both")
    if asked.event_id is not None:
        event = await services.storage.events.get(hook.tenant, asked.event_id)
        if event is None:
            raise invalid("/event_id", f"there is no event {asked.event_id}")
        return event
    draft = to_draft(asked.event or _example(hook.spec.on[0]), "test", "/event")
    check_texts(draft, "/event")
    check_payload(draft, "/event")
    return event_of(hook.tenant, draft, services.clock.now())


def _example(pattern: str) -> EventInput:
    for known in catalogue():
        if matches(pattern, known.name):
            example = known.example
            data = Raw(msgspec.json.encode(example["data"]))
            return EventInput(type=known.name, data=data, subject=example["subject"])
    name = pattern.removesuffix(".*") + ".test" if pattern.endswith(".*") else pattern
    return EventInput(type=name, data=Raw(b"{}"))


def redirected(services: Services, action: Action, to: str) -> Action:
    """The action, but to somebody else. ApiError 422 for what is no such place."""
    if isinstance(action, WebhookAction | SlackAction):
        check_url(services, to, "/to")
        if isinstance(
            action, WebhookAction
        ):  # its headers are secrets between the user and the real receiver
            return msgspec.structs.replace(action, url=to, headers={}, ca=None, connection=None)
        return msgspec.structs.replace(action, url=to, connection=None, channel=None)
    if isinstance(action, EmailAction):
        try:
            parse_address(to)
        except ValueError as error:
            raise invalid("/to", str(error)) from None
        return msgspec.structs.replace(action, to=to)
    if isinstance(action, SmsAction):
        if normalise_phone(to) is None:
            raise invalid(
                "/to", f"{to!r} is no phone number; write it with its country, such as +43123456789"
            )
        return msgspec.structs.replace(action, to=to)
    detail = "a contact action goes to no one"
    raise ApiError(422, detail, [Fault(detail, pointer="#/to")])


async def try_out(services: Services, compiled: CompiledHook, event: Event) -> Outcome:
    """Perform a hook's action once. What it would settle is not settled, so nothing is spent or changed."""
    hook = compiled.hook
    names = compiled.plan.names | compiled.plan.address_names | {"contact"}
    values = await services.intake.facts.load(event, names, services.clock.now())
    contact = values["contact"]
    now = services.clock.now()
    delivery = Delivery(
        tenant=hook.tenant,
        id=new_id("dlv"),
        lane=hook.id,
        kind=compiled.kind,
        state="sending",
        next_at=None,
        hook=hook.id,
        event=event.id,
        contact=contact["id"] if contact else None,
        address=compiled.plan.address(values),
        depth=event.depth + 1,
        created_at=now,
        updated_at=now,
    )
    tools = Tools(
        http=services.http,
        mailer=services.mailer,
        storage=services.storage,
        clock=services.clock,
        wall=time.time,
    )
    return await perform(delivery, event, compiled, services.intake.facts, tools)
