"""``hookline check --campaign``: which of the receivers' rules a campaign keeps, and what to do."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from email import message_from_bytes
from email.utils import parseaddr
from typing import TYPE_CHECKING

from hookline.cli.common import TENANT, Mistake
from hookline.model import Contact, Delivery
from hookline.rules.ids import new_id
from hookline.settings import Settings, dkim_keys

if TYPE_CHECKING:
    from hookline.rules.receivers import Mail
    from hookline.services import Services


async def check_campaign(settings: Settings, name: str, nameserver: str, address: str) -> int:
    """Print a line for each rule; 1 when one does not hold."""
    from msgspec.structs import replace

    from hookline.app import build
    from hookline.net.records import lookup
    from hookline.rules.receivers import findings

    try:
        seen_as = ipaddress.ip_address(address) if address else None
    except ValueError:
        raise Mistake(f"--address is an IP address, not {address!r}") from None
    app = await build(settings)
    try:
        mail = replace(await _mail(app.services, name), address=seen_as)
    finally:
        await app.stop()
    ask = functools.cache(lambda record, kind: lookup(record, kind, nameserver))
    found = await asyncio.to_thread(findings, mail, ask)
    for one in found:
        print(f"{one.verdict:<9} {one.rule:<25} {one.detail}".rstrip())
    return int(any(one.verdict == "does not" for one in found))


async def _mail(services: Services, name: str) -> Mail:
    """A campaign's mail to somebody, as its first relay would get it."""
    from hookline.actions.email import campaign_values
    from hookline.api.campaigns import Campaigns
    from hookline.api.errors import ApiError
    from hookline.mail.sender import Letter, prepare_campaign
    from hookline.rules.dkim import signer, signer_for
    from hookline.rules.receivers import Mail

    campaign = await services.storage.campaigns.get(TENANT, name)
    if campaign is None:
        raise Mistake(f"there is no campaign {name}")
    relays = await services.mailer.servers.of(TENANT)
    if relays is None:
        raise Mistake("no SMTP server is set: HOOKLINE_SMTP_URL or a connection of kind smtp names one")
    try:
        spec = await Campaigns(services).texts(TENANT, campaign.spec)
    except ApiError as error:
        raise Mistake(error.detail) from None
    reader = Contact(tenant=TENANT, id="ctc_x", email="reader@example.com", created_at=0, updated_at=0)
    delivery = Delivery(
        tenant=TENANT, id=new_id("dlv"), lane=name, kind="email", state="sending", campaign=name,
        created_at=0, updated_at=0,
    )  # fmt: skip
    letter = Letter(
        prepared=prepare_campaign(spec),
        variables=campaign_values(campaign, reader, services.clock.now()),
        address="reader@example.com",
        list=campaign.list,
    )
    path, raw = services.mailer.compose(delivery, letter, relays.hosts[0][1])
    sender = parseaddr(str(message_from_bytes(raw)["from"]))[1]
    return Mail(
        message=raw,
        sender=sender,
        path=path,
        signer=signer_for([signer(*key) for key in dkim_keys(services.settings)], sender),
        relays=relays.hosts,
    )
