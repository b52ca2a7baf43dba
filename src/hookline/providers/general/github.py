"""GitHub's webhooks, and those of Gitea and Forgejo, which send the same headers.

Signed with HMAC-SHA256 of the body in ``X-Hub-Signature-256`` ("Validating webhook deliveries"). The name is in
``X-GitHub-Event``, the id in ``X-GitHub-Delivery``, which a redelivery keeps. As a form, the JSON is its field
``payload``. There is no time in what is signed.
"""

from __future__ import annotations

from hookline.providers import proofs
from hookline.providers.general import events
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider

NAME = "github"


def verify(call: Incoming, credentials: Credentials) -> None:
    algorithm, _, given = proofs.header(call, "X-Hub-Signature-256").partition("=")
    if algorithm != "sha256":
        raise NotSigned("X-Hub-Signature-256 does not begin with sha256=")
    proofs.verify_hmac(credentials["secret"], call.body, given)


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    name = call.headers.get("x-github-event", "")
    body = events.read(call)
    sent = events.at(body.value, "payload")
    if events.is_form(call) and isinstance(sent, str):
        body = events.read_json(sent.encode())
    id = events.identity(call.headers.get("x-github-delivery"), name, body.mark)
    about = events.first(body.value, "repository.full_name", "organization.login", "sender.login")
    return [events.event(events.under(NAME, name), body, id, about)]


PROVIDER = Provider(
    name=NAME,
    credentials={"secret": "a text of your choice that GitHub gets as the webhook's secret"},
    verify=verify,
    parse=parse,
)
