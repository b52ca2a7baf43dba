"""Amazon SES through SNS: an SNS envelope whose ``Message`` is the text of one SES record.

SNS signs a canonical text of the envelope with RSA (SignatureVersion 1 SHA-1, 2 SHA-256); the certificate is
fetched from Amazon, and from nowhere else. Whoever has an AWS account can have SNS sign, so the topic is
pinned, too. What SNS calls raw message delivery is not signed, and is refused. (Amazon SNS Developer Guide,
"Verifying the signatures of Amazon SNS messages"; Amazon SES Developer Guide, "Contents of event data" and
"Contents of notifications".)

SES tells in two ways that look alike: event publishing has ``eventType``, feedback notifications have
``notificationType``. A record can be about several recipients: each gets an event of its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hookline.model import SECOND
from hookline.providers import fields, proofs
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider, Reply
from hookline.rules.bounces import Reason
from hookline.rules.correlation import KEY

NAME = "ses"
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]
HASHES: Mapping[str, type[hashes.SHA1] | type[hashes.SHA256]] = {"1": hashes.SHA1, "2": hashes.SHA256}

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}")
_HOST = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(_HOST + r"/SimpleNotificationService-[A-Za-z0-9]{1,100}\.pem")
_SUBSCRIBE = re.compile(_HOST + r"/\?Action=ConfirmSubscription&[A-Za-z0-9%&=:._~+-]{1,1500}")

# By `bounceSubType`.
BOUNCED: Mapping[str, Reason] = {
    "NoEmail": "user_unknown",
    "MailboxFull": "mailbox_full",
    "MessageTooLarge": "message_too_large",
    "CustomTimeoutExceeded": "expired",
    "ContentRejected": "content",
    "AttachmentRejected": "content",
}
# SES did not try: by `bounceSubType` or `complaintSubType`.
NOT_TRIED = {
    "Suppressed": "blocked",
    "OnAccountSuppressionList": "blocked",
    "UnsubscribedRecipient": "unsubscribe",
}
# By `delayType`.
DELAYED: Mapping[str, Reason] = {
    "InternalFailure": "system",
    "MailboxFull": "mailbox_full",
    "SpamDetected": "spam",
    "RecipientServerError": "system",
    "IPFailure": "blocked",
    "TransientCommunicationFailure": "network",
    "BYOIPHostNameLookupUnavailable": "network",
    "SendingDeferral": "rate_limited",
}
PERMANENT: Mapping[str, bool] = {"Permanent": True, "Transient": False}


class _Record:
    """One SES record: what it says of its mail, and of what happened to it under the name of its kind."""

    def __init__(self, kind: str, told: Mapping[str, Any], id: str, raw: bytes) -> None:
        mail = fields.mapping(told.get("mail"))
        self.kind, self.raw = kind, raw
        self._id = id
        self.destinations = [one for one in map(fields.address, _list(mail.get("destination"))) if one]
        self._sent_at = fields.iso(mail.get("timestamp"))
        tags = {name: _list(values) for name, values in fields.mapping(mail.get("tags")).items()}
        ours = [*tags.pop(KEY, [])]
        headers = [fields.mapping(one) for one in _list(mail.get("headers"))]
        named = {str(one.get("name")).lower(): one.get("value") for one in headers}
        common = fields.mapping(mail.get("commonHeaders"))
        self._message = fields.message_id(
            *ours, named.get("x-hookline-message"), named.get("message-id"), common.get("messageId")
        )
        attached = {
            name: values[0] for name, values in tags.items() if values and not name.startswith("ses:")
        }
        self._about = fields.told(metadata=fields.plain(attached))

    def event(
        self,
        type: str,
        email: str | None,
        facts: Mapping[str, Any],
        at: object = None,
        ours: str | None = None,
    ) -> ParsedEvent:
        return ParsedEvent(
            type=type,
            ours=ours,
            raw=self.raw,
            id=f"{self._id}/{email}" if email else self._id,
            email=email,
            time=fields.iso(at) or self._sent_at,
            message=self._message,
            facts={**facts, **self._about},
        )

    def kept(self, *, known: bool) -> ParsedEvent:
        """The record as an event under SES's own name for it."""
        email = self.destinations[0] if len(self.destinations) == 1 else None
        type = fields.unknown(NAME, self.kind.replace(" ", ""))
        return ParsedEvent(type=type, raw=self.raw, id=self._id, email=email, time=self._sent_at, known=known)


def check(credentials: Credentials) -> None:
    if not _TOPIC.fullmatch(credentials["topic_arn"]):
        raise ValueError("topic_arn is the ARN of the SNS topic: arn:aws:sns:eu-west-1:123456789012:name")
    proofs.check_window(credentials)


def wanted(call: Incoming, credentials: Credentials) -> str:
    """Where the certificate is. Nothing is fetched for another topic's messages, or from another host."""
    envelope = _envelope(call)
    if envelope.get("TopicArn") != credentials.get("topic_arn"):
        raise NotSigned("it is not from this source's topic_arn")
    url = envelope.get("SigningCertURL")
    if not isinstance(url, str) or not _CERTIFICATE.fullmatch(url):
        raise NotSigned("its SigningCertURL is not Amazon's")
    return url


def verify(call: Incoming, credentials: Credentials) -> None:
    certificate = call.fetched.get(wanted(call, credentials), b"")
    envelope = _envelope(call)
    algorithm = HASHES.get(str(envelope.get("SignatureVersion")))
    if algorithm is None:
        raise NotSigned("its SignatureVersion is neither 1 nor 2")
    names = SIGNED[envelope["Type"]]
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in names if isinstance(envelope.get(name), str))
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        signature = base64.b64decode(str(envelope.get("Signature")), validate=True)
        if not isinstance(key, rsa.RSAPublicKey):
            raise NotSigned("the certificate is not of RSA")
        key.verify(signature, signed.encode(), padding.PKCS1v15(), algorithm())
    except (ValueError, binascii.Error, InvalidSignature):
        raise NotSigned("the signature does not match") from None
    at = fields.iso(envelope.get("Timestamp"))
    if at is None:
        raise NotSigned("its Timestamp is no time")
    proofs.check_age(call, at / SECOND, proofs.window(credentials, None))


def answer(call: Incoming, credentials: Credentials) -> Reply | None:
    """A subscription is confirmed by fetching the address that came with it, which has to be Amazon's."""
    envelope = _envelope(call)
    if envelope["Type"] != "SubscriptionConfirmation":
        return None
    url = envelope.get("SubscribeURL")
    if not isinstance(url, str) or not _SUBSCRIBE.fullmatch(url):
        raise ValueError("SubscribeURL is not Amazon's")
    return Reply(body=b"confirmed", visit=url)


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    envelope = _envelope(call)
    id, said = fields.text(envelope.get("MessageId")) or "", envelope.get("Message")
    told: Mapping[str, Any] = {}
    raw = call.body.strip()
    if envelope["Type"] == "Notification" and isinstance(said, str) and said.lstrip().startswith("{"):
        [(raw, told)] = fields.split(said.encode())
    kind = fields.text(told.get("eventType")) or fields.text(told.get("notificationType"))
    if kind is None:
        # A text for people, as SES sends one when it is set up, or a record of another service.
        type = f"{NAME}.{'notification' if envelope['Type'] == 'Notification' else envelope['Type']}"
        at = fields.iso(envelope.get("Timestamp"))
        return [ParsedEvent(type=type, raw=raw, id=id, time=at, known=not told)]
    record = _Record(kind, told, id, raw)
    name = kind[0].lower() + kind[1:].replace(" ", "")
    if name == "renderingFailure":
        name = "failure"
    reader = READERS.get(name)
    if reader is None:
        return [record.kept(known=kind == "AmazonSnsSubscriptionSucceeded")]
    return reader(record, fields.mapping(told.get(name))) or [record.kept(known=False)]


def _envelope(call: Incoming) -> Mapping[str, Any]:
    """What SNS sent; NotSigned for what SNS would not have signed."""
    try:
        found = fields.split(call.body)
    except ValueError:
        found = []
    envelope: Mapping[str, Any] = found[0][1] if len(found) == 1 else {}
    if "x-amz-sns-rawdelivery" in call.headers or "mail" in envelope:
        raise NotSigned("SNS does not sign raw messages: switch off raw message delivery of the subscription")
    if not isinstance(envelope.get("Type"), str) or envelope["Type"] not in SIGNED:
        raise NotSigned("it is not an SNS message")
    return envelope


def _bounce(record: _Record, bounce: Mapping[str, Any]) -> list[ParsedEvent]:
    kind, sub = fields.text(bounce.get("bounceType")), fields.text(bounce.get("bounceSubType")) or ""
    events = []
    for recipient in _recipients(bounce.get("bouncedRecipients")):
        said = fields.answer(recipient.get("diagnosticCode"), enhanced=recipient.get("status"))
        email = fields.address(recipient.get("emailAddress"))
        facts = said | fields.bounce(said, BOUNCED.get(sub), PERMANENT.get(kind or ""))
        if sub in NOT_TRIED:
            facts = {"detail": sub, **said, "reason": NOT_TRIED[sub]}
        type = "email.blocked" if sub in NOT_TRIED else "email.bounced"
        events.append(record.event(type, email, facts, bounce.get("timestamp")))
    return events


def _complaint(record: _Record, complaint: Mapping[str, Any]) -> list[ParsedEvent]:
    feedback = fields.text(complaint.get("complaintFeedbackType"))
    sub = fields.text(complaint.get("complaintSubType")) or ""
    if feedback == "not-spam":  # somebody took a mail out of the spam folder
        return [record.kept(known=True)]
    type, facts = "email.complained", fields.told(detail=feedback)
    if sub in NOT_TRIED:
        type, facts = "email.blocked", {"detail": sub, "reason": NOT_TRIED[sub]}
    return [
        record.event(type, fields.address(one.get("emailAddress")), facts, complaint.get("timestamp"))
        for one in _recipients(complaint.get("complainedRecipients"))
    ]


def _delivery(record: _Record, delivery: Mapping[str, Any]) -> list[ParsedEvent]:
    facts = fields.told(detail=fields.text(delivery.get("smtpResponse")))
    given = [fields.address(one) for one in _list(delivery.get("recipients"))]
    return [
        record.event("email.delivered", one, facts, delivery.get("timestamp"))
        for one in given or record.destinations
    ]


def _delay(record: _Record, delay: Mapping[str, Any]) -> list[ParsedEvent]:
    classified = DELAYED.get(fields.text(delay.get("delayType")) or "")
    events = []
    for recipient in _recipients(delay.get("delayedRecipients")):
        said = fields.answer(recipient.get("diagnosticCode"), enhanced=recipient.get("status"))
        reason = fields.verdict(said)[0]
        facts = said | {"reason": classified or "other" if reason == "other" else reason}
        email = fields.address(recipient.get("emailAddress"))
        events.append(record.event("email.deferred", email, facts, delay.get("timestamp")))
    return events


def _send(record: _Record, _: Mapping[str, Any]) -> list[ParsedEvent]:
    return [record.event("email.sent", one, {}, ours=f"{NAME}.Send") for one in record.destinations]


def _reject(record: _Record, reject: Mapping[str, Any]) -> list[ParsedEvent]:
    facts = fields.told(reason="content", detail=fields.text(reject.get("reason")))
    return [record.event("email.blocked", one, facts) for one in record.destinations]


def _failure(record: _Record, failure: Mapping[str, Any]) -> list[ParsedEvent]:
    facts = fields.told(reason="content", detail=fields.text(failure.get("errorMessage")))
    return [record.event("email.blocked", one, facts) for one in record.destinations]


def _seen(type: str, record: _Record, seen: Mapping[str, Any]) -> list[ParsedEvent]:
    """An open or a click; which of several recipients it was, SES does not know."""
    agent = fields.text(seen.get("userAgent"))
    facts = fields.told(
        url=fields.text(seen.get("link")), ip=fields.text(seen.get("ipAddress")), user_agent=agent
    )
    email = record.destinations[0] if len(record.destinations) == 1 else None
    return [record.event(type, email, facts | fields.by_machine(type, agent), seen.get("timestamp"))]


def _open(record: _Record, seen: Mapping[str, Any]) -> list[ParsedEvent]:
    return _seen("email.opened", record, seen)


def _click(record: _Record, seen: Mapping[str, Any]) -> list[ParsedEvent]:
    return _seen("email.clicked", record, seen)


def _subscription(record: _Record, told: Mapping[str, Any]) -> list[ParsedEvent]:
    """Somebody changed what he gets; that he left all, or a topic, is unsubscribing."""
    new = fields.mapping(told.get("newTopicPreferences"))
    left = _left(new) - _left(fields.mapping(told.get("oldTopicPreferences")))
    if new.get("unsubscribeAll") is not True and not left:
        return [record.kept(known=True)]
    return [record.event("email.unsubscribed", one, {}, told.get("timestamp")) for one in record.destinations]


def _left(preferences: Mapping[str, Any]) -> set[str]:
    topics = [fields.mapping(one) for one in _list(preferences.get("topicSubscriptionStatus"))]
    return {str(one.get("topicName")) for one in topics if one.get("subscriptionStatus") == "OptOut"}


def _recipients(value: object) -> list[Mapping[str, Any]]:
    return [fields.mapping(one) for one in _list(value)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


READERS = {
    "bounce": _bounce,
    "complaint": _complaint,
    "delivery": _delivery,
    "deliveryDelay": _delay,
    "send": _send,
    "reject": _reject,
    "failure": _failure,
    "open": _open,
    "click": _click,
    "subscription": _subscription,
}

PROVIDER = Provider(
    name=NAME,
    credentials={
        "topic_arn": "the SNS topic that SES publishes to, such as arn:aws:sns:eu-west-1:123456789012:mail",
        **proofs.WINDOW,
    },
    optional=frozenset(proofs.WINDOW),
    shown=frozenset(proofs.WINDOW),
    check=check,
    wanted=wanted,
    answer=answer,
    verify=verify,
    parse=parse,
)
