"""MailerSend's webhooks: one event a call, in either of two shapes.

Signed with HMAC-SHA256 of the body, hexadecimal, in ``Signature``. Before a webhook is saved its address is
tried with ``webhook.test``, signed with a secret that MailerSend's documentation publishes: it holds for that
call alone. In version 1 ``data.email`` is an object with the recipient in it and ``data.morph`` holds what is
special to the event; in version 2 ``data.email`` is the address and ``data.meta`` holds the rest, which is
``[]`` where there is nothing. ``data.id`` tells repeats apart. There is no time in what is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider

NAME = "mailersend"
TEST = "webhook.test"
LONGEST_TEST = 4096  # bytes; it has some 100
TEST_SECRET = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"  # noqa: S105 - published, and good for nothing else

TYPES = {
    "activity.sent": "email.sent",
    "activity.delivered": "email.delivered",
    "activity.deferred": "email.deferred",
    "activity.soft_bounced": "email.bounced",
    "activity.hard_bounced": "email.bounced",
    "activity.suppressed": "email.blocked",
    "activity.opened": "email.opened",
    "activity.opened_unique": "email.opened",
    "activity.clicked": "email.clicked",
    "activity.clicked_unique": "email.clicked",
    "activity.unsubscribed": "email.unsubscribed",
    "activity.spam_complaint": "email.complained",
}
# What we have no word for, and understand none the less: the beginnings of names.
OTHERS = (
    "activity.survey_", "sender_identity.", "maintenance.", "inbound_", "email_single.", "email_list.",
    "bulk_email.", "recipient.", "sms.",
)  # fmt: skip


def verify(call: Incoming, credentials: Credentials) -> None:
    given = proofs.header(call, "Signature")
    secret = TEST_SECRET if _is_test(call.body) else proofs.need(credentials, "signing_secret")
    proofs.verify_hmac(secret, call.body, given)


def _is_test(body: bytes) -> bool:
    if len(body) > LONGEST_TEST:
        return False
    try:
        [(_, event)] = fields.split(body)
    except ValueError:
        return False
    return event.get("type") == TEST


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    return [_event(raw, event) for raw, event in fields.split(call.body) if event.get("type") != TEST]


def _event(raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name, data = event.get("type"), fields.mapping(event.get("data"))
    if not isinstance(name, str):
        raise ValueError("there is no `type`, a text such as activity.opened")
    mail = fields.mapping(data.get("email"))
    email = fields.address(fields.mapping(mail.get("recipient")).get("email") or data.get("email"))
    time = fields.iso(data.get("created_at")) or fields.iso(event.get("created_at"))
    id = fields.text(data.get("id")) or fields.digest(event)
    if name not in TYPES:
        kind = fields.unknown(NAME, name.removeprefix("activity.").replace(".", "_"))
        return ParsedEvent(type=kind, raw=raw, id=id, email=email, time=time, known=name.startswith(OTHERS))
    if time is None:
        raise ValueError(f"the event ({name}) has no `created_at`, a time")
    if email is None:
        raise ValueError(f"the event ({name}) has no recipient in `data.email`, an address")
    tags = fields.texts(mail.get("tags") or data.get("tags"))
    return ParsedEvent(
        type=TYPES[name],
        ours=f"{NAME}.sent" if name == "activity.sent" else None,
        raw=raw,
        id=id,
        email=email,
        time=time,
        message=fields.message_id(
            fields.mapping(mail.get("message")).get("id"), data.get("message_id"), *(tags or ())
        ),
        facts=_facts(name, fields.mapping(data.get("meta")) or fields.mapping(data.get("morph")))
        | fields.told(tags=tags),
    )


def _facts(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    words = fields.text(about.get("reason")) or fields.text(about.get("readable_reason"))
    said = fields.answer(words, about.get("code"))
    match TYPES[name]:
        case "email.opened" | "email.clicked":
            agent = fields.text(about.get("user_agent"))
            told = fields.told(
                url=fields.text(about.get("url")) if TYPES[name] == "email.clicked" else None,
                ip=fields.text(about.get("ip")),
                user_agent=agent,
            )
            return told | fields.by_machine(TYPES[name], agent)
        case "email.bounced":
            return said | fields.bounce(said, None, name == "activity.hard_bounced")
        case "email.deferred":
            return said | {"reason": fields.verdict(said)[0]}
        case "email.blocked":
            return said | {"reason": "blocked"}
    return said


PROVIDER = Provider(
    name=NAME,
    credentials={"signing_secret": "the webhook's signing secret, which MailerSend shows once it is saved"},
    late=True,
    id_per_type=True,
    verify=verify,
    parse=parse,
)
