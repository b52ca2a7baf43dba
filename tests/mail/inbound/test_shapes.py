"""Each shape in which mail comes back is read: what happened, to whom, why, and whether for good."""

from __future__ import annotations

import pytest

from hookline.mail.inbound.parse import parse
from support import mails
from support.mails import mail

ADA = "ada@reader.example"


@pytest.mark.parametrize(
    ("template", "what", "code", "enhanced"),
    [
        (mails.POSTFIX, ("bounced", "user_unknown", True), 550, "5.1.1"),
        (mails.FULL, ("bounced", "mailbox_full", False), 552, "5.2.2"),
        (mails.DELAY, ("deferred", "network", False), None, "4.4.1"),
        (mails.DELIVERED, ("delivered", "other", False), None, "2.0.0"),
        (mails.RELAYED, ("relayed", "other", False), None, "2.0.0"),
        (mails.QMAIL, ("bounced", "user_unknown", True), 550, "5.7.17"),
        (mails.EXIM, ("bounced", "spam", False), 550, "5.7.1"),
        (mails.SENDMAIL, ("bounced", "host_unknown", True), 550, "5.1.2"),
        (mails.POSTFIX_TEXT, ("bounced", "host_unknown", True), None, None),
        (mails.EXCHANGE, ("bounced", "mailbox_full", False), 554, "5.2.2"),
        (mails.EXCHANGE_GERMAN, ("bounced", "user_unknown", True), 550, "5.1.1"),
        (mails.EXCHANGE_FRENCH_HTML, ("bounced", "user_unknown", True), 550, "5.1.10"),
        (mails.GMAIL, ("bounced", "policy", False), 550, "5.7.1"),
        (mails.YAHOO, ("bounced", "user_unknown", True), 554, None),
        (mails.DOMINO, ("bounced", "user_unknown", True), None, None),
        (mails.GROUPWISE, ("bounced", "user_unknown", True), None, None),
        (mails.COURIER, ("bounced", "mailbox_inactive", False), 550, None),
        (mails.TEXT_DELAY, ("deferred", "network", False), None, None),
        (mails.MISLABELLED, ("bounced", "user_unknown", True), 550, "5.1.1"),
        (mails.ONLY_STATUS, ("bounced", "user_unknown", True), 550, "5.0.0"),
        (mails.EXPIRED, ("bounced", "expired", False), 550, "4.4.7"),
        (mails.WRAPPED, ("bounced", "blocked", False), 550, "5.7.1"),
    ],
)  # fmt: skip
def test_what_servers_report(
    template: str, what: tuple[str, str, bool], code: int | None, enhanced: str | None
) -> None:
    (report,) = parse(mail(template))
    assert (report.kind, report.reason, report.hard) == what, report
    assert (report.smtp_code, report.enhanced_code) == (code, enhanced), report
    assert report.recipients[0] == ADA
    assert report.time == 1_777_897_867_000_000
