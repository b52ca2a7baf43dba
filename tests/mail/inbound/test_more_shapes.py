"""More shapes in which mail comes back, server by server."""

from __future__ import annotations

import pytest

from hookline.mail.inbound.parse import parse
from support.mails import mail
from support.more_mails import AWAY, CASES, away


@pytest.mark.parametrize("name", CASES)
def test_what_a_server_reports(name: str) -> None:
    case = CASES[name]
    [report] = parse(mail(case.raw))
    assert (report.kind, report.reason, report.hard, report.smtp_code, report.enhanced_code) == case[1:]
    assert report.recipients[0] == "ada@reader.example"


@pytest.mark.parametrize("name", AWAY)
def test_who_is_away_has_not_lost_his_mail(name: str) -> None:
    for extra in ("", "Auto-Submitted: auto-replied\n", "X-Autoreply: yes\n"):
        assert [report.kind for report in parse(mail(away(AWAY[name], extra)))] == ["auto_reply"]


def test_a_list_that_takes_nothing_from_machines_is_no_bounce() -> None:
    raw = away("Ml ML Error").replace("Back on Monday.", "Your mail is rejected, because a program sent it.")
    assert parse(mail(raw)) == []
