"""The big receivers' rules, over zones given as data."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from hookline.rules.dkim import Signer
from hookline.rules.receivers import Finding, Mail, findings
from support.zone import Dns

RAW = (
    b"From: a@news.shop.example\r\nList-Unsubscribe: <https://m.example/t/u/x>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nhttps://m.example/t/u/x\r\n"
)
KEY = Signer("shop.example", "h1", ed25519.Ed25519PrivateKey.generate())
SHORT = Signer("shop.example", "h1", rsa.generate_private_key(65537, 1024))  # noqa: S505 - short on purpose
RECORD = f"v=DKIM1; k=ed25519; p={KEY.public}"
ZONE: dict[str, list[str]] = {
    "bounces.shop.example TXT": ["v=spf1 ip4:192.0.2.10 include:spf.mailjet.com -all"],
    "relay.example A": ["192.0.2.10"],
    "spf.mailjet.com TXT": ["v=spf1 ip4:198.51.100.0/24 ~all"],
    "h1._domainkey.shop.example TXT": [RECORD],
    "_dmarc.shop.example TXT": ["v=DMARC1; p=quarantine"],
}
ALL = {"SPF", "DKIM", "DMARC", "alignment", "one-click unsubscribing", "visible unsubscribe link", "size"}
RELAY = ("relay.example", "")
MAILJET = ("in-v3.mailjet.com", "mailjet")


def judged(
    zone: dict[str, list[str]] | None = None, silent: tuple[str, ...] = (), **more: Any
) -> dict[str, Finding]:
    mail: dict[str, Any] = {
        "message": RAW,
        "sender": "a@news.shop.example",
        "path": "b-x@bounces.shop.example",
        "signer": KEY,
        "relays": [RELAY],
    }
    found = findings(Mail(**mail | more), Dns(ZONE | (zone or {}), silent))
    return {one.rule: one for one in found}


def test_all_hold() -> None:
    found = judged(relays=[RELAY, MAILJET])
    assert found.keys() == ALL
    assert {one.verdict for one in found.values()} == {"holds"}, found
    assert (
        "relay.example (192.0.2.10)" in found["SPF"].detail and "with 1 of 10 look-ups" in found["SPF"].detail
    )
    assert (
        "SPF by bounces.shop.example (relaxed) and DKIM by shop.example (relaxed)"
        in found["alignment"].detail
    )


@pytest.mark.parametrize(
    ("record", "more", "verdict", "words"),
    [
        ([], {}, "does not", "publish TXT at bounces.shop.example: v=spf1 a:relay.example -all"),
        (["v=spf1 ip4:192.0.2.11 -all"], {}, "does not", "(fail): add ip4:192.0.2.10 to"),
        (["v=spf1 mx"], {}, "does not", "(neutral): add ip4:192.0.2.10"),
        (["v=spf1 ipv4:192.0.2.10 -all"], {}, "does not", "not valid: 'ipv4:192.0.2.10'"),
        (["v=spf1 -all", "v=spf1 +all"], {}, "does not", "2 SPF records"),
        (["v=spf1 ip4:192.0.2.10 -all"], {"relays": [RELAY, MAILJET]}, "does not", "add include:spf.mailjet.com"),
        (["v=spf1 ip4:198.51.100.0/24 -all"], {"relays": [MAILJET]}, "holds", "lets spf.mailjet.com send"),
        ([], {"relays": [MAILJET, RELAY]}, "does not", "v=spf1 a:relay.example include:spf.mailjet.com -all"),
        (["v=spf1 +all"], {"relays": [("10.0.0.5", "")]}, "unknown", "name it by --address"),
        (["v=spf1 +all"], {"relays": [("absent.example", "")]}, "unknown", "name it by --address"),
        (["v=spf1 ip4:203.0.113.9 -all"],
         {"relays": [("localhost", "")], "address": ipaddress.ip_address("203.0.113.9")}, "holds", "203.0.113.9"),
        (["v=spf1 a:silent.example -all"], {}, "unknown", "silent.example"),
    ],
)  # fmt: skip
def test_spf(record: list[str], more: Any, verdict: str, words: str) -> None:
    found = judged({"bounces.shop.example TXT": record}, ("silent.example",), **more)["SPF"]
    assert (found.verdict, words in found.detail) == (verdict, True), found


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], "does not", f"publish TXT at h1._domainkey.shop.example: {RECORD}"),
        ([RECORD + "; t=s; s=email; h=sha1:sha256; n=ours"], "holds", "has our key"),
        (["v=DKIM1; k=ed25519; p=" + KEY.public[:20] + " " + KEY.public[20:]], "holds", ""),
        (["v=DKIM1; k=ed25519; p="], "does not", "was revoked"),
        (["v=DKIM1; k=ed25519; p=AAAA"], "does not", "has another key: publish"),
        ([f"v=DKIM1; p={KEY.public}"], "does not", "has another key"),
        ([RECORD + "; t=y:s"], "does not", "tests only"),
        ([RECORD + "; h=sha1"], "does not", "SHA-256"),
        ([RECORD + "; s=tlsrpt"], "does not", "not for mail"),
        (["v=DKIM1; p=AAAA", RECORD], "holds", ""),
    ],
)
def test_dkim(records: list[str], verdict: str, words: str) -> None:
    found = judged({"h1._domainkey.shop.example TXT": records})["DKIM"]
    assert (found.verdict, words in found.detail) == (verdict, True), found


def test_dkim_of_others_and_short_keys() -> None:
    zone = {"h1._domainkey.shop.example TXT": [f"v=DKIM1; p={SHORT.public}"]}
    short = judged(zone, signer=SHORT)["DKIM"]
    assert (short.verdict, "1024 bits" in short.detail) == ("holds", True)
    theirs = judged(signer=None, relays=[MAILJET])["DKIM"]
    assert (theirs.verdict, "mailjet signs where" in theirs.detail) == ("unknown", True)
    assert "HOOKLINE_DKIM_DOMAIN" in judged(signer=None)["DKIM"].detail
    assert judged(silent=("h1._domainkey.shop.example",))["DKIM"].verdict == "unknown"


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], "does not", "publish TXT at _dmarc.news.shop.example: v=DMARC1"),
        (["v=DMARC1; p=none"], "holds", "_dmarc.shop.example has p=none, which asks for nothing"),
        (["v=DMARC1; p=reject; sp=none"], "holds", "p=none"),
        (["v=DMARC1; p=maybe"], "does not", "'maybe'"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "does not", "more than one record"),
    ],
)
def test_dmarc(records: list[str], verdict: str, words: str) -> None:
    found = judged({"_dmarc.shop.example TXT": records})["DMARC"]
    assert (found.verdict, words in found.detail) == (verdict, True), found


@pytest.mark.parametrize(
    ("dmarc", "more", "verdict", "words"),
    [
        ("p=none; aspf=s", {}, "holds", "DKIM by shop.example"),
        ("p=none; aspf=s; adkim=s", {}, "does not", "DKIM by shop.example (strict) is not aligned"),
        ("p=none; adkim=s", {}, "holds", "SPF by bounces.shop.example"),
        ("p=none", {"path": "b@elsewhere.example"}, "holds", "DKIM by shop.example (relaxed)"),
        ("p=none", {"path": "b@elsewhere.example", "signer": None}, "unknown", "the relay's signature"),
        ("p=none", {"relays": [("absent.example", "")], "signer": None}, "unknown", "SPF by bounces.shop.example"),
    ],
)  # fmt: skip
def test_alignment(dmarc: str, more: Any, verdict: str, words: str) -> None:
    found = judged({"_dmarc.shop.example TXT": [f"v=DMARC1; {dmarc}"]}, **more)["alignment"]
    assert (found.verdict, words in found.detail) == (verdict, True), found


def test_a_proof_that_does_not_hold_aligns_nothing() -> None:
    zone: dict[str, list[str]] = {"bounces.shop.example TXT": [], "h1._domainkey.shop.example TXT": []}
    found = judged(zone)["alignment"]
    assert (found.verdict, found.detail.count("does not hold")) == ("does not", 2)


@pytest.mark.parametrize(
    ("raw", "failing"),
    [
        (b"From: a@b.example\r\n\r\nhi", {"one-click unsubscribing", "visible unsubscribe link"}),
        (RAW.replace(b"https://m.example/t/u/x>", b"http://m.example/t/u/x>"), {"one-click unsubscribing"}),
        (RAW.replace(b"-Post: List-Unsubscribe=One-Click", b"-Other: x"), {"one-click unsubscribing"}),
        (RAW + b"x" * 110_000, {"size"}),
    ],
)
def test_the_mail_itself(raw: bytes, failing: set[str]) -> None:
    found = judged(message=raw)
    assert {rule for rule, one in found.items() if one.verdict != "holds"} == failing
    assert all(found[rule].detail for rule in failing)


def test_silence_is_unknown_and_international_names_are_asked_for_as_they_are_written() -> None:
    found = judged(silent=("_dmarc.news.shop.example", "bounces.shop.example"))
    assert {rule for rule, one in found.items() if one.verdict == "unknown"} == {"SPF", "DMARC"}
    dns = Dns({})
    findings(Mail(message=RAW, sender="a@bücher.example", path="b@bücher.example", relays=[RELAY]), dns)
    assert "_dmarc.xn--bcher-kva.example TXT" in dns.asked and all(name.isascii() for name in dns.asked)
