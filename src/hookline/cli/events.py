"""``hookline events``: publish one, and see what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from hookline.cli.common import TENANT, group, mistakes, on_app, on_database, read_json, show, when
from hookline.model import Verdict
from hookline.storage import Storage

if TYPE_CHECKING:
    from hookline.app import App

SOURCE = "cli"

app = group("events", "Events: publish one, list them.")


@app.command("publish")
@on_app
async def publish(
    hookline: App,
    *,
    type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as order.paid.")],
    data: Annotated[
        str, typer.Argument(metavar="[DATA]", help="JSON, @file, or - for standard input.")
    ] = "{}",
    subject: Annotated[str | None, typer.Option(help="What it is about, such as an address.")] = None,
    id: Annotated[str | None, typer.Option(help="Your own id; the same again does nothing twice.")] = None,
    source: Annotated[str, typer.Option(help="Where it comes from.")] = SOURCE,
    time: Annotated[str | None, typer.Option(help="When it happened, as 2026-05-04T12:30:00Z.")] = None,
) -> None:
    """Publish an event and print its id. The serve that runs, or the next one, delivers what it owes."""
    from hookline.api.errors import ApiError
    from hookline.api.publishing import read_events
    from hookline.storage.units import SourceIdConflict

    fields = {"type": type, "id": id, "source": source, "subject": subject, "time": time}
    event = {name: value for name, value in fields.items() if value is not None}
    body = msgspec.json.encode(event | {"data": read_json(data, msgspec.Raw)})
    with mistakes(ApiError, SourceIdConflict):
        drafts, _ = read_events("application/json", (), body, SOURCE)
        [accepted] = await hookline.services.intake.accept(TENANT, drafts)
    count = len(accepted.deliveries)
    known = ", known before: nothing is done twice" if accepted.duplicate else ""
    print(f"{accepted.id}  {count} {'delivery' if count == 1 else 'deliveries'}{known}")


@app.command("list")
@on_database
async def list_events(
    storage: Storage,
    type: Annotated[str | None, typer.Option(help='A type, or a prefix such as "email.*".')] = None,
    subject: Annotated[str | None, typer.Option(help="What they are about.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
) -> None:
    """List events, newest first."""
    found = await storage.events.page(TENANT, limit=limit, type=type, subject=subject)
    rows = [(when(e.time), e.type, e.subject, _verdicts(e.verdicts), e.id) for e in found]
    show(("TIME", "TYPE", "SUBJECT", "HOOKS", "ID"), rows, "There are no such events.")


def _verdicts(verdicts: Sequence[Verdict]) -> str | None:
    """In a word for each hook that looked at it."""
    return ",".join(verdict.verdict for verdict in verdicts) or None
