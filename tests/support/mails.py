"""Mails as servers and people send them back. Written here after the servers' own wording; nobody's are copied.

``{rcpt}`` is whom our mail was for, ``{to}`` the address that it comes back to, ``{original}`` our mail.
"""

from __future__ import annotations

ORIGINAL = """\
Received: from mail.shop.example (mail.shop.example [192.0.2.1])
\tby mx.reader.example (Postfix) with ESMTPS id 4ABC; Mon, 4 May 2026 12:30:01 +0000 (UTC)
From: Shop <shop@shop.example>
To: {rcpt}
Subject: News of spring
Date: Mon, 04 May 2026 12:30:00 +0000
Message-ID: <{message}@shop.example>
X-Hookline-Message: {message}
MIME-Version: 1.0
Content-Type: text/plain; charset="utf-8"

Hello, if you have trouble reading this, your mailbox is full of spam and user unknown.
"""

HEAD = """\
From: {sender}
To: {{to}}
Subject: {subject}
Date: Mon, 4 May 2026 12:31:07 +0000
Message-ID: <20260504123107.4ABC@mx.reader.example>
"""
DAEMON = "Mail Delivery System <MAILER-DAEMON@mx.reader.example>"


def head(subject: str, sender: str = DAEMON) -> str:
    return HEAD.format(sender=sender, subject=subject)


def plain(subject: str, body: str, sender: str = DAEMON, extra: str = "") -> str:
    return f"{head(subject, sender)}{extra}\n{body}"


def report(
    notice: str,
    status: str,
    subject: str = "Undelivered Mail Returned to Sender",
    *,
    kind: str = "message/delivery-status",
    original: str = "message/rfc822",
) -> str:
    """multipart/report, as RFC 3464 has it."""
    return (
        f"{head(subject)}Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_b/1"\n\n'
        f"This is a MIME-encapsulated message.\n\n--=_b/1\nContent-Type: text/plain; charset=us-ascii\n\n{notice}\n"
        f"--=_b/1\nContent-Type: {kind}\n\n{status}\n--=_b/1\nContent-Type: {original}\n\n{{original}}\n--=_b/1--\n"
    )


POSTFIX = report(
    """This is the mail system at host mx.reader.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<{rcpt}>: host mx2.reader.example[192.0.2.7] said: 550 5.1.1
    <{rcpt}>: Recipient address rejected: User unknown in virtual
    mailbox table (in reply to RCPT TO command)
""",
    """Reporting-MTA: dns; mx.reader.example
X-Postfix-Queue-ID: 4ABC
X-Postfix-Sender: rfc822; {to}
Arrival-Date: Mon,  4 May 2026 12:30:01 +0000 (UTC)

Final-Recipient: rfc822; {rcpt}
Original-Recipient: rfc822;{rcpt}
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx2.reader.example
Diagnostic-Code: smtp; 550 5.1.1 <{rcpt}>: Recipient address rejected: User
    unknown in virtual mailbox table
""",
)
FULL = report(
    "Delivery failed.",
    """Reporting-MTA: dns; mx.reader.example

Final-Recipient: rfc822; {rcpt}
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 <{rcpt}>: over quota
""",
)
DELAY = report(
    "THIS IS A WARNING ONLY. YOU DO NOT NEED TO RESEND YOUR MESSAGE.",
    """Reporting-MTA: dns; mx.reader.example

Final-Recipient: rfc822; {rcpt}
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to mx2.reader.example[192.0.2.7]:25:
    Connection timed out
Will-Retry-Until: Sat,  9 May 2026 12:30:01 +0000 (UTC)
""",
    "Delayed Mail (still being retried)",
)
DELIVERED = report(
    "Your message was successfully delivered.",
    """Reporting-MTA: dns; mx.reader.example

Final-Recipient: rfc822; {rcpt}
Action: delivered
Status: 2.0.0
""",
    "Successful Mail Delivery Report",
)
RELAYED = DELIVERED.replace("Action: delivered", "Action: relayed")
QMAIL = plain(
    "failure notice",
    """Hi. This is the qmail-send program at mx.reader.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{rcpt}>:
192.0.2.7 does not like recipient.
Remote host said: 550 sorry, no mailbox here by that name (#5.7.17)
Giving up on 192.0.2.7.

--- Below this line is a copy of the message.

Return-Path: <{to}>
{original}""",
    "MAILER-DAEMON@mx.reader.example",
)
EXIM = plain(
    "Mail delivery failed: returning message to sender",
    """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {rcpt}
    host mx2.reader.example [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<{rcpt}>:
    550 5.7.1 Message rejected as spam by content filtering

------ This is a copy of the message, including all the headers. ------

Return-path: <{to}>
{original}""",
    extra="X-Failed-Recipients: {rcpt}\nAuto-Submitted: auto-replied\n",
)
SENDMAIL = plain(
    "Returned mail: see transcript for details",
    """The original message was received at Mon, 4 May 2026 12:30:01 GMT
from mail.shop.example [192.0.2.1]

   ----- The following addresses had permanent fatal errors -----
<{rcpt}>
    (reason: 550 5.1.2 <{rcpt}>... Host unknown)

   ----- Transcript of session follows -----
550 5.1.2 <{rcpt}>... Host unknown (Name server: reader.example: host not found)

   ----- Original message follows -----

{original}""",
    "Mail Delivery Subsystem <MAILER-DAEMON@mx.reader.example>",
)
POSTFIX_TEXT = plain(
    "Undelivered Mail Returned to Sender",
    """This is the Postfix program at host mx.reader.example.

I'm sorry to have to inform you that your message could not be
delivered to one or more recipients. It's attached below.

For further assistance, please send mail to <postmaster>

                        The Postfix program

<{rcpt}>: Name service error for name=reader.example type=A: Host not found

{original}""",
)
EXCHANGE = plain(
    "Undeliverable: News of spring",
    """Delivery has failed to these recipients or groups:

Ada Reader ({rcpt})
The recipient's mailbox is full and can't accept messages now. Please try resending your message later, or contact
the recipient directly.

Diagnostic information for administrators:

Generating server: EX01.reader.example

{rcpt}
Remote Server returned '554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException'

Original message headers:

{original}""",
    "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@reader.example>",
)
EXCHANGE_GERMAN = plain(
    "=?utf-8?q?Unzustellbar=3A_News_of_spring?=",
    """Fehler bei der Nachrichtenzustellung an folgende Empf=C3=A4nger oder Gruppen:

{rcpt}
Die eingegebene E-Mail-Adresse konnte nicht gefunden werden. =C3=9Cberpr=C3=BCfen Sie die E-Mail-Adresse des
Empf=C3=A4ngers.

Diagnoseinformationen f=C3=BCr Administratoren:

Generierender Server: EX01.reader.example

{rcpt}
#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##

Urspr=C3=BCngliche Nachrichtenkopfzeilen:

{original}""",
    "postmaster@reader.example",
    'MIME-Version: 1.0\nContent-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n',
)
EXCHANGE_FRENCH_HTML = plain(
    "Non remis : News of spring",
    """<html><head><style>p { color: red }</style></head><body>
<p><b>Échec de la remise à ces destinataires ou groupes :</b></p>
<p><a href="mailto:{rcpt}">{rcpt}</a><br>L'adresse de messagerie que vous avez entrée est introuvable.</p>
<p>Informations de diagnostic pour les administrateurs :</p>
<p>Serveur de génération : EX01.reader.example</p>
<p>{rcpt}<br>Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address
lookup'</p>
<p>En-têtes de message d'origine :</p><pre>{original}</pre></body></html>""",
    "Microsoft Outlook <postmaster@reader.example>",
    'MIME-Version: 1.0\nContent-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n',
)
GMAIL = plain(
    "Delivery Status Notification (Failure)",
    """Delivery to the following recipient failed permanently:

     {rcpt}

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server for the recipient domain
reader.example by mx2.reader.example. [192.0.2.7].

The error that the other server returned was:
550 5.7.1 Message rejected due to local policy

----- Original message -----

{original}""",
    "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
    "X-Failed-Recipients: {rcpt}\n",
)
YAHOO = plain(
    "Failure Notice",
    """Sorry, we were unable to deliver your message to the following address.

<{rcpt}>:
554: delivery error: dd This user doesn't have a reader.example account ({rcpt}) [0] - mta1005.mail.reader.example

--- Below this line is a copy of the message.

{original}""",
    "MAILER-DAEMON@mta1005.mail.reader.example",
)
DOMINO = plain(
    "DELIVERY FAILURE: User ada (ada@reader.example) not listed in Domino Directory",
    """Your message

  Subject: News of spring

was not delivered to:

  {rcpt}

because:

  User ada ({rcpt}) not listed in Domino Directory
""",
    "Postmaster@reader.example",
)
GROUPWISE = plain(
    "Message status - undeliverable",
    """The message that you sent was undeliverable to the following:
        {rcpt} (user not found)

Possibly truncated original message follows:

{original}""",
    "Mail System Administrator <Postmaster.gw@reader.example>",
)
COURIER = plain(
    "NOTICE: mail delivery status.",
    """This is a delivery status notification from mx.reader.example,
running the Courier mail server, version 1.2.

The original message was received on Mon, 04 May 2026 12:30:01 +0000
from mail.shop.example (::ffff:192.0.2.1)

---------------------------------------------------------------------------

                           UNDELIVERABLE MAIL

Your message to the following recipients cannot be delivered:

<{rcpt}>:
    mx2.reader.example [192.0.2.7]:
>>> RCPT TO:<{rcpt}>
<<< 550 User account suspended.

---------------------------------------------------------------------------
""",
    '"Courier mail server at mx.reader.example" <postmaster@mx.reader.example>',
)
TEXT_DELAY = plain(
    "Warning: message 1kABC-0001 delayed 24 hours",
    """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.reader.example.

The address to which the message has not yet been delivered is:

  {rcpt}
    Delay reason: Connection timed out

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered.
""",
)
MISLABELLED = POSTFIX.replace("multipart/report; report-type=delivery-status;", "multipart/mixed;").replace(
    "message/delivery-status", "text/plain"
)
ONLY_STATUS = plain(
    "Undeliverable",
    """Reporting-MTA: dns; mx.reader.example

Final-Recipient: rfc822; {rcpt}
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 550 No such user here
""",
    extra="Content-Type: message/delivery-status\n",
)
WITHOUT_BREAKS = report(
    "Failed.",
    """Reporting-MTA: dns; mx.reader.example
Final-Recipient: RFC822; <{rcpt}>
Action: failed
Status: 5.1.1 (bad destination mailbox address)
Final-Recipient: rfc822; bob@reader.example
Action: failed (user is away)
Status: 5.2.1
Diagnostic-Code: smtp; 550 5.2.1 <bob@reader.example>: account is
disabled
""",
)
EXPIRED = report(
    "Gave up.",
    """Reporting-MTA: dns; mx.reader.example

Final-Recipient: rfc822; {rcpt}
Action: failed
Status: 4.4.7
Diagnostic-Code: smtp; 550 4.4.7 QUEUE.Expired; message expired
""",
)
WRAPPED = report(
    "Gave up.",
    """Reporting-MTA: dns; esa.reader.example

Final-Recipient: rfc822;{rcpt}
Action: failed
Status: 5.0.0 (permanent failure)
Remote-MTA: dns; [192.0.2.7]
Diagnostic-Code: smtp; 5.1.0 - Unknown address error 550-'5.7.1 Message blocked due to its reputation'
 (delivery attempts: 0)
""",
)
INTERNATIONAL = report(
    "Failed.",
    """Reporting-MTA: dns; mx.reader.example

Original-Recipient: utf-8;\\x{{C5}}sa@reader.example
Final-Recipient: utf-8;Åsa@reader.example
Action: failed
Status: 5.1.1
""",
    kind="message/global-delivery-status",
    original="message/global",
)
FEEDBACK = """\
From: <complaints@fbl.reader.example>
To: <fbl@in.shop.example>
Subject: FW: News of spring
Date: Mon, 4 May 2026 12:31:07 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for an email message received from IP 192.0.2.1.

--part
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <{to}>
{rcpt_field}Source-IP: 192.0.2.1

--part
Content-Type: message/rfc822

Return-Path: <{to}>
{original}
--part--
"""
NOT_SPAM = FEEDBACK.replace("Feedback-Type: abuse", "Feedback-Type: not-spam")
AUTH_FAILURE = FEEDBACK.replace("Feedback-Type: abuse", "Feedback-Type: auth-failure\nAuth-Failure: dmarc")
JMRP = """\
From: staff@hotmail.com
To: <fbl@in.shop.example>
Subject: complaint about message from 192.0.2.1
Date: Mon, 4 May 2026 12:31:07 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="part"

--part
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: {rcpt}
X-Store-Info: J++/JTCzmObr
{original}
--part--
"""
AWAY = """\
From: Ada Reader <{rcpt}>
To: {to}
Subject: Automatic reply: News of spring
Date: Mon, 4 May 2026 12:31:07 +0000
Return-Path: <>
Auto-Submitted: auto-replied
X-Auto-Response-Suppress: All

I could not be reached until Monday: my mailbox is full and mail cannot be delivered.
"""
AWAY_ITALIAN = """\
From: Ada Reader <{rcpt}>
To: {to}
Subject: =?utf-8?b?RnVvcmkgdWZmaWNpbzogTmV3cyBvZiBzcHJpbmc=?=
Date: Mon, 4 May 2026 12:31:07 +0000

Sono fuori ufficio.
"""
PERSON = """\
From: Ada Reader <{rcpt}>
To: {to}
Subject: Re: News of spring
Date: Mon, 4 May 2026 12:31:07 +0000

Thank you! Do you ship to Denmark?
"""
RECEIPT = """\
From: Ada Reader <{rcpt}>
To: {to}
Subject: Read: News of spring
Date: Mon, 4 May 2026 12:31:07 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="r"

--r
Content-Type: text/plain

Your message was read.
--r
Content-Type: message/disposition-notification

Final-Recipient: rfc822; {rcpt}
Disposition: manual-action/MDN-sent-manually; displayed
--r--
"""


def mail(
    template: str,
    *,
    to: str = "b-token@in.shop.example",
    rcpt: str = "ada@reader.example",
    message: str = "dlv_06a9cl0q8dt7v3e5g1m2n4p6r8",
    rcpt_field: str | None = None,
) -> bytes:
    """The mail as bytes, with CRLF as it comes over SMTP."""
    original = ORIGINAL.format(rcpt=rcpt, message=message)
    field = f"Original-Rcpt-To: {rcpt}\n" if rcpt_field is None else rcpt_field
    text = template.replace("p {{ color", "p { color").replace("p { color: red }", "")
    text = text.format(to=to, rcpt=rcpt, original=original, rcpt_field=field)
    return text.replace("\n", "\r\n").encode()
