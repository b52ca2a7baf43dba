"""Whether this process lives, and whether it can work."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from hookline.api.auth import PUBLIC
from hookline.services import Services


class Health(Struct, frozen=True):
    status: str


def routes(services: Services) -> list[HTTPRouteHandler]:
    @get("/health/live", opt=PUBLIC, tags=["Health"], operation_id="live", summary="The process answers")
    async def live() -> Health:
        return Health("ok")

    @get(
        "/health/ready",
        opt=PUBLIC,
        tags=["Health"],
        operation_id="ready",
        summary="The database answers, too",
    )
    async def ready() -> Health:
        """503 while the database is away."""
        await services.storage.events.last_place()
        return Health("ok")

    return [live, ready]
