"""Complaints: the Abuse Reporting Format (RFC 5965), and Microsoft's way of sending back just the mail.

Complaints hide who complained, so the recipient is looked for in the returned mail: its return path,
our own fields, the token in its List-Unsubscribe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hookline.mail.inbound.mime import ORIGINALS, Part, read_fields
from hookline.mail.inbound.report import MAX_ABOUT, MAX_DETAIL, MAX_REPORTS, Kind, Report, addresses

TYPE = "message/feedback-report"
_LOOKS = (re.compile(r"^feedback-type\s?:", re.I | re.M), re.compile(r"^user-agent\s?:", re.I | re.M))
# RFC 5965 7.3, RFC 6591, RFC 6430; "opt-out" and its kin ask to be left alone, which is unsubscribing.
_KINDS: dict[str, Kind] = {
    "abuse": "complained", "fraud": "complained", "virus": "complained", "other": "complained",
    "miscategorized": "complained", "not-spam": "not_spam", "auth-failure": "auth_failure", "dmarc": "auth_failure",
    "opt-out": "unsubscribed", "opt-out-list": "unsubscribed", "unsubscribe": "unsubscribed",
}  # fmt: skip
MAX_LOOSE = 8 * 1024
_JMRP = ("x-hmxmroriginalrecipient", "x-hm-x-mr-original-recipient")
_JMRP_FROM = re.compile(r"staff@(?:hotmail|outlook)\.com|complaint|fbl|feedback", re.I)
_JMRP_SUBJECT = re.compile(r"complaint about message|abuse report|spam report|email feedback report", re.I)


def read_feedback(mail: Part) -> list[Report]:
    """A report for each returned mail, or each recipient, of each feedback report in it."""
    found: list[Report] = []
    report: str | None = None
    originals: list[Part] = []
    for part in mail.walk():
        if _is_report(part):
            if report is not None:
                found += _reports(report, originals)
            report, originals = part.text(), []
        elif part.type in ORIGINALS and (
            report is None or not originals or part.within == originals[0].within
        ):
            originals.append(part)
    if report is not None:
        found += _reports(report, originals)
    return found[:MAX_REPORTS]


def read_returned(mail: Part) -> list[Report]:
    """The Junk Mail Reporting Program's: the mail that was complained of, attached, and no report."""
    originals = [part for part in mail.walk() if part.type in ORIGINALS and part.within == 0]
    if not originals:
        return []
    about = [original_fields(part) for part in originals]
    marked = any(name in fields for fields in about for name in _JMRP)
    named = _JMRP_FROM.search(mail.field("from")) and _JMRP_SUBJECT.search(mail.field("subject"))
    if not marked and not named:
        return []
    return [
        Report(
            kind="complained",
            shape="forward",
            recipients=addresses(" ".join(v for name in (*_JMRP, "to") for v in fields.get(name, []))),
            detail=mail.field("subject")[:MAX_DETAIL],
            about=(spelled(fields),),
        )
        for fields in about
    ]


def _is_report(part: Part) -> bool:
    if part.type == TYPE:
        return True
    # One that is called a text is short: what is long is not even decoded.
    if part.within or not part.type.startswith("text/") or len(part.content) > MAX_LOOSE:
        return False
    text = part.text()
    return all(pattern.search(text) for pattern in _LOOKS)


def _reports(text: str, originals: Sequence[Part]) -> Iterator[Report]:
    fields = read_fields(text.encode())
    kind = _KINDS.get(" ".join(fields.get("feedback-type", [])).strip().lower(), "complained")
    told = addresses(
        " ".join(
            v
            for name in ("original-rcpt-to", "x-hmxmroriginalrecipient", "removal-recipient")
            for v in fields.get(name, [])
        )
    )
    source = " ".join(fields.get("user-agent", []) + fields.get("source-ip", []))
    mails = [original_fields(part) for part in originals] or [{}]
    for returned in mails:
        named = addresses(
            " ".join(v for name in ("x-hmxmroriginalrecipient", "to") for v in returned.get(name, []))
        )
        yield Report(
            kind=kind,
            shape="arf",
            recipients=tuple(dict.fromkeys((*told, *named))),
            detail=f"{' '.join(fields.get('feedback-type', []))} {source}".strip()[:MAX_DETAIL],
            about=(spelled(returned), text[:MAX_ABOUT]),
        )


def original_fields(part: Part) -> dict[str, list[str]]:
    """The header of a returned mail, which may be all that is returned."""
    if part.parts:
        return part.parts[0].fields
    return read_fields(part.text().encode())


def spelled(fields: dict[str, list[str]]) -> str:
    """Header fields as one text, those that carry our own marks first."""
    first = ("x-hookline-message", "return-path", "list-unsubscribe", "message-id", "x-mj-customid")
    names = [*(name for name in first if name in fields), *(name for name in fields if name not in first)]
    return "\n".join(f"{name}: {value}" for name in names for value in fields[name])[:MAX_ABOUT]
