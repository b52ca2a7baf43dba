"""TXT records asked of a real little name server, and what the receivers' rules make of them."""

from __future__ import annotations

import asyncio

import dns.message
import dns.rrset

from hookline.net.txt import lookup
from hookline.rules.receivers import findings

RECORDS = {"shop.example.": "v=spf1 -all", "_dmarc.shop.example.": "v=DMARC1; p=reject"}
MAIL = (
    b"From: a@shop.example\r\nList-Unsubscribe: <https://m.example/t/u/x>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nhttps://m.example/t/u/x\r\n"
)


class Server(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        asked = dns.message.from_wire(data)
        answer = dns.message.make_response(asked)
        name = asked.question[0].name
        if str(name) in RECORDS:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", f'"{RECORDS[str(name)]}"'))
        self.transport.sendto(answer.to_wire(), addr)  # type: ignore[attr-defined]


async def test_the_rules_hold_by_what_the_dns_says() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    where = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"

    async def found(sender: str, mail: bytes = MAIL) -> dict[str, str]:
        asked = await asyncio.to_thread(
            findings, mail, sender, None, sender, lambda name: lookup(name, where)
        )
        return {one.rule: one.verdict for one in asked}

    told = await found("a@shop.example")
    assert told.pop("DKIM") == "unknown" and set(told.values()) == {"holds"}, told
    other = await found("a@other.example", b"From: a@other.example\r\n\r\n" + b"x" * 110_000)
    assert {rule for rule, verdict in other.items() if verdict == "does not"} == {
        "SPF", "DMARC", "one-click unsubscribing", "visible unsubscribe link", "size",
    }  # fmt: skip
    transport.close()
