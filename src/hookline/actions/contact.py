"""A change of one contact: computed exactly, applied once, and an event of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hookline.actions.facts import Facts
from hookline.actions.work import CONDITION_VARIABLES, VARIABLES, Invalid, Plan, Work
from hookline.model import Contact, ContactAction, ContactChange, ContactList, EventDraft, Outcome
from hookline.rules import cel, templates
from hookline.rules.contacts import MAX_ATTRIBUTES, MAX_NAME, contact_value, joining

KIND = "contact"


class ContactPlan(Plan, frozen=True, kw_only=True):
    action: ContactAction
    who: templates.Template | None
    require: cel.Expression | None
    set: Mapping[str, cel.Expression]


def compile(action: ContactAction) -> ContactPlan:
    if not (action.set or action.add_tags or action.remove_tags or action.subscribe or action.unsubscribe):
        raise Invalid(
            "/do", "a contact action changes something: set, add_tags, remove_tags, subscribe, unsubscribe"
        )
    who = None
    if action.contact is not None:
        try:
            who = templates.compile(action.contact, VARIABLES, html=False)
        except templates.TemplateError as error:
            raise Invalid("/do/contact", str(error)) from None
    require = _expression("/do/require", action.require) if action.require is not None else None
    changes: dict[str, cel.Expression] = {}
    for name, source in action.set.items():
        if not 1 <= len(name) <= MAX_NAME:
            raise Invalid("/do/set", "an attribute's name has 1 to 100 characters")
        changes[name] = _expression("/do/set/" + name.replace("~", "~0").replace("/", "~1"), source)
    for place, tag in enumerate(action.add_tags):
        if not 1 <= len(tag) <= MAX_NAME:
            raise Invalid(f"/do/add_tags/{place}", f"a tag has 1 to {MAX_NAME} characters")
    needed = [expression.names for expression in (require, *changes.values()) if expression]
    names = frozenset({"contact"}).union(*needed, who.names if who else ())
    return ContactPlan(names=names, action=action, who=who, require=require, set=changes)


def _expression(pointer: str, source: str) -> cel.Expression:
    try:
        return cel.compile(source, CONDITION_VARIABLES)
    except cel.CelError as error:
        raise Invalid(pointer, str(error)) from None


async def perform(work: Work) -> Outcome:
    plan = work.hook.plan
    if not isinstance(plan, ContactPlan):
        raise TypeError(type(plan))
    try:
        contact, named = await _find(plan, work)
    except templates.TemplateError as error:
        return Outcome(result="permanent", error="template", detail=str(error))
    if contact is None:
        return _refused(work, None, named, f"there is no contact {named!r}")
    values = {**work.variables, "contact": contact_value(contact)}
    try:
        if plan.require is not None and not cel.truth(plan.require.evaluate(values)):
            return _refused(work, contact, contact.email, f"it does not hold that {plan.require.source}")
        wanted = {name: expression.evaluate(values) for name, expression in plan.set.items()}
        return await _change(work, plan.action, contact, wanted)
    except (cel.EvalError, ValueError) as error:
        return Outcome(result="permanent", error="template", detail=str(error))


async def _find(plan: ContactPlan, work: Work) -> tuple[Contact | None, str | None]:
    facts = Facts(work.tools.storage)
    if plan.who is None:
        return await facts.contact(work.event), work.event.subject
    named = plan.who.render(work.variables).strip()
    return await facts.contact_named(work.delivery.tenant, named), named


async def _change(work: Work, action: ContactAction, contact: Contact, wanted: dict[str, Any]) -> Outcome:
    attributes = cast("dict[str, Any]", cel.from_json(contact.attributes))
    changed: dict[str, Any] = {
        name: {"from": attributes.get(name), "to": value}
        for name, value in wanted.items()
        if name not in attributes or cel.to_json(attributes[name]) != cel.to_json(value)
    }
    tags = tuple(tag for tag in contact.tags if tag not in action.remove_tags)
    tags += tuple(tag for tag in dict.fromkeys(action.add_tags) if tag not in tags)
    if tags != contact.tags:
        changed["tags"] = {"from": list(contact.tags), "to": list(tags)}
    stored = cel.to_json(attributes | wanted)
    if len(stored) > MAX_ATTRIBUTES:
        raise ValueError(f"the contact's attributes would be more than {MAX_ATTRIBUTES} bytes of JSON")
    before = await work.tools.storage.contacts.memberships(contact.tenant, contact.id)
    joined, asked = await _joining(work, action.subscribe, before)
    left = tuple(
        listed.id
        for listed in await _lists(work, action.unsubscribe)
        if before.get(listed.id, ("", 0))[0] in ("subscribed", "pending")
    )
    if not (changed or joined or asked or left):
        return Outcome(result="ok", detail="nothing to change")
    events = [_event(work, contact, "contact.updated", {"changed": changed})] if changed else []
    events += [_event(work, contact, "contact.subscribed", {"list": name}) for name in joined]
    events += [_event(work, contact, "contact.pending", {"list": name}) for name in asked]
    events += [_event(work, contact, "contact.unsubscribed", {"list": name}) for name in left]
    return Outcome(
        result="ok",
        detail=cel.to_json(changed).decode() if changed else "",
        change=ContactChange(
            contact=contact.id,
            revision=contact.revision,
            attributes=stored,
            tags=tags,
            subscribe=joined,
            ask=asked,
            unsubscribe=left,
        ),
        follow_ups=tuple(events),
    )


async def _joining(
    work: Work, names: list[str], before: Mapping[str, tuple[str, int]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lists to join, and those that ask first."""
    found: dict[str | None, list[str]] = {}
    now = work.tools.clock.now()
    for listed in await _lists(work, names):
        status, since = before.get(listed.id, (None, 0))
        how = joining(listed.double_opt_in is not None, status, since, now, on_purpose=True)
        found.setdefault(how, []).append(listed.id)
    return tuple(found.get("join", ())), tuple(found.get("asked", ()))


async def _lists(work: Work, names: list[str]) -> list[ContactList]:
    found = []
    for name in names:
        listed = await work.tools.storage.contacts.list_named(work.delivery.tenant, name)
        if listed is None:
            raise ValueError(f"there is no list {name!r}")
        found.append(listed)
    return found


def _refused(work: Work, contact: Contact | None, subject: str | None, reason: str) -> Outcome:
    event = _event(work, contact, "contact.refused", {"reason": reason}, subject)
    return Outcome(result="ok", detail=f"refused: {reason}", follow_ups=(event,))


def _event(
    work: Work, contact: Contact | None, kind: str, data: dict[str, Any], subject: str | None = None
) -> EventDraft:
    about = {"contact": contact.id, "email": contact.email} if contact else {}
    return EventDraft(
        type=kind,
        source="hookline",
        subject=(contact.email or contact.phone) if contact else subject,
        data=cel.to_json({**about, **data, "event": work.event.id}),
        cause=work.delivery.id,
        cause_hook=work.delivery.hook,
        depth=work.delivery.depth,
    )
