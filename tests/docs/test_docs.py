"""The docs name every setting, command, route and event type, and link to what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import typer.main
from msgspec.structs import fields

from hookline import __version__
from hookline.cli.commands import app
from hookline.providers import PROVIDERS
from hookline.rules.catalogue import known_types
from hookline.settings import Settings
from support.process import Serve

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def commands(command: Any, path: str) -> list[str]:
    below: dict[str, Any] = getattr(command, "commands", {})
    found = [name for sub, under in below.items() for name in commands(under, f"{path} {sub}")]
    return found or [path]


def test_every_setting_is_documented() -> None:
    for field in fields(Settings):
        assert f"`HOOKLINE_{field.name.upper()}`" in REFERENCE
        assert f"`--{field.name.replace('_', '-')}`" in REFERENCE


def test_every_command_is_documented() -> None:
    found = commands(typer.main.get_command(app), "hookline")
    assert len(found) > 10
    assert [name for name in found if f"`{name}`" not in REFERENCE] == []


async def test_every_route_is_documented(tmp_path: Path) -> None:
    server = Serve(tmp_path)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/openapi.json") as answer:
            paths = (await answer.json())["paths"]
    finally:
        await server.stop()
    routes = [f"`{method.upper()} {path}`" for path, methods in paths.items() for method in methods]
    assert len(routes) > 30
    assert [route for route in routes if route not in REFERENCE] == []


def test_every_event_type_is_documented() -> None:
    assert [name for name in known_types() if f"`{name}`" not in REFERENCE] == []


def test_every_provider_is_documented() -> None:
    page = (ROOT / "docs" / "providers.md").read_text()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.count("|") > 5}
    assert [provider.name for provider in PROVIDERS if f"`{provider.name}`" not in rows] == []
    names = {name for provider in PROVIDERS for name in provider.credentials}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_promise_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    promised = page.partition("## What is not promised")[0]
    rows = [line for line in promised.splitlines() if line.startswith("| ") and "shown by" not in line]
    rows = [line for line in rows if not line.startswith("| ---")]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert named, f"nothing shows that: {row}"
        for path, name in named:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.M), f"{path}::{name}"
