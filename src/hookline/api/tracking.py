"""Placeholder."""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from hookline.api.services import Services


def routes(services: Services) -> list[HTTPRouteHandler]:
    return []
