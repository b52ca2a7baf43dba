"""Delivery reports by the book (RFC 3464, internationalised by RFC 6533), and as they really come.

The fields stand in ``message/delivery-status``; there are servers that call it text, forget the lines
between recipients, break long fields without indenting, or leave out what is required.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hookline.mail.inbound.report import MAX_ABOUT, MAX_REPORTS, Kind, Report, addresses, judged
from hookline.rules.addresses import normalise

TYPES = ("message/delivery-status", "message/global-delivery-status")
# A text that has both at the beginnings of lines is a report, whatever it calls itself.
_LOOKS = (
    re.compile(r"^(?:final|original)-recipient\s?:", re.I | re.M),
    re.compile(r"^(?:action|status)\s?:", re.I | re.M),
)

_FIELD = re.compile(r"\s?([A-Za-z][\w-]{1,60})\s?:\s*(.*)")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_UNITEXT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("fail", "bounced"), ("expired", "bounced"), ("reject", "bounced"), ("undeliver", "bounced"),
    ("delay", "deferred"), ("deliver", "delivered"), ("relay", "relayed"), ("expand", "relayed"),
)  # fmt: skip

Fields = dict[str, str]


def read_status(text: str, notice: str, about: tuple[str, ...]) -> Iterator[Report]:
    """A report for each recipient; ``notice`` is the part for people, ``about`` the returned mail's fields."""
    shared: Fields = {}
    for place, group in enumerate(_groups(text)):
        if place > MAX_REPORTS:
            return
        if not _is_recipient(group):
            shared |= group
            continue
        yield _report(group, notice, (*about, "\n".join((*shared.values(), *group.values()))[:MAX_ABOUT]))


def looks(text: str) -> bool:
    """Whether a text is a delivery report by its lines."""
    return all(pattern.search(text) for pattern in _LOOKS)


def _is_recipient(group: Fields) -> bool:
    return bool({"final-recipient", "original-recipient", "action"} & group.keys())


def _groups(text: str) -> Iterator[Fields]:
    group: Fields = {}
    last = ""
    for line in text.splitlines():
        if not line.strip():
            if _is_recipient(group) or "reporting-mta" in group:
                yield group
                group, last = {}, ""
            continue
        found = None if line.startswith(("\t", "  ")) else _FIELD.fullmatch(line.rstrip())
        if found is None:
            if last:
                group[last] = f"{group[last]} {line.strip()}"[:8000]
            continue
        name = found[1].lower()
        if name in group and name in ("final-recipient", "action", "status") and _is_recipient(group):
            yield group
            group = {}
        last = name
        group[name] = found[2]
    if group:
        yield group


def _report(group: Fields, notice: str, about: tuple[str, ...]) -> Report:
    found = _STATUS.search(group.get("status", ""))
    status = found[0] if found else None
    recipients = dict.fromkeys(
        address
        for name in ("original-recipient", "final-recipient", "x-actual-recipient", "x-display-name")
        for address in _addresses(group.get(name, ""))
    )
    said = group.get("diagnostic-code") or group.get("x-supplementary-info") or ""
    said = " ".join(part for part in (said, group.get("x-notes", "")) if part)
    return judged(
        _kind(group.get("action", ""), status),
        "dsn",
        tuple(recipients),
        said,
        status=status,
        notice=notice,
        about=about,
    )


def _kind(action: str, status: str | None) -> Kind:
    word = action.strip().lower()
    for start, kind in _KINDS:
        if word.startswith(start):
            return kind
    return {"2": "delivered", "4": "deferred"}.get((status or "5")[0], "bounced")  # type: ignore[return-value]


def _addresses(value: str) -> Iterator[str]:
    """The spellings of ``rfc822; ada@shop.example`` or ``utf-8; …``: as it stands, and decoded."""
    kind, semicolon, rest = value.partition(";")
    plain = (rest if semicolon else kind).strip().strip("<>").strip()
    plain = _UNITEXT.sub(_character, plain)
    for spelled in (plain, _XTEXT.sub(lambda found: chr(int(found[1], 16)), plain)):
        yield from addresses(spelled)
        if "@" in spelled and " " not in spelled and len(spelled) <= 320:
            yield normalise(spelled.strip("<>"))


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if 0x20 <= number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
