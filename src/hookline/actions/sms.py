"""A text message through Twilio's API (Programmable Messaging, 2010-04-01)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from hookline.actions import http_outcome
from hookline.actions.connected import connection_for
from hookline.actions.work import USER_AGENT, VARIABLES, Invalid, Plan, Work
from hookline.model import Connection, Outcome, SmsAction
from hookline.net.http import Request, Response
from hookline.rules import templates
from hookline.rules.addresses import normalise_phone

KIND = "sms"
KIND_OF_CONNECTION = "twilio"
BASE_URL = "https://api.twilio.com"
# Before Twilio has the request it cannot have acted on it; after that, a second try may be a second message.
NOT_BEGUN = frozenset({"dns", "refused", "timeout_connect", "tls", "blocked_address"})
NOT_DONE = frozenset({429, 503})


class SmsPlan(Plan, frozen=True, kw_only=True):
    connection: str
    to: templates.Template
    text: templates.Template

    def address(self, values: Mapping[str, Any]) -> str | None:
        try:
            return normalise_phone(self.to.render(values))
        except templates.TemplateError:
            return None


def compile(action: SmsAction) -> SmsPlan:
    compiled = {}
    for field, source in (("to", action.to), ("text", action.text)):
        try:
            compiled[field] = templates.compile(source, VARIABLES, html=False)
        except templates.TemplateError as error:
            raise Invalid(f"/do/{field}", str(error)) from None
    if "{" not in action.to and normalise_phone(action.to) is None:
        raise Invalid("/do/to", f"{action.to!r} is no phone number with its country, such as +45 20 12 34 56")
    to, text = compiled["to"], compiled["text"]
    return SmsPlan(
        names=to.names | text.names, address_names=to.names, connection=action.connection, to=to, text=text
    )


async def perform(work: Work) -> Outcome:
    plan = work.hook.plan
    if not isinstance(plan, SmsPlan):
        raise TypeError(type(plan))
    values = work.variables
    try:
        to, text = plan.to.render(values).strip(), plan.text.render(values)
    except templates.TemplateError as error:
        return Outcome(result="permanent", error="template", detail=str(error))
    phone = normalise_phone(to)
    if phone is None:
        return Outcome(
            result="permanent", error="template", detail=f"`to` gave {to!r}, which is no phone number"
        )
    connection = await connection_for(work, plan.connection, KIND_OF_CONNECTION)
    if isinstance(connection, Outcome):
        return connection
    form = {"To": phone, "From": connection.credentials["from"], "Body": text}
    request = account_request(connection, "/Messages", work.hook.timeout, urlencode(form).encode())
    response = await work.tools.http.send(request)
    outcome = _judge(response, work.tools.clock.now())
    return http_outcome.record(outcome, request, response, hide=("authorization",))


def account_request(connection: Connection, path: str, timeout: float, body: bytes | None = None) -> Request:
    """A call of Twilio's API below the connection's account: a POST of a form, or without one a GET."""
    account = connection.credentials["account_sid"]
    base = (connection.base_url or BASE_URL).rstrip("/")
    login = f"{account}:{connection.credentials['auth_token']}".encode()
    form = () if body is None else (("content-type", "application/x-www-form-urlencoded"),)
    return Request(
        method="GET" if body is None else "POST",
        url=f"{base}/2010-04-01/Accounts/{quote(account, safe='')}{path}.json",
        headers=(
            ("authorization", "Basic " + b64encode(login).decode()),
            *form,
            ("accept", "application/json"),
            ("user-agent", USER_AGENT),
        ),
        body=body or b"",
        timeout=timeout,
    )


def _judge(response: Response, now: int) -> Outcome:
    outcome = http_outcome.judge(response, now)
    if outcome.result == "ok":
        return outcome
    status = response.status
    if status in NOT_DONE or (status is None and response.error in NOT_BEGUN):
        return msgspec.structs.replace(outcome, result="retry", disable_hook=None)
    if status is None or status >= 500:
        detail = f"{outcome.detail}; whether the message was sent is not known, so it is not sent again"
        error = outcome.error if status is None else "provider"
        return msgspec.structs.replace(outcome, result="permanent", error=error, detail=detail)
    return msgspec.structs.replace(
        outcome, result="permanent", error="provider", detail=said_by(response), disable_hook=None
    )


def said_by(response: Response) -> str:
    """Twilio's own words: {"code": 21211, "message": "…"}."""
    try:
        answer = msgspec.json.decode(response.body)
    except msgspec.DecodeError:
        answer = None
    if isinstance(answer, dict) and "message" in answer:
        return f"Twilio {answer.get('code')}: {answer['message']}"
    return f"Twilio answered {response.status}"
