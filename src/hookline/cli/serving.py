"""One process that serves: its socket, its server, its log, and the lock on its data folder."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
import uvicorn

from hookline.cli.asgi import Asgi, Receive, Scope, Send
from hookline.cli.common import Mistake
from hookline.cli.door import WAITS, Door, Quick, Waits
from hookline.settings import Settings

BACKLOG = 2048
OPEN_FILES = 65_536


class Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it: what is behind it has to be stopped after it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    asgi: Asgi,
    listener: socket.socket,
    quick: Quick | None = None,
    grace: int = 10,
    waits: Waits = WAITS,
) -> AsyncIterator[None]:
    """Answer HTTP on a listening socket for as long as the block lasts; requests under way have ``grace`` seconds
    to be finished.

    ``quick`` answers publishers and readers, past the server (see ``door``); ``asgi`` does where there is none.
    """
    stopping = asyncio.Event()
    config = uvicorn.Config(
        ending_streams(asgi, stopping),
        http=cast("Any", partial(Door, quick, waits)) if quick else "httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=grace,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        stopping.set()
        server.should_exit = True
        await task


def ending_streams(asgi: Asgi, stopping: asyncio.Event) -> Asgi:
    """The application, whose endless answers end when ``stopping`` is set: a stream of events would hold up
    the server's end. It is told that its client has gone, and the answer is closed in good order."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await asgi(scope, receive, send)
            return
        told = open_ = False

        async def receive_or_stop() -> MutableMapping[str, Any]:
            nonlocal told
            if not told:  # the request itself
                told = True
                return await receive()
            waits = [asyncio.ensure_future(receive()), asyncio.ensure_future(stopping.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                message = waits[0].result() if waits[0].done() else {"type": "http.disconnect"}
            finally:
                for wait in waits:
                    wait.cancel()
            return cast("MutableMapping[str, Any]", message)

        async def watched_send(message: MutableMapping[str, Any]) -> None:
            nonlocal open_
            open_ = message["type"] == "http.response.start" or bool(message.get("more_body"))
            await send(message)

        await asgi(scope, receive_or_stop, watched_send)
        if open_ and stopping.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return application


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free. Mistake where there is none to be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Mistake(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port of a listening socket, as it is written in a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def owning(settings: Settings) -> Iterator[None]:
    """Own the data folder for as long as the block lasts. Mistake when another process does.

    SQLite is written by one process alone: a second would take the first's work for a dead one's.
    """
    if settings.database:
        yield
        return
    home = Path(settings.home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "serve.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise Mistake(
                f"another hookline serve (process {owner}) works on the data folder {home}, and with SQLite one "
                "process owns it: stop that one, choose another --home, or use PostgreSQL (--database)"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def told_to_stop() -> asyncio.Event:
    """Set at the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def begin() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, begin)
    return stop


def raise_open_files() -> None:
    """Take as many open files as the system allows: each delivery under way is a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tune() -> None:
    """Let the garbage collector pass over what was loaded at the start, and come by less often; and let no thread
    that reads the database keep the event loop waiting for more than a millisecond.

    Nearly everything here is freed by counting references; at Python's own thresholds, looking for the rest
    takes an eighth of the time of a busy server.
    """
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def set_up_log(level: int = logging.INFO) -> None:
    """Log to standard error: for people where it is a terminal, else a JSON object a line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Any] = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    if not sys.stderr.isatty():
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # What the libraries say of their own comings and goings is no news to an operator.
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
