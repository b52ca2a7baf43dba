"""A domain's DMARC policy, and whether two domains are aligned (RFC 9989).

Where RFC 7489 asked a list of public suffixes, the names above a domain are walked through in the DNS (4.10).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from hookline.rules.spf import Lookup

MOST_LABELS = 8


class Unknown(Exception):
    """The name server did not answer."""


class Record(Struct, frozen=True):
    """A DMARC record that stands at ``domain``; ``tags`` have their names in lower case."""

    domain: str
    tags: dict[str, str]


class Found(Struct, frozen=True):
    """What rules a domain: its ``record``, if there is one, and the organisation's domain. ``several`` are the records
    of a name that has more than one, which counts as none."""

    organisation: str
    record: Record | None
    several: Sequence[str] = ()

    def policy(self, domain: str) -> str:
        """What receivers are asked to do with mail of ``domain`` that fails: ``none``, ``quarantine`` or ``reject``."""
        tags = self.record.tags if self.record else {}
        below = self.record is not None and self.record.domain != domain
        return (tags.get("sp") if below else None) or tags.get("p", "none")

    def strict(self, tag: str) -> bool:
        """Whether alignment of ``adkim`` or ``aspf`` is strict."""
        return self.record is not None and self.record.tags.get(tag, "r").lower() == "s"


def discover(domain: str, lookup: Lookup) -> Found:
    """Walk from ``domain`` up. Raises ``Unknown``."""
    found: list[Record] = []
    several: list[str] = []
    for name in _names(domain):
        texts = lookup(f"_dmarc.{name}", "TXT")
        if texts is None:
            raise Unknown(f"the name server did not answer for _dmarc.{name}")
        records = [record for record in (_parsed(name, text) for text in texts) if record is not None]
        if len(records) > 1:
            several.append(f"_dmarc.{name}")
        if len(records) == 1:
            found.append(records[0])
            if records[0].tags.get("psd", "u").lower() in ("y", "n"):
                break
    organisation = _organisation(domain, found)
    by_name = {record.domain: record for record in reversed(found)}
    ruling = by_name.get(domain) or by_name.get(organisation) or (found[-1] if found else None)
    return Found(organisation, ruling, several)


def aligned(domain: str, other: str, *, strict: bool, lookup: Lookup) -> bool:
    """Whether ``other``, which SPF or DKIM vouches for, may speak for ``domain``. Raises ``Unknown``."""
    if domain == other or strict:
        return domain == other
    # One above the other is one organisation, also where neither has a record to say so.
    if domain.endswith("." + other) or other.endswith("." + domain):
        return True
    return discover(domain, lookup).organisation == discover(other, lookup).organisation


def _names(domain: str) -> list[str]:
    labels = domain.split(".")
    above = labels[1:] if len(labels) < MOST_LABELS else labels[-(MOST_LABELS - 1) :]
    return [domain, *(".".join(above[place:]) for place in range(len(above)))]


def _organisation(domain: str, found: Sequence[Record]) -> str:
    last = found[-1] if found else None
    if last is None:
        return domain
    if last.tags.get("psd", "u").lower() == "y" and last.domain != domain:
        below = domain.removesuffix("." + last.domain)
        return f"{below.rpartition('.')[2]}.{last.domain}"
    return last.domain


def _parsed(domain: str, text: str) -> Record | None:
    """A record, or ``None`` for another text. What is no tag is ignored."""
    parts = [part.partition("=") for part in text.split(";")]
    tags = {name.strip().lower(): value.strip() for name, equals, value in parts if equals}
    if parts[0][0].strip().lower() != "v" or tags.get("v") != "DMARC1":
        return None
    return Record(domain, tags)
