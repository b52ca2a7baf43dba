"""`/in/{source}`, where providers' webhooks arrive: verified, kept raw, answered once durable."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import HttpMethod, Request, route
from litestar import Response as Answer
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from hookline.api.auth import PUBLIC
from hookline.api.errors import ApiError, not_found
from hookline.api.mail_events import mail_event
from hookline.model import EventDraft, Message, Source
from hookline.net.http import Request as Fetch
from hookline.net.http import Response
from hookline.providers import BY_NAME, Incoming, NotSigned, ParsedEvent, Provider, Reply
from hookline.providers.fields import digest_raw
from hookline.providers.proofs import same
from hookline.rules.addresses import normalise
from hookline.rules.counting import SENT
from hookline.services import Services
from hookline.storage.units import Accepted, SourceIdConflict

log = structlog.get_logger("hookline.sources")
METHODS = [HttpMethod.POST, HttpMethod.GET, HttpMethod.HEAD, HttpMethod.OPTIONS]
FETCH_SECONDS = 5.0
KEPT_FILES = 64
LONGEST_ID = 500
LARGE = 256 * 1024  # bytes of a body: less is read in some milliseconds

T = TypeVar("T")


class Received(Struct, frozen=True):
    """How many events were new, and how many had come before."""

    accepted: int
    duplicates: int


class Files:
    """What was fetched for providers, such as certificates, by its URL; the oldest go first."""

    def __init__(self, send: Callable[[Fetch], Awaitable[Response]]) -> None:
        self._send = send
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def read(self, url: str) -> bytes:
        """ApiError 502 where it cannot be had: providers come again."""
        found = self._kept.get(url)
        if found is None:
            found = self._kept[url] = await self.visit(url)
            if len(self._kept) > KEPT_FILES:
                self._kept.popitem(last=False)
        return found

    async def visit(self, url: str) -> bytes:
        """What is there now."""
        answer = await self._send(Fetch(method="GET", url=url, timeout=FETCH_SECONDS))
        if answer.status != 200:
            why = answer.detail or f"the status was {answer.status}"
            raise ApiError(502, f"{url[:200]} could not be fetched: {why}")
        return answer.body


class Receiver:
    """Takes in what providers send."""

    def __init__(self, services: Services, files: Files) -> None:
        self._storage = services.storage
        self._intake = services.intake
        self._files = files

    async def find(self, source_id: str) -> Source:
        found = await self._storage.access.source_anywhere(source_id)
        if found is None:
            raise not_found("source", source_id)
        return found

    async def receive(self, source: Source, call: Incoming) -> Received | Reply:
        """ApiError 401 for a call that the provider did not sign, 400 for one that cannot be read."""
        provider = BY_NAME[source.kind]
        try:
            call = await self._verified(provider, source, call)
        except NotSigned as error:
            await self._storage.access.count_refused(source.tenant, source.id)
            challenge = {"www-authenticate": provider.challenge} if provider.challenge else {}
            detail = f"this is not signed as {source.kind} signs for this source: {error}"
            raise ApiError(401, detail, headers=challenge) from None
        try:
            reply = await _apart(provider.answer, call, source)
            events = [] if reply else await _apart(provider.parse, call, source)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        if reply is not None:
            if reply.visit:
                await self._files.visit(reply.visit)
            return reply
        ours = await self._messages(source, events)
        drafts = [_draft(source, event, message) for event, message in zip(events, ours, strict=True)]
        accepted = await self._accept(source, drafts)
        if provider.thanks is not None:
            return provider.thanks
        repeated = sum(answer.duplicate for answer in accepted)
        return Received(len(accepted) - repeated, len(events) - len(accepted) + repeated)

    async def _verified(self, provider: Provider, source: Source, call: Incoming) -> Incoming:
        """The call with what its proof needed besides; NotSigned."""
        if provider.secret:
            key = source.credentials[provider.secret]
            if not same(call.query.get(SECRET_PARAMETER, ""), key):
                raise NotSigned("the key in the address is missing or wrong")
        wanted = await _apart(provider.wanted, call, source)
        if wanted is not None:
            call = msgspec.structs.replace(call, fetched={wanted: await self._files.read(wanted)})
        await _apart(provider.verify, call, source)
        return call

    async def _accept(self, source: Source, drafts: list[EventDraft]) -> list[Accepted]:
        """All or none; one that somebody published as this source's is left out."""
        while drafts:
            try:
                return await self._intake.accept(source.tenant, drafts)
            except SourceIdConflict as conflict:
                drafts = drafts[: conflict.index] + drafts[conflict.index + 1 :]
        return []

    async def _messages(self, source: Source, events: Sequence[ParsedEvent]) -> list[Message | None]:
        """For each report the mail of ours that it is about, if that went to the address that the report names."""
        named = {event.message for event in events if event.message is not None}
        known = await self._storage.campaigns.messages(source.tenant, named)
        found: list[Message | None] = []
        for event in events:
            message = known.get(event.message or "")
            ours = message is not None and (
                event.email is None or normalise(event.email) == normalise(message.address)
            )
            found.append(message if ours else None)
        return found


async def _apart(work: Callable[[Incoming, Mapping[str, str]], T], call: Incoming, source: Source) -> T:
    """What a provider makes of a call; of a large one in a thread, so that nobody else waits for it."""
    if len(call.body) > LARGE:
        return await asyncio.to_thread(work, call, source.credentials)
    return work(call, source.credentials)


def _draft(source: Source, event: ParsedEvent, message: Message | None) -> EventDraft:
    """The event of a report; the first of its repeats wins, with what we knew of the mail then."""
    fits = event.id.isprintable() and 0 < len(event.id) <= LONGEST_ID
    name = event.id if fits else digest_raw(event.raw)
    if fits and BY_NAME[source.kind].id_per_type:
        name = f"{name}/{event.type}"
    facts = {**event.facts, "provider": source.kind, "provider_event": msgspec.Raw(event.raw)}
    if message is not None:
        kind = event.ours if event.ours and _told(event, message) else event.type
        draft = mail_event(kind, source.id, message, facts, source_id=name, time=event.time)
        return msgspec.structs.replace(draft, first_wins=True)
    about_mail = event.type.startswith("email.")
    if not about_mail and not event.known:
        log.warning("a provider's event is not understood", type=event.type, source=source.id)
    address = normalise(event.email) if event.email else None
    return EventDraft(
        type=event.type,
        source=source.id,
        source_id=name,
        subject=address or event.subject,
        time=event.time,
        data=msgspec.json.encode({"email": address, **facts}) if about_mail else event.raw,
        envelope=event.envelope,
        first_wins=True,
    )


def _told(event: ParsedEvent, message: Message) -> bool:
    """Whether the mailer has said what the provider says; that a mail was sent, it may not know after a crash."""
    return event.ours in MAIL_TYPES or bool(message.flags & SENT)


SECRET_PARAMETER = "key"  # noqa: S105 - its name, not a secret
MAIL_TYPES = frozenset({"email.delivered"})


def handshake(headers: Mapping[str, str]) -> dict[str, str]:
    """The answer to OPTIONS: CloudEvents' HTTP 1.1 Web Hooks, section 4. We take calls from any origin."""
    answer = {"allow": ", ".join(METHODS)}
    origin = headers.get("webhook-request-origin")
    if origin is not None:
        answer |= {"webhook-allowed-origin": origin, "webhook-allowed-rate": "*"}
    return answer


def routes(services: Services) -> list[HTTPRouteHandler]:
    receiver = Receiver(services, Files(services.http.send))

    @route(
        "/in/{source_id:str}",
        http_method=METHODS,
        status_code=200,
        opt=PUBLIC,
        include_in_schema=False,
    )
    async def receive(request: Request[Any, Any, Any], source_id: FromPath[str]) -> Answer[Any]:
        """200 only once all is durable; GET and HEAD answer providers that look whether someone is there."""
        source = await receiver.find(source_id)
        if request.method == "OPTIONS":
            return Answer(None, status_code=204, headers=handshake(request.headers))
        if request.method != "POST":
            return Answer(None, status_code=200)
        call = Incoming(
            headers=dict(request.headers),
            body=await request.body(),
            url=f"{services.settings.base_url}{_target(request)}",
            query=dict(request.query_params),
            now=services.wall(),
        )
        answer = await receiver.receive(source, call)
        if isinstance(answer, Reply):
            return Answer(answer.body, status_code=200, media_type=answer.media_type)
        return Answer(answer, status_code=200)

    return [receive]


def _target(request: Request[Any, Any, Any]) -> str:
    """The path and query as they were called."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return path.decode("latin-1").partition("?")[0] + (f"?{query.decode('latin-1')}" if query else "")
