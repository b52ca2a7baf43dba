"""Those who are about to get a mail are asked about together, and each gets his own answer; on both databases."""

from __future__ import annotations

import asyncio

from hookline.model import Contact, ContactList, Suppression
from hookline.storage import Storage

NOW = 1_790_000_000_000_000


def contact(tenant: str, name: str, email: str) -> Contact:
    return Contact(tenant=tenant, id=name, email=email, created_at=NOW, updated_at=NOW)


def suppression(tenant: str, address: str, reason: str, listed: str = "") -> Suppression:
    return Suppression(tenant=tenant, address=address, reason=reason, list=listed, created_at=NOW)  # type: ignore[arg-type]


async def test_each_gets_his_own_answer(storage: Storage) -> None:
    for tenant in ("default", "other"):
        listed = ContactList(tenant=tenant, id="lst_a", name="readers", created_at=NOW)
        assert await storage.contacts.create_list(listed)
    ada, bob = contact("default", "ctc_a", "ada@example.com"), contact("default", "ctc_b", "bob@example.com")
    namesake = contact("other", "ctc_a", "ada@example.com")
    await storage.contacts.create(ada, ["lst_a"])
    await storage.contacts.create(bob, [])
    await storage.contacts.create(namesake, ["lst_a"])
    erased = storage.contacts.mark("default", "gone@example.com")
    for entry in (
        suppression("default", "bob@example.com", "unsubscribe", "lst_b"),
        suppression("default", "bob@example.com", "complaint"),
        suppression("other", "ada@example.com", "manual"),
        suppression("default", erased, "unsubscribe"),
    ):
        await storage.contacts.suppress(entry)
    asked = [
        ("default", "ada@example.com", "ctc_a", "lst_a"),
        ("default", "bob@example.com", "ctc_b", "lst_a"),
        ("other", "ada@example.com", "ctc_a", "lst_a"),
        ("default", "gone@example.com", None, ""),
        ("default", "ada@example.com", "ctc_a", "lst_a"),
        ("default", "ada@example.com", "ctc_a", ""),
        ("default", "new@example.com", "ctc_x", "lst_a"),
    ]
    found = await asyncio.gather(*(storage.recipients.get(*one) for one in asked))
    assert [(one.contact and one.contact.tenant, one.contact and one.contact.id) for one in found] == [
        ("default", "ctc_a"), ("default", "ctc_b"), ("other", "ctc_a"), (None, None), ("default", "ctc_a"),
        ("default", "ctc_a"), (None, None),
    ]  # fmt: skip
    assert [one.status for one in found] == ["subscribed", None, "subscribed", None, "subscribed", None, None]
    assert [one.reasons for one in found] == [
        (), (("unsubscribe", "lst_b"), ("complaint", "")), (("manual", ""),), (("unsubscribe", ""),), (), (), (),
    ]  # fmt: skip


async def test_what_was_committed_before_the_question_counts_although_another_is_being_read(
    storage: Storage,
) -> None:
    """Whoever asks while a read is under way is not answered by that read."""
    first = asyncio.create_task(storage.recipients.get("default", "ada@example.com", None))
    await asyncio.sleep(0)  # its read is about to begin
    await storage.contacts.suppress(suppression("default", "ada@example.com", "manual"))
    second = await storage.recipients.get("default", "ada@example.com", None)
    assert second.reasons == (("manual", ""),)
    await first
