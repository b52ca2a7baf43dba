"""A mail: to whom a hook says, or to a campaign's recipient, through the same SMTP server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hookline.actions.work import VARIABLES, Invalid, Plan, Tools, Work
from hookline.mail import compose, confirming
from hookline.mail.sender import Letter, Mailer, filled, prepare_message
from hookline.mail.series import Series
from hookline.model import Campaign, Contact, Delivery, EmailAction, MessageInput, Outcome
from hookline.rules import templates
from hookline.rules.addresses import normalise, parse_address
from hookline.rules.contacts import contact_value
from hookline.rules.times import to_datetime
from hookline.rules.tokens import ConfirmToken

KIND = "email"


class EmailPlan(Plan, frozen=True, kw_only=True):
    action: EmailAction
    to: templates.Template
    prepared: compose.Prepared | None
    """``None`` where its texts are a template's, which may change."""

    def address(self, values: Mapping[str, Any]) -> str | None:
        mailbox = self.mailbox(values)
        return mailbox and mailbox[1]

    def mailbox(self, values: Mapping[str, Any]) -> compose.Mailbox | None:
        try:
            name, address = parse_address(self.to.render(values))
        except (templates.TemplateError, ValueError):
            return None
        return name, normalise(address)


def compile(action: EmailAction) -> EmailPlan:
    try:
        to = templates.compile(action.to, VARIABLES, html=False)
    except templates.TemplateError as error:
        raise Invalid("/do/to", str(error)) from None
    if "{" not in action.to:
        try:
            parse_address(action.to)
        except ValueError as error:
            raise Invalid("/do/to", str(error)) from None
    if action.template is not None:
        return EmailPlan(names=VARIABLES, address_names=to.names, action=action, to=to, prepared=None)
    if not action.subject:
        raise Invalid("/do/subject", "a mail needs a subject, or a template that has one")
    if not action.html and not action.text:
        raise Invalid("/do", "a mail needs html or text, or a template that has them")
    try:
        prepared = prepare_action(action)
    except compose.FieldError as error:
        raise Invalid(f"/do/{error.field}", error.detail) from None
    return EmailPlan(
        names=prepared.names | to.names, address_names=to.names, action=action, to=to, prepared=prepared
    )


def prepare_action(action: EmailAction) -> compose.Prepared:
    """Parse and weave a mail's texts. Raises compose.FieldError, which names the field."""
    return compose.prepare(
        subject=action.subject,
        html=action.html,
        text=action.text,
        from_=action.from_,
        reply_to=action.reply_to,
        track_opens=True,
        track_clicks=True,
        variables=VARIABLES,
    )


async def perform(work: Work) -> Outcome:
    plan = work.hook.plan
    if not isinstance(plan, EmailPlan):
        raise TypeError(type(plan))
    name, address = plan.mailbox(work.variables) or ("", None)
    if work.delivery.address not in (None, address):  # it goes to whom it was meant for at first
        name, address = "", work.delivery.address
    if address is None:
        return Outcome(
            result="permanent", error="template", detail="`to` gave no email address for this event"
        )
    prepared: compose.Prepared | Series | None = plan.prepared
    if prepared is None:
        try:
            prepared = await _from_template(work, plan.action, work.tools.mailer)
        except templates.TemplateError as error:
            return Outcome(result="permanent", error="template", detail=str(error))
    letter = Letter(
        prepared=prepared,
        variables=work.variables,
        address=address,
        name=name,
        stream=plan.action.stream,
    )
    return await work.tools.mailer.send(work.delivery, letter)


async def _from_template(work: Work, action: EmailAction, mailer: Mailer) -> Series:
    """The texts of the action's template as it is now. Raises TemplateError when there is none."""
    hook = work.hook.hook
    template = await work.tools.storage.templates.get(hook.tenant, action.template or "")
    if template is None:
        raise templates.TemplateError(f"the template {action.template} was deleted")
    name = f"{hook.id} {hook.updated_at} {template.id} {template.updated_at}"
    return mailer.kept(name, lambda: prepare_action(filled(action, template)))


async def perform_campaign(delivery: Delivery, tools: Tools) -> Outcome:
    """A campaign's mail to one recipient."""
    campaign = await tools.mailer.campaign(delivery.tenant, delivery.campaign or "")
    if campaign is None or delivery.address is None:
        return Outcome(result="permanent", error="cancelled", detail="the campaign is no longer there")
    recipient = await tools.storage.recipients.get(
        delivery.tenant, delivery.address, delivery.contact, campaign.list
    )
    if recipient.contact is None:
        return Outcome(result="permanent", error="cancelled", detail="the contact was deleted")
    letter = Letter(
        prepared=tools.mailer.series(campaign),
        variables=campaign_values(campaign, recipient.contact, tools.clock.now()),
        address=delivery.address,
        list=campaign.list,
        recipient=recipient,
    )
    return await tools.mailer.send(delivery, letter)


async def perform_message(delivery: Delivery, tools: Tools) -> Outcome:
    """The one mail that somebody asked for."""
    spec = await tools.storage.mails.get(delivery.tenant, delivery.id)
    if spec is None or delivery.address is None:
        return Outcome(result="permanent", error="cancelled", detail="the mail is no longer kept")
    contact = await tools.storage.contacts.by_email(delivery.tenant, delivery.address)
    letter = Letter(
        prepared=prepare_message(spec),
        variables={
            "contact": contact_value(contact) if contact else None,
            "variables": spec.variables,
            "now": to_datetime(tools.clock.now()),
        },
        address=delivery.address,
        name=parse_address(spec.to)[0],
        stream=spec.stream,
        labels=labels_of(spec),
    )
    return await tools.mailer.send(delivery, letter)


def labels_of(spec: MessageInput) -> dict[str, Any]:
    """The tags and the metadata that there are."""
    found = {"tags": spec.tags, "metadata": spec.metadata}
    return {name: value for name, value in found.items() if value}


def campaign_values(campaign: Campaign, contact: Contact, now: int) -> dict[str, Any]:
    """What a campaign's templates may name: ``sender.CAMPAIGN_VARIABLES``."""
    return {
        "contact": contact_value(contact),
        "campaign": {"id": campaign.id, "name": campaign.spec.name},
        "now": to_datetime(now),
    }


async def perform_confirmation(delivery: Delivery, tools: Tools) -> Outcome:
    """A mail that asks somebody whether he wants to be on the list that the delivery's lane is named by."""
    contacts, tenant = tools.storage.contacts, delivery.tenant
    listed = await contacts.list_named(tenant, delivery.lane)
    contact = await contacts.get(tenant, delivery.contact or "")
    lists = await contacts.lists_of(tenant, contact.id) if contact else {}
    if listed is None or listed.double_opt_in is None or contact is None or lists.get(listed.id) != "pending":
        return Outcome(result="permanent", error="cancelled", detail="there is nothing to confirm any more")
    if contact.email is None or contact.email != delivery.address:
        return Outcome(result="permanent", error="cancelled", detail="the contact has another address by now")
    now = tools.clock.now()
    token = ConfirmToken(tenant, contact.id, listed.id, contact.email, now + confirming.VALID)
    try:
        prepared = confirming.prepare(listed.double_opt_in)
    except compose.FieldError as error:  # saved by an older Hookline that allowed it
        return Outcome(result="permanent", error="template", detail=str(error))
    values = {
        "contact": contact_value(contact),
        "list": {"id": listed.id, "name": listed.name},
        "confirm_url": tools.mailer.confirm_url(token),
        "now": to_datetime(now),
    }
    letter = Letter(prepared=prepared, variables=values, address=contact.email, stream="transactional")
    return await tools.mailer.send(delivery, letter)
