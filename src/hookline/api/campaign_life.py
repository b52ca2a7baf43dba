"""A campaign's life: sent now or later, paused, resumed, cancelled; and tried out before."""

from __future__ import annotations

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from hookline.api.auth import Caller
from hookline.api.campaign_view import CampaignShown, shown
from hookline.api.campaigns import TAGS, Campaigns, TestOutcome, send_at
from hookline.api.errors import ApiError
from hookline.api.mail_templates import Preview, PreviewInput
from hookline.model import Campaign, CampaignState, Key, Strict
from hookline.services import Services


class TestInput(Strict, frozen=True, kw_only=True):
    to: str


class SendInput(Strict, frozen=True, kw_only=True):
    """``send_at`` takes the place of the campaign's own."""

    send_at: str | None = None


class Life:
    """What can be done to a campaign that is scheduled or under way. Each may be asked for twice."""

    def __init__(self, services: Services, book: Campaigns) -> None:
        self._services = services
        self._campaigns = services.storage.campaigns
        self._book = book

    async def send(self, key: Key, campaign_id: str, wish: SendInput | None) -> Campaign:
        campaign = await self._book.find(key, campaign_id)
        at = send_at(wish.send_at) if wish else None
        await self._book.send(campaign, at if at is not None else campaign.send_at)
        return await self._book.find(key, campaign_id)

    async def pause(self, key: Key, campaign_id: str) -> Campaign:
        await self._campaigns.pause(key.tenant, campaign_id)
        return await self._now(key, campaign_id, ("paused",), "only what is being sent can be paused")

    async def resume(self, key: Key, campaign_id: str) -> Campaign:
        await self._campaigns.resume(key.tenant, campaign_id)
        self._services.campaigns.look()
        self._services.dispatcher.wake()
        return await self._now(key, campaign_id, ("sending", "sent"), "only what is paused can be resumed")

    async def cancel(self, key: Key, campaign_id: str) -> Campaign:
        await self._campaigns.cancel(key.tenant, campaign_id)
        self._services.campaigns.look()
        return await self._now(key, campaign_id, ("cancelled", "draft"), "nothing of it is left to cancel")

    async def _now(self, key: Key, campaign_id: str, wanted: tuple[CampaignState, ...], why: str) -> Campaign:
        campaign = await self._book.find(key, campaign_id)
        if campaign.state not in wanted:
            raise ApiError(409, f"the campaign is {campaign.state}: {why}")
        return campaign


def routes(services: Services) -> list[HTTPRouteHandler]:
    book = Campaigns(services)
    return [*_sending(services, book), *_steering(Life(services, book))]


def _sending(services: Services, book: Campaigns) -> list[HTTPRouteHandler]:
    life = Life(services, book)

    @post(
        "/v1/campaigns/{campaign_id:str}/send",
        status_code=202,
        tags=TAGS,
        operation_id="sendCampaign",
        summary="Send a campaign",
    )
    async def send(
        key: Caller, campaign_id: FromPath[str], data: JSONBody[SendInput | None] = None
    ) -> CampaignShown:
        """Every subscribed member of the list gets it once, from `send_at` on if there is one. The body may be left
        out. 409 names what is missing."""
        return shown(await life.send(key, campaign_id, data))

    @post(
        "/v1/campaigns/{campaign_id:str}/test",
        status_code=200,
        tags=TAGS,
        operation_id="testCampaign",
        summary="Send one test mail",
    )
    async def test(key: Caller, campaign_id: FromPath[str], data: JSONBody[TestInput]) -> TestOutcome:
        """Now, to one address, as that contact would get it; untracked and not counted."""
        return await book.test(await book.find(key, campaign_id), data.to)

    @post(
        "/v1/campaigns/{campaign_id:str}/preview",
        status_code=200,
        tags=TAGS,
        operation_id="previewCampaign",
        summary="See a campaign filled in",
    )
    async def see(key: Caller, campaign_id: FromPath[str], data: JSONBody[PreviewInput]) -> Preview:
        """As it would be for a contact, or for one of whom nothing is known. Nothing is sent."""
        return await book.preview(await book.find(key, campaign_id), data)

    return [send, test, see]


def _steering(life: Life) -> list[HTTPRouteHandler]:
    @post(
        "/v1/campaigns/{campaign_id:str}/pause",
        status_code=200,
        tags=TAGS,
        operation_id="pauseCampaign",
        summary="Pause a campaign",
    )
    async def pause(key: Caller, campaign_id: FromPath[str]) -> CampaignShown:
        """At once, on every process; the mails under way at this moment are finished."""
        return shown(await life.pause(key, campaign_id))

    @post(
        "/v1/campaigns/{campaign_id:str}/resume",
        status_code=200,
        tags=TAGS,
        operation_id="resumeCampaign",
        summary="Go on with a paused campaign",
    )
    async def resume(key: Caller, campaign_id: FromPath[str]) -> CampaignShown:
        """Where it was."""
        return shown(await life.resume(key, campaign_id))

    @post(
        "/v1/campaigns/{campaign_id:str}/cancel",
        status_code=200,
        tags=TAGS,
        operation_id="cancelCampaign",
        summary="Cancel a campaign",
    )
    async def cancel(key: Caller, campaign_id: FromPath[str]) -> CampaignShown:
        """What went out stays, what waits is cancelled, and it cannot be resumed. A scheduled one becomes a draft."""
        return shown(await life.cancel(key, campaign_id))

    return [pause, resume, cancel]
