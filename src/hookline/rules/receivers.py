"""What the big receivers ask of bulk mail, rule by rule: Google's and Yahoo's guidelines, Microsoft's of 2025."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from email import message_from_bytes
from email.message import Message
from typing import Literal

import idna
from msgspec import Struct

from hookline.rules import dmarc, spf
from hookline.rules.correlation import SENDERS
from hookline.rules.dkim import Signer
from hookline.rules.spf import Address, Lookup, RecordType

Verdict = Literal["holds", "does not", "unknown"]
MOST_BYTES = 100 * 1024  # Gmail cuts off what is longer than about 102 KiB
SHORT_KEY = 2048
_LINK = re.compile(r"<https://[^>]+>", re.I)
# Where relays of one's own stand that the world sees under another address.
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                    "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10")
)  # fmt: skip


class Finding(Struct, frozen=True):
    """Whether a rule holds; ``detail`` says what was seen and, where it does not, what to do."""

    rule: str
    verdict: Verdict
    detail: str


class Mail(Struct, frozen=True, kw_only=True):
    """A mail as it would go out: ``sender`` is the address in From, ``path`` the return path, ``signer`` who signs.

    ``relays`` are the hosts that may get it, each with the provider that it belongs to ("" for none); ``address`` is
    where relays of nobody's are seen from, where that is not their own.
    """

    message: bytes
    sender: str
    path: str
    signer: Signer | None = None
    relays: Sequence[tuple[str, str]] = ()
    address: Address | None = None


def findings(mail: Mail, lookup: Lookup) -> list[Finding]:
    """All rules for a mail."""
    domain, bounces = _domain(mail.sender), _domain(mail.path)
    ruling: dmarc.Found | None = None
    try:
        ruling = dmarc.discover(domain, lookup)
        policy = _dmarc(domain, ruling)
    except dmarc.Unknown as error:
        policy = Finding("DMARC", "unknown", str(error))
    sent, signed = _spf(mail, bounces, lookup), _dkim(mail, lookup)
    return [
        sent,
        signed,
        policy,
        _alignment(domain, bounces, mail, (sent, signed), ruling, lookup),
        *_content(mail.message),
    ]


def _domain(address: str) -> str:
    domain = address.rpartition("@")[2].lower().rstrip(".")
    return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()


# --- SPF


def _spf(mail: Mail, bounces: str, lookup: Lookup) -> Finding:
    """Whether the return path's domain lets every relay send."""
    records = spf.records(bounces, lookup)
    wanted = sorted({_wanted(provider, host, None) for host, provider in mail.relays}) or ["include:…"]
    if records is not None and not records:
        return Finding("SPF", "does not", f"publish TXT at {bounces}: v=spf1 {' '.join(wanted)} -all")
    if not mail.relays:
        return Finding("SPF", "unknown", f"{bounces} has a record, and no relay is set")
    told = [_covered(mail, bounces, host, provider, lookup) for host, provider in mail.relays]
    order: tuple[Verdict, ...] = ("does not", "unknown", "holds")
    worst = min((verdict for verdict, _ in told), key=order.index)
    return Finding("SPF", worst, "; ".join(dict.fromkeys(what for verdict, what in told if verdict == worst)))


def _covered(mail: Mail, bounces: str, host: str, provider: str, lookup: Lookup) -> tuple[Verdict, str]:
    if provider in SENDERS:
        one = spf.example(SENDERS[provider], lookup)
        addresses = [one] if one else []
    else:
        addresses = [mail.address] if mail.address else _addresses(host, lookup)
    if not addresses or any(address in network for address in addresses for network in _INSIDE):
        what = f"the address that {host} sends from is not known here: name it by --address"
        if provider in SENDERS:
            what = f"the SPF record of {SENDERS[provider]} could not be read"
        return "unknown", what
    for address in addresses:
        checked = spf.check_host(address, bounces, mail.path, lookup)
        name = SENDERS.get(provider, host if host == str(address) else f"{host} ({address})")
        if checked.result == "temperror":
            return "unknown", checked.detail
        if checked.result == "permerror":
            return "does not", f"the record of {bounces} is not valid: {checked.detail}"
        if checked.result != "pass":
            term = _wanted(provider, host, address)
            return (
                "does not",
                f"{bounces} does not let {name} send ({checked.result}): add {term} to its record",
            )
    looked = f"{checked.terms} of {spf.MOST_TERMS} look-ups"
    return "holds", f"{bounces} lets {name} send, with {looked}"


def _wanted(provider: str, host: str, address: Address | None) -> str:
    """The term that lets a relay send."""
    if provider in SENDERS:
        return f"include:{SENDERS[provider]}"
    literal = address or _literal(host)
    return f"a:{host}" if literal is None else f"ip{literal.version}:{literal}"


def _addresses(host: str, lookup: Lookup) -> list[Address]:
    if (literal := _literal(host)) is not None:
        return [literal]
    kinds: tuple[RecordType, ...] = ("A", "AAAA")
    return [ipaddress.ip_address(text) for kind in kinds for text in lookup(host, kind) or ()]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


# --- DKIM


def _dkim(mail: Mail, lookup: Lookup) -> Finding:
    """Whether the key that we sign with is in the DNS, and may be used."""
    signer = mail.signer
    if signer is None:
        domain = _domain(mail.sender)
        theirs = sorted({provider for _, provider in mail.relays if provider})
        who = f"{' and '.join(theirs)} signs where {domain} is set up there, or set" if theirs else "set"
        return Finding("DKIM", "unknown", f"not signed here for {domain}: {who} HOOKLINE_DKIM_DOMAIN")
    texts = lookup(signer.record, "TXT")
    if texts is None:
        return Finding("DKIM", "unknown", f"the name server did not answer for {signer.record}")
    wanted = f"v=DKIM1; k={signer.algorithm}; p={signer.public}"
    objections = [_objection(signer, _tags(text)) for text in texts]
    if "" in objections:
        bits = getattr(signer.key, "key_size", SHORT_KEY)
        short = f"; its {bits} bits are few, {SHORT_KEY} are usual" if bits < SHORT_KEY else ""
        return Finding("DKIM", "holds", f"{signer.record} has our key{short}")
    seen = f"{signer.record} {objections[0]}: " if objections else ""
    return Finding("DKIM", "does not", f"{seen}publish TXT at {signer.record}: {wanted}")


def _objection(signer: Signer, tags: dict[str, str]) -> str:
    """What keeps receivers from verifying our signatures with a record (RFC 6376 3.6.1), "" for nothing."""
    public = re.sub(r"\s", "", tags.get("p", ""))
    if "p" in tags and not public:
        return "says that its key was revoked"
    if public != signer.public or tags.get("k", "rsa") != signer.algorithm:
        return "has another key"
    if "h" in tags and "sha256" not in _listed(tags["h"]):
        return "allows no signatures with SHA-256"
    if "s" in tags and not {"*", "email"} & _listed(tags["s"]):
        return "is not for mail"
    return "is for tests only (t=y)" if "y" in _listed(tags.get("t", "")) else ""


def _listed(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(":")}


def _tags(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(";"))
    return {name.strip(): value.strip() for name, equals, value in parts if equals}


# --- DMARC and alignment


def _dmarc(domain: str, ruling: dmarc.Found) -> Finding:
    if ruling.record is None:
        if ruling.several:
            what = f"{ruling.several[0]} has more than one record, which counts as none: leave one"
            return Finding("DMARC", "does not", what)
        where = f"_dmarc.{ruling.organisation}"
        return Finding("DMARC", "does not", f"publish TXT at {where}: v=DMARC1; p=none; rua=mailto:…")
    policy = ruling.policy(domain).lower()
    where = f"_dmarc.{ruling.record.domain}"
    if policy not in ("none", "quarantine", "reject"):
        return Finding(
            "DMARC", "does not", f"{where} has the policy {policy!r}: p is none, quarantine or reject"
        )
    advice = ", which asks for nothing; quarantine or reject keeps others from using the name"
    return Finding("DMARC", "holds", f"{where} has p={policy}{advice if policy == 'none' else ''}")


def _alignment(  # noqa: PLR0917
    domain: str,
    bounces: str,
    mail: Mail,
    proofs: tuple[Finding, Finding],
    ruling: dmarc.Found | None,
    lookup: Lookup,
) -> Finding:
    """Whether SPF or DKIM, where it holds, vouches for the domain in From."""
    sent, signed = proofs
    good: list[str] = []
    maybe: list[str] = []
    lacking: list[str] = []
    identities = [("SPF", bounces, "aspf", sent.verdict)]
    if mail.signer is not None:
        identities.append(("DKIM", mail.signer.domain, "adkim", signed.verdict))
    else:
        maybe.append("the relay's signature, if it is one of " + domain)
    for what, theirs, tag, verdict in identities:
        strict = ruling is not None and ruling.strict(tag)
        how = f"{what} by {theirs} ({'strict' if strict else 'relaxed'})"
        try:
            fits = dmarc.aligned(domain, theirs, strict=strict, lookup=lookup)
        except dmarc.Unknown:
            maybe.append(how)
            continue
        if not fits:
            lacking.append(f"{how} is not aligned with {domain}")
        elif verdict == "does not":
            lacking.append(f"{how} does not hold")
        else:
            (good if verdict == "holds" else maybe).append(how)
    if good:
        return Finding("alignment", "holds", f"{domain}: {' and '.join(good)}")
    if maybe:
        return Finding("alignment", "unknown", "; ".join([*lacking, f"it hangs on {' and '.join(maybe)}"]))
    way = f"sign with a key of {domain} (HOOKLINE_DKIM_DOMAIN), or take a return path below it"
    return Finding("alignment", "does not", f"{'; '.join(lacking)}: {way}")


# --- the mail itself


def _content(raw: bytes) -> list[Finding]:
    message = message_from_bytes(raw)
    text = b"".join(part.get_payload(decode=True) or b"" for part in _leaves(message))  # type: ignore[misc]
    size = f"{len(raw) / 1024:.1f} KiB"
    return [
        _one_click(message),
        _said(
            "visible unsubscribe link",
            b"/t/u/" in text,
            "the body has a link to unsubscribe by",
            "the body has no {{ unsubscribe_url }}",
        ),
        _said(
            "size",
            len(raw) < MOST_BYTES,
            size,
            f"{size}: Gmail cuts off what is above 102 KiB, and the unsubscribe link with it; shorten the mail",
        ),
    ]


def _one_click(message: Message) -> Finding:
    """RFC 8058: a link by HTTPS that may be called without asking."""
    rule = "one-click unsubscribing"
    ways = str(message.get("List-Unsubscribe", ""))
    post = "".join(str(message.get("List-Unsubscribe-Post", "")).split())
    if not ways or post != "List-Unsubscribe=One-Click":
        return Finding(rule, "does not", "List-Unsubscribe and List-Unsubscribe-Post are missing")
    secure = _LINK.search(ways) is not None
    return _said(rule, secure, "by a link with https", "its link has to be https: set HOOKLINE_PUBLIC_URL so")


def _leaves(message: Message) -> Iterable[Message]:
    return (part for part in message.walk() if not part.is_multipart())


def _said(rule: str, holds: bool, seen: str, otherwise: str) -> Finding:
    return Finding(rule, "holds" if holds else "does not", seen if holds else otherwise)
