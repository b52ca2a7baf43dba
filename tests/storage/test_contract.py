"""The contract of storage: the same promises on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from hookline.model import (
    Attempt,
    Campaign,
    CampaignInput,
    Contact,
    ContactChange,
    ContactList,
    Delivery,
    Event,
    Hook,
    HookInput,
    Key,
    SigningKey,
    Verdict,
    WebhookAction,
)
from hookline.rules.effects import effect_of
from hookline.rules.ids import new_id
from hookline.storage import Storage, open_storage
from hookline.storage.campaigns import EVERYONE
from hookline.storage.claiming import Standing, Wanted
from hookline.storage.contacts import creating
from hookline.storage.plans import Many, Plan, Row, Sql
from hookline.storage.units import (
    Accepted,
    ContactMoved,
    EventKey,
    LimitClaim,
    Prepared,
    Settlement,
    SourceIdConflict,
    StaleConfig,
    Unit,
)

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000


def event(kind: str = "order.paid", **fields: object) -> Event:
    values = {
        "tenant": "default",
        "id": new_id("evt"),
        "type": kind,
        "source": "shop",
        "time": NOW,
        "accepted_at": NOW,
    }
    return Event(**(values | {"data": b'{"n":1}'} | fields))  # type: ignore[arg-type]


def delivery(of: Event | None, **fields: object) -> Delivery:
    values: dict[str, object] = {
        "tenant": "default", "id": new_id("dlv"), "lane": "hook_a", "kind": "webhook", "state": "queued",
        "hook": "hook_a", "event": of.id if of else None, "created_at": NOW, "updated_at": NOW, "next_at": NOW,
    }  # fmt: skip
    return Delivery(**(values | fields))  # type: ignore[arg-type]


def unit(*items: Prepared, config: int = 1, tenant: str = "default") -> Unit:
    return Unit(tenant, config, items)


def settlement(held: Delivery, *, state: str = "succeeded", **fields: object) -> Settlement:
    pending = state in ("waiting", "queued")
    after = msgspec.structs.replace(
        held, state=state, owner=None, attempts=held.attempts + 1, next_at=NOW if pending else None
    )
    attempt = Attempt(
        tenant=held.tenant, id=new_id("att"), delivery=held.id, number=held.attempts + 1,
        started_at=NOW, finished_at=NOW + 5, outcome="ok" if state == "succeeded" else "retry",
    )  # fmt: skip
    return Settlement(held, after, attempt, **fields)  # type: ignore[arg-type]


def wanted(lane: str, firsts: int) -> Wanted:
    return Wanted(tenant="default", lane=lane, firsts=firsts)


async def accept_one(storage: Storage, item: Prepared) -> Accepted:
    return (await storage.accept(unit(item)))[0]


async def test_an_accepted_event_is_read_back_as_it_was(storage: Storage) -> None:
    sent = event(
        subject="ada@example.com", source_id="o-1", envelope=b'{"x":"y"}', data=b'{ "b":1, "a":2.50 }'
    )
    sent = msgspec.structs.replace(sent, verdicts=(Verdict("hook_a", "condition", "no"),))
    answer = await accept_one(storage, Prepared(sent))
    assert (answer.id, answer.duplicate, answer.deliveries) == (sent.id, False, ())
    assert await storage.events.get("default", sent.id) == msgspec.structs.replace(sent, seq=1)
    assert await storage.events.get("other", sent.id) is None


async def test_pages_follow_the_order_of_commits_and_filters_hold(storage: Storage) -> None:
    kinds = ["order.paid", "email.opened", "email.clicked", "emails.other"]
    for kind in kinds:
        await accept_one(storage, Prepared(event(kind)))
    newest = await storage.events.page("default", limit=2)
    assert [e.type for e in newest] == ["emails.other", "email.clicked"]
    rest = await storage.events.page("default", limit=9, before=newest[-1].seq)
    assert [e.type for e in rest] == ["email.opened", "order.paid"]
    assert [e.type for e in await storage.events.page("default", limit=9, type="email.*")] == kinds[2:0:-1]
    assert [e.type for e in await storage.events.page("default", limit=9, after=1)] == kinds[1:]
    assert await storage.events.page("other", limit=9) == []


async def test_the_same_source_and_id_is_stored_once_and_another_body_is_a_conflict(storage: Storage) -> None:
    key = EventKey("shop", b"k" * 16, b"b" * 16, NOW)
    first = await accept_one(storage, Prepared(event(), key=key))
    again = await accept_one(storage, Prepared(event(), key=key))
    assert (again.id, again.duplicate) == (first.id, True)
    other = EventKey("shop", b"k" * 16, b"c" * 16, NOW)
    fresh = event("order.new")
    with pytest.raises(SourceIdConflict) as caught:
        await storage.accept(unit(Prepared(fresh), Prepared(event(), key=other)))
    assert (caught.value.index, caught.value.first) == (1, first.id)
    assert await storage.events.get("default", fresh.id) is None, "all or none"


async def test_a_conflict_does_not_take_its_neighbours_with_it(storage: Storage) -> None:
    key = EventKey("shop", b"k" * 16, b"b" * 16, NOW)
    await accept_one(storage, Prepared(event(), key=key))
    bad = Prepared(event(), key=EventKey("shop", b"k" * 16, b"c" * 16, NOW))
    answers = await asyncio.gather(
        storage.accept(unit(Prepared(event()))),
        storage.accept(unit(bad)),
        storage.accept(unit(Prepared(event()))),
        return_exceptions=True,
    )
    assert [isinstance(answer, SourceIdConflict) for answer in answers] == [False, True, False]
    assert len(await storage.events.page("default", limit=9)) == 3


async def test_twins_in_one_array_are_one_event_and_a_key_is_forgotten_after_thirty_days(
    storage: Storage,
) -> None:
    key = EventKey("shop", b"k" * 16, b"b" * 16, NOW)
    first, second = await storage.accept(unit(Prepared(event(), key=key), Prepared(event(), key=key)))
    assert (first.duplicate, second.duplicate, second.id) == (False, True, first.id)
    later = EventKey("shop", b"k" * 16, b"z" * 16, NOW + 30 * DAY)
    assert not (await accept_one(storage, Prepared(event(), key=later))).duplicate


async def test_keys_of_tenants_do_not_meet(storage: Storage) -> None:
    key = EventKey("shop", b"k" * 16, b"b" * 16, NOW)
    await accept_one(storage, Prepared(event(), key=key))
    theirs = event(tenant="other")
    answers = await storage.accept(unit(Prepared(theirs, key=key), tenant="other"))
    assert not answers[0].duplicate


async def test_events_matched_under_an_old_configuration_are_refused(storage: Storage) -> None:
    hook = Hook(
        tenant="default", id="hook_a", created_at=NOW, updated_at=NOW, keys=(SigningKey("whsec_x"),),
        spec=HookInput(on=["*"], do=WebhookAction(url="https://shop.example/")),
    )  # fmt: skip
    stored = await storage.hooks.put(hook)
    assert await storage.hooks.everything() == (2, [stored])
    with pytest.raises(StaleConfig):
        await storage.accept(unit(Prepared(event()), config=1))
    assert await storage.accept(unit(Prepared(event()), config=2))
    assert await storage.hooks.get("other", "hook_a") is None
    assert await storage.hooks.delete("default", "hook_a", NOW)
    assert await storage.hooks.everything() == (3, [])


async def test_a_limit_is_spent_once_even_by_claims_of_one_commit(storage: Storage) -> None:
    def owed(subject: str) -> Prepared:
        happened = event(verdicts=(Verdict("hook_a", "matched"),))
        due = delivery(happened)
        claim = LimitClaim("hook_a", subject, due.id, -1, 2)
        return Prepared(happened, (due,), (claim,))

    answers = await storage.accept(unit(*(owed("ada") for _ in range(3)), owed("bob")))
    assert [len(answer.deliveries) for answer in answers] == [1, 1, 0, 1]
    refused = await storage.events.get("default", answers[2].id)
    assert refused is not None and refused.verdicts[0].verdict == "limit"
    assert (await accept_one(storage, owed("ada"))).deliveries == ()


async def test_a_limit_within_a_time_opens_again(storage: Storage) -> None:
    async def spend(at: int) -> int:
        happened = event(accepted_at=at)
        due = delivery(happened)
        claim = LimitClaim("hook_a", "ada", due.id, at - DAY, 1)
        return len((await accept_one(storage, Prepared(happened, (due,), (claim,)))).deliveries)

    assert [await spend(NOW), await spend(NOW + DAY - 1), await spend(NOW + DAY)] == [1, 0, 1]


async def test_claiming_takes_what_is_due_once_and_lane_by_lane(storage: Storage) -> None:
    happened = event()
    owed = [
        delivery(happened, lane=lane, state=state, next_at=at)
        for lane, state, at in (
            ("a", "queued", 5), ("a", "queued", 3), ("b", "waiting", 9), ("c", "waiting", 4), ("c", "queued", 7)
        )
    ]  # fmt: skip
    await accept_one(storage, Prepared(happened, tuple(owed)))
    assert (await storage.deliveries.due(NOW)).lanes == (
        Standing("default", "a", "webhook", True, None),
        Standing("default", "b", "webhook", False, 9),
        Standing("default", "c", "webhook", True, 4),
    )
    both = [Wanted(tenant="default", lane=lane, firsts=5, retries=5) for lane in ("b", "c")]
    got = await storage.deliveries.claim([wanted("a", 1), *both], "me", 5)
    assert [(d.lane, d.owner) for d, _ in got.work] == [("a", "me"), ("c", "me"), ("c", "me")]
    assert all(d.state == "sending" and d.next_at is None for d, _ in got.work)
    assert got.work[0][0].id == owed[1].id, "the earliest first"
    assert [(t.firsts, t.retries, t.retry_at) for t in got.taken] == [(1, 0, None), (0, 0, 9), (1, 1, None)]
    assert [d.id for d, _ in (await storage.deliveries.claim([wanted("a", 5)], "you", 5)).work] == [
        owed[0].id
    ]


async def test_a_claim_ends_with_the_memory_for_events(storage: Storage) -> None:
    for _ in range(100):
        happened = event(data=b'"' + b"x" * 1000 + b'"')
        await accept_one(storage, Prepared(happened, (delivery(happened, lane="a"),)))
    got = await storage.deliveries.claim([wanted("a", 100)], "me", NOW, budget=5000)
    assert got.cut and 0 < len(got.work) < 100
    rest = await storage.deliveries.claim([wanted("a", 100)], "me", NOW)
    assert not rest.cut and len(rest.work) + len(got.work) == 100


async def test_settling_holds_only_for_the_owner_and_only_once(storage: Storage) -> None:
    happened = event()
    held = delivery(happened, state="sending", owner="me", next_at=None)
    await accept_one(storage, Prepared(happened, (held,)))
    stranger = msgspec.structs.replace(held, owner="you")
    assert (await storage.deliveries.settle([settlement(stranger)])).lost == {held.id}
    follow = unit(Prepared(event("delivery.failed")))
    done = await storage.deliveries.settle([settlement(held, follow_ups=follow)])
    assert (done.lost, [item.event.type for item in done.stored]) == (frozenset(), ["delivery.failed"])
    again = await storage.deliveries.settle([settlement(held, follow_ups=unit(Prepared(event("twice"))))])
    assert again.lost == {held.id} and not again.stored
    stored = await storage.deliveries.get("default", held.id)
    assert stored is not None and (stored.state, stored.attempts, stored.owner) == ("succeeded", 1, None)
    assert [a.number for a in await storage.deliveries.attempts("default", held.id)] == [1]


async def test_what_was_held_before_it_was_taken_over_is_not_handed_back_afterwards(storage: Storage) -> None:
    happened = event()
    before = delivery(happened, state="sending", owner="me", next_at=None)
    now = msgspec.structs.replace(before, attempts=1)
    await accept_one(storage, Prepared(happened, (now,)))
    for held, state in ((before, "sending"), (now, "queued")):
        await storage.deliveries.hand_back([held], NOW)
        stored = await storage.deliveries.get("default", before.id)
        assert stored is not None and stored.state == state


async def test_one_that_is_lost_does_not_take_its_neighbours_with_it(storage: Storage) -> None:
    happened = event()
    held = [delivery(happened, state="sending", owner="me", next_at=None) for _ in range(3)]
    await accept_one(storage, Prepared(happened, tuple(held)))
    batch = [
        settlement(held[0]),
        settlement(msgspec.structs.replace(held[1], owner="you")),
        settlement(held[2]),
    ]
    assert (await storage.deliveries.settle(batch)).lost == {held[1].id}
    stored = [await storage.deliveries.get("default", one.id) for one in held]
    assert [one.state for one in stored if one] == ["succeeded", "sending", "succeeded"]
    assert [len(await storage.deliveries.attempts("default", one.id)) for one in held] == [1, 0, 1]


async def test_the_database_refuses_states_that_cannot_be(storage: Storage) -> None:
    happened = event()
    impossible = delivery(happened, state="sending", owner=None, next_at=None)
    with pytest.raises(Exception, match=r"(?i)check"):
        await accept_one(storage, Prepared(happened, (impossible,)))
    assert await storage.events.get("default", happened.id) is None


async def test_the_work_of_the_dead_is_taken_over_and_that_of_the_living_is_not(storage: Storage) -> None:
    happened = event()
    held = [
        delivery(happened, state="sending", owner=owner, next_at=None) for owner in ("dead", "alive", "me")
    ]
    await accept_one(storage, Prepared(happened, tuple(held)))
    for epoch in ("dead", "alive", "me"):
        await storage.deliveries.heartbeat(epoch, DAY)
    assert await storage.deliveries.take_over("me", DAY) == [], "all hearts have beaten within a day"
    await storage.deliveries.retire("dead")
    taken = await storage.deliveries.take_over("me", DAY)
    assert [(d.id, d.owner) for d in taken] == [(held[0].id, "me")]
    assert {d.id for d in await storage.deliveries.owned("me")} == {held[0].id, held[2].id}
    assert (await storage.deliveries.settle([settlement(held[0])])).lost, "the dead cannot settle any more"


async def test_mails_are_claimed_with_their_message_and_counted_once(storage: Storage) -> None:
    list_ = ContactList(tenant="default", id="lst_a", name="readers", created_at=NOW)
    assert await storage.contacts.create_list(list_) is not None
    assert await storage.contacts.create_list(msgspec.structs.replace(list_, id="lst_b")) is None
    for name in ("ada", "bob"):
        contact = Contact(
            tenant="default", id=f"ctc_{name}", email=f"{name}@example.com", created_at=NOW, updated_at=NOW
        )
        await storage.contacts.create(contact, ["lst_a"])
        with pytest.raises(ContactMoved):  # the address is taken
            await storage.contacts.create(contact, [])
    spec = CampaignInput(name="news", list="lst_a", from_="a@b.example", subject="Hi", text="Hi")
    campaign = await storage.campaigns.put(
        Campaign(tenant="default", id="cmp_a", spec=spec, list="lst_a", state="draft", created_at=NOW)
    )
    assert await storage.campaigns.start("default", "cmp_a", NOW)
    assert not await storage.campaigns.start("default", "cmp_a", NOW)
    members = await storage.contacts.members("default", "lst_a", 0, 10)
    owed = [
        delivery(None, hook=None, lane="cmp_a", kind="email", campaign="cmp_a", contact=m.id, address=m.email)
        for m in members
    ]
    started = (await storage.campaigns.sending())[0]
    assert await storage.campaigns.add_recipients(started, owed[:1], 1) == 1
    assert await storage.campaigns.add_recipients(started, owed, EVERYONE) == 0, "the cursor has moved on"
    moved = (await storage.campaigns.sending())[0]
    assert await storage.campaigns.add_recipients(moved, owed, EVERYONE) == 1, "nobody twice"
    assert campaign.seq > 0
    claimed = (await storage.deliveries.claim([wanted("cmp_a", 9)], "me", NOW + 7)).work
    assert len(claimed) == 2
    message = await storage.campaigns.message("default", claimed[0][0].id)
    assert message is not None and (message.sent_at, message.address) == (NOW + 7, "ada@example.com")
    both = [message.id, message.id, "dlv_nothing"]
    assert await storage.campaigns.messages("default", both) == {message.id: message}
    assert await storage.campaigns.messages("other", both) == {}
    assert await storage.campaigns.messages("default", []) == {}

    async def raise_event(kind: str, **data: object) -> None:
        told = {"message": claimed[0][0].id, "campaign": "cmp_a", **data}
        happened = event(kind, message=claimed[0][0].id, campaign="cmp_a", subject="ada@example.com")
        await accept_one(storage, Prepared(happened, effect=effect_of(kind, "ada@example.com", told)))

    for kind in ("email.sent", "email.sent", "email.opened", "email.opened", "email.complained"):
        await raise_event(kind)
    await raise_event("email.opened", machine=True)
    counted = await storage.figures.total("default", "campaign", "cmp_a")
    assert counted == {
        "attempted": 1, "sent": 1, "opened": 1, "opened_total": 2, "opened_machine": 1, "complained": 1,
    }  # fmt: skip
    suppressed = await storage.contacts.suppressions("default", "ada@example.com")
    assert [s.reason for s in suppressed] == ["complaint"]
    assert not await storage.campaigns.is_over("default", "cmp_a")
    await storage.deliveries.settle([settlement(d) for d, _ in claimed])
    assert await storage.campaigns.is_over("default", "cmp_a")


async def test_unsubscribing_leaves_the_list(storage: Storage) -> None:
    await storage.contacts.create_list(
        ContactList(tenant="default", id="lst_a", name="readers", created_at=NOW)
    )
    contact = Contact(tenant="default", id="ctc_a", email="ada@example.com", created_at=NOW, updated_at=NOW)
    await storage.contacts.create(contact, ["lst_a"])
    left = effect_of("email.unsubscribed", "ada@example.com", {"list": "lst_a"})
    await accept_one(storage, Prepared(event("email.unsubscribed"), effect=left))
    assert await storage.contacts.lists_of("default", "ctc_a") == {"lst_a": "unsubscribed"}
    assert await storage.contacts.members("default", "lst_a", 0, 9) == []
    found = await storage.contacts.get("default", "ctc_a")
    assert found is not None
    await storage.contacts.update(found, ["lst_a"])
    assert await storage.contacts.members("default", "lst_a", 0, 9) == [], "no import puts anybody back"


async def test_a_change_of_a_contact_holds_only_at_its_revision(storage: Storage) -> None:
    contact = Contact(tenant="default", id="ctc_a", email="ada@example.com", created_at=NOW, updated_at=NOW)
    await storage.contacts.create(contact, [])
    await storage.contacts.create_list(ContactList(tenant="default", id="lst_a", name="x", created_at=NOW))
    happened = event()
    held = [delivery(happened, kind="contact", state="sending", owner="me", next_at=None) for _ in range(2)]
    await accept_one(storage, Prepared(happened, tuple(held)))

    def change(revision: int, raw: bytes) -> ContactChange:
        return ContactChange(
            contact="ctc_a", revision=revision, attributes=raw, tags=("vip",), subscribe=("lst_a",)
        )

    await storage.deliveries.settle([settlement(held[0], change=change(1, b'{"balance":1}'))])
    with pytest.raises(ContactMoved):
        await storage.deliveries.settle([settlement(held[1], change=change(1, b'{"balance":2}'))])
    found = await storage.contacts.get("default", "ctc_a")
    assert found is not None and (found.attributes, found.tags, found.revision) == (
        b'{"balance":1}',
        ("vip",),
        2,
    )
    undone = await storage.deliveries.get("default", held[1].id)
    assert undone is not None and undone.state == "sending", "nothing of it was stored"
    await storage.deliveries.settle([settlement(held[1], change=change(2, b'{"balance":2}'))])
    assert await storage.contacts.lists_of("default", "ctc_a") == {"lst_a": "subscribed"}


async def test_a_contact_and_its_events_are_stored_together_or_not_at_all(storage: Storage) -> None:
    contact = Contact(tenant="default", id="ctc_a", email="ada@example.com", created_at=NOW, updated_at=NOW)
    written = msgspec.structs.replace(
        unit(Prepared(event("contact.created"))), write=lambda: creating(contact, [])
    )
    await storage.accept(written)
    again = event("contact.created")
    other = event()
    answers = await asyncio.gather(
        storage.accept(msgspec.structs.replace(unit(Prepared(again)), write=lambda: creating(contact, []))),
        storage.accept(unit(Prepared(other))),
        return_exceptions=True,
    )
    assert isinstance(answers[0], ContactMoved) and not isinstance(answers[1], BaseException)
    assert await storage.events.get("default", again.id) is None
    assert await storage.events.get("default", other.id) is not None


async def test_a_disabled_hook_holds_what_it_owes(storage: Storage) -> None:
    happened = event()
    owed = delivery(happened)
    held = delivery(happened, state="sending", owner="me", next_at=None)
    await accept_one(storage, Prepared(happened, (owed, held)))
    await storage.deliveries.settle([settlement(held, state="failed", disable_hook="gone")])
    stored = await storage.deliveries.get("default", owed.id)
    assert stored is not None and stored.state == "held"
    assert [d.id for d in await storage.deliveries.page("default", limit=9, state="held")] == [owed.id]
    assert await storage.deliveries.open_count("default") == 0


async def test_keys_are_found_by_digest_until_they_are_revoked(storage: Storage) -> None:
    key = Key(tenant="default", id="key_a", name="ci", scope="publish", created_at=NOW)
    stored = await storage.access.put_key(key, b"digest")
    assert await storage.access.key_by_digest(b"digest") == stored
    assert not await storage.access.revoke_key("other", "key_a", NOW)
    assert await storage.access.revoke_key("default", "key_a", NOW)
    assert await storage.access.key_by_digest(b"digest") is None


async def test_it_is_all_there_after_a_restart_and_another_key_is_refused(database_url: str | Path) -> None:
    first = await open_storage(database_url, bytes(32))
    hook = Hook(
        tenant="default", id="hook_a", created_at=NOW, updated_at=NOW, keys=(SigningKey("whsec_secret"),),
        spec=HookInput(on=["*"], do=WebhookAction(url="https://shop.example/")),
    )  # fmt: skip
    await first.hooks.put(hook)
    await first.close()
    again = await open_storage(database_url, bytes(32))
    found = await again.hooks.get("default", "hook_a")
    assert found is not None and found.keys == (SigningKey("whsec_secret"),)
    await again.close()
    with pytest.raises(ValueError, match="secret key"):
        await open_storage(database_url, bytes(31) + b"1")


async def test_secrets_do_not_lie_in_the_file_in_clear(tmp_path: Path) -> None:
    storage = await open_storage(tmp_path / "hookline.db", bytes(32))
    hook = Hook(
        tenant="default", id="hook_a", created_at=NOW, updated_at=NOW, keys=(SigningKey("whsec_unmistakable"),),
        spec=HookInput(on=["*"], do=WebhookAction(url="https://shop.example/", headers={"a": "unmistakable"})),
    )  # fmt: skip
    await storage.hooks.put(hook)
    await storage.close()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"hook_a" in stored and b"unmistakable" not in stored
    assert (tmp_path / "hookline.db").stat().st_mode & 0o077 == 0


def hook_to_shop() -> Hook:
    return Hook(
        tenant="default", id="hook_a", created_at=NOW, updated_at=NOW, keys=(SigningKey("whsec_x"),),
        spec=HookInput(on=["*"], do=WebhookAction(url="https://shop.example/", headers={"a": "unmistakable"})),
    )  # fmt: skip


async def test_a_change_holds_only_for_the_hook_that_was_read(storage: Storage) -> None:
    read = await storage.hooks.put(hook_to_shop())
    named = msgspec.structs.replace(read, spec=msgspec.structs.replace(read.spec, name="new"))
    await storage.hooks.hold("default", "hook_a", "gone", NOW)  # in the very moment that it was made
    version, _ = await storage.hooks.everything()
    assert await storage.hooks.change(read, named) is None
    gone = await storage.hooks.get("default", "hook_a")
    assert gone is not None and (gone.disabled_reason, gone.spec.name) == ("gone", "")
    assert (await storage.hooks.everything())[0] == version
    changed = await storage.hooks.change(gone, named)
    assert changed is not None and changed.updated_at > gone.updated_at
    assert await storage.hooks.get("default", "hook_a") == changed
    assert await storage.hooks.everything() == (version + 1, [changed])
    assert await storage.hooks.change(gone, named) is None
    assert await storage.hooks.delete("default", "hook_a", NOW)
    assert await storage.hooks.change(changed, named) is None


async def test_deleting_a_hook_cancels_what_waits_and_what_is_held_and_nothing_else(storage: Storage) -> None:
    await storage.hooks.put(hook_to_shop())
    happened = event()
    owed = [
        delivery(happened),
        delivery(happened, state="held", next_at=None),
        delivery(happened, state="failed", next_at=None),
        delivery(happened, state="sending", owner="me", next_at=None),
        delivery(happened, hook="hook_b", lane="hook_b", state="held", next_at=None),
    ]
    await storage.accept(unit(Prepared(happened, tuple(owed)), config=2))
    assert not await storage.hooks.delete("other", "hook_a", NOW)
    assert await storage.hooks.delete("default", "hook_a", NOW)
    after = [await storage.deliveries.get("default", one.id) for one in owed]
    assert [one.state for one in after if one is not None] == [
        "cancelled", "cancelled", "failed", "sending", "held",
    ]  # fmt: skip


async def test_hooks_are_switched_and_deleted_while_others_settle(storage: Storage) -> None:
    """Whoever changes many rows takes the clock's first, so PostgreSQL has no deadlock to break."""
    for _ in range(10):
        kept = await storage.hooks.put(hook_to_shop())
        config, _ = await storage.hooks.everything()
        happened = event()
        owed = [delivery(happened, state="sending", owner="me", next_at=None) for _ in range(4)]
        owed += [delivery(happened) for _ in range(4)]
        await storage.accept(unit(Prepared(happened, tuple(owed)), config=config))
        await asyncio.gather(
            *(
                storage.deliveries.settle([settlement(d, state="failed", disable_hook="gone")])
                for d in owed[:4]
            ),
            storage.hooks.hold("default", "hook_a", "off", NOW),
            storage.hooks.change(kept, kept),
            storage.hooks.delete("default", "hook_a", NOW),
        )
        states = [d.state for d in await storage.deliveries.page("default", limit=8)]
        assert states.count("failed") == 4 and set(states) <= {"failed", "cancelled", "held"}


async def test_many_rows_are_as_many_however_alike_they_are(storage: Storage) -> None:
    def plan(rows: list[tuple[str | None, int]]) -> Plan[list[Row]]:
        return (yield Many("SELECT v.name, v.number FROM {v}", "name:t number:i", rows))

    for rows in ([], [("a", 1)], [("a", 1)] * 3, [("a", 1), ("b", 1)], [(None, 2), (None, 1), ("c", 2)]):
        found = await storage._db.read(lambda rows=rows: plan(rows))  # type: ignore[misc]
        assert sorted(found, key=str) == sorted(rows, key=str)


async def test_what_is_in_bulk_is_done_as_row_by_row(storage: Storage) -> None:
    columns = "name:t value:t"
    put = "INSERT INTO meta (name, value) {rows} ON CONFLICT (name) DO "
    rows = [(f"n{place:03}", str(place)) for place in range(120)]

    def plan(which: str) -> Plan[tuple[list[Row], ...]]:
        more = [(which + name, value) for name, value in rows]
        names = [(name,) for name, _ in more]
        made = yield Many(put + "NOTHING", columns, more[:60])
        again = yield Many(put + "NOTHING", columns, more)
        told = yield Many(
            put + "UPDATE SET value = 'x' WHERE excluded.value = '7' RETURNING value", columns, more
        )
        changed = yield Many(
            "UPDATE meta SET value = v.value FROM {v} WHERE meta.name = v.name AND meta.value <> 'x'",
            columns,
            more,
        )
        gone = yield Many("DELETE FROM meta WHERE name IN (SELECT v.name FROM {v})", "name:t", names[:51])
        left = yield Many("SELECT m.value FROM meta m, {v} WHERE m.name = v.name", "name:t", names)
        return made, again, told, changed, gone, sorted(left)

    one_by_one = await storage._db.run(lambda: plan("a"))
    assert await storage._db.run(lambda: plan("b"), bulk=True) == one_by_one
    assert [found[0] for found in one_by_one[:5]] == [(60,), (60,), ("x",), (119,), (51,)]
    assert len(one_by_one[5]) == 69


async def test_what_is_in_bulk_fails_by_itself(storage: Storage) -> None:
    def plan(name: str) -> Plan[None]:
        rows = [(f"{name}{place}", "") for place in range(60)]
        yield Many("INSERT INTO meta (name, value) {rows}", "name:t value:t", rows)
        if name == "b":
            raise ContactMoved

    answers = await asyncio.gather(
        *(storage._db.run(lambda name=name: plan(name), bulk=name != "c") for name in "abc"),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), ContactMoved, type(None)]

    def count() -> Plan[list[Row]]:
        return (yield Sql("SELECT COUNT(*) FROM meta WHERE value = ''"))

    assert await storage._db.read(count) == [(120,)]
