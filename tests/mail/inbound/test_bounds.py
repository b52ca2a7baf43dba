"""Mails made to hurt: each is read to a clear answer, and what is real in them is still found where it can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.mail.inbound import mime
from hookline.mail.inbound.parse import parse
from support import mails
from support.mails import mail

ADA = "ada@reader.example"
MIB = 1024 * 1024


def nested(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(levels)
    )


def size(raw: bytes) -> tuple[int, int]:
    """How many parts were made of it, and how much text."""
    parts = list(mime.read(raw).walk())
    return len(parts), sum(len(part.text()) for part in parts)


@pytest.mark.parametrize(
    "raw",
    [
        nested(1000) + b"\r\nhello",
        b"Content-Type: message/rfc822\r\n\r\n" * 1000,
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * MIB,
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--ax\r\n" * MIB,
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n" + b"--\r\n" * MIB,
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a" + b" " * 5 * MIB,
        b"a" * 5 * MIB,
        b"a:b\n" * MIB + b"\nhello",
        b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nhello",
        b"Subject: =?punycode?b?" + b"YWFh" * 100_000 + b"?=\n\nhello",
        b"From: mailer-daemon@x.example\nSubject: failure notice\n\n" + b"a@" * MIB,
        b"From: mailer-daemon@x.example\nSubject: failure notice\n\n" + b"a.b" * MIB,
        b"From: mailer-daemon@x.example\nSubject: failure notice\n\n" + b"a@b.example\n" * 100_000,
        b"From: mailer-daemon@x.example\nSubject: failure notice\n\n" + b"From: x\n" * 100_000,
        b"Content-Type: message/delivery-status\n\n" + b"Final-Recipient: rfc822; a@b.example\n" * 100_000,
        b"Content-Type: message/delivery-status\n\n" + b"Action: failed\n\n" * 100_000,
        b"Content-Type: text/plain\n\n" + b"feedback-type: abuse\n" * 100_000,
        b"Content-Type: text/plain\n\n" + b"final-recipient: x\n" * 100_000,
        b"Content-Type: text/html\n\n" + b"<" * 5 * MIB,
        b"Content-Type: text/html\n\n" + b"<style>" * MIB,
        b"Content-Transfer-Encoding: base64\n\n" + b"!" * 5 * MIB,
        b"Content-Transfer-Encoding: base64\n\nAAAAA",
        b"Content-Transfer-Encoding: quoted-printable\n\n=\n==Z=",
        b"\0" * MIB,
        b"Date: Mon, 99 Foo 99999 99:99:99 +9999\n\nhello",
    ],
    ids=range(25),
)
def test_bombs_are_read_within_bounds(raw: bytes) -> None:
    parts, text = size(raw)
    assert parts <= mime.MAX_PARTS + 1 and text <= 2 * mime.MAX_PARTS * mime.MAX_TEXT
    assert len(parse(raw)) <= 101


def test_what_is_nested_deeper_than_anybody_nests_is_passed_over() -> None:
    assert size(nested(1000))[0] <= mime.MAX_DEPTH + 1
    assert parse(nested(1000) + mail(mails.POSTFIX)) == []
    inside = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + mail(mails.POSTFIX) + b"\r\n--b--\r\n"
    )
    assert [report.recipients[0] for report in parse(inside)] == [ADA]


def test_a_header_line_of_ten_megabytes_hides_nothing() -> None:
    raw = b"X-Long: " + b"a" * 10 * MIB + b"\r\n" + mail(mails.POSTFIX)
    assert [(report.recipients[0], report.reason) for report in parse(raw)] == [(ADA, "user_unknown")]
    long = mails.POSTFIX.replace("Status: 5.1.1", f"X-Long: {'a' * MIB}\nStatus: 5.1.1")
    assert len(parse(mail(long))) == 1


def test_a_report_behind_a_large_attachment_is_found() -> None:
    head, mark, rest = mail(mails.POSTFIX).partition(b"--=_b/1\r\nContent-Type: message/delivery-status")
    raw = head + b"--=_b/1\r\nContent-Type: image/png\r\n\r\n" + b"A" * 20 * MIB + b"\r\n" + mark + rest
    assert [report.recipients[0] for report in parse(raw)] == [ADA]


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(raw: bytes) -> None:
    parse(raw)


@given(
    st.lists(
        st.sampled_from(mail(mails.POSTFIX).splitlines(True) + mail(mails.FEEDBACK).splitlines(True)),
        max_size=60,
    )
)
def test_any_lines_of_reports_are_read(lines: list[bytes]) -> None:
    parse(b"".join(lines))


@given(st.data())
def test_a_damaged_report_is_read(data: st.DataObject) -> None:
    raw = bytearray(
        mail(data.draw(st.sampled_from([mails.POSTFIX, mails.QMAIL, mails.EXCHANGE_GERMAN, mails.FEEDBACK])))
    )
    for _ in range(data.draw(st.integers(1, 10))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 50))] = data.draw(st.binary(max_size=5))
    parse(bytes(raw))
