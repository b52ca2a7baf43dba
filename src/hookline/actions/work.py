"""What every action is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from hookline import __version__
from hookline.clock import Clock
from hookline.mail.sender import Mailer
from hookline.model import Delivery, Event, Hook, Kind, Outcome
from hookline.net.http import HttpClient
from hookline.rules.cel import Expression
from hookline.rules.pacing import Pace, Rate
from hookline.storage import Storage

USER_AGENT = f"Hookline/{__version__}"
# What conditions and templates may name.
VARIABLES = frozenset({"event", "message", "contact", "now", "cause"})
CONDITION_VARIABLES = VARIABLES - {"cause"}


class Invalid(Exception):
    """A field of a hook that cannot work: ``pointer`` is a JSON pointer from the hook's root."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}")
        self.pointer, self.detail = pointer, detail


class Batching(Struct, frozen=True):
    """How many events a delivery takes at ``most``, and how long it waits for them."""

    most: int
    every: int


class Plan(Struct, frozen=True, kw_only=True):
    """An action, compiled: templates parsed, expressions closed. ``names`` are the variables it needs."""

    names: frozenset[str]
    address_names: frozenset[str] = frozenset()

    @property
    def batches(self) -> bool:
        """Whether the action can tell of several events at once."""
        return False

    @property
    def batch(self) -> Batching | None:
        """How it gathers events where the hook does not say."""
        return None

    def address(self, values: Mapping[str, Any]) -> str | None:
        """Whom the delivery goes to, where that is a person; worked out when the event comes."""
        return None

    @property
    def rate(self) -> Rate | None:
        """How often it acts where the hook does not say."""
        return None

    def passes_over(self, event: Event) -> str:
        """Why the action has nothing to say about an event, in words; "" where it has."""
        return ""


class CompiledHook(Struct, frozen=True):
    """A hook ready to act: ``condition`` is its ``if``, ``plan`` its compiled ``do``.

    ``pace`` is ``None`` where nothing holds its lane back.
    """

    hook: Hook
    kind: Kind
    condition: Expression | None
    plan: Plan
    schedule: tuple[int, ...]
    timeout: float
    batch: Batching | None = None
    pace: Pace | None = None


class Tools(Struct, frozen=True):
    """What actions may use. ``wall`` is real time in seconds, for signatures that receivers check."""

    http: HttpClient
    mailer: Mailer
    storage: Storage
    clock: Clock
    wall: Callable[[], float]


class Work(Struct, frozen=True):
    """One attempt to be made. ``variables`` are those that the plan names, as CEL values.

    ``events`` are those of a batch, of which ``event`` is the first; there are none where it is no batch.
    """

    delivery: Delivery
    event: Event
    hook: CompiledHook
    variables: Mapping[str, Any]
    tools: Tools
    events: tuple[Event, ...] = ()


class ActionModule(Protocol):
    """The names that a module in this package has; listed once, in ``ACTIONS``."""

    KIND: str

    def compile(self, action: Any) -> Plan:
        """Check and prepare an action. Raises Invalid."""
        ...

    async def perform(self, work: Work) -> Outcome:
        """Do it once. Never raises for what is expected."""
        ...
