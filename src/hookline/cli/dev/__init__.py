"""The first five minutes, ``serve --dev``: a key, loopback allowed, mail caught, and an inbox for webhooks."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec.structs import replace

from hookline import __version__
from hookline.app import App
from hookline.cli.dev.front import DevFront
from hookline.cli.keys import make_key
from hookline.cli.postbox import Postbox, postbox
from hookline.rules.keys import digest
from hookline.settings import Settings
from hookline.storage import Storage

__all__ = ["DevFront", "introduce", "prepare"]

LOOPBACK = "127.0.0.0/8,::1/128"
# How to reach what listens on every address.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read here, never listened on
KEY_FILE = "dev.key"

FIRST_STEPS = """\
Hookline {version}, for development. The data is in {home}

  {url}/#key={key}
  {url}/docs        the API
  {url}/dev/mail    {mail}
  {url}/dev/inbox   the webhooks that arrive at the address in the lines below

Two calls, and a signed webhook has arrived:

  curl {url}/v1/hooks -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{"on": ["order.paid"], "do": {{"kind": "webhook", "url": "{url}/dev/inbox"}}}}'

  curl {url}/v1/events -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{"type": "order.paid", "subject": "ada@example.com", "data": {{"amount": 42}}}}'
"""


async def prepare(settings: Settings, stack: AsyncExitStack) -> tuple[Settings, Postbox | None]:
    """Settings that work on one machine; what the user has set stays. The mailbox, where mail is caught."""
    host, _, port = settings.listen.rpartition(":")
    settings = replace(
        settings,
        public_url=settings.public_url or f"http://{EVERYWHERE.get(host, host)}:{port}",
        allow_targets=",".join(filter(None, (settings.allow_targets, LOOPBACK))),
    )
    if settings.smtp_url:
        return settings, None
    box = await stack.enter_async_context(postbox())
    return replace(settings, smtp_url=box.smtp_url), box


async def introduce(app: App, catches_mail: bool) -> None:
    """Say where everything is, with a key that works."""
    settings = app.services.settings
    text = FIRST_STEPS.format(
        version=__version__,
        home=settings.home,
        url=settings.public_url.rstrip("/"),
        key=await _key(app.services.storage, Path(settings.home) / KEY_FILE),
        mail="the mail that was sent: it is caught, nothing leaves this machine"
        if catches_mail
        else "is off: mail goes to the SMTP server that is set",
    )
    print(text, flush=True)


async def _key(storage: Storage, file: Path) -> str:
    """The key of the start before, so that copied lines go on working; else a new one."""
    text = _remembered(file)
    if text is None or await storage.access.key_by_digest(digest(text)) is None:
        text = await make_key(storage, "serve --dev", "manage")
        _remember(file, text)
    return text


def _remembered(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None


def _remember(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
        new.write(text + "\n")
