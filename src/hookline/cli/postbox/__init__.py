"""A mail server that keeps what it gets, in a process of its own: for ``serve --dev`` and the demo.

The process speaks SMTP on loopback and hands each mail over as a line of JSON on its standard output before
it says 250; it ends with its standard input, so it never outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from functools import cached_property

import msgspec

KEPT = 500
LONGEST_LINE = 64 * 1024 * 1024


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process says: the ``port`` first, then a mail, or the answer to a question on its input."""

    port: int = 0
    mail: Mail | None = None
    echo: bool = False


class Mail(msgspec.Struct, frozen=True, dict=True):
    """A mail as it was handed over; ``at`` is real time in microseconds, ``number`` counts from 1."""

    number: int
    at: int
    sender: str
    recipient: str
    raw: bytes

    @cached_property
    def parsed(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def text(self, kind: str) -> str:
        """The text of the first part of this kind, ``plain`` or ``html``; "" where there is none."""
        part = self.parsed.get_body((kind,))
        return str(part.get_content()) if part is not None else ""


class Postbox:
    """The mails so far, the newest last. ``arrived`` is called with each."""

    def __init__(self, process: asyncio.subprocess.Process, kept: int) -> None:
        self._process = process
        self._echoes: deque[asyncio.Future[None]] = deque()
        self.mails: deque[Mail] = deque(maxlen=kept)
        self.arrived: Callable[[Mail], None] = lambda mail: None
        self.port = 0

    @property
    def smtp_url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?starttls=never"

    async def read(self) -> None:
        """Take what the process says, until it ends."""
        assert self._process.stdout is not None  # noqa: S101 - we asked for the pipe
        decoder = msgspec.json.Decoder(Line)
        while text := await self._process.stdout.readline():
            line = decoder.decode(text)
            if line.mail is not None:
                self.mails.append(line.mail)
                self.arrived(line.mail)
            elif line.echo:
                self._echoes.popleft().set_result(None)
            else:
                self.port = line.port
                return

    async def sync(self) -> None:
        """Return when every mail that was taken before this call is in ``mails``."""
        assert self._process.stdin is not None  # noqa: S101 - we asked for the pipe
        echo: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._echoes.append(echo)
        self._process.stdin.write(b"\n")
        await echo


@asynccontextmanager
async def postbox(*, refuse: Sequence[str] = (), kept: int = KEPT) -> AsyncIterator[Postbox]:
    """A mail server for as long as the block lasts. It refuses the addresses ``refuse`` as unknown."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hookline.cli.postbox",
        *refuse,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
    )
    box = Postbox(process, kept)
    reading: asyncio.Task[None] | None = None
    try:
        await box.read()  # the port
        reading = asyncio.create_task(box.read())
        yield box
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        if reading is not None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
