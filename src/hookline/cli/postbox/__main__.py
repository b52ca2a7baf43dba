"""The mail server's process: ``python -m hookline.cli.postbox [ADDRESS THAT IS REFUSED]…``."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP

from hookline.cli.postbox import Line, Mail

HOST = "127.0.0.1"
LARGEST = 25 * 1024 * 1024


def say(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


class Handler:
    """Takes every mail but those to ``refused``, whom it does not know."""

    def __init__(self, refused: frozenset[str]) -> None:
        self._refused = refused
        self._number = 0

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.lower() in self._refused:
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        for recipient in envelope.rcpt_tos:
            self._number += 1
            now = time.time_ns() // 1000
            say(Line(mail=Mail(self._number, now, envelope.mail_from, recipient, envelope.content)))
        return f"250 2.0.0 Ok: queued as {self._number}"


async def main(refused: frozenset[str]) -> None:
    handler = Handler(refused)
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            handler, hostname="postbox.localhost", data_size_limit=LARGEST, enable_SMTPUTF8=True, loop=loop
        )

    server = await loop.create_server(session, HOST, 0)
    say(Line(port=server.sockets[0].getsockname()[1]))
    while await asyncio.to_thread(sys.stdin.buffer.readline):
        say(Line(echo=True))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is for whoever started us
    asyncio.run(main(frozenset(address.lower() for address in sys.argv[1:])))
