"""`/v1/templates`: texts of mails, for campaigns and hooks, and how they look for a contact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.bodies import convert
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.mail.compose import FieldError, Prepared, prepare
from hookline.mail.sender import CAMPAIGN_VARIABLES
from hookline.model import Contact, Strict, Template, TemplateInput
from hookline.rules.addresses import normalise
from hookline.rules.cel import from_json
from hookline.rules.contacts import contact_value
from hookline.rules.ids import new_id
from hookline.rules.merging import merge_patch
from hookline.rules.templates import TemplateError
from hookline.rules.times import format_time, to_datetime
from hookline.services import Services

TAGS = ["Templates"]
# What mails of campaigns or of hooks may name; which of them a mail has is seen when it uses the template.
VARIABLES = CAMPAIGN_VARIABLES | {"event", "message", "cause"}
STAND_IN = "sender@example.com"


class TemplateShown(Struct, frozen=True, kw_only=True):
    """``variables`` are what its texts name."""

    id: str
    name: str
    subject: str
    html: str | None
    text: str | None
    variables: list[str]
    created_at: str
    updated_at: str


class PreviewInput(Strict, frozen=True, kw_only=True):
    """``contact`` is an id or an address; ``variables`` stand for what else the texts name."""

    contact: str | None = None
    variables: dict[str, Any] = msgspec.field(default_factory=dict)


class Preview(Struct, frozen=True, kw_only=True):
    """The mail as it would be, but untracked, and with a link to unsubscribe that leads nowhere."""

    subject: str
    html: str | None
    text: str | None


def prepared(template: TemplateInput | Template, base: str = "") -> Prepared:
    """The texts, compiled. ApiError 422 with line and column, below ``base``, for what does not compile."""
    try:
        return prepare(
            subject=template.subject,
            html=template.html,
            text=template.text,
            from_=STAND_IN,
            reply_to=None,
            track_opens=False,
            track_clicks=False,
            variables=VARIABLES,
        )
    except FieldError as error:
        raise invalid(f"{base}/{error.field}", error.detail) from None


async def preview(
    services: Services, tenant: str, texts: Prepared, asked: PreviewInput, more: Mapping[str, Any]
) -> Preview:
    """How the texts look for a contact, or for one of whom nothing is known. ApiError 422 for what fails."""
    contact = await contact_for(services, tenant, asked.contact)
    now = to_datetime(services.clock.now())
    given: Any = from_json(msgspec.json.encode(asked.variables))
    values: dict[str, Any] = {"contact": contact_value(contact), "now": now, **more, **given}
    try:
        rendered = texts.render(
            {name: values.get(name) for name in texts.names}, None, footer_url="#unsubscribe"
        )
    except TemplateError as error:
        field = f"/{error.field}" if isinstance(error, FieldError) else ""
        raise invalid(field, error.detail if isinstance(error, FieldError) else str(error)) from None
    return Preview(subject=rendered.subject, html=rendered.html, text=rendered.text)


async def contact_for(services: Services, tenant: str, name: str | None) -> Contact:
    """A contact by id or address, or a made-up one. ApiError 422 for one that is not there."""
    contacts = services.storage.contacts
    now = services.clock.now()
    if name is None:
        made_up = Contact(tenant=tenant, id=new_id("ctc"), email=STAND_IN, created_at=now, updated_at=now)
        return made_up
    found = await (contacts.by_email(tenant, normalise(name)) if "@" in name else contacts.get(tenant, name))
    if found is None:
        raise invalid("/contact", f"there is no contact {name!r}")
    return found


def _shown(template: Template) -> TemplateShown:
    return TemplateShown(
        id=template.id,
        name=template.name,
        subject=template.subject,
        html=template.html,
        text=template.text,
        variables=sorted(prepared(template).names),
        created_at=format_time(template.created_at),
        updated_at=format_time(template.updated_at),
    )


async def _find(services: Services, tenant: str, name: str) -> Template:
    found = await services.storage.templates.get(tenant, name)
    if found is None:
        raise not_found("template", name)
    return found


async def _store(services: Services, template: Template) -> TemplateShown:
    shown = _shown(template)
    if template.name.startswith("tpl_"):
        raise invalid("/name", "a name does not begin with tpl_, as ids do")
    if await services.storage.templates.put(template) is None:
        raise ApiError(409, f"there is a template {template.name!r} already")
    return shown


def routes(services: Services) -> list[HTTPRouteHandler]:
    templates, clock = services.storage.templates, services.clock

    @post("/v1/templates", tags=TAGS, operation_id="createTemplate", summary="Make a template")
    async def create(key: Caller, data: JSONBody[TemplateInput]) -> TemplateShown:
        """A mistake in it is a 422 with its line and column. Style sheets are inlined when it is used."""
        now = clock.now()
        fields = msgspec.structs.asdict(data)
        made = Template(tenant=key.tenant, id=new_id("tpl"), created_at=now, updated_at=now, **fields)
        return await _store(services, made)

    @get("/v1/templates", tags=TAGS, operation_id="listTemplates", summary="List templates")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[TemplateShown]:
        found = await templates.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, _shown)

    return [create, index, *_single(services)]


def _single(services: Services) -> list[HTTPRouteHandler]:
    templates, clock = services.storage.templates, services.clock

    @get("/v1/templates/{template_id:str}", tags=TAGS, operation_id="getTemplate", summary="Read a template")
    async def one(key: Caller, template_id: FromPath[str]) -> TemplateShown:
        """By its id or its name."""
        return _shown(await _find(services, key.tenant, template_id))

    @patch(
        "/v1/templates/{template_id:str}",
        tags=TAGS,
        operation_id="changeTemplate",
        summary="Change a template",
    )
    async def change(
        key: Caller, template_id: FromPath[str], data: JSONBody[dict[str, Any]]
    ) -> TemplateShown:
        """A merge patch (RFC 7396). It counts for the next mail of a hook; a campaign under way keeps its texts."""
        before = await _find(services, key.tenant, template_id)
        kept = {name: getattr(before, name) for name in TemplateInput.__struct_fields__}
        spec = convert(merge_patch(kept, data), TemplateInput)
        after = msgspec.structs.replace(before, updated_at=clock.now(), **msgspec.structs.asdict(spec))
        return await _store(services, after)

    @delete(
        "/v1/templates/{template_id:str}",
        tags=TAGS,
        operation_id="deleteTemplate",
        summary="Delete a template",
    )
    async def remove(key: Caller, template_id: FromPath[str]) -> None:
        """What a hook or a draft still needs it for will fail, and say so."""
        if not await templates.delete(key.tenant, (await _find(services, key.tenant, template_id)).id):
            raise not_found("template", template_id)

    @post(
        "/v1/templates/{template_id:str}/preview", status_code=200, tags=TAGS, operation_id="previewTemplate",
        summary="See a template filled in",
    )  # fmt: skip
    async def see(key: Caller, template_id: FromPath[str], data: JSONBody[PreviewInput]) -> Preview:
        """For a contact, or for one of whom nothing is known. Nothing is sent."""
        found = await _find(services, key.tenant, template_id)
        return await preview(services, key.tenant, prepared(found), data, {})

    return [one, change, remove, see]
