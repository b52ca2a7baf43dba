"""What the demo shows: events and what they triggered as they happen, then a summary. With rich."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from hookline.cli.common import TENANT
from hookline.cli.demo.cast import BY_EMAIL
from hookline.cli.demo.scenery import Scenery
from hookline.cli.demo.stage import LAST_HOUR, Stage
from hookline.cli.demo.stories import Story, Table
from hookline.model import HOUR, MINUTE, SECOND, Delivery, Event

COLOURS = {
    "email.opened": "cyan",
    "email.clicked": "green",
    "email.bounced": "red",
    "email.blocked": "yellow",
    "email.complained": "red",
    "email.unsubscribed": "magenta",
    "email.sent": "bright_black",
    "bank.withdrawal": "blue",
    "contact.updated": "blue",
    "contact.refused": "yellow",
}
MARKS = {"succeeded": ("✓", "green"), "failed": ("✗", "red")}
FIGURES = {"email.sent": "sent", "email.opened": "opened", "email.clicked": "clicked"}
PLAIN_WIDTH = 130
BESIDE_WIDTH = 100
NAMES_SHOWN = 3
ARROW = ("→ ", "bright_black")


class Show:
    """The screen. ``pace`` are seconds after each line, for people to follow."""

    def __init__(self, pace: float) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=PLAIN_WIDTH)
        self._pace = pace if self.console.is_terminal else 0.0
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=28, complete_style="cyan", finished_style="cyan"),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("", total=LAST_HOUR * HOUR, figures="")
        self._counts = Counter(dict.fromkeys((*FIGURES.values(), "promo"), 0))

    @contextmanager
    def live(self) -> Iterator[None]:
        with self._progress:
            yield

    def say(self, text: str) -> None:
        self.console.print(text)

    def goodbye(self, stage: Stage) -> None:
        """Where to look now."""
        self.console.print()
        for address, what in (
            (f"{stage.url}/#key={stage.key}", "the page: figures, live, and a form that adds a webhook"),
            (f"{stage.url}/dev/mail", "the mails: to look at one is to open it"),
            (f"{stage.url}/docs", "the API"),
        ):
            self.console.print(Text.assemble("  ", (address, "bold cyan"), f"  {what}"), soft_wrap=True)
        self.console.print("\nIt stays up; every 20 seconds another reader opens the mail. Ctrl-C ends it.")

    async def line(self, text: Text) -> None:
        text.rstrip()
        self.console.print(text, no_wrap=True, overflow="ellipsis")
        await asyncio.sleep(self._pace)

    def count(self, event: Event) -> None:
        """Count what people did with the campaign's mail, and the promo mails."""
        if event.type == "email.sent" and event.campaign is None:
            self._counts["promo"] += 1
        elif event.type in FIGURES and event.campaign is not None and b'"machine":true' not in event.data:
            self._counts[FIGURES[event.type]] += 1

    def move_to(self, passed: int) -> None:
        figures = "  ".join(f"[bold]{number}[/] {name}" for name, number in self._counts.items())
        label = f"day {passed // (24 * HOUR) + 1}, {_clock(passed % (24 * HOUR))}"
        self._progress.update(self._task, completed=passed, description=label, figures=figures)


class Feed:
    """Follows what is stored, and shows it."""

    def __init__(self, stage: Stage, scenery: Scenery, show: Show, place: int) -> None:
        self._stage, self._show, self._place = stage, show, place
        self._labels = {hook: label for label, hook in scenery.hooks.items()}
        self._start = stage.clock.now()
        self._pending: dict[str, int] = {}

    async def notice(self) -> None:
        """Show what has happened since the last time."""
        storage = self._stage.app.services.storage
        events = await storage.events.page(TENANT, after=self._place, limit=1000)
        lines: dict[tuple[int, str, str], tuple[Text, list[str]]] = {}
        for event in events:
            self._place = event.seq
            self._show.count(event)
            outcome = await self._outcome(event)
            _, names = lines.setdefault((event.time, event.type, outcome.markup), (outcome, []))
            names.append(_who(event))
        await self._retries()
        for (at, kind, _), (outcome, names) in lines.items():
            await self._line(at, kind, _together(names), outcome)
        self._show.move_to(self._stage.clock.now() - self._start)

    async def _line(self, at: int, kind: str, who: str, outcome: Text) -> None:
        moment = (f"+{_clock(at - self._start)}  ", "bright_black")
        await self._show.line(
            Text.assemble(moment, (f"{kind:<21}", COLOURS.get(kind, "")), f"{who:<35}", outcome)
        )

    async def _outcome(self, event: Event) -> Text:
        """What each hook made of it."""
        found = await self._stage.app.services.storage.deliveries.page(TENANT, event=event.id, limit=50)
        deliveries = {delivery.hook: delivery for delivery in found}
        parts: list[Text] = []
        for verdict in sorted(event.verdicts, key=lambda verdict: verdict.hook):  # the oldest hook first
            label, delivery = await self._label(verdict.hook), deliveries.get(verdict.hook)
            if delivery is not None:
                parts.append(await self._state(label, delivery))
            else:
                parts.append(Text(f"{label}: {verdict.verdict}", style="bright_black"))
        return Text.assemble(ARROW, Text("  ").join(parts)) if parts else Text()

    async def _label(self, hook: str) -> str:
        """What the demo calls a hook, or its name for one that was added while it runs."""
        if hook not in self._labels:
            found = await self._stage.app.services.storage.hooks.get(TENANT, hook)
            self._labels[hook] = found.spec.name if found and found.spec.name else "a new hook"
        return self._labels[hook]

    async def _state(self, label: str, delivery: Delivery) -> Text:
        if delivery.state in MARKS:
            self._pending.pop(delivery.id, None)
            mark, style = MARKS[delivery.state]
            reason = f" {delivery.error}" if delivery.error else ""
            return Text.assemble(f"{label} ", (mark + reason, style))
        self._pending[delivery.id] = delivery.attempts
        if delivery.next_at is None:
            return Text(f"{label} …")
        wait = _duration(delivery.next_at - self._stage.clock.now())
        attempts = await self._stage.app.services.storage.deliveries.attempts(TENANT, delivery.id)
        said = (
            f"HTTP {attempts[-1].status}"
            if attempts and attempts[-1].status
            else delivery.error or delivery.state
        )
        return Text.assemble(f"{label} ", (f"↻ {said}, again in {wait}", "yellow"))

    async def _retries(self) -> None:
        for name, attempts in list(self._pending.items()):
            delivery = await self._stage.app.services.storage.deliveries.get(TENANT, name)
            if delivery is not None and delivery.attempts > attempts:
                outcome = await self._state(await self._label(delivery.hook or ""), delivery)
                who = f"attempt {delivery.attempts}"
                await self._line(delivery.updated_at, "retry", who, Text.assemble(ARROW, outcome))


def _who(event: Event) -> str:
    reader = BY_EMAIL.get(event.subject or "")
    name = reader.name if reader else ""
    if event.type.startswith("email.") and event.campaign is None:
        return f"{name}, promo mail"
    return name


def _together(names: Sequence[str]) -> str:
    shown = ", ".join(name for name in names[:NAMES_SHOWN] if name)
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _clock(passed: int) -> str:
    return f"{passed // HOUR:02d}:{passed % HOUR // MINUTE:02d}"


def _duration(micros: int) -> str:
    return f"{round(micros / SECOND)} s" if micros < MINUTE else f"{round(micros / MINUTE)} min"


# --- the summary


def summarise(console: Console, stories: Sequence[Story]) -> None:
    """Each story with its evidence, and what did not come out as it must."""
    for number, story in enumerate(stories, 1):
        mark, style = ("✓", "green") if story.held else ("✗", "red")
        console.print()
        title = Text.assemble((f"{number}  {story.title}  ", "bold"), (mark, f"bold {style}"))
        console.print(Rule(title, align="left", style="bright_black"))
        console.print(Text(f"   {story.told}", style="italic"))
        tables = [_table(table) for table in story.found.tables]
        if story.found.beside and console.width >= BESIDE_WIDTH:
            row = RichTable.grid(padding=(0, 6, 0, 0))
            row.add_row(*tables)
            tables = [row]
        for table in tables:
            console.print(Padding(table, (1, 0, 0, 3), expand=False))
        for check in story.found.checks:
            if not check.held:
                console.print(Text(f"   ✗ expected {check.what}; found {check.found}", style="red"))
    console.print()
    failed = [str(number) for number, story in enumerate(stories, 1) if not story.held]
    if failed:
        console.print(Text(f"Not as it must be: story {', '.join(failed)}.", style="bold red"))
    else:
        console.print(Text(f"All {len(stories)} stories came out as they must.", style="bold green"))


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for place, column in enumerate(table.columns):
        numbers = all(row[place].rstrip("%").replace(".", "").isdigit() for row in table.rows)
        shown.add_column(column, overflow="fold", justify="right" if numbers else "left")
    for row in table.rows:
        shown.add_row(*(Text(cell, style="cyan" if cell.strip("█▏") == "" else "") for cell in row))
    return shown
