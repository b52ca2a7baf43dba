"""The docs name every setting, command, route and event type, and link to what is there."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main
from click import Command, Group
from msgspec.structs import fields

from hookline import __version__
from hookline.api.openapi import document
from hookline.cli import app
from hookline.rules.catalogue import known_types
from hookline.settings import Settings

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def commands(command: Command, path: str) -> list[str]:
    if not isinstance(command, Group):
        return [path]
    return [found for name, sub in command.commands.items() for found in commands(sub, f"{path} {name}")]


def test_every_setting_is_documented() -> None:
    for field in fields(Settings):
        assert f"`HOOKLINE_{field.name.upper()}`" in REFERENCE
        assert f"`--{field.name.replace('_', '-')}`" in REFERENCE


def test_every_command_is_documented() -> None:
    found = commands(typer.main.get_command(app), "hookline")
    assert len(found) > 10
    assert [name for name in found if f"`{name}`" not in REFERENCE] == []


def test_every_event_type_is_documented() -> None:
    assert [name for name in known_types() if f"`{name}`" not in REFERENCE] == []


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
