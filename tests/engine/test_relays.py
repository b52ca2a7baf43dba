"""Several SMTP servers: the next one takes over, nobody is missed and nobody gets it twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hookline.net.relays import Relay, Relays, parse_smtp_urls
from hookline.net.smtp import SmtpClient
from support.engine import running
from support.mailserver import MailServer, serving_mail

READERS = [f"r{n}@example.com" for n in range(30)]


@pytest.mark.parametrize("end", ["closing", "dead"])
async def test_a_server_that_ends_in_the_middle_of_a_campaign(database_url: str | Path, end: str) -> None:
    async with serving_mail() as first, serving_mail() as second:

        async def ill() -> None:
            if len(first.mails) == 5:
                first.closing = True
                if end == "dead":
                    first.die()

        first.hold = ill
        async with running(database_url, f"{first.url}, {second.url}") as engine:
            listed = await engine.new_list("readers")
            for reader in READERS:
                await engine.contact(reader, listed.id)
            campaign = await engine.campaign(listed)
            got = Counter(address for address, _ in [*first.mails, *second.mails])
            states = {d.address: (d.state, d.error) for d in await engine.deliveries(campaign=campaign.id)}
            assert set(got.values()) == {1}, "nobody twice"
            # Whose content was on its way when the server died: it may have them, so they are shown and not repeated.
            doubtful = {address for address, found in states.items() if found == ("failed", "reset")}
            assert set(got) | doubtful == set(READERS) and (end == "dead" or not doubtful)
            assert all(found == ("succeeded", None) for a, found in states.items() if a not in doubtful)
            assert len(second.mails) > 15


async def test_the_ill_one_rests_and_each_is_written_its_own(mailserver: MailServer) -> None:
    now, asked = 0.0, []
    async with serving_mail() as other:
        first, second = (
            Relay(SmtpClient(settings), provider)
            for settings, provider in zip(
                parse_smtp_urls(f"{other.url} {mailserver.url}"), ("a", "b"), strict=True
            )
        )
        relays = Relays([first, second], lambda: now)

        def write(provider: str) -> tuple[str, bytes]:
            asked.append(provider)
            return "shop@example.com", b"Subject: " + provider.encode() + b"\r\n\r\nHi\r\n"

        async def send() -> int:
            return (await relays.send(write, "ada@example.com")).place

        other.closing = True
        assert [await send(), await send()] == [1, 1] and asked == ["a", "b", "b"]
        now = 16.0
        assert await send() == 1 and asked[3:] == ["a", "b"], "it was tried, and is still ill"
        now = 32.0
        assert await send() == 1 and asked[5:] == ["b"], "it rests longer now"
        other.closing, now = False, 60.0
        assert await send() == 0
        mailserver.refuse["ada@example.com"] = other.refuse["ada@example.com"] = ["450 4.2.0 Later"]
        assert await send() == 0, "what is said about the recipient is not asked of another"
        other.closing = mailserver.closing = True
        result = await relays.send(write, "bob@example.com")
        assert (result.place, result.result.code, result.result.temporary) == (1, 421, True)
        await relays.close()


def test_servers_stand_between_commas_or_spaces() -> None:
    found = parse_smtp_urls(" smtp://a:p,w@one.example, smtps://two.example\n smtp://three.example ")
    assert [server.host for server in found] == ["one.example", "two.example", "three.example"]
    with pytest.raises(ValueError, match="begin with"):
        parse_smtp_urls("smtp://one.example, two.example")
