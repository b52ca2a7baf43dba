"""The only package that speaks to a database: one ``Storage``, written once, on SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from hookline.storage.accepting import accept_plan
from hookline.storage.access import Access
from hookline.storage.campaigns import Campaigns
from hookline.storage.contacts import Contacts
from hookline.storage.deliveries import Deliveries
from hookline.storage.erasures import Erasures
from hookline.storage.events import Events
from hookline.storage.figures import Figures
from hookline.storage.grouping import Grouped
from hookline.storage.hooks import Hooks
from hookline.storage.imports import Imports
from hookline.storage.mails import Mails
from hookline.storage.migrations import migrate, remember_secret_key
from hookline.storage.plans import Database, Loop, StorageUnavailable
from hookline.storage.postgres import PostgresDatabase
from hookline.storage.recipients import Recipients
from hookline.storage.replays import Replays
from hookline.storage.sealing import Sealer, derive
from hookline.storage.segments import Segments
from hookline.storage.sqlite import SqliteDatabase
from hookline.storage.templates import Templates
from hookline.storage.units import Accepted, Unit

log = structlog.get_logger("hookline.storage")

__all__ = ["Storage", "StorageUnavailable", "derive", "open_storage"]

GROUP = 1000


class Storage:
    """All that is kept. ``accept`` and ``deliveries.settle`` are what creates events and deliveries."""

    def __init__(self, database: Database, secret_key: bytes) -> None:
        sealer = Sealer(secret_key)
        self._db = database
        self.access = Access(database, sealer)
        self.campaigns = Campaigns(database)
        erasing_key = derive(secret_key, "erasing")
        self.contacts = Contacts(database, erasing_key)
        self.erasures = Erasures(database)
        self.deliveries = Deliveries(database)
        self.events = Events(database)
        self.figures = Figures(database)
        self.hooks = Hooks(database, sealer)
        self.mails = Mails(database)
        self.imports = Imports(database, self.contacts.mark)
        self.recipients = Recipients(database, self.contacts.mark)
        self.replays = Replays(database)
        self.templates = Templates(database)
        self.segments = Segments(database)
        self._accepting: Grouped[Unit, list[Accepted]] = Grouped(self._accept_group, GROUP)
        self._refusing = False

    @property
    def dialect(self) -> str:
        return self._db.dialect

    async def accept(self, unit: Unit) -> list[Accepted]:
        """Commit events with every delivery that they owe, and the limits that these spend.

        Units that come while a commit is under way share the next one. Raises StaleConfig,
        SourceIdConflict, ContactMoved (nothing of the unit is stored then) or StorageUnavailable.
        """
        if unit.bulk:
            return await self._accept_alone(unit)
        return await self._accepting.submit(unit)

    async def _accept_group(self, units: Sequence[Unit]) -> Sequence[list[Accepted] | BaseException]:
        try:
            accepted = await self._db.run(lambda: accept_plan(units))
        except StorageUnavailable as error:
            if not self._refusing:  # once, not for each of those who are turned away
                log.warning("nothing can be accepted: the database is away or full", error=str(error))
            self._refusing = True
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to one of them
            if len(units) == 1:
                return [error]
        else:
            self._refusing = False
            return accepted
        # One unit undid its neighbours: each for itself, so that only the guilty one fails.
        return await asyncio.gather(*(self._accept_alone(unit) for unit in units), return_exceptions=True)

    async def _accept_alone(self, unit: Unit) -> list[Accepted]:
        return (await self._db.run(lambda: accept_plan([unit]), bulk=unit.bulk))[0]

    async def listen(self, wakes: Mapping[Loop, Callable[[], None]]) -> None:
        """Call a loop's function when another process has stored work for it; until cancelled.

        Everyone is called when the line to the database was cut and is up again: something may have been
        missed.
        """
        calls = {str(loop): wake for loop, wake in wakes.items()}

        def heard(loop: str) -> None:
            call = calls.get(loop)
            if call is not None:  # a newer Hookline may have more loops
                call()

        await self._db.listen(heard)

    async def close(self) -> None:
        await self._accepting.close()
        await self._db.close()


async def open_storage(url: str | Path, secret_key: bytes) -> Storage:
    """Open a SQLite file (a path) or a PostgreSQL database (``postgresql://…``), at the newest schema.

    ValueError when the database belongs to another secret key; StorageUnavailable when it is away.
    """
    database: Database = PostgresDatabase(url) if isinstance(url, str) else SqliteDatabase(url)
    try:
        await migrate(database)
        await remember_secret_key(database, secret_key)
    except BaseException:
        await database.close()
        raise
    return Storage(database, secret_key)
