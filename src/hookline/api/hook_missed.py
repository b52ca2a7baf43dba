"""What a hook missed while it was switched off, and the replay that would make up for it."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from hookline.api.hook_view import HookShown
from hookline.model import MINUTE, Hook, Replay, ReplayInput, ReplayState
from hookline.rules.times import format_time
from hookline.services import Services

STATES: tuple[ReplayState, ...] = ("held", "disabled")
SKEW = MINUTE  # that the clocks of several processes may be apart


class Missed(Struct, frozen=True, kw_only=True):
    """Deliveries that were ``held``, and events that came while it was ``disabled``.

    ``replay`` is what to send to ``POST /v1/replays`` to have all of them delivered; absent where there is none.
    """

    held: int
    disabled: int
    replay: ReplayInput | UnsetType = UNSET


class HookChanged(HookShown, kw_only=True):
    """``missed`` is there when the hook was switched on by the change."""

    missed: Missed | UnsetType = UNSET


async def missed(services: Services, hook: Hook) -> Missed:
    """What a hook that was just switched on has missed."""
    storage = services.storage
    told = await storage.events.page(hook.tenant, limit=1, type="hook.disabled", subject=hook.id)
    off = told[0].accepted_at if told else hook.created_at
    oldest = await storage.deliveries.oldest_held(hook.tenant, hook.id)
    since = min(off - SKEW, off if oldest is None else oldest)
    counted = {}
    for state in STATES:
        spec = ReplayInput(hook=hook.id, states=[state], since=format_time(since))
        wish = Replay(
            tenant=hook.tenant, id="", spec=spec, state="running", created_at=hook.updated_at, since=since
        )
        counted[state] = await storage.replays.count(wish)
    whole = ReplayInput(hook=hook.id, states=[*STATES], since=format_time(since))
    return Missed(
        held=counted["held"],
        disabled=counted["disabled"],
        replay=whole if any(counted.values()) else UNSET,
    )
