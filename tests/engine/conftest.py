from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.engine import Engine, running
from support.mailserver import MailServer, serving_mail
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


@pytest.fixture
async def mailserver() -> AsyncIterator[MailServer]:
    async with serving_mail() as opened:
        yield opened


@pytest.fixture
async def post(database_url: str | Path, mailserver: MailServer) -> AsyncIterator[Engine]:
    """The engine with a real SMTP server behind it."""
    async with running(database_url, mailserver.url) as opened:
        yield opened
