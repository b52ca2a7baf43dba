"""The words of the contract as plain structs: no logic, no I/O.

Times are integer microseconds since the Unix epoch, UTC; durations are integer microseconds.
``data`` of an event is the JSON text as its publisher sent it (``b""`` where there was none).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Name = Annotated[str, Meta(min_length=1, max_length=200)]
State = Literal["waiting", "queued", "sending", "succeeded", "failed", "cancelled", "held"]
Kind = Literal["webhook", "slack", "email", "sms", "contact"]
AttemptError = Literal[
    "timeout_connect", "timeout_read", "timeout_total", "dns", "refused", "reset", "tls",
    "blocked_address", "redirect", "http_status", "gone", "rate_limited", "protocol", "template",
    "smtp_temporary", "smtp_permanent", "suppressed", "provider", "crashed", "cancelled",
]  # fmt: skip
ReplayState = Literal["succeeded", "failed", "cancelled", "held", "disabled"]
VerdictKind = Literal["matched", "condition", "limit", "disabled", "loop", "error"]


class Verdict(Struct, frozen=True, omit_defaults=True):
    """What one hook said to one event, in a word of the closed list and in words."""

    hook: str
    verdict: VerdictKind
    detail: str = ""


class Event(Struct, frozen=True, kw_only=True):
    """A fact. ``envelope`` holds CloudEvents attributes that have no column of their own, as JSON."""

    tenant: str
    id: str
    type: str
    source: str
    time: int
    accepted_at: int
    data: bytes = b""
    source_id: str | None = None
    subject: str | None = None
    cause: str | None = None
    depth: int = 0
    envelope: bytes | None = None
    campaign: str | None = None
    message: str | None = None
    seq: int = 0
    verdicts: tuple[Verdict, ...] = ()


# --- hooks ---------------------------------------------------------------------------------------


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what users write: unknown fields are errors."""


class Limit(Strict, frozen=True, kw_only=True):
    """At most ``count`` deliveries ``per`` contact, subject or hook ``within`` a duration or for ever."""

    count: Annotated[int, Meta(ge=1, le=1000)]
    per: Literal["contact", "subject", "hook"]
    within: str = "forever"


class Batch(Strict, frozen=True, kw_only=True):
    """Up to ``max`` events in one delivery, which waits ``every`` so long for more of them."""

    max: Annotated[int, Meta(ge=1, le=1000)] = 100
    every: str = "1s"


class RateInput(Strict, frozen=True, kw_only=True):
    """At most ``count`` attempts in any span of ``per``."""

    count: Annotated[int, Meta(ge=1, le=100_000)]
    per: str


# 5 s to 3.5 days in nine retries: a receiver may be away for a long weekend.
DEFAULT_SCHEDULE = ("5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h")


class Retry(Strict, frozen=True, kw_only=True):
    schedule: Annotated[list[str], Meta(max_length=50)] = msgspec.field(
        default_factory=lambda: list(DEFAULT_SCHEDULE)
    )
    timeout: str = "15s"


class WebhookAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    url: str
    format: Literal["standard", "cloudevents", "mailjet", "mailjet-grouped", "template"] = "standard"
    headers: dict[str, str] = {}
    template: str | None = None
    signatures: Annotated[list[Literal["v1", "v1a"]], Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: ["v1"]
    )
    ca: str | None = None


class SlackAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="slack"):
    url: str
    text: str | None = None
    blocks: list[Any] | None = None


class EmailAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="email"):
    to: str
    from_: str = msgspec.field(name="from")
    template: str | None = None
    subject: str = ""
    html: str | None = None
    text: str | None = None
    reply_to: str | None = None
    stream: Literal["bulk", "transactional"] = "bulk"


class SmsAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="sms"):
    connection: str
    to: str
    text: str


class ContactAction(Strict, frozen=True, kw_only=True, tag_field="kind", tag="contact"):
    contact: str | None = None
    require: str | None = None
    set: dict[str, str] = {}
    add_tags: list[str] = []
    remove_tags: list[str] = []
    subscribe: list[str] = []
    unsubscribe: list[str] = []


Action = WebhookAction | SlackAction | EmailAction | SmsAction | ContactAction


class HookInput(Strict, frozen=True, kw_only=True):
    """What a user writes to make a hook."""

    on: Annotated[list[str], Meta(min_length=1, max_length=100)]
    do: Action
    name: Annotated[str, Meta(max_length=200)] = ""
    if_: str | None = msgspec.field(name="if", default=None)
    limit: Limit | None = None
    batch: Batch | None = None
    retry: Retry = msgspec.field(default_factory=Retry)
    rate: RateInput | None = None
    concurrency: Annotated[int, Meta(ge=1, le=1000)] | None = None
    order: Literal["subject"] | None = None
    enabled: bool = True
    metadata: dict[str, str] = {}
    secret: str | None = None


class SigningKey(Struct, frozen=True, array_like=True):
    """A secret (``whsec_…``) or an Ed25519 key pair (``whsk_…``) that signs, up to ``until`` where it has an end."""

    text: str
    until: int | None = None


class Hook(Struct, frozen=True, kw_only=True):
    """A stored hook. ``keys`` are what its webhooks are signed with, newest first."""

    tenant: str
    id: str
    spec: HookInput
    created_at: int
    updated_at: int
    keys: tuple[SigningKey, ...] = ()
    disabled_reason: str | None = None
    seq: int = 0


# --- deliveries ----------------------------------------------------------------------------------


class Delivery(Struct, frozen=True, kw_only=True):
    """One action owed. ``owner`` is the epoch of the process that holds it, set just while ``sending``.

    ``order_key`` is what it is in order with, if with anything. ``attempts`` counts all tries, ``tries`` those
    that the schedule counts. ``resume_state`` and ``resume_at`` are where an extra attempt leads back to when
    it fails. A batch has ``size`` events of ``weight`` bytes together, of which ``event`` is the first; what is
    no batch has the size 0.
    """

    tenant: str
    id: str
    lane: str
    kind: Kind
    state: State
    created_at: int
    updated_at: int
    next_at: int | None = None
    hook: str | None = None
    campaign: str | None = None
    event: str | None = None
    contact: str | None = None
    address: str | None = None
    attempts: int = 0
    tries: int = 0
    order_key: str | None = None
    owner: str | None = None
    error: AttemptError | None = None
    resume_state: State | None = None
    resume_at: int | None = None
    replay: str | None = None
    depth: int = 0
    size: int = 0
    weight: int = 0
    seq: int = 0


class ReplayInput(Strict, frozen=True, kw_only=True):
    """Which deliveries of a hook to make anew. ``disabled`` stands for events that it did not see for that."""

    hook: str
    types: list[str] = []
    states: Annotated[list[ReplayState], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["failed", "held"]
    )
    since: str | None = None
    until: str | None = None
    dry_run: bool = False


class Replay(Struct, frozen=True, kw_only=True):
    """``done`` of ``total`` deliveries are made anew; ``cursor`` is the last place that was looked at."""

    tenant: str
    id: str
    spec: ReplayInput
    state: Literal["running", "finished", "stopped"]
    created_at: int
    since: int | None = None
    until: int | None = None
    cursor: int = 0
    until_seq: int = 0
    total: int = 0
    done: int = 0
    finished_at: int | None = None
    seq: int = 0


class Attempt(Struct, frozen=True, kw_only=True):
    """One try. ``request`` and ``response`` are JSON for people to read; secrets never show in them."""

    tenant: str
    id: str
    delivery: str
    number: int
    started_at: int
    finished_at: int
    outcome: Literal["ok", "retry", "permanent"]
    error: AttemptError | None = None
    detail: str = ""
    status: int | None = None
    request: bytes | None = None
    response: bytes | None = None


class EventDraft(Struct, frozen=True, kw_only=True):
    """An event before it has an id and a place: what publishers, providers and actions hand to intake.

    ``time`` is ``None`` where the publisher gave none; it becomes the time of acceptance. ``cause`` is the
    delivery that led to it and ``cause_hook`` that delivery's hook, which must not see the event.
    ``first_wins``: the same ``source_id`` again is a duplicate, though its body may be another.
    """

    type: str
    source: str
    data: bytes = b""
    source_id: str | None = None
    subject: str | None = None
    time: int | None = None
    envelope: bytes | None = None
    cause: str | None = None
    cause_hook: str | None = None
    depth: int = 0
    first_wins: bool = False


class ContactChange(Struct, frozen=True, kw_only=True):
    """A change of one contact that holds only if the contact is still at ``revision``."""

    contact: str
    revision: int
    attributes: bytes
    tags: tuple[str, ...]
    subscribe: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one attempt, before the lifecycle decides what follows.

    ``follow_ups`` are events that become true with this outcome; ``retry_after`` is in microseconds;
    ``fault`` says that it was our own code that failed.
    """

    result: Literal["ok", "retry", "permanent"]
    error: AttemptError | None = None
    detail: str = ""
    status: int | None = None
    request: bytes | None = None
    response: bytes | None = None
    retry_after: int | None = None
    disable_hook: str | None = None
    fault: bool = False
    follow_ups: tuple[EventDraft, ...] = ()
    change: ContactChange | None = None


# --- emailing ------------------------------------------------------------------------------------


class Contact(Struct, frozen=True, kw_only=True):
    """``attributes`` is a JSON object as text; numbers in it are exact decimals."""

    tenant: str
    id: str
    email: str | None
    created_at: int
    updated_at: int
    phone: str | None = None
    attributes: bytes = b"{}"
    tags: tuple[str, ...] = ()
    status: Literal["active", "unsubscribed"] = "active"
    revision: int = 1
    seq: int = 0


class DoubleOptIn(Strict, frozen=True, kw_only=True):
    """How members of a list are asked whether they want to be on it; ``redirect`` is where they go then."""

    from_: str = msgspec.field(name="from")
    subject: Annotated[str, Meta(min_length=1, max_length=998)] = "Please confirm your subscription"
    html: str | None = None
    text: str | None = None
    redirect: str | None = None


class ContactList(Struct, frozen=True, kw_only=True):
    tenant: str
    id: str
    name: str
    created_at: int
    double_opt_in: DoubleOptIn | None = None
    seq: int = 0


class ImportSpec(Struct, frozen=True, kw_only=True):
    """How a file is read into contacts. ``list`` is the id of one to join, ``size`` the file's, where known."""

    format: Literal["csv", "ndjson"]
    list: str | None = None
    charset: str | None = None
    types: dict[str, str] = {}
    events: bool = True
    resubscribe: bool = False
    confirmed: bool = False
    size: int | None = None


class Import(Struct, frozen=True, kw_only=True):
    """A file being read. Up to ``position`` bytes and ``line`` lines are committed; ``digest`` is of these.

    ``kept_out`` are rows whose contact has left a list, or all, and was not put back.
    """

    tenant: str
    id: str
    spec: ImportSpec
    created_at: int
    updated_at: int
    state: Literal["running", "stopped", "finished"] = "running"
    position: int = 0
    line: int = 0
    digest: bytes = b""
    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    kept_out: int = 0
    bad: int = 0
    seq: int = 0


class LineFault(Struct, frozen=True):
    """What is wrong with a line of a file; ``field`` is "" where it is the line as a whole."""

    line: int
    field: str
    detail: str


class Erasure(Struct, frozen=True, kw_only=True):
    """A person who is being erased: ``cursor`` is the last place looked at, up to ``until_seq``.

    ``email`` and ``phone`` are forgotten when it is done; ``mark`` stands in their place. ``erased`` counts events.
    """

    tenant: str
    id: str
    contact: str
    mark: str
    created_at: int
    email: str | None = None
    phone: str | None = None
    state: Literal["running", "finished"] = "running"
    cursor: int = 0
    until_seq: int = 0
    erased: int = 0
    finished_at: int | None = None
    seq: int = 0


class Track(Strict, frozen=True, kw_only=True):
    opens: bool = True
    clicks: bool = True


class TemplateInput(Strict, frozen=True, kw_only=True):
    """What a user writes to make a template: of html and text one at least."""

    name: Name
    subject: Annotated[str, Meta(min_length=1, max_length=998)]
    html: str | None = None
    text: str | None = None


class Template(Struct, frozen=True, kw_only=True):
    """Texts of a mail, to be used by campaigns and hooks. Fields stand as their columns do."""

    tenant: str
    id: str
    seq: int = 0
    name: str
    subject: str
    html: str | None = None
    text: str | None = None
    created_at: int
    updated_at: int


class ThrottleInput(Strict, frozen=True, kw_only=True):
    """How fast a campaign's mails go: all, and those to each of some domains; ``*`` is each domain not named."""

    rate: RateInput | None = None
    domains: Annotated[dict[str, RateInput], Meta(max_length=100)] = {}


class CampaignInput(Strict, frozen=True, kw_only=True):
    """What a user writes to make a campaign. What it does not say of its texts is the ``template``'s."""

    name: Name
    list: str | None = None
    segment: str | None = None
    from_: str = msgspec.field(name="from")
    template: str | None = None
    subject: Annotated[str, Meta(max_length=998)] = ""
    html: str | None = None
    text: str | None = None
    reply_to: str | None = None
    track: Track = msgspec.field(default_factory=Track)
    send_at: str | None = None
    throttle: ThrottleInput | None = None


CampaignState = Literal["draft", "scheduled", "sending", "paused", "sent", "cancelled"]


class Segment(Struct, frozen=True, kw_only=True):
    """The contacts for whom ``condition``, in CEL, holds."""

    tenant: str
    id: str
    name: str
    condition: str
    created_at: int
    updated_at: int
    seq: int = 0


class Campaign(Struct, frozen=True, kw_only=True):
    """``cursor`` is the sequence of the last list member that has a delivery; -1 when all have one.

    ``list`` is "" for a campaign to a segment of all contacts. ``send_at`` is when it is to begin,
    ``throttle`` its throttle as claims read it (JSON). One that is
    cancelled is ``finished_at`` once nothing of it is left to do.
    """

    tenant: str
    id: str
    spec: CampaignInput
    list: str
    state: CampaignState
    created_at: int
    send_at: int | None = None
    throttle: bytes | None = None
    started_at: int | None = None
    finished_at: int | None = None
    segment: str | None = None
    cursor: int = 0
    seq: int = 0


class MessageInput(Strict, frozen=True, kw_only=True):
    """What a user writes to send one mail. ``variables`` are for its templates, ``tags`` and ``metadata`` come back in
    all that is told of it."""

    to: str
    from_: str = msgspec.field(name="from")
    subject: Annotated[str, Meta(max_length=998)] = ""
    template: str | None = None
    html: str | None = None
    text: str | None = None
    reply_to: str | None = None
    stream: Literal["bulk", "transactional"] = "bulk"
    track: Track = msgspec.field(default_factory=Track)
    variables: dict[str, Any] = {}
    tags: Annotated[list[Name], Meta(max_length=20)] = []
    metadata: dict[str, str] = {}


class Message(Struct, frozen=True, kw_only=True):
    """A mail to one contact. Its id is its delivery's; ``flags`` are bits of ``rules.counting``, ``labels`` the tags
    and metadata that it was given, as JSON."""

    tenant: str
    id: str
    address: str
    sent_at: int
    campaign: str | None = None
    hook: str | None = None
    contact: str | None = None
    depth: int = 0
    flags: int = 0
    labels: bytes | None = None


class Suppression(Struct, frozen=True, kw_only=True):
    """An address that is not mailed. ``list`` is "" where all lists are meant."""

    tenant: str
    address: str
    reason: Literal["hard_bounce", "complaint", "unsubscribe", "manual", "invalid"]
    created_at: int
    list: str = ""
    event: str | None = None
    seq: int = 0


# --- access --------------------------------------------------------------------------------------


class Key(Struct, frozen=True, kw_only=True):
    """An API key; the key itself is known only to its user, we keep its SHA-256."""

    tenant: str
    id: str
    name: str
    scope: Literal["read", "publish", "manage"]
    created_at: int
    revoked_at: int | None = None
    seq: int = 0


class ConnectionInput(Strict, frozen=True, kw_only=True):
    name: Name
    kind: Literal["twilio"]
    credentials: dict[str, str]
    base_url: str | None = None


class Connection(Struct, frozen=True, kw_only=True):
    """Credentials for actions, in clear: sealed by storage, and never shown by the API."""

    tenant: str
    id: str
    name: str
    kind: str
    base_url: str | None
    credentials: dict[str, str]
    created_at: int
    seq: int = 0


class SourceInput(Strict, frozen=True, kw_only=True):
    name: Name
    kind: str
    credentials: dict[str, str] = {}


class Source(Struct, frozen=True, kw_only=True):
    """Where a provider's webhooks arrive; its id is the address's last part."""

    tenant: str
    id: str
    name: str
    kind: str
    credentials: dict[str, str]
    created_at: int
    refused: int = 0
    seq: int = 0
