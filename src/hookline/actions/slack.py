"""A line in a Slack channel: through an incoming webhook, or by the API with a bot's token (``chat.postMessage``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from hookline.actions import http_outcome
from hookline.actions.connected import connection_for
from hookline.actions.work import USER_AGENT, VARIABLES, Invalid, Plan, Work
from hookline.model import Connection, Event, Outcome, SlackAction
from hookline.net.http import Request
from hookline.rules import cel, templates

KIND = "slack"
# What Slack answers when trying again cannot help (its documentation of incoming webhooks).
HOPELESS = frozenset({400, 403, 404})
API = "https://slack.com/api"
# What the API says with status 200 when trying again may help; all its other errors stay as they are.
PASSING = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
})  # fmt: skip
SENTENCES = {
    "email.sent": "A mail to {subject} was sent",
    "email.delivered": "A mail to {subject} was delivered",
    "email.deferred": "A mail to {subject} is delayed: {detail}",
    "email.opened": "{subject} opened a mail",
    "email.clicked": "{subject} clicked {url}",
    "email.bounced": "A mail to {subject} bounced: {detail}",
    "email.blocked": "A mail to {subject} was blocked: {reason}",
    "email.complained": "{subject} marked a mail as spam",
    "email.unsubscribed": "{subject} unsubscribed",
}


# Blocks whose texts are templates: JSON as it was written, with a template for each text that is one.
Shape = templates.Template | dict[str, Any] | list[Any] | str | int | float | bool | None


class SlackPlan(Plan, frozen=True, kw_only=True):
    """``url`` is an incoming webhook's, "" where ``connection`` and ``channel`` stand instead."""

    url: str
    connection: str
    channel: str
    text: templates.Template | None
    blocks: Shape


def compile(action: SlackAction) -> SlackPlan:
    if (action.url is None) == (action.connection is None):
        raise Invalid("/do/url", "give the url of an incoming webhook, or a connection and a channel")
    if action.connection is not None and not (action.channel or "").strip():
        raise Invalid("/do/channel", "with a connection, name the channel")
    if action.connection is None and action.channel is not None:
        raise Invalid("/do/channel", "an incoming webhook has its channel; another one needs a connection")
    text = _compile("/do/text", action.text)
    names: set[str] = set(text.names) if text else set()
    blocks = _shape("/do/blocks", action.blocks, names)
    return SlackPlan(
        names=frozenset(names),
        url=action.url or "",
        connection=action.connection or "",
        channel=action.channel or "",
        text=text,
        blocks=blocks,
    )


def _shape(pointer: str, value: Any, names: set[str]) -> Shape:
    if isinstance(value, dict):
        return {key: _shape(f"{pointer}/{key}", item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(f"{pointer}/{place}", item, names) for place, item in enumerate(value)]
    if isinstance(value, str) and "{" in value:
        template = _compile(pointer, value)
        names |= template.names if template else set()
        return template
    return cast("Shape", value)


def _filled(shape: Shape, values: Mapping[str, Any]) -> Any:
    """Each text is filled in by itself: what is in an event can be a text, and never a block."""
    if isinstance(shape, templates.Template):
        return _unquote(shape.render(values))
    if isinstance(shape, dict):
        return {key: _filled(item, values) for key, item in shape.items()}
    return [_filled(item, values) for item in shape] if isinstance(shape, list) else shape


def _compile(pointer: str, source: str | None) -> templates.Template | None:
    if source is None:
        return None
    try:
        # Escaping makes `<!channel>` in a customer's name a text and no call to everybody.
        return templates.compile(source, VARIABLES, html=True)
    except templates.TemplateError as error:
        raise Invalid(pointer, str(error)) from None


async def perform(work: Work) -> Outcome:
    plan = work.hook.plan
    if not isinstance(plan, SlackPlan):
        raise TypeError(type(plan))
    try:
        payload = _payload(plan, work)
    except templates.TemplateError as error:
        return Outcome(result="permanent", error="template", detail=str(error))
    if plan.connection:
        return await _by_api(plan, payload, work)
    request = _request(plan.url, payload, work.hook.timeout)
    response = await work.tools.http.send(request)
    outcome = http_outcome.judge(response, work.tools.clock.now())
    said = response.body[:200].decode("utf-8", "replace")
    if response.status in HOPELESS:
        outcome = Outcome(
            result="permanent", error="provider", status=response.status, detail=f"Slack: {said}"
        )
    elif outcome.result == "ok" and refusal_of(response.body) is not None:
        outcome = Outcome(result="retry", error="provider", status=response.status, detail=f"Slack: {said}")
    return http_outcome.record(outcome, request, response, url=masked(plan.url))


async def _by_api(plan: SlackPlan, payload: dict[str, Any], work: Work) -> Outcome:
    connection = await connection_for(work, plan.connection, KIND)
    if isinstance(connection, Outcome):
        return connection
    request = api_request(
        connection, "chat.postMessage", {"channel": plan.channel, **payload}, work.hook.timeout
    )
    response = await work.tools.http.send(request)
    outcome = http_outcome.judge(response, work.tools.clock.now())
    if outcome.result == "ok" and (refusal := refusal_of(response.body)) is not None:
        outcome = Outcome(
            result="retry" if refusal in PASSING else "permanent",
            error="provider",
            status=response.status,
            detail=f"Slack: {refusal}",
        )
    return http_outcome.record(outcome, request, response, hide=("authorization",))


def api_request(connection: Connection, method: str, payload: Mapping[str, Any], timeout: float) -> Request:
    """A call of a method of Slack's API, with a connection's token; ``timeout`` is in seconds."""
    url = f"{(connection.base_url or API).rstrip('/')}/{method}"
    return _request(url, payload, timeout, ("authorization", f"Bearer {connection.credentials['token']}"))


def _request(url: str, payload: Mapping[str, Any], timeout: float, *headers: tuple[str, str]) -> Request:
    # Slack warns of JSON that does not say that it is in UTF-8.
    return Request(
        method="POST",
        url=url,
        headers=(("content-type", "application/json; charset=utf-8"), ("user-agent", USER_AGENT), *headers),
        body=msgspec.json.encode(payload),
        timeout=timeout,
    )


def _payload(plan: SlackPlan, work: Work) -> dict[str, Any]:
    values = work.variables
    text = _unquote(plan.text.render(values)) if plan.text else readable(work.event)
    payload: dict[str, Any] = {"text": text}
    if plan.blocks is not None:
        payload["blocks"] = _filled(plan.blocks, values)
    return payload


def _unquote(text: str) -> str:
    # Slack knows three escapes, & < >; HTML's other two would be shown as they stand.
    for escaped, mark in (("&#x27;", "'"), ("&#x2f;", "/"), ("&quot;", '"'), ("&#39;", "'"), ("&#34;", '"')):
        text = text.replace(escaped, mark)
    return text


def refusal_of(body: bytes) -> str | None:
    """Slack's word for what is wrong, in an answer that says that it is not ok."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    refused = isinstance(answer, dict) and answer.get("ok") is False
    return str(answer.get("error") or "not ok")[:200] if refused else None


def readable(event: Event) -> str:
    """A sentence about an event for people who did not write a text."""
    data = cel.from_json(event.data) if event.data else {}
    fields = data if isinstance(data, dict) else {}
    sentence = SENTENCES.get(event.type)
    if sentence is None:
        about = f" for {event.subject}" if event.subject else ""
        return _escape(f"{event.type}{about}")
    words = {name: str(fields.get(name) or "no reason given") for name in ("detail", "url", "reason")}
    return _escape(sentence.format(subject=event.subject or "somebody", **words))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def masked(url: str) -> str:
    """The URL as it may be shown: its path is the secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"
