"""The yardstick for mail: aiosmtplib in a loop, the same message each time, nothing before it and nothing stored."""

from __future__ import annotations

import asyncio
import time

import aiosmtplib

from hookline.dispatch import MAIL_CONNECTIONS


async def bare_mails(port: int, message: bytes, mails: int) -> tuple[float, float]:
    """How many mails a second this process hands to the sink, of so many over as many connections as Hookline has, and
    its milliseconds of CPU for each."""
    left = mails

    async def hand(connection: aiosmtplib.SMTP) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await connection.sendmail("shop@example.com", ["reader@d1.example"], message)

    connections = [
        aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False)
        for _ in range(min(MAIL_CONNECTIONS, mails))
    ]
    try:
        for connection in connections:
            await connection.connect()
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*map(hand, connections))
        return mails / (time.monotonic() - began), 1000 * (time.process_time() - cpu) / mails
    finally:
        for connection in connections:
            connection.close()
