"""All commands, listed once, here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from hookline import __version__
from hookline.cli import (
    bench,
    campaigns,
    contacts,
    deliveries,
    demo,
    events,
    hooks,
    keys,
    serve,
    setup,
    verify,
    worker,
)
from hookline.cli.common import Mistake
from hookline.storage import StorageUnavailable

app = typer.Typer(
    name="hookline",
    help="An emailing platform and the webhook engine under it: something happens, and the right thing is done.",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)
app.command("verify")(verify.verify)
app.command("migrate")(setup.migrate)
app.command("check")(setup.check)
for group in (keys, events, hooks, deliveries, contacts, campaigns):
    app.add_typer(group.app)


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


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        return int(app(args=list(arguments) or ["--help"], prog_name="hookline", standalone_mode=False) or 0)
    except TyperException as error:
        if text := error.format_message():  # none where the help was shown instead
            print(f"hookline: {text}", file=sys.stderr)
        return 2
    except (Mistake, StorageUnavailable) as error:
        print(f"hookline: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return 0
