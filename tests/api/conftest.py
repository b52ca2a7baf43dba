"""A whole Hookline, served over real HTTP, and a client with a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookline.clock import ManualClock
from hookline.settings import Settings
from support.client import Client, client_of
from support.engine import START
from support.mailserver import MailServer, serving_mail
from support.receiver import Receiver, receiving


def _settings(home: Path, **more: str) -> Settings:
    return Settings(home=str(home), allow_targets="127.0.0.0/8", secret_key="00" * 32, **more)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Client]:
    """A client with a key that may do everything."""
    async with client_of(_settings(tmp_path)) as client:
        yield client


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[Client, ManualClock]]:
    """The same under a clock that the test owns."""
    clock = ManualClock(START)
    async with client_of(_settings(tmp_path), clock) as client:
        yield client, clock


@pytest.fixture
async def either_api(tmp_path: Path, database_url: str | Path) -> AsyncIterator[Client]:
    """As ``api``, on SQLite and then on PostgreSQL."""
    database = database_url if isinstance(database_url, str) else ""
    async with client_of(_settings(tmp_path, database=database)) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def mailserver() -> AsyncIterator[MailServer]:
    async with serving_mail() as made:
        yield made


@pytest.fixture
async def mail_api(tmp_path: Path, mailserver: MailServer) -> AsyncIterator[Client]:
    """As ``api``, with a real SMTP server behind it and a public URL for links (which is not asked for)."""
    more = {"smtp_url": mailserver.url, "public_url": "https://mail.example"}
    async with client_of(_settings(tmp_path, **more)) as client:
        yield client


@pytest.fixture
async def deaf_api(tmp_path: Path, mailserver: MailServer) -> AsyncIterator[Client]:
    """As ``mail_api``, but with no public URL, so that no reader could be heard."""
    async with client_of(_settings(tmp_path, smtp_url=mailserver.url)) as client:
        yield client
