"""What verdicts and answers say of themselves."""

import pytest

from relay.core.assignment import Assignment
from relay.core.events import SessionKey
from relay.core.inputs import Accepted, Answered, GivenUp, Parked, TryAgain
from relay.core.lane import Lane
from relay.core.reasons import Reason


@pytest.mark.parametrize(
    ("failure", "asks"),
    [
        (TryAgain("status_429", 429), True),
        (TryAgain("status_429", 429, 3.0), True),
        (TryAgain("status_503", 503), False),
        (TryAgain("status_503", 503, 0.5), True),
        (TryAgain("status_500", 500, 3.0), False),
        (TryAgain("status_500", 500), False),
        (TryAgain("timeout"), False),
    ],
)
def test_who_has_had_too_much(failure: TryAgain, *, asks: bool) -> None:
    """429, or 503 that says until when, however soon that is. Without it a 503 is an outage like any other."""
    assert failure.asks_for_less is asks


@pytest.mark.parametrize("verdict", [TryAgain("timeout"), GivenUp(Reason.TOO_OLD), Parked()])
def test_where_there_was_no_answer_there_is_no_status(verdict: TryAgain | GivenUp | Parked) -> None:
    """Nor one in the letter that comes of it."""
    assert verdict.status == 0


def test_a_failure_claims_no_more_than_was_seen() -> None:
    """No wait that nobody asked for, no doubt about what never left, and no time that nobody measured."""
    failure = TryAgain("connect")
    assert (failure.retry_after_seconds, failure.is_outcome_unknown) == (0, False)
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    assert Answered(lane, Accepted()).seconds == 0
