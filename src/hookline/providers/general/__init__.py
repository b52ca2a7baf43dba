"""General sources: whoever can call a webhook, told by the way it signs. One module for each, listed once, here."""

from __future__ import annotations

from hookline.providers.general import (
    cloudevents,
    github,
    shopify,
    signed,
    slack,
    standard,
    stripe,
    twilio,
    unsigned,
)
from hookline.providers.provider import Provider

GENERAL: tuple[Provider, ...] = (
    standard.PROVIDER,
    github.PROVIDER,
    stripe.PROVIDER,
    shopify.PROVIDER,
    slack.PROVIDER,
    twilio.PROVIDER,
    signed.PROVIDER,
    cloudevents.PROVIDER,
    unsigned.PROVIDER,
)
