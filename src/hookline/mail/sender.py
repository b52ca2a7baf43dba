"""One mail to one contact: checked against suppressions, rendered, handed to the SMTP server, told as events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from hookline.clock import Clock, Turns
from hookline.mail import compose
from hookline.mail.series import Series
from hookline.mail.servers import Servers
from hookline.model import (
    AttemptError,
    Campaign,
    CampaignInput,
    Delivery,
    EmailAction,
    EventDraft,
    MessageInput,
    Outcome,
    Template,
)
from hookline.net.smtp import BEFORE_MAIL, SmtpResult
from hookline.rules import correlation, dkim, mail_tokens, tokens
from hookline.rules.bounces import classify
from hookline.rules.effects import MAILER
from hookline.rules.templates import TemplateError
from hookline.rules.times import format_time
from hookline.storage import Storage
from hookline.storage.recipients import Recipient

SOURCE = MAILER
ALWAYS = frozenset({"hard_bounce", "complaint", "manual", "invalid"})
NO_SERVER = Outcome(
    result="retry",
    error="smtp_temporary",
    detail="no SMTP server is set: HOOKLINE_SMTP_URL or a connection of kind smtp names one",
)

CAMPAIGN_VARIABLES = frozenset({"contact", "campaign", "now"})
MESSAGE_VARIABLES = frozenset({"contact", "variables", "now"})
KEPT_TEXTS = 64


def prepare_campaign(spec: CampaignInput) -> compose.Prepared:
    """Parse and weave a campaign's texts. Raises compose.FieldError, which names the field."""
    return compose.prepare(
        subject=spec.subject,
        html=spec.html,
        text=spec.text,
        from_=spec.from_,
        reply_to=spec.reply_to,
        track_opens=spec.track.opens,
        track_clicks=spec.track.clicks,
        variables=CAMPAIGN_VARIABLES,
    )


def prepare_message(spec: MessageInput) -> compose.Prepared:
    """The same for a single mail."""
    return compose.prepare(
        subject=spec.subject,
        html=spec.html,
        text=spec.text,
        from_=spec.from_,
        reply_to=spec.reply_to,
        track_opens=spec.track.opens,
        track_clicks=spec.track.clicks,
        variables=MESSAGE_VARIABLES,
    )


Texts = TypeVar("Texts", CampaignInput, EmailAction, MessageInput)


def filled(texts: Texts, template: Template) -> Texts:
    """What a campaign or an action says, and what it does not say of its subject and bodies from a template."""
    bodies = texts if texts.html or texts.text else template
    return msgspec.structs.replace(
        texts, subject=texts.subject or template.subject, html=bodies.html, text=bodies.text
    )


class Letter(Struct, frozen=True, kw_only=True):
    """What is to be sent, and to whom. ``list`` is "" for a mail that belongs to no list; ``labels`` are the tags and
    the metadata that come back in its events, ``recipient`` is what is known of whom it goes to, where that was read
    already. ``name`` is the recipient's, for the header."""

    prepared: compose.Prepared | Series
    variables: Mapping[str, Any]
    address: str
    name: str = ""
    stream: Literal["bulk", "transactional"] = "bulk"
    list: str = ""
    labels: Mapping[str, Any] = {}
    recipient: Recipient | None = None


class Mailer:
    """Sends letters. ``wall`` is real time, for the Date header; ``clock`` says when an event happened;
    ``bounce_domain`` is where answers to a mail come to, each to an address of its own, "" for the sender's;
    ``signers`` sign for the domains that there are keys of."""

    def __init__(
        self,
        servers: Servers,
        storage: Storage,
        public_url: str,
        token_key: bytes,
        *,
        bounce_domain: str = "",
        signers: Sequence[dkim.Signer] = (),
        clock: Clock,
        wall: Callable[[], float],
    ) -> None:
        self.servers = servers
        self._storage = storage
        self._base = public_url.rstrip("/")
        self._key = token_key
        self._signers = signers
        self._domain = bounce_domain.lower()
        self._clock = clock
        self._wall = wall
        self.turns = Turns()
        self._series: dict[str, Series] = {}
        self._campaigns: dict[tuple[str, str], Campaign] = {}

    async def campaign(self, tenant: str, name: str) -> Campaign | None:
        """A campaign of which mails go out, read once: it does not change any more."""
        found = self._campaigns.get((tenant, name))
        if found is None:
            found = await self._storage.campaigns.get(tenant, name)
            if len(self._campaigns) >= KEPT_TEXTS:
                self._campaigns.clear()
            if found is not None:
                self._campaigns[tenant, name] = found
        return found

    def series(self, campaign: Campaign) -> Series:
        """The campaign's texts, parsed and woven once; a campaign under way does not change."""
        return self.kept(campaign.id, lambda: prepare_campaign(campaign.spec))

    def kept(self, name: str, make: Callable[[], compose.Prepared]) -> Series:
        """What ``make`` gave when it was first asked for under this name, which says all that it is made of."""
        found = self._series.get(name)
        if found is None:
            if len(self._series) >= KEPT_TEXTS:
                self._series.clear()
            found = self._series[name] = Series(make())
        return found

    def confirm_url(self, token: tokens.ConfirmToken) -> str:
        """Where a reader confirms that he wants to be on a list."""
        return f"{self._base}/t/s/{tokens.make_confirm(self._key, token)}"

    async def send(self, delivery: Delivery, letter: Letter) -> Outcome:
        """Try once. Refusals, bounces and bad templates are outcomes with their events."""
        relays = await self.servers.of(delivery.tenant)
        if relays is None:
            return NO_SERVER
        recipient = letter.recipient or await self._storage.recipients.get(
            delivery.tenant, letter.address, delivery.contact, letter.list
        )
        reason = _suppressed(letter, recipient)
        if reason is not None:
            event = self._event(delivery, letter, "email.blocked", {"reason": reason})
            detail = f"{letter.address} is not mailed: {reason}"
            return Outcome(result="permanent", error="suppressed", detail=detail, follow_ups=(event,))
        try:
            await self.turns.mine()
            sent = await relays.send(lambda relay: self.compose(delivery, letter, relay), letter.address)
        except (TemplateError, ValueError) as error:  # or an address that no server could be asked about
            return Outcome(result="permanent", error="template", detail=str(error))
        result = sent.result
        asked = {"from": sent.sender, "to": letter.address, "bytes": sent.size, "server": sent.place + 1}
        if sent.connection:
            asked["connection"] = sent.connection
        told = {
            "code": result.code,
            "enhanced": result.enhanced,
            "text": result.detail,
            "stage": result.stage,
        }
        return msgspec.structs.replace(
            self._judge(delivery, letter, result),
            request=msgspec.json.encode(asked),
            response=msgspec.json.encode(told),
        )

    def compose(self, delivery: Delivery, letter: Letter, relay: str = "") -> tuple[str, bytes]:
        """The envelope's sender and the whole message, for this provider's relay. Raises TemplateError."""
        links = _Links(self._base, self._key, delivery, letter.list)
        leave = links.unsubscribe_url if letter.stream == "bulk" else None
        variables = {**letter.variables, "unsubscribe_url": links.unsubscribe_url}
        rendered = letter.prepared.render(variables, links, footer_url=leave)
        headers = [
            ("X-Hookline-Message", delivery.id),
            *correlation.headers(relay, delivery.id),
        ]
        if delivery.campaign is not None:
            headers.append(("Feedback-ID", f"{delivery.campaign}:{delivery.tenant}:hookline"))
        raw = compose.build(
            rendered,
            to=(letter.name, letter.address),
            message_id=delivery.id,
            date=_date(int(self._wall())),
            list_unsubscribe_url=leave,
            list_unsubscribe_address=self._answers_to("u", delivery) if leave else None,
            extra=headers,
        )
        signer = dkim.signer_for(self._signers, rendered.sender)
        if signer is not None:
            raw = signer.sign(raw, int(self._wall()))
        return self._answers_to("b", delivery) or rendered.sender, raw

    def _answers_to(self, purpose: mail_tokens.Purpose, delivery: Delivery) -> str | None:
        """The address of our own that answers to this one mail come to, if there is a domain for it."""
        if not self._domain:
            return None
        local = mail_tokens.make_local(self._key, purpose, delivery.tenant, delivery.id)
        return f"{local}@{self._domain}" if local else None

    def _judge(self, delivery: Delivery, letter: Letter, result: SmtpResult) -> Outcome:
        if result.ok:
            answer = {"smtp_code": result.code, "enhanced_code": result.enhanced, "detail": result.detail}
            event = self._event(delivery, letter, "email.sent", answer)
            return Outcome(result="ok", status=result.code, detail=result.detail, follow_ups=(event,))
        if result.ambiguous:
            detail = (
                f"{result.detail}; whether the server took the mail is not known, so it is not sent again"
            )
            return Outcome(result="permanent", error="reset", detail=detail)
        error: AttemptError = "smtp_temporary" if result.temporary else "smtp_permanent"
        if result.stage in BEFORE_MAIL:  # the server's trouble, not this recipient's
            return Outcome(result="retry", error="smtp_temporary", status=result.code, detail=result.detail)
        reason, hard = classify(result.code, result.enhanced, result.detail, result.stage)
        facts = {
            "smtp_code": result.code,
            "enhanced_code": result.enhanced,
            "detail": result.detail,
            "reason": reason,
            "hard": hard and not result.temporary,
        }
        kind = "email.deferred" if result.temporary else "email.bounced"
        return Outcome(
            result="retry" if result.temporary else "permanent",
            error=error,
            status=result.code,
            detail=result.detail,
            follow_ups=(self._event(delivery, letter, kind, facts),),
        )

    def _event(
        self, delivery: Delivery, letter: Letter, kind: str, facts: Mapping[str, object]
    ) -> EventDraft:
        data = {
            "message": delivery.id,
            "campaign": delivery.campaign,
            "contact": delivery.contact,
            "email": letter.address,
            # A mail's time of sending is when its delivery was claimed: it is known before any open can come.
            "sent_at": format_time(delivery.updated_at),
            "list": letter.list or None,
            "provider": "smtp",
            **letter.labels,
            **facts,
        }
        return EventDraft(
            type=kind,
            source=SOURCE,
            subject=letter.address,
            data=msgspec.json.encode({name: value for name, value in data.items() if value is not None}),
            time=self._clock.now(),
            cause=delivery.id,
            cause_hook=delivery.hook,
            depth=delivery.depth,
        )


def _suppressed(letter: Letter, recipient: Recipient) -> str | None:
    """Why this address gets no such mail, or ``None``."""
    bulk = letter.stream == "bulk"
    for reason, listed in recipient.reasons:
        # A bulk mail that belongs to no list is stopped by having left any: it was not asked for.
        ours = not letter.list or listed in ("", letter.list)
        if reason in ALWAYS or (bulk and reason == "unsubscribe" and ours):
            return reason
    contact = recipient.contact
    left = contact is not None and "unsubscribed" in (contact.status, recipient.status)
    return "unsubscribe" if bulk and left else None


_date = lru_cache(4)(formatdate)  # whole seconds: many mails have the same


class _Links:
    """The tracking addresses of one message."""

    def __init__(self, base: str, key: bytes, delivery: Delivery, list_id: str) -> None:
        self._made = tokens.MessageTokens(key, delivery.tenant, delivery.id)
        self._clicks = f"{base}/t/c/"
        self.trap_url = f"{base}/t/h/{self._made.trap()}"
        self.open_url = f"{base}/t/o/{self._made.open()}"
        self.unsubscribe_url = f"{base}/t/u/{self._made.unsubscribe(list_id)}"

    def click(self, url: str, link: int) -> str:
        return self._clicks + self._made.click(url, link)
