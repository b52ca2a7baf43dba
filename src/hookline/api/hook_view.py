"""A hook as it is shown, without its secrets, and how what was shown comes back in a patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from hookline.actions.slack import masked
from hookline.dispatch.standing import Health
from hookline.model import Action, Batch, Hook, HookInput, Limit, RateInput, Retry, SlackAction, WebhookAction
from hookline.rules.breaker import Standing
from hookline.rules.merging import merge_patch
from hookline.rules.times import format_time

HIDDEN = "…"


class HealthShown(Struct, kw_only=True):
    """What the process that answers thinks of the receiver: ``failures`` in a row. A breaker that is ``open`` spares it
    up to ``until``; ``half_open``, one delivery at a time tries it out."""

    breaker: Standing
    failures: int
    until: str | None


class HookShown(Struct, kw_only=True):
    """``disabled_reason`` says why Hookline or a user switched it off. Secrets are shown as ``…``."""

    id: str
    name: str
    on: list[str]
    if_: str | None = msgspec.field(name="if")
    limit: Limit | None
    batch: Batch | None
    do: Action
    retry: Retry
    rate: RateInput | None
    concurrency: int | None
    order: Literal["subject"] | None
    enabled: bool
    disabled_reason: str | None
    health: HealthShown
    metadata: dict[str, str]
    created_at: str
    updated_at: str


class HookMade(HookShown, kw_only=True):
    """``secret`` and ``public_key`` are for its receiver: see also ``GET /v1/hooks/{id}/secret``."""

    secret: str | None
    public_key: str | UnsetType = UNSET


def fields(hook: Hook, health: Health) -> dict[str, Any]:
    """The fields of ``HookShown``."""
    spec = hook.spec
    until = None if health.until is None else format_time(health.until)
    return {
        "id": hook.id,
        "name": spec.name,
        "on": spec.on,
        "if_": spec.if_,
        "limit": _whole(spec.limit) if spec.limit else None,
        "batch": _whole(spec.batch) if spec.batch else None,
        "do": {"kind": spec.do.__struct_config__.tag, **_whole(_masked(spec.do))},
        "retry": _whole(spec.retry),
        "rate": spec.rate,
        "concurrency": spec.concurrency,
        "order": spec.order,
        "enabled": is_on(hook),
        "disabled_reason": hook.disabled_reason,
        "health": HealthShown(breaker=health.breaker, failures=health.failures, until=until),
        "metadata": spec.metadata,
        "created_at": format_time(hook.created_at),
        "updated_at": format_time(hook.updated_at),
    }


def is_on(hook: Hook) -> bool:
    return hook.spec.enabled and hook.disabled_reason is None


def _whole(struct: Struct) -> dict[str, Any]:
    """A struct with its defaults, which are left out where it is stored."""
    return {field.encode_name: getattr(struct, field.name) for field in msgspec.structs.fields(struct)}


def _masked(action: Action) -> Action:
    if isinstance(action, SlackAction) and action.url is not None:
        return msgspec.structs.replace(action, url=masked(action.url))
    if isinstance(action, WebhookAction):
        # Any header may carry a key, whatever its name says.
        return msgspec.structs.replace(action, headers=dict.fromkeys(action.headers, HIDDEN))
    return action


def patched(spec: HookInput, patch: Mapping[str, Any]) -> Any:
    """A spec with a merge patch, as plain values. What comes back masked, as it was shown, stays as it is.

    Another kind is another action: of the old one nothing is left, so that nobody has to know its fields.
    """
    before, given = msgspec.to_builtins(spec), patch.get("do")
    if isinstance(given, Mapping) and given.get("kind", before["do"]["kind"]) != before["do"]["kind"]:
        before["do"] = {}
    merged = merge_patch(before, patch)
    do, action = merged.get("do"), spec.do
    if not isinstance(do, dict) or not before["do"]:
        return merged
    if isinstance(action, SlackAction) and action.url is not None and do.get("url") == masked(action.url):
        do["url"] = action.url
    if isinstance(action, WebhookAction) and isinstance(do.get("headers"), dict):
        for name, value in do["headers"].items():
            if value == HIDDEN and name in action.headers:
                do["headers"][name] = action.headers[name]
    return merged
