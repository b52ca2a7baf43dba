"""`/t/o/…`, `/t/c/…`, `/t/h/…`: a reader's program fetches the pixel, follows a link, or one that cannot be seen.

Past the framework, because thousands come at once when a campaign has gone out. They are recorded in groups: while
one is being committed the next gathers, so that an answer is on disk within two commits. A reader waits for that
only while there are few of them; what he is to see depends on the token alone. What cannot be stored is kept in
memory until the database is back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import quote

import msgspec
import structlog
from litestar.types import HTTPScope, Send

from hookline.api.mail_events import mail_event
from hookline.mail.sender import SOURCE
from hookline.model import SECOND, EventDraft
from hookline.rules import tokens
from hookline.rules.bursts import HIDDEN
from hookline.rules.machines import classify_click, classify_open
from hookline.services import Services
from hookline.storage import StorageUnavailable

log = structlog.get_logger("hookline.tracking")

# A transparent pixel (GIF89a): header, screen of 1 x 1 with two colours, the second transparent, one frame.
PIXEL = bytes.fromhex(
    "474946383961 0100 0100 80 00 00 000000 ffffff 21f904 01 0000 01 00"
    "2c 0000 0000 0100 0100 00 02 02 4c01 00 3b"
)
PATIENCE = 0.2
"""Seconds that a reader waits for the database before he gets his page; the recording goes on."""
FEW = 10
"""More than so many within a second do not wait at all."""
GROUP = 250
LATE = SECOND // 10
BREATH = 20  # hits made into events, one after another
MOST_KEPT = 100_000
LONGEST_AGENT = 1000
HEADERS = {
    "cache-control": "no-store, private",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
_HEADERS = (
    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
    (b"x-content-type-options", b"nosniff"),
)
_OPENED = (*_HEADERS, (b"content-type", b"image/gif"), (b"content-length", str(len(PIXEL)).encode()))
Readable = tokens.OpenToken | tokens.ClickToken | tokens.TrapToken


class Hit(msgspec.Struct, frozen=True):
    """What a reader did, and when."""

    token: Readable
    kind: str
    facts: Mapping[str, Any]
    time: int
    told: asyncio.Future[None]


class Visited(NamedTuple):
    """An answer; of one to HEAD the server leaves out the body. ``told`` is done once the hit is recorded, if that
    is to be waited for, ``PATIENCE`` at most."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    told: asyncio.Future[None] | None = None


class Hits:
    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._intake = services.intake
        self._key = services.token_key
        self._clock = services.clock
        self._waiting: deque[Hit] = deque()
        self._recent: deque[float] = deque(maxlen=FEW)
        self._recording: asyncio.Task[None] | None = None
        self._away = False

    async def answered(self, scope: HTTPScope, send: Send) -> bool:
        """Answer a GET or HEAD of a token that was signed here; false, and nothing done, for anything else."""
        client = scope.get("client")
        found = self.visit(scope["method"], scope["path"], scope["headers"], client[0] if client else None)
        if found is None:
            return False
        if found.told is not None:
            await asyncio.wait({found.told}, timeout=PATIENCE)
        await send({"type": "http.response.start", "status": found.status, "headers": list(found.headers)})
        await send({"type": "http.response.body", "body": found.body, "more_body": False})
        return True

    def visit(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], client: str | None
    ) -> Visited | None:
        """What a reader gets who asks for a path from the address ``client``, its recording begun; ``None``, and
        nothing done, where that is no GET or HEAD of a token that was signed here."""
        if method not in ("GET", "HEAD"):
            return None
        try:
            token = tokens.read(self._key, path[5:])
        except tokens.BadToken:
            return None
        if path.startswith("/t/o/") and isinstance(token, tokens.OpenToken):
            found = Visited(200, _OPENED, PIXEL)
        elif path.startswith("/t/c/") and _is_web(token):
            # What a header cannot hold is escaped; the rest stays as it was written.
            location = quote(token.url, safe="%/:?#[]@!$&'()*+,;=~|^`{}\\")
            found = Visited(
                302, (*_HEADERS, (b"location", location.encode()), (b"content-length", b"0")), b""
            )
        elif path.startswith("/t/h/") and isinstance(token, tokens.TrapToken):
            found = Visited(204, _HEADERS, b"")
        else:
            return None
        return found._replace(told=self._put(token, _about(headers, client))) if method == "GET" else found

    def behind(self) -> bool:
        """Whether what readers did waits for longer than it should, although the database takes it."""
        waits = self._waiting and not self._away
        return bool(waits) and self._clock.now() - self._waiting[0].time > LATE

    async def idle(self) -> None:
        """Return when all that readers did so far is recorded."""
        if self._recording is not None:
            await asyncio.wait({self._recording})

    async def close(self, seconds: float) -> None:
        """The same, or after so many seconds."""
        if self._recording is not None and not self._recording.done():
            await asyncio.wait({self._recording}, timeout=seconds)
            if self._waiting:
                log.error("events of readers are lost: the database is away", count=len(self._waiting))

    def _put(self, token: Readable, about: Mapping[str, Any]) -> asyncio.Future[None] | None:
        """Have a hit recorded; what there is to wait for, if so."""
        loop = asyncio.get_running_loop()
        agent = about.get("user_agent")
        if isinstance(token, tokens.OpenToken):
            kind, (machine, reason) = "email.opened", classify_open(agent)
            facts = {**about, "machine": machine, "machine_reason": reason}
        elif isinstance(token, tokens.TrapToken):
            kind, facts = "email.clicked", {**about, "machine": True, "machine_reason": HIDDEN}
        else:
            kind, (machine, reason) = "email.clicked", classify_click(agent)
            facts = {
                **about,
                "machine": machine,
                "machine_reason": reason,
                "url": token.url,
                "link": token.link,
            }
        if len(self._waiting) >= MOST_KEPT:
            log.error("an event of a reader is lost: too many wait", type=kind, message=token.message)
            return None
        hit = Hit(token, kind, facts, self._clock.now(), loop.create_future())
        self._waiting.append(hit)
        if self._recording is None or self._recording.done():
            self._recording = asyncio.create_task(self._record())
        now = loop.time()
        many = len(self._recent) == FEW and now - self._recent[0] < 1.0
        self._recent.append(now)
        return None if many or self._away else hit.told

    async def _record(self) -> None:
        while self._waiting:
            group = self._next()
            try:
                await self._store(group)
                self._away = False
            except StorageUnavailable as error:
                if not self._away:
                    log.warning("storage away, what readers do is kept in memory", error=str(error))
                self._away = True
                self._waiting.extendleft(reversed(group))
            except Exception:  # no fault of ours keeps a reader from his page
                messages = [hit.token.message for hit in group]
                log.error("events of readers are lost", messages=messages, exc_info=True)
            for hit in group:
                if not hit.told.done():
                    hit.told.set_result(None)
            if self._away:
                await self._clock.wait(asyncio.Event(), self._clock.now() + SECOND)

    def _next(self) -> list[Hit]:
        """The next hits to be stored, all or none: those of one tenant."""
        group = [self._waiting.popleft()]
        tenant = group[0].token.tenant
        while self._waiting and len(group) < GROUP and self._waiting[0].token.tenant == tenant:
            group.append(self._waiting.popleft())
        return group

    async def _store(self, group: Sequence[Hit]) -> None:
        tenant = group[0].token.tenant
        messages = await self._storage.campaigns.messages(tenant, {hit.token.message for hit in group})
        drafts: list[EventDraft] = []
        for place, hit in enumerate(group, 1):
            message = messages.get(hit.token.message)
            if message is not None:
                drafts.append(mail_event(hit.kind, SOURCE, message, hit.facts, time=hit.time))
            if place % BREATH == 0:
                await asyncio.sleep(0)
        if drafts:
            await self._intake.accept(tenant, drafts)


def _is_web(token: tokens.Token) -> TypeGuard[tokens.ClickToken]:
    return isinstance(token, tokens.ClickToken) and token.url.lower().startswith(("http://", "https://"))


def _about(headers: Iterable[tuple[bytes, bytes]], client: str | None) -> dict[str, Any]:
    """Who asks, as far as the connection tells."""
    agent = next((value for name, value in headers if name == b"user-agent"), b"")
    told = {"ip": client, "user_agent": agent.decode("latin-1")[:LONGEST_AGENT] or None}
    return {name: value for name, value in told.items() if value is not None}
