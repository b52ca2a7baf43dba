"""`GET /v1/contacts/export`: all contacts, or a list's, as a file that an import takes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Literal

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Stream

from hookline.api.auth import Caller
from hookline.api.errors import ApiError, bad_parameter
from hookline.rules.cells import Listed, cells_of, csv_of, header_of, line_of, note_types
from hookline.rules.rows import FIELDS, MAX_COLUMNS
from hookline.services import Services
from hookline.storage import Storage

CHUNK = 200
MEDIA = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


async def _chunks(storage: Storage, tenant: str, in_list: str | None) -> AsyncIterator[list[Listed]]:
    """All contacts, the oldest first; what is committed meanwhile comes at the end, and nothing is skipped."""
    place = 0
    while True:
        found = await storage.contacts.after(tenant, place, CHUNK, in_list=in_list)
        named = await storage.contacts.lists_named(tenant, [contact.id for contact in found])
        yield [
            Listed(
                contact,
                [name for name, status in named[contact.id] if status == "subscribed"],
                [name for name, status in named[contact.id] if status == "unsubscribed"],
            )
            for contact in found
            if contact.email
        ]
        if len(found) < CHUNK:
            return
        place = found[-1].seq


async def _written(
    chunks: AsyncIterator[list[Listed]], head: bytes, write: Callable[[list[Listed]], bytes]
) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield write(chunk)


def routes(services: Services) -> list[HTTPRouteHandler]:
    storage = services.storage

    @get(
        "/v1/contacts/export",
        tags=["Contacts"],
        operation_id="exportContacts",
        summary="Export contacts as a file",
    )
    async def give(
        key: Caller,
        list: FromQuery[str | None] = None,
        format: FromQuery[Literal["csv", "ndjson"]] = "csv",
        safe: FromQuery[bool] = False,
    ) -> Stream:
        """All, or those subscribed to a list, streamed. An import reads it back as it was; with `safe`, for people's
        eyes, a text that a spreadsheet would take for a formula begins with an apostrophe.
        """
        named = None if list is None else await storage.contacts.list_named(key.tenant, list)
        if list is not None and named is None:
            raise bad_parameter("list", f"there is no list {list!r}")
        in_list = named.id if named else None
        head, write = b"", lambda chunk: b"".join(map(line_of, chunk))
        if format == "csv":
            types: dict[str, str] = {}
            async for chunk in _chunks(storage, key.tenant, in_list):
                for listed in chunk:
                    note_types(listed.contact, types)
                if len(types) + len(FIELDS) > MAX_COLUMNS:
                    raise ApiError(
                        409, f"there are more than {MAX_COLUMNS} attributes: ask for format=ndjson"
                    )
            head = csv_of([header_of(types)])
            write = lambda chunk: csv_of(cells_of(listed, types, safe=safe) for listed in chunk)  # noqa: E731
        return Stream(
            _written(_chunks(storage, key.tenant, in_list), head, write),
            media_type=MEDIA[format],
            headers={"content-disposition": f'attachment; filename="contacts.{format}"'},
        )

    return [give]
