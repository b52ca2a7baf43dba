"""The SMTP client against real servers on loopback: aiosmtpd, and a scripted one for what goes wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from hookline.net.smtp import MAX_DETAIL, SmtpClient, SmtpResult, SmtpSettings, parse_smtp_url

MESSAGE = b"Subject: hi\r\n\r\nhello\r\n"
EHLO = b"250-mx.example\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
PIPELINING = EHLO.replace(b"8BITMIME", b"PIPELINING")
HANG_UP = b"hang up"
SILENCE = b"silence"
PATIENCE = 1.0  # seconds, where a silent server is to be given up

Script = dict[str, bytes]
in_both_ways = pytest.mark.parametrize("offer", [EHLO, PIPELINING], ids=["in turn", "pipelined"])


class Scripted:
    """Speaks just enough SMTP; ``scripts`` (one for each connection, the last for all others) change the
    replies: to a verb, to the n-th use of it in a connection (``"MAIL 2"``), to the content (``"."``), or
    to being connected to (``"hello"``)."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts or ({},)
        self.connections = 0
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.arrived = asyncio.Event()
        self.may_hang_up = asyncio.Event()
        self.may_hang_up.set()
        self.ended: asyncio.Queue[None] = asyncio.Queue()
        self.port = 0

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        self.arrived.set()
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._converse(script, reader, writer)
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        self.ended.put_nowait(None)

    async def _converse(
        self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        usual = {
            "hello": b"220 mx.example\r\n",
            "EHLO": EHLO,
            "DATA": b"354 go on\r\n",
            "QUIT": b"221 bye\r\n",
        }
        counts: dict[str, int] = {}
        verb = "hello"
        while verb != "QUIT":
            counts[verb] = counts.get(verb, 0) + 1
            reply = script.get(
                f"{verb} {counts[verb]}", script.get(verb, usual.get(verb, b"250 2.0.0 fine\r\n"))
            )
            if reply == SILENCE:
                await reader.read()
                return
            writer.write(reply.removesuffix(HANG_UP))
            if reply.endswith(HANG_UP):
                await self.may_hang_up.wait()
                return
            if verb == "DATA" and reply.startswith(b"354"):
                content = b""
                while content != b".\r\n" and not content.endswith(b"\r\n.\r\n"):
                    content += await reader.readuntil(b"\r\n")
                self.messages.append(content)
                verb = "."
                continue
            line = (await reader.readuntil(b"\r\n")).decode().rstrip()
            self.commands.append(line)
            verb = line.split(" ", 1)[0]


@asynccontextmanager
async def listening(server: Scripted) -> AsyncIterator[Scripted]:
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await server.run(reader, writer)
        tasks.discard(task)

    listener = await asyncio.start_server(run, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def client(server: Scripted, *, connections: int = 4, **settings: Any) -> AsyncIterator[SmtpClient]:
    smtp = SmtpClient(SmtpSettings(host="127.0.0.1", port=server.port, **settings), connections=connections)
    try:
        yield smtp
    finally:
        await smtp.close()


async def send_once(script: Script, *, recipient: str = "ada@example.com", **more: Any) -> SmtpResult:
    async with listening(Scripted(script)) as server, client(server, **more) as smtp:
        return await smtp.send("shop@example.com", recipient, MESSAGE)


# --- the plain way -------------------------------------------------------------------------------


@in_both_ways
async def test_a_message_is_handed_over(offer: bytes) -> None:
    script = {"EHLO": offer, ".": b"250 2.0.0 queued as 17\r\n"}
    async with listening(Scripted(script)) as server, client(server) as smtp:
        result = await smtp.send("bounce+x@example.com", "ada@example.com", MESSAGE)
    assert result == SmtpResult(ok=True, stage="data", code=250, enhanced="2.0.0", detail="queued as 17")
    assert server.messages == [MESSAGE + b".\r\n"]
    assert server.commands[0].startswith("EHLO ")
    assert server.commands[1:] == [
        f"MAIL FROM:<bounce+x@example.com> SIZE={len(MESSAGE)}",
        "RCPT TO:<ada@example.com>",
        "DATA",
        "QUIT",
    ]


async def test_the_null_sender_is_sent_as_such() -> None:
    async with listening(Scripted()) as server, client(server) as smtp:
        assert (await smtp.send("", "ada@example.com", MESSAGE)).ok
    assert server.commands[1].startswith("MAIL FROM:<> ")


@pytest.mark.parametrize(
    ("message", "on_the_wire"),
    [
        (b"a: b\r\n\r\n.\r\n..\r\nx.\r\n", b"a: b\r\n\r\n..\r\n...\r\nx.\r\n.\r\n"),
        (b".a", b"..a\r\n.\r\n"),
        (b"a\n.\nb\rc", b"a\r\n..\r\nb\r\nc\r\n.\r\n"),
        (b"a\n.\r\nMAIL FROM:<evil@example.com>\n", b"a\r\n..\r\nMAIL FROM:<evil@example.com>\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
    ],
)
async def test_dots_are_doubled_and_breaks_made_plain(message: bytes, on_the_wire: bytes) -> None:
    async with listening(Scripted()) as server, client(server) as smtp:
        assert (await smtp.send("a@example.com", "b@example.com", message)).ok
    assert server.messages == [on_the_wire]


@in_both_ways
async def test_connections_are_kept_and_used_again(offer: bytes) -> None:
    async with listening(Scripted({"EHLO": offer})) as server, client(server) as smtp:
        for _ in range(5):
            assert (await smtp.send("a@example.com", "b@example.com", MESSAGE)).ok
    assert (server.connections, len(server.messages)) == (1, 5)
    assert server.commands.count("RSET") == 0


async def test_no_more_connections_than_allowed_are_opened() -> None:
    async with listening(Scripted()) as server, client(server, connections=2) as smtp:
        results = await asyncio.gather(
            *(smtp.send("a@example.com", f"b{n}@example.com", MESSAGE) for n in range(20))
        )
    assert all(result.ok for result in results)
    assert (server.connections, len(server.messages)) == (2, 20)


async def test_a_refused_recipient_leaves_the_connection_clean_for_the_next() -> None:
    script = {"RCPT 1": b"550 5.1.1 no such user\r\n"}
    async with listening(Scripted(script)) as server, client(server) as smtp:
        first = await smtp.send("a@example.com", "nobody@example.com", MESSAGE)
        second = await smtp.send("a@example.com", "ada@example.com", MESSAGE)
    assert (first.ok, first.code, second.ok, server.connections) == (False, 550, True, 1)
    verbs = [command.split()[0] for command in server.commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_a_connection_that_will_not_be_reset_is_not_used_again() -> None:
    script = {"RCPT 1": b"550 5.1.1 no such user\r\n", "RSET": HANG_UP}
    async with listening(Scripted(script, {})) as server, client(server) as smtp:
        assert (await smtp.send("a@example.com", "nobody@example.com", MESSAGE)).code == 550
        assert (await smtp.send("a@example.com", "ada@example.com", MESSAGE)).ok
    assert server.connections == 2


# --- the whole envelope at once ------------------------------------------------------------------


async def test_the_envelope_is_sent_at_once_where_that_is_offered() -> None:
    """All three commands are there before the first is answered; the content is not."""
    got = bytearray()

    class Patient(Scripted):
        async def _converse(
            self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"220 mx.example\r\n")
            await reader.readuntil(b"\r\n")
            writer.write(PIPELINING)
            got.extend(await reader.readuntil(b"DATA\r\n"))
            writer.write(b"250 ok\r\n250 o")
            await asyncio.to_thread(int)
            writer.write(b"k\r\n354-go\r\n354 on\r\n")
            got.extend(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"250 taken\r\n")
            await reader.readuntil(b"QUIT\r\n")
            writer.write(b"221 bye\r\n")

    async with listening(Patient()) as server, client(server) as smtp:
        result = await smtp.send("a@example.com", "b@example.com", MESSAGE)
    assert (result.ok, result.detail) == (True, "taken")
    envelope = b"MAIL FROM:<a@example.com> SIZE=%d\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" % len(MESSAGE)
    assert bytes(got) == envelope + MESSAGE + b".\r\n"


@pytest.mark.parametrize(
    ("script", "code", "contents"),
    [
        ({"MAIL 1": b"550 no\r\n", "RCPT 1": b"503 no\r\n", "DATA 1": b"503 no\r\n"}, 550, 0),
        ({"RCPT 1": b"550 5.1.1 no such user\r\n", "DATA 1": b"554 no valid recipients\r\n"}, 550, 0),
        # A server that wants the content although it takes no recipient gets an empty one.
        ({"RCPT 1": b"450 later\r\n"}, 450, 1),
        ({"RCPT 1": b"450 later\r\n", ". 1": b"554 no recipients\r\n"}, 450, 1),
        ({"DATA 1": b"451 not now\r\n"}, 451, 0),
    ],
)
async def test_a_refusal_of_a_part_of_the_envelope_leaves_the_connection_in_step(
    script: Script, code: int, contents: int
) -> None:
    async with listening(Scripted({"EHLO": PIPELINING} | script)) as server, client(server) as smtp:
        first = await smtp.send("a@example.com", "nobody@example.com", MESSAGE)
        second = await smtp.send("a@example.com", "ada@example.com", MESSAGE)
    assert (first.ok, first.code, second.ok, server.connections) == (False, code, True, 1)
    assert server.messages == [b".\r\n"] * contents + [MESSAGE + b".\r\n"]
    verbs = [command.split()[0] for command in server.commands]
    envelope = ["MAIL", "RCPT", "DATA"]
    assert verbs == ["EHLO", *envelope, "RSET", *envelope, "QUIT"]


@pytest.mark.parametrize(
    "broken", [HANG_UP, SILENCE, b"421 4.3.2 closing\r\n"], ids=["hang up", "silence", "421"]
)
async def test_a_refusal_stands_although_the_connection_ends_behind_it(broken: bytes) -> None:
    script = {"EHLO": PIPELINING, "RCPT": b"550 5.1.1 no such user\r\n", "DATA": broken}
    server = Scripted(script, {"EHLO": PIPELINING})
    async with listening(server), client(server, timeout=PATIENCE) as smtp:
        first = await smtp.send("a@example.com", "nobody@example.com", MESSAGE)
        assert (first.ok, first.stage, first.temporary, first.code) == (False, "rcpt", False, 550)
        assert (await smtp.send("a@example.com", "ada@example.com", MESSAGE)).ok
    assert server.connections == 2


async def test_a_connection_on_which_the_server_spoke_out_of_turn_is_not_used_again() -> None:
    """What it says then must not be taken for the answer to the next mail."""
    server = Scripted({"EHLO": PIPELINING, ".": b"250 fine\r\n550 5.1.1 what?\r\n"}, {})
    async with listening(server), client(server) as smtp:
        results = [await smtp.send("a@example.com", "b@example.com", MESSAGE) for _ in range(2)]
    assert [(result.ok, result.detail) for result in results] == [(True, "fine"), (True, "fine")]
    assert server.connections == 2


# --- what the server says ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            {"RCPT": b"550 5.1.1 <x> no such user\r\n"},
            SmtpResult(ok=False, stage="rcpt", code=550, enhanced="5.1.1", detail="<x> no such user"),
        ),
        (
            {"RCPT": b"450 4.2.1 slow\r\n"},
            SmtpResult(ok=False, stage="rcpt", temporary=True, code=450, enhanced="4.2.1", detail="slow"),
        ),
        (
            {"MAIL": b"550 who are you\r\n"},
            SmtpResult(ok=False, stage="mail", code=550, detail="who are you"),
        ),
        (
            {"DATA": b"554 5.7.1 no\r\n"},
            SmtpResult(ok=False, stage="data", code=554, enhanced="5.7.1", detail="no"),
        ),
        (
            {".": b"552-5.3.4 too\r\n552 5.3.4 big\r\n"},
            SmtpResult(ok=False, stage="data", code=552, enhanced="5.3.4", detail="too big"),
        ),
        (
            {".": b"451 try later\r\n"},
            SmtpResult(ok=False, stage="data", temporary=True, code=451, detail="try later"),
        ),
        (
            {"RCPT": b"550 sorry, no mailbox here by that name (#5.1.1)\r\n"},
            SmtpResult(
                ok=False,
                stage="rcpt",
                code=550,
                enhanced="5.1.1",
                detail="sorry, no mailbox here by that name (#5.1.1)",
            ),
        ),
        (
            {"RCPT": b"421 4.3.2 closing\r\n"},
            SmtpResult(ok=False, stage="rcpt", temporary=True, code=421, enhanced="4.3.2", detail="closing"),
        ),
        (
            {"MAIL": b"530 5.7.0 log in first\r\n"},
            SmtpResult(
                ok=False, stage="auth", temporary=True, code=530, enhanced="5.7.0", detail="log in first"
            ),
        ),
        (
            {"hello": b"554 5.7.1 your address is listed\r\n"},
            SmtpResult(
                ok=False,
                stage="connect",
                temporary=True,
                code=554,
                enhanced="5.7.1",
                detail="your address is listed",
            ),
        ),
    ],
)
@in_both_ways
async def test_replies_become_results(offer: bytes, script: Script, expected: SmtpResult) -> None:
    assert await send_once({"EHLO": offer} | script) == expected


async def test_the_detail_is_one_short_printable_line() -> None:
    lines = b"".join(b"550-5.7.1 \xff\x07 caf\xc3\xa9 " + b"x" * 200 + b"\r\n" for _ in range(5))
    detail = (await send_once({"RCPT": lines + b"550 5.7.1 end\r\n"})).detail
    assert detail.startswith("?? café x")
    assert len(detail) == MAX_DETAIL
    assert detail.isprintable()
    assert "5.7.1" not in detail


# --- what breaks ---------------------------------------------------------------------------------


MOMENTS = [
    ("hello", "connect", False),
    ("EHLO", "connect", False),
    ("MAIL", "mail", False),
    ("RCPT", "rcpt", False),
    ("DATA", "data", False),
    (".", "data", True),
]


def broke_off(result: SmtpResult, stage: str, ambiguous: bool) -> bool:
    assert (result.ok, result.temporary, result.code, result.stage) == (False, True, None, stage)
    return result.ambiguous is ambiguous and bool(result.detail)


@pytest.mark.parametrize("broken", [HANG_UP, b"what?\r\n"], ids=["hang up", "nonsense"])
@pytest.mark.parametrize(("moment", "stage", "ambiguous"), MOMENTS)
@in_both_ways
async def test_a_broken_connection_is_temporary_and_open_only_after_the_content(
    offer: bytes, broken: bytes, moment: str, stage: str, ambiguous: bool
) -> None:
    assert broke_off(await send_once({"EHLO": offer} | {moment: broken}), stage, ambiguous)


@in_both_ways
async def test_a_server_that_leaves_before_the_content_has_none_of_it(offer: bytes) -> None:
    result = await send_once({"EHLO": offer, "DATA": b"354 go on\r\n421 4.3.2 or rather not\r\n" + HANG_UP})
    assert broke_off(result, "data", ambiguous=False)


async def test_what_was_given_up_is_not_sent_afterwards() -> None:
    """To a server that takes the content only once the client has said that nobody knows of it."""
    read: list[bytes] = []

    class Slow(Scripted):
        async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for reply in (b"220 mx\r\n", EHLO, b"250 a\r\n", b"250 b\r\n", b"354 go on\r\n"):
                writer.write(reply)
                if not reply.startswith(b"354"):
                    await reader.readuntil(b"\r\n")
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            await self.may_hang_up.wait()
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            with suppress(ConnectionError):
                while part := await reader.read(2**16):
                    read.append(part[-5:])
            writer.close()
            self.ended.put_nowait(None)

    server = Slow()
    server.may_hang_up.clear()
    async with listening(server), client(server, data_timeout=PATIENCE) as smtp:
        result = await smtp.send("a@example.com", "b@example.com", b"x\r\n" * 2**23)
        assert broke_off(result, "data", ambiguous=True)
        server.may_hang_up.set()
        await server.ended.get()
    assert not read or read[-1] != b"\r\n.\r\n"


async def test_so_is_a_silent_one() -> None:
    """All moments at once, so that there is time for what is not silent, also on a busy machine."""
    cases = [(offer, moment) for offer in (EHLO, PIPELINING) for moment in MOMENTS]
    results = await asyncio.gather(
        *(
            send_once({"EHLO": offer} | {moment[0]: SILENCE}, timeout=PATIENCE, data_timeout=PATIENCE)
            for offer, moment in cases
        )
    )
    for result, (_, (_, stage, ambiguous)) in zip(results, cases, strict=True):
        assert broke_off(result, stage, ambiguous)


async def test_a_server_that_does_not_greet_may_want_tls_from_the_start() -> None:
    result = await send_once({"hello": SILENCE}, timeout=PATIENCE)
    assert (result.stage, result.temporary) == ("connect", True)
    assert "no greeting" in result.detail and "try smtps://" in result.detail


async def test_a_reply_that_is_neither_yes_nor_no_leaves_it_open() -> None:
    result = await send_once({".": b"354 go on\r\n"})
    assert (result.ok, result.temporary, result.ambiguous) == (False, True, True)


@in_both_ways
async def test_a_broken_connection_is_not_used_again(offer: bytes) -> None:
    async with (
        listening(Scripted({"EHLO": offer, ".": HANG_UP}, {"EHLO": offer})) as server,
        client(server) as smtp,
    ):
        assert (await smtp.send("a@example.com", "b@example.com", MESSAGE)).ambiguous
        assert (await smtp.send("a@example.com", "b@example.com", MESSAGE)).ok
    assert server.connections == 2


@pytest.mark.parametrize(
    "dead",
    [HANG_UP, SILENCE, b"421 4.4.2 you were silent for too long\r\n"],
    ids=["hang up", "silence", "421"],
)
@in_both_ways
async def test_a_kept_connection_that_is_dead_is_replaced_once(offer: bytes, dead: bytes) -> None:
    server = Scripted({"EHLO": offer, "MAIL 2": dead}, {"EHLO": offer})
    async with listening(server), client(server, timeout=PATIENCE) as smtp:
        results = [await smtp.send("a@example.com", "b@example.com", MESSAGE) for _ in range(2)]
    assert [result.ok for result in results] == [True, True]
    assert (server.connections, len(server.messages)) == (2, 2)


async def test_a_server_that_is_tired_even_of_new_connections_is_believed() -> None:
    server = Scripted({"MAIL 2": HANG_UP}, {"MAIL": HANG_UP})
    async with listening(server), client(server) as smtp:
        results = [await smtp.send("a@example.com", "b@example.com", MESSAGE) for _ in range(2)]
    assert [(result.ok, result.stage) for result in results] == [(True, "data"), (False, "mail")]
    assert server.connections == 2


async def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    # The address needs what only a living connection offers.
    offer = {"EHLO": b"250-mx.example\r\n250 SMTPUTF8\r\n", ".": b"250 fine\r\n" + HANG_UP}
    async with listening(Scripted(offer)) as server, client(server) as smtp:
        for _message in range(3):
            server.may_hang_up.clear()
            assert (await smtp.send("a@example.com", "dörte@example.com", MESSAGE)).ok
            server.may_hang_up.set()
            await server.ended.get()
            for _ in range(3):  # turns of the event loop, for the client to have seen it, too
                await asyncio.to_thread(int)
    assert server.connections == 3


async def test_nobody_listening_is_temporary() -> None:
    server = Scripted()
    async with listening(server):
        pass
    async with client(server) as smtp:
        result = await smtp.send("a@example.com", "b@example.com", MESSAGE)
    assert (result.ok, result.temporary, result.stage, result.code) == (False, True, "connect", None)
    assert result.detail


async def test_cancelling_closes_the_connection_and_frees_its_place() -> None:
    server = Scripted({".": SILENCE}, {})
    async with listening(server), client(server, connections=1) as smtp:
        sending = asyncio.create_task(smtp.send("a@example.com", "b@example.com", MESSAGE))
        while not server.messages:  # noqa: ASYNC110 - until the content is there, which will not be answered
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.ended.get()
        assert (await smtp.send("a@example.com", "b@example.com", MESSAGE)).ok


async def test_a_message_on_its_way_while_the_client_closes_is_finished_and_its_connection_left() -> None:
    server = Scripted()
    async with listening(server), client(server) as smtp:
        sending = asyncio.create_task(smtp.send("a@example.com", "b@example.com", MESSAGE))
        await server.arrived.wait()
        await smtp.close()
        assert (await sending).ok
        await server.ended.get()


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com\r\nRCPT TO:<eve@example.com>",
        "ada@example.com\n",
        "ada\0@example.com",
        "ada@example.com> SIZE=1",
        "<ada@example.com",
        "ada lovelace@example.com",
        "ada@\ud800.com",
        "ada@exa☃mple.com",
    ],
)
async def test_addresses_that_would_break_the_command_are_refused(address: str) -> None:
    async with listening(Scripted()) as server, client(server) as smtp:
        with pytest.raises(ValueError, match=r"address|odepoint"):
            await smtp.send("shop@example.com", address, MESSAGE)
        with pytest.raises(ValueError, match=r"address|odepoint"):
            await smtp.send(address, "shop@example.com", MESSAGE)
    assert server.connections == 0


async def test_international_domains_travel_in_ascii() -> None:
    async with listening(Scripted()) as server, client(server) as smtp:
        assert (await smtp.send("a@example.com", "ada@Bücher.example", MESSAGE)).ok
    assert "RCPT TO:<ada@xn--bcher-kva.example>" in server.commands


async def test_an_international_address_needs_a_server_that_takes_it() -> None:
    async with listening(Scripted()) as server, client(server) as smtp:
        refused = await smtp.send("a@example.com", "dörte@example.com", MESSAGE)
        assert (refused.ok, refused.temporary, refused.code, refused.enhanced) == (False, False, 553, "5.6.7")
        assert "SMTPUTF8" in refused.detail
        assert (await smtp.send("a@example.com", "ada@example.com", MESSAGE)).ok
    assert (server.connections, len(server.messages)) == (1, 1)


# --- against aiosmtpd ----------------------------------------------------------------------------


class Inbox:
    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 OK"


@asynccontextmanager
async def aiosmtpd(inbox: Inbox, **options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    made: list[SMTP] = []

    def make() -> SMTP:
        made.append(SMTP(inbox, enable_SMTPUTF8=True, hostname="mx.example", **options))
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for smtp in made:
            if smtp._handler_coroutine is not None:
                smtp._handler_coroutine.cancel()
                with suppress(asyncio.CancelledError):
                    await smtp._handler_coroutine


async def test_a_real_server_takes_messages_in_every_alphabet() -> None:
    inbox = Inbox()
    body = "Subject: ü\r\n\r\n.grüße\r\n".encode()
    async with aiosmtpd(inbox) as port:
        smtp = SmtpClient(SmtpSettings(host="127.0.0.1", port=port))
        assert (await smtp.send("bounce@example.com", "dörte@example.com", body)).ok
        assert (await smtp.send("bounce@example.com", "ada@example.com", MESSAGE)).ok
        await smtp.close()
    first, second = inbox.envelopes
    assert (first.mail_from, first.rcpt_tos, first.content) == (
        "bounce@example.com",
        ["dörte@example.com"],
        body,
    )
    assert set(first.mail_options) == {f"SIZE={len(body)}", "BODY=8BITMIME", "SMTPUTF8"}
    assert second.mail_options == [f"SIZE={len(MESSAGE)}"]


def _allow(password: bytes) -> Callable[..., AuthResult]:
    def check(_server: object, _session: object, _envelope: object, _how: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"ada", password), handled=False)

    return check


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # aiosmtpd means it well
@pytest.mark.parametrize(("password", "ok"), [("s3cret", True), ("wrong", False)])
async def test_the_login_is_used_and_its_refusal_is_no_word_about_the_message(
    password: str, ok: bool
) -> None:
    inbox = Inbox()
    async with aiosmtpd(
        inbox, authenticator=_allow(b"s3cret"), auth_required=True, auth_require_tls=False
    ) as port:
        smtp = SmtpClient(SmtpSettings(host="127.0.0.1", port=port, username="ada", password=password))
        result = await smtp.send("a@example.com", "b@example.com", MESSAGE)
        await smtp.close()
    assert (result.ok, len(inbox.envelopes)) == (ok, int(ok))
    if not ok:
        assert (result.stage, result.temporary, result.code) == ("auth", True, 535)
        assert password not in result.detail


async def test_a_server_without_auth_refuses_a_login() -> None:
    result = await send_once({}, username="ada", password="s3cret")
    assert (result.stage, result.temporary, result.code) == ("auth", True, None)


@pytest.mark.parametrize(("tls", "sent"), [("auto", False), ("none", True)])
async def test_the_password_crosses_a_network_in_the_clear_only_where_asked(tls: Any, sent: bool) -> None:
    offer = {"EHLO": b"250-mx.example\r\n250 AUTH PLAIN\r\n", "AUTH": b"235 welcome\r\n"}
    async with listening(Scripted(offer)) as server:
        # 0.0.0.0 leads to loopback without being a loopback address.
        settings = SmtpSettings(host="0.0.0.0", port=server.port, username="ada", password="x", tls=tls)  # noqa: S104
        smtp = SmtpClient(settings)
        result = await smtp.send("a@example.com", "b@example.com", MESSAGE)
        await smtp.close()
    assert (result.ok, any(command.startswith("AUTH") for command in server.commands)) == (sent, sent)
    assert sent or (result.stage, result.temporary, "clear" in result.detail) == ("auth", True, True)


async def test_starttls_is_insisted_on_where_asked() -> None:
    result = await send_once({}, tls="starttls")
    assert (result.ok, result.stage, result.temporary) == (False, "tls", True)
    assert "STARTTLS" in result.detail


def _server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("tls", ["auto", "starttls"])
async def test_starttls_encrypts_and_verifies(tls: Any, certificate: Path) -> None:
    inbox = Inbox()
    async with aiosmtpd(inbox, tls_context=_server_tls(certificate), require_starttls=True) as port:
        settings = SmtpSettings(host="localhost", port=port, tls=tls)
        trusting = SmtpClient(settings, tls=ssl.create_default_context(cafile=str(certificate)))
        assert (await trusting.send("a@example.com", "b@example.com", MESSAGE)).ok
        await trusting.close()
        careful = SmtpClient(settings)
        result = await careful.send("a@example.com", "b@example.com", MESSAGE)
        await careful.close()
    assert (result.ok, result.stage, result.temporary, len(inbox.envelopes)) == (False, "tls", True, 1)
    assert "certificate" in result.detail


async def test_implicit_tls_encrypts_from_the_first_byte(certificate: Path) -> None:
    server = Scripted()
    listener = await asyncio.start_server(server.run, "127.0.0.1", 0, ssl=_server_tls(certificate))
    async with listener:
        settings = SmtpSettings(host="localhost", port=listener.sockets[0].getsockname()[1], tls="implicit")
        smtp = SmtpClient(settings, tls=ssl.create_default_context(cafile=str(certificate)))
        result = await smtp.send("a@example.com", "b@example.com", MESSAGE)
        await smtp.close()
        await server.ended.get()
    assert (result.ok, server.messages) == (True, [MESSAGE + b".\r\n"])


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mx.example", ("mx.example", 25, None, None, "auto")),
        ("SMTP://MX.example:2525/", ("mx.example", 2525, None, None, "auto")),
        ("smtp://ada:s3cret@mx.example", ("mx.example", 587, "ada", "s3cret", "auto")),
        (
            "smtp://ada%40example.com:p%40ss%3A%2Fw%C3%B6rd@mx.example:587?starttls=always",
            ("mx.example", 587, "ada@example.com", "p@ss:/wörd", "starttls"),
        ),
        ("smtp://127.0.0.1:1025?starttls=never", ("127.0.0.1", 1025, None, None, "none")),
        ("smtp://[::1]:1025?starttls=auto", ("::1", 1025, None, None, "auto")),
        ("smtps://ada:x@mx.example", ("mx.example", 465, "ada", "x", "implicit")),
        ("smtps://mx.example:4650", ("mx.example", 4650, None, None, "implicit")),
    ],
)
def test_urls_are_read(url: str, expected: tuple[object, ...]) -> None:
    settings = parse_smtp_url(url)
    assert (settings.host, settings.port, settings.username, settings.password, settings.tls) == expected


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "smtp://"),
        ("mx.example:25", "smtp://"),
        ("http://mx.example", "smtp://"),
        ("smtp://", "host"),
        ("smtp://:25", "host"),
        ("smtp://mx.example:port", "port"),
        ("smtp://mx.example:70000", "port"),
        ("smtp://[::1", "malformed"),
        ("smtp://mx.example/path", "after the port"),
        ("smtp://mx.example#x", "after the port"),
        ("smtp://mx.example?starttls=sometimes", "always"),
        ("smtp://mx.example?tls=yes", "'tls'"),
        ("smtps://mx.example?starttls=always", "smtps"),
        ("smtp://hunter2@mx.example", "both"),
        ("smtp://:hunter2@mx.example", "both"),
        ("smtp://ada:hunter2%0d%0a@mx.example", "control"),
    ],
)
def test_urls_that_cannot_be_meant_are_refused_without_repeating_them(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=word) as refused:
        parse_smtp_url(url)
    assert "hunter2" not in str(refused.value)
