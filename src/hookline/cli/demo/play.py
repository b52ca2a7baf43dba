"""The play: the campaign goes out, and a day and a bit of its readers' lives pass, hour by hour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from operator import itemgetter

import msgspec

from hookline.cli.demo import mailbox
from hookline.cli.demo.cast import CAST, WITHDRAWALS, Reader, Withdrawal
from hookline.cli.demo.scenery import LINK, PROVIDER_LOGIN, SHOP_URL, Scenery
from hookline.cli.demo.stage import LAST_HOUR, Notice, Stage
from hookline.cli.demo.web import ApiRefused
from hookline.cli.postbox import Mail
from hookline.model import HOUR, SECOND

PROMO_READ_AFTER = 0.5  # hours
Act = Callable[[], Awaitable[None]]


class Play:
    """``notice`` is awaited whenever something may have happened. ``faults`` are things that did not go as
    a reader of real mail may expect."""

    def __init__(self, stage: Stage, scenery: Scenery, notice: Notice) -> None:
        self._stage, self._scenery, self._notice = stage, scenery, notice
        self._start = stage.clock.now()
        self.faults: list[str] = []

    async def run(self) -> None:
        stage = self._stage
        await stage.api.post(f"/v1/campaigns/{self._scenery.campaign}/send")
        await stage.work()
        await self._notice()
        for hours, act in sorted([*self._of_readers(), *self._of_the_bank()], key=itemgetter(0)):
            await self._pass_time(hours)
            try:
                await act()
            except (OSError, KeyError, ValueError, ApiRefused) as error:
                self.faults.append(repr(error))
            await stage.work()
            await self._notice()
        await self._pass_time(LAST_HOUR)

    async def _pass_time(self, hours: float) -> None:
        stage, until = self._stage, self._start + round(hours * HOUR)
        while (now := stage.clock.now()) < until:
            # An hour at a time, and no retry is passed over.
            hour = now - (now - self._start) % HOUR + HOUR
            await stage.pass_time(min(hour, until), self._notice)

    # --- what the readers do

    def _of_readers(self) -> list[tuple[float, Act]]:
        acts: list[tuple[float, Act]] = []
        for reader in CAST:
            acts += [(hours, self._act(self._open, reader)) for hours in reader.opens]
            acts += [(hours, self._act(self._click, reader)) for hours in reader.clicks]
            if reader.leaves is not None:
                leave = self._complain if reader.fate == "complains" else self._unsubscribe
                acts.append((reader.leaves, self._act(leave, reader)))
            if reader.opens_promo:
                first = min(*reader.opens, *reader.clicks, 99.0)
                acts.append((first + PROMO_READ_AFTER, self._act(self._open_promo, reader)))
        return acts

    def _act(self, what: Callable[[Reader, Mail], Awaitable[None]], reader: Reader) -> Act:
        async def act() -> None:
            mails = [mail for mail in self._stage.box.mails if mail.recipient == reader.email]
            if not mails:
                self.faults.append(f"{reader.name} has no mail")
                return
            await what(reader, mails[0])

        return act

    async def _open(self, reader: Reader, mail: Mail) -> None:
        agent = mailbox.APPLE_PROXY if reader.fate == "apple" else _agent(reader)
        answers = await mailbox.look_at(mail, agent)
        if not answers or any(answer.status != 200 for answer in answers):
            self.faults.append(f"{reader.name} sees no picture")

    async def _click(self, reader: Reader, mail: Mail) -> None:
        answer = await mailbox.follow(mail, LINK, _agent(reader))
        if answer.status not in (302, 303, 307) or answer.headers.get("location") != SHOP_URL:
            self.faults.append(f"the link of {reader.name} leads elsewhere: {answer.status}")

    async def _unsubscribe(self, reader: Reader, mail: Mail) -> None:
        answer = await mailbox.unsubscribe(mail)
        if answer.status != 200 or "set-cookie" in answer.headers:
            self.faults.append(f"{reader.name} cannot unsubscribe: {answer.status}")

    async def _complain(self, reader: Reader, mail: Mail) -> None:
        seconds = self._stage.clock.now() // SECOND
        login = ":".join(PROVIDER_LOGIN)
        answer = await mailbox.report_spam(mail, self._scenery.provider_url, login, seconds)
        if answer.status != 200:
            self.faults.append(f"the provider could not report {reader.name}: {answer.status}")

    async def _open_promo(self, reader: Reader, mail: Mail) -> None:
        mails = [mail for mail in self._stage.box.mails if mail.recipient == reader.email]
        if len(mails) != 2:
            self.faults.append(f"{reader.name} looks for one promo mail and finds {len(mails) - 1}")
            return
        await self._open(reader, mails[1])

    # --- what the bank tells

    def _of_the_bank(self) -> list[tuple[float, Act]]:
        def act(number: int, withdrawal: Withdrawal) -> Act:
            async def tell() -> None:
                reader = next(reader for reader in CAST if reader.name == withdrawal.name)
                data = {"amount": msgspec.Raw(withdrawal.amount.encode()), "place": withdrawal.place}
                await self._stage.api.post(
                    "/v1/events",
                    {
                        "type": "bank.withdrawal",
                        "source": "bank",
                        "id": f"withdrawal-{number}",
                        "subject": reader.email,
                        "data": data,
                    },
                )

            return tell

        return [(item.hours, act(number, item)) for number, item in enumerate(WITHDRAWALS, 1)]


def _agent(reader: Reader) -> str:
    return mailbox.AGENTS[len(reader.name) % len(mailbox.AGENTS)]
