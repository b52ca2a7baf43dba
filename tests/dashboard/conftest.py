"""A real browser on a real server, with a real mail server and a receiver beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from support.browser import PATIENCE, Tab, browsing
from support.client import client_of
from support.mailserver import MailServer, serving_mail
from support.receiver import Receiver, receiving
from support.site import Site, settings_of


@pytest.fixture
async def mailserver() -> AsyncIterator[MailServer]:
    async with serving_mail() as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def site(tmp_path: Path, mailserver: MailServer) -> AsyncIterator[Site]:
    async with client_of(settings_of(str(tmp_path), mailserver.url)) as client:
        yield Site(client)


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    expect.set_options(timeout=PATIENCE)
    async with browsing() as browser:
        yield Tab(await browser.new_page())
