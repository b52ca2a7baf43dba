"""The contract of storage, on SQLite and on PostgreSQL."""

from __future__ import annotations

from hookline.storage import Storage


async def test_smoke(storage: Storage) -> None:
    assert await storage.events.last_place() == 0
    assert await storage.hooks.everything() == (1, [])
    assert await storage.deliveries.due() == []
    assert await storage.deliveries.claim([("a", 1)], "e", 1) == []
    assert await storage.deliveries.take_over("e", 1) == []
