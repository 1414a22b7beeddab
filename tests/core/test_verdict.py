"""A status, or the lack of one → whose fault it is. One table per operation."""

from collections.abc import Callable

import pytest

from relay.core.inputs import Accepted, Lost, Misconfigured, Refused, TryAgain, Verdict
from relay.core.verdict import Answer, Unreachable, judge_opening, judge_sending

Judge = Callable[..., Verdict]
FAULT_OF_EVENT = (400, 402, 406, 409, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451)
FAULT_OF_MOMENT = (100, 101, 199, 408, 425, 429, 500, 501, 502, 503, 504, 507, 520, 599)
FAULT_OF_OURS = (300, 301, 302, 303, 304, 307, 308, 401, 403, 405, 407)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 299])
def test_a_success_is_a_success(status: int) -> None:
    """Any 2xx to an event is its delivery."""
    assert judge_sending(Answer(status)) == Accepted()


@pytest.mark.parametrize("status", [404, 410])
def test_a_lost_session_is_nobodys_fault(status: int) -> None:
    """404 and 410 to an event mean that its session is gone."""
    assert judge_sending(Answer(status)) == Lost(status)


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_address_is_our_own_fault(status: int) -> None:
    """404 to an opening is a wrong address, and must not empty the topic into the dead letters."""
    verdict = judge_opening(Answer(status))
    assert isinstance(verdict, Misconfigured)
    assert "RELAY_API__URL" in verdict.advice


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_opening_without_an_id_has_failed(status: int) -> None:
    """A 2xx without a usable id is tried again."""
    assert judge_opening(Answer(status, retry_after_seconds=2.0)) == TryAgain("no_session_id", status, 2.0)


@pytest.mark.parametrize("judge", [judge_opening, judge_sending])
@pytest.mark.parametrize("status", FAULT_OF_EVENT)
def test_the_event_is_to_blame(judge: Judge, status: int) -> None:
    """The same body would be refused again; the API's words go with it."""
    assert judge(Answer(status), "its words") == Refused(status, "its words")


@pytest.mark.parametrize("judge", [judge_opening, judge_sending])
@pytest.mark.parametrize("status", FAULT_OF_MOMENT)
def test_the_moment_is_to_blame(judge: Judge, status: int) -> None:
    """The same call may succeed later; what the API asks for is kept."""
    assert judge(Answer(status, retry_after_seconds=7.0)) == TryAgain(f"status_{status}", status, 7.0)
    assert judge(Answer(status)) == TryAgain(f"status_{status}", status, 0.0), "who asks for no wait is not made to have asked for one"


@pytest.mark.parametrize("judge", [judge_opening, judge_sending])
@pytest.mark.parametrize("status", FAULT_OF_OURS)
def test_we_are_to_blame(judge: Judge, status: int) -> None:
    """Credentials, addresses and redirects: nothing is set aside, and the advice names a setting or the proxy."""
    verdict = judge(Answer(status))
    assert isinstance(verdict, Misconfigured)
    assert verdict.status == status
    assert "check" in verdict.advice


@pytest.mark.parametrize("judge", [judge_opening, judge_sending])
@pytest.mark.parametrize(
    ("status", "points_to"),
    [
        (302, "redirects"),
        (401, "RELAY_OAUTH__CLIENT_ID"),
        (403, "client certificate"),
        (405, "something else at this address"),
        (407, "proxy"),
    ],
)
def test_the_advice_fits_the_status(judge: Judge, status: int, points_to: str) -> None:
    """What to check depends on who refuses us, and why."""
    verdict = judge(Answer(status))
    assert isinstance(verdict, Misconfigured)
    assert points_to in verdict.advice


@pytest.mark.parametrize("judge", [judge_opening, judge_sending])
@pytest.mark.parametrize("was_sent", [True, False])
def test_no_answer_is_the_moments_fault(judge: Judge, *, was_sent: bool) -> None:
    """Without an answer the call is tried again; whether it may have been applied is kept."""
    assert judge(Unreachable("timeout", was_sent=was_sent)) == TryAgain("timeout", is_outcome_unknown=was_sent)


@pytest.mark.parametrize("judge", [judge_opening, judge_sending])
def test_each_status_means_something(judge: Judge) -> None:
    """There is no status that nobody has thought of."""
    for status in range(100, 1000):
        assert judge(Answer(status)) is not None
