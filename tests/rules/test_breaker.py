"""The breaker: it opens for an illness and not for a hiccup, and one probe at a time closes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.model import HOUR, MINUTE, SECOND, AttemptError, Outcome
from hookline.rules.breaker import (
    CLOSED,
    FAILURES,
    FIRST_PAUSE,
    JITTER,
    LONGEST_PAUSE,
    SPAN,
    Breaker,
    Health,
    health,
    heard,
    probing,
)

NOW = 10**15


def hear(before: Breaker, said: Health, now: int, delivery: str = "dlv", chance: float = 0.5) -> Breaker:
    return heard(before, said, delivery, began=now, now=now, chance=chance)


def opened(now: int = NOW) -> Breaker:
    """A breaker that opens at this moment."""
    breaker = CLOSED
    for place in range(FAILURES):
        breaker = hear(breaker, "ill", now - SPAN + place * SPAN // (FAILURES - 1), f"dlv_{place}")
    assert breaker.standing(now) == "open"
    return breaker


def test_it_opens_after_so_many_failures_over_such_a_time() -> None:
    assert opened().until == NOW + FIRST_PAUSE
    breaker = CLOSED
    for place in range(FAILURES * 5):  # a hiccup of many at once
        breaker = hear(breaker, "ill", NOW, f"dlv_{place}")
    assert breaker.standing(NOW) == "closed"
    breaker = CLOSED
    for place in range(FAILURES * 5):  # one delivery that nobody can take
        breaker = hear(breaker, "ill", NOW + place * SECOND)
    assert breaker.standing(NOW + MINUTE) == "closed"
    breaker = CLOSED
    for place in range(FAILURES * 5):  # so seldom that it needs no sparing
        breaker = hear(breaker, "ill", NOW + place * 2 * MINUTE, f"dlv_{place}")
    assert breaker.standing(NOW + 2 * HOUR) == "closed"


def test_attempts_that_hung_count_from_their_beginning() -> None:
    breaker = CLOSED
    for place in range(FAILURES):
        breaker = heard(breaker, "ill", f"dlv_{place}", began=NOW - SPAN, now=NOW, chance=0)
    assert breaker.standing(NOW) == "open"


def test_one_good_answer_closes_it_and_begins_anew() -> None:
    for before in (opened(), probing(opened(), "dlv_p")):
        assert hear(before, "well", NOW + 1) == CLOSED


def test_only_the_probe_opens_it_for_longer_and_never_for_very_long() -> None:
    breaker, now = opened(), NOW
    for pause in (10, 20, 40, 60, 60):
        now = breaker.until
        assert breaker.standing(now - 1) == "open" and breaker.standing(now) == "half_open"
        breaker = probing(breaker, "dlv_p")
        assert hear(breaker, "ill", now, "dlv_of_before") == breaker, "it says nothing new"
        assert hear(breaker, "unknown", now, "dlv_p").probe == "", "another is to find it out"
        breaker = hear(breaker, "ill", now, "dlv_p")
        assert (breaker.until, breaker.probe) == (now + pause * SECOND, "")


events = st.lists(
    st.tuples(
        st.sampled_from(["ill", "well", "unknown", "probe"]), st.integers(0, 3), st.integers(-HOUR, HOUR)
    ),
    max_size=200,
)


@given(events, st.floats(0, 1, exclude_max=True))
def test_whatever_happens_it_is_half_open_within_its_longest_pause(
    happened: list[tuple[str, int, int]], chance: float
) -> None:
    breaker, now = CLOSED, NOW
    for said, who, wait in happened:
        now += wait // 100 if wait > 0 else wait // 1000
        if said == "probe":
            if breaker.standing(now) == "half_open" and not breaker.probe:
                breaker = probing(breaker, f"dlv_{who}")
            continue
        breaker = heard(breaker, said, f"dlv_{who}", began=now, now=now, chance=chance)  # type: ignore[arg-type]
        assert not (breaker.probe and not breaker.pause)
        assert breaker.standing(now + round(LONGEST_PAUSE * (1 + JITTER))) != "open"
        assert breaker.standing(now - HOUR) != "open", "nor does a clock that is set back keep it open"


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "says"),
    [
        ("timeout_total", None, None, "ill"),
        ("refused", None, None, "ill"),
        ("http_status", 500, None, "ill"),
        ("http_status", 503, None, "ill"),
        ("http_status", 503, SECOND, "unknown"),
        ("rate_limited", 429, None, "ill"),
        ("rate_limited", 429, SECOND, "unknown"),
        ("http_status", 404, None, "well"),
        ("redirect", 302, None, "well"),
        ("gone", 410, None, "well"),
        ("smtp_permanent", 550, None, "well"),
        ("smtp_temporary", 454, None, "well"),
        ("template", None, None, "unknown"),
        ("blocked_address", None, None, "unknown"),
        ("cancelled", None, None, "unknown"),
        (None, 204, None, "well"),
    ],
)
def test_what_an_attempt_says_of_its_receiver(
    error: AttemptError | None, status: int | None, retry_after: int | None, says: str
) -> None:
    result = "retry" if error else "ok"
    outcome = Outcome(result=result, error=error, status=status, retry_after=retry_after)  # type: ignore[arg-type]
    assert health(outcome) == says
