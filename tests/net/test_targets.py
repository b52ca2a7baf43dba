"""The rules on where hooks may reach."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.net.dns import Dns
from hookline.net.targets import MAX_URL, REFUSED_PORTS, TargetRefused, Targets

PUBLIC = Targets()
LOOPBACK = Targets.parse("127.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1/", "loopback"),
        ("http://127.255.255.254/", "loopback"),
        ("http://10.1.2.3/", "private"),
        ("http://172.16.0.1/", "private"),
        ("http://172.31.255.255/", "private"),
        ("http://192.168.1.1/", "private"),
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://168.63.129.16/", "cloud platform"),
        ("http://[::ffff:168.63.129.16]/", "cloud platform"),
        ("http://100.64.0.1/", "carrier-grade NAT"),
        ("http://100.100.100.200/", "carrier-grade NAT"),
        ("http://0.0.0.0/", "unspecified"),
        ("http://0.1.2.3/", "unspecified"),
        ("http://192.0.0.8/", "reserved"),
        ("http://192.0.2.1/", "documentation"),
        ("http://198.51.100.1/", "documentation"),
        ("http://203.0.113.1/", "documentation"),
        ("http://198.18.0.1/", "benchmarking"),
        ("http://198.19.255.255/", "benchmarking"),
        ("http://192.88.99.1/", "reserved"),
        ("http://224.0.0.1/", "multicast"),
        ("http://240.0.0.1/", "reserved"),
        ("http://255.255.255.255/", "broadcast"),
        ("http://[::]/", "unspecified"),
        ("http://[::1]/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "loopback"),
        ("http://[::ffff:a00:1]/", "private"),
        ("http://[0:0:0:0:0:ffff:169.254.169.254]/", "link-local"),
        ("http://[::8.8.8.8]/", "IPv4-compatible"),
        ("http://[::127.0.0.1]/", "IPv4-compatible"),
        ("http://[64:ff9b::8.8.8.8]/", "NAT64"),
        ("http://[64:ff9b::10.0.0.1]/", "NAT64"),
        ("http://[64:ff9b:1::1]/", "NAT64"),
        ("http://[2002:7f00:1::]/", "6to4"),
        ("http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "Teredo"),
        ("http://[2001:2::1]/", "benchmarking"),
        ("http://[2001:10::1]/", "reserved"),
        ("http://[2001:db8::1]/", "documentation"),
        ("http://[3fff::1]/", "documentation"),
        ("http://[fc00::1]/", "unique local"),
        ("http://[fd00:ec2::254]/", "unique local"),
        ("http://[fe80::1]/", "link-local"),
        ("http://[fec0::1]/", "site-local"),
        ("http://[ff02::1]/", "multicast"),
        ("http://[100::1]/", "discard-only"),
        ("http://[5f00::1]/", "reserved"),
        ("http://[::ffff:0:808:808]/", "reserved"),  # SIIT (RFC 7915)
        ("http://[4000::1]/", "reserved"),
        ("http://127.0.0.1./", "loopback"),
        ("http://１２７.0.0.1/", "loopback"),
        ("http://①②⑦.⓪.⓪.①/", "loopback"),
        ("http://127。0。0。1/", "loopback"),
    ],
)
def test_addresses_that_are_not_public_are_refused(url: str, word: str) -> None:
    with pytest.raises(TargetRefused, match=word):
        PUBLIC.check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "134744072",  # 8.8.8.8: a form that is refused even where it leads somewhere public
        "0177.0.0.1",
        "010.8.8.8",
        "0x7f.1",
        "0X7F000001",
        "0x08080808",
        "0x",
        "127.1",
        "127.0.1",
        "8.8",
        "1.2.3.4.5",
        "256.1.1.1",
        "example.1",
        "127.0.0.0x1",
        "0x7f。1",
    ],
)
def test_odd_numeric_hosts_are_refused_wherever_they_lead(host: str) -> None:
    for targets in (PUBLIC, Targets.parse("0.0.0.0/0")):
        with pytest.raises(TargetRefused, match="plain form"):
            targets.check_url(f"http://{host}/")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("gopher://example.com/", "http://"),
        ("//example.com/", "http://"),
        ("example.com", "http://"),
        ("", "http://"),
        ("http:/example.com", "http://"),
        ("http:example.com", "http://"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://:80/", "no host"),
        ("http://./", "no host"),
        ("http://?x=1", "no host"),
        ("http://user@example.com/", "password"),
        ("http://user:secret@example.com/", "password"),
        ("http://example.com@127.0.0.1/", "password"),
        ("http://127.0.0.1#@example.com/", "fragment"),
        ("http://example.com/#part", "fragment"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http:\\\\example.com/", "backslash"),
        ("http://exa mple.com/", "space"),
        (" http://example.com/", "space"),
        ("http://example.com/a b", "space"),
        ("http://example.com/\r\nX: y", "invisible"),
        ("http://example.com/\x00", "invisible"),
        ("http://exam\tple.com/", "invisible"),
        ("http://127.0.0.1\u200b/", "invisible"),
        ("http://127.0\u00ad.0.1/", "invisible"),
        ("http://example.com/\ud800", "invisible"),
        ("http://127.0.0.1%2f@example.com/", "password"),
        ("http://%31%32%37.0.0.1/", "percent"),
        ("http://example%2ecom/", "percent"),
        ("http://[fe80::1%25eth0]/", "percent"),
        ("http://[fe80::1%eth0]/", "percent"),
        ("http://[::1/", "malformed"),
        ("http://::1/", "malformed"),
        ("http://[]/", "IPv6"),
        ("http://[::1].example.com/", "malformed"),
        ("http://[v1.x]/", "IPv6"),
        ("http://[127.0.0.1]/", "IPv6"),
        ("http://example.com:/", "malformed"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:80:80/", "malformed"),
        ("http://example.com:８０/", "malformed"),
        ("http://example.com:+80/", "malformed"),
        ("http://example..com/", "domain name"),
        ("http://example.com../", "domain name"),
        ("http://.example.com/", "domain name"),
        ("http://-example.com/", "domain name"),
        ("http://exa$mple.com/", "domain name"),
        (f"http://{'a' * 64}.com/", "domain name"),
        (f"http://{'.'.join(['a' * 60] * 5)}/", "domain name"),
        ("http://☃.example/", "international"),
        (f"http://example.com/{'a' * MAX_URL}", "longer"),
        ("http://localhost/", "localhost"),
        ("http://localhost./", "localhost"),
        ("http://LOCALHOST:8080/", "localhost"),
        ("http://deep.down.localhost/", "localhost"),
        ("http://ⓛocalhost/", "localhost"),
    ],
)
def test_urls_that_are_malformed_or_misleading_are_refused(url: str, word: str) -> None:
    with pytest.raises(TargetRefused, match=word):
        PUBLIC.check_url(url)


@pytest.mark.parametrize(
    ("url", "whole", "literal"),
    [
        ("http://example.com", "http://example.com:80/", None),
        ("HTTPS://EXAMPLE.com/Path?Q=1", "https://example.com:443/Path?Q=1", None),
        ("https://example.com?q", "https://example.com:443/?q", None),
        ("https://example.com./x", "https://example.com:443/x", None),
        ("http://a_b.example.com:8080/", "http://a_b.example.com:8080/", None),
        ("http://intranet:8080/", "http://intranet:8080/", None),
        ("http://bücher.example/straße", "http://xn--bcher-kva.example:80/stra%C3%9Fe", None),
        ("https://example.com/a%20b/../c?x=%2F&y[]=1&z=a@b", None, None),
        ("http://localhost.example.com/", "http://localhost.example.com:80/", None),
        ("http://8.8.8.8/", "http://8.8.8.8:80/", IPv4Address("8.8.8.8")),
        ("http://[::ffff:8.8.8.8]/", "http://[::ffff:808:808]:80/", IPv6Address("::ffff:808:808")),
        ("http://[2A00:1450::1]:8443/", "http://[2a00:1450::1]:8443/", IPv6Address("2a00:1450::1")),
    ],
)
def test_public_urls_pass_in_their_plain_form(url: str, whole: str | None, literal: object) -> None:
    checked = PUBLIC.check_url(url)
    assert str(checked) == whole or (whole is None and checked.target == url.partition(".com")[2])
    assert checked.literal == literal
    assert PUBLIC.check_url(str(checked)) == checked


@pytest.mark.parametrize(
    "port", [1, 22, 25, 53, 110, 143, 465, 587, 993, 3306, 5432, 6379, 9200, 11211, 27017]
)
def test_ports_of_other_services_are_refused(port: int) -> None:
    for host in ("example.com", "8.8.8.8"):
        with pytest.raises(TargetRefused, match=f"port {port} "):
            PUBLIC.check_url(f"http://{host}:{port}/")
    with pytest.raises(TargetRefused, match=f"port {port} "):
        PUBLIC.check_address(IPv4Address("8.8.8.8"), port)


def test_a_refused_port_is_open_at_an_allowed_address_only() -> None:
    assert LOOPBACK.check_url("http://127.0.0.1:6379/").port == 6379
    LOOPBACK.check_address(IPv4Address("127.0.0.1"), 6379)
    with pytest.raises(TargetRefused, match="port 6379"):
        LOOPBACK.check_url("http://8.8.8.8:6379/")
    # The name may lead to an allowed address; where it does not, its address is refused later.
    assert LOOPBACK.check_url("http://example.com:6379/").port == 6379
    with pytest.raises(TargetRefused, match="port 6379"):
        LOOPBACK.check_address(IPv4Address("8.8.8.8"), 6379)


async def test_a_name_server_that_hangs_refuses_nothing_but_other_services_ports() -> None:
    async def hangs(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    dns = Dns(LOOPBACK, hangs)
    await dns.vet("example.com", 443, seconds=0.001)
    with pytest.raises(TargetRefused, match="port 6379"):
        await dns.vet("example.com", 6379, seconds=0.001)
    await dns.close()


def test_ports_that_web_servers_use_are_open() -> None:
    assert not REFUSED_PORTS & {80, 81, 443, 3000, 4000, 5000, 8000, 8080, 8443, 8888, 9000, 65535}


def test_the_allow_list_lets_its_own_addresses_through_and_no_others() -> None:
    targets = Targets.parse("10.1.0.0/16,2002::/16 , 192.168.1.7,")
    for host in ("10.1.255.255", "192.168.1.7", "[2002::1]", "[::ffff:10.1.0.1]", "8.8.8.8"):
        assert targets.check_url(f"http://{host}/").literal is not None
    for host in ("10.2.0.1", "192.168.1.8", "127.0.0.1", "[::1]", "[::10.1.0.1]", "[::ffff:10.2.0.1]"):
        with pytest.raises(TargetRefused, match="HOOKLINE_ALLOW_TARGETS"):
            targets.check_url(f"http://{host}/")


@pytest.mark.parametrize("allow", ["127.0.0.1", "127.0.0.0/8", "0.0.0.0/0", "::1", "::/0"])
def test_localhost_passes_where_loopback_is_allowed(allow: str) -> None:
    assert Targets.parse(allow).check_url("http://localhost:8080/").host == "localhost"
    assert Targets.parse(allow).check_url("http://app.localhost./").host == "app.localhost"


@pytest.mark.parametrize(
    "text", ["10.0.0.5/8", "10.0.0.0/33", "example.com", "::ffff:10.0.0.0/104", "10.0.0.0-9"]
)
def test_a_bad_network_in_the_allow_list_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        Targets.parse(f"127.0.0.0/8,{text}")


def test_an_empty_allow_list_allows_nothing() -> None:
    assert Targets.parse(" , ") == Targets() == Targets.parse("")


@given(st.integers(0, 2**32 - 1))
def test_an_embedded_ipv4_address_is_judged_as_itself(number: int) -> None:
    plain, mapped = IPv4Address(number), IPv6Address((0xFFFF << 32) | number)
    assert PUBLIC.objection(mapped) == PUBLIC.objection(plain)


@given(st.ip_addresses())
def test_what_python_calls_not_global_is_never_reached(address: IPv4Address | IPv6Address) -> None:
    # One way only: our list is stricter (IPv6 outside 2000::/3, transition mechanisms).
    if PUBLIC.objection(address) is None:
        assert ip_address(str(address)).is_global


@given(st.text(max_size=80) | st.from_regex(r"https?://[^/]{0,40}(/.*)?", fullmatch=True))
def test_any_text_is_refused_or_gives_plain_parts(text: str) -> None:
    try:
        url = PUBLIC.check_url(text)
    except TargetRefused:
        return
    assert str(url).isascii() and " " not in str(url)
    assert PUBLIC.check_url(str(url)) == url
