"""temporary"""
from __future__ import annotations
from litestar import Router, get, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from hookline.api.auth import PUBLIC
from hookline.services import Services
CONFIG = OpenAPIConfig(title="Hookline", version="1", openapi_router=Router("/openapi.json", route_handlers=[], include_in_schema=False, opt=PUBLIC), render_plugins=[JsonRenderPlugin(path="/")])
def routes(services: Services) -> list[HTTPRouteHandler]:
    return []
