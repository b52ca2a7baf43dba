"""``hookline bench``: what it counts is right, and it leaves nothing behind. How fast it is, no test says."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hookline.cli.bench import counting, messages, sample
from hookline.cli.bench.plan import Figures, Latency, Row
from support.commands import CommandLine, Ran
from support.process import HOOKLINE, environment

ROWS = ["100/s", "500/s", "2000/s", "peak"] * 2 + ["undisturbed", "beside failing, hanging"]
COUNTED = ("accepted", "owed", "received", "recorded", "fan_out")
MEASURED = ("accepted_per_second", "accepted_ratio", "delivered_per_second", "delivered_ratio")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a quick run prints."""
    ran = CommandLine(tmp_path_factory.mktemp("bench"))("bench", "--quick", "--json", "-")
    assert ran.code == 0, ran
    return json.loads(ran.out)


def test_a_campaign_is_measured_the_whole_way(tmp_path: Path) -> None:
    ran = CommandLine(tmp_path)("bench", "--mail", "--contacts", "120", "--json", "-")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert told["nothing_lost"] and told["sent"] == told["taken"] == told["recorded"] == 120
    assert 4000 < told["mail_bytes"] < 9000 and told["cpu_ms"] > 0
    assert told["bare_per_second"] > 0 and told["ratio"] > 0


def test_readers_are_measured_alone_and_beside_a_campaign(tmp_path: Path) -> None:
    options = ("--contacts", "60", "--rate", "200", "--seconds", "0.5")
    ran = CommandLine(tmp_path)("bench", "--hits", *options, "--json", "-")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert told["nothing_lost"] and told["kept"] == 200
    for part in ("alone", "beside"):
        assert (told[part]["requests"], told[part]["failed"]) == (100, 0)
        assert 0 < told[part]["p50"] <= told[part]["p95"] <= told[part]["p99"] <= told[part]["most"]


def test_what_is_published_is_delivered_and_recorded_once(found: Any) -> None:
    assert found["nothing_lost"]
    for row in found["rows"]:
        assert row["owed"] == row["received"] == row["recorded"], row
        assert row["duplicates"] == 0
        assert row["failed"] == {}
    for row in found["rows"][:8]:
        assert row["owed"] == row["accepted"] * row["fan_out"]
    for row in found["rows"][8:]:  # what goes to those who are ill is not counted
        assert row["owed"] < row["accepted"]


def test_all_figures_are_there(found: Any) -> None:
    assert [row["name"] for row in found["rows"]] == ROWS
    assert [row["fan_out"] for row in found["rows"]] == [1] * 4 + [10] * 4 + [1] * 2
    for row in found["rows"]:
        assert all(row[name] > 0 for name in (*COUNTED, *MEASURED)), row
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p95"] <= row["latency_ms"]["p99"]
        assert row["memory_mb"] > 0 and row["cpu_seconds"] >= 0
        assert row["accepted_ratio"] * found["bare_per_second"] == pytest.approx(row["accepted_per_second"])
    assert sum(row["cpu_ms_per_delivery"] for row in found["rows"][:8]) > 0
    for row in found["rows"][:8]:
        assert 0 < row["commits_per_delivery"] <= 3  # accepting and settling, and now and then a heartbeat
        assert row["written_bytes_per_delivery"] >= 0  # none where the temporary folder is no disk
    fair = found["fairness"]
    assert fair["ill"] == ["failing", "hanging"]
    assert fair["p99_undisturbed"] == found["rows"][8]["latency_ms"]["p99"]
    assert fair["ratio"] == pytest.approx(fair["p99_disturbed"] / fair["p99_undisturbed"])


def test_a_backlog_is_worked_off_while_new_events_come(run: CommandLine) -> None:
    ran = run("bench", "--quick", "--only", "backlog", "--json", "-")
    assert ran.code == 0, ran
    rows = json.loads(ran.out)["rows"]
    assert [row["name"] for row in rows] == [f"100/s beside 1,000 due of {hooks}" for hooks in (1, 10)]
    for row in rows:
        assert row["owed"] == row["received"] == row["recorded"] == row["accepted"] + 1000
        assert row["duplicates"] == 0 and row["delivered_per_second"] > row["accepted_per_second"]


def test_several_processes_on_postgresql(run: CommandLine, postgres_server: Any) -> None:
    name = f"bench_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    url = postgres_server.get_uri(name)
    try:
        options = ("bench", "--quick", "--only", "peak", "--database", url, "--processes", "2")
        for _ in range(2):  # a second time on what the first has left
            ran = run(*options, "--json", str(run.home) + ".json")
            assert ran.code == 0, ran
            assert "Nothing was lost." in ran.out
            assert "PostgreSQL, 2 processes" in ran.out
        assert url not in ran.out
        written = json.loads(Path(f"{run.home}.json").read_bytes())
        assert [row["name"] for row in written["rows"]] == ["peak", "peak"]
        assert written["fairness"] is None
    finally:
        postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--processes", "2"], "--database postgresql://"),
        (["--receivers", "fast,deaf"], "'deaf'"),
        (["--database", "mysql://x/y"], "postgresql://"),
        (["--only", "everything"], "everything"),
        (["--only", "fairness", "--receivers", "fast"], "--receivers"),
    ],
)
def test_mistakes(typed: Callable[..., Ran], arguments: list[str], named: str) -> None:
    assert named in typed("bench", *arguments).mistake


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_nothing_is_left_of_a_run_that_is_broken_off(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    mark = tmp_path / "temporary"
    mark.mkdir()
    process = await asyncio.create_subprocess_exec(
        *HOOKLINE, "bench", "--quick", env=environment(tmp_path) | {"TMPDIR": str(mark)},
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),  # ignored where a shell started the tests with &
    )  # fmt: skip
    assert process.stderr is not None
    while "100/s" not in (line := (await process.stderr.readline()).decode()):
        assert line, "it ended by itself"
    assert len(list(_with_mark(mark))) > 1
    process.send_signal(number)
    said = await process.stderr.read()
    assert (await process.wait(), said) == (code, b"")
    assert list(_with_mark(mark)) == []
    assert list(mark.iterdir()) == []


def _with_mark(mark: Path) -> Iterator[str]:
    """The processes that have the mark in their environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found = (folder / "environ").read_bytes()
            except OSError:  # ended meanwhile, or another user's
                continue
            if os.fsencode(mark) in found:
                yield folder.name


def test_messages_are_cut_wherever_the_network_cuts() -> None:
    stream = (
        b"HTTP/1.1 204 No Content\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nA: b\r\n\r\nhelloHTTP/1.1 2"
    )
    whole = [(b"HTTP/1.1 204 No Content", b""), (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nA: b", b"hello")]
    for cut in range(len(stream) + 1):
        first, rest = messages.split(stream[:cut])
        second, rest = messages.split(rest + stream[cut:])
        assert (first + second, rest) == (whole, b"HTTP/1.1 2")


def test_an_event_is_known_again_by_its_number() -> None:
    event = json.loads(sample.event_form("bench.1", "run") % (17, 17, 17))
    assert event["id"] == "run-0000000017"
    body = json.dumps({"id": "evt_1", "data": event["data"]}, separators=(",", ":")).encode()
    assert sample.number_in(body) == 17
    assert 900 < len(sample.DATA % 17) <= sample.DATA_BYTES


def test_what_is_missing_and_what_comes_twice_is_counted() -> None:
    row = Row(name="two", receivers=("fast", "fast"), rate=0, seconds=1, well=(0, 1))
    published = counting.Published(
        sent=[1.0, 2.0, 3.0], accepted=[1.5, 0.0, 3.5]
    )  # the second was not accepted
    arrivals = [
        (counting.key(7, 100), 1.25),
        (counting.key(8, 100), 1.5),
        (counting.key(8, 100), 9.0),
        (counting.key(7, 101), 2.5),
        (counting.key(7, 102), 4.0),
    ]
    counted = counting.count(row, (7, 8), 100, published, arrivals)
    assert (counted.owed, counted.received, counted.duplicates) == (4, 3, 1)
    assert counted.latency == Latency(p50=500.0, p95=1000.0, p99=1000.0)


def test_only_receivers_that_are_well_are_counted() -> None:
    row = Row(
        name="one is ill", receivers=("hanging", "fast"), rate=1, seconds=1, pattern=(1, 0, 1), well=(1,)
    )
    published = counting.Published(sent=[1.0] * 4, accepted=[1.0] * 4)
    assert list(counting.owed(row, published)) == [(0, 1), (2, 1), (3, 1)]


@pytest.mark.parametrize(
    ("owed", "received", "recorded", "well"),
    [(5, 5, 5, True), (5, 5, 6, True), (5, 4, 5, False), (5, 5, 4, False), (0, 0, 0, False)],
)
def test_what_counts_as_lost(owed: int, received: int, recorded: int, well: bool) -> None:
    figures = dict.fromkeys(Figures.__struct_fields__, 0.0)
    figures |= {"owed": owed, "received": received, "recorded": recorded}
    assert Figures(**figures).nothing_lost is well  # type: ignore[arg-type]


def test_percentiles_are_by_nearest_rank() -> None:
    seconds = [place / 1000 for place in itertools.chain(range(100, 50, -1), range(1, 51))]
    assert counting.latency(seconds) == Latency(p50=50.0, p95=95.0, p99=99.0)
