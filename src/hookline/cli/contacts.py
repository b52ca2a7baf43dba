"""``hookline contacts``: read a file into contacts."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from hookline.cli.common import TENANT, Mistake, group, mistakes, on_app

if TYPE_CHECKING:
    from hookline.api.importing import Importer
    from hookline.app import App

PIECE = 256 * 1024
LINES = (".ndjson", ".jsonl", ".json")

app = group("contacts", "Contacts: read a file of them.")


@app.callback()
def _root() -> None: ...


@app.command("import")
@on_app
async def import_contacts(
    hookline: App,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV or lines of JSON; - for standard input.")],
    list: Annotated[str | None, typer.Option(help="A list to join, by its id or name.")] = None,
    format: Annotated[str | None, typer.Option(help="csv or ndjson; else by the file's name.")] = None,
    charset: Annotated[str | None, typer.Option(help="Else it is found out.")] = None,
    types: Annotated[str | None, typer.Option(help="Of columns, as in balance:number,vip:boolean.")] = None,
    events: Annotated[bool, typer.Option(help="Whether hooks hear of it.")] = True,
    resubscribe: Annotated[bool, typer.Option(help="Put those back who have left.")] = False,
    confirmed: Annotated[bool, typer.Option(help="They have confirmed: ask nobody.")] = False,
    resume: Annotated[str | None, typer.Option(help="Go on with this import, by its id.")] = None,
) -> int:
    """Import contacts. Bad lines are passed over and printed, and the exit code is 1 if there were any."""
    from hookline.api.errors import ApiError
    from hookline.api.importing import Importer
    from hookline.api.imports import Imports, spec_of

    kind: Literal["csv", "ndjson"] = (
        "ndjson" if (format or Path(file).suffix) in ("ndjson", *LINES) else "csv"
    )
    book = Imports(hookline.services)
    with mistakes(ApiError), _opened(file) as opened:
        if resume is not None:
            job = await book.again(TENANT, resume)
        else:
            size = None if file == "-" else os.fstat(opened.fileno()).st_size
            spec = spec_of(format=format or kind, charset=charset, types=types, size=size)
            job = await book.new(
                TENANT, spec, list=list, events=events, resubscribe=resubscribe, confirmed=confirmed
            )
        importer = Importer(hookline.services, job, new=resume is None)
        progress = asyncio.create_task(_progress(importer))
        try:
            job = await importer.run(_pieces(opened))
        except BaseException:
            if importer.stored:
                print(f"stopped; go on with: --resume {job.id}", file=sys.stderr)
            raise
        finally:
            progress.cancel()
            await importer.stop()
    for fault in await hookline.services.storage.imports.faults(TENANT, job.id):
        where = f"{fault.field}: " if fault.field else ""
        print(f"line {fault.line}: {where}{fault.detail}", file=sys.stderr)
    print(
        f"{job.id}  {job.read} read: {job.created} created, {job.updated} updated, {job.unchanged} unchanged,"
        f" {job.bad} bad; {job.kept_out} kept out"
    )
    return 1 if job.bad else 0


def _opened(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Mistake(f"{file}: {error.strerror}") from None


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield piece


async def _progress(importer: Importer) -> None:
    """Say how far it is, where somebody looks on."""
    while sys.stderr.isatty():
        await asyncio.sleep(0.5)
        job = importer.job
        share = f" ({job.position / job.spec.size:.0%})" if job.spec.size else ""
        print(f"\r{job.read} read{share}, {job.bad} bad ", end="", file=sys.stderr, flush=True)
