"""Which events a hook's ``on`` asks for, and who may see what: pure."""

from __future__ import annotations

from collections.abc import Iterable

from hookline.model import Event, Hook

MAX_DEPTH = 8
# Hookline's own housekeeping is not part of `*`: who asks for everything means what happens outside.
INTERNAL = ("hook.", "delivery.", "pool.")
RESERVED = ("email.", "contact.", "campaign.", *INTERNAL)


def is_reserved(event_type: str) -> bool:
    """Whether only Hookline and its sources may raise this type."""
    return event_type.startswith(RESERVED)


def matches(pattern: str, event_type: str) -> bool:
    if pattern == "*":
        return not event_type.startswith(INTERNAL)
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type


def check_pattern(pattern: str, known: Iterable[str]) -> None:
    """ValueError, in words for the user, for a pattern that can never match."""
    known = sorted(known)
    if pattern == "*":
        return
    name = pattern.removesuffix(".*")
    if not name or "*" in name or name.strip() != name or any(c.isspace() or ord(c) < 33 for c in name):
        raise ValueError(f'{pattern!r} is no event type; write a name, a prefix such as "email.*", or "*"')
    if len(pattern) > 200:
        raise ValueError("an event type has at most 200 characters")
    if is_reserved(name + ".") and not any(matches(pattern, event_type) for event_type in known):
        raise ValueError(f"there is no event type {pattern!r}; Hookline's own are {', '.join(known)}")


def loops(hook: Hook, cause_hook: str | None, depth: int) -> str | None:
    """Why a hook must not act on an event, in words, or ``None``.

    A hook never sees what its own deliveries caused; and a chain of hooks ends at a depth of eight.
    """
    if cause_hook == hook.id:
        return "the event was caused by this hook's own delivery"
    if depth >= MAX_DEPTH:
        return f"the event is the end of a chain of {MAX_DEPTH} deliveries"
    return None


class TypeIndex:
    """The hooks of one tenant by event type: exact names by a dictionary, patterns one after another."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self._exact: dict[str, list[Hook]] = {}
        self._patterns: list[tuple[str, Hook]] = []
        self._order: dict[str, int] = {}
        for place, hook in enumerate(hooks):
            self._order[hook.id] = place
            for pattern in hook.spec.on:
                if pattern == "*" or pattern.endswith(".*"):
                    self._patterns.append((pattern, hook))
                else:
                    self._exact.setdefault(pattern, []).append(hook)

    def find(self, event_type: str) -> list[Hook]:
        """The hooks that ask for this type, each once, the oldest first."""
        found = {hook.id: hook for hook in self._exact.get(event_type, ())}
        for pattern, hook in self._patterns:
            if matches(pattern, event_type):
                found[hook.id] = hook
        return sorted(found.values(), key=lambda hook: self._order[hook.id])


def limit_subject(per: str, event: Event, contact_address: str | None, subject: str | None) -> str | None:
    """Under what name a limit counts an event, or ``None`` where it has none.

    Addresses come normalised, so that one person's spellings count as one.
    """
    if per == "hook":
        return "hook"
    return (contact_address if per == "contact" else None) or subject
