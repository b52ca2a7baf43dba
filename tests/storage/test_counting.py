"""Counters, on both databases: exact in whatever order events come, in every scope and by both times."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hookline.model import DAY, HOUR, SECOND, Campaign, CampaignInput, ContactList, Delivery, Event
from hookline.rules.effects import effect_of
from hookline.rules.ids import new_id
from hookline.storage import Storage
from hookline.storage.claiming import Wanted
from hookline.storage.counting import ROLLUPS
from hookline.storage.figures import Bucket, spans
from hookline.storage.units import Prepared, Unit

START = 1_790_000_000_000_000 // DAY * DAY
SCOPES = (
    ("all", "", ""), ("campaign", "", "cmp_a"), ("list", "", "lst_a"), ("domain", "", "example.com"),
    ("domain", "cmp_a", "example.com"), ("link", "cmp_a", "0"), ("link", "cmp_a", "1"),
)  # fmt: skip
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


async def mails(storage: Storage, count: int, tenant: str = "default") -> list[str]:
    """So many messages of a campaign, sent at ``START``."""
    await storage.contacts.create_list(
        ContactList(tenant=tenant, id="lst_a", name="readers", created_at=START)
    )
    spec = CampaignInput(name="news", list="lst_a", from_="a@b.example", subject="Hi", text="Hi")
    await storage.campaigns.put(
        Campaign(tenant=tenant, id="cmp_a", spec=spec, list="lst_a", state="draft", created_at=START)
    )
    await storage.campaigns.start(tenant, "cmp_a", START)
    owed = [
        Delivery(
            tenant=tenant, id=new_id("dlv"), lane="cmp_a", kind="email", state="queued", campaign="cmp_a",
            address=f"r{place}@example.com", created_at=START, updated_at=START, next_at=START,
        )
        for place in range(count)
    ]  # fmt: skip
    started = next(c for c in await storage.campaigns.sending() if c.tenant == tenant)
    await storage.campaigns.add_recipients(started, owed, -1)
    claimed = (
        await storage.deliveries.claim([Wanted(tenant=tenant, lane="cmp_a", firsts=count)], "me", START)
    ).work
    return [delivery.id for delivery, _ in claimed if delivery.tenant == tenant]


def told(kind: str, message: str, time: int, *, tenant: str = "default", **data: Any) -> Prepared:
    """An email event, as intake hands it over."""
    event = Event(
        tenant=tenant, id=new_id("evt"), type=f"email.{kind}", source="mailer", time=time, accepted_at=time,
        subject="r0@example.com", campaign="cmp_a", message=message,
    )  # fmt: skip
    if kind in ("opened", "clicked"):
        data = {"machine": False, "ip": "203.0.113.9", "user_agent": FIREFOX} | data
    return Prepared(event, effect=effect_of(event.type, "r0@example.com", data))


async def accept(storage: Storage, *items: Prepared) -> None:
    """Each in a commit of its own."""
    for item in items:
        await storage.accept(Unit(item.event.tenant, 1, (item,)))


async def everything(storage: Storage, tenant: str = "default") -> list[list[Bucket]]:
    """All figures in all scopes."""
    found = []
    for dim, parent, name in SCOPES:
        found.append(await storage.figures.totals(tenant, dim, parent=parent, name=name, limit=9))
        for timing in ("event", "message"):
            found.append(
                await storage.figures.buckets(
                    tenant, dim, parent=parent, name=name, timing=timing, hours=1, since=None, until=None, limit=99
                )
            )  # fmt: skip
    return [
        [b._replace(figures={k: v for k, v in b.figures.items() if v}) for b in some if b.figures]
        for some in found
    ]


async def daily(storage: Storage, timing: Any, figure: str) -> list[int]:
    found = await storage.figures.buckets(
        "default", "campaign", name="cmp_a", timing=timing, hours=24, since=None, until=None, limit=99
    )
    first = START // HOUR
    days = {((bucket.start or 0) - first) // 24: bucket.figures.get(figure, 0) for bucket in found}
    return [days.get(day, 0) for day in range(3)]


async def test_by_message_a_figure_counts_when_the_mail_was_sent_and_by_event_when_it_happened(
    storage: Storage,
) -> None:
    messages = await mails(storage, 30)
    sent = [told("sent", message, START + SECOND) for message in messages]
    early = [told("opened", message, START + DAY + HOUR) for message in messages[:10]]
    late = [told("opened", message, START + 2 * DAY + HOUR) for message in messages[10:]]
    await storage.accept(Unit("default", 1, (*sent, *early, *late)))
    assert await daily(storage, "message", "opened") == [30, 0, 0]
    assert await daily(storage, "event", "opened") == [0, 10, 20]
    assert await daily(storage, "event", "sent") == await daily(storage, "message", "sent") == [30, 0, 0]


async def test_a_span_is_summed_up_exactly_whatever_it_begins_and_ends_with(storage: Storage) -> None:
    messages = await mails(storage, 60)
    events = [told("opened", m, START + place * 37 * HOUR) for place, m in enumerate(messages)]
    await storage.accept(Unit("default", 1, tuple(events)))
    first = START // HOUR
    for dim, name in (("all", ""), ("domain", "example.com")):
        for since in (None, first, first + 5, first + 24, first + 800, first + 1000, first + 3000):
            for until in (None, first, first + 48, first + 49, first + 801, first + 2222):
                for only in (None, name):
                    found = await storage.figures.windows(
                        "default", dim, name=only, timing="event", since=since, until=until, limit=9
                    )
                    hours = [event.event.time // HOUR for event in events]
                    expected = sum((since or 0) <= hour < (until or 2**40) for hour in hours)
                    assert sum(bucket.figures["opened"] for bucket in found) == expected, (since, until)


@given(
    since=st.none() | st.integers(0, 5000), until=st.none() | st.integers(0, 5000), levels=st.integers(1, 3)
)
def test_spans_hold_each_hour_once(since: int | None, until: int | None, levels: int) -> None:
    sizes = {f"event{after}": size for after, size in ROLLUPS}
    found = spans("event", since, until, levels)
    for hour in range(0, 5000, 7):
        inside = (since is None or since <= hour) and (until is None or hour < until)
        held = [
            span for span in found
            if span.args()[1] <= hour // sizes[span.timing] * sizes[span.timing] < span.args()[2]
        ]  # fmt: skip
        assert len(held) == inside, (hour, found)


async def test_the_order_of_a_messages_events_changes_no_figure_anywhere(storage: Storage) -> None:
    def story(message: str, tenant: str) -> list[Prepared]:
        return [
            told("sent", message, START + SECOND, tenant=tenant),
            told("opened", message, START + 2 * HOUR, tenant=tenant),
            told("opened", message, START + HOUR, tenant=tenant),
            told("clicked", message, START + 3 * HOUR, tenant=tenant, link=1, url="https://shop.example"),
            told("bounced", message, START + 4 * HOUR, tenant=tenant, hard=True),
        ]  # fmt: skip

    expected = None
    for place, order in enumerate([*permutations(range(5))][::17]):
        tenant = f"t{place}"
        [message] = await mails(storage, 1, tenant)
        events = story(message, tenant)
        await accept(storage, *(events[index] for index in order))
        found = await everything(storage, tenant)
        expected = expected or found
        assert found == expected, order
    assert expected is not None
    assert expected[0][0].figures == {
        "attempted": 1, "sent": 1, "opened": 1, "opened_total": 2, "clicked": 1, "clicked_total": 1, "bounced": 1,
        "bounced_hard": 1,
    }  # fmt: skip


async def test_our_pixel_and_a_provider_tell_of_one_message(storage: Storage) -> None:
    [message] = await mails(storage, 1)
    await accept(
        storage,
        *(
            told(kind, message, START + HOUR)
            for kind in ("sent", "delivered", "opened", "opened", "delivered")
        ),
        told("opened", "dlv_of_nobody", START + HOUR),
    )
    assert await storage.figures.total("default", "campaign", "cmp_a") == {
        "attempted": 1, "sent": 1, "opened": 1, "opened_total": 2,
    }  # fmt: skip
    opened = await storage.figures.total("default", "type", "email.opened")
    assert opened == {"events": 3}, "events of all messages"


async def test_a_burst_that_shows_late_marks_what_came_before_it(storage: Storage) -> None:
    one, other = await mails(storage, 2)

    def clicks(message: str, machine: bool) -> list[Prepared]:
        return [
            told("clicked", message, START + HOUR - SECOND + place * SECOND, link=place, machine=machine)
            for place in range(3)
        ]

    seconds = clicks(one, False)
    await accept(storage, told("sent", one, START), *seconds[:2])
    assert (await storage.figures.total("default", "campaign", "cmp_a"))["clicked_total"] == 2
    await accept(storage, seconds[2])
    late = await everything(storage)
    assert await storage.figures.total("default", "campaign", "cmp_a") == {
        "attempted": 1, "sent": 1, "clicked_machine": 1,
    }  # fmt: skip
    marks = await storage.figures.marks("default", [(one, item.event.id) for item in seconds])
    assert marks == dict.fromkeys((item.event.id for item in seconds), (True, "all_links"))
    # The same of another mail, known at once, doubles every figure.
    await accept(storage, told("sent", other, START), *clicks(other, True))
    doubled = [[b._replace(figures={k: 2 * v for k, v in b.figures.items()}) for b in some] for some in late]
    assert await everything(storage) == doubled


async def test_one_address_that_reads_many_mails_at_once_is_a_machine(storage: Storage) -> None:
    messages = await mails(storage, 12)
    public = {"ip": "8.8.8.8"}
    opens = [
        told("opened", message, START + HOUR + place * SECOND // 4, **public)
        for place, message in enumerate(messages[:9])
    ]
    await accept(storage, *opens, *(told("opened", m, START + HOUR, ip="10.0.0.1") for m in messages))
    assert (await storage.figures.total("default", "campaign", "cmp_a"))["opened"] == 12, "a proxy of our own"
    await accept(storage, told("opened", messages[9], START + HOUR + 5 * SECOND, **public))
    assert await storage.figures.total("default", "campaign", "cmp_a") == {
        "opened": 12, "opened_total": 12, "opened_machine": 10,
    }  # fmt: skip
