"""`/v1/campaigns`: one mail to every member of a list."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from hookline.actions.email import campaign_values
from hookline.api.auth import Caller
from hookline.api.bodies import convert
from hookline.api.campaign_view import CampaignShown, shown
from hookline.api.errors import ApiError, invalid, not_found
from hookline.api.mail_templates import Preview, PreviewInput, preview
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.mail.compose import FieldError
from hookline.mail.sender import Letter, Mailer, filled, prepare_campaign
from hookline.model import (
    DAY,
    AttemptError,
    Campaign,
    CampaignInput,
    Contact,
    Delivery,
    Key,
    RateInput,
    ThrottleInput,
    Track,
)
from hookline.rules.addresses import normalise, parse_address
from hookline.rules.ids import new_id
from hookline.rules.merging import merge_patch
from hookline.rules.pacing import Rate
from hookline.rules.times import parse_duration, parse_time
from hookline.services import Services
from hookline.storage.throttling import ANY, Throttle

TAGS = ["Campaigns"]


class TestOutcome(Struct, frozen=True, kw_only=True):
    """What came of it at once: ``status`` is the SMTP code, ``detail`` what the server said."""

    to: str
    result: Literal["ok", "retry", "permanent"]
    error: AttemptError | None
    status: int | None
    detail: str


class Campaigns:
    """What the handlers share."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._storage = services.storage

    async def find(self, key: Key, campaign_id: str) -> Campaign:
        found = await self._storage.campaigns.get(key.tenant, campaign_id)
        if found is None:
            raise not_found("campaign", campaign_id)
        return found

    async def check(self, key: Key, spec: CampaignInput) -> tuple[str, str | None]:
        """The ids of the campaign's list ("" for all contacts) and segment. ApiError 422 for a campaign that could
        not be sent.
        """
        try:
            prepare_campaign(await self.texts(key.tenant, spec))
        except FieldError as error:
            raise invalid(f"/{error.field}", error.detail) from None
        list_id, segment = "", None
        if spec.list is None and spec.segment is None:
            raise invalid(
                "/list", "a campaign is for a list, a segment, or those of a list who are in a segment"
            )
        if spec.list is not None:
            listed = await self._storage.contacts.list_named(key.tenant, spec.list)
            if listed is None:
                raise invalid("/list", f"there is no list {spec.list!r}")
            list_id = listed.id
        if spec.segment is not None:
            found = await self._storage.segments.get(key.tenant, spec.segment)
            if found is None:
                raise invalid("/segment", f"there is no segment {spec.segment!r}")
            segment = found.id
        return list_id, segment

    async def texts(self, tenant: str, spec: CampaignInput) -> CampaignInput:
        """The campaign with the texts of its template. ApiError 422 for one that has no subject then."""
        if spec.template is not None:
            template = await self._storage.templates.get(tenant, spec.template)
            if template is None:
                raise invalid("/template", f"there is no template {spec.template!r}")
            spec = filled(spec, template)
        if not spec.subject.strip():
            raise invalid("/subject", "a campaign needs a subject, or a template that has one")
        return spec

    async def preview(self, campaign: Campaign, asked: PreviewInput) -> Preview:
        """How the campaign looks for a contact."""
        spec = await self.texts(campaign.tenant, campaign.spec)
        untracked = msgspec.structs.replace(spec, track=Track(opens=False, clicks=False))
        about = {"campaign": {"id": campaign.id, "name": spec.name}}
        return await preview(self._services, campaign.tenant, prepare_campaign(untracked), asked, about)

    async def mailer(self, tenant: str) -> Mailer:
        """ApiError 409, naming the setting, where mail cannot be sent."""
        mailer = self._services.mailer
        if await mailer.servers.of(tenant) is None:
            raise ApiError(
                409,
                "no SMTP server is set: HOOKLINE_SMTP_URL or a connection of kind smtp names one"
                " (serve --dev brings one)",
            )
        if not self._services.settings.public_url:
            raise ApiError(
                409,
                "no public URL is set, so links and pixels would lead nowhere: HOOKLINE_PUBLIC_URL is the"
                " address under which readers reach this server (serve --dev brings one)",
            )
        return mailer

    async def send(self, campaign: Campaign, at: int | None) -> None:
        """Now, or at that time. ApiError 409 for a campaign that cannot be sent."""
        draft_only(campaign)
        await self.mailer(campaign.tenant)
        later = at is not None and at > self._services.clock.now()
        in_list = campaign.list or None
        if not later and not await self._storage.contacts.after(campaign.tenant, 0, 1, in_list=in_list):
            nobody = (
                f"the list {campaign.list} has no subscribed members"
                if campaign.list
                else "there are no contacts"
            )
            raise ApiError(409, nobody)
        if campaign.spec.template is not None:  # what is being sent changes no more
            spec = await self.texts(campaign.tenant, campaign.spec)
            await self._storage.campaigns.put(msgspec.structs.replace(campaign, spec=spec))
        if not await self._services.campaigns.start(campaign, at):
            raise ApiError(409, "the campaign is no draft any more")

    async def test(self, campaign: Campaign, to: str) -> TestOutcome:
        """One mail now. It has no delivery and no message row, so nothing counts it and no link is tracked."""
        mailer = await self.mailer(campaign.tenant)
        try:
            address = normalise(parse_address(to)[1])
        except ValueError as error:
            raise invalid("/to", str(error)) from None
        now = self._services.clock.now()
        contact = await self._storage.contacts.by_email(campaign.tenant, address) or Contact(
            tenant=campaign.tenant, id=new_id("ctc"), email=address, created_at=now, updated_at=now
        )
        # Not the mailer's own copy of the texts: a draft may still change.
        texts = await self.texts(campaign.tenant, campaign.spec)
        spec = msgspec.structs.replace(texts, track=Track(opens=False, clicks=False))
        letter = Letter(
            prepared=prepare_campaign(spec),
            variables=campaign_values(campaign, contact, now),
            address=address,
            list=campaign.list,
        )
        delivery = Delivery(
            tenant=campaign.tenant,
            id=new_id("dlv"),
            lane=campaign.id,
            kind="email",
            state="sending",
            contact=contact.id,
            address=address,
            created_at=now,
            updated_at=now,
        )
        outcome = await mailer.send(delivery, letter)
        return TestOutcome(
            to=address,
            result=outcome.result,
            error=outcome.error,
            status=outcome.status,
            detail=outcome.detail,
        )


def send_at(text: str | None) -> int | None:
    """ApiError 422 for what is no time."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise invalid("/send_at", str(error)) from None


def throttle(wish: ThrottleInput | None) -> bytes | None:
    """As claims read it. ApiError 422 for one that cannot be kept."""
    if wish is None or not (wish.rate or wish.domains):
        return None
    domains = {}
    for name, rate in wish.domains.items():
        pointer = f"/throttle/domains/{name.replace('~', '~0').replace('/', '~1')}"
        domain = name
        if name != ANY:
            try:
                domain = normalise(parse_address(f"x@{name}")[1]).rpartition("@")[2]
            except ValueError:
                raise invalid(
                    pointer, f"{name!r} is no domain; * stands for each that is not named"
                ) from None
        domains[domain] = _rate(pointer, rate)
    return msgspec.json.encode(Throttle(_rate("/throttle/rate", wish.rate) if wish.rate else None, domains))


def _rate(pointer: str, rate: RateInput) -> Rate:
    try:
        per = parse_duration(rate.per)
    except ValueError as error:
        raise invalid(f"{pointer}/per", str(error)) from None
    if not 0 < per <= DAY:
        raise invalid(f"{pointer}/per", "a rate is per more than nothing and at most 24h")
    return Rate(rate.count, per)


def draft_only(campaign: Campaign) -> None:
    """ApiError 409 unless the campaign is still a draft."""
    if campaign.state != "draft":
        way_out = "; cancel it to have a draft again" if campaign.state == "scheduled" else ""
        raise ApiError(409, f"the campaign is no draft any more: it is {campaign.state}{way_out}")


def routes(services: Services) -> list[HTTPRouteHandler]:
    book = Campaigns(services)
    campaigns, clock = services.storage.campaigns, services.clock

    @post("/v1/campaigns", tags=TAGS, operation_id="createCampaign", summary="Draft a campaign")
    async def create(key: Caller, data: JSONBody[CampaignInput]) -> CampaignShown:
        """Nothing is sent yet. A mistake in a template is a 422 with its line and column."""
        list_id, segment = await book.check(key, data)
        draft = Campaign(
            tenant=key.tenant,
            id=new_id("cmp"),
            spec=data,
            list=list_id,
            segment=segment,
            state="draft",
            created_at=clock.now(),
            send_at=send_at(data.send_at),
            throttle=throttle(data.throttle),
        )
        return shown(await campaigns.put(draft))

    @get("/v1/campaigns", tags=TAGS, operation_id="listCampaigns", summary="List campaigns")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[CampaignShown]:
        found = await campaigns.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, shown)

    @get("/v1/campaigns/{campaign_id:str}", tags=TAGS, operation_id="getCampaign", summary="Read a campaign")
    async def one(key: Caller, campaign_id: FromPath[str]) -> CampaignShown:
        return shown(await book.find(key, campaign_id))

    @patch(
        "/v1/campaigns/{campaign_id:str}", tags=TAGS, operation_id="changeCampaign", summary="Change a draft"
    )
    async def change(
        key: Caller, campaign_id: FromPath[str], data: JSONBody[dict[str, Any]]
    ) -> CampaignShown:
        """A merge patch (RFC 7396) of what made it; 409 once it is scheduled or being sent."""
        stored = await book.find(key, campaign_id)
        merged = merge_patch(msgspec.to_builtins(stored.spec), data)
        spec = convert(merged, CampaignInput)
        list_id, segment = await book.check(key, spec)
        draft = msgspec.structs.replace(
            stored,
            spec=spec,
            list=list_id,
            segment=segment,
            send_at=send_at(spec.send_at),
            throttle=throttle(spec.throttle),
        )
        await campaigns.put(draft)
        kept = await book.find(key, campaign_id)
        draft_only(kept)  # what is no draft has stayed as it was
        return shown(kept)

    return [create, index, one, change]
