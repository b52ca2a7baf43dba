"""kill -9 while a campaign's deliveries are being made: whoever is on the list gets the mail, and nobody twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import aiohttp

from hookline.dispatch.lanes import MAIL_HANDS
from hookline.mail.campaigns import CHUNK
from support.mailserver import serving_mail
from support.process import Serve
from support.waiting import everything, until

READERS = 2 * CHUNK + 100
HALF_WAY = f"reader{2 * CHUNK - 50}@example.com"
# SQLite comes to no end with this row, so that the server dies with half a chunk stored and not committed.
STUCK = (
    f"CREATE TRIGGER stuck BEFORE INSERT ON deliveries WHEN NEW.address = '{HALF_WAY}' BEGIN"  # noqa: S608 - our own
    " SELECT COUNT(*) FROM deliveries a, deliveries b, deliveries c, deliveries d, deliveries e; END"
)


def run_sql(home: Path, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home / "hookline.db", isolation_level=None, timeout=30)) as connection:
        return connection.execute(text).fetchall()


async def test_killed_in_the_middle_of_a_chunk_everybody_gets_one_mail(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving_mail() as post:
        server = Serve(tmp_path, SMTP_URL=post.url, PUBLIC_URL="http://mail.example")
        await server.start()
        await server.make_key()
        listed = await server.call(http, "POST", "/v1/lists", {"name": "readers"})
        lines = "email\n" + "".join(f"reader{n}@example.com\n" for n in range(READERS))
        headers = {"authorization": f"Bearer {server.key}", "content-type": "text/csv"}
        url = f"{server.url}/v1/contacts/import?list={listed['id']}"
        async with http.post(url, data=lines, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        run_sql(tmp_path, STUCK)
        spec = {"name": "c", "list": listed["id"], "from": "a@example.com", "subject": "s", "text": "Hi"}
        campaign = (await server.call(http, "POST", "/v1/campaigns", spec))["id"]
        await server.call(http, "POST", f"/v1/campaigns/{campaign}/send")
        counted = "SELECT COUNT(*) FROM deliveries"
        await until("the first chunk", lambda: run_sql(tmp_path, counted) == [(CHUNK,)])
        await server.kill()
        assert run_sql(tmp_path, counted) == [(CHUNK,)], "nothing of the second is stored"
        run_sql(tmp_path, "DROP TRIGGER stuck")
        await server.start()

        async def over() -> bool:
            found = await server.call(http, "GET", f"/v1/campaigns/{campaign}")
            return bool(found["state"] == "sent")

        await until("the campaign's end", over)
        deliveries = await everything(server, http, f"/v1/deliveries?campaign={campaign}")
        assert await server.stop() == 0
    readers = {f"reader{n}@example.com" for n in range(READERS)}
    got = Counter(address for address, _ in post.mails)
    owed = {delivery["id"]: delivery for delivery in deliveries}
    crashed = [one for one in owed.values() if (one["state"], one["error"]) == ("failed", "crashed")]
    assert len(deliveries) == READERS
    assert max(got.values()) == 1
    # What was claimed when the process died may have gone out, so it is shown, and not sent again.
    assert len(crashed) <= MAIL_HANDS
    assert len(got) + len(crashed) >= READERS and got.keys() <= readers
    assert sum(one["state"] == "succeeded" for one in owed.values()) == READERS - len(crashed)
