"""The five stories of the mission: what came of each, read through the public API, and whether it had to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from hookline.cli.demo.cast import CAST, WITHDRAWALS, Reader
from hookline.cli.demo.scenery import PROMO_CODE, SEVEN, Scenery
from hookline.cli.demo.stage import Stage

Rows = list[tuple[str, ...]]
BAR_WIDTH = 24


class Check(Struct, frozen=True):
    """One thing that must hold; ``what`` says it, ``found`` what was there instead."""

    what: str
    held: bool
    found: str = ""


class Table(Struct, frozen=True):
    columns: tuple[str, ...]
    rows: Rows


class Found(Struct, frozen=True):
    """What came of a story: its evidence, ``beside`` or below each other, and what had to hold."""

    tables: tuple[Table, ...]
    checks: tuple[Check, ...]
    beside: bool = False


class Story(Struct, frozen=True):
    title: str
    told: str
    found: Found

    @property
    def held(self) -> bool:
        return all(check.held for check in self.found.checks)


class Ending(Struct, frozen=True):
    """Where everything stands when the play is over."""

    stage: Stage
    scenery: Scenery
    faults: list[str]


def equal(what: str, found: object, expected: object) -> Check:
    return Check(f"{what}: {expected}", found == expected, str(found))


async def tell(ending: Ending) -> list[Story]:
    """All five. One that cannot even be told has not come out as it must."""
    stories = []
    for title, told, look in STORIES:
        try:
            found = await look(ending)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other stories are told, too
            found = Found((), (Check("that it can be told", False, repr(error)),))
        stories.append(Story(title, told, found))
    return stories


# --- 1


def expected_figures() -> dict[str, int]:
    """A campaign's counts as they follow from what the readers did."""
    blocked = sum(reader.fate == "suppressed" for reader in CAST)
    bounced = sum(reader.fate == "bounces" for reader in CAST)
    people = [reader for reader in CAST if reader.fate != "apple"]
    return {
        "attempted": len(CAST) - blocked,
        "sent": len(CAST) - blocked - bounced,
        "delivered": len(CAST) - blocked - bounced,
        "opened": sum(bool(reader.opens) for reader in people),
        "opened_total": sum(len(reader.opens) for reader in people),
        "opened_machine": sum(reader.fate == "apple" for reader in CAST),
        "clicked": sum(bool(reader.clicks) for reader in CAST),
        "clicked_total": sum(len(reader.clicks) for reader in CAST),
        "bounced": bounced,
        "bounced_hard": bounced,
        "blocked": blocked,
        "complained": sum(reader.fate == "complains" for reader in CAST),
        "unsubscribed": sum(reader.fate == "unsubscribes" for reader in CAST),
    }


RATES = {
    "open_rate": ("opened", "delivered"),
    "click_rate": ("clicked", "delivered"),
    "click_to_open_rate": ("clicked", "opened"),
    "bounce_rate": ("bounced", "attempted"),
    "complaint_rate": ("complained", "delivered"),
    "unsubscribe_rate": ("unsubscribed", "delivered"),
}


async def the_campaign(ending: Ending) -> Found:
    stats = await ending.stage.api.get(f"/v1/campaigns/{ending.scenery.campaign}/stats")
    counts = expected_figures()
    rates = {name: round(counts[over] / counts[under], 6) for name, (over, under) in RATES.items()}
    counted: Rows = [(name.replace("_", " "), str(stats[name])) for name in counts]
    rated: Rows = [
        (name.replace("_", " "), f"{stats[name] or 0:.1%}", _bar(stats[name] or 0), f"{over} ÷ {under}")
        for name, (over, under) in RATES.items()
    ]
    return Found(
        (Table(("rate", "", "", ""), rated), Table(("count", ""), counted)),
        (
            *(equal(name, stats[name], number) for name, number in (counts | rates).items()),
            equal("what the readers missed", ending.faults, []),
        ),
        beside=True,
    )


def _bar(rate: float) -> str:
    return "█" * round(rate * BAR_WIDTH) or "▏"


# --- 2


async def the_webhooks(ending: Ending) -> Found:
    api, town = ending.stage.api, ending.stage.town
    received = town.shop.counts()
    rows: Rows = []
    checks = [equal("signatures that the shop refused", town.shop.faults, [])]
    for kind, word in SEVEN.items():
        raised = len(await api.all("/v1/events", type=kind))
        rows.append((word, kind, str(raised), str(received[kind])))
        checks.append(
            Check(f"{kind}: the shop got each once", 0 < raised == received[kind], str(received[kind]))
        )
    [delivery] = await api.all("/v1/deliveries", hook=ending.scenery.hooks["warehouse"])
    told = await api.get(f"/v1/deliveries/{delivery['id']}")
    attempts = told["attempts"]
    begun = [_time(attempt["started_at"]) for attempt in attempts]
    tries: Rows = [
        (
            f"attempt {n}",
            f"+{moment - begun[0]}",
            f"HTTP {attempt['status']}",
            attempt["detail"] or "accepted",
        )
        for n, (moment, attempt) in enumerate(zip(begun, attempts, strict=True), 1)
    ]
    waits = [later - earlier for earlier, later in pairwise(begun)]
    checks += [
        equal("the warehouse answered", [attempt["status"] for attempt in attempts], [500, 500, 204]),
        equal("waits between the attempts", waits, [timedelta(seconds=5), timedelta(minutes=5)]),
        equal("the delivery at its end", told["state"], "succeeded"),
        equal("signatures that the warehouse refused", town.warehouse.faults, []),
    ]
    return Found(
        (
            Table(("event", "", "raised", "verified"), rows),
            Table(("the warehouse", "", "", ""), tries),
        ),
        tuple(checks),
        beside=True,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- 3


async def the_alerts(ending: Ending) -> Found:
    lines = ending.stage.town.slack.lines
    alarming = {"bounces": "bounced", "complains": "spam"}
    expected = [reader for reader in CAST if reader.fate in alarming]
    checks = [equal("lines in the channel", len(lines), len(expected))]
    for reader in expected:
        named = [line for line in lines if reader.email in line and alarming[reader.fate] in line]
        checks.append(equal(f"lines about {reader.name}", len(named), 1))
    return Found(
        (Table(("#newsletter",), [(unescape(line),) for line in lines]),),
        tuple(checks),
    )


# --- 4

GOT = "got the code"


async def the_promo(ending: Ending) -> Found:
    why = {reader.email: await _why(ending, reader) for reader in CAST}
    groups: dict[str, list[str]] = {}
    for reader in CAST:
        groups.setdefault(why[reader.email], []).append(reader.name)
    order = sorted(groups.items(), key=lambda item: (item[0] != GOT, -len(item[1])))
    codes = [mail.recipient for mail in ending.stage.box.mails if PROMO_CODE in mail.text("html")]
    earned = [reader.email for reader in CAST if reader.earns_promo]
    again = [mail for mail in await _traces(ending, "email.opened") if mail["campaign"] is None]
    caused = [line["verdict"] for event in again for line in event["trace"] if _is_promo(ending, line)]
    return Found(
        (Table(("why", "", "readers"), [(why, str(len(names)), ", ".join(names)) for why, names in order]),),
        (
            equal("who has the code, once each", sorted(codes), sorted(earned)),
            *(
                equal(f"the reason for {reader.name}", why[reader.email], expected_why(reader))
                for reader in CAST
            ),
            equal(
                "opened promo mails that led to nothing",
                caused,
                ["loop"] * sum(reader.opens_promo and reader.earns_promo for reader in CAST),
            ),
        ),
    )


def expected_why(reader: Reader) -> str:
    """The reason that has to be found for a reader."""
    words = {
        "apple": MACHINE,
        "bounces": "the mail bounced",
        "suppressed": "the address is suppressed",
        "complains": "reported it as spam",
        "unsubscribes": LEFT,
    }
    if reader.fate != "reads":
        return words[reader.fate]
    if reader.is_early:
        return GOT
    return LATE if reader.opens or reader.clicks else NEVER


MACHINE, LATE = "opened by a machine, not by a person", "too late: after 24 hours"
LEFT, NEVER = "had unsubscribed: the code was not sent", "never opened it"
INSTEAD = {
    "email.bounced": "the mail bounced",
    "email.blocked": "the address is suppressed",
    "email.complained": "reported it as spam",
}


async def _why(ending: Ending, reader: Reader) -> str:
    """Why a reader has the code or has none, from the traces of the events about the campaign's mail."""
    api, campaign = ending.stage.api, ending.scenery.campaign
    events = await api.all("/v1/events", subject=reader.email, campaign=campaign)
    reasons: list[str] = []
    for event in reversed(events):
        if event["type"] in INSTEAD:
            return INSTEAD[event["type"]]
        for line in (await api.get(f"/v1/events/{event['id']}"))["trace"]:
            if _is_promo(ending, line):
                reasons.append(_verdict(event, line))
    return GOT if GOT in reasons else reasons[0] if reasons else NEVER


def _verdict(event: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    """One line of a trace in the words of this story."""
    if line["verdict"] == "matched":
        return GOT if line["state"] == "succeeded" else LEFT if line["error"] == "suppressed" else str(line)
    if line["verdict"] == "condition":
        data = event["data"]
        if data["machine"]:
            return MACHINE
        late = _time(event["time"]) - _time(data["sent_at"]) > timedelta(hours=24)
        return LATE if late else str(line)
    return str(line["verdict"])


async def _traces(ending: Ending, kind: str) -> list[Any]:
    api = ending.stage.api
    return [await api.get(f"/v1/events/{event['id']}") for event in await api.all("/v1/events", type=kind)]


def _is_promo(ending: Ending, line: Mapping[str, Any]) -> bool:
    return bool(line["hook"] == ending.scenery.hooks["promo"])


# --- 5


class Account(Struct, frozen=True):
    """A contact as far as the bank is concerned, with the number exactly as the JSON has it."""

    attributes: dict[str, msgspec.Raw]


async def the_bank(ending: Ending) -> Found:
    stage = ending.stage
    messages, checks = stage.town.sms.messages, list[Check]()
    rows: Rows = []
    expected: list[tuple[str, str]] = []
    refused = [event["subject"] for event in await stage.api.all("/v1/events", type="contact.refused")]
    for taken in WITHDRAWALS:
        reader = next(reader for reader in CAST if reader.name == taken.name)
        before, amount = Decimal(reader.balance or "0"), Decimal(taken.amount)
        after = before - amount if before >= amount else before
        contact = await stage.api.call("GET", f"/v1/contacts/{reader.email}")
        balance = bytes(msgspec.json.decode(contact, type=Account).attributes["balance"]).decode()
        checks.append(equal(f"the balance of {reader.name}", Decimal(balance), after))
        said = f"{balance} €" if before >= amount else "refused: nothing was changed"
        rows.append((reader.name, f"{before} €", f"− {amount} €", said))
        if before >= amount:
            text = f"{reader.name}, you withdrew {amount} € at {taken.place}. Your balance is {after} €."
            expected.append((reader.phone or "", text))
        else:
            checks.append(Check(f"{reader.name} is refused", refused == [reader.email], str(refused)))
    checks.append(equal("the SMS", messages, expected))
    sent: Rows = [(number, text) for number, text in messages]
    return Found(
        (Table(("account", "before", "withdrawn", "after"), rows), Table(("SMS to", ""), sent)),
        tuple(checks),
    )


STORIES: tuple[tuple[str, str, Callable[[Ending], Awaitable[Found]]], ...] = (
    (
        "A campaign, and its rates as they are at this moment",
        f"One mail to {len(CAST)} readers. Some open it early, some late, some never; a machine opens one.",
        the_campaign,
    ),
    (
        "Webhooks to the shop for the seven events",
        "Each signed by Standard Webhooks and verified by the shop; a receiver that is ill is asked again.",
        the_webhooks,
    ),
    (
        "Alerts in Slack, for bounces and spam reports only",
        "The team's channel is quiet until something is wrong.",
        the_alerts,
    ),
    (
        "A promo code for whoever was quick",
        "The first opening or click by a person within 24 hours earns a code; once, and nobody else gets one.",
        the_promo,
    ),
    (
        "A withdrawal changes the balance, and the customer gets an SMS",
        "To the cent, and only where there is enough; the details come from the event that caused it.",
        the_bank,
    ),
)
