"""SendGrid's Event Webhook: an array of events of all kinds.

Signed with ECDSA over P-256 and SHA-256: ``X-Twilio-Email-Event-Webhook-Signature`` is the base64 of the DER
signature over the timestamp's text and the body (Twilio's "Event Webhook Security Features"). The key for it
is shown once signing is switched on. Where it is not, basic auth in the URL does. SendGrid retries for 24
hours. ``unique_args`` of the mail (header ``X-SMTPAPI``) come back as keys of the event itself, and
``smtp-id`` is the mail's Message-ID.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider
from hookline.rules.bounces import Reason
from hookline.rules.correlation import KEY

NAME = "sendgrid"
SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

TYPES = {
    "processed": "email.sent",
    "delivered": "email.delivered",
    "deferred": "email.deferred",
    "bounce": "email.bounced",
    "dropped": "email.blocked",
    "open": "email.opened",
    "click": "email.clicked",
    "spamreport": "email.complained",
    "unsubscribe": "email.unsubscribed",
    "group_unsubscribe": "email.unsubscribed",
}
# What we have no word for, and understand none the less.
OTHERS = frozenset({"group_resubscribe", "account_status_change"})

# Why SendGrid did not try: the beginnings of `reason`, in lower case.
DROPPED = {
    "bounced address": "hard_bounce",
    "spam reporting address": "complaint",
    "unsubscribed address": "unsubscribe",
    "invalid smtpapi": "protocol",
    "invalid": "invalid",
    "spam content": "spam",
    "recipient list over": "rate_limited",
}
# `bounce_classification`, in lower case.
BOUNCED: Mapping[str, Reason] = {
    "invalid address": "user_unknown",
    "mailbox unavailable": "mailbox_inactive",
    "technical": "system",
    "content": "content",
    "reputation": "blocked",
    "frequency or volume too high": "rate_limited",
    "frequency/volume too high": "rate_limited",
}
# Keys of an event that are SendGrid's own; the rest are what the sender attached to the mail.
OWN = frozenset(
    {
        "asm_group_id", "attempt", "bounce_classification", "category", "cert_err", "email", "event", "ip",
        "marketing_campaign_id", "marketing_campaign_name", "marketing_campaign_split_id",
        "marketing_campaign_version", "newsletter", "phase_id", "pool", "post_type", "reason", "response",
        "send_at", "sg_content_type", "sg_event_id", "sg_machine_open", "sg_message_id", "sg_template_id",
        "sg_template_name", "sg_user_id", "singlesend_id", "singlesend_name", "smtp-id", "status", "template",
        "template_hash", "template_id", "template_version_id", "timestamp", "tls", "type", "unique_args", "url",
        "url_offset", "useragent",
    }
)  # fmt: skip


@lru_cache(64)
def _key(text: str) -> ec.EllipticCurvePublicKey:
    """The public key as SendGrid shows it: base64 of DER, with PEM's lines around it or without."""
    inner = "".join(line for line in text.split() if "-" not in line and line not in ("PUBLIC", "KEY"))
    try:
        key = load_der_public_key(base64.b64decode(inner, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("verification_key is no public key as SendGrid shows it (MFkw…)") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("verification_key is a public key of another kind than ECDSA's")
    return key


def check(credentials: Credentials) -> None:
    proofs.check_window(credentials)
    if "verification_key" in credentials:
        _key(credentials["verification_key"])
        proofs.check_basic(credentials)
    else:
        proofs.check_plain(credentials)


def verify(call: Incoming, credentials: Credentials) -> None:
    """The signature where the source has the key; else what else it has."""
    if not credentials.keys() - proofs.WINDOW:
        raise NotSigned("this source has no verification_key yet: set it in its credentials")
    if "verification_key" not in credentials:
        return proofs.verify_plain(call, credentials)
    stamp = proofs.header(call, TIMESTAMP)
    try:
        given = base64.b64decode(proofs.header(call, SIGNATURE), validate=True)
        _key(credentials["verification_key"]).verify(
            given, stamp.encode() + call.body, ec.ECDSA(hashes.SHA256())
        )
    except (ValueError, InvalidSignature):
        raise NotSigned(
            "the signature does not match: another verification_key, or an altered body"
        ) from None
    proofs.check_age(call, proofs.unix(stamp, TIMESTAMP), proofs.window(credentials, None))
    return None


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    return [_event(place, raw, event) for place, (raw, event) in enumerate(fields.split(call.body))]


def _event(place: int, raw: bytes, event: Mapping[str, Any]) -> ParsedEvent:
    name, email = event.get("event"), fields.address(event.get("email"))
    if not isinstance(name, str):
        raise ValueError(f"event {place} has no `event`, a text such as open")
    id = fields.text(event.get("sg_event_id")) or ""
    time = fields.moment(event.get("timestamp"))
    if name not in TYPES:
        kind = fields.unknown(NAME, name)
        return ParsedEvent(type=kind, raw=raw, id=id, email=email, time=time, known=name in OTHERS)
    if time is None:
        raise ValueError(f"event {place} ({name}) has no `timestamp`, the seconds since 1970")
    if email is None:
        raise ValueError(f"event {place} ({name}) has no `email`, an address")
    attached = {**event, **fields.mapping(event.get("unique_args"))}
    return ParsedEvent(
        type=TYPES[name],
        ours=f"{NAME}.{name}" if name == "processed" else None,
        raw=raw,
        id=id,
        email=email,
        time=time,
        message=fields.message_id(attached.get(KEY), event.get("smtp-id")),
        facts=_facts(name, event)
        | fields.told(tags=fields.texts(event.get("category")), metadata=fields.plain(attached, *OWN, KEY)),
    )


def _facts(name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    match name:
        case "bounce":
            said = fields.answer(event.get("reason"), enhanced=event.get("status"))
            # Twilio: "bounce" is for good, "blocked" and "expired" are about this mail.
            kind = fields.text(event.get("type"))
            classified = BOUNCED.get((fields.text(event.get("bounce_classification")) or "").lower())
            classified = classified or ("expired" if kind == "expired" else None)
            return said | fields.bounce(said, classified, kind == "bounce" if kind else None)
        case "deferred":
            said = fields.answer(event.get("response") or event.get("reason"), enhanced=event.get("status"))
            return said | {"reason": fields.verdict(said)[0]}
        case "dropped":
            why = fields.text(event.get("reason")) or ""
            found = [word for begin, word in DROPPED.items() if why.lower().startswith(begin)]
            return fields.told(reason=(found or ["other"])[0], detail=why or None)
        case "unsubscribe" | "group_unsubscribe":
            return fields.told(
                ip=fields.text(event.get("ip")), user_agent=fields.text(event.get("useragent"))
            )
        case "open" | "click":
            agent = fields.text(event.get("useragent"))
            told = fields.told(
                url=fields.text(event.get("url")) if name == "click" else None,
                ip=fields.text(event.get("ip")),
                user_agent=agent,
            )
            machine = "apple_privacy_proxy" if event.get("sg_machine_open") is True else None
            return told | fields.by_machine(TYPES[name], agent, machine)
    return fields.told(detail=fields.text(event.get("response")))


PROVIDER = Provider(
    name=NAME,
    credentials={
        "verification_key": "the public key that SendGrid shows when you switch on signed webhooks",
        **proofs.PLAIN,
        **proofs.WINDOW,
    },
    optional=frozenset({"verification_key", *proofs.PLAIN, *proofs.WINDOW}),
    shown=frozenset(proofs.WINDOW),
    late=True,
    challenge=proofs.BASIC,
    check=check,
    id_per_type=True,
    verify=verify,
    parse=parse,
)
