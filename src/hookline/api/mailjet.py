"""`/v3/REST/eventcallbackurl` as Mailjet serves it, so that its clients need only another base URL.

A callback URL is a hook on one email event in Mailjet's format; its ``ID`` is the hook's place in our
sequence. Facts are from Mailjet's public API reference.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from hookline.api import errors
from hookline.api.auth import BASIC, Caller
from hookline.api.bodies import decode, refuse_nul
from hookline.api.errors import ApiError, as_api_error
from hookline.api.hook_view import HIDDEN, is_on
from hookline.api.hooks import Desk
from hookline.model import Hook, HookInput, WebhookAction
from hookline.providers import fields
from hookline.rules.mailjet import NAMES, number_of
from hookline.services import Services
from hookline.storage import StorageUnavailable

PATH = "/v3/REST/eventcallbackurl"
MARK = "eventcallbackurl"
"""The key of a hook's metadata that says that it is one of these; its value is the event's name."""
EventType = Literal["sent", "open", "click", "bounce", "blocked", "spam", "unsub"]
PAGE = 250


class Given(Struct, frozen=True, rename="pascal", kw_only=True):
    """What a client writes. What it read it may send back: ``ID`` and the API key's fields change nothing."""

    url: str | None = None
    event_type: EventType | None = None
    version: Literal[1, 2, "1", "2"] | None = None
    is_backup: bool | None = None
    status: Literal["alive", "dead"] | None = None


class Callback(Struct, frozen=True, rename="pascal", kw_only=True):
    """A row, as Mailjet shows it."""

    api_key_id: int = msgspec.field(name="APIKeyID")
    api_key_alt: str = msgspec.field(name="APIKeyALT", default="")
    event_type: str
    id: int = msgspec.field(name="ID")
    is_backup: bool = False
    status: Literal["alive", "dead"]
    url: str
    version: int


class Asked(Struct, frozen=True, rename="pascal", kw_only=True):
    """The filters of a list, and Mailjet's common ones: ``Sort`` is a field's name, with ``desc`` behind it or not;
    ``Limit=0`` asks for all."""

    event_type: EventType | None = None
    status: Literal["alive", "dead"] | None = None
    version: Literal[1, 2, "1", "2"] | None = None
    is_backup: bool | None = None
    url: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    sort: str = "ID asc"
    count_only: bool = False

    def wants(self, row: Callback) -> bool:
        wanted = (self.event_type, self.status, self.is_backup, self.url)
        given = (row.event_type, row.status, row.is_backup, row.url)
        version = self.version is None or int(self.version) == row.version
        return version and all(one in (None, other) for one, other in zip(wanted, given, strict=True))

    def order(self) -> tuple[str, bool]:
        """The field to sort by, and whether it falls. ApiError 400."""
        name, _, way = self.sort.replace("+", " ").strip().partition(" ")
        named = dict(zip(Callback.__struct_encode_fields__, Callback.__struct_fields__, strict=True))
        field = {shown.lower(): own for shown, own in named.items()}.get(name.lower())
        if field is None or way.strip().lower() not in ("", "asc", "desc"):
            raise ApiError(400, f"Sort: one of {', '.join(named)}, and asc or desc")
        return field, way.strip().lower() == "desc"


class Callbacks(Struct, frozen=True, rename="pascal"):
    """How Mailjet wraps every answer."""

    count: int
    data: list[Callback]
    total: int


class Fault(Struct, frozen=True, rename="pascal"):
    """Mailjet's errors."""

    error_info: str
    error_message: str
    status_code: int


class CallbackDesk:
    """The hooks of a tenant that are callback URLs."""

    def __init__(self, services: Services) -> None:
        self._desk = Desk(services)
        self._hooks = services.storage.hooks
        self._turn = asyncio.Lock()  # of an event's callbacks there is one, also when two are made at once

    async def all(self, tenant: str) -> list[Hook]:
        """The oldest first."""
        found: list[Hook] = []
        before: int | None = None
        while page := await self._hooks.page(tenant, limit=PAGE, before=before):
            found += [hook for hook in page if _event_type(hook)]
            before = page[-1].seq
        return found[::-1]

    async def find(self, tenant: str, name: str) -> Hook:
        """By ``ID``, or by Mailjet's other key: ``open|false``. ApiError 404."""
        wanted, _, backup = unquote(name).partition("|")
        for hook in await self.all(tenant):
            if str(hook.seq) == wanted or (
                _event_type(hook) == wanted and backup.lower() in ("", "0", "false")
            ):
                return hook
        raise ApiError(404, "Object not found")

    async def create(self, tenant: str, given: Given) -> Hook:
        async with self._turn:
            return await self._create(tenant, given)

    async def change(self, tenant: str, name: str, given: Given) -> Hook:
        async with self._turn:
            return await self._change(tenant, name, given)

    async def _create(self, tenant: str, given: Given) -> Hook:
        if given.url is None:
            raise ApiError(400, "Url: a callback needs one")
        wanted = given.event_type or "open"
        if any(_event_type(hook) == wanted for hook in await self.all(tenant)):
            raise ApiError(400, f"EventType: there is a callback for {wanted} already; change it with PUT")
        url, headers = _parted(given.url)
        action = WebhookAction(url=url, headers=headers, format=_format(given.version or 1))
        spec = HookInput(
            name=f"Mailjet's {wanted}",
            on=_on(wanted),
            do=action,
            metadata={MARK: wanted},
            enabled=given.status != "dead",
        )
        return await self._desk.create(tenant, spec)

    async def _change(self, tenant: str, name: str, given: Given) -> Hook:
        hook = await self.find(tenant, name)
        action = hook.spec.do
        patch: dict[str, Any] = {}
        do: dict[str, Any] = {}
        wanted = given.event_type
        if wanted is not None and wanted != _event_type(hook):
            if any(_event_type(other) == wanted for other in await self.all(tenant)):
                raise ApiError(400, f"EventType: there is a callback for {wanted} already")
            patch |= {"on": _on(wanted), "metadata": {MARK: wanted}, "name": f"Mailjet's {wanted}"}
        if given.version is not None:
            do["format"] = _format(given.version)
        if given.url is not None and isinstance(action, WebhookAction):
            do["url"], headers = _parted(given.url, action)
            do["headers"] = dict.fromkeys(action.headers) | headers
            patch["enabled"] = True  # as with Mailjet: a new URL brings a dead callback back to life
        if given.status is not None:
            patch["enabled"] = given.status == "alive"
        _, after = await self._desk.change(tenant, hook.id, patch | ({"do": do} if do else {}))
        return after

    async def delete(self, tenant: str, name: str) -> None:
        await self._desk.delete(tenant, (await self.find(tenant, name)).id)


def _event_type(hook: Hook) -> str | None:
    """The event that a hook is a callback for, if it is one."""
    written = isinstance(hook.spec.do, WebhookAction) and hook.spec.do.format in FORMATS.values()
    return hook.spec.metadata.get(MARK) if written else None


def _on(event_type: str) -> list[str]:
    return [ours for ours, theirs in NAMES.items() if theirs == event_type]


FORMATS: dict[int, Literal["mailjet", "mailjet-grouped"]] = {1: "mailjet", 2: "mailjet-grouped"}


def _format(version: int | str) -> Literal["mailjet", "mailjet-grouped"]:
    return FORMATS[int(version)]


def _parted(url: str, before: WebhookAction | None = None) -> tuple[str, dict[str, str]]:
    """A URL without its name and password, and the header that they are sent in (RFC 7617).

    A password as it is shown stands for the one that there is, which follows to no other host. ApiError 400.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ApiError(400, "Url: this is no URL") from None
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    bare = urlunsplit(parts._replace(netloc=host))
    user, _, password = (unquote(part) for part in userinfo.partition(":"))
    if password == HIDDEN and before is not None and "Authorization" in before.headers:
        old = urlsplit(before.url)
        if (user, parts.scheme, host.lower()) != (_user(before), old.scheme, old.netloc.lower()):
            raise ApiError(400, "Url: with another host or name, give the password again")
        return bare, {"Authorization": before.headers["Authorization"]}
    return bare, {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def _user(action: WebhookAction) -> str:
    """The name that it is called with, "" for none."""
    scheme, _, encoded = action.headers.get("Authorization", "").partition(" ")
    try:
        return b64decode(encoded).decode().partition(":")[0] if scheme == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _whole(action: WebhookAction) -> str:
    """The URL with its name, and its password hidden."""
    user = _user(action)
    parts = urlsplit(action.url)
    return (
        urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{HIDDEN}@{parts.netloc}"))
        if user
        else action.url
    )


def _shown(hook: Hook) -> Callback:
    action = hook.spec.do
    grouped = isinstance(action, WebhookAction) and action.format == FORMATS[2]
    return Callback(
        api_key_id=number_of(hook.tenant, 31),
        event_type=_event_type(hook) or "",
        id=hook.seq,
        status="alive" if is_on(hook) else "dead",
        url=_whole(action) if isinstance(action, WebhookAction) else "",
        version=2 if grouped else 1,
    )


def _answer(hook: Hook) -> Callbacks:
    return Callbacks(1, [_shown(hook)], 1)


def _asked(query: Mapping[str, str]) -> Asked:
    """The filters of a list, whose names Mailjet's clients spell ``Limit`` or ``limit``. ApiError 400."""
    names = {name.lower(): name for name in Asked.__struct_encode_fields__}
    given = {names[name.lower()]: text for name, text in query.items() if name.lower() in names and text}
    try:
        asked = msgspec.convert(given, Asked, strict=False)
    except msgspec.ValidationError as error:
        raise errors.from_validation(error, Asked) from None
    asked.order()
    return asked


def _checked(given: Given) -> Given:
    if given.is_backup:
        raise ApiError(400, f"IsBackup: {errors.NOT_YET}; what a dead callback missed can be replayed")
    return given


def _given(body: bytes) -> Given:
    """What a client wrote: JSON, whatever it calls it, or a form, as Mailjet's older clients send. As with Mailjet,
    numbers and truths may be texts. ApiError."""
    if body.lstrip()[:1] in (b"{", b""):
        value: Any = decode(body or b"{}", dict[str, Any])
    else:
        try:
            value = fields.form(body)
        except ValueError:
            raise ApiError(400, "the body is not JSON: send an object") from None
        refuse_nul(value)
    try:
        return _checked(msgspec.convert(value, Given, strict=False))
    except msgspec.ValidationError as error:
        raise errors.from_validation(error, Given) from None


def _handle(request: Request[Any, Any, Any], error: Exception) -> Response[Fault]:
    """Our errors in Mailjet's words: what is wrong with a field is a 400."""
    problem = as_api_error(error)
    status = 400 if problem.status == 422 else problem.status
    detail = problem.detail.replace("#/do/url", "Url").replace("#/", "")
    return Response(Fault("", detail, status), status_code=status, headers=problem.headers)


def routes(services: Services) -> list[HTTPRouteHandler]:
    desk = CallbackDesk(services)
    handlers: Any = {
        ApiError: _handle,
        HTTPException: _handle,
        StorageUnavailable: _handle,
        Exception: _handle,
    }
    common: dict[str, Any] = {"opt": BASIC, "exception_handlers": handlers, "include_in_schema": False}

    @get(PATH, **common)
    async def index(request: Request[Any, Any, Any], key: Caller) -> Callbacks:
        asked = _asked(request.query_params)
        rows = [_shown(hook) for hook in await desk.all(key.tenant)]
        found = [row for row in rows if asked.wants(row)]
        field, falling = asked.order()
        found.sort(key=lambda row: getattr(row, field), reverse=falling)
        page = [] if asked.count_only else found[asked.offset :][: asked.limit or None]
        return Callbacks(len(found) if asked.count_only else len(page), page, len(found))

    @post(PATH, **common)
    async def create(request: Request[Any, Any, Any], key: Caller) -> Callbacks:
        return _answer(await desk.create(key.tenant, _given(await request.body())))

    @get(PATH + "/{name:str}", **common)
    async def one(key: Caller, name: FromPath[str]) -> Callbacks:
        return _answer(await desk.find(key.tenant, name))

    @put(PATH + "/{name:str}", **common)
    async def change(request: Request[Any, Any, Any], key: Caller, name: FromPath[str]) -> Callbacks:
        return _answer(await desk.change(key.tenant, name, _given(await request.body())))

    @delete(PATH + "/{name:str}", **common)
    async def remove(key: Caller, name: FromPath[str]) -> None:
        await desk.delete(key.tenant, name)

    return [index, create, one, change, remove]
