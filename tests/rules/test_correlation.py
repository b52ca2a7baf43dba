"""The mark by which a provider's webhook names our mail."""

from __future__ import annotations

import json

import pytest

from hookline.rules.correlation import KEY, RELAYS, headers, relay_of
from hookline.rules.ids import new_id


@pytest.mark.parametrize(
    ("host", "relay"),
    [
        ("in-v3.mailjet.com", "mailjet"),
        ("SMTP.SendGrid.net.", "sendgrid"),
        ("smtp.eu.sendgrid.net", "sendgrid"),
        ("email-smtp.eu-west-1.amazonaws.com", "ses"),
        ("email-smtp-fips.us-east-1.amazonaws.com", "ses"),
        ("email-smtp.cn-north-1.amazonaws.com.cn", "ses"),
        ("smtp-broadcasts.postmarkapp.com", "postmark"),
        ("smtp.eu.mailgun.org", "mailgun"),
        ("smtp-relay.brevo.com", "brevo"),
        ("smtp-relay.sendinblue.com", "brevo"),
        ("smtp.resend.com", "resend"),
        ("smtp.eu.sparkpostmail.com", "sparkpost"),
        ("smtp.mandrillapp.com", "mandrill"),
        ("smtp.mailersend.net", "mailersend"),
        ("bulk.smtp.mailtrap.io", "mailtrap"),
        ("smtp.example.com", ""),
        ("127.0.0.1", ""),
        ("notsendgrid.net", ""),
        ("smtp.sendgrid.net.evil.example", ""),
        ("email-smtp.evil.example", ""),
        ("ec2.eu-west-1.amazonaws.com", ""),
    ],
)
def test_a_relay_is_known_by_its_host(host: str, relay: str) -> None:
    assert relay_of(host) == relay


def test_a_relay_behind_another_name_is_named() -> None:
    assert relay_of("127.0.0.1", "postal") == "postal"
    assert relay_of("in-v3.mailjet.com", "sendgrid") == "sendgrid"
    with pytest.raises(ValueError, match=r"an unknown provider 'pigeon'; there are mailjet, "):
        relay_of("smtp.example.com", "pigeon")


def test_each_provider_gets_its_own_header_and_no_other() -> None:
    message = new_id("dlv")
    found = {relay: dict(headers(relay, message)) for relay in RELAYS}
    assert found["mailjet"] == {"X-MJ-CustomID": message}
    assert json.loads(found["sendgrid"].pop("X-SMTPAPI")) == {"unique_args": {KEY: message}}
    assert found["ses"] == {"X-SES-MESSAGE-TAGS": f"hookline={message}"}
    assert found["postmark"] == {"X-PM-Metadata-hookline": message}
    assert json.loads(found["mailgun"].pop("X-Mailgun-Variables")) == {KEY: message}
    assert found["brevo"] == {"X-Mailin-custom": f"hookline:{message}"}
    assert json.loads(found["sparkpost"].pop("X-MSYS-API")) == {"metadata": {KEY: message}}
    assert json.loads(found["mandrill"].pop("X-MC-Metadata")) == {KEY: message}
    assert json.loads(found["mailtrap"].pop("X-MT-Custom-Variables")) == {KEY: message}
    for relay in (
        "sendgrid",
        "mailgun",
        "sparkpost",
        "mandrill",
        "mailtrap",
        "resend",
        "mailersend",
        "postal",
    ):
        assert found[relay] == {}
    assert headers("", message) == []
