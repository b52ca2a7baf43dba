"""What a user of Hookline sets up once, through its public API: contacts, a campaign, hooks."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Struct

from hookline.cli.demo.cast import CAST
from hookline.cli.demo.stage import Stage
from hookline.cli.demo.town import ACCOUNT, NUMBER, SLACK_PATH, TOKEN

SUBJECT = "Spring is here, {{ contact.attributes.first_name }}"
PROMO_SUBJECT = "Thank you, {{ contact.attributes.first_name }}"
PROMO_CODE = "EARLY-15"
SHOP_URL = "https://shop.example/spring"
LINK = "See the spring collection"
PROVIDER_LOGIN = ("mailjet", "a-password-of-the-provider")
SEVEN = {
    "email.sent": "sent",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.bounced": "bounce",
    "email.blocked": "blocked",
    "email.complained": "spam",
    "email.unsubscribed": "unsubscribed",
}
HTML = f"""\
<html><body>
<h1>Spring is here, {{{{ contact.attributes.first_name }}}}</h1>
<p>Linen, light colours and longer days: the new collection has arrived.</p>
<p><a href="{SHOP_URL}">{LINK}</a></p>
</body></html>
"""
TEXT = f"Spring is here, {{{{ contact.attributes.first_name }}}}.\n\n{LINK}: {SHOP_URL}\n"


class Scenery(Struct, frozen=True):
    """``hooks`` are the hooks' ids by what the demo calls them; ``provider_url`` is where spam is reported."""

    campaign: str
    hooks: dict[str, str]
    provider_url: str


async def set_up(stage: Stage) -> Scenery:
    api, town = stage.api, stage.town
    readers = await api.post("/v1/lists", {"name": "Readers"})
    for reader in CAST:
        attributes: dict[str, Any] = {"first_name": reader.name}
        if reader.balance is not None:
            attributes["balance"] = msgspec.Raw(reader.balance.encode())  # exactly as it is written
        contact = {"email": reader.email, "attributes": attributes, "lists": [readers["id"]]}
        await api.post("/v1/contacts", contact | ({"phone": reader.phone} if reader.phone else {}))
        if reader.fate == "suppressed":
            await api.post("/v1/suppressions", {"address": reader.email})
    campaign = await api.post(
        "/v1/campaigns",
        {
            "name": "Spring collection",
            "list": readers["id"],
            "from": "The Shop <shop@example.com>",
            "subject": SUBJECT,
            "html": HTML,
            "text": TEXT,
        },
    )
    name, password = PROVIDER_LOGIN
    source = await api.post(
        "/v1/sources",
        {"kind": "mailjet", "name": "Mail provider", "credentials": {"username": name, "password": password}},
    )
    gateway = await api.post(
        "/v1/connections",
        {
            "name": "SMS gateway",
            "kind": "twilio",
            "base_url": f"{stage.town_url}/sms",
            "credentials": {"account_sid": ACCOUNT, "auth_token": TOKEN, "from": NUMBER},
        },
    )
    made = {
        label: await api.post("/v1/hooks", hook)
        for label, hook in _hooks(stage.town_url, campaign["id"], gateway["id"]).items()
    }
    town.shop.secret, town.warehouse.secret = made["shop"]["secret"], made["warehouse"]["secret"]
    return Scenery(campaign["id"], {label: hook["id"] for label, hook in made.items()}, source["url"])


def _hooks(town: str, campaign: str, gateway: str) -> dict[str, dict[str, Any]]:
    """The hooks by what the demo calls them, in the order in which their work is shown."""
    return {
        "shop": {
            "name": "tell the shop everything",
            "on": list(SEVEN),
            "do": {"kind": "webhook", "url": f"{town}/shop/hooks"},
        },
        "warehouse": {
            "name": "tell the warehouse that the campaign is out",
            "on": ["campaign.finished"],
            "do": {"kind": "webhook", "url": f"{town}/warehouse/hooks"},
        },
        "Slack": {
            "name": "alerts for the team",
            "on": ["email.bounced", "email.complained"],
            "do": {"kind": "slack", "url": town + SLACK_PATH},
        },
        "promo": {
            "name": "promo for early readers",
            "on": ["email.opened", "email.clicked"],
            "if": f"message.campaign == {json.dumps(campaign)}"
            " && event.time - message.sent_at <= duration('24h') && !event.data.machine",
            "limit": {"count": 1, "per": "contact", "within": "forever"},
            "do": {
                "kind": "email",
                "to": "{{ event.subject }}",
                "from": "The Shop <shop@example.com>",
                "subject": PROMO_SUBJECT,
                "html": f"<p>You were quick. 15 % off with this code: <b>{PROMO_CODE}</b></p>"
                f'<p><a href="{SHOP_URL}">{LINK}</a></p>',
            },
        },
        "balance": {
            "name": "book the withdrawal",
            "on": ["bank.withdrawal"],
            "do": {
                "kind": "contact",
                "require": "contact.attributes.balance >= event.data.amount",
                "set": {"balance": "contact.attributes.balance - event.data.amount"},
            },
        },
        "SMS": {
            "name": "tell the customer",
            "on": ["contact.updated"],
            "if": "event.data.changed.balance != null",
            "do": {
                "kind": "sms",
                "connection": gateway,
                "to": "{{ contact.phone }}",
                "text": "{{ contact.attributes.first_name }}, you withdrew {{ cause.data.amount | money }} €"
                " at {{ cause.data.place }}. Your balance is {{ event.data.changed.balance.to | money }} €.",
            },
        },
    }
