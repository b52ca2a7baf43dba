"""What the HTTP handlers are handed."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from hookline.clock import Clock
from hookline.dispatch import Dispatcher
from hookline.dispatch.replays import Replayer
from hookline.intake import Intake
from hookline.mail.campaigns import CampaignRunner
from hookline.mail.erasing import Eraser
from hookline.mail.sender import Mailer
from hookline.net.http import HttpClient
from hookline.settings import Settings
from hookline.storage import Storage


class Services(Struct, frozen=True):
    """``token_key`` signs the links in mails; ``wall`` is real time in seconds, at which others sign."""

    settings: Settings
    storage: Storage
    intake: Intake
    dispatcher: Dispatcher
    http: HttpClient
    mailer: Mailer
    campaigns: CampaignRunner
    eraser: Eraser
    replayer: Replayer
    clock: Clock
    wall: Callable[[], float]
    token_key: bytes
