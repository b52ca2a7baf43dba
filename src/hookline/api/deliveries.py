"""`/v1/deliveries`: what was owed, and how each attempt went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Raw, Struct

from hookline.api.auth import Caller
from hookline.api.errors import ApiError, not_found
from hookline.api.hook_view import is_on
from hookline.api.paging import After, Limit, Moment, Page, moment, page_of, place_of
from hookline.api.waiting import in_words
from hookline.model import Attempt, AttemptError, Delivery, Kind, State
from hookline.rules.times import format_time
from hookline.services import Services
from hookline.storage import Storage

TAGS = ["Deliveries"]
UNTRIABLE: dict[State, str] = {
    "succeeded": "to send it again, make a replay of it",
    "cancelled": "to send it all the same, make a replay of it",
    "sending": "an attempt is under way",
    "waiting": "it changed at this moment; try again",
    "failed": "it changed at this moment; try again",
    "held": "it changed at this moment; try again",
}
Id = Annotated[str | None, QueryParameter(description="An id.")]
# `state` is a word of the framework's, so the argument has another name than the parameter.
Standing = Annotated[State | None, QueryParameter(name="state", description="How the deliveries stand.")]


class DeliveryShown(Struct, kw_only=True):
    """``waits_for`` says why what is due does not begin. ``next_attempt_at`` is ``null`` where none is to come, or one
    is under way. ``size`` is how many events a batch has, of which ``event`` is the first; ``null`` for what is no
    batch."""

    id: str
    kind: Kind
    state: State
    hook: str | None
    campaign: str | None
    event: str | None
    contact: str | None
    address: str | None
    size: int | None
    attempt_count: int
    next_attempt_at: str | None
    waits_for: str | None
    error: AttemptError | None
    created_at: str
    updated_at: str


class AttemptShown(Struct, frozen=True, kw_only=True):
    """``request`` and ``response`` are what was said, as far as it is kept; secrets do not show in them."""

    id: str
    number: int
    started_at: str
    finished_at: str
    outcome: Literal["ok", "retry", "permanent"]
    error: AttemptError | None
    detail: str
    status: int | None
    request: Any
    response: Any


class DeliveryTold(DeliveryShown, kw_only=True):
    """``events`` are the ids of what is in it."""

    events: list[str]
    attempts: list[AttemptShown]


RESTS = {"paused": "its campaign is paused", "cancelled": "its campaign is cancelled, and so will this be"}


class _Waiting(Struct, frozen=True):
    """What a delivery waits for, in words, and when that may be over, where it is known."""

    words: str
    until: int | None = None


def _fields(delivery: Delivery, waiting: _Waiting | None) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "kind": delivery.kind,
        "state": delivery.state,
        "hook": delivery.hook,
        "campaign": delivery.campaign,
        "event": delivery.event,
        "contact": delivery.contact,
        "address": delivery.address,
        "size": delivery.size or None,
        "attempt_count": delivery.attempts,
        "next_attempt_at": _next_at(delivery, waiting),
        "waits_for": waiting.words if waiting else None,
        "error": delivery.error,
        "created_at": format_time(delivery.created_at),
        "updated_at": format_time(delivery.updated_at),
    }


def _next_at(delivery: Delivery, waiting: _Waiting | None) -> str | None:
    if delivery.next_at is None:
        return None
    if waiting is None:
        return format_time(delivery.next_at)
    return None if waiting.until is None else format_time(max(waiting.until, delivery.next_at))


def _shown(delivery: Delivery, waiting: _Waiting | None = None) -> DeliveryShown:
    return DeliveryShown(**_fields(delivery, waiting))


def _attempt(attempt: Attempt) -> AttemptShown:
    return AttemptShown(
        id=attempt.id,
        number=attempt.number,
        started_at=format_time(attempt.started_at),
        finished_at=format_time(attempt.finished_at),
        outcome=attempt.outcome,
        error=attempt.error,
        detail=attempt.detail,
        status=attempt.status,
        request=Raw(attempt.request or b"null"),
        response=Raw(attempt.response or b"null"),
    )


async def _waiting(services: Services, tenant: str, found: Sequence[Delivery]) -> dict[str, _Waiting]:
    """What keeps any of these from being begun in time, by their ids."""
    pending = [delivery for delivery in found if delivery.next_at is not None]
    resting: Mapping[str, str] = {}
    if any(delivery.lane == delivery.campaign for delivery in pending):
        resting = await services.storage.campaigns.resting(tenant)
    waiting: dict[str, _Waiting] = {}
    for delivery in pending:
        rests, wait = RESTS.get(resting.get(delivery.lane, "")), services.dispatcher.waits(delivery)
        if rests:
            waiting[delivery.id] = _Waiting(rests)
        elif wait is not None:
            waiting[delivery.id] = _Waiting(in_words(wait), wait.until)
    return waiting


async def retried(storage: Storage, tenant: str, name: str, now: int) -> Delivery:
    """The delivery with one more attempt to come. ApiError 404, or 409 where its state or its hook allow none."""
    before = await storage.deliveries.get(tenant, name)
    if before is None:
        raise not_found("delivery", name)
    if before.state == "queued":
        return before
    if before.hook is not None:
        hook = await storage.hooks.get(tenant, before.hook)
        if hook is None:
            raise ApiError(409, "the delivery's hook was deleted; nothing more comes of it")
        if not is_on(hook):
            raise ApiError(409, "the delivery's hook is switched off; switch it on first")
    after = await storage.deliveries.retry(tenant, name, now)
    if after is None:
        raise ApiError(409, f"the delivery is {before.state}; {UNTRIABLE[before.state]}")
    return after


def routes(services: Services) -> list[HTTPRouteHandler]:
    deliveries, clock = services.storage.deliveries, services.clock

    @get("/v1/deliveries", tags=TAGS, operation_id="listDeliveries", summary="List deliveries")
    async def index(
        *,
        key: Caller,
        hook: Id = None,
        event: Id = None,
        campaign: Id = None,
        standing: Standing = None,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = 50,
        after: After = None,
    ) -> Page[DeliveryShown]:
        """Newest first. `since` and `until` are about the time a delivery came to be."""
        now = clock.now()
        found = await deliveries.page(
            key.tenant,
            limit=limit + 1,
            before=place_of(after),
            hook=hook,
            event=event,
            campaign=campaign,
            state=standing,
            since=moment("since", since, now),
            until=moment("until", until, now),
        )
        waiting = await _waiting(services, key.tenant, found)
        return page_of(found, limit, lambda delivery: _shown(delivery, waiting.get(delivery.id)))

    return [index, *_single(services)]


def _single(services: Services) -> list[HTTPRouteHandler]:
    deliveries, clock = services.storage.deliveries, services.clock

    @get("/v1/deliveries/{delivery_id:str}", tags=TAGS, operation_id="getDelivery", summary="A delivery")
    async def one(key: Caller, delivery_id: FromPath[str]) -> DeliveryTold:
        """With every attempt, the first first."""
        delivery = await deliveries.get(key.tenant, delivery_id)
        if delivery is None:
            raise not_found("delivery", delivery_id)
        tries = await deliveries.attempts(key.tenant, delivery_id)
        events = [delivery.event] if delivery.event else []
        if delivery.size:
            events = await deliveries.batch(key.tenant, delivery_id)
        waiting = (await _waiting(services, key.tenant, [delivery])).get(delivery.id)
        ahead = await deliveries.ahead(delivery) if waiting is None else None
        if ahead is not None:
            waiting = _Waiting(f"an earlier delivery of the same subject, {ahead}, is not through")
        return DeliveryTold(
            **_fields(delivery, waiting), events=events, attempts=[_attempt(attempt) for attempt in tries]
        )

    @post(
        "/v1/deliveries/{delivery_id:str}/retry",
        tags=TAGS,
        operation_id="retryDelivery",
        summary="Try a delivery once more",
        status_code=202,
    )
    async def retry(key: Caller, delivery_id: FromPath[str]) -> DeliveryShown:
        """One extra attempt, now. If it fails, the schedule stays as it was."""
        after = await retried(services.storage, key.tenant, delivery_id, clock.now())
        services.dispatcher.heal(after.lane)
        services.dispatcher.wake()
        return _shown(after)

    return [one, retry]
