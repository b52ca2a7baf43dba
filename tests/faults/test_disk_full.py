"""No room on the disk: refused meanwhile, nothing half stored, and all goes on by itself when there is room."""

from __future__ import annotations

import os
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from support.process import Serve
from support.receiver import Receiver
from support.waiting import all_succeeded, attempts_of, everything, until

TMPFS_MEGABYTES = 6
ROOM = 256 * 1024
LARGE = "x" * 20_000


class Limited:
    """A limit on how large the server's files may grow (RLIMIT_FSIZE), set from outside."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def fill(self, server: Serve) -> None:
        largest = max(file.stat().st_size for file in self.home.iterdir())
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + ROOM, resource.RLIM_INFINITY))

    def clear(self, server: Serve) -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


class Small:
    """A file system of its own with little room, which is taken by a file."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._ballast = home / "ballast"

    def fill(self, server: Serve) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            file.write(bytes(free(self.home) - ROOM))

    def clear(self, server: Serve) -> None:
        self._ballast.unlink()


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.fixture(params=["limit", "tmpfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Limited | Small]:
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "limit":
        yield Limited(home)
        return
    options = f"size={TMPFS_MEGABYTES}m"
    mounted = subprocess.run(  # noqa: S603
        ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    yield Small(home)
    subprocess.run(["/bin/umount", str(home)], check=True)  # noqa: S603


class Publisher:
    def __init__(self, server: Serve, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http
        self.accepted: list[str] = []
        self.count = 0

    async def publish(self) -> bool:
        """One large event, all or none; whether it was accepted, and if not, that it was told as it has to be."""
        event = {"type": "order.paid", "id": f"order-{self.count}", "data": {"text": LARGE}}
        headers = {"authorization": f"Bearer {self.server.key}"}
        async with self.http.post(f"{self.server.url}/v1/events", json=event, headers=headers) as answer:
            if answer.status == 202:
                told = await answer.json()
                assert not told["duplicate"], "what was refused was not stored"
                self.accepted.append(told["id"])
                self.count += 1
                return True
            assert answer.status == 503, await answer.text()
            assert answer.content_type == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            return False


async def test_a_full_disk_is_told_and_waited_out(
    disk: Limited | Small, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    server = Serve(disk.home)
    await server.start()
    await server.make_key()
    hook = {"on": ["order.*"], "do": {"kind": "webhook", "url": receiver.url}}
    await server.call(http, "POST", "/v1/hooks", hook)
    publisher = Publisher(server, http)
    assert await publisher.publish()
    disk.fill(server)
    while await publisher.publish():
        assert publisher.count < 1000
    for _ in range(20):
        assert not await publisher.publish()
    readable = await everything(server, http, "/v1/events")
    assert {event["id"] for event in readable} == {*publisher.accepted}, "reading goes on"
    disk.clear(server)
    await until("accepting again", publisher.publish)
    await until("the end of all", lambda: all_succeeded(server, http))
    counts = Counter(got.headers["webhook-id"] for got in receiver.got)
    assert set(counts) == {*publisher.accepted}
    for delivery in await everything(server, http, "/v1/deliveries"):
        assert counts[delivery["event"]] <= len(await attempts_of(server, http, delivery["id"]))
    assert await server.stop() == 0
    assert server.log.count("\n") < 20, server.log
