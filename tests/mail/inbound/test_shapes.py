"""Each shape in which mail comes back is read: what happened, to whom, why, and whether for good."""

from __future__ import annotations

import base64

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


def test_a_warning_is_known_by_its_words_alone() -> None:
    short, _, _ = mails.TEXT_DELAY.partition("No action is required")
    (report,) = parse(mail(short))
    assert (report.kind, report.recipients) == ("deferred", (ADA,))


def test_several_recipients_in_one_report_without_breaks() -> None:
    first, second = parse(mail(mails.WITHOUT_BREAKS))
    assert (first.recipients, first.reason, first.hard) == ((ADA,), "user_unknown", True)
    assert (second.recipients[0], second.reason, second.hard) == (
        "bob@reader.example",
        "mailbox_inactive",
        False,
    )


def test_an_international_address_is_spelled_out() -> None:
    (report,) = parse(mail(mails.INTERNATIONAL))
    assert report.recipients[0] == "åsa@reader.example" and report.hard


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoded_report_is_decoded(encoding: str) -> None:
    raw = mail(mails.POSTFIX).replace(b"\r\n", b"\n")
    head, mark, rest = raw.partition(b"Content-Type: message/delivery-status\n\n")
    status, end, after = rest.partition(b"--=_b/1")
    body = (
        base64.encodebytes(status)
        if encoding == "base64"
        else status.replace(b"=", b"=3D").replace(b":", b"=3A")
    )
    field = b"Content-Transfer-Encoding: " + encoding.encode() + b"\n\n"
    (report,) = parse(head + mark[:-1] + field + body + end + after)
    assert (report.reason, report.recipients[0]) == ("user_unknown", ADA)


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("koi8-r", "550 Пользователь не найден"),
        ("iso-2022-jp", "550 宛先不明"),
        ("gb2312", "550 该用户不存在"),
        ("utf-16", "550 user unknown"),
        ("x-unknown-yet", "550 user unknown"),
        ("punycode", "550 user unknown"),
        ("zlib", "550 user unknown"),
    ],
)
def test_notices_come_in_any_charset(charset: str, text: str) -> None:
    known = charset in ("koi8-r", "iso-2022-jp", "gb2312", "utf-16")
    body = f"Your message could not be delivered:\n\n<{ADA}>: {text}\n".encode(charset if known else "utf-8")
    head = mails.head("Undelivered Mail").format(to="b-token@in.shop.example")
    raw = f"{head}Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n".encode()
    (report,) = parse(raw + base64.encodebytes(body))
    assert (report.reason, report.hard, report.recipients) == ("user_unknown", True, (ADA,))


def test_a_report_that_was_forwarded_is_read_in_its_envelope() -> None:
    inner = mail(mails.POSTFIX)
    head = b"From: Bob <bob@shop.example>\r\nSubject: Fwd: what is this?\r\nMIME-Version: 1.0\r\n"
    (report,) = parse(head + b"Content-Type: message/rfc822\r\n\r\n" + inner)
    assert (report.kind, report.recipients[0]) == ("bounced", ADA)


def test_of_a_bounced_bounce_the_outer_one_counts() -> None:
    inner = mail(mails.POSTFIX, rcpt="inner@reader.example").decode()
    (report,) = parse(mail(mails.FULL.replace("{original}", inner.replace("{", "{{").replace("}", "}}"))))
    assert (report.recipients[0], report.reason) == (ADA, "mailbox_full")


def test_each_complaint_of_several_has_its_own_mail() -> None:
    part = mails.FEEDBACK.partition("--part\n")[2].partition("--part--")[0]
    first = mail(part, rcpt="ada@reader.example", message="dlv_" + "a" * 26).decode()
    second = mail(part, rcpt="bob@reader.example", message="dlv_" + "b" * 26).decode()
    head = mails.FEEDBACK.partition("--part\n")[0].replace("{to}", "x")
    found = parse(f"{head}--part\n{first}--part\n{second}--part--\n".encode())
    assert [(one.kind, one.recipients) for one in found] == [
        ("complained", ("ada@reader.example",)),
        ("complained", ("bob@reader.example",)),
    ]
    assert ["a" * 26 in one.about[0] for one in found] == [True, False]


def test_one_complaint_may_return_several_mails() -> None:
    returned = mails.FEEDBACK.partition("Content-Type: message/rfc822")[2].partition("--part--")[0]
    text = mails.FEEDBACK.replace("--part--", f"--part\nContent-Type: message/rfc822{returned}--part--")
    assert len(parse(mail(text))) == 2


@pytest.mark.parametrize(
    "subject",
    [
        "Abwesenheitsnotiz: News", "Réponse automatique : News", "Respuesta automática: News", "Fuori sede",
        "Automatisch antwoord: News", "Autosvar: News", "Автоответ: News", "自動応答: News", "自动回复: News",
        "Out of Office Re: News", "Vacation reply", "Resposta automática: News",
    ],
)  # fmt: skip
def test_out_of_office_in_many_languages(subject: str) -> None:
    raw = f"From: ada@reader.example\nTo: x@in.shop.example\nSubject: {subject}\n\nBack on Monday.\n".encode()
    (report,) = parse(raw)
    assert report.kind == "auto_reply"


def test_a_letter_about_deliveries_is_no_report() -> None:
    raw = b"From: ada@reader.example\nTo: x@in.shop.example\nSubject: My order was not delivered\n\nWhere is it?\n"
    assert parse(raw) == []
