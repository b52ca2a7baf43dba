"""`/v1/contacts/import` and `/v1/imports`: files of contacts, read in a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from hookline.api.auth import Caller
from hookline.api.bodies import check_encoding
from hookline.api.errors import ApiError, bad_parameter, not_found
from hookline.api.importing import Importer
from hookline.api.paging import After, Limit, Page, page_of, place_of
from hookline.model import Import, ImportSpec, LineFault
from hookline.rules import charsets, rows
from hookline.rules.ids import new_id
from hookline.rules.times import format_time
from hookline.services import Services

TAGS = ["Imports"]
FORMATS: dict[str, Literal["csv", "ndjson"]] = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
}
ID_HEADER = "hookline-import"


class ImportShown(Struct, frozen=True, kw_only=True):
    """``read`` lines are ``created`` + ``updated`` + ``unchanged`` + ``bad``. Of bad lines the first 1,000 are in
    ``errors``. ``kept_out`` are contacts that left a list, or all, and were not put back. ``bytes`` of ``size``
    are done.
    """

    id: str
    state: Literal["running", "stopped", "finished"]
    format: Literal["csv", "ndjson"]
    list: str | None
    read: int
    created: int
    updated: int
    unchanged: int
    kept_out: int
    bad: int
    bytes: int
    size: int | None
    created_at: str
    updated_at: str


class ImportReport(ImportShown, frozen=True, kw_only=True):
    errors: list[LineFault]


def _fields(job: Import) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "format": job.spec.format,
        "list": job.spec.list,
        "read": job.read,
        "created": job.created,
        "updated": job.updated,
        "unchanged": job.unchanged,
        "kept_out": job.kept_out,
        "bad": job.bad,
        "bytes": job.position,
        "size": job.spec.size,
        "created_at": format_time(job.created_at),
        "updated_at": format_time(job.updated_at),
    }


def _format(named: str | None, content_type: str) -> Literal["csv", "ndjson"]:
    """ApiError 415 where neither the parameter nor the content type says what it is."""
    if named is not None:
        if named not in ("csv", "ndjson"):
            raise bad_parameter("format", "there are csv and ndjson")
        return "csv" if named == "csv" else "ndjson"
    media = content_type.partition(";")[0].strip().lower()
    if media not in FORMATS:
        raise ApiError(
            415, f"send text/csv or application/x-ndjson, not {media or 'nothing'}; or say ?format=csv"
        )
    return FORMATS[media]


def _charset(named: str | None, content_type: str) -> str | None:
    told = named
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset" and told is None:
            told = value.strip().strip('"')
    try:
        return charsets.known(told) if told else None
    except ValueError as error:
        if named is not None:
            raise bad_parameter("charset", str(error)) from None
        raise ApiError(415, str(error)) from None


def spec_of(
    *, format: str | None, charset: str | None, types: str | None, size: int | None, content_type: str = ""
) -> ImportSpec:
    """How a file is to be read. ApiError 415 or 422 for what cannot be."""
    try:
        read = rows.read_types(types) if types else {}
    except ValueError as error:
        raise bad_parameter("types", str(error)) from None
    return ImportSpec(
        format=_format(format, content_type), charset=_charset(charset, content_type), types=read, size=size
    )


class Imports:
    """What the handlers share."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._storage = services.storage

    async def find(self, tenant: str, import_id: str) -> Import:
        found = await self._storage.imports.get(tenant, import_id)
        if found is None:
            raise not_found("import", import_id)
        return found

    async def report(self, job: Import) -> ImportReport:
        return ImportReport(errors=await self._storage.imports.faults(job.tenant, job.id), **_fields(job))

    async def again(self, tenant: str, import_id: str) -> Import:
        """An import that is to go on. ApiError 409 for one that is finished."""
        found = await self.find(tenant, import_id)
        now = self._services.clock.now()
        if not await self._storage.imports.set_state(found, "running", now):
            raise ApiError(409, f"the import is finished: {found.read} lines were read")
        return found

    async def run(self, job: Import, pieces: AsyncIterator[bytes], *, new: bool) -> ImportReport:
        """Read the file; what it raises names the import, if there is one by then, in a header."""
        importer = Importer(self._services, job, new=new)
        try:
            return await self.report(await importer.run(pieces))
        except ApiError as error:
            if importer.stored:
                error.headers[ID_HEADER] = job.id
            raise
        finally:
            await importer.stop()

    async def new(
        self,
        tenant: str,
        spec: ImportSpec,
        *,
        list: str | None,
        events: bool,
        resubscribe: bool,
        confirmed: bool,
    ) -> Import:
        """An import that is not begun. ApiError 422 for a list that there is not."""
        list_id = None
        if list is not None:
            found = await self._storage.contacts.list_named(tenant, list)
            if found is None:
                raise bad_parameter("list", f"there is no list {list!r}")
            list_id = found.id
        spec = msgspec.structs.replace(
            spec, list=list_id, events=events, resubscribe=resubscribe, confirmed=confirmed
        )
        now = self._services.clock.now()
        return Import(tenant=tenant, id=new_id("imp"), spec=spec, created_at=now, updated_at=now)


def routes(services: Services) -> list[HTTPRouteHandler]:
    book = Imports(services)

    @post(
        "/v1/contacts/import",
        tags=TAGS,
        operation_id="importContacts",
        summary="Import contacts from a file",
        status_code=200,
    )
    async def take(
        *,
        request: Request[Any, Any, Any],
        key: Caller,
        list: FromQuery[str | None] = None,
        format: FromQuery[str | None] = None,
        charset: FromQuery[str | None] = None,
        types: FromQuery[str | None] = None,
        events: FromQuery[bool] = True,
        resubscribe: FromQuery[bool] = False,
        confirmed: FromQuery[bool] = False,
        resume: FromQuery[str | None] = None,
    ) -> Response[ImportReport]:
        """CSV or lines of JSON, of any length, in the body; read as they arrive, and committed as they are read.

        What is known by its email is changed as by `POST /v1/contacts`. The same file again changes nothing,
        but for lines far apart that contradict each other.
        To go on after a break, send the file again with `resume`, the import's id: what was read is passed over.
        """
        content_type = request.headers.get("content-type", "")
        check_encoding(request.headers.get("content-encoding", ""))
        if resume is not None:
            job = await book.again(key.tenant, resume)
        else:
            size = request.headers.get("content-length", "")
            spec = spec_of(
                format=format,
                charset=charset,
                types=types,
                size=int(size) if size.isdigit() else None,
                content_type=content_type,
            )
            job = await book.new(
                key.tenant, spec, list=list, events=events, resubscribe=resubscribe, confirmed=confirmed
            )
        report = await book.run(job, _body(request), new=resume is None)
        return Response(report, headers={ID_HEADER: report.id})

    @get("/v1/imports", tags=TAGS, operation_id="listImports", summary="List imports")
    async def index(key: Caller, limit: Limit = 50, after: After = None) -> Page[ImportShown]:
        found = await services.storage.imports.page(key.tenant, limit=limit + 1, before=place_of(after))
        return page_of(found, limit, lambda job: ImportShown(**_fields(job)))

    @get(
        "/v1/imports/{import_id:str}",
        tags=TAGS,
        operation_id="getImport",
        summary="An import's progress and report",
    )
    async def one(key: Caller, import_id: FromPath[str]) -> ImportReport:
        """While it runs, too."""
        return await book.report(await book.find(key.tenant, import_id))

    return [take, index, one]


async def _body(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body as it comes. ApiError 400 where the connection ends within it."""
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ApiError(
                400, "the connection ended within the file; what was read is kept, and it can go on"
            )
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
