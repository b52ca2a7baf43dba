"""What conditions and templates see: the event, its message, its contact, as plain values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hookline.model import Contact, Event, Message
from hookline.rules import cel
from hookline.rules.addresses import normalise, normalise_phone
from hookline.rules.contacts import contact_value
from hookline.rules.times import to_datetime
from hookline.storage import Storage


def event_value(event: Event) -> dict[str, Any]:
    """An event as conditions see it; ``data`` is parsed, its numbers exact."""
    return {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "source_id": event.source_id,
        "subject": event.subject,
        "time": to_datetime(event.time),
        "data": cel.from_json(event.data) if event.data else None,
        "depth": event.depth,
    }


def message_value(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "campaign": message.campaign,
        "hook": message.hook,
        "contact": message.contact,
        "email": message.address,
        "sent_at": to_datetime(message.sent_at),
    }


class Facts:
    """Looks up, for one event, what is asked for and no more."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def load(self, event: Event, names: Collection[str], now: int) -> dict[str, Any]:
        """The values of ``names``; what is not known is ``None``."""
        values: dict[str, Any] = {}
        if "event" in names:
            values["event"] = event_value(event)
        if "message" in names:
            message = await self.message(event)
            values["message"] = message_value(message) if message else None
        if "contact" in names:
            contact = await self.contact(event)
            values["contact"] = contact_value(contact) if contact else None
        if "now" in names:
            values["now"] = to_datetime(now)
        if "cause" in names:
            cause = await self._cause(event)
            values["cause"] = event_value(cause) if cause else None
        return values

    async def message(self, event: Event) -> Message | None:
        """The mail that the event is about, by ``data.message``."""
        name = _field(event, "message")
        return await self._storage.campaigns.message(event.tenant, name) if name else None

    async def contact(self, event: Event) -> Contact | None:
        """By ``data.contact``, else by the subject as an email address or a phone number."""
        contacts = self._storage.contacts
        name = _field(event, "contact")
        if name is not None:
            found = await contacts.get(event.tenant, name)
            if found is not None:
                return found
        return await self.contact_named(event.tenant, event.subject)

    async def contact_named(self, tenant: str, text: str | None) -> Contact | None:
        """A contact by its id, its email address or its phone number."""
        contacts = self._storage.contacts
        if not text:
            return None
        if text.startswith("ctc_"):
            return await contacts.get(tenant, text)
        if "@" in text:
            return await contacts.by_email(tenant, normalise(text))
        phone = normalise_phone(text)
        return await contacts.by_phone(tenant, phone) if phone else None

    async def _cause(self, event: Event) -> Event | None:
        if event.cause is None:
            return None
        delivery = await self._storage.deliveries.get(event.tenant, event.cause)
        if delivery is None or delivery.event is None:
            return None
        return await self._storage.events.get(event.tenant, delivery.event)


def _field(event: Event, name: str) -> str | None:
    if f'"{name}"'.encode() not in event.data:
        return None
    data = cel.from_json(event.data)
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None
