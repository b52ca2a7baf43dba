"""`/v1/hooks`: on these events, if this holds, do that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from msgspec.structs import replace

from hookline.api import hook_keys
from hookline.api.auth import MANAGE, Caller
from hookline.api.bodies import convert
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.hook_keys import Keys, RotateInput, keys_for
from hookline.api.hook_missed import HookChanged, missed
from hookline.api.hook_rules import checked, vet
from hookline.api.hook_view import HookMade, HookShown, fields, is_on, patched
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.api.trying import (
    TrialInput,
    TrialOutcome,
    UnsavedTrialInput,
    event_for,
    outcome_shown,
    redirected,
    try_out,
)
from hookline.model import EventDraft, Hook, HookInput
from hookline.rules.ids import new_id
from hookline.services import Services
from hookline.storage.hooks import later_than
from hookline.storage.units import HookMoved

TAGS = ["Hooks"]
SWITCHED_OFF = "a user switched the hook off"
TRIES = 5


def routes(services: Services) -> list[HTTPRouteHandler]:
    desk = Desk(services)

    @post("/v1/hooks", tags=TAGS, operation_id="createHook", summary="Make a hook")
    async def create(key: Caller, data: JSONBody[HookInput]) -> HookMade:
        """It counts for the next event. The answer has the secret that a webhook is signed with."""
        hook = await desk.create(key.tenant, data)
        return HookMade(
            **desk.fields(hook),
            secret=hook_keys.secret(hook),
            public_key=hook_keys.public_key(hook) or UNSET,
        )

    @get("/v1/hooks", tags=TAGS, operation_id="listHooks", summary="List hooks")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[HookShown]:
        found = await services.storage.hooks.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, desk.shown)

    @get("/v1/hooks/{hook_id:str}", tags=TAGS, operation_id="getHook", summary="A hook")
    async def one(key: Caller, hook_id: FromPath[str]) -> HookShown:
        return desk.shown(await desk.get(key.tenant, hook_id))

    @patch("/v1/hooks/{hook_id:str}", tags=TAGS, operation_id="changeHook", summary="Change a hook")
    async def change(key: Caller, hook_id: FromPath[str], data: JSONBody[dict[str, Any]]) -> HookChanged:
        """A merge patch (RFC 7396): what is not named stays, `null` removes. It counts for the next event.

        Switching a hook off holds what it still owes; the answer to switching it on says what it missed.
        """
        before, after = await desk.change(key.tenant, hook_id, data)
        switched_on = is_on(after) and not is_on(before)
        return HookChanged(
            **desk.fields(after), missed=await missed(services, after) if switched_on else UNSET
        )

    @delete("/v1/hooks/{hook_id:str}", tags=TAGS, operation_id="deleteHook", summary="Delete a hook")
    async def remove(key: Caller, hook_id: FromPath[str]) -> None:
        """What it still owes, and what is held, is cancelled."""
        await desk.delete(key.tenant, hook_id)

    return [create, index, one, change, remove, *_secrets(services, desk), *_trials(desk)]


def _secrets(services: Services, desk: Desk) -> list[HTTPRouteHandler]:
    @get(
        "/v1/hooks/{hook_id:str}/secret", opt=MANAGE, tags=TAGS, operation_id="getHookSecret",
        summary="What a webhook is signed with",
    )  # fmt: skip
    async def secret(key: Caller, hook_id: FromPath[str]) -> Keys:
        return hook_keys.shown(await desk.get(key.tenant, hook_id), services.clock.now())

    @post(
        "/v1/hooks/{hook_id:str}/secret/rotate", status_code=200, opt=MANAGE, tags=TAGS,
        operation_id="rotateHookSecret", summary="Change what a webhook is signed with",
    )  # fmt: skip
    async def rotate(key: Caller, hook_id: FromPath[str], data: JSONBody[RotateInput | None] = None) -> Keys:
        """A new secret, and a new key pair where there is one. During the grace the old ones sign, too."""
        return hook_keys.shown(
            await desk.rotate(key.tenant, hook_id, data or RotateInput()), services.clock.now()
        )

    return [secret, rotate]


def _trials(desk: Desk) -> list[HTTPRouteHandler]:
    @post(
        "/v1/hooks/{hook_id:str}/test", status_code=200, tags=TAGS, operation_id="testHook",
        summary="Try a hook now",
    )  # fmt: skip
    async def test(
        key: Caller, hook_id: FromPath[str], data: JSONBody[TrialInput | None] = None
    ) -> TrialOutcome:
        """Its action is performed, whatever its condition says; no delivery is made, no limit spent."""
        return await desk.test(await desk.get(key.tenant, hook_id), data or TrialInput())

    @post(
        "/v1/hooks/test", status_code=200, tags=TAGS, operation_id="testUnsavedHook",
        summary="Try a hook that is not saved yet",
    )  # fmt: skip
    async def test_unsaved(key: Caller, data: JSONBody[UnsavedTrialInput]) -> TrialOutcome:
        """As with a saved one. A webhook is signed with the secret that it brings, or one that nobody knows."""
        return await desk.test(desk.make(key.tenant, data.hook), data, "/hook")

    return [test, test_unsaved]


class Desk:
    """What can be done with hooks. Changes go one after another, for each reads what it changes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hooks = services.storage.hooks
        self._turn = asyncio.Lock()

    def make(self, tenant: str, spec: HookInput) -> Hook:
        """A new hook, not stored yet. Its ``spec`` still has the secret that the user brought."""
        now = self._services.clock.now()
        return Hook(
            tenant=tenant,
            id=new_id("hook"),
            spec=spec,
            keys=keys_for(spec, (), now),
            created_at=now,
            updated_at=now,
        )

    def fields(self, hook: Hook) -> dict[str, Any]:
        """The fields of ``HookShown``, as of now."""
        return fields(hook, self._services.dispatcher.health(hook.id))

    def shown(self, hook: Hook) -> HookShown:
        return HookShown(**self.fields(hook))

    async def get(self, tenant: str, name: str) -> Hook:
        hook = await self._hooks.get(tenant, name)
        if hook is None:
            raise not_found("hook", name)
        return hook

    async def create(self, tenant: str, spec: HookInput) -> Hook:
        hook = self.make(tenant, spec)
        await checked(self._services, hook)
        await vet(self._services, tenant, spec.do)
        stored = await self._hooks.put(_without_secret(hook))
        self._services.intake.forget_config()
        return stored

    async def change(self, tenant: str, name: str, patch: dict[str, Any]) -> tuple[Hook, Hook]:
        """The hook before and after a merge patch. That it was switched is told by an event, in the same commit."""
        if "secret" in patch and patch["secret"] is None:
            raise invalid("/secret", "a webhook always has a secret; give another one")

        if "do" in patch:  # before its turn comes: a slow name server is no matter of others'
            old = (await self.get(tenant, name)).spec
            new = convert(patched(old, patch), HookInput)
            if new.do != old.do:
                await vet(self._services, tenant, new.do)

        async def after(before: Hook, now: int) -> Hook:
            spec = convert(patched(before.spec, patch), HookInput)
            reason = None if patch.get("enabled") is True else before.disabled_reason
            if not spec.enabled and reason is None:
                reason = SWITCHED_OFF
            keys = keys_for(spec, before.keys, now)
            hook = replace(before, spec=spec, keys=keys, disabled_reason=reason, updated_at=now)
            if spec != replace(before.spec, enabled=False):  # what is only switched off cannot do wrong
                await checked(self._services, hook)
            return _without_secret(hook)

        changed = await self._changed(tenant, name, after)
        self._services.dispatcher.heal(name)
        return changed

    async def rotate(self, tenant: str, name: str, wish: RotateInput) -> Hook:
        async def after(before: Hook, now: int) -> Hook:
            return replace(before, keys=hook_keys.rotated(before, wish, now), updated_at=now)

        return (await self._changed(tenant, name, after))[1]

    async def _changed(
        self, tenant: str, name: str, after: Callable[[Hook, int], Awaitable[Hook]]
    ) -> tuple[Hook, Hook]:
        """The hook before and after. It is read again when it moved on meanwhile: a receiver was gone, say."""
        async with self._turn:
            for _ in range(TRIES):
                before = await self.get(tenant, name)
                changed = later_than(before, await after(before, self._services.clock.now()))
                try:
                    await self._services.intake.accept(
                        tenant, _told(before, changed), write=partial(self._hooks.changing, before, changed)
                    )
                except HookMoved:
                    continue
                self._services.intake.forget_config()
                return before, changed
        raise ApiError(409, "the hook is being changed by others; read it and try again")

    async def delete(self, tenant: str, name: str) -> None:
        async with self._turn:
            if not await self._hooks.delete(tenant, name, self._services.clock.now()):
                raise not_found("hook", name)
        self._services.intake.forget_config()

    async def test(self, hook: Hook, asked: TrialInput | UnsavedTrialInput, base: str = "") -> TrialOutcome:
        spec = replace(hook.spec, enabled=True)
        await checked(self._services, replace(hook, spec=spec), base)
        if asked.to is not None:
            spec = replace(spec, do=redirected(self._services, spec.do, asked.to))
        event = await event_for(self._services, hook, asked)
        compiled = await checked(self._services, replace(hook, spec=spec, disabled_reason=None), base)
        outcome = await try_out(self._services, compiled, event)
        if outcome.result == "ok" and asked.to is None:
            self._services.dispatcher.heal(hook.id)
        return outcome_shown(outcome)


def _told(before: Hook, after: Hook) -> list[EventDraft]:
    """What is to be told of a change: that the hook was switched on or off."""
    if is_on(before) == is_on(after):
        return []
    on = is_on(after)
    data = {"hook": after.id} if on else {"hook": after.id, "reason": after.disabled_reason}
    return [
        EventDraft(
            type="hook.enabled" if on else "hook.disabled",
            source="hookline",
            subject=after.id,
            data=msgspec.json.encode(data),
        )
    ]


def _without_secret(hook: Hook) -> Hook:
    """As it is stored: the secret that the user brought is among ``keys``."""
    return replace(hook, spec=replace(hook.spec, secret=None))
