"""`POST /v1/messages`: one mail, followed like any other."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody
from msgspec import Struct

from hookline.actions.email import labels_of
from hookline.api.auth import Caller
from hookline.api.campaigns import Campaigns
from hookline.api.errors import ApiError, bad_parameter, invalid
from hookline.mail.compose import FieldError
from hookline.mail.sender import filled, prepare_message
from hookline.model import Delivery, MessageInput
from hookline.rules.addresses import normalise, parse_address
from hookline.rules.ids import new_id
from hookline.rules.keys import digest
from hookline.services import Services
from hookline.storage.mails import KeyConflict

MAX_KEY = 255
MAX_METADATA = 50
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="The same key with the same mail, within 30 days, sends nothing again and gives the same id.",
    ),
]


class MessageAnswer(Struct, frozen=True, kw_only=True):
    """``id`` is the message's, and its delivery's; ``duplicate`` says that it came before."""

    id: str
    duplicate: bool


def routes(services: Services) -> list[HTTPRouteHandler]:
    book = Campaigns(services)

    @post(
        "/v1/messages",
        status_code=202,
        tags=["Messages"],
        operation_id="sendMessage",
        summary="Send one mail",
    )
    async def send(
        key: Caller, data: JSONBody[MessageInput], idempotency_key: IdempotencyKey = None
    ) -> MessageAnswer:
        """202 once it is durable; `GET /v1/deliveries/{id}` tells how it goes. 409 names what is missing, or says that
        the idempotency key came with another mail."""
        spec = await _filled(services, key.tenant, data)
        address = _check(spec)
        await book.mailer(key.tenant)
        now = services.clock.now()
        contact = await services.storage.contacts.by_email(key.tenant, address)
        delivery = Delivery(
            tenant=key.tenant,
            id=new_id("dlv"),
            lane=f"mail_{key.tenant}",
            kind="email",
            state="queued",
            next_at=now,
            contact=contact.id if contact else None,
            address=address,
            depth=1,
            created_at=now,
            updated_at=now,
        )
        labels = labels_of(data)
        try:
            stored = await services.storage.mails.put(
                delivery,
                spec,
                msgspec.json.encode(labels) if labels else None,
                None if idempotency_key is None else _hashes(idempotency_key, data),
            )
        except KeyConflict:
            raise ApiError(409, "this Idempotency-Key came before, with another mail") from None
        services.dispatcher.wake()
        return MessageAnswer(id=stored, duplicate=stored != delivery.id)

    return [send]


async def _filled(services: Services, tenant: str, spec: MessageInput) -> MessageInput:
    """The mail with the texts that its template has now. ApiError 422 for one that has no subject then."""
    if spec.template is not None:
        template = await services.storage.templates.get(tenant, spec.template)
        if template is None:
            raise invalid("/template", f"there is no template {spec.template!r}")
        spec = filled(spec, template)
    if not spec.subject:
        raise invalid("/subject", "a mail needs a subject, or a template that has one")
    return spec


def _check(spec: MessageInput) -> str:
    """The address that it goes to. ApiError 422, naming the field, for a mail that could not be sent."""
    if len(spec.metadata) > MAX_METADATA:
        raise invalid("/metadata", f"at most {MAX_METADATA} entries")
    try:
        address = normalise(parse_address(spec.to)[1])
    except ValueError as error:
        raise invalid("/to", str(error)) from None
    try:
        prepare_message(spec)
    except FieldError as error:
        raise invalid(f"/{error.field}", error.detail) from None
    return address


def _hashes(key: str, spec: MessageInput) -> tuple[bytes, bytes]:
    if not 0 < len(key) <= MAX_KEY:
        raise bad_parameter("Idempotency-Key", f"a key has 1 to {MAX_KEY} characters")
    return digest(f"POST /v1/messages\n{key}"), hashlib.sha256(
        msgspec.json.encode(spec, order="sorted")
    ).digest()
