"""Where hooks may reach: the URLs and addresses that are refused, and why, in words for users.

A user's URL is judged twice. ``Targets.check_url`` looks at the text alone, when a hook is saved and
before each request; ``Targets.check_address`` looks at the address that is about to be connected to.
The first gives early, clear messages; the second is what keeps a name from leading inside.

The address ranges are those of the IANA special-purpose registries (RFC 6890, RFC 8190). They are
written out because the meaning of ``ipaddress.is_global`` changes between versions of Python. For IPv6
only global unicast space (2000::/3) is open, so that what is assigned later starts closed.
"""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, NoReturn
from urllib.parse import quote

import idna
from msgspec import Struct

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048

_V4 = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        (
            "168.63.129.16/32",
            "cloud platform's own",
        ),  # Azure's DNS and control plane, behind a public address
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_V6 = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private (unique local)"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_MAPPED_V6 = IPv6Network("::ffff:0:0/96")
_LOOPBACKS: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

# Services that a POST could talk into something: the "bad ports" of the Fetch standard, and the
# databases, queues and control planes that usually listen without a password.
REFUSED_PORTS = frozenset(range(80)) | {
    87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179,
    389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636,
    873, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306,
    3389, 3659, 4045, 4190, 4222, 5060, 5061, 5432, 5672, 5900, 6000, 6379, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 9042, 9092, 9200, 9300, 10080, 10250, 11211, 27017,
}  # fmt: skip
MAIL_PORTS = frozenset({25, 465, 587})

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?", re.ASCII)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)


class TargetRefused(Exception):
    """A target that hooks may not reach; the text says why, for the user who wrote it."""


class Url(Struct, frozen=True):
    """A checked URL: ``host`` is lower-case ASCII without brackets or a final dot, ``target`` the path
    and query as sent, ``literal`` the address if the host is one."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str
    literal: Address | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


class Targets(Struct, frozen=True):
    """The rules: everything public, and what the operator allows besides (HOOKLINE_ALLOW_TARGETS).

    ``own_ports`` are the protocol's own, open though they are no ports of HTTP.
    """

    allow: tuple[Network, ...] = ()
    own_ports: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Targets:
        """Reads networks or single addresses separated by commas; ``ValueError`` names the bad one."""
        return cls(tuple(_network(part.strip()) for part in text.split(",") if part.strip()))

    def for_mail(self) -> Targets:
        """The same for SMTP servers."""
        return Targets(self.allow, MAIL_PORTS)

    def check_server(self, host: str, port: int) -> None:
        """Judges a server that is no URL's, without DNS; raises ``TargetRefused``."""
        name, _ = _split(f"[{host}]" if ":" in host else host)
        literal = _literal(name)
        self._judge(Url("http", name if literal is None else str(literal), port, "", literal))

    def check_url(self, url: str) -> Url:
        """Judges what can be judged without DNS; raises ``TargetRefused``."""
        if len(url) > MAX_URL:
            _refuse(f"the URL is longer than {MAX_URL} characters")
        if not url.isprintable() or " " in url or "\\" in url:
            _refuse("the URL holds a space, an invisible character or a backslash")
        if "#" in url:
            _refuse("the URL has a fragment (#…), which is never sent; leave it out")
        match = _URL.fullmatch(url)
        if match is None:
            _refuse("the URL must begin with http:// or https://")
        scheme: Literal["http", "https"] = "https" if match[1].lower() == "https" else "http"
        host, port = _split(match[2])
        port = (443 if scheme == "https" else 80) if port is None else port
        target = quote(match[3] if match[3].startswith("/") else "/" + match[3], safe="%/?:@!$&'()*+,;=[]")
        literal = _literal(host)
        return self._judge(Url(scheme, host if literal is None else str(literal), port, target, literal))

    def check_port(self, port: int) -> None:
        """Raises ``TargetRefused`` for a port that is open at allowed addresses only."""
        if (why := self._port_objection(port)) is not None:
            _refuse(why)

    def check_address(self, address: Address, port: int | None = None) -> None:
        """Raises ``TargetRefused`` unless the address (and the port, if given) may be connected to."""
        if (why := self.objection(address, port)) is not None:
            _refuse(f"{address}: {why}")

    def objection(self, address: Address, port: int | None = None) -> str | None:
        """Why the address may not be connected to, in words that do not repeat it; None if it may."""
        real = _unwrap(address)
        if any(real in network for network in self.allow):
            return None
        if (kind := _kind(real)) is not None:
            return f"this is a {kind} address, and hooks reach public ones only (see HOOKLINE_ALLOW_TARGETS)"
        return None if port is None else self._port_objection(port)

    def _judge(self, url: Url) -> Url:
        if url.literal is not None:
            self.check_address(url.literal, url.port)
        # A refused port may still be right for a name that leads to an allowed address: ``Dns.vet`` looks there.
        elif not self.allow and (why := self._port_objection(url.port)) is not None:
            _refuse(why)
        elif url.host.rpartition(".")[2] == "localhost" and not self._allows_loopback():
            _refuse("localhost is this machine, and hooks reach public addresses only")
        return url

    def _port_objection(self, port: int) -> str | None:
        if port not in REFUSED_PORTS - self.own_ports:
            return None
        return f"port {port} belongs to another service than {'SMTP' if self.own_ports else 'HTTP'}"

    def _allows_loopback(self) -> bool:
        return any(
            net.version == loop.version and net.overlaps(loop) for net in self.allow for loop in _LOOPBACKS
        )


def _refuse(why: str) -> NoReturn:
    raise TargetRefused(why)


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"HOOKLINE_ALLOW_TARGETS: {text!r} is no network in CIDR form: {error}") from None
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED_V6) and network.prefixlen >= 96:
        raise ValueError(f"HOOKLINE_ALLOW_TARGETS: {text!r} is an IPv4-mapped network: write it as IPv4")
    return network


def _split(authority: str) -> tuple[str, int | None]:
    """The normalised host (RFC 3986 3.2, IDNA 2008 with UTS 46 mapping) and the port, if one is given."""
    if "@" in authority:
        _refuse("the URL holds a user name or password; use a header or a connection for credentials")
    if "%" in authority:
        _refuse("the host holds a percent sign (an escape or a zone id)")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        _refuse("the host or the port of the URL is malformed")
    host, port = match[1], None if match[2] is None else int(match[2])
    if port is not None and not 0 < port < 65536:
        _refuse("the port must be between 1 and 65535")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError as error:
            _refuse(f"the host is no valid international domain name: {error}")
    host = host.lower().removesuffix(".")
    if not host:
        _refuse("the URL has no host")
    return host, port


def _literal(host: str) -> Address | None:
    """The address that the host spells, None for a name; malformed literals and names are refused.

    Whatever ends in a number is meant as IPv4 (WHATWG URL, "ends in a number"): resolvers read
    2130706433, 0177.0.0.1, 0x7f.1 and 127.1 as 127.0.0.1, so just the plain dotted form passes.
    """
    if host.startswith("["):
        try:
            return IPv6Address(host[1:-1])
        except ValueError:
            _refuse("the host is no valid IPv6 address")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return IPv4Address(host)
        except ValueError:
            _refuse("a numeric host must be an IPv4 address in its plain form, like 192.0.2.1")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse("the host is no valid domain name")
    return None


def _unwrap(address: Address) -> Address:
    """An IPv4-mapped address (::ffff:0:0/96) is its IPv4 address on the wire."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _kind(address: Address) -> str | None:
    """What sort of address it is, None for a globally reachable one."""
    if isinstance(address, IPv4Address):
        return next((what for network, what in _V4 if address in network), None)
    named = next((what for network, what in _V6 if address in network), None)
    return named or (None if address in _GLOBAL_V6 else "reserved")
