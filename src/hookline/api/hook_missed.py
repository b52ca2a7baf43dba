"""What a hook missed while it was switched off, and the replay that would make up for it."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from hookline.api.hook_view import HookShown
from hookline.model import MINUTE, Hook, Replay, ReplayInput, ReplayState
from hookline.rules.times import format_time
from hookline.services import Services

STATES: tuple[ReplayState, ...] = ("held", "disabled")
SKEW = MINUTE  # that the clocks of several processes may be apart
LOOKED_AT = 100_000  # events and deliveries that have come since, before an answer is given


class Missed(Struct, frozen=True, kw_only=True):
    """Deliveries that were ``held``, and events that came while it was ``disabled``; ``more`` says that very much has
    happened since, and not all of it was looked at.

    ``replay`` is what to send to ``POST /v1/replays`` to have all of them delivered; absent where there is none.
    """

    held: int
    disabled: int
    more: bool | UnsetType = UNSET
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

    def wish(*states: ReplayState) -> ReplayInput:
        return ReplayInput(hook=hook.id, states=[*states], since=format_time(since))

    def replay(spec: ReplayInput) -> Replay:
        return Replay(
            tenant=hook.tenant, id="", spec=spec, state="running", created_at=hook.updated_at, since=since
        )

    held = await storage.replays.count(replay(wish("held")))
    # What it missed came after it was switched off, and the sequence tells what came after what.
    place = told[0].seq if told else hook.seq
    disabled, all_of_it = await storage.replays.count_missed(replay(wish("disabled")), place, LOOKED_AT)
    return Missed(
        held=held,
        disabled=disabled,
        more=UNSET if all_of_it else True,
        replay=wish(*STATES) if held or disabled or not all_of_it else UNSET,
    )
