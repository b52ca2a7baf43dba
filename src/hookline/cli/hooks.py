"""``hookline hooks``: list, add and try them, switch them on and off."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from msgspec import UNSET

from hookline.cli.common import TENANT, group, mistakes, on_app, on_database, read_json, show
from hookline.model import Action, Hook
from hookline.rules.signing import SECRET
from hookline.storage import Storage

if TYPE_CHECKING:
    from hookline.app import App

app = group("hooks", "Hooks: on these events, if this holds, do that.")
HookId = Annotated[str, typer.Argument(metavar="HOOK_ID")]


@app.command("list")
@on_database
async def list_hooks(storage: Storage) -> None:
    """List the hooks, newest first."""
    rows = [
        (hook.id, _state(hook), ",".join(hook.spec.on), _whither(hook.spec.do), hook.spec.name)
        for hook in await storage.hooks.page(TENANT, limit=250)
    ]
    show(("ID", "STATE", "ON", "DOES", "NAME"), rows, "There are no hooks yet.")


@app.command("add")
@on_app
async def add(
    hookline: App,
    *,
    hook: Annotated[
        str | None,
        typer.Argument(metavar="[HOOK]", help="JSON as the API takes it, @file, or - for standard input."),
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option(help='An event type, or a prefix such as "email.*".')
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where a webhook goes.")] = None,
    name: Annotated[str | None, typer.Option(help="What the hook is called.")] = None,
) -> None:
    """Add a hook, whole as JSON or a webhook by --on and --url; print its id, and the secret of a webhook."""
    from hookline.api.bodies import decode
    from hookline.api.errors import ApiError
    from hookline.api.hooks import Desk
    from hookline.model import HookInput

    spec: dict[str, Any] = read_json(hook, dict[str, Any]) if hook is not None else {}
    if on:
        spec["on"] = on
    if url is not None:
        spec["do"] = {"kind": "webhook", "url": url}
    if name is not None:
        spec["name"] = name
    with mistakes(ApiError):
        made = await Desk(hookline.services).create(TENANT, decode(msgspec.json.encode(spec), HookInput))
    print(" ".join((made.id, *(key.text for key in made.keys if key.text.startswith(SECRET)))))


@app.command("test")
@on_app
async def try_out(
    hookline: App,
    hook: HookId,
    event: Annotated[str | None, typer.Option(metavar="EVENT_ID", help="Try it on this event.")] = None,
    to: Annotated[
        str | None, typer.Option(help="Another URL, address or number than the hook's own.")
    ] = None,
) -> int:
    """Perform a hook's action once, now, and print what came of it. Exit code 1 when it did not work."""
    from hookline.api.errors import ApiError
    from hookline.api.hooks import Desk
    from hookline.api.trying import TrialInput

    desk = Desk(hookline.services)
    with mistakes(ApiError):
        outcome = await desk.test(await desk.get(TENANT, hook), TrialInput(event_id=event, to=to))
    said = (outcome.error, outcome.status, outcome.detail)
    print(" ".join(["ok" if outcome.ok else "FAILED", *(str(part) for part in said if part)]))
    return 0 if outcome.ok else 1


@app.command("enable")
@on_app
async def enable(hookline: App, hook: HookId) -> None:
    """Switch a hook on; it counts for the next event."""
    await _switch(hookline, hook, on=True)


@app.command("disable")
@on_app
async def disable(hookline: App, hook: HookId) -> None:
    """Switch a hook off; what it still owes is held."""
    await _switch(hookline, hook, on=False)


async def _switch(hookline: App, name: str, *, on: bool) -> None:
    from hookline.api.errors import ApiError
    from hookline.api.hook_missed import missed
    from hookline.api.hooks import Desk

    with mistakes(ApiError):
        before, hook = await Desk(hookline.services).change(TENANT, name, {"enabled": on})
    print(f"{hook.id} is {_state(hook)}")
    if on and _state(before) == "off":
        lost = await missed(hookline.services, hook)
        if lost.replay is not UNSET:
            wish = msgspec.json.encode(lost.replay).decode()
            print(
                f"{lost.held} held, {lost.disabled} missed; to have them delivered: POST /v1/replays {wish}",
                file=sys.stderr,
            )


def _state(hook: Hook) -> str:
    return "on" if hook.spec.enabled and hook.disabled_reason is None else "off"


def _whither(action: Action) -> str:
    """What it does, and to whom, as far as that is no secret."""
    kind = action.__struct_config__.tag
    to = getattr(action, "to", None) or (getattr(action, "url", "") if kind == "webhook" else "")
    return f"{kind} {to}".strip()
