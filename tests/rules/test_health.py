"""When a hook is given up."""

from __future__ import annotations

import pytest

from hookline.model import DAY, SECOND, AttemptError, Outcome
from hookline.rules import health


@pytest.mark.parametrize(
    ("failures", "lasted", "given_up"),
    [
        (49, 6 * DAY, False),
        (50, 4 * DAY, False),
        (50, 5 * DAY - 1, False),
        (50, 5 * DAY, True),
        (10_000, 5 * DAY - SECOND, False),
        (10_000, 40 * DAY, True),
        (0, 40 * DAY, False),
    ],
)
def test_it_takes_both_time_and_number(failures: int, lasted: int, given_up: bool) -> None:
    reason = health.given_up(7, failures, 7 + lasted)
    assert (reason is not None) is given_up
    if reason is not None:
        assert str(failures) in reason and "1970-01-01" in reason


@pytest.mark.parametrize(
    "error", ["http_status", "rate_limited", "timeout_total", "tls", "blocked_address", "template"]
)
def test_whatever_goes_wrong_counts(error: AttemptError) -> None:
    assert health.well(Outcome(result="retry", error=error)) is False
    assert health.well(Outcome(result="permanent", error=error)) is False


@pytest.mark.parametrize("error", ["suppressed", "cancelled", "crashed"])
def test_what_is_not_the_receivers_doing_says_nothing(error: AttemptError) -> None:
    assert health.well(Outcome(result="retry", error=error)) is None


def test_a_success_says_all() -> None:
    assert health.well(Outcome(result="ok")) is True
