"""Records of the DNS, for checks that people ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import dns.exception
import dns.resolver

SECONDS = 5.0
_WITH_PORT = re.compile(r"(\[[^]]*\]|[^:]*):(\d{1,5})", re.A)


def lookup(
    name: str, kind: Literal["TXT", "A", "AAAA", "MX"] = "TXT", nameserver: str = ""
) -> list[str] | None:
    """The records of a name, none where there are none, ``None`` where nobody could say. It blocks.

    A text is whole, however many pieces it was sent in; of MX records the servers are named, the best first.
    ``nameserver`` is an address, with a port where it is not 53 (``[::1]:5353``); "" for the system's.
    """
    try:
        resolver = dns.resolver.Resolver(configure=not nameserver)
        if nameserver:
            resolver.nameservers, resolver.port = _server(nameserver)
        resolver.lifetime = SECONDS
        answer = resolver.resolve(name, kind)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError, ValueError):
        return None
    return list(_texts(answer, kind))


def _server(text: str) -> tuple[list[str], int]:
    found = _WITH_PORT.fullmatch(text)
    host, port = (found[1], int(found[2])) if found else (text, 53)
    return [host.strip("[]")], port


def _texts(answer: Any, kind: str) -> Iterator[str]:
    if kind == "MX":
        for record in sorted(answer, key=lambda record: record.preference):
            if len(record.exchange) > 1:  # a dot says that there is no server (RFC 7505)
                yield record.exchange.to_text(omit_final_dot=True)
    elif kind == "TXT":
        for record in answer:
            yield b"".join(record.strings).decode(errors="replace")
    else:
        for record in answer:
            yield record.address
