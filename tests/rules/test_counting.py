"""Counting: once for a message, and the rates of the contract."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from hookline.rules.counting import COUNTERS, fold
from hookline.stats import rates

kinds = st.sampled_from(
    [
        "email.sent", "email.delivered", "email.deferred", "email.bounced", "email.blocked", "email.opened",
        "email.clicked", "email.complained", "email.unsubscribed",
    ]
)  # fmt: skip


def tally(events: list[tuple[str, bool]]) -> dict[str, int]:
    flags, totals = 0, dict.fromkeys(COUNTERS, 0)
    for kind, extra in events:
        flags, add = fold(flags, kind, machine=extra, hard=extra)
        for name, value in add.items():
            totals[name] += value
    return totals


@given(st.lists(st.tuples(kinds, st.booleans()), max_size=30))
def test_one_message_counts_once_whatever_is_told_of_it_and_in_whatever_order(
    events: list[tuple[str, bool]],
) -> None:
    totals = tally(events)
    for name, value in totals.items():
        assert value >= 0, name
        if not name.endswith("_total"):
            assert value <= 1, name
    assert totals["opened_total"] == sum(
        1 for kind, machine in events if kind == "email.opened" and not machine
    )
    figures = rates(totals)
    assert figures["delivered"] in (0, 1)


@given(st.lists(st.tuples(kinds, st.booleans()), max_size=15))
def test_telling_it_all_again_changes_only_the_totals(events: list[tuple[str, bool]]) -> None:
    stable = [
        item for item in events if item[0] not in ("email.deferred", "email.blocked", "email.delivered")
    ]
    once, twice = tally(stable), tally(stable + stable)
    assert {k: v for k, v in once.items() if not k.endswith("_total")} == {
        k: v for k, v in twice.items() if not k.endswith("_total")
    }


def test_the_rates_have_the_denominators_of_the_contract() -> None:
    counts = {
        "attempted": 10, "sent": 8, "bounced": 2, "bounced_hard": 1, "pending": 1, "opened": 4, "opened_total": 9,
        "clicked": 2, "unsubscribed": 1, "complained": 1, "blocked": 3,
    }  # fmt: skip
    figures = rates(counts)
    assert figures["delivered"] == 7
    assert figures["open_rate"] == round(4 / 7, 6) and figures["click_rate"] == round(2 / 7, 6)
    assert figures["click_to_open_rate"] == 0.5 and figures["bounce_rate"] == 0.2


def test_without_a_denominator_a_rate_is_not_known() -> None:
    assert {rates({})[name] for name in ("open_rate", "bounce_rate", "click_to_open_rate")} == {None}


def test_a_refused_mail_was_tried_and_never_sent() -> None:
    totals = tally([("email.bounced", True)])
    assert (totals["attempted"], totals["sent"], totals["bounced_hard"]) == (1, 0, 1)
    assert rates(totals)["delivered"] == 0


def test_a_later_bounce_takes_a_mail_from_the_delivered_whoever_tells_of_it_first() -> None:
    told = [
        ("email.sent", False),
        ("email.bounced", True),
        ("email.bounced", False),
        ("email.delivered", False),
    ]
    for order in permutations(told):
        totals = tally([*order, *order])
        assert (totals["attempted"], totals["sent"], totals["bounced"], totals["bounced_hard"]) == (
            1,
            1,
            1,
            1,
        )
        assert rates(totals)["delivered"] == 0


def test_a_delayed_mail_that_is_opened_has_arrived() -> None:
    for order in permutations([("email.sent", False), ("email.deferred", False), ("email.opened", True)]):
        assert rates(tally(list(order)))["delivered"] == 1, order
