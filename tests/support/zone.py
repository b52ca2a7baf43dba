"""A DNS zone as data: for rules that ask for records, and as a real little name server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Sequence[str]]
"""Records by ``"name TYPE"``; MX as ``"10 mx.example."`` where they are served, else the servers' names."""


class Dns:
    """Answers as ``rules.spf.Lookup``; names in ``silent`` are answered by nobody. ``asked`` keeps the questions."""

    def __init__(self, zone: Zone, silent: Sequence[str] = ()) -> None:
        self.zone, self.silent = zone, silent
        self.asked: list[str] = []

    def __call__(self, name: str, kind: str) -> Sequence[str] | None:
        self.asked.append(f"{name} {kind}")
        return None if name in self.silent else self.zone.get(f"{name} {kind}", [])


class _Server(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = dns.message.from_wire(data)
        answer = dns.message.make_response(asked)
        question = asked.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        found = self._zone.get(f"{question.name.to_text(omit_final_dot=True)} {kind}", ())
        if found:
            texts = [f'"{text}"' if kind == "TXT" else text for text in found]
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *texts))
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def serving_zone(zone: Zone, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The address of a name server that knows this zone."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Server(zone), local_addr=(host, 0))
    try:
        yield f"{f'[{host}]' if ':' in host else host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
