"""The lifecycle's table, walked by random outcomes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hookline.model import DAY, MINUTE, SECOND, Delivery, Outcome
from hookline.rules.lifecycle import (
    ENDS,
    REPEATABLE,
    TRANSITIONS,
    Policy,
    allowed,
    crashed,
    extra_attempt,
    settle,
)

POLICY = Policy((5 * SECOND, 5 * MINUTE, 30 * MINUTE))
kinds = st.sampled_from(["webhook", "slack", "email", "sms", "contact"])
outcomes = st.one_of(
    st.just(Outcome(result="ok")),
    st.builds(
        Outcome,
        result=st.just("retry"),
        error=st.sampled_from(["http_status", "timeout_read", "rate_limited"]),
        retry_after=st.none() | st.integers(0, 3 * DAY),
    ),
    st.just(Outcome(result="permanent", error="gone")),
    st.just(crashed("died")),
)
chances = st.floats(0, 1, exclude_max=True)


def sending(kind: str = "webhook") -> Delivery:
    return Delivery(
        tenant="t", id="dlv_x", lane="l", kind=kind, state="sending", owner="me",  # type: ignore[arg-type]
        created_at=0, updated_at=0, next_at=None,
    )  # fmt: skip


@given(kinds, st.lists(st.tuples(outcomes, chances), min_size=1, max_size=12))
def test_every_walk_stays_in_the_table_and_ends(kind: str, steps: list[tuple[Outcome, float]]) -> None:
    held, now = sending(kind), 0
    for count, (outcome, chance) in enumerate(steps, 1):
        after = settle(held, outcome, POLICY, now, chance)
        assert allowed("sending", after.state) and TRANSITIONS["sending", after.state] == "settle"
        assert after.attempts == count and after.owner is None
        assert (after.next_at is not None) == (after.state in ("waiting", "queued"))
        assert after.tries <= len(POLICY.schedule) + 1
        if after.next_at is None:
            assert after.state in ENDS
            return
        assert now <= after.next_at <= now + DAY + MINUTE
        now = after.next_at
        held = msgspec.structs.replace(after, state="sending", owner="me", next_at=None)


@given(chances)
def test_retries_follow_the_schedule_within_a_tenth_and_then_end(chance: float) -> None:
    held, now = sending(), 0
    for wait in POLICY.schedule:
        after = settle(held, Outcome(result="retry", error="reset"), POLICY, now, chance)
        assert after.state == "waiting" and after.next_at is not None
        assert wait * 0.9 <= after.next_at - now <= wait * 1.1
        held = msgspec.structs.replace(after, state="sending", owner="me", next_at=None)
    assert settle(held, Outcome(result="retry", error="reset"), POLICY, now, chance).state == "failed"


@given(st.integers(0, 10 * DAY), chances)
def test_retry_after_is_obeyed_up_to_a_day_and_never_hurries_a_retry(asked: int, chance: float) -> None:
    outcome = Outcome(result="retry", error="http_status", retry_after=asked)
    after = settle(sending(), outcome, POLICY, 0, chance)
    assert after.next_at is not None
    assert after.next_at >= min(asked, DAY) and after.next_at >= POLICY.schedule[0] * 0.9


@given(kinds)
def test_a_crash_repeats_only_what_may_be_repeated_and_spends_no_try(kind: str) -> None:
    after = settle(sending(kind), crashed("died"), POLICY, 7, 0.5)
    if kind in REPEATABLE:
        assert (after.state, after.next_at, after.tries) == ("queued", 7, 0)
    else:
        assert (after.state, after.error) == ("failed", "crashed")


def test_nothing_leaves_an_end_by_itself() -> None:
    assert not [step for step, actor in TRANSITIONS.items() if step[0] in ENDS and actor != "user"]


@given(st.sampled_from(["waiting", "failed", "held"]), outcomes, chances)
def test_an_extra_attempt_leaves_the_schedule_as_it_was(state: str, outcome: Outcome, chance: float) -> None:
    at = 10 * MINUTE if state == "waiting" else None
    before = msgspec.structs.replace(sending(), state=state, owner=None, next_at=at, tries=2, attempts=5)
    asked = extra_attempt(before, MINUTE)
    assert asked is not None and (asked.state, asked.next_at) == ("queued", MINUTE)
    assert extra_attempt(asked, MINUTE) is None, "it is coming already"
    after = settle(
        msgspec.structs.replace(asked, state="sending", owner="me", next_at=None),
        outcome,
        POLICY,
        MINUTE,
        chance,
    )
    assert after.attempts == 6 and after.tries == 2
    if outcome.result == "ok":
        assert (after.state, after.resume_state) == ("succeeded", None)
    elif outcome.error == "crashed":
        assert (after.state, after.resume_state) == ("queued", state)
    else:
        assert (after.state, after.next_at, after.resume_state) == (state, at, None)


def test_what_succeeded_or_was_cancelled_is_not_tried_again() -> None:
    for state in ("succeeded", "cancelled", "sending", "queued"):
        assert extra_attempt(msgspec.structs.replace(sending(), state=state), 0) is None
