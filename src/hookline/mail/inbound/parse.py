"""From a raw mail to reports: the shapes are tried from the exact to the vague."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from hashlib import blake2b
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from hookline.mail.inbound import feedback, status
from hookline.mail.inbound.mime import ORIGINALS, Part, read, read_fields
from hookline.mail.inbound.notice import is_from_system, notice_of, read_notice
from hookline.mail.inbound.replies import is_reply
from hookline.mail.inbound.report import MAX_REPORTS, Report, addresses
from hookline.model import SECOND

MAX_LOOSE = 20  # texts in which a report that is not called one is looked for
_ADDRESSED = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "resent-to")


class Incoming(Struct, frozen=True, kw_only=True):
    """``addressed`` are the fields that say whom it came to, ``id`` tells it from others that come again."""

    reports: list[Report]
    addressed: str
    id: str


def parse(raw: bytes) -> list[Report]:
    """What a mail reports; nothing for one that is neither report nor automatic answer.

    It raises nothing for any bytes; time and memory are bounded by what ``mime`` lets through.
    """
    return read_mail(raw).reports


def read_mail(raw: bytes) -> Incoming:
    """What a mail reports, and whom it came to."""
    mail = read(raw)
    when = _time(mail.field("date"))
    name = mail.field("message-id").encode() or bytes(mail.content)
    return Incoming(
        reports=[replace(report, time=when) for report in _reports(mail)],
        addressed="\n".join(value for field in _ADDRESSED for value in mail.fields.get(field, [])),
        id=blake2b(name, digest_size=12).hexdigest(),
    )


def _reports(mail: Part) -> list[Report]:
    found = feedback.read_feedback(mail)
    if found:
        return found
    notice, rest = notice_of(mail)
    originals = [part for part in mail.walk() if part.type in ORIGINALS]
    fields = [feedback.original_fields(part) for part in originals] or [read_fields(rest.encode())]
    about = (*(feedback.spelled(returned) for returned in fields), feedback.spelled(mail.fields))
    found = _statuses(mail, notice, about)
    if found:
        return found
    returned = feedback.read_returned(mail)
    if returned:
        return returned
    system = is_from_system(mail)
    if is_reply(mail) and not system and "x-failed-recipients" not in mail.fields:
        return [Report(kind="auto_reply", shape="mail", detail=mail.field("subject")[:500], about=about)]
    to = tuple(dict.fromkeys(a for one in fields for a in addresses(" ".join(one.get("to", [])))))
    found = read_notice(mail, notice, rest, about, to)
    if not found and is_reply(mail):
        return [Report(kind="auto_reply", shape="mail", detail=mail.field("subject")[:500], about=about)]
    return found


def _statuses(mail: Part, notice: str, about: tuple[str, ...]) -> list[Report]:
    """The reports in delivery-status parts, or in texts that look like one; the mail's own before those within."""
    parts = [part for part in mail.walk() if not part.parts]
    named = [part for part in parts if part.type in status.TYPES]
    loose = [part for part in parts if part.type.startswith(("text/", "application/octet"))]
    for chosen, certain in ((named, True), (loose[:MAX_LOOSE], False)):
        texts = [(part.within, part.text()) for part in chosen]
        texts = [(within, text) for within, text in texts if certain or status.looks(text)]
        outermost = min((within for within, _ in texts), default=0)
        reports = (
            report
            for within, text in texts
            if within == outermost
            for report in status.read_status(text, notice, about)
        )
        found = list(islice(reports, MAX_REPORTS))
        if found:
            return found
    return []


def _time(date: str) -> int | None:
    try:
        return int(parsedate_to_datetime(date[:100]).timestamp() * SECOND)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
