"""Records asked of a real little name server."""

from __future__ import annotations

import asyncio

from hookline.net.records import lookup
from support.zone import serving_zone

ZONE = {
    "shop.example TXT": ["v=spf1 -all", "other"],
    "long.example TXT": ['v=DKIM1; " "p=abc'],
    "shop.example MX": ["20 second.example.", "10 first.example."],
    "nowhere.example MX": ["0 ."],
    "mx.example A": ["192.0.2.1", "192.0.2.2"],
    "mx.example AAAA": ["2001:db8::1"],
}


async def test_records_of_each_kind() -> None:
    async with serving_zone(ZONE) as server:
        found = await asyncio.to_thread(
            lambda: (
                sorted(lookup("shop.example", "TXT", server) or []),
                lookup("long.example", "TXT", server),
                lookup("shop.example", "MX", server),
                lookup("nowhere.example", "MX", server),
                sorted(lookup("mx.example", "A", server) or []),
                lookup("mx.example", "AAAA", server),
                lookup("absent.example", "A", server),
            )
        )
    assert found == (
        ["other", "v=spf1 -all"],
        ["v=DKIM1; p=abc"],
        ["first.example", "second.example"],
        [],
        ["192.0.2.1", "192.0.2.2"],
        ["2001:db8::1"],
        [],
    )


async def test_a_name_server_may_have_an_address_of_version_6() -> None:
    async with serving_zone(ZONE, "::1") as server:
        assert await asyncio.to_thread(lookup, "mx.example", "AAAA", server) == ["2001:db8::1"]


async def test_what_nobody_can_say_is_told_apart_from_nothing() -> None:
    assert await asyncio.to_thread(lookup, "a" * 64 + ".example", "TXT", "127.0.0.1:9") is None
    assert await asyncio.to_thread(lookup, "shop.example", "TXT", "no address") is None
