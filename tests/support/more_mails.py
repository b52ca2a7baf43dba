"""More mails as servers send them back, each with what is to be read from it. Made here after the servers' own wording.

``{rcpt}``, ``{to}`` and ``{original}`` are as in ``mails``.
"""

# ruff: noqa: E501
from __future__ import annotations

from typing import NamedTuple

from support.mails import head, plain, report


class Case(NamedTuple):
    """A mail; what kind of report it is, why, whether for good, the reply code and the enhanced code."""

    raw: str
    kind: str
    reason: str
    hard: bool
    code: int | None
    enhanced: str | None


def dsn(
    status: str, diagnostic: str = "", *, notice: str = "The message was not delivered.", action: str = "failed",
    mta: str = "dns; mx.reader.example", subject: str = "Undeliverable: News of spring", more: str = "",
) -> str:  # fmt: skip
    """RFC 3464 with the fields in the order of most servers."""
    said = f"Diagnostic-Code: smtp; {diagnostic}\n" if diagnostic else ""
    return report(
        notice,
        f"Reporting-MTA: {mta}\n\nFinal-Recipient: rfc822;{{rcpt}}\nAction: {action}\nStatus: {status}\n{more}{said}",
        subject,
    )


OFFICE365 = dsn(
    "5.1.10",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {rcpt} not found by SMTP address lookup",
    mta="dns;DB9PR01MB0001.eurprd01.prod.exchangelabs.com",
    notice="{rcpt} wasn't found at reader.example.\nYour message couldn't be delivered.",
)
OFFICE365_SPANISH = dsn(
    "5.2.2",
    "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed"
    " to process message due to a permanent exception",
    notice="No se pudo entregar el mensaje a {rcpt} porque su buzón está lleno.",
    subject="No se puede entregar: News of spring",
)
OFFICE365_BLOCKED = dsn(
    "5.7.1", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal visit the portal"
)
OFFICE365_GROUP = dsn(
    "5.7.1",
    "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check"
    " failed because the sender was not authenticated when sending to this group",
)
OFFICE365_EXPIRED = dsn(
    "4.4.316",
    "550 5.4.316 Message expired, connection refused(Socket error code 10061)",
    notice="Delivery has failed to these recipients or groups:\n\n{rcpt}",
)
GOOGLE_UNKNOWN = dsn(
    "5.1.1",
    "550-5.1.1 The email account that you tried to reach does not exist. Please try\n 550-5.1.1 double-checking the"
    " recipient's email address for typos or\n 550 5.1.1 unnecessary spaces. c1si1 - gsmtp",
    mta="dns; googlemail.com",
    notice="** Address not found **\n\nYour message wasn't delivered to {rcpt} because the address couldn't be found.",
    subject="Delivery Status Notification (Failure)",
)
GOOGLE_FULL = dsn(
    "4.2.2",
    "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n 452 4.2.2 recipient to their"
    " settings. d2si2 - gsmtp",
    mta="dns; googlemail.com",
    action="delayed",
    notice="There was a temporary problem delivering your message to {rcpt}. It will be retried for 46 more hours.",
    subject="Delivery Status Notification (Delay)",
)
GOOGLE_RATE = dsn(
    "4.7.28", "421-4.7.28 Our system has detected an unusual rate of unsolicited mail", action="delayed"
)
GOOGLE_DISABLED = dsn(
    "5.2.1",
    "550-5.2.1 The email account that you tried to reach is disabled. Learn more at\n 550 5.2.1 the help",
)
YAHOO_GONE = plain(
    "Failure Notice",
    "Sorry, we were unable to deliver your message to the following address.\n\n<{rcpt}>:\n552: 1 Requested mail action"
    " aborted, mailbox not found\n\n---------- Forwarded message ----------\n{original}",
    sender="MAILER-DAEMON@yahoo.com",
)
YAHOO_DEFERRED = dsn("4.7.0", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume"
                     " or user complaints - 4.16.55.1", action="delayed")  # fmt: skip
ZOHO = plain(
    "Undelivered Mail Returned to Sender",
    "This message was created automatically by mail delivery software.\n A message that you sent could not be delivered"
    " to one or more of its recipients. This is a permanent error.\n\n{rcpt}, ERROR CODE :550 - Invalid Recipients:"
    " {rcpt}\n\n\nReceived:from mail.shop.example\n{original}",
    sender='"mailer-daemon" <mailer-daemon@mail.zoho.com>',
    extra="X-Failed-Recipients: {rcpt}\n",
)
WORKMAIL = dsn(
    "5.1.1",
    "550 5.1.1 The email account that you tried to reach does not exist.",
    mta="dns; a8-70.smtp-out.amazonses.com",
    notice="Technical report:\nAn error occurred while trying to deliver the mail to the following recipients:\n{rcpt}",
    subject="Delivery Status Notification (Failure)",
    more="Remote-MTA: dns; inbound-smtp.eu-west-1.amazonaws.com\n",
)
DOMINO_DSN = dsn(
    "5.0.0",
    "User {rcpt} (ada) not listed in Domino Directory",
    mta="dns; notes.reader.example",
    notice="Your message\n\n  Subject: News of spring\n\nwas not delivered to:\n\n  {rcpt}\n\nbecause:\n\n  User ada"
    " ({rcpt}) not listed in Domino Directory",
    subject="DELIVERY FAILURE: User ada ({{rcpt}}) not listed in Domino Directory",
).replace("{{rcpt}}", "{rcpt}")
MDAEMON = plain(
    "Permanent Delivery Failure",
    "The attached message had PERMANENT fatal delivery errors!\n\nAfter one or more unsuccessful delivery attempts the"
    " attached message has\nbeen removed from the mail queue on this server.\n\n--------------------\nFailed"
    " address: {rcpt}\n--------------------\n\n: Session Transcript:\n: Mon 2026-05-04 12:31:05: --> RCPT"
    " To:<{rcpt}>\n: Mon 2026-05-04 12:31:05: <-- 550 5.1.1 <{rcpt}>, Recipient unknown\n: End Transcript\n\n{original}",
    sender="MDaemon@mail.reader.example",
)
COURIER_FULL = dsn(
    "5.0.0",
    "550 Mailbox over quota",
    notice="This is a delivery status notification from courier.reader.example,\nrunning the Courier mail"
    " server.\n\nUNDELIVERABLE MAIL\n\nYour message to the following recipients cannot be delivered:\n\n<{rcpt}>:\n   "
    " mx.reader.example [192.0.2.9]:\n<<< 550 Mailbox over quota",
    subject="NOTICE: mail delivery status.",
)
OPENSMTPD = dsn(
    "5.1.1",
    notice="    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n    An error has occurred"
    " while attempting to deliver a message for\n    the following list of recipients:\n\n{rcpt}: 550 Invalid"
    " recipient\n\n    Below is a copy of the original message:",
    subject="Delivery status notification: error",
)
BARRACUDA = dsn(
    "5.7.1",
    "550 permanent failure for one or more recipients ({rcpt}:blocked)",
    notice="The following message to <{rcpt}> was undeliverable.\nThe reason for the problem:\n5.1.0 - Unknown address"
    " error 550-'permanent failure for one or more recipients ({rcpt}:blocked)'",
)
MIMECAST = plain(
    "[Postmaster] Email Delivery Failure",
    "This is a delivery failure notification message which indicates that an email you addressed to email"
    " address:\n-- {rcpt}\n\ncould not be delivered. The problem appears to be :\n-- Recipient email address is possibly"
    " incorrect\n\nAdditional information follows :\n-- 5.4.1 Recipient address rejected: Access denied. AS(201806281)\n\n"
    "This condition occurred after 1 attempt(s) to deliver over a period of 0 hour(s).\n\n{original}",
    sender="<postmaster@reader.example>",
)
IRONPORT = plain(
    "Delivery Status Notification (Failure)",
    "The following message to <{rcpt}> was undeliverable.\nThe reason for the problem:\n5.1.2 - Bad destination host"
    " 'DNS Hard Error looking up reader.example (MX):  NXDomain'\n\n{original}",
    sender='"Mail Delivery System" <MAILER-DAEMON@mx.reader.example>',
)
QMAIL_FULL = plain(
    "failure notice",
    "Hi. This is the qmail-send program at mx.reader.example.\nI'm afraid I wasn't able to deliver your message to the"
    " following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<{rcpt}>:\nUser is over"
    " the quota. You can try again later.\n\n--- Below this line is a copy of the message.\n\n{original}",
    sender="MAILER-DAEMON@mx.reader.example",
)
EXIM_DSN = dsn(
    "5.0.0",
    "550 Unrouteable address",
    notice="This message was created automatically by mail delivery software.\n\nA message that you sent could not be"
    " delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n "
    " {rcpt}\n    Unrouteable address",
    subject="Mail delivery failed: returning message to sender",
)
GREYLISTED = dsn(
    "4.2.0",
    "450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted, see http://postgrey.example/help",
    action="delayed",
)
SENDMAIL_DSN = dsn(
    "5.1.1",
    "550 5.1.1 <{rcpt}>... User unknown",
    mta="dns; sendmail.reader.example",
    notice="   ----- The following addresses had permanent fatal errors -----\n<{rcpt}>\n    (reason: 550 5.1.1 <{rcpt}>..."
    " User unknown)\n\n   ----- Transcript of session follows -----\n... while talking to mx.reader.example.:\n>>> DATA\n<<<"
    " 550 5.1.1 <{rcpt}>... User unknown\n550 5.1.1 <{rcpt}>... User unknown\n<<< 503 5.0.0 Need RCPT (recipient)",
    subject="Returned mail: see transcript for details",
)
HOP_COUNT = dsn("5.4.6", "554 5.4.6 Hop count exceeded - possible mail loop")
TOO_LARGE = dsn("5.3.4", "552 5.3.4 Message size exceeds fixed limit")
DMARC = dsn(
    "5.7.26",
    "550-5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy.",
)
MICROSOFT_515 = dsn(
    "5.7.515",
    "550 5.7.515 Access denied, sending domain SHOP.EXAMPLE doesn't meet the required authentication level",
)
PROOFPOINT = dsn("5.0.0", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using Spamhaus")
TENCENT = dsn("5.0.0", "550 Mailbox unavailable or access denied [MA 1] http://service.example/")
NO_BOUNDARY = OFFICE365.removesuffix("\n--=_b/1--\n")
EXTENDED_MAILBOX = dsn("5.2.1", "550 5.2.1 {rcpt} mailbox disabled, not accepting messages")

CASES: dict[str, Case] = {
    "Office 365, unknown": Case(OFFICE365, "bounced", "user_unknown", True, 550, "5.1.10"),
    "Office 365, full, Spanish": Case(OFFICE365_SPANISH, "bounced", "mailbox_full", False, 554, "5.2.2"),
    "Office 365, blocked": Case(OFFICE365_BLOCKED, "bounced", "blocked", False, 550, "5.7.606"),
    "Office 365, a group": Case(OFFICE365_GROUP, "bounced", "policy", False, 550, "5.7.133"),
    "Office 365, expired": Case(OFFICE365_EXPIRED, "bounced", "expired", False, 550, "5.4.316"),
    "Gmail, unknown": Case(GOOGLE_UNKNOWN, "bounced", "user_unknown", True, 550, "5.1.1"),
    "Gmail, full": Case(GOOGLE_FULL, "deferred", "mailbox_full", False, 452, "4.2.2"),
    "Gmail, rate": Case(GOOGLE_RATE, "deferred", "rate_limited", False, 421, "4.7.28"),
    "Gmail, disabled": Case(GOOGLE_DISABLED, "bounced", "mailbox_inactive", False, 550, "5.2.1"),
    "Yahoo, gone": Case(YAHOO_GONE, "bounced", "user_unknown", True, 552, None),
    "Yahoo, deferred": Case(YAHOO_DEFERRED, "deferred", "rate_limited", False, 421, "4.7.0"),
    "Zoho": Case(ZOHO, "bounced", "user_unknown", True, 550, None),
    "Amazon WorkMail": Case(WORKMAIL, "bounced", "user_unknown", True, 550, "5.1.1"),
    "Domino": Case(DOMINO_DSN, "bounced", "user_unknown", True, None, "5.0.0"),
    "MDaemon": Case(MDAEMON, "bounced", "user_unknown", True, 550, "5.1.1"),
    "Courier, full": Case(COURIER_FULL, "bounced", "mailbox_full", False, 550, "5.0.0"),
    "OpenSMTPD": Case(OPENSMTPD, "bounced", "user_unknown", True, 550, "5.1.1"),
    "Barracuda": Case(BARRACUDA, "bounced", "policy", False, 550, "5.7.1"),
    "Mimecast": Case(MIMECAST, "bounced", "user_unknown", True, None, "5.4.1"),
    "IronPort": Case(IRONPORT, "bounced", "host_unknown", True, None, "5.1.2"),
    "qmail, full": Case(QMAIL_FULL, "bounced", "mailbox_full", False, None, None),
    "Exim": Case(EXIM_DSN, "bounced", "user_unknown", True, 550, "5.0.0"),
    "greylisted": Case(GREYLISTED, "deferred", "greylisted", False, 450, "4.2.0"),
    "Sendmail": Case(SENDMAIL_DSN, "bounced", "user_unknown", True, 550, "5.1.1"),
    "a loop": Case(HOP_COUNT, "bounced", "system", False, 554, "5.4.6"),
    "too large": Case(TOO_LARGE, "bounced", "message_too_large", False, 552, "5.3.4"),
    "DMARC": Case(DMARC, "bounced", "auth_failure", False, 550, "5.7.26"),
    "Microsoft's rule": Case(MICROSOFT_515, "bounced", "auth_failure", False, 550, "5.7.515"),
    "Proofpoint": Case(PROOFPOINT, "bounced", "blocked", False, 554, "5.7.1"),
    "Tencent": Case(TENCENT, "bounced", "rate_limited", False, 550, "5.0.0"),
    "no closing boundary": Case(NO_BOUNDARY, "bounced", "user_unknown", True, 550, "5.1.10"),
    "a disabled mailbox": Case(EXTENDED_MAILBOX, "bounced", "mailbox_inactive", False, 550, "5.2.1"),
}

OLD: dict[str, Case] = {
    "IMail": Case(plain("Undeliverable Mail", "Unknown user: {rcpt}\n\nRCPT TO generated following response:\n552 Requested mail action aborted: exceeded storage allocation\n\nOriginal message follows.\n\n{original}", "Postmaster@mail.reader.example"), "bounced", "mailbox_full", False, 552, None),
    "Messaging Server": Case(plain("Delivery Notification: Delivery has failed", "This report relates to a message you sent with the following header fields:\n\n  From: Shop <shop@shop.example>\n  To: {rcpt}\n  Subject: News\n\nYour message cannot be delivered to the following recipients:\n\n  Recipient address: {rcpt}\n  Reason: Remote SMTP server has rejected address\n  Diagnostic code: smtp;550 5.1.1 <{rcpt}>... User Unknown\n  Remote system: dns;mx.reader.example (TCP|192.0.2.1|25)\n\n{original}", "Internet Mail Delivery <postmaster@mx.reader.example>"), "bounced", "user_unknown", True, 550, "5.1.1"),
    "MailMarshal": Case(plain('Undeliverable Mail: "News"', "Your message:\n   From:    shop@shop.example\n   Subject: News\n\nCould not be delivered because of\n\n550 5.1.1 User unknown\n\nThe following recipients were affected:\n    {rcpt}\n\nAdditional Information\n======\n{original}", "postmaster@reader.example"), "bounced", "user_unknown", True, 550, "5.1.1"),
    "1&1": Case(plain("Mail delivery failed: returning message to sender", "A message that you sent could not be delivered to one or more of\nits recipients. This is a permanent error. The following address\nfailed:\n\n{rcpt}:\nSMTP error from remote server for RCPT command, host: mx.reader.example (192.0.2.1) reason: 550 5.1.1 Recipient unknown\n\n--- The header of the original message is following. ---\n\n{original}"), "bounced", "user_unknown", True, 550, "5.1.1"),
    "DragonFly": Case(plain("Mail delivery failed", "This is the DragonFly Mail Agent v0.13 at shop.example.\n\nThere was an error delivering your mail to <{rcpt}>.\n\nmx.reader.example [192.0.2.1]:25 did not like our RCPT TO:\n552 Too much mail data\n\nOriginal message headers follow.\n\n{original}", "MAILER-DAEMON <>"), "bounced", "message_too_large", False, 552, None),
    "WebShield": Case(plain("Delivery Status", "Your mail for user (<{rcpt}>) was not delivered.\n--- The following addresses had delivery problems ---\n\n<{rcpt}>   (User unknown user@mx.reader.example)\n\n--------------Returned Mail Header--------\n{original}", "WebShield SMTP <postmaster@mx.reader.example>"), "bounced", "user_unknown", True, None, None),
    "a carrier": Case(plain("Undeliverable Message", "Error:\t\t550 Requested action not taken: mailbox unavailable (no such user)\nFrom:  shop@shop.example\nTo:  {rcpt}\nSubject:  News\n\n{original}", "post_master@carrier.example"), "bounced", "user_unknown", True, 550, None),
    "a mailbox full for weeks": Case(plain("Mail failure.", "A message that you sent could not be delivered to one or more of its recipients. This is a permanent error. The following address(es) failed:\n\n  {rcpt}\n    mailbox is full: retry timeout exceeded\n\n------ This is a copy of the message's headers. ------\n\n{original}", extra="X-Failed-Recipients: {rcpt}\n"), "bounced", "mailbox_full", False, None, None),
    "Exchange 2003": Case(plain("Undeliverable: News", "Your message\n\n  To:      {rcpt}\n  Subject: News\n\ndid not reach the following recipient(s):\n\n{rcpt} on Mon, 4 May 2026 12:31:07 +0200\n    The recipient name is not recognized\n\tThe MTS-ID of the original message is: c=dk;a= ;p=x\n    MSEXCH:IMS:READER:EXCHANGE 3902 (000B09B6) Unknown Recipient\n\n{original}", "System Administrator <postmaster@reader.example>"), "bounced", "user_unknown", True, None, None),
    "nothing but a field": Case(plain("Mail failure", "", extra="X-Failed-Recipients: {rcpt}\n"), "bounced", "other", False, None, None),
}  # fmt: skip
CASES |= OLD

AWAY: dict[str, str] = {
    "English": "Out of Office: News of spring",
    "Automatic reply": "Automatic reply: News of spring",
    "German": "Automatische Antwort: News of spring",
    "French": "Absence du bureau : News of spring",
    "Danish": "Autosvar: News of spring",
    "Polish": "Autoodpowiedź: News of spring",
    "Portuguese": "Resposta automática: News of spring",
    "Czech": "Automatická odpověď: News of spring",
    "Turkish": "Otomatik yanıt: News of spring",
    "Finnish": "Automaattinen vastaus: News of spring",
    "Hungarian": "Automatikus válasz: News of spring",
    "Norwegian": "Automatisk svar: News of spring",
    "Japanese": "自動返信: News of spring",
    "Korean": "자동 회신: News of spring",
}


def away(subject: str, extra: str = "") -> str:
    """What a person's program answers while he is away."""
    return f"{head(subject, 'Ada <ada@reader.example>')}{extra}\nBack on Monday. For what is urgent, ask bob@reader.example.\n"
