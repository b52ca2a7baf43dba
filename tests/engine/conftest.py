from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.engine import Engine, running
from support.receiver import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def engine(database_url: str | Path) -> AsyncIterator[Engine]:
    """The engine on SQLite, then on PostgreSQL."""
    async with running(database_url) as opened:
        yield opened
