"""Receivers as they are: each way to answer, or not to, is one recorded attempt, and costs no more than its time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.model import DAY, SECOND, Attempt, Delivery, SlackAction
from hookline.net.answers import KEEP_BODY, READ_BODY
from support.engine import START, Engine, running
from support.rawserver import OK, Handler, Server, resolving, serving, silent
from support.receiver import Receiver


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Engine]:
    async with running(tmp_path / "hookline.db") as engine:
        yield engine


async def tried(engine: Engine, url: str, **hook: Any) -> tuple[Delivery, Attempt]:
    """What came of one attempt at this URL."""
    await engine.hook({"on": ["*"], "do": {"kind": "webhook", "url": url}} | hook)
    await engine.publish("order.paid")
    await engine.run()
    (delivery,) = await engine.deliveries()
    (attempt,) = await engine.attempts(delivery)
    return delivery, attempt


def saying(*parts: bytes, every: float = 0.0, then: bytes = b"", most: int = 200_000) -> Any:
    """Answers a request with these parts, and then with the same again and again."""

    def handler(server: Server) -> Handler:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            for part in parts:
                writer.write(part)
            for _ in range(most if then else 0):
                writer.write(then)
                await writer.drain()
                await asyncio.sleep(every)

        return answer

    return handler


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KIB = b"x" * 1024


@pytest.mark.parametrize(
    "answer",
    [
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", then=KIB),
        saying(CHUNKED, then=b"400\r\n" + KIB + b"\r\n"),
        saying(b"HTTP/1.0 200 OK\r\n\r\n", then=KIB),
    ],
    ids=["a gigabyte", "chunks without end", "no end in sight"],
)
async def test_an_endless_body_is_a_success_of_which_little_is_read(small: Engine, answer: Any) -> None:
    async with serving(answer) as server:
        delivery, attempt = await tried(small, server.url())
    assert (delivery.state, attempt.outcome, attempt.status) == ("succeeded", "ok", 200)
    said = json.loads(attempt.response or b"")
    assert (len(said["body"]), said["truncated"]) == (KEEP_BODY, True)
    assert KEEP_BODY == 16 * 1024 and READ_BODY == 64 * 1024


async def test_a_dripping_body_does_not_hold_the_lane(small: Engine) -> None:
    async with serving(saying(CHUNKED, then=b"1\r\nx\r\n", every=0.05)) as server:
        delivery, attempt = await tried(small, server.url(), retry={"timeout": "1s"})
    assert (delivery.state, attempt.outcome, attempt.status) == ("succeeded", "ok", 200)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (silent, "timeout_total"),
        (saying(b"HTTP/1.1 200 OK\r\n", then=b"X: y\r\n", every=0.02), "timeout_total"),
        (saying(b"HTTP/1.1 200 OK\r\n", then=b"X-Long: " + KIB + b"\r\n"), "protocol"),
        (saying(then=b"HTTP/1.1 102 Processing\r\n\r\n"), "protocol"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
        (saying(b"\x00\xff" * 500), "protocol"),
        (saying(), "reset"),
    ],
    ids=["silent", "headers drip", "headers without end", "1xx without end", "ssh", "garbage", "closed"],
)
async def test_what_is_no_answer_is_a_retry_with_the_reason(small: Engine, answer: Any, error: str) -> None:
    async with serving(answer) as server:
        delivery, attempt = await tried(small, server.url(), retry={"timeout": "300ms"})
    assert (delivery.state, delivery.error, attempt.error, attempt.status) == ("waiting", error, error, None)
    assert attempt.detail and delivery.next_at == START + 5 * SECOND


async def test_the_time_to_connect_is_bounded(tmp_path: Path) -> None:
    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with running(tmp_path / "hookline.db", resolver=never) as engine:
        delivery, attempt = await tried(engine, "http://shop.example/", retry={"timeout": "100ms"})
    assert (delivery.state, attempt.error) == ("waiting", "timeout_connect")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 399])
async def test_a_redirect_is_refused_and_not_followed(small: Engine, receiver: Receiver, status: int) -> None:
    receiver.answers, receiver.headers = [status], {"location": receiver.url + "/login"}
    delivery, attempt = await tried(small, receiver.url + "/hooks")
    assert (delivery.state, attempt.error, attempt.status) == ("waiting", "redirect", status)
    assert [got.path for got in receiver.got] == ["/hooks"]


DATE = formatdate(START / 1e6 + 90, usegmt=True)
ASKED: tuple[tuple[int, str, int], ...] = (
    *((status, "120", 120) for status in (302, 400, 404, 429, 500, 503)),
    (500, " 120 ", 120),
    (500, "0000000000120", 120),
    (500, "86400", 86_400),
    (500, "86401", 86_400),
    (500, "99999999999999999999", 86_400),
    (500, DATE, 90),
    (500, formatdate(START / 1e6 + 90 * 86_400, usegmt=True), 86_400),
    (500, "Mon Sep 21 14:15:00 2026", 100),
    (500, "Monday, 21-Sep-26 14:15:00 GMT", 100),
    # What would hurry a retry, or is nonsense, asks for nothing: five seconds are the schedule's.
    *((503, text, 5) for text in ("-5", "0", "1", "1.5", "1e3", "soon", "", "+60", "Mon, 99", "120, 120")),
    (503, formatdate(START / 1e6 - 90, usegmt=True), 5),
)


async def test_retry_after_is_obeyed_up_to_a_day(small: Engine, receiver: Receiver) -> None:
    for place, (status, text, seconds) in enumerate(ASKED):
        kind = f"order.{place}"
        hook = await small.hook({"on": [kind], "do": {"kind": "webhook", "url": receiver.url}})
        receiver.answers, receiver.headers = [status], {"retry-after": text}
        await small.publish(kind)
        await small.run()
        (delivery,) = await small.deliveries(hook=hook.id)
        assert delivery.next_at == START + seconds * SECOND, (status, text)


async def test_a_name_that_comes_to_lead_inside_is_blocked(tmp_path: Path) -> None:
    """It led to a public address when the hook was saved; every attempt looks again."""
    resolve, asked = resolving(["10.0.0.7"])
    async with serving(OK) as server, running(tmp_path / "hookline.db", resolver=resolve) as engine:
        delivery, attempt = await tried(engine, f"http://shop.example:{server.port}/")
    assert (delivery.state, attempt.error, server.connections) == ("waiting", "blocked_address", 0)
    assert asked == ["shop.example"] and "10.0.0.7" not in attempt.detail


INSIDE = (
    "10.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost.example@10.0.0.1", "[::]",
    "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b:1::a00:1]", "[2002:a00:1::]", "[2001:0:a00:1::]",
    "[fe80::1%25eth0]", "169.254.169.254", "168.63.129.16", "100.64.0.1", "224.0.0.1", "255.255.255.255",
    "０.０.０.０", "10.0.0.1.", "8.8.8.8:25", "user:password@shop.example",
)  # fmt: skip


async def test_what_got_past_the_door_is_refused_at_delivery(small: Engine) -> None:
    """As where it was saved while HOOKLINE_ALLOW_TARGETS said something else."""
    for host in INSIDE:
        await small.hook({"on": ["*"], "do": {"kind": "webhook", "url": f"http://{host}/"}})
    await small.publish("order.paid")
    await small.run()
    deliveries = await small.deliveries()
    assert len(deliveries) == len(INSIDE)
    assert {(delivery.state, delivery.error) for delivery in deliveries} == {("waiting", "blocked_address")}


async def test_a_cancelled_delivery_gives_its_place_under_a_limit_back(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answers = [500]
    hook = await engine.hook(
        {
            "on": ["*"],
            "do": {"kind": "webhook", "url": receiver.url},
            "limit": {"count": 1, "per": "subject"},
        }
    )
    await engine.publish("order.paid", subject="ada")
    await engine.run()
    assert (await engine.publish("order.paid", subject="ada")).deliveries == (), (
        "it failed, and keeps its place"
    )
    changed = hook_with_slack(hook, receiver.url)
    assert await engine.storage.hooks.change(hook, changed) is not None
    engine.intake.forget_config()
    engine.clock.advance(DAY)
    await engine.run()
    (cancelled,) = await engine.deliveries()
    assert cancelled.state == "cancelled"
    assert len((await engine.publish("order.paid", subject="ada")).deliveries) == 1
    assert (await engine.publish("order.paid", subject="ada")).deliveries == ()


def hook_with_slack(hook: Any, url: str) -> Any:
    return msgspec.structs.replace(hook, spec=msgspec.structs.replace(hook.spec, do=SlackAction(url=url)))
