"""DMARC policies found and domains aligned (RFC 9989) over zones given as data."""

from __future__ import annotations

import pytest

from hookline.rules import dmarc
from support.zone import Dns

ZONE = {
    "_dmarc.shop.example TXT": ["v=DMARC1; p=reject; sp=quarantine; aspf=s"],
    "_dmarc.eu.shop.example TXT": ["v=DMARC1;p=none;"],
    "_dmarc.gov.test TXT": ["v=DMARC1; p=none; psd=y"],
    "_dmarc.own.shop.example TXT": ["v=DMARC1; p=none; psd=n"],
    "_dmarc.two.test TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"],
    "_dmarc.odd.test TXT": ["p=none; v=DMARC1", "v=DMARC2; p=none", "v=spf1 -all"],
}


@pytest.mark.parametrize(
    ("domain", "organisation", "stands_at", "policy"),
    [
        ("shop.example", "shop.example", "shop.example", "reject"),
        ("news.shop.example", "shop.example", "shop.example", "quarantine"),
        ("eu.shop.example", "shop.example", "eu.shop.example", "none"),
        ("news.eu.shop.example", "shop.example", "shop.example", "quarantine"),
        ("own.shop.example", "own.shop.example", "own.shop.example", "none"),
        ("a.own.shop.example", "own.shop.example", "own.shop.example", "none"),
        ("tax.gov.test", "tax.gov.test", "gov.test", "none"),
        ("a.b.tax.gov.test", "tax.gov.test", "gov.test", "none"),
        ("absent.test", "absent.test", None, "none"),
        ("odd.test", "odd.test", None, "none"),
        ("two.test", "two.test", None, "none"),
    ],
)
def test_what_rules_a_domain(domain: str, organisation: str, stands_at: str | None, policy: str) -> None:
    found = dmarc.discover(domain, Dns(ZONE))
    assert (found.organisation, found.record and found.record.domain) == (organisation, stands_at)
    assert found.policy(domain) == policy
    assert list(found.several) == (["_dmarc.two.test"] if domain == "two.test" else [])


def test_a_long_name_costs_eight_questions() -> None:
    dns = Dns(ZONE)
    found = dmarc.discover("a.b.c.d.e.f.g.h.i.j.shop.example", dns)
    assert (found.organisation, len(dns.asked)) == ("shop.example", 8)
    assert dns.asked[:2] == [
        "_dmarc.a.b.c.d.e.f.g.h.i.j.shop.example TXT",
        "_dmarc.f.g.h.i.j.shop.example TXT",
    ]


@pytest.mark.parametrize(
    ("domain", "other", "relaxed"),
    [
        ("shop.example", "shop.example", True),
        ("news.shop.example", "shop.example", True),
        ("shop.example", "bounces.shop.example", True),
        ("news.shop.example", "bounces.shop.example", True),
        ("a.absent.test", "b.absent.test", False),
        ("a.absent.test", "absent.test", True),
        ("shop.example", "myshop.example", False),
        ("tax.gov.test", "law.gov.test", False),
    ],
)
def test_alignment(domain: str, other: str, relaxed: bool) -> None:
    assert dmarc.aligned(domain, other, strict=False, lookup=Dns(ZONE)) is relaxed
    assert dmarc.aligned(domain, other, strict=True, lookup=Dns(ZONE)) is (domain == other)


def test_strictness_is_the_records() -> None:
    found = dmarc.discover("news.shop.example", Dns(ZONE))
    assert (found.strict("aspf"), found.strict("adkim")) == (True, False)


def test_silence_is_unknown() -> None:
    with pytest.raises(dmarc.Unknown, match=r"_dmarc\.shop\.example"):
        dmarc.discover("shop.example", Dns(ZONE, silent=["_dmarc.shop.example"]))
