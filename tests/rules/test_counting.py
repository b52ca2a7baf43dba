"""Counting: once for a message, and the rates of the contract."""

from __future__ import annotations

from itertools import permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hookline.model import HOUR, MINUTE, SECOND
from hookline.rules.counting import COUNTERS, FLAGS, Fact, History, Key, flags_of, retell, tell
from hookline.stats import rates

KINDS = (
    "email.sent", "email.delivered", "email.deferred", "email.bounced", "email.blocked", "email.opened",
    "email.clicked", "email.complained", "email.unsubscribed", "delivery.failed",
)  # fmt: skip
HITS = ("email.opened", "email.clicked")


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    kind, extra = draw(st.sampled_from(KINDS)), draw(st.booleans())
    link = draw(st.sampled_from(["", "0", "https://shop.example/"])) if kind == "email.clicked" else ""
    time = draw(st.integers(0, 3 * HOUR))
    own = draw(st.booleans())
    return Fact(kind, time, extra and kind in HITS, extra and kind == "email.bounced", link, own)


def figures(told: list[Fact]) -> dict[Key, int]:
    """Told one after another, as commits do."""
    history, sums = History(0), dict[Key, int]()
    for fact in told:
        history, changes = tell(history, [fact])
        for key, value in changes.items():
            sums[key] = sums.get(key, 0) + value
    left = {key: value for key, value in sums.items() if value}
    here = {figure for link, figure, _ in left if not link}
    assert flags_of(history) == sum(bit for name, bit in FLAGS.items() if name in here)
    return left


def tally(events: list[tuple[str, bool]]) -> dict[str, int]:
    totals = dict.fromkeys(COUNTERS, 0)
    told = [
        Fact(kind, SECOND, extra and kind in HITS, extra and kind == "email.bounced")
        for kind, extra in events
    ]
    for (_, name, _), value in figures(told).items():
        totals[name] += value
    return totals


@given(st.lists(facts(), max_size=20))
def test_one_message_counts_once_whatever_is_told_of_it(told: list[Fact]) -> None:
    found = figures(told)
    for (link, name, hour), value in found.items():
        assert value > 0 and (name.endswith("_total") or value == 1), (link, name, hour)
    opens = [fact for fact in told if fact.type == "email.opened" and not fact.machine]
    ours = [fact for fact in opens if fact.own]
    total = sum(value for (_, name, _), value in found.items() if name == "opened_total")
    assert total == len(ours or opens), "by our pixel; by others only where it tells nothing"
    ends = [name for link, name, _ in found if name in {"attempted", "blocked", "failed"}]
    assert len(ends) <= 1, "whoever is added up is in one of them"
    first = [hour for link, name, hour in found if (link, name) == ("", "opened")]
    assert first == ([min(fact.time for fact in opens) // HOUR] if opens else [])


@given(st.lists(facts(), max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_it_is_told_is_all_the_same(told: list[Fact], random: Random) -> None:
    shuffled = list(told)
    random.shuffle(shuffled)
    assert figures(shuffled) == figures(told)
    assert tell(History(0), told)[1] == figures(told), "nor whether it comes at once"


@given(st.lists(facts(), max_size=15))
def test_telling_it_all_again_changes_only_the_totals(told: list[Fact]) -> None:
    def distinct(found: dict[Key, int]) -> dict[Key, int]:
        return {key: value for key, value in found.items() if not key[1].endswith("_total")}

    assert distinct(figures(told)) == distinct(figures(told + told))


@given(st.lists(facts(), max_size=12), st.data())
def test_known_late_to_be_a_machine_counts_as_if_known_at_once(told: list[Fact], data: st.DataObject) -> None:
    marked = [
        fact._replace(machine=fact.machine or data.draw(st.booleans())) if fact.type in HITS else fact
        for fact in told
    ]
    history, sums = tell(History(0), told)
    was = [fact for fact in told if fact.type in HITS]
    history, changes = retell(history, was, [fact for fact in marked if fact.type in HITS])
    for key, value in changes.items():
        sums[key] = sums.get(key, 0) + value
    known, expected = tell(History(0), marked)
    assert {key: value for key, value in sums.items() if value} == expected
    assert history == known


def test_failed_is_what_no_server_has_answered() -> None:
    failed, sent, put_off = (Fact(kind, 0) for kind in ("delivery.failed", "email.sent", "email.deferred"))
    for told, expected in (
        ([failed], ["failed"]),
        ([put_off, failed], ["failed"]),
        ([put_off, Fact("delivery.cancelled", 0)], []),
        ([Fact("delivery.cancelled", 0), sent], ["attempted", "sent"]),
        ([failed, sent], ["attempted", "sent"]),  # a person tried it again
        ([failed, Fact("email.blocked", 0)], ["blocked"]),
        ([failed, Fact("email.bounced", 0, hard=True)], ["attempted", "bounced", "bounced_hard"]),
    ):
        assert sorted(name for _, name, _ in figures(told)) == expected


def test_put_off_before_it_was_taken_is_pending_no_more_and_put_off_after_it_is() -> None:
    sent = Fact("email.sent", MINUTE)
    own, relay = Fact("email.deferred", 0), Fact("email.deferred", 2 * MINUTE)
    for told, pending in (((sent, own), 0), ((own,), 1), ((sent, relay), 1), ((own, sent, relay), 1)):
        for order in permutations(told):
            assert (("", "pending", 0) in figures(list(order))) == bool(pending), order


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
