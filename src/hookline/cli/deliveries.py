"""``hookline deliveries``: what was owed, and how each attempt went."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from hookline.cli.common import TENANT, Mistake, group, on_database, show, when
from hookline.clock import RealClock
from hookline.model import Attempt, State
from hookline.storage import Storage

app = group("deliveries", "Deliveries: list them, show one with its attempts, try one again.")


@app.command("list")
@on_database
async def list_deliveries(
    storage: Storage,
    *,
    hook: Annotated[str | None, typer.Option(help="Of this hook.")] = None,
    event: Annotated[str | None, typer.Option(help="For this event.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Of this campaign.")] = None,
    state: Annotated[State | None, typer.Option(help="In this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
) -> None:
    """List deliveries, newest first."""
    found = await storage.deliveries.page(
        TENANT, limit=limit, hook=hook, event=event, campaign=campaign, state=state
    )
    rows = [
        (when(d.created_at), d.kind, d.state, d.attempts, d.error, d.address or d.event, d.id) for d in found
    ]
    show(
        ("CREATED", "KIND", "STATE", "ATTEMPTS", "ERROR", "FOR", "ID"), rows, "There are no such deliveries."
    )


@app.command("show")
@on_database
async def show_delivery(
    storage: Storage, delivery: Annotated[str, typer.Argument(metavar="DELIVERY_ID")]
) -> None:
    """Show one delivery with what was said at each attempt."""
    found = await storage.deliveries.get(TENANT, delivery)
    if found is None:
        raise Mistake(f"there is no delivery {delivery}")
    facts = {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "error": found.error,
        "hook": found.hook,
        "campaign": found.campaign,
        "event": found.event,
        "contact": found.contact,
        "address": found.address,
        "next attempt": None if found.next_at is None else when(found.next_at),
    }
    for name, value in facts.items():
        if value is not None:
            print(f"{name + ':':<14}{value}")
    for attempt in await storage.deliveries.attempts(TENANT, delivery):
        _show_attempt(attempt)


@app.command("retry")
@on_database
async def retry_delivery(
    storage: Storage, delivery: Annotated[str, typer.Argument(metavar="DELIVERY_ID")]
) -> None:
    """Try a delivery once more, now; its schedule stays as it was. The server beside it does it."""
    from hookline.api.deliveries import retried
    from hookline.api.errors import ApiError

    try:
        after = await retried(storage, TENANT, delivery, RealClock().now())
    except ApiError as error:
        raise Mistake(error.detail) from None
    print(f"{after.id} is {after.state}")


def _show_attempt(attempt: Attempt) -> None:
    took = (attempt.finished_at - attempt.started_at) / 1000
    said = " ".join(str(part) for part in (attempt.error, attempt.status) if part is not None)
    print(f"\nattempt {attempt.number}, {when(attempt.started_at)}, {took:.0f} ms: {attempt.outcome} {said}")
    if attempt.detail:
        print(f"  {attempt.detail}")
    for name, raw in (("request", attempt.request), ("response", attempt.response)):
        if raw:
            text = msgspec.json.format(raw, indent=2).decode()
            print(f"  {name} " + text.replace("\n", "\n  "))
