"""What the commands share: settings as flags, a database that is opened and closed, sentences for mistakes."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar, cast, get_type_hints

import msgspec
import typer
import uvloop

from hookline.model import SECOND
from hookline.rules.times import format_time
from hookline.settings import Settings, load, secret_key
from hookline.storage import Storage, StorageUnavailable, open_storage

if TYPE_CHECKING:
    from hookline.app import App

P = ParamSpec("P")
T = TypeVar("T")
Result = Coroutine[Any, Any, int | None]

TENANT = "default"
HELP = {
    "home": "Data folder: the SQLite file and the secret key.",
    "listen": "host:port of the HTTP server.",
    "public_url": "How the world reaches us; links and pixels in mails begin with it.",
    "database": "postgresql://…; without it, SQLite in the data folder.",
    "smtp_url": "smtp://user:password@host:port, or smtps://….",
    "allow_targets": "CIDRs, comma-separated, that hooks may reach although they are not public.",
    "dkim_domain": "Domains, comma-separated, whose mails are signed.",
    "dkim_selector": "The name under which their public keys are in the DNS.",
    "dkim_key": "Their private keys: PEM files.",
    "bounce_domain": "Domain whose mail comes back to us: bounces, complaints, unsubscribing by mail.",
    "mail_listen": "host:port of the SMTP server that takes that mail.",
    "grace": "Seconds that SIGTERM gives to what is under way; 10.",
    "secret_key": "64 hexadecimal digits; without it, a file in the data folder.",
}
# Where the data is and how it is sealed: what every command that works on it has to know.
PLACE = ("home", "database", "secret_key")
EVERYTHING = Settings.__struct_fields__
CONFIG = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; or $HOOKLINE_CONFIG.")
    ],
)


class Mistake(Exception):
    """Something that the user can put right, in one sentence."""


@contextmanager
def mistakes(*also: type[Exception]) -> Iterator[None]:
    """What goes wrong in here for a reason outside the program, or as one of ``also``, is a ``Mistake``."""
    outside: tuple[type[Exception], ...] = (ValueError, OSError, StorageUnavailable, *also)
    try:
        yield
    except outside as error:
        raise Mistake(str(error)) from error


def with_settings(*names: str) -> Callable[[Callable[Concatenate[Settings, P], Result]], Callable[..., int]]:
    """Make a command of an async function: its first argument is the settings, read from ``--config``, the
    environment and a flag for each of ``names``."""
    return lambda function: _command(names, function, function)


def _command(
    names: Sequence[str], like: Callable[..., Any], function: Callable[..., Result]
) -> Callable[..., int]:
    def command(**arguments: Any) -> int:
        flags = {name: arguments.pop(name) for name in names}
        settings = settings_from(arguments.pop("config"), flags)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(cast("Any", function)(settings, **arguments)) or 0

    # The first argument is not the command line's, and its type need not even be loaded.
    own = list(inspect.signature(like).parameters.values())[1:]
    strings = SimpleNamespace(__annotations__={p.name: p.annotation for p in own})
    types = get_type_hints(strings, globalns=cast("Any", like).__globals__, include_extras=True)
    parameters = [
        *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=types[p.name]) for p in own),
        *(_flag(name) for name in names),
        CONFIG,
    ]
    typed = cast("Any", command)
    typed.__signature__ = inspect.Signature(parameters)
    typed.__annotations__ = {p.name: p.annotation for p in parameters}
    typed.__doc__, typed.__name__ = like.__doc__, like.__name__
    return command


def _flag(name: str) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", metavar="TEXT", help=HELP.get(name, ""))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def settings_from(config: Path | None, flags: dict[str, str | None]) -> Settings:
    named = os.environ.get("HOOKLINE_CONFIG")
    with mistakes():
        return load(os.environ, flags, config or (Path(named) if named else None))


def on_database(function: Callable[Concatenate[Storage, P], Result]) -> Callable[..., int]:
    """Make a command of an async function whose first argument is the opened database."""

    async def opened(settings: Settings, *args: P.args, **arguments: P.kwargs) -> int | None:
        async with database(settings) as storage:
            return await function(storage, *args, **arguments)

    return _command(PLACE, function, opened)


def on_app(function: Callable[Concatenate[App, P], Result]) -> Callable[..., int]:
    """Make a command of an async function whose first argument is a Hookline that accepts and does no work:
    what it makes due is left to the ``serve`` that runs beside it, or next."""

    async def opened(settings: Settings, *args: P.args, **arguments: P.kwargs) -> int | None:
        from hookline.app import build

        with mistakes():
            app = await build(settings)
        app.services.intake.reserve = lambda lane, kind: None
        app.services.intake.born = lambda accepted: None
        try:
            return await function(app, *args, **arguments)
        finally:
            await app.stop()

    return _command(EVERYTHING, function, opened)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Storage]:
    """The database of these settings, open."""
    with mistakes():
        storage = await open_storage(settings.storage_url, secret_key(settings))
    try:
        yield storage
    finally:
        await storage.close()


def group(name: str, help: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(name=name, help=help, no_args_is_help=True, pretty_exceptions_enable=False)


def show(headings: Sequence[str], rows: Sequence[Sequence[object]], none: str) -> None:
    """Print rows in columns, or the sentence ``none`` on stderr; as wide as they are, so that pipes get all."""
    if not rows:
        print(none, file=sys.stderr)
        return
    texts = [[str(cell) if cell is not None else "-" for cell in row] for row in [headings, *rows]]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def when(micros: int) -> str:
    """A time as people read it, to the second, in UTC."""
    return format_time(micros - micros % SECOND)


def read_json(text: str, kind: type[T]) -> T:
    """JSON from an argument, from a file (``@name``) or from standard input (``-``), as ``kind``."""
    source = text
    if text == "-":
        source = sys.stdin.read()
    elif text.startswith("@"):
        with mistakes():
            source = Path(text[1:]).read_text()
    try:
        return msgspec.json.decode(source, type=kind)
    except msgspec.ValidationError as error:
        raise Mistake(f"this cannot be: {error}") from None
    except msgspec.DecodeError as error:
        raise Mistake(f"this is not JSON: {error}") from None
