"""Answers of machines on behalf of people: out of office, vacations, receipts, requests to prove being human."""

from __future__ import annotations

from hookline.mail.inbound.mime import Part
from hookline.mail.inbound.phrases import CHALLENGES, REPLIES, REPLY_FIELDS


def is_reply(mail: Part) -> bool:
    """Whether a machine answers for its owner: nothing came back, and nobody complained."""
    if (
        mail.type == "multipart/report"
        and mail.parameters.get("report-type", "").lower() == "disposition-notification"
    ):
        return True
    if any(part.type == "message/disposition-notification" for part in mail.walk() if part.within == 0):
        return True
    submitted = mail.field("auto-submitted").strip().lower()
    if submitted.startswith(("auto-replied", "auto-notified")) or any(
        name in mail.fields for name in REPLY_FIELDS
    ):
        return True
    if mail.field("precedence").strip().lower() in ("auto_reply", "auto-reply"):
        return True
    subject = mail.field("subject").strip()[:300]
    return bool(REPLIES.search(subject) or CHALLENGES.search(subject))
