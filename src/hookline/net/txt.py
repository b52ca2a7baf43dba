"""TXT records of the DNS, for checks that people ask for."""

from __future__ import annotations

import dns.exception
import dns.resolver

SECONDS = 5.0


def lookup(name: str, nameserver: str = "") -> list[str] | None:
    """The TXT records of a name, none where there are none, ``None`` where nobody could say. It blocks.

    ``nameserver`` is an address, with a port where it is not 53; "" for the system's.
    """
    try:
        resolver = dns.resolver.Resolver(configure=not nameserver)
        if nameserver:
            host, _, port = nameserver.partition(":")
            resolver.nameservers, resolver.port = [host], int(port or 53)
        resolver.lifetime = SECONDS
        answer = resolver.resolve(name, "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError, ValueError):
        return None
    return [b"".join(record.strings).decode(errors="replace") for record in answer]
