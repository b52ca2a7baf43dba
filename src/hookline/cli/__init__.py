"""The ``hookline`` command: a file for each group of commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hookline import __version__
from hookline.cli import demo, deliveries, events, hooks, keys, serve

app = typer.Typer(
    name="hookline",
    help="An emailing platform and the webhook engine under it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for module in (serve, demo):
    module.register(app)
for name, group in (("keys", keys), ("events", events), ("hooks", hooks), ("deliveries", deliveries)):
    app.add_typer(group.app, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hookline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line; a mistake of the user's is a sentence and exit code 2, not a traceback."""
    try:
        app()
    except ValueError as error:
        print(f"hookline: {error}", file=sys.stderr)
        sys.exit(2)
