"""Webhooks that come in, of email providers and of others (``general``): one module for each, listed once, here.

Pure: no clock, no look-ups, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping

from hookline.providers import (
    brevo,
    mailersend,
    mailgun,
    mailjet,
    mailtrap,
    mandrill,
    postal,
    postmark,
    resend,
    sendgrid,
    ses,
    sparkpost,
)
from hookline.providers.general import GENERAL
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import NotSigned, Provider, Reply

__all__ = ["BY_NAME", "PROVIDERS", "Incoming", "NotSigned", "ParsedEvent", "Provider", "Reply"]

PROVIDERS: tuple[Provider, ...] = (
    mailjet.PROVIDER,
    sendgrid.PROVIDER,
    ses.PROVIDER,
    postmark.PROVIDER,
    mailgun.PROVIDER,
    brevo.PROVIDER,
    resend.PROVIDER,
    sparkpost.PROVIDER,
    mandrill.PROVIDER,
    postal.PROVIDER,
    mailersend.PROVIDER,
    mailtrap.PROVIDER,
    *GENERAL,
)
BY_NAME: Mapping[str, Provider] = {provider.name: provider for provider in PROVIDERS}
