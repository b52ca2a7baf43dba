"""What Slack sends to apps: events, slash commands, and what comes of buttons and dialogs.

Signed with HMAC-SHA256 over ``v0:{time}:{body}``, hexadecimal, in ``X-Slack-Signature`` ("Verifying requests from
Slack"); what is more than five minutes old is refused. An address is tried with ``url_verification``, whose
challenge is answered. Commands come as a form, interactions as JSON in a form's ``payload``. Events have an
``event_id`` that their three retries keep; the others are not sent again. Slack shows what it is answered, so
the answer is empty.
"""

from __future__ import annotations

from hookline.providers import fields, proofs
from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, Provider, Reply

NAME = "slack"


def verify(call: Incoming, credentials: Credentials) -> None:
    stamp, given = (
        proofs.header(call, "X-Slack-Request-Timestamp"),
        proofs.header(call, "X-Slack-Signature"),
    )
    seconds = proofs.unix(stamp, "X-Slack-Request-Timestamp")
    signed = b"v0:" + stamp.encode() + b":" + call.body
    proofs.verify_hmac(credentials["signing_secret"], signed, given.removeprefix("v0="))
    proofs.check_age(call, seconds, proofs.window(credentials))


def answer(call: Incoming, credentials: Credentials) -> Reply | None:
    body = _read(call)
    challenge = events.at(body.value, "challenge")
    if events.at(body.value, "type") == "url_verification" and isinstance(challenge, str):
        return Reply(body=challenge.encode(errors="replace"))
    if events.at(body.value, "ssl_check") is not None:  # whether our certificate is good
        return Reply()
    return None


def _read(call: Incoming) -> events.Body:
    body = events.read_as_sent(call)
    sent = events.at(body.value, "payload")
    if isinstance(sent, str) and not events.looks_json(call.body):
        return events.read_json(sent.encode())
    return body


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    body = _read(call)
    value = body.value
    if events.at(value, "command") is not None:
        name: object = "command"
    elif events.at(value, "type") == "event_callback":
        name = events.at(value, "event.type")
    else:
        name = events.at(value, "type")
    if not isinstance(name, str):
        raise ValueError("there is neither a `type` nor a `command`")
    id = events.first(value, "event_id", "trigger_id")
    about = events.first(value, "event.user", "event.user.id", "user.id", "user_id")
    time = fields.moment(events.at(value, "event_time"))
    return [events.event(events.under(NAME, name), body, events.identity(id, body.mark), about, time)]


PROVIDER = Provider(
    name=NAME,
    credentials={
        "signing_secret": "the app's signing secret, on its page Basic Information",
        **proofs.WINDOW,
    },
    optional=frozenset(proofs.WINDOW),
    shown=frozenset(proofs.WINDOW),
    check=proofs.check_window,
    verify=verify,
    parse=parse,
    answer=answer,
    thanks=Reply(),
)
