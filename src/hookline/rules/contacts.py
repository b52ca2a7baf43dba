"""What a contact may hold, what a change makes of it, and what is told of that: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from hookline.model import HOUR, Contact, EventDraft
from hookline.rules import cel
from hookline.rules.addresses import normalise, normalise_phone, parse_address
from hookline.rules.merging import merge_patch
from hookline.rules.times import to_datetime

MAX_ATTRIBUTES = 64 * 1024  # bytes of JSON
MAX_NAME = 100  # characters, of an attribute or a tag
MAX_TAGS = 100


class Wrong(ValueError):
    """A field that cannot be: ``pointer`` is a JSON pointer from the contact's root."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}")
        self.pointer, self.detail = pointer, detail


class Change(Struct, frozen=True, kw_only=True):
    """A checked change: what it gives, under the fields' own names, and the ids of lists to join.

    ``asking`` are those of the lists that ask first.
    """

    fields: Mapping[str, Any]
    attributes: Mapping[str, Any]
    lists: tuple[str, ...] = ()
    asking: frozenset[str] = frozenset()


def check_email(text: str) -> str:
    """The address as it is stored. Wrong for what is none, as the functions below for what they check."""
    try:
        return normalise(parse_address(text)[1])
    except ValueError as error:
        raise Wrong("/email", str(error)) from None


def check_phone(text: str | None) -> str | None:
    if text is None:
        return None
    phone = normalise_phone(text)
    if phone is None:
        raise Wrong("/phone", f"{text[:100]!r} is no phone number with its country, such as +45 20 12 34 56")
    return phone


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    for place, tag in enumerate(tags):
        if not 1 <= len(tag) <= MAX_NAME:
            raise Wrong(f"/tags/{place}", f"a tag has 1 to {MAX_NAME} characters")
    kept = tuple(dict.fromkeys(tags))
    if len(kept) > MAX_TAGS:
        raise Wrong("/tags", f"a contact has at most {MAX_TAGS} tags")
    return kept


def check_attributes(raw: bytes) -> dict[str, Any]:
    try:
        value = cel.from_json(raw)
    except ValueError as error:
        raise Wrong("/attributes", str(error)) from None
    if not isinstance(value, dict):
        raise Wrong("/attributes", "attributes are an object; null within it takes one out")
    for name in value:
        check_name(name)
    return value


def check_name(name: str) -> None:
    """Wrong for what is no name of an attribute."""
    if not 1 <= len(name) <= MAX_NAME:
        escaped = name[:MAX_NAME].replace("~", "~0").replace("/", "~1")
        raise Wrong(f"/attributes/{escaped}", f"a name has 1 to {MAX_NAME} characters")


def applied(contact: Contact, change: Change) -> Contact:
    """The contact with the change; Wrong where its attributes become too large."""
    if not change.attributes:
        return msgspec.structs.replace(contact, **change.fields)
    stored = cast("dict[str, Any]", cel.from_json(contact.attributes))
    try:
        attributes = cel.to_json(merge_patch(stored, change.attributes))
    except (ValueError, RecursionError):
        raise Wrong("/attributes", "attributes are nested too deeply") from None
    if len(attributes) > MAX_ATTRIBUTES:
        raise Wrong("/attributes", f"a contact's attributes are at most {MAX_ATTRIBUTES} bytes of JSON")
    return msgspec.structs.replace(contact, attributes=attributes, **change.fields)


def changes(before: Contact, after: Contact) -> dict[str, Any]:
    """What is different: attributes by their names, then the contact's own fields."""
    pairs: list[tuple[str, object, object]] = []
    if before.attributes != after.attributes:
        old = cast("dict[str, Any]", cel.from_json(before.attributes))
        new = cast("dict[str, Any]", cel.from_json(after.attributes))
        pairs = [(name, old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new))]
    pairs += [(name, getattr(before, name), getattr(after, name)) for name in ("email", "phone", "status")]
    pairs.append(("tags", list(before.tags), list(after.tags)))
    # Python holds 1, 1.0 and true for equal: their texts are not.
    return {
        name: {"from": was, "to": is_}
        for name, was, is_ in pairs
        if was is not is_ and cel.to_json(was) != cel.to_json(is_)
    }


ASK_AGAIN = HOUR
"""Who is asked whether he wants to join a list is not asked again before this time is over."""


def joining(asks: bool, status: str | None, since: int, now: int, *, on_purpose: bool) -> str | None:
    """Whether a contact is to ``join`` a list, or to be ``asked`` first, or neither.

    ``status`` is the membership's by now, ``since`` that time. Who has left is put back only ``on_purpose``, or by
    being asked.
    """
    if status == "subscribed":
        return None
    if asks:
        return None if status == "pending" and since > now - ASK_AGAIN else "asked"
    return "join" if on_purpose or status != "unsubscribed" else None


# --- as conditions and templates see it ------------------------------------------------------------


def contact_value(contact: Contact) -> dict[str, Any]:
    """The contact as plain values; numbers of its attributes are exact."""
    return {
        "id": contact.id,
        "email": contact.email,
        "phone": contact.phone,
        "attributes": cel.from_json(contact.attributes),
        "tags": list(contact.tags),
        "status": contact.status,
        "created_at": to_datetime(contact.created_at),
        "updated_at": to_datetime(contact.updated_at),
    }


# --- events ---------------------------------------------------------------------------------------


def told(contact: Contact, kind: str, facts: Mapping[str, Any]) -> EventDraft:
    """An event about a contact, ``contact.…``."""
    return EventDraft(
        type=kind,
        source="hookline",
        subject=contact.email or contact.phone,
        data=cel.to_json({"contact": contact.id, "email": contact.email, **facts}),
    )


def told_new(contact: Contact, more: Mapping[str, Any] | None = None) -> EventDraft:
    """``contact.created``: everything that the contact has."""
    facts = {
        "phone": contact.phone,
        "attributes": msgspec.Raw(contact.attributes),
        "tags": list(contact.tags),
        "status": contact.status,
        **(more or {}),
    }
    return told(contact, "contact.created", {k: value for k, value in facts.items() if value is not None})
