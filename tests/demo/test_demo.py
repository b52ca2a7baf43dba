"""``hookline demo``: the stories of the mission, and that it says so when one does not come out."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from hookline.cli.demo.cast import CAST
from hookline.cli.demo.mailbox import AGENTS, look_at
from hookline.cli.demo.scenery import set_up
from hookline.cli.demo.show import summarise
from hookline.cli.demo.stage import staging
from hookline.cli.demo.stories import Ending, tell

# Not on the page of a user who keeps his own Hookline's settings in the environment.
ELSEWHERE = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}


@pytest.fixture(scope="module")
def shown() -> str:
    """What ``hookline demo --once`` prints; it ended well."""
    done = subprocess.run(
        [sys.executable, "-m", "hookline", "demo", "--once"],
        env=ELSEWHERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_story_comes_out_as_it_must(shown: str) -> None:
    assert re.findall(r"^(\d)  .* (✓|✗) ─", shown, re.M) == [(str(number), "✓") for number in range(1, 6)]
    assert "All 5 stories came out as they must." in shown


@pytest.mark.parametrize(
    "line",
    [
        r"open rate +67\.6% ",
        r"opened machine +1\n",
        r"spam +email\.complained +1 +1 ",
        r"attempt 3 +\+0:05:05 +HTTP 204 +accepted",
        r"victor@example\.com marked a mail as spam",
        r"got the code +17 +Ada, Grace, ",
        r"opened by a machine, not by a person +1 +Tim",
        r"too late: after 24 hours +6 +Donald, ",
        r"had unsubscribed: the code was not sent +1 +Ursula",
        r"Linus +80\.00 € +− 120\.00 € +refused: nothing was changed",
        r"Ada, you withdrew 200\.10 € at Lisboa, Rossio\. Your balance is 1000\.20 €\.",
    ],
)
def test_the_summary_shows_the_evidence(shown: str, line: str) -> None:
    assert re.search(line, shown)


@pytest.mark.parametrize(
    "line",
    [
        r"^\+00:00  email\.bounced +Greta +→ shop ✓  Slack ✓$",
        r"^\+00:00  campaign\.finished +→ warehouse ↻ HTTP 500, again in 5 s$",
        r"^\+00:05  retry +attempt 3 +→ warehouse ✓$",
        r"^\+00:06  email\.opened +Tim +→ shop ✓  promo: condition$",
        r"^\+00:18  email\.opened +Ada +→ shop ✓  promo ✓$",
        r"^\+00:24  email\.clicked +Ada +→ shop ✓  promo: limit$",
        r"^\+00:48  email\.opened +Ada, promo mail +→ shop ✓  promo: loop$",
        r"^\+10:12  contact\.updated +Ada +→ SMS ✓$",
    ],
)
def test_events_are_shown_with_what_they_triggered(shown: str, line: str) -> None:
    assert re.search(line, shown, re.M)


async def test_a_story_that_did_not_happen_is_told_as_such() -> None:
    async with staging(usual_port=False) as stage:
        scenery = await set_up(stage)
        stories = await tell(Ending(stage, scenery, faults=["Ada sees no picture"]))
    assert not any(story.held for story in stories)
    screen = io.StringIO()
    summarise(Console(file=screen, width=120), stories)
    shown = screen.getvalue()
    assert "Not as it must be: story 1, 2, 3, 4, 5." in shown
    assert "✗ expected what the readers missed: []; found ['Ada sees no picture']" in shown
    assert "✗ expected sent: 34; found 0" in shown


async def test_what_many_readers_did_at_once_is_done_with_before_time_passes() -> None:
    async with staging(usual_port=False) as stage:
        scenery = await set_up(stage)
        await stage.api.post(f"/v1/campaigns/{scenery.campaign}/send")
        await stage.work()
        mails = list(stage.box.mails)
        assert len(mails) == 34
        for mail in mails * 3:
            await look_at(mail, AGENTS[0])
        await stage.work()
        stats = await stage.api.get(f"/v1/campaigns/{scenery.campaign}/stats")
        assert stats["opened_total"] == len(mails) * 3


def test_the_cast_has_everybody_whom_the_stories_need() -> None:
    fates = [reader.fate for reader in CAST]
    for fate in ("apple", "bounces", "suppressed", "complains", "unsubscribes"):
        assert fates.count(fate) == 1
    assert len(CAST) == len({reader.email for reader in CAST}) >= 24
    assert any(len(reader.opens) > 1 and reader.earns_promo for reader in CAST)
