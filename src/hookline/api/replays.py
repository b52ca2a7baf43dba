"""`/v1/replays`: deliveries made anew, on purpose, from old ones."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of, span
from hookline.model import Replay, ReplayInput
from hookline.rules.catalogue import known_types
from hookline.rules.ids import new_id
from hookline.rules.matching import check_pattern
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Deliveries"]


class ReplayShown(Struct, frozen=True, kw_only=True):
    """``done`` of ``total`` deliveries are made anew. A dry run has neither id nor state: it did nothing.

    ``total`` was counted just before the replay began: what changed in between is done, or not, beside it.
    """

    id: str | None
    hook: str
    types: list[str]
    states: list[str]
    since: str | None
    until: str | None
    dry_run: bool
    state: Literal["running", "finished", "stopped"] | None
    total: int
    done: int
    created_at: str
    finished_at: str | None


def _shown(replay: Replay) -> ReplayShown:
    return ReplayShown(
        id=None if replay.spec.dry_run else replay.id,
        hook=replay.spec.hook,
        types=replay.spec.types,
        states=[*replay.spec.states],
        since=None if replay.since is None else format_time(replay.since),
        until=None if replay.until is None else format_time(replay.until),
        dry_run=replay.spec.dry_run,
        state=None if replay.spec.dry_run else replay.state,
        total=replay.total,
        done=replay.done,
        created_at=format_time(replay.created_at),
        finished_at=None if replay.finished_at is None else format_time(replay.finished_at),
    )


def routes(services: Services) -> list[HTTPRouteHandler]:
    storage, clock = services.storage, services.clock

    @post(
        "/v1/replays",
        tags=TAGS,
        operation_id="startReplay",
        summary="Replay deliveries of a hook",
        status_code=202,
    )
    async def start(key: Caller, data: JSONBody[ReplayInput]) -> Response[ReplayShown]:
        """202 when it has begun; 200 for a dry run, which only says how many there would be.

        `states` are those of the old deliveries; `disabled` stands for events that came while the hook was
        switched off, and that it has no delivery of yet. `since` and `until` are about the time these came to be.
        """
        now = clock.now()
        if await storage.hooks.get(key.tenant, data.hook) is None:
            raise invalid("/hook", f"there is no hook {data.hook!r}")
        for place, pattern in enumerate(data.types):
            try:
                check_pattern(pattern, known_types())
            except ValueError as error:
                raise invalid(f"/types/{place}", str(error)) from None
        since, until = span("/since", data.since, now), span("/until", data.until, now)
        if since is not None and until is not None and until < since:
            raise invalid("/until", "this is before since")
        wish = Replay(
            tenant=key.tenant,
            id=new_id("rpl"),
            spec=data,
            state="running",
            created_at=now,
            since=since,
            until=until,
        )
        if data.dry_run:
            total = await storage.replays.count(wish)
            return Response(_shown(msgspec.structs.replace(wish, total=total)), status_code=200)
        return Response(_shown(await services.replayer.start(wish)), status_code=202)

    @get("/v1/replays", tags=TAGS, operation_id="listReplays", summary="List replays")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[ReplayShown]:
        found = await storage.replays.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    @get("/v1/replays/{replay_id:str}", tags=TAGS, operation_id="getReplay", summary="A replay's progress")
    async def one(key: Caller, replay_id: FromPath[str]) -> ReplayShown:
        found = await storage.replays.get(key.tenant, replay_id)
        if found is None:
            raise not_found("replay", replay_id)
        return _shown(found)

    @delete("/v1/replays/{replay_id:str}", tags=TAGS, operation_id="stopReplay", summary="Stop a replay")
    async def stop(key: Caller, replay_id: FromPath[str]) -> None:
        """It makes no more deliveries, and those that it has made and that have not begun are cancelled.

        A later replay finds these as `cancelled`, also where they stood for events of the state `disabled`.
        """
        found = await storage.replays.get(key.tenant, replay_id)
        if found is None:
            raise not_found("replay", replay_id)
        if not await storage.replays.stop(found, clock.now()):
            raise ApiError(409, "the replay is not running any more, and all of its deliveries have begun")

    return [start, index, one, stop]
