"""``hookline demo``: the stories of the mission, played on a real Hookline with real counterparts."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer
import uvloop

FAILED = 1


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the stories: exit code 0 if all came out as they must.")
    ] = False,
) -> int:
    """Play the stories of the mission on an empty Hookline, then stay up with a page to look at."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_demo(once))


async def _demo(once: bool) -> int:
    from hookline.cli.demo import show as showing
    from hookline.cli.demo.encore import live_on
    from hookline.cli.demo.play import Play
    from hookline.cli.demo.scenery import set_up
    from hookline.cli.demo.stage import staging
    from hookline.cli.demo.stories import Ending, tell
    from hookline.cli.serving import set_up_log

    set_up_log(logging.WARNING)
    show = showing.Show(pace=0.0 if once else 0.05)
    async with staging(usual_port=not once) as stage:
        show.say(f"[bold]Hookline demo[/]  {stage.url}")
        scenery = await set_up(stage)
        await stage.work()
        place = await stage.app.services.storage.events.last_place()
        feed = showing.Feed(stage, scenery, show, place)
        play = Play(stage, scenery, feed.notice)
        with show.live():
            await play.run()
        stories = await tell(Ending(stage, scenery, play.faults))
        showing.summarise(show.console, stories)
        if not once:
            show.goodbye(stage)
            await live_on(stage, feed)
    return 0 if all(story.held for story in stories) else FAILED
