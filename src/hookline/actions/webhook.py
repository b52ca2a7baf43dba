"""A signed POST to a URL (Standard Webhooks 1.0), in the standard, CloudEvents or a template's shape."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hookline.actions import http_outcome
from hookline.actions.connected import aimed, connection_for, header_of
from hookline.actions.formats import BATCH_FORMATS, FORMATS, JSON
from hookline.actions.headers import check_header
from hookline.actions.work import USER_AGENT, VARIABLES, Batching, Invalid, Plan, Work
from hookline.model import Event, Outcome, WebhookAction
from hookline.net.http import Request, check_ca
from hookline.rules import mailjet, signing, templates
from hookline.rules.pacing import Rate

KIND = "webhook"
MOST_CA = 64 * 1024


class WebhookPlan(Plan, frozen=True, kw_only=True):
    action: WebhookAction
    template: templates.Template | None

    def passes_over(self, event: Event) -> str:
        return mailjet.passes_over(event) if self.action.format.startswith("mailjet") else ""

    @property
    def batches(self) -> bool:
        return self.action.format in BATCH_FORMATS and self.action.format != "mailjet"

    @property
    def batch(self) -> Batching | None:
        return Batching(mailjet.BATCH, mailjet.EVERY) if self.action.format == "mailjet-grouped" else None

    @property
    def rate(self) -> Rate | None:
        return Rate(1, mailjet.EVERY) if self.action.format == "mailjet-grouped" else None


def compile(action: WebhookAction) -> WebhookPlan:
    seen: set[str] = set()
    for name, value in action.headers.items():
        check_header("/do/headers", name, value)
        if name.lower() in seen:
            raise Invalid("/do/headers", f"the header {name!r} stands here twice")
        seen.add(name.lower())
    if len(set(action.signatures)) < len(action.signatures):
        raise Invalid("/do/signatures", "each version signs once")
    if action.ca is not None:
        _check_ca(action.url, action.ca)
    template = None
    if action.format == "template":
        if action.template is None:
            raise Invalid("/do/template", 'format "template" needs a template')
        try:
            template = templates.compile(action.template, VARIABLES, html=False)
        except templates.TemplateError as error:
            raise Invalid("/do/template", str(error)) from None
    elif action.template is not None:
        raise Invalid("/do/template", 'a template is used only with format "template"')
    return WebhookPlan(names=template.names if template else frozenset(), action=action, template=template)


def _check_ca(url: str, ca: str) -> None:
    if not url.lower().startswith(("https:", "/")):
        raise Invalid("/do/ca", "certificates are of use only for a URL that begins with https://")
    if len(ca) > MOST_CA:
        raise Invalid("/do/ca", f"the certificates are longer than {MOST_CA // 1024} KiB")
    if "PRIVATE KEY" in ca:
        raise Invalid(
            "/do/ca", "this holds a private key: send certificates only, and keep the key to yourself"
        )
    try:
        check_ca(ca)
    except ValueError as error:
        raise Invalid("/do/ca", str(error)) from None


async def perform(work: Work) -> Outcome:
    plan, event = work.hook.plan, work.event
    if not isinstance(plan, WebhookPlan):
        raise TypeError(type(plan))
    passed_over = plan.passes_over(event) if not work.events else _left_over(plan, work.events)
    if passed_over:
        return Outcome(result="permanent", error="cancelled", detail=passed_over)
    try:
        body, content_type = _body(plan, work)
    except templates.TemplateError as error:
        return Outcome(result="permanent", error="template", detail=str(error))
    url, access = plan.action.url, dict[str, str]()
    if plan.action.connection is not None:
        connection = await connection_for(work, plan.action.connection, "http")
        if isinstance(connection, Outcome):
            return connection
        try:
            url, access = aimed(url, connection), dict([header_of(connection)])
        except Invalid as error:  # it leads elsewhere by now
            return Outcome(result="permanent", error="provider", detail=error.detail)
    # One that was no batch when it came to be stays the event that receivers may have seen, whatever its hook is now.
    name = work.delivery.id if work.delivery.size else event.id
    timestamp = int(work.tools.wall())
    keys = signing.signers(work.hook.hook.keys, plan.action.signatures, work.tools.clock.now())
    theirs = {name: text for name, text in plan.action.headers.items() if name.lower() not in access} | access
    headers = (
        ("content-type", content_type),
        ("user-agent", USER_AGENT),
        ("webhook-id", name),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", signing.sign(keys, name, timestamp, body)),
        ("hookline-delivery", work.delivery.id),
        *theirs.items(),
    )
    request = Request(
        method="POST",
        url=url,
        headers=headers,
        body=body,
        timeout=work.hook.timeout,
        ca=plan.action.ca,
    )
    response = await work.tools.http.send(request)
    outcome = http_outcome.judge(response, work.tools.clock.now())
    hide = {name.lower() for name in theirs}  # any of them may carry a key
    return http_outcome.record(outcome, request, response, hide=hide)


def _body(plan: WebhookPlan, work: Work) -> tuple[bytes, str]:
    """What is posted, and its content type. Raises TemplateError."""
    if plan.template is not None:
        body = plan.template.render(work.variables).encode()
        try:
            msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise templates.TemplateError(f"the template gave no JSON: {error}") from None
        return body, JSON
    if work.events:
        write_all, content_type = BATCH_FORMATS[plan.action.format]
        return write_all([event for event in work.events if not plan.passes_over(event)]), content_type
    write, content_type = FORMATS[plan.action.format]
    return write(work.event), content_type


def _left_over(plan: WebhookPlan, events: Sequence[Event]) -> str:
    """Why a batch cannot go out, the hook having changed since, in words; "" where it can."""
    if plan.action.format not in BATCH_FORMATS:
        return f"this is a batch, which the hook's format {plan.action.format} does not have"
    return plan.passes_over(events[0]) if all(map(plan.passes_over, events)) else ""
