"""Reading a file into contacts: streamed, committed in chunks together with how far it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import chain

import msgspec
from msgspec import UNSET, Struct

from hookline.api.bodies import decode
from hookline.api.contacts import ContactInput, checked
from hookline.api.errors import ApiError
from hookline.api.import_chunk import Chunk, fault_of
from hookline.model import EventDraft, Import, LineFault
from hookline.rules.charsets import LONGEST_MARK, Charset, Unreadable
from hookline.rules.contacts import Wrong
from hookline.rules.records import OtherFile, Reader, Record
from hookline.rules.rows import Column, Row, read_header, read_row
from hookline.services import Services
from hookline.storage.imports import MAX_FAULTS, ImportMoved, Upsert, advancing, upserting
from hookline.storage.plans import Plan
from hookline.storage.units import ContactMoved

# Others who write wait for a commit of so many rows: about twenty milliseconds with SQLite.
CHUNK = 150
# Lines that are looked at before how far it is read is stored, although few of them are rows.
MOST_LOOKED_AT = 5000
BREATH = 50
TRIES = 20


class ImportLine(ContactInput, frozen=True, kw_only=True):
    """A line of JSON; beside what a contact takes, the lists that it has left."""

    unsubscribed_lists: list[str] = msgspec.field(default_factory=list)


class Lines(Struct):
    """A chunk: rows that are well-formed, by line, and how many are not, with what is wrong with the first of them;
    and where it ends."""

    rows: list[tuple[int, Row]] = msgspec.field(default_factory=list)
    faults: list[LineFault] = msgspec.field(default_factory=list)
    bad: int = 0
    position: int = 0
    line: int = 0
    digest: bytes = b""

    @property
    def looked_at(self) -> int:
        return len(self.rows) + self.bad


class Importer:
    """Carries one import on from where it is."""

    def __init__(self, services: Services, job: Import, *, new: bool) -> None:
        self._services = services
        self._storage = services.storage
        self._new = new
        self.job = job
        self.stored = not new
        self._lists: dict[str, str | None] = {}
        self._asking: set[str] = set()
        self._since_breath = 0
        self._reader = Reader(job.spec.format)
        self._charset = Charset(job.spec.charset)
        self._columns: list[Column | None] | None = None
        self._committing: asyncio.Task[None] | None = None

    async def run(self, pieces: AsyncIterator[bytes]) -> Import:
        """Read the file to its end. What was committed stays, whatever happens then.

        ApiError 422 for a file that cannot be read at all (nothing is stored then), 409 for one that is not
        the file of this import, or while somebody else carries it on.
        """
        lines = Lines()
        if self.job.spec.list is not None:
            await self._list(self.job.spec.list)
        try:
            async for record in self._records(pieces):
                await self._add(lines, record)
                if len(lines.rows) >= CHUNK or lines.looked_at >= MOST_LOOKED_AT:
                    await self._hand_over(lines, "running")
                    lines = Lines()
            if not self.stored:
                raise ApiError(422, "the file is empty")
            await self._hand_over(lines, "finished")
            await self._committed()
        except (OtherFile, ImportMoved) as error:
            detail = (
                "the import is being carried on elsewhere" if isinstance(error, ImportMoved) else str(error)
            )
            raise ApiError(409, detail) from None
        return self.job

    async def stop(self) -> None:
        """Note that it ended before its file did."""
        if self._committing is not None:
            await asyncio.gather(
                self._committing, return_exceptions=True
            )  # who reads has an error of his own
        if self.stored and self.job.state == "running":
            await self._storage.imports.set_state(self.job, "stopped", self._services.clock.now())

    async def _begin(self) -> None:
        """The file can be read: from here on there is an import."""
        if not self.stored:
            self.job = await self._storage.imports.create(
                msgspec.structs.replace(
                    self.job,
                    position=self._reader.position,
                    line=self._reader.line,
                    digest=self._reader.digest,
                )
            )
            self.stored = True
        elif not self._new:
            self._reader.resume(self.job.position, self.job.line, self.job.digest)

    # --- bytes to rows

    async def _records(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Record]:
        reader, charset, head = self._reader, self._charset, b""
        opened = False
        async for piece in pieces:
            text = piece
            if not opened:
                head += piece
                if len(head) < LONGEST_MARK:
                    continue
                text, opened = await self._open(head), True
            else:
                text = charset.feed(piece)
            for record in reader.feed(text):
                if not await self._is_header(record):
                    yield record
        rest = charset.feed(b"", last=True) if opened else await self._open(head)
        for record in chain(reader.feed(rest), reader.finish()):
            if not await self._is_header(record):
                yield record

    async def _open(self, head: bytes) -> bytes:
        try:
            text = self._charset.open(head)
        except Unreadable as error:
            raise ApiError(422, str(error)) from None
        if self.job.spec.format == "ndjson" and head:
            if text.lstrip()[:1] == b"[":
                raise ApiError(422, "line 1: one object a line is expected, not an array")
            await self._begin()
        return text

    async def _is_header(self, record: Record) -> bool:
        """Whether the record is the first line of a CSV file, which is read then."""
        if self._columns is not None or self.job.spec.format == "ndjson":
            return False
        if record.fault is not None:
            raise ApiError(422, f"line {record.line}: {record.fault}")
        told_delimiter = [record.fields[0].strip().lower(), *record.fields[1:]]
        if record.line == 1 and told_delimiter[0] == b"sep=" and len(told_delimiter) == 2:
            return True  # what Excel puts before the names; the delimiter was found out from it
        try:
            names = [self._charset.text(cell) for cell in record.fields]
            self._columns = read_header(names, self.job.spec.types)
        except ValueError as error:
            raise ApiError(422, f"line {record.line}: {error}") from None
        self._reader.width = len(self._columns)
        await self._begin()
        return True

    async def _add(self, lines: Lines, record: Record) -> None:
        self._since_breath += 1
        if self._since_breath == BREATH:  # others want to be answered, too
            self._since_breath = 0
            await asyncio.sleep(0)
        try:
            if record.fault is not None:
                raise Wrong("", record.fault)
            row = self._row(record)
            if row is None:
                return
            lines.rows.append((record.line, await self._with_lists(row)))
        except Wrong as error:
            lines.bad += 1
            if len(lines.faults) + self.job.bad < MAX_FAULTS:  # a file may be nothing but millions of them
                lines.faults.append(fault_of(record.line, error))

    def _row(self, record: Record) -> Row | None:
        if self._columns is not None:
            return read_row(self._columns, record.fields, self._charset)
        [line] = record.fields
        if not line.strip():
            return None
        try:
            text = line.decode()
            data = decode(text.encode(), ImportLine)
        except UnicodeDecodeError:
            raise Wrong("", "this is not UTF-8") from None
        except ApiError as error:
            fault = error.errors[0] if error.errors else None
            raise Wrong(
                (fault.pointer or "")[1:] if fault else "", fault.detail if fault else error.detail
            ) from None
        lists = () if data.lists is UNSET else tuple(data.lists)
        return Row(checked(data), lists, tuple(data.unsubscribed_lists))

    async def _with_lists(self, row: Row) -> Row:
        """The row with the ids of its lists. Wrong for one that there is not."""
        if not (row.lists or row.unsubscribed_lists):
            return row
        found: dict[str, tuple[str, ...]] = {}
        for field in ("lists", "unsubscribed_lists"):
            ids: list[str] = []
            for name in getattr(row, field):
                list_id = await self._list(name)
                if list_id is None:
                    raise Wrong(f"/{field}", f"there is no list {name[:100]!r}")
                ids.append(list_id)
            found[field] = tuple(ids)
        return msgspec.structs.replace(row, **found)

    async def _list(self, name: str) -> str | None:
        """A list's id, by that or its name."""
        if name not in self._lists:
            if len(self._lists) > MAX_FAULTS:
                self._lists.clear()
            listed = await self._storage.contacts.list_named(self.job.tenant, name)
            self._lists[name] = listed.id if listed else None
            if listed and listed.double_opt_in and not self.job.spec.confirmed:
                self._asking.add(listed.id)
        return self._lists[name]

    # --- rows to contacts

    async def _hand_over(self, lines: Lines, state: str) -> None:
        """Let a chunk be committed, behind the one before it, while the next is read."""
        await self._committed()
        reader = self._reader
        lines.position, lines.line, lines.digest = reader.position, reader.line, reader.digest
        self._committing = asyncio.create_task(self._commit(lines, state))

    async def _committed(self) -> None:
        if self._committing is not None:
            await asyncio.shield(self._committing)

    async def _commit(self, lines: Lines, state: str) -> None:
        """Store a chunk, and that it is read. ContactMoved again and again ends as ApiError 409."""
        emails = list({row.change.fields["email"]: None for _, row in lines.rows})
        for _ in range(TRIES):
            known = await self._storage.imports.known(self.job.tenant, emails) if emails else {}
            now = self._services.clock.now()
            chunk = Chunk(self.job, known, self._asking, now)
            for place, (line, row) in enumerate(lines.rows, 1):
                chunk.work_in(line, row)
                if place % BREATH == 0:
                    await asyncio.sleep(0)
            faults = lines.faults + chunk.faults
            before = self.job
            room = max(0, MAX_FAULTS - before.bad)
            counted = {name: getattr(before, name) + count for name, count in chunk.counts().items()}
            after = msgspec.structs.replace(
                before,
                **counted,
                state=state,
                read=before.read + lines.looked_at,
                bad=before.bad + lines.bad + len(chunk.faults),
                position=lines.position,
                line=lines.line,
                digest=lines.digest,
                updated_at=now,
            )
            write = partial(_write, before, after, chunk.upserts(), sorted(faults, key=_line)[:room])
            drafts = [draft async for draft in self._told(chunk)]
            try:
                await self._services.intake.accept(before.tenant, drafts, write, bulk=True)
            except ContactMoved:
                continue
            self.job = after
            return
        raise ApiError(409, "the contacts are being changed by others at this moment; go on later")

    async def _told(self, chunk: Chunk) -> AsyncIterator[EventDraft]:
        """What the chunk tells that is to be told."""
        for place, draft in enumerate(chunk.drafts(), 1):
            if self.job.spec.events or draft.type == "contact.pending":
                yield draft
            if place % BREATH == 0:
                await asyncio.sleep(0)


def _write(before: Import, after: Import, rows: Sequence[Upsert], faults: Sequence[LineFault]) -> Plan[None]:
    yield from upserting(rows, after.updated_at, resubscribe=after.spec.resubscribe)
    yield from advancing(before, after, faults)


def _line(fault: LineFault) -> int:
    return fault.line
