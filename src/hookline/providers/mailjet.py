"""Mailjet's Event API: one object a call (version 1) or an array of the last second's (version 2).

There is no signature: the user puts basic auth into the URL that he gives Mailjet. There is no event id:
a digest of the event tells repeats apart. ``CustomID`` (the header ``X-MJ-CustomID`` of a mail) brings our
message id back. ``MessageID`` is larger than 2^53, so events are never read as JavaScript would.

Mailjet's ``sent`` says that the recipient's server took the mail. For a mail of ours the mailer has said
``email.sent`` already when Mailjet took it, so ``sent`` is ``email.delivered``; for a mail that we know
nothing of it is the first that we hear, and is ``email.sent``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider
from hookline.rules import cel
from hookline.rules.mailjet import HEADER, PAYLOAD, TYPES

NAME = "mailjet"

# By `error_related_to` and `error`; what Mailjet may add later falls back to the first alone.
REASONS = {
    ("recipient", "user unknown"): "user_unknown",
    ("recipient", "mailbox inactive"): "mailbox_inactive",
    ("recipient", "quota exceeded"): "mailbox_full",
    ("recipient", "blacklisted"): "blocked",
    ("recipient", "spam reporter"): "blocked",
    ("domain", "invalid domain"): "host_unknown",
    ("domain", "no mail host"): "host_unknown",
    ("domain", "relay/access denied"): "policy",
    ("domain", "greylisted"): "greylisted",
    ("domain", "typofix"): "host_unknown",
    ("content", "bad or empty template"): "content",
    ("content", "error in template language"): "content",
    ("spam", "sender blocked"): "blocked",
    ("spam", "content blocked"): "spam",
    ("spam", "policy issue"): "policy",
    ("system", "system issue"): "system",
    ("system", "protocol issue"): "protocol",
    ("system", "connection issue"): "network",
    ("mailjet", "preblocked"): "blocked",
    ("mailjet", "duplicate in campaign"): "other",
}
RELATED = {"content": "content", "spam": "spam", "system": "system"}


def verify(call: Incoming, credentials: Credentials) -> None:
    proofs.require_basic(call, credentials["username"], credentials["password"])


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    return [_event(place, raw, event) for place, (raw, event) in enumerate(fields.split(call.body))]


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name, email, time = event.get("event"), event.get("email"), fields.moment(event.get("time"))
    if not isinstance(name, str):
        raise ValueError(f"event {place} has no `event`, a text such as open")
    if name not in TYPES:
        return ParsedEvent(
            type=fields.unknown(NAME, name),
            raw=raw,
            id=fields.digest(event),
            email=fields.address(email),
            time=time,
        )
    if time is None:
        raise ValueError(f"event {place} ({name}) has no `time`, the seconds since 1970")
    if fields.address(email) is None:
        raise ValueError(f"event {place} ({name}) has no `email`, an address")
    return ParsedEvent(
        type=TYPES[name],
        ours="email.delivered" if name == "sent" else None,
        raw=raw,
        id=fields.digest(event),
        email=fields.address(email),
        time=time,
        message=fields.message_id(event.get("CustomID")),
        facts=_facts(name, event) | _about(event),
    )


def _about(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the sender attached: the campaign's name (X-Mailjet-Campaign), his id, and his text or JSON object."""
    given, payload = fields.text(event.get("CustomID")), fields.text(event.get(PAYLOAD))
    own = {} if given is None or fields.message_id(given) else {"CustomID": given}
    try:
        attached = fields.plain(cel.from_json(payload.encode())) if payload else None
    except ValueError:
        attached = None
    if payload and attached is None:
        attached = {PAYLOAD: payload}
    tags = fields.texts(event.get("customcampaign"))
    return fields.told(tags=tags, metadata={**own, **(attached or {})} or None)


def _facts(name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    agent = fields.text(event.get("agent"))
    error = fields.text(event.get("error"))
    if name == "bounce":
        said = fields.told(detail=error) | fields.answer(event.get("comment"))
        reason = _reason(event)
        if reason == "other":
            reason = fields.verdict(said)[0]
        permanent = str(event.get("hard_bounce")).lower() in ("true", "1")
        return said | {"reason": reason, "hard": permanent and reason in fields.MAYBE_DEAD}
    told = fields.told(
        url=fields.text(event.get("url")) if name == "click" else None,
        ip=fields.text(event.get("ip")),
        user_agent=agent,
        reason=_reason(event) if name == "blocked" else None,
        method="one-click" if name == "unsub" and agent == HEADER else None,
        # What the other server said, or the name of the feedback loop.
        detail=fields.text(event.get("smtp_reply") or event.get("source")) or error,
    )
    return told | fields.by_machine(TYPES[name], agent)


def _reason(event: Mapping[str, Any]) -> str:
    """Why, as a word of the closed list."""
    related, error = fields.text(event.get("error_related_to")) or "", fields.text(event.get("error")) or ""
    return REASONS.get((related, error)) or RELATED.get(related, "other")


PROVIDER = Provider(
    name=NAME,
    credentials={
        "username": "the name in the URL that you give Mailjet: https://username:password@…",
        "password": "the password in that URL",
    },
    challenge=proofs.BASIC,
    check=proofs.check_basic,
    verify=verify,
    parse=parse,
)
