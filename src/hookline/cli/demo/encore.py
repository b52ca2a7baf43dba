"""After the stories: real time from here on, and now and then another reader opens the mail."""

from __future__ import annotations

import asyncio
import contextlib

from hookline.cli.demo import mailbox
from hookline.cli.demo.cast import CAST
from hookline.cli.demo.show import Feed
from hookline.cli.demo.stage import Stage
from hookline.cli.serving import told_to_stop
from hookline.clock import RealClock

TICK_SECONDS = 0.25
READER_EVERY = 20.0


async def live_on(stage: Stage, feed: Feed) -> None:
    """Live in real time until SIGINT or SIGTERM."""
    stop = told_to_stop()
    works = (_keep_time(stage), _show_events(stage, feed), _open_now_and_then(stage))
    tasks = [asyncio.create_task(work) for work in works]
    await stop.wait()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_time(stage: Stage) -> None:
    real = RealClock()
    while True:
        behind = real.now() - stage.clock.now()
        if behind > 0:
            stage.clock.advance(behind)
        await asyncio.sleep(TICK_SECONDS)


async def _show_events(stage: Stage, feed: Feed) -> None:
    while True:
        await stage.app.services.dispatcher.idle()
        await feed.notice()
        await asyncio.sleep(TICK_SECONDS)


async def _open_now_and_then(stage: Stage) -> None:
    late = {reader.email for reader in CAST if reader.fate == "reads" and not (reader.opens or reader.clicks)}
    for mail in [mail for mail in stage.box.mails if mail.recipient in late]:
        await asyncio.sleep(READER_EVERY)
        await mailbox.look_at(mail, mailbox.AGENTS[0])
