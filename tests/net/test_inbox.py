"""The SMTP server for what comes back: bounded, no relay, and 250 only for what was taken in for good."""

from __future__ import annotations

import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hookline.net.inbox import MAX_FROM_ONE, MAX_MAIL, Inbox
from support.smtp import Address, Conversation, conversation, hand_in

US = "postmaster@in.shop.example"
LINE = "x" * 70_000 + "\r\n"


class Keeper:
    """What was taken in; ``trouble`` is raised instead."""

    def __init__(self) -> None:
        self.mails: list[tuple[bytes, list[str]]] = []
        self.trouble: Exception | None = None

    async def take(self, raw: bytes, to: list[str]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.mails.append((raw, to))


@asynccontextmanager
async def listening(keeper: Keeper, **options: float) -> AsyncIterator[Address]:
    inbox = Inbox("in.shop.example", lambda address: address == US, keeper.take, **options)
    try:
        yield await inbox.open("127.0.0.1", 0)
    finally:
        await inbox.close(1)


async def begin(talk: Conversation) -> None:
    for line, code in (
        ("EHLO mx.reader.example", 250),
        ("MAIL FROM:<>", 250),
        (f"RCPT TO:<{US}>", 250),
        ("DATA", 354),
    ):
        assert await talk.say(line) == code


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (".", b""),
        ("a: b\r\n\r\nhello\r\n.", b"a: b\r\n\r\nhello\r\n"),
        ("..\r\n..a\r\n.", b".\r\n.a\r\n"),
        (".a\nb\r\n.", b"a\nb\r\n"),
        ("a\n.\nMAIL FROM:<smuggled@reader.example>\r\n.", b"a\n.\nMAIL FROM:<smuggled@reader.example>\r\n"),
        ("a\r\n.\nb\r\n.", b"a\r\n\nb\r\n"),
        (LINE + ".", LINE.encode()),
    ],
)
async def test_what_is_sent_is_kept_byte_for_byte(sent: str, kept: bytes) -> None:
    keeper = Keeper()
    async with listening(keeper) as server, conversation(server) as talk:
        await begin(talk)
        assert await talk.say(sent) == 250
        assert await talk.say("NOOP") == 250
    assert keeper.mails == [(kept, [US])]


async def test_what_cannot_be_taken_in_stays_with_the_other_server() -> None:
    keeper = Keeper()
    keeper.trouble = OSError("the database is away")
    async with listening(keeper) as server:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await hand_in(server, b"a: b\r\n\r\nc\r\n", US)
        assert refused.value.smtp_code == 451
        keeper.trouble = None
        await hand_in(server, b"a: b\r\n\r\nc\r\n", US)
    assert len(keeper.mails) == 1


async def test_nothing_is_relayed() -> None:
    async with listening(Keeper()) as server:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await hand_in(server, b"a: b\r\n", "ada@elsewhere.example", "spammer@elsewhere.example")


async def test_too_large_a_mail_is_refused_in_a_session_that_goes_on() -> None:
    keeper = Keeper()
    async with listening(keeper) as server, conversation(server) as talk:
        assert await talk.say("EHLO mx.reader.example") == 250
        assert await talk.say(f"MAIL FROM:<> SIZE={MAX_MAIL + 1}") == 552
        await begin(talk)
        assert await talk.say(LINE * (MAX_MAIL // len(LINE) + 1) + ".") == 552
        await begin(talk)
        assert await talk.say("small\r\n.") == 250
    assert [raw for raw, _ in keeper.mails] == [b"small\r\n"]


async def test_one_address_gets_so_many_connections() -> None:
    async with listening(Keeper()) as server:
        talks = [await Conversation.open(server) for _ in range(MAX_FROM_ONE)]
        crowded = await Conversation.open(server)
        assert [talk.greeting for talk in talks] == [220] * MAX_FROM_ONE and crowded.greeting == 421
        assert await talks[0].say("QUIT") == 221
        for talk in (*talks, crowded):
            await talk.close()


async def test_a_session_ends_in_time() -> None:
    async with listening(Keeper(), session_seconds=0.05) as server:
        talk = await Conversation.open(server)
        assert talk.greeting == 220
        assert await talk.hears_the_end()
        await talk.close()
