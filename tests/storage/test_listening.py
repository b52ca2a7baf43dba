"""Processes on one PostgreSQL wake each other when they commit work, and only then."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import msgspec
import pytest

from hookline.model import Campaign, CampaignInput, Delivery, Event, EventDraft, Replay, ReplayInput
from hookline.rules.ids import new_id
from hookline.storage import Storage, open_storage
from support.engine import Engine, running
from support.receiver import Got, Receiver, receiving

DEADLINE = 30.0


@pytest.fixture
def url(postgres_server: Any) -> Iterator[str]:
    """An empty PostgreSQL database."""
    name = f"hookline_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    yield postgres_server.get_uri(name)
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@asynccontextmanager
async def listening(engine: Engine) -> AsyncIterator[None]:
    """The loops of a process whose clock stands still: it never looks unless it is woken."""
    wakes = {
        "dispatch": engine.dispatcher.wake,
        "campaigns": engine.campaigns.look,
        "replays": lambda: None,
    }
    works = [
        asyncio.create_task(engine.dispatcher.run()),
        asyncio.create_task(engine.campaigns.run()),
        asyncio.create_task(engine.storage.listen(wakes)),
    ]
    try:
        yield
    finally:
        for work in works:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


def holds_nothing(engine: Engine) -> None:
    """It accepts, and leaves the work to others, as the commands do."""
    engine.intake.reserve = lambda lane, kind: None
    engine.intake.born = lambda accepted: None


def watch(receiver: Receiver) -> Callable[[int], Awaitable[None]]:
    arrived = asyncio.Event()

    def note(_: Got) -> None:
        arrived.set()

    receiver.on_request = note

    async def until(count: int) -> None:
        while len(receiver.got) < count:
            arrived.clear()
            await asyncio.wait_for(arrived.wait(), DEADLINE)

    return until


async def test_what_one_process_leaves_to_others_is_done_without_a_look_of_theirs(
    url: str, receiver: Receiver
) -> None:
    arrived = watch(receiver)
    async with running(url) as here, running(url) as there, listening(there):
        holds_nothing(here)
        await here.hook({"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}})
        for count in (1, 2):
            await here.publish("order.paid")
            await arrived(count)


async def test_who_lost_the_line_hears_again(url: str, receiver: Receiver, postgres_server: Any) -> None:
    arrived = watch(receiver)
    async with running(url) as here, running(url) as there, listening(there):
        holds_nothing(here)
        await here.hook({"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}})
        await here.publish("order.paid")
        await arrived(1)
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%';"
        assert "t" in await asyncio.to_thread(postgres_server.psql, cut)
        await here.publish("order.paid")
        await arrived(2)


class Ear:
    """Hears what is said, one by one."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._said: list[str] = []

    async def heard(self) -> list[str]:
        """What was said since the last time: it comes in order, so all of it is here when our own word is."""
        await self._connection.execute("SELECT pg_notify('hookline', 'over')")
        async with asyncio.timeout(DEADLINE):
            while "over" not in self._said:
                await self._connection.execute("SELECT 1")
        said, self._said = self._said, []
        return said[:-1]

    def note(self, _connection: Any, _process: int, _channel: str, said: object) -> None:
        self._said.append(str(said))


@asynccontextmanager
async def an_ear(url: str) -> AsyncIterator[Ear]:
    connection = await asyncpg.connect(url)
    ear = Ear(connection)
    await connection.add_listener("hookline", ear.note)
    yield ear
    await connection.close()


async def test_a_commit_says_what_it_made_due_once_and_one_that_made_nothing_due_is_silent(
    url: str, receiver: Receiver
) -> None:
    async with running(url) as engine, an_ear(url) as ear:
        receiver.answers = [500]
        hook = await engine.hook({"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}})
        assert await ear.heard() == ["dispatch"], "a hook is new"
        await engine.publish("order.paid")
        await engine.run()
        await engine.publish("order.paid")
        await engine.run()
        assert await ear.heard() == [], "what is born leased, done, or waits for its time, concerns nobody"
        (waiting,) = await engine.deliveries(state="waiting")
        assert await engine.storage.deliveries.retry("default", waiting.id, engine.clock.now())
        assert await ear.heard() == ["dispatch"], "a person asked for a try"
        await engine.run()
        changed = await engine.storage.hooks.change(hook, hook)
        assert await ear.heard() == ["dispatch"], "a hook is another"
        reserve, engine.intake.reserve = engine.intake.reserve, lambda lane, kind: None
        draft = EventDraft(type="order.paid", source="shop", data=b"{}")
        await engine.intake.accept("default", [draft] * 10)
        assert await ear.heard() == ["dispatch"], "ten are queued by one commit"
        engine.intake.reserve = reserve
        await engine.run()
        assert await ear.heard() == []
        await campaign_and_replay(engine, ear, hook.id)
        assert changed is not None
        assert await engine.storage.hooks.delete("default", hook.id, engine.clock.now())
        assert await ear.heard() == ["dispatch"], "a hook is gone"


async def campaign_and_replay(engine: Engine, ear: Ear, hook: str) -> None:
    listed = await engine.new_list("readers")
    await engine.contact("ada@example.com", listed.id)
    spec = CampaignInput(name="x", list=listed.id, from_="a@b.example", subject="Hi", text="Hi")
    campaign = await engine.storage.campaigns.put(
        Campaign(tenant="default", id="cmp_x", spec=spec, list=listed.id, state="draft", created_at=1)
    )
    await ear.heard()
    await engine.campaigns.start(campaign)
    assert await ear.heard() == ["campaigns"]
    await engine.campaigns.run_once()
    assert await ear.heard() == ["dispatch"], "its mails are due"
    wanted = ReplayInput(hook=hook, states=["succeeded"])
    replay = Replay(tenant="default", id="rpl_x", spec=wanted, state="running", created_at=1)
    replay = await engine.storage.replays.start(replay)
    assert await ear.heard() == ["replays"]

    def renew(event: Event, old: Delivery | None) -> Delivery:
        assert old is not None
        now = engine.clock.now()
        return msgspec.structs.replace(
            old, id=new_id("dlv"), state="queued", owner=None, next_at=now, attempts=0, error=None
        )

    await engine.storage.replays.step(replay, renew, engine.clock.now())
    assert await ear.heard() == ["dispatch"], "what it made is due"
    await engine.run()


async def test_what_was_held_ready_is_offered_to_all(url: str, receiver: Receiver) -> None:
    async with running(url) as engine, an_ear(url) as ear:
        await engine.hook({"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}})
        engine.intake.born = lambda accepted: None
        await engine.publish("order.paid")
        held = await engine.deliveries(state="sending")
        await ear.heard()
        await engine.storage.deliveries.hand_back(held, engine.clock.now())
        assert await ear.heard() == ["dispatch"]


async def test_several_processes_at_once_make_one_database(url: str) -> None:
    opened: list[Storage] = await asyncio.gather(*(open_storage(url, bytes(32)) for _ in range(8)))
    try:
        assert await asyncio.gather(*(storage.events.last_place() for storage in opened)) == [0] * 8
    finally:
        for storage in opened:
            await storage.close()
