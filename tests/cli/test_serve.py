"""``hookline serve``: the first five minutes, one owner of a data folder, a stop that finishes what is begun."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable

import aiohttp

from support import mails
from support.commands import CommandLine, Screen
from support.mails import mail
from support.mailserver import serving_mail
from support.process import Serve
from support.receiver import Got, Receiver
from support.smtp import hand_in

Screens = Callable[..., Awaitable[Screen]]
LAST_LINE = r"-d '\{\"type\": .*\n"
MAIL_HOOK = {
    "on": ["order.paid"],
    "do": {
        "kind": "email",
        "to": "{{ event.subject }}",
        "from": "Shop <shop@example.com>",
        "subject": "Thank you <you>",
        "html": "<p>Paid: {{ event.data.amount }}</p><script>alert(1)</script>",
        "stream": "transactional",
    },
}


async def test_two_calls_later_a_signed_delivery_has_arrived(
    serve: Serve, receiver: Receiver, received: Callable[[int], Awaitable[None]]
) -> None:
    await serve.make_key()
    async with aiohttp.ClientSession() as http:
        hook = {"on": ["order.paid"], "do": {"kind": "webhook", "url": receiver.url}}
        secret = (await serve.call(http, "POST", "/v1/hooks", hook))["secret"]
        event = {"type": "order.paid", "subject": "ada@example.com", "data": {"amount": 42}}
        accepted = await serve.call(http, "POST", "/v1/events", event)
        await received(1)
    [body] = receiver.verified(secret)
    assert body["id"] == accepted["id"] == receiver.got[0].headers["webhook-id"]
    assert (body["type"], body["data"]) == ("order.paid", {"amount": 42})


async def test_the_lines_on_the_screen_work_as_they_stand(screens: Screens) -> None:
    server = await screens("--dev")
    await server.read_until(LAST_LINE)
    # Both commands as a shell would split them; curl is spoken for by aiohttp.
    lines = re.findall(r"^ +(curl .*)\\\n(.*)$", server.text, re.M)
    commands = [shlex.split(first + second) for first, second in lines]
    async with aiohttp.ClientSession() as http:
        for command in commands:
            headers = dict(line.split(": ", 1) for line in (command[3], command[5]))
            async with http.post(command[1], data=command[7], headers=headers) as answer:
                assert answer.status in (201, 202), await answer.text()
        await server.read_until("inbox: .*the signature is valid")
        async with http.get(f"{server.url}/dev/inbox") as answer:
            page = await answer.text()
    assert len(commands) == 2
    assert 'class="good">the signature is valid' in page and "order.paid" in page


async def test_mail_is_caught_and_shown_without_running_it(serve: Serve) -> None:
    await serve.make_key()
    async with aiohttp.ClientSession() as http:
        await serve.call(http, "POST", "/v1/hooks", MAIL_HOOK)
        event = {"type": "order.paid", "subject": "ada@example.com", "data": {"amount": 42}}
        accepted = await serve.call(http, "POST", "/v1/events", event)
        await delivered(serve, http, accepted["id"])
        async with http.get(f"{serve.url}/dev/mail") as answer:
            listed = await answer.text()
        async with http.get(f"{serve.url}/dev/mail/1") as answer:
            shown = await answer.text()
            policy = answer.headers["content-security-policy"]
        async with http.get(f"{serve.url}/dev/mail/2") as answer:
            assert answer.status == 404
    assert "Thank you &lt;you&gt;" in listed and "ada@example.com" in listed
    assert "Paid: 42" in shown and "X-Hookline-Message" in shown
    assert "<script" not in shown and 'sandbox="allow-popups' in shown and "allow-scripts" not in shown
    assert policy.startswith("default-src 'none'")


async def delivered(serve: Serve, http: aiohttp.ClientSession, event: str) -> None:
    """Return when the event's one delivery has succeeded; the server tells it as an event that it caused."""
    headers = {"authorization": f"Bearer {serve.key}", "last-event-id": "AAAAAAAAAAA"}
    async with http.get(f"{serve.url}/v1/events/stream?type=email.sent", headers=headers) as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                return


async def test_a_second_serve_on_the_same_data_is_refused(run: CommandLine, serve: Serve) -> None:
    said = run("serve").mistake
    assert "another hookline serve" in said and str(run.home) in said
    assert re.search(r"\(process \d+\)", said)


async def test_a_stopped_serve_gives_its_data_free(screens: Screens) -> None:
    for _ in range(2):
        server = await screens()
        assert await server.ended() == 0


async def test_a_taken_port_is_told(run: CommandLine, serve: Serve, receiver: Receiver) -> None:
    listen = receiver.url.removeprefix("http://")
    assert listen in run("serve", LISTEN=listen, HOME=f"{run.home}-2").mistake


async def test_sigterm_finishes_what_is_under_way(
    run: CommandLine, screens: Screens, receiver: Receiver
) -> None:
    server = await screens("--dev")
    await server.make_key()
    reached = asyncio.Event()

    def ask_to_stop(got: Got) -> None:
        server.terminate()
        reached.set()

    receiver.on_request = ask_to_stop
    async with aiohttp.ClientSession() as http:
        hook = {"on": ["order.paid"], "do": {"kind": "webhook", "url": receiver.url}}
        await server.call(http, "POST", "/v1/hooks", hook)
        await server.call(http, "POST", "/v1/events", {"type": "order.paid", "data": {}})
        await asyncio.wait_for(reached.wait(), 30)
    assert await server.ended() == 0
    assert re.search(r" succeeded +1 ", run("deliveries", "list").out)


async def test_the_key_of_the_first_start_goes_on_working(run: CommandLine, screens: Screens) -> None:
    keys = []
    for _ in range(2):
        server = await screens("--dev")
        await server.read_until(LAST_LINE)
        await server.ended()
        keys += sorted(set(re.findall(r"hl_[\w-]{43}", server.text)))
    assert len(keys) == 2 and keys[0] == keys[1]
    assert (run.home / "dev.key").stat().st_mode & 0o777 == 0o600


async def test_an_open_stream_of_events_does_not_hold_up_the_end(screens: Screens) -> None:
    server = await screens("--dev")
    await server.make_key()
    headers = {"authorization": f"Bearer {server.key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/v1/events/stream", headers=headers) as stream,
    ):
        assert b"following" in await stream.content.readuntil(b"\n\n")
        server.terminate()
        assert await stream.content.read() == b""  # ended as an answer ends, not torn off
    assert await server.ended() == 0
    assert "error" not in server.text


async def test_mail_that_comes_back_is_taken_by_its_own_server(run: CommandLine) -> None:
    async with serving_mail() as mailserver:
        settings = {
            "SMTP_URL": mailserver.url,
            "BOUNCE_DOMAIN": "in.shop.example",
            "MAIL_LISTEN": "127.0.0.1:0",
        }
        server = Serve(run.home, **settings)
        await server.start()
        try:
            assert server.mail_address is not None
            await server.make_key()
            async with aiohttp.ClientSession() as http:
                await server.call(http, "POST", "/v1/hooks", MAIL_HOOK)
                event = {"type": "order.paid", "subject": "ada@example.com", "data": {"amount": 42}}
                accepted = await server.call(http, "POST", "/v1/events", event)
                await delivered(server, http, accepted["id"])
                path = mailserver.sender_of("ada@example.com")
                bounce = mail(mails.POSTFIX, to=path, rcpt="ada@example.com")
                await hand_in(server.mail_address, bounce, path)
                (bounced,) = (await server.call(http, "GET", "/v1/events?type=email.bounced"))["data"]
        finally:
            await server.stop()
    assert (bounced["subject"], bounced["data"]["reason"]) == ("ada@example.com", "user_unknown")


def test_a_mail_server_needs_its_domain(run: CommandLine) -> None:
    assert "HOOKLINE_BOUNCE_DOMAIN" in run("serve", MAIL_LISTEN="127.0.0.1:0", HOME=f"{run.home}-3").mistake
