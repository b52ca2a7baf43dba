"""Mail that comes back, by `POST /in/mail` or by SMTP: what it reports of mails of ours becomes events.

Anybody can write a bounce. So a report counts only for a message that a signed token names, or that is
named by its id in the returned mail and was for the recipient that the report names; it is told what it is
otherwise, and changes nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct
from msgspec.structs import replace

from hookline.api.auth import PUBLISH, Caller
from hookline.api.mail_events import mail_event
from hookline.api.tracking import Tracker
from hookline.mail.inbound.parse import Incoming, read_mail
from hookline.mail.inbound.report import Report
from hookline.mail.sender import SOURCE
from hookline.model import EventDraft, Message
from hookline.rules import mail_tokens, tokens
from hookline.rules.mail_tokens import MailToken
from hookline.services import Services
from hookline.storage.units import SourceIdConflict

log = structlog.get_logger("hookline.inbound")
TAGS = ["Sources"]
KEPT_RAW = 16 * 1024
EVENTS = {
    "bounced": "email.bounced",
    "deferred": "email.deferred",
    "delivered": "email.delivered",
    "complained": "email.complained",
    "unsubscribed": "email.unsubscribed",
}
IGNORED = {
    "relayed": "another server took it over, which says nothing of its end",
    "auto_reply": "an automatic answer, such as out of office",
    "not_spam": "somebody says that it is no spam",
    "auth_failure": "a report about authentication, of nobody's complaint",
    "other": "it reports nothing that is known",
}
NO_REPORT = "it reports nothing, and came to no address that unsubscribes"
NOT_OURS = "it names no message that was sent from here, to that recipient"

_LINK = re.compile(r"/t/[ocu]/([\w-]{40,8192})")
_MESSAGE = re.compile(r"(?<![0-9a-z])dlv_[0-9a-v]{26}(?![0-9a-z])")
_MOST_IDS = 20


class Found(Struct, frozen=True, kw_only=True):
    """One report. ``event`` is what it became (of one that came before, the first), or ``ignored`` says why not."""

    kind: str
    recipient: str | None = None
    reason: str | None = None
    hard: bool | None = None
    smtp_code: int | None = None
    enhanced_code: str | None = None
    detail: str = ""
    message: str | None = None
    event: str | None = None
    duplicate: bool = False
    ignored: str | None = None


class MailTaken(Struct, frozen=True, kw_only=True):
    """How many events are new, how many came before, and how many reports were ignored; ``reason`` says why
    where nothing counted."""

    accepted: int = 0
    duplicates: int = 0
    ignored: int = 0
    reason: str | None = None
    reports: list[Found] = []


class MailDesk:
    """Takes mail in. ``own`` is the domain whose mail is ours."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._intake = services.intake
        self._clock = services.clock
        self._key = services.token_key
        self._domain = services.settings.bounce_domain.lower()
        self._tracker = Tracker(services)

    def ours(self, address: str) -> bool:
        """Whether an address is for us: in our domain, and if it looks like a token's, one that we signed."""
        local, _, domain = address.strip("<>").rpartition("@")
        if not local or domain.lower().rstrip(".") != self._domain:
            return False
        return not re.match(r"[bu]-", local.lower()) or any(mail_tokens.find_tokens(self._key, local))

    async def receive(self, raw: bytes, to: Sequence[str], tenant: str | None = None) -> MailTaken:
        """Take a mail in for good; ``to`` is its envelope's, ``tenant`` whose messages it may be about (``None``:
        anybody's). StorageUnavailable when the database is away, and then nothing was done."""
        mail = await asyncio.to_thread(read_mail, raw)
        given = [
            token
            for token in mail_tokens.find_tokens(self._key, "\n".join((*to, mail.addressed)))
            if tenant in (None, token.tenant)
        ]
        if not mail.reports:
            found = [await self._by_mail(token) for token in given if token.purpose == "u"][:1]
        else:
            found = await self._reports(raw, mail, given, tenant)
        answer = _summed(found)
        log.info(
            "mail came back",
            accepted=answer.accepted,
            duplicates=answer.duplicates,
            ignored=answer.ignored,
            reason=answer.reason,
        )
        return answer

    async def _by_mail(self, token: MailToken) -> Found:
        """Somebody wrote to the address of List-Unsubscribe."""
        message = await self._storage.campaigns.message(token.tenant, token.message)
        if message is None:
            return Found(kind="unsubscribed", message=token.message, ignored=NOT_OURS)
        return await self._unsubscribe(message, Found(kind="unsubscribed", recipient=message.address))

    async def _unsubscribe(self, message: Message, found: Found) -> Found:
        listed = ""
        if message.campaign is not None:
            campaign = await self._storage.campaigns.get(message.tenant, message.campaign)
            listed = campaign.list if campaign else ""
        event = await self._tracker.leave(message, listed, {"provider": "smtp", "method": "mail"})
        return replace(found, message=message.id, event=event.id, duplicate=event.duplicate)

    async def _reports(
        self, raw: bytes, mail: Incoming, given: Sequence[MailToken], tenant: str | None
    ) -> list[Found]:
        found: list[Found] = []
        counted: dict[tuple[str, str], list[tuple[Message, Report]]] = {}
        for report in mail.reports:
            told = _told(report)
            if report.kind not in EVENTS:
                found.append(replace(told, ignored=IGNORED[report.kind]))
                continue
            message = await self._message(report, given, tenant)
            if message is None:
                found.append(replace(told, ignored=NOT_OURS))
                continue
            counted.setdefault((message.id, report.kind), []).append((message, report))
        for about in counted.values():
            found.append(
                await self._accept(raw, mail, about[0][0], _one([report for _, report in about], about[0][0]))
            )
        return found

    async def _accept(self, raw: bytes, mail: Incoming, message: Message, report: Report) -> Found:
        told = replace(_told(report), recipient=message.address, message=message.id)
        if report.kind == "unsubscribed":
            return await self._unsubscribe(message, told)
        draft = self._draft(raw, mail, message, report)
        try:
            (accepted,) = await self._intake.accept(message.tenant, [draft])
        except SourceIdConflict as conflict:  # the same report, by another way
            return replace(told, event=conflict.first, duplicate=True)
        return replace(told, event=accepted.id, duplicate=accepted.duplicate)

    def _draft(self, raw: bytes, mail: Incoming, message: Message, report: Report) -> EventDraft:
        facts: dict[str, Any] = {
            "provider": "smtp",
            "provider_event": {
                "shape": report.shape,
                "recipients": list(report.recipients[:5]),
                "raw": raw[:KEPT_RAW].decode("utf-8", "replace").replace("\0", ""),
            },
        }
        if report.kind in ("bounced", "deferred"):
            facts |= {
                "reason": report.reason,
                "smtp_code": report.smtp_code,
                "enhanced_code": report.enhanced_code,
            }
        if report.kind == "bounced":
            facts["hard"] = report.hard
        facts["detail"] = report.detail or None
        now = self._clock.now()
        return mail_event(
            EVENTS[report.kind],
            SOURCE,
            message,
            {name: value for name, value in facts.items() if value is not None},
            source_id=f"{message.id}/{report.kind}/{mail.id}",
            # Other people's clocks: no report comes before its mail, none from tomorrow.
            time=min(now, max(message.sent_at, now if report.time is None else report.time)),
        )

    async def _message(
        self, report: Report, given: Sequence[MailToken], tenant: str | None
    ) -> Message | None:
        """The message of ours that a report is about."""
        about = list(self._signed(report))
        # A complaint comes to an address that complaints come to; a bounce to the message's own.
        names = [*about, *given] if report.kind in ("complained", "unsubscribed") else [*given, *about]
        for token in names:
            if tenant in (None, token.tenant):
                message = await self._storage.campaigns.message(token.tenant, token.message)
                if message is not None:
                    return message
        ids = dict.fromkeys(name for text in report.about for name in _MESSAGE.findall(text.lower()))
        tenants = [tenant] if tenant is not None else await self._storage.access.tenants() if ids else []
        for name in list(ids)[:_MOST_IDS]:
            for whose in tenants:
                message = await self._storage.campaigns.message(whose, name)
                if message is not None and _is_for(report, message):
                    return message
        return None

    def _signed(self, report: Report) -> Iterator[MailToken]:
        """What the tokens say that came back with the mail: in its return path, its links, its List-Unsubscribe."""
        for text in report.about:
            yield from mail_tokens.find_tokens(self._key, text)
            for link in _LINK.findall(text)[:_MOST_IDS]:
                try:
                    token = tokens.read(self._key, link)
                except tokens.BadToken:
                    continue
                if not isinstance(token, tokens.ConfirmToken):
                    yield MailToken("b", token.tenant, token.message)


def _is_for(report: Report, message: Message) -> bool:
    """Whether a report that nobody signed may be about this message: complaints hide the name (RFC 6590)."""
    if not report.recipients or message.address in report.recipients:
        return True
    domain = message.address.rpartition("@")[2]
    return report.kind == "complained" and any(
        address.rpartition("@")[2] == domain for address in report.recipients
    )


def _one(reports: Sequence[Report], message: Message) -> Report:
    """Of several recipients' reports about one message the one about ours; else the address was forwarded to
    several, and it is dead if all of them are."""
    ours = [report for report in reports if message.address in report.recipients] or reports
    return replace(ours[0], hard=all(report.hard for report in ours))


def _told(report: Report) -> Found:
    bounced = report.kind in ("bounced", "deferred")
    return Found(
        kind=report.kind,
        recipient=report.recipients[0] if report.recipients else None,
        reason=report.reason if bounced else None,
        hard=report.hard if report.kind == "bounced" else None,
        smtp_code=report.smtp_code,
        enhanced_code=report.enhanced_code,
        detail=report.detail,
    )


def _summed(found: list[Found]) -> MailTaken:
    new = sum(one.event is not None and not one.duplicate for one in found)
    repeated = sum(one.duplicate for one in found)
    ignored = sum(one.ignored is not None for one in found) if found else 1
    reason = None
    if not new and not repeated:
        reason = next((one.ignored for one in found if one.ignored), NO_REPORT)
    return MailTaken(accepted=new, duplicates=repeated, ignored=ignored, reason=reason, reports=found)


def routes(services: Services) -> list[HTTPRouteHandler]:
    desk = MailDesk(services)

    @post(
        "/in/mail",
        opt=PUBLISH,
        status_code=200,
        tags=TAGS,
        operation_id="takeMail",
        summary="Take in a raw mail that came back",
    )
    async def take(
        request: Request[Any, Any, Any], key: Caller, to: FromQuery[list[str] | None] = None
    ) -> Response[MailTaken]:
        """The body is the mail as it came (RFC 5322), of up to 25 MiB; `to` is its envelope's recipient. 200
        only once all that it reports is durable; what is nothing of ours is answered and ignored."""
        return Response(await desk.receive(await request.body(), to or [], key.tenant), status_code=200)

    return [take]
