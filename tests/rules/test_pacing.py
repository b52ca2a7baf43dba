"""Rates: never more than so many in any span, never less than is allowed for long, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookline.rules.pacing import PARTS, Pace, Rate, Spent, left, next_free, order_key, postpone, spend

rates = st.builds(Rate, st.integers(1, 50), st.integers(64, 10_000))
# How long to wait, and how many are wanted then.
steps = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 60)), max_size=60)


def played(rate: Rate, wanted: list[tuple[int, int]]) -> tuple[list[int], Spent, int]:
    """The time of each attempt when as many begin as may, what is spent, and the time at the end."""
    spent: Spent = ()
    begun: list[int] = []
    now = 1_000_000
    for wait, count in wanted:
        now += wait
        may = min(count, left(spent, rate, now))
        spent = spend(spent, rate, now, may)
        begun += [now] * may
    return begun, spent, now


@given(rates, steps)
def test_no_span_holds_more_than_the_rate(rate: Rate, wanted: list[tuple[int, int]]) -> None:
    begun, _, _ = played(rate, wanted)
    for place, at in enumerate(begun):
        assert sum(at <= other < at + rate.per for other in begun[place:]) <= rate.count


late = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 60), st.integers(0, 2000)), max_size=60)


@given(rates, late)
def test_neither_where_attempts_begin_late(rate: Rate, wanted: list[tuple[int, int, int]]) -> None:
    spent: Spent = ()
    begun: list[int] = []
    now = 1_000_000
    for wait, count, delay in wanted:
        now += wait
        may = min(count, left(spent, rate, now))
        spent = spend(spent, rate, now, may)
        if may and delay > rate.leeway:
            spent = postpone(spent, rate, now, now + delay, may)
            now += delay
        begun += [now + delay % (rate.leeway + 1)] * may
    begun.sort()
    for place, at in enumerate(begun):
        assert sum(at <= other < at + rate.per for other in begun[place:]) <= rate.count


def test_what_begins_late_is_counted_once() -> None:
    rate = Rate(4, 3200)
    spent = spend((), rate, 10_000, 3)
    assert left(postpone(spent, rate, 10_000, 11_000, 3), rate, 11_000) == 1
    assert next_free(postpone(spent, rate, 10_000, 11_000, 3), Rate(3, 3200), 11_000) == 14_400


@given(rates, steps)
def test_what_is_kept_is_short(rate: Rate, wanted: list[tuple[int, int]]) -> None:
    _, spent, _ = played(rate, wanted)
    assert len(spent) <= 2 * PARTS + 3


@given(rates, steps)
def test_the_next_one_comes_when_it_is_said_and_no_later_than_it_must(
    rate: Rate, wanted: list[tuple[int, int]]
) -> None:
    begun, spent, now = played(rate, wanted)
    at = next_free(spent, rate, now)
    assert left(spent, rate, at) > 0 and now <= at <= now + rate.per + rate.leeway
    assert at == now or left(spent, rate, at - 1) == 0, "precisely"
    if len(begun) >= rate.count:  # by the letter it may begin when the count-th last is old
        exact = max(now, begun[-rate.count] + rate.per)
        assert at <= exact + rate.leeway + rate.per // PARTS + 1
    else:
        assert at == now


@given(rates, steps, st.integers(1, 10**10), st.integers(0, 5000))
def test_a_clock_set_back_neither_stalls_nor_floods(
    rate: Rate, wanted: list[tuple[int, int]], back: int, wait: int
) -> None:
    _, spent, now = played(rate, wanted)
    before = left(spent, rate, now)
    now -= back
    assert left(spent, rate, now) <= max(before, rate.count - sum(count for _, count in spent))
    assert next_free(spent, rate, now) <= now + rate.per + rate.leeway
    again = spend(spent, rate, now, left(spent, rate, now))
    later = now + min(wait, rate.per - 1)  # within a period only what was spent before it becomes free
    assert left(again, rate, later) <= sum(count for at, count in again if at <= later - rate.per)


def test_a_rate_that_was_lowered_counts_at_once() -> None:
    spent = spend((), Rate(10, 100), 1000, 10)
    assert left(spent, Rate(5, 100), 1000) == 0
    assert left(spent, Rate(12, 100), 1000) == 2
    assert next_free(spent, Rate(5, 100), 1000) == 1100 + Rate(5, 100).leeway


def test_a_subject_is_one_however_it_is_spelt() -> None:
    assert order_key("Ada@Example.com ", "dlv_1", None) == order_key("ada@example.com", "dlv_2", None)
    assert order_key("Order-1", "dlv_1", None) != order_key("order-1", "dlv_2", None)
    assert order_key(None, "dlv_1", None) == "dlv_1", "alone"
    assert order_key("a", "dlv_1", "hook_1") == order_key("b", "dlv_2", "hook_1"), "batches, all of them"
    assert Pace().order_key("a", "dlv_1", None) is None
