"""`/v1/stats`: what was counted, by what it was about and by time."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.errors import bad_parameter
from hookline.api.paging import Moment, moment
from hookline.model import HOUR
from hookline.rules.times import format_time
from hookline.services import Services
from hookline.stats import DEFINITIONS, EVENT_DEFINITIONS, rates
from hookline.storage.counting import FAILED
from hookline.storage.figures import Bucket, Figures

TAGS = ["Statistics"]
MOST = 10_000
BREATH = 100  # rows made before others have their turn
EVENTS = ("type", "source")
HOURS: dict[str, Literal[1, 24] | None] = {"hour": 1, "day": 24, "total": None}
Dim = Literal["campaign", "list", "hook", "link", "domain", "type", "source"]
By = Annotated[
    Dim | None, QueryParameter(description="What each row is about; without it all mail together.")
]
Resolution = Annotated[
    Literal["total", "day", "hour"], QueryParameter(description="A row for each day or hour, in UTC, or one.")
]
Timing = Annotated[
    Literal["event", "message"],
    QueryParameter(description="Whether a figure counts when it happened, or when its message was sent."),
]
One = Annotated[str | None, QueryParameter(description="Only this one.")]


class StatsShown(Struct, frozen=True, kw_only=True):
    """``since`` and ``until`` as they were rounded, to full hours or days: ``since`` down, ``until`` up.

    A row has the name that ``by`` asks for (``campaign``: its id), its ``time`` (the begin of the hour or day), counts,
    and rates as fractions of 1, ``null`` without a denominator; ``definitions`` says what each is.
    """

    by: Dim | None
    resolution: str
    timing: str
    since: str | None
    until: str | None
    data: list[dict[str, Any]]
    definitions: dict[str, str]


class Asked(Struct, frozen=True, kw_only=True):
    by: Dim | None
    resolution: Literal["total", "day", "hour"]
    timing: Literal["event", "message"]
    since: int | None
    until: int | None
    only: dict[str, str]


def place(asked: Asked) -> tuple[str, str, str | None]:
    """The dimension of the counters, the parent and the name that are asked for; ApiError 422 for what was not
    counted."""
    by, only = asked.by, dict(asked.only)
    if by in EVENTS and asked.timing == "message":
        raise bad_parameter("timing", f"by {by} events are counted, by their own time")
    name = only.pop(by, None) if by else None
    parents = ("campaign", "hook") if by == "link" else ("campaign",) if by == "domain" else ()
    parent = next((only.pop(key) for key in parents if key in only), "")
    if by == "link" and not parent:
        raise bad_parameter("campaign", "links are counted by campaign or hook: name one")
    for key in only:
        raise bad_parameter(key, f"not counted {f'by {by}' if by else 'in all'} for one {key}: use by={key}")
    if by == "domain" and parent and (asked.resolution != "total" or asked.since or asked.until):
        raise bad_parameter(
            "campaign", "the domains of a campaign are counted in all: resolution=total alone"
        )
    return by or "all", parent, name


def routes(services: Services) -> list[HTTPRouteHandler]:
    figures, clock = services.storage.figures, services.clock

    @get("/v1/stats", tags=TAGS, operation_id="getStats", summary="Read figures")
    async def index(
        *,
        key: Caller,
        by: By = None,
        resolution: Resolution = "total",
        timing: Timing = "event",
        since: Moment = None,
        until: Moment = None,
        campaign: One = None,
        list: One = None,
        hook: One = None,
        domain: One = None,
        type: One = None,
        source: One = None,
    ) -> StatsShown:
        """Live: counted as things happen, never recomputed. At most 10,000 rows, ordered by name and time."""
        given = {
            "campaign": campaign, "list": list, "hook": hook, "domain": domain, "type": type, "source": source,
        }  # fmt: skip
        now = clock.now()
        hours = HOURS[resolution]
        asked = Asked(
            by=by,
            resolution=resolution,
            timing=timing,
            since=_rounded(moment("since", since, now), hours, up=False),
            until=_rounded(moment("until", until, now), hours, up=True),
            only={name: value for name, value in given.items() if value is not None},
        )
        found = await _read(figures, key.tenant, asked)
        if by == "hook" and timing == "event":
            found = _joined(found, await _read(figures, key.tenant, asked, FAILED), "deliveries_failed")
        if len(found) > MOST:
            raise bad_parameter(
                "resolution", f"more than {MOST:,} rows: take a coarser resolution, or narrow since and until"
            )
        return await _shown(asked, found)

    return [index]


async def _read(figures: Figures, tenant: str, asked: Asked, instead: str = "") -> list[Bucket]:
    """What was counted; under another dimension ``instead``, if so."""
    dim, parent, name = place(asked)
    dim = instead or dim
    hours, since, until = HOURS[asked.resolution], asked.since, asked.until
    if hours is not None:
        return await figures.buckets(
            tenant, dim, parent=parent, name=name, timing=asked.timing, hours=hours, since=since, until=until,
            limit=MOST + 1,
        )  # fmt: skip
    if since is None and until is None:
        return await figures.totals(tenant, dim, parent=parent, name=name, limit=MOST + 1)
    return await figures.windows(
        tenant, dim, parent=parent, name=name, timing=asked.timing, since=since, until=until, limit=MOST + 1
    )


def _joined(found: list[Bucket], more: list[Bucket], figure: str) -> list[Bucket]:
    """Buckets with what was counted for each elsewhere, under the name of a figure."""
    rows = {(bucket.name, bucket.start): bucket for bucket in found}
    for name, start, counted in more:
        known = rows.setdefault((name, start), Bucket(name, start, {}))
        known.figures[figure] = counted["deliveries"]
    return [rows[key] for key in sorted(rows, key=lambda key: (key[0], key[1] or 0))]


def _rounded(time: int | None, hours: int | None, *, up: bool) -> int | None:
    """A time as an hour since 1970, at the edge of a bucket."""
    if time is None:
        return None
    size = (hours or 1) * HOUR
    return (-(-time // size) if up else time // size) * (hours or 1)


async def _shown(asked: Asked, found: list[Bucket]) -> StatsShown:
    about = EVENT_DEFINITIONS if asked.by in EVENTS else DEFINITIONS
    if asked.by == "hook":
        about = {**DEFINITIONS, **EVENT_DEFINITIONS}
    data: list[dict[str, Any]] = []
    for place, bucket in enumerate(found, 1):
        data.append(row(asked.by, bucket, timing=asked.timing))
        if place % BREATH == 0:
            await asyncio.sleep(0)
    return StatsShown(
        by=asked.by,
        resolution=asked.resolution,
        timing=asked.timing,
        since=_time(asked.since),
        until=_time(asked.until),
        data=data,
        definitions={name: about[name] for name in about if name not in ("recipients", "waiting")},
    )


def row(by: Dim | None, bucket: Bucket, *, timing: Timing = "event") -> dict[str, Any]:
    """One bucket as it is shown. Deliveries are counted by their own time alone."""
    shown: dict[str, Any] = {by: bucket.name} if by else {}
    if bucket.start is not None:
        shown["time"] = _time(bucket.start)
    if by in EVENTS:
        return {**shown, "events": bucket.figures.get("events", 0)}
    if by == "link":
        return {**shown, **link_figures(bucket.figures)}
    if by == "hook":
        figures = dict(bucket.figures)
        for figure in ("deliveries", "deliveries_failed"):
            count = figures.pop(figure, 0)
            if timing == "event":
                shown[figure] = count
        return {**shown, **rates(figures)}
    return {**shown, **rates(bucket.figures)}


def link_figures(figures: dict[str, int]) -> dict[str, int]:
    """What is counted of a link."""
    return {name: figures.get(name, 0) for name in ("clicked", "clicked_total", "clicked_machine")}


def _time(hour: int | None) -> str | None:
    return None if hour is None else format_time(hour * HOUR)
