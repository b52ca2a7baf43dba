"""``hookline keys``: who may call the API."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

import typer

from hookline.cli.common import TENANT, Mistake, group, on_database, show, when
from hookline.clock import RealClock
from hookline.rules.keys import RANDOM_BYTES, Scope, digest, new_key
from hookline.storage import Storage

app = group("keys", "API keys: make, list and revoke them.")


async def make_key(storage: Storage, name: str, scope: Scope) -> str:
    """Store a new key and return its text, which is shown once."""
    key, text = new_key(TENANT, name, scope, RealClock().now(), secrets.token_bytes(RANDOM_BYTES))
    await storage.access.put_key(key, digest(text))
    return text


@app.command("create")
@on_database
async def create(
    storage: Storage,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        Literal["read", "publish", "manage"],
        typer.Option(help="What it may do; each does what those before it do."),
    ],
) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept."""
    if not 1 <= len(name) <= 200:
        raise Mistake("a key's name has 1 to 200 characters")
    print(await make_key(storage, name, scope))


@app.command("list")
@on_database
async def list_keys(storage: Storage) -> None:
    """List the keys, newest first."""
    rows = [
        (key.id, key.scope, when(key.created_at), "revoked" if key.revoked_at else "valid", key.name)
        for key in await storage.access.page_of_keys(TENANT, limit=250)
    ]
    show(("ID", "SCOPE", "CREATED", "STATE", "NAME"), rows, "There are no keys yet.")


@app.command("revoke")
@on_database
async def revoke(storage: Storage, key: Annotated[str, typer.Argument(metavar="KEY_ID")]) -> None:
    """Revoke a key: it is refused from now on."""
    if not await storage.access.revoke_key(TENANT, key, RealClock().now()):
        raise Mistake(f"there is no valid key {key}; `hookline keys list` shows those there are")
    print(f"{key} is revoked")
