"""What mail servers say, provider by provider, as their postmasters document it; addresses and names are ours."""

from __future__ import annotations

import pytest

from hookline.rules.bounces import Reason, classify

HARD = ("user_unknown", "host_unknown")
ANSWERS: list[tuple[str, str]] = [
    # Google
    ("550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the"
     " recipient's email address for typos or unnecessary spaces. - gsmtp", "user_unknown"),
    ("550 5.2.1 The email account that you tried to reach is inactive. - gsmtp", "mailbox_inactive"),
    ("552 5.2.2 The recipient's inbox is out of storage space and inactive. Please direct the recipient to"
     " https://support.example/mail", "mailbox_full"),
    ("452 4.2.2 The email account that you tried to reach is over quota.", "mailbox_full"),
    ("450 4.2.1 The user you are trying to contact is receiving mail too quickly.", "rate_limited"),
    ("550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional"
     " messages from being delivered.", "rate_limited"),
    ("421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP"
     " address.", "rate_limited"),
    ("550 5.7.26 This mail is unauthenticated, which poses a security risk to the sender.", "auth_failure"),
    ("550 5.7.1 This message violates shop.example email policy. - gcdp", "policy"),
    ("552 5.7.0 This message was blocked because its content presents a potential security issue.", "content"),
    ("552 5.3.4 Your message exceeded Google's message size limits.", "message_too_large"),
    ("550 5.7.1 The IP you're using to send mail is not authorized to send email directly to our servers.",
     "blocked"),
    # Microsoft
    ("550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", "user_unknown"),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@shop.example not found by SMTP address lookup",
     "user_unknown"),
    ("550 5.1.1 RESOLVER.ADR.ExRecipNotFound; not found", "user_unknown"),
    ("550 5.4.1 Recipient address rejected: Access denied. [AM5EUR03FT029.eop-EUR03.prod.example]",
     "user_unknown"),
    ("550 5.4.310 DNS domain shop.example does not exist [Message=InfoDomainNonexistent]", "host_unknown"),
    ("554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", "mailbox_full"),
    ("550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized", "policy"),
    ("550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction"
     " check failed because the sender was not authenticated when sending to this group", "policy"),
    ("550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service"
     " provider since part of their network is on our block list (S3150).", "blocked"),
    ("550 5.7.511 Access denied, banned sender[192.0.2.1].", "blocked"),
    ("550 5.7.515 Access denied, sending domain SHOP.EXAMPLE does not meet the required authentication"
     " level.", "auth_failure"),
    ("550 5.7.13 STOREDRV.Deliver.Exception:AccountDisabledException", "mailbox_inactive"),
    ("451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
     "rate_limited"),
    ("550 5.4.317 Message expired, cannot connect to remote server", "expired"),
    ("550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", "message_too_large"),
    # Yahoo, AOL
    ("554 delivery error: dd This user doesn't have a yahoo.com account (ada@yahoo.com) [-5]", "user_unknown"),
    ("554 delivery error: dd Requested mail action aborted - mta100.mail.yahoo.example", "other"),
    ("554 30 Sorry, your message to ada@yahoo.com cannot be delivered. This mailbox is disabled (554.30).",
     "mailbox_inactive"),
    ("552 1 Requested mail action aborted, mailbox not found", "user_unknown"),
    ("553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
     "blocked"),
    ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user"
     " complaints", "rate_limited"),
    # Apple
    ("550 5.1.1 <ada@icloud.com>: user does not exist", "user_unknown"),
    ("552 5.2.2 <ada@icloud.com>: user is over quota", "mailbox_full"),
    ("554 5.7.1 [HM08] Message rejected due to local policy.", "policy"),
    # Germany
    ("550 Requested action not taken: mailbox unavailable For explanation visit https://postmaster.example",
     "user_unknown"),
    ("554 Transaction failed Reject due to policy restrictions.", "policy"),
    ("550 Benutzer nicht bekannt/User unknown", "user_unknown"),
    ("550 Benutzer hat zuviele Mails auf dem Server. / User has too many messages on the server.", "mailbox_full"),
    ("550 Benutzer hat das Speichervolumen ueberschritten. / User has exhausted allowed storage space.",
     "mailbox_full"),
    ("554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.example to"
     " clarify.) (BL)", "blocked"),
    ("550-5.7.0 Message considered as spam or virus, rejected", "spam"),
    # France
    ("550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", "user_unknown"),
    ("552 5.2.2 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", "mailbox_full"),
    ("550 5.2.1 Boite du destinataire archivee. Archived recipient. OFR_421", "mailbox_inactive"),
    ("421 Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down.",
     "rate_limited"),
    ("550 5.7.1 Service refuse. Veuillez essayer plus tard. service refused, please try later. OFR_999",
     "blocked"),
    ("550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", "content"),
    ("550 spam detected", "spam"),
    # Russia
    ("550 Message was not accepted -- invalid mailbox. Local mailbox ada@mail.ru is unavailable: user not"
     " found", "user_unknown"),
    ("550 Message was not accepted -- invalid mailbox. Local mailbox ada@mail.ru is unavailable: account is"
     " disabled", "mailbox_inactive"),
    ("550 5.7.1 No such user!", "user_unknown"),
    ("554 5.7.1 [2] Message rejected under suspicion of SPAM; https://ya.example/1", "spam"),
    ("550 5.7.1 Пользователь не найден", "policy"),
    ("550 Почтовый ящик не существует", "user_unknown"),
    ("552 Почтовый ящик переполнен", "mailbox_full"),
    # China
    ("550 Mailbox not found. http://service.mail.example/cgi-bin/help?id=20022", "user_unknown"),
    ("550 Mail content denied.", "content"),
    ("550 Sender frequency limited.", "rate_limited"),
    ("550 Mailbox unavailable or access denied", "rate_limited"),
    ("550 Mail is rejected by recipients", "policy"),
    ("550 User not found: ada@163.com", "user_unknown"),
    ("554 DT:SPM 163 mx1, please see http://mail.example/help", "spam"),
    ("550 User suspended: ada@163.com", "mailbox_inactive"),
    ("550 该用户不存在", "user_unknown"),
    # North America
    ("550 5.1.1 Not our Customer", "user_unknown"),
    ("554 resimta 192.0.2.1 Comcast block for spam. http://postmaster.example/smtp-error-codes#BL000010", "blocked"),
    ("421 4.1.0 192.0.2.1 Throttled - try again later. #RL000010", "rate_limited"),
    ("554 IMP impin003 192.0.2.1 blocked. IPBL0001 - Refer to Error Codes section", "blocked"),
    ("554 ESMTP server not available AUP#I-1010", "blocked"),
    ("550 5.1.1 <ada@shop.example>: Recipient address rejected: User unknown in relay recipient table",
     "user_unknown"),
    # gateways
    ("550 Invalid Recipient - https://community.mimecast.example/docs/DOC-1369#550", "user_unknown"),
    ("550 Rejected by header based Anti-Spoofing policy: shop@shop.example", "policy"),
    ("550 Administrative prohibition - envelope blocked", "policy"),
    ("550 csi.mimecast.org Poor Reputation Sender.", "blocked"),
    ("550 permanent failure for one or more recipients (ada@shop.example:blocked)", "other"),
    ("550 5.7.0 Local Policy Violation", "policy"),
    ("554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", "blocked"),
    ("550 #5.1.0 Address rejected.", "user_unknown"),
    ("550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus", "blocked"),
    # servers
    ("User ada (ada@shop.example) not listed in Domino Directory", "user_unknown"),
    ("Sorry, no mailbox here by that name. (#5.1.1)", "user_unknown"),
    ("Sorry, I couldn't find any host named nowhere.example. (#5.1.2)", "host_unknown"),
    ("The users mailfolder is over the allowed quota (size). (#5.2.2)", "mailbox_full"),
    ("sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "policy"),
    ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.5.3 - chkusr)", "policy"),
    ("Host or domain name not found. Name service error for name=nowhere.example type=AAAA: Host not found",
     "host_unknown"),
    ("mail for shop.example loops back to myself", "system"),
    ("554 5.7.1 <ada@shop.example>: Recipient address rejected: User unknown", "user_unknown"),
    ("550 5.1.8 <shop@shop.example>: Sender address rejected: Domain not found", "policy"),
    ("550-Verification failed for <shop@shop.example> 550-Unrouteable address 550 Sender verify failed", "policy"),
    ("all relevant MX records point to non-existent hosts", "host_unknown"),
    ("unknown local-part \"ada\" in domain \"shop.example\"", "user_unknown"),
    ("550 relay not permitted", "policy"),
    ("553 5.3.5 shop.example. config error: mail loops back to me (MX problem?)", "system"),
    ("550 5.1.2 <ada@nowhere.example>... Host unknown (Name server: nowhere.example: host not found)", "host_unknown"),
    ("Message could not be delivered for 5 days. Message will be deleted from queue", "expired"),
    ("delivery temporarily suspended: connect to mx.shop.example[192.0.2.1]:25: Connection refused", "network"),
    ("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", "blocked"),
    ("452 4.3.1 Insufficient system storage", "system"),
    ("550 5.6.7 SMTPUTF8 is required, but was not offered by host mx.shop.example", "protocol"),
    ("The message that you sent was undeliverable to the following: ada (user not found)", "user_unknown"),
    ("Amazon SES has suppressed sending to this address because it has a recent history of bouncing", "blocked"),
    ("550 5.4.1 All recipient addresses rejected : Access denied [DB5EUR03.prod.example]", "user_unknown"),
    ("User mailbox exceeds allowed size: ada@shop.example", "mailbox_full"),
    ("host lookup did not complete", "network"),
    ("lowest numbered MX record points to local host", "system"),
    ("550 Unknown user ada@docomo.ne.jp (in reply to end of DATA command)", "policy"),
    ("550 Unknown user ada@docomo.ne.jp (in reply to RCPT TO command)", "user_unknown"),
    ("501 5.1.3 Bad recipient address syntax", "user_unknown"),
    ("551 User has moved; please try <ada@elsewhere.example>", "user_unknown"),
    # other languages
    ("550 Destinatario sconosciuto o mailbox disattivata", "mailbox_inactive"),
    ("550 Indirizzo inesistente", "user_unknown"),
    ("550 Usuario desconocido", "user_unknown"),
    ("550 Buzón lleno", "mailbox_full"),
    ("550 Caixa postal cheia", "mailbox_full"),
    ("550 Nie ma takiego konta", "user_unknown"),
    ("550 gebruiker onbekend", "user_unknown"),
    ("550 宛先不明", "user_unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
def test_what_servers_say(answer: str, reason: Reason) -> None:
    from hookline.rules.answers import read_answer

    said = read_answer(answer)
    got = classify(said.code, said.enhanced, said.text, "report")
    temporary = (said.code or 500) < 500 or (said.enhanced or "5").startswith("4")
    assert got == (reason, reason in HARD and not temporary), said
