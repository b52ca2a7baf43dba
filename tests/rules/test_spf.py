"""SPF records evaluated (RFC 7208) over zones given as data."""

from __future__ import annotations

import ipaddress
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.rules.spf import Result, check_host, example
from support.zone import Dns

SENDER = "b-x.y@shop.example"
ZONE = {
    "mail.example A": ["192.0.2.10"],
    "mail.example AAAA": ["2001:db8::10"],
    "shop.example A": ["192.0.2.20"],
    "shop.example MX": ["mail.example", "other.example"],
    "other.example A": ["192.0.2.30"],
    "_spf.relay.example TXT": [
        "verification=1",
        "v=spf1 ip4:198.51.100.0/24 include:_more.relay.example ~all",
    ],
    "_more.relay.example TXT": ["v=spf1 ip6:2001:db8:1::/48 -all"],
    "two.example TXT": ["v=spf1 -all", "v=spf1 +all"],
    "near.example TXT": ["v=spf10 +all", "spf1 +all"],
    "loop.example TXT": ["v=spf1 include:loop.example -all"],
    "1.2.0.192._ip.example A": ["127.0.0.2"],
    "x.y.l.example A": ["127.0.0.2"],
    "shop.d.example A": ["127.0.0.2"],
    "x/y.mail.example A": ["192.0.2.1"],
}


def result(record: str, address: str = "192.0.2.10", **more: list[str]) -> tuple[str, str]:
    dns = Dns({**ZONE, "shop.example TXT": [record], **more}, silent=["silent.example"])
    found = check_host(ipaddress.ip_address(address), "shop.example", SENDER, dns)
    return found.result, found.detail


@pytest.mark.parametrize(
    ("record", "address", "expected"),
    [
        ("v=spf1 ip4:192.0.2.0/28 -all", "192.0.2.10", "pass"),
        ("v=spf1 ip4:192.0.2.0/29 -all", "192.0.2.10", "fail"),
        ("v=spf1 ip4:192.0.2.10 ~all", "192.0.2.11", "softfail"),
        ("v=spf1 ip4:192.0.2.10", "192.0.2.11", "neutral"),
        ("v=spf1 ?ip4:192.0.2.10 -all", "192.0.2.10", "neutral"),
        ("v=spf1 -ip4:192.0.2.10 +all", "192.0.2.10", "fail"),
        ("V=SPF1 IP4:192.0.2.10 -ALL", "192.0.2.10", "pass"),
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::10", "pass"),
        ("v=spf1 ip6:2001:db8::/32 -all", "192.0.2.10", "fail"),
        ("v=spf1 ip4:192.0.2.10 -all", "2001:db8::10", "fail"),
        ("v=spf1 a -all", "192.0.2.20", "pass"),
        ("v=spf1 a/27 -all", "192.0.2.10", "pass"),
        ("v=spf1 a:mail.example -all", "192.0.2.10", "pass"),
        ("v=spf1 a:mail.example//64 -all", "2001:db8::ffff", "pass"),
        ("v=spf1 a:mail.example/24//128 -all", "2001:db8::ffff", "fail"),
        ("v=spf1 mx -all", "192.0.2.30", "pass"),
        ("v=spf1 mx:shop.example/30 -all", "192.0.2.11", "pass"),
        ("v=spf1 mx -all", "192.0.2.31", "fail"),
        ("v=spf1 include:_spf.relay.example -all", "198.51.100.7", "pass"),
        ("v=spf1 include:_spf.relay.example -all", "2001:db8:1::7", "pass"),
        ("v=spf1 include:_spf.relay.example ?all", "192.0.2.10", "neutral"),
        ("v=spf1 redirect=_spf.relay.example", "198.51.100.7", "pass"),
        ("v=spf1 redirect=_spf.relay.example", "192.0.2.10", "softfail"),
        ("v=spf1 redirect=_spf.relay.example -all", "198.51.100.7", "fail"),
        ("v=spf1 ip4:192.0.2.10 -all", "::ffff:192.0.2.10", "pass"),
        ("v=spf1 a:x/y.mail.example/24 -all", "192.0.2.99", "pass"),
        ("v=spf1 ptr ptr:shop.example -all", "192.0.2.10", "fail"),
        ("v=spf1 exp=why.example unknown=1 -all", "192.0.2.10", "fail"),
        ("v=spf1 exists:%{ir}._ip.example -all", "192.0.2.1", "pass"),
        ("v=spf1 exists:%{l-}.l.example -all", "192.0.2.1", "fail"),
        ("v=spf1 exists:%{lr-}.l.example -all", "192.0.2.1", "fail"),
        ("v=spf1 exists:%{d1r}.d.example -all", "192.0.2.1", "pass"),
        ("v=spf1 exists:%{i}._ip.example -all", "192.0.2.1", "fail"),
    ],
)  # fmt: skip
def test_terms(record: str, address: str, expected: str) -> None:
    assert result(record, address)[0] == expected


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=spf1 ip4:192.0.2.300 -all", "no network"),
        ("v=spf1 ip4:2001:db8::1 -all", "no network"),
        ("v=spf1 ip4 -all", "no network"),
        ("v=spf1 a/33 -all", "prefix length"),
        ("v=spf1 mx//129 -all", "prefix length"),
        ("v=spf1 a: -all", "no term"),
        ("v=spf1 all:x", "no term"),
        ("v=spf1 include -all", "no term"),
        ("v=spf1 include:_spf.relay.example/24 -all", "no term"),
        ("v=spf1 +all ipv4:192.0.2.10", "'ipv4:192.0.2.10'"),
        ("v=spf1 redirect=a.example redirect=b.example", "twice"),
        ("v=spf1 exists:%{z}.example -all", "no term"),
        ("v=spf1 a:mail -all", "no term"),
        ("v=spf1 a:mail.123 -all", "no term"),
        ("v=spf1 mx:mail.-example -all", "no term"),
        ("v=spf1 include:b\u00fccher.example -all", "no term"),
        ("v=spf1 a:mail.example\tip4:192.0.2.10 -all", "no term"),
        ("v=spf1 ip4:192.0.2.10/032 -all", "no network"),
        ("v=spf1 redirect=", "no term"),
        ("v=spf1 ours=%x -all", "no term"),
        ("v=spf1 include:near.example -all", "no SPF record"),
        ("v=spf1 redirect=near.example", "no SPF record"),
        ("v=spf1 include:two.example -all", "2 SPF records"),
        ("v=spf1 include:loop.example -all", "10 look-ups"),
        ("v=spf1 " + "a:mail.example " * 11 + "-all", "10 look-ups"),
        ("v=spf1 a:n1.example a:n2.example a:n3.example -all", "n3.example"),
    ],
)
def test_what_makes_a_record_invalid(record: str, words: str) -> None:
    found, detail = result(record, "203.0.113.9")
    assert (found, words in detail) == ("permerror", True), detail


def test_the_limits_are_reached_and_not_exceeded() -> None:
    assert result("v=spf1 " + "a:mail.example " * 10 + "-all", "203.0.113.9") == ("fail", "")
    assert result("v=spf1 a:n1.example a:n2.example -all", "203.0.113.9") == ("fail", "")
    assert (
        result("v=spf1 " + "a:x.example " * 11, **{"x.example A": ["203.0.113.9"]}, address="203.0.113.9")[0]
        == "pass"
    )


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            ["a", "mx", "include", "ip4", "ip6", "exists", "redirect", "exp", "all", "ptr"]
        ).flatmap(
            lambda name: st.text(":/=%{}.-+~?ilsodvr0123456789abé ", max_size=12).map(
                lambda rest: name + rest
            )
        ),
        max_size=5,
    )
)
def test_whatever_a_record_says_there_is_a_result(terms: list[str]) -> None:
    for address in ("192.0.2.10", "2001:db8::10"):
        found, detail = result("v=spf1 " + " ".join(terms), address)
        assert found in get_args(Result) and bool(detail) == (found in ("permerror", "temperror"))


def test_silence_is_no_answer() -> None:
    assert result("v=spf1 a:silent.example -all")[0] == "temperror"
    assert result("v=spf1 include:silent.example -all")[0] == "temperror"


def test_an_address_of_a_record_stands_for_it() -> None:
    dns = Dns({**ZONE, "a.example TXT": ["v=spf1 a mx include:%{i}.example include:_spf.relay.example -all"]})
    assert str(example("a.example", dns)) == "198.51.100.0"
    assert example("loop.example", dns) is None
    assert len(dns.asked) < 30
    spokes = [f"{letter}{n}.example" for letter in "ab" for n in range(9)]
    record = "v=spf1 " + " ".join(f"include:{name}" for name in spokes)
    wheel = Dns({f"{name} TXT": [record] for name in spokes})
    assert example("a0.example", wheel) is None
    assert len(wheel.asked) < 30
