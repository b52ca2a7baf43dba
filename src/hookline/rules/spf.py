"""Whether a domain lets an address send its mail: SPF (RFC 7208), asked of the DNS that ``lookup`` speaks for.

``ptr`` (5.5) is not followed, for the RFC asks nobody to use it: it costs its look-up and never matches.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple
from urllib.parse import quote

from msgspec import Struct

Address = IPv4Address | IPv6Address
RecordType = Literal["TXT", "A", "AAAA", "MX"]
Lookup = Callable[[str, RecordType], "Sequence[str] | None"]
"""The records of a name, none where there are none, ``None`` where nobody could say. Those of type MX are the names of
the servers, the best first."""
Result = Literal["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"]

MOST_TERMS = 10  # 4.6.4: terms that ask the DNS
MOST_VOIDS = 2  # 4.6.4: questions to which there is no answer
MOST_SERVERS = 10  # 4.6.4: of one mx
MOST_NAME = 253
_RESULTS: dict[str, Result] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.I | re.S)
_MECHANISM = re.compile(r"([+\-?~]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?=[:/]|$)(.*)", re.I | re.S)
_TWO_LENGTHS = re.compile(r"(?:/(0|[1-9]\d{0,2}))?(?://(0|[1-9]\d{0,2}))?$")
_ONE_LENGTH = re.compile(r"(?:/(0|[1-9]\d{0,2}))?$")
# 7.1: what a domain-spec is made of, and how it ends: with a top label, or with a macro.
_EXPAND = r"%\{[slodipvh]\d*r?[.\-+,/_=]*\}"
_CHARACTERS = rf"(?:{_EXPAND}|%[%_\-]|[!-$&-~])*"
_LABEL = r"\.(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?"
_DOMAIN = re.compile(rf"{_CHARACTERS}(?:{_LABEL}|{_EXPAND})", re.I)
_ANYTHING = re.compile(_CHARACTERS, re.I)
_MACRO = re.compile(r"%(?:\{([a-z])(\d*)(r?)([.\-+,/_=]*)\}|([%_-]))", re.I)


class Checked(Struct, frozen=True):
    """What came of a check, with what is to be said of an error, and how many terms asked the DNS."""

    result: Result
    detail: str = ""
    terms: int = 0


class _Term(NamedTuple):
    result: Result
    name: str
    value: str
    lengths: str


class _Over(Exception):
    """The check ends here."""

    def __init__(self, result: Result, detail: str) -> None:
        super().__init__(detail)
        self.result, self.detail = result, detail


def check_host(address: Address, domain: str, sender: str, lookup: Lookup) -> Checked:
    """``check_host`` of the RFC, for a mail whose return path is ``sender``."""
    check = _Check(address, sender, lookup)
    try:
        result = check.of(domain)
    except _Over as over:
        return Checked(over.result, over.detail, check.terms)
    return Checked(result, "", check.terms)


def records(domain: str, lookup: Lookup) -> list[str] | None:
    """The SPF records of a domain, of which there should be one; ``None`` where nobody could say."""
    found = lookup(domain, "TXT")
    if found is None:
        return None
    return [text for text in found if text.lower() == "v=spf1" or text[:7].lower() == "v=spf1 "]


def example(domain: str, lookup: Lookup, seen: set[str] | None = None) -> Address | None:
    """An address that a domain's record names itself, or one that it includes, of which ``MOST_TERMS`` are looked at;
    ``None`` where none is found."""
    seen = set() if seen is None else seen
    if domain.lower() in seen or len(seen) > MOST_TERMS:
        return None
    seen.add(domain.lower())
    for text in records(domain, lookup) or []:
        try:
            terms, modifiers = _parsed(text)
        except _Over:
            return None
        for term in terms:
            if term.name in ("ip4", "ip6") and term.result == "pass":
                return _network(term).network_address
        further = [term.value for term in terms if term.name == "include"] + [modifiers.get("redirect", "")]
        for name in further:
            if name and "%" not in name and (found := example(name, lookup, seen)) is not None:
                return found
    return None


class _Check:
    """One check, with what it has spent."""

    def __init__(self, address: Address, sender: str, lookup: Lookup) -> None:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        self._address = mapped or address
        self._sender = sender if "@" in sender else f"postmaster@{sender}"
        self._lookup = lookup
        self._voids = 0
        self.terms = 0

    def of(self, domain: str) -> Result:
        found = records(domain, self._lookup)
        if found is None:
            raise _Over("temperror", f"the name server did not answer for {domain}")
        if not found:
            return "none"
        if len(found) > 1:
            raise _Over("permerror", f"{domain} has {len(found)} SPF records, and may have one")
        terms, modifiers = _parsed(found[0])
        for term in terms:
            if self._matches(term, domain):
                return term.result
        if "redirect" not in modifiers:
            return "neutral"
        self._spend()
        target = self._expanded(modifiers["redirect"], domain)
        result = self.of(target)
        if result == "none":
            raise _Over("permerror", f"{domain} redirects to {target}, which has no SPF record")
        return result

    def _matches(self, term: _Term, domain: str) -> bool:
        if term.name == "all":
            return True
        if term.name in ("ip4", "ip6"):
            network = _network(term)
            return network.version == self._address.version and self._address in network
        self._spend()
        target = self._expanded(term.value, domain) if term.value else domain
        match term.name:
            case "include":
                result = self.of(target)
                if result == "none":
                    raise _Over("permerror", f"{domain} includes {target}, which has no SPF record")
                return result == "pass"
            case "exists":
                return bool(self._ask(target, "A"))
            case "a":
                return self._is_of([target], term.lengths)
            case "mx":
                servers = self._ask(target, "MX")
                if len(servers) > MOST_SERVERS:
                    raise _Over("permerror", f"{target} has more than {MOST_SERVERS} MX records")
                return self._is_of(servers, term.lengths)
        return False

    def _is_of(self, names: Sequence[str], lengths: str) -> bool:
        v4, v6 = _lengths(lengths)
        kind: RecordType = "A" if self._address.version == 4 else "AAAA"
        length = v4 if self._address.version == 4 else v6
        return any(
            self._address in ipaddress.ip_network((found, length), strict=False)
            for name in names
            for found in self._ask(name, kind)
        )

    def _spend(self) -> None:
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise _Over("permerror", f"the record needs more than {MOST_TERMS} look-ups")

    def _ask(self, name: str, kind: RecordType) -> Sequence[str]:
        found = self._lookup(name, kind)
        if found is None:
            raise _Over("temperror", f"the name server did not answer for {name}")
        self._voids += not found
        if self._voids > MOST_VOIDS:
            raise _Over(
                "permerror", f"more than {MOST_VOIDS} names of the record lead nowhere, {name} among them"
            )
        return found

    def _expanded(self, text: str, domain: str) -> str:
        """Macros (7.3) filled in."""

        def fill(match: re.Match[str]) -> str:
            if match[5]:
                return {"%": "%", "_": " ", "-": "%20"}[match[5]]
            value = self._macro(match[1].lower(), domain)
            parts = re.split("[" + re.escape(match[4] or ".") + "]", value)
            if match[3]:
                parts.reverse()
            if match[2]:
                parts = parts[-int(match[2]) :] if int(match[2]) else parts
            value = ".".join(parts)
            return quote(value, safe="") if match[1].isupper() else value

        name = _MACRO.sub(fill, text).removesuffix(".")
        while len(name) > MOST_NAME and "." in name:
            name = name.partition(".")[2]
        return name

    def _macro(self, letter: str, domain: str) -> str:
        local, _, sent_by = self._sender.rpartition("@")
        v4 = self._address.version == 4
        nibbles = ".".join(f"{int(self._address):032x}")
        return {
            "s": self._sender,
            "l": local,
            "o": sent_by,
            "d": domain,
            "i": str(self._address) if v4 else nibbles,
            "c": str(self._address),
            "v": "in-addr" if v4 else "ip6",
            "h": sent_by,
        }.get(letter, "unknown")


def _parsed(record: str) -> tuple[list[_Term], dict[str, str]]:
    """The terms, and the modifiers by name. An error anywhere spoils all of it (4.6)."""
    terms: list[_Term] = []
    modifiers: dict[str, str] = {}
    for text in filter(None, record.split(" ")[1:]):
        mechanism, modifier = _MECHANISM.fullmatch(text), _MODIFIER.fullmatch(text)
        if mechanism is not None:
            terms.append(_term(mechanism, text))
        elif modifier is not None:
            name = modifier[1].lower()
            ours = name in ("redirect", "exp")
            if ours and name in modifiers:
                raise _Over("permerror", f"{name}= stands twice in the record")
            if not (_DOMAIN if ours else _ANYTHING).fullmatch(modifier[2]):
                raise _no_term(text)
            modifiers[name] = modifier[2]
        else:
            raise _no_term(text)
    return terms, modifiers


def _term(mechanism: re.Match[str], text: str) -> _Term:
    result, name, rest = _RESULTS[mechanism[1] or "+"], mechanism[2].lower(), mechanism[3]
    lengths = ""
    if name in ("a", "mx", "ip4", "ip6"):
        found = (_TWO_LENGTHS if name in ("a", "mx") else _ONE_LENGTH).search(rest)
        lengths = found[0] if found else ""
        rest = rest.removesuffix(lengths)
    term = _Term(result, name, rest[1:], lengths)
    if name in ("ip4", "ip6"):
        _network(term)
    elif name in ("a", "mx"):
        _lengths(lengths)
    if (
        rest == ":"
        or rest[:1] == "/"
        or (name == "all" and rest)
        or (name in ("include", "exists") and not rest)
    ):
        raise _no_term(text)
    if rest and name not in ("ip4", "ip6") and not _DOMAIN.fullmatch(term.value):
        raise _no_term(text)
    return term


def _no_term(text: str) -> _Over:
    return _Over("permerror", f"{text[:100]!r} in the record is no term of SPF")


def _network(term: _Term) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        if "/" in term.value:  # a length that is none, such as /032
            raise ValueError
        kind = ipaddress.IPv4Network if term.name == "ip4" else ipaddress.IPv6Network
        return kind(term.value + term.lengths, strict=False)
    except ValueError:
        raise _Over(
            "permerror", f"{term.name}:{term.value}{term.lengths} in the record is no network"
        ) from None


def _lengths(text: str) -> tuple[int, int]:
    match = _TWO_LENGTHS.fullmatch(text)
    v4, v6 = (int(match[1] or 32), int(match[2] or 128)) if match else (33, 0)
    if v4 > 32 or v6 > 128:
        raise _Over("permerror", f"{text} in the record is no prefix length")
    return v4, v6
