"""What the big receivers ask of bulk mail, rule by rule: Google's and Yahoo's guidelines, Microsoft's of 2025."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from email import message_from_bytes
from typing import Any, Literal

from msgspec import Struct

from hookline.rules.dkim import Signer

Lookup = Callable[[str], "Sequence[str] | None"]
"""The TXT records of a name, none where there are none; ``None`` where nobody could say."""
MOST_BYTES = 100 * 1024  # Gmail cuts off what is longer than about 102 KiB


class Finding(Struct, frozen=True):
    rule: str
    verdict: Literal["holds", "does not", "unknown"]
    detail: str


def findings(message: bytes, sender: str, signer: Signer | None, path: str, txt: Lookup) -> list[Finding]:
    """All rules for a mail from ``sender`` whose return path is ``path``."""
    head = message.partition(b"\r\n\r\n")[0]
    text = b"".join(part.get_payload(decode=True) or b"" for part in _leaves(message))
    domain, bounces = sender.rpartition("@")[2].lower(), path.rpartition("@")[2].lower()
    one_click = (
        b"\nList-Unsubscribe:" in head and b"\nList-Unsubscribe-Post: List-Unsubscribe=One-Click" in head
    )
    return [
        _record("SPF", txt(bounces), r"v=spf1(?: |$)", f"publish TXT at {bounces}: v=spf1 include:… -all"),
        _dkim(signer, domain, txt),
        _record(
            "DMARC", txt(f"_dmarc.{domain}"), r"v=DMARC1\s*;", f"publish TXT at _dmarc.{domain}: v=DMARC1; p=none"
        ),
        _said("alignment", _aligned(domain, bounces) or signer is not None,
              f"the return path's domain {bounces} or a DKIM domain has to be that of From, {domain}"),
        _said("one-click unsubscribing", one_click, "List-Unsubscribe and List-Unsubscribe-Post are missing"),
        _said("visible unsubscribe link", b"/t/u/" in text, "the body has no {{ unsubscribe_url }}"),
        _said("size", len(message) < MOST_BYTES, f"{len(message)} bytes: Gmail cuts off what is above 102 KiB"),
    ]  # fmt: skip


def _leaves(message: bytes) -> list[Any]:
    return [part for part in message_from_bytes(message).walk() if not part.is_multipart()]


def _said(rule: str, holds: bool, otherwise: str) -> Finding:
    return Finding(rule, "holds" if holds else "does not", "" if holds else otherwise)


def _record(rule: str, records: Sequence[str] | None, pattern: str, otherwise: str) -> Finding:
    if records is None:
        return Finding(rule, "unknown", "the name server did not answer")
    return _said(rule, len([r for r in records if re.match(pattern, r, re.I)]) == 1, otherwise)


def _dkim(signer: Signer | None, domain: str, txt: Lookup) -> Finding:
    if signer is None:
        return Finding(
            "DKIM", "unknown", f"not signed here for {domain}: HOOKLINE_DKIM_DOMAIN, or your relay signs"
        )
    records = txt(signer.record)
    if records is None:
        return Finding("DKIM", "unknown", "the name server did not answer")
    fits = any(f"p={signer.public}" in re.sub(r"\s", "", record) for record in records)
    return _said(
        "DKIM", fits, f"publish TXT at {signer.record}: v=DKIM1; k={signer.algorithm}; p={signer.public}"
    )


def _aligned(domain: str, other: str) -> bool:
    return domain == other or domain.endswith("." + other) or other.endswith("." + domain)
