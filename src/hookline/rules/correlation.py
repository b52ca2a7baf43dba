"""How a mail is marked so that a provider's webhook names it: by the header that the provider reads.

Each provider hands back what its own header brought, and none reads another's, so a mail bears that of the
relay that it goes to and no other. The headers and their forms are those of the providers' SMTP guides. The
shortest limits are Postmark's (names of 20 characters, values of 80) and Amazon's (letters, digits, ``_``, ``-``).
"""

from __future__ import annotations

import json

KEY = "hookline"
"""The name of our message id among a provider's custom arguments, metadata, variables or tags."""

# The ends of the names of the providers' relays, behind a dot.
_RELAYS = {
    "mailjet.com": "mailjet",
    "sendgrid.net": "sendgrid",
    "postmarkapp.com": "postmark",
    "mtasv.net": "postmark",
    "mailgun.org": "mailgun",
    "brevo.com": "brevo",
    "sendinblue.com": "brevo",
    "resend.com": "resend",
    "sparkpostmail.com": "sparkpost",
    "sparkpostelite.com": "sparkpost",
    "mandrillapp.com": "mandrill",
    "mailersend.net": "mailersend",
    "mailersend.com": "mailersend",
    "mailtrap.io": "mailtrap",
}
_AMAZON = ("email-smtp.", "email-smtp-fips.")

# What a domain's SPF record includes so that they may send its mail, as their set-up guides say.
SENDERS = {
    "mailjet": "spf.mailjet.com",
    "sendgrid": "sendgrid.net",
    "ses": "amazonses.com",
    "postmark": "spf.mtasv.net",
    "mailgun": "mailgun.org",
    "brevo": "spf.brevo.com",
    "resend": "amazonses.com",
    "sparkpost": "_spf.sparkpostmail.com",
    "mandrill": "spf.mandrillapp.com",
    "mailersend": "_spf.mailersend.net",
    "mailtrap": "_spf.smtp.mailtrap.live",
}

# Of Resend, MailerSend and Postal the Message-ID or a header of ours is all that may come back.
RELAYS = tuple(dict.fromkeys((*_RELAYS.values(), "ses", "postal")))


def relay_of(host: str, named: str = "") -> str:
    """The provider whose relay this host is, "" for a server that is nobody's.

    ``named`` is what the user says where the host's name does not tell; ValueError for one that is not known.
    """
    if named:
        if named not in RELAYS:
            raise ValueError(
                f"the SMTP URL names an unknown provider {named[:50]!r}; there are {', '.join(RELAYS)}"
            )
        return named
    host = host.lower().rstrip(".")
    if host.startswith(_AMAZON) and host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return "ses"
    return next((provider for end, provider in _RELAYS.items() if host.endswith("." + end)), "")


def headers(relay: str, message: str) -> list[tuple[str, str]]:
    """The headers by which this provider gives the message's id back; none for another."""
    mark = {KEY: message}
    match relay:
        case "mailjet":
            return [("X-MJ-CustomID", message)]
        case "sendgrid":
            return [("X-SMTPAPI", json.dumps({"unique_args": mark}))]
        case "ses":
            return [("X-SES-MESSAGE-TAGS", f"{KEY}={message}")]
        case "postmark":
            return [(f"X-PM-Metadata-{KEY}", message)]
        case "mailgun":
            return [("X-Mailgun-Variables", json.dumps(mark))]
        case "brevo":
            return [("X-Mailin-custom", f"{KEY}:{message}")]
        case "sparkpost":
            return [("X-MSYS-API", json.dumps({"metadata": mark}))]
        case "mandrill":
            return [("X-MC-Metadata", json.dumps(mark))]
        case "mailtrap":
            return [("X-MT-Custom-Variables", json.dumps(mark))]
    return []
