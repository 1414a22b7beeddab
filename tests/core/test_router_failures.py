"""Whose fault it is, and what follows: waiting, giving up, holding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.backoff import Backoff
from relay.core.commands import Change, SendEvent
from relay.core.events import Details, EventType
from relay.core.inputs import Lost, Misconfigured, Refused, TryAgain
from relay.core.lane import State
from relay.core.patience import CREDENTIALS, Rules
from relay.core.pressure import CircuitState
from relay.core.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

    from relay.core.inputs import Verdict

E = EventType
BROKEN = TryAgain("status_500", 500)
BUSY = TryAgain("status_503", 503)
UNSURE = TryAgain("timeout", is_outcome_unknown=True)
FORBIDDEN = Misconfigured(403, "check the credentials")


def others_are_served(driver: Driver) -> None:
    """The API takes an event of another session."""
    if "other" not in driver.assignment.lanes:
        driver.open("other")
    driver.arrive("other", E.PING)
    driver.accept(key="other")


# --- the moment's fault -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [BROKEN, BUSY, UNSURE, TryAgain("status_408", 408), TryAgain("connect")])
def test_a_moments_failure_is_tried_again_with_growing_waits(driver: Driver, failure: TryAgain) -> None:
    """The longest wait doubles with each failure in a row up to the maximum; the pump draws a moment below it."""
    driver.jitter = 0.0
    driver.open()
    driver.arrive("a", E.PING)
    for _ in range(7):
        driver.answer(failure)
        assert driver.flying == []
        others_are_served(driver)
        driver.wake()
    assert [wait.jitter_seconds for wait in driver.waits] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert all(wait.seconds == 0.0 for wait in driver.waits)


def test_the_waits_grow_only_within_one_row_of_failures(driver: Driver) -> None:
    """The event after a delivered one begins with the shortest wait."""
    driver.open()
    driver.arrive("a", E.PING, E.PING)
    for _ in range(3):
        driver.answer(BUSY)
        driver.wake()
    driver.accept()
    driver.answer(BUSY)
    assert [wait.jitter_seconds for wait in driver.waits] == [0.5, 1.0, 2.0, 0.5]


def test_the_api_may_ask_for_a_wait(driver: Driver) -> None:
    """`Retry-After` of an answer that is about one call is waited out in full, jitter comes on top; the maximum bounds it."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(TryAgain("status_500", 500, retry_after_seconds=7.0))
    assert (driver.waits[-1].seconds, driver.waits[-1].jitter_seconds) == (7.0, 0.5)
    driver.wake()
    driver.answer(TryAgain("status_504", 504, retry_after_seconds=86_400.0))
    assert driver.waits[-1].seconds == 300.0


def test_a_wait_that_the_api_asked_for_is_told_from_one_of_our_own(driver: Driver) -> None:
    """However short it is: those who look on see why a session waits."""
    lane = driver.open()
    driver.arrive("a", E.PING)
    driver.answer(TryAgain("status_500", 500, retry_after_seconds=1.0))
    assert driver.router.was_asked_to_wait(lane)
    driver.wake()
    driver.answer(BROKEN)
    assert not driver.router.was_asked_to_wait(lane)


def test_what_fails_is_repeated_unaltered(driver: Driver) -> None:
    """Each try is the same call: same id, same event, same playhead and ts."""
    driver.open()
    driver.arrive("a", E.PING)
    for failure in (BROKEN, BUSY, UNSURE):
        driver.answer(failure)
        driver.wake()
    sent = [call for call in driver.calls if isinstance(call, SendEvent)]
    assert len(sent) == 4
    assert all(call == sent[0] for call in sent)
    assert driver.changes().count(Change.RETRIED) == 3


def test_an_opening_that_failed_is_repeated(driver: Driver) -> None:
    """A 201 without an id, a timeout, a 500: the same opening again, the events go on waiting."""
    driver.arrive("a", E.SESSION_START, E.PING)
    for failure in (TryAgain("no_session_id", 201), UNSURE, BROKEN):
        driver.answer(failure)
        driver.wake()
    driver.accept_all()
    assert driver.sent() == ["open"] * 4 + ["ping"]
    assert driver.finished == [0, 1]


def test_one_sessions_trouble_is_nobody_elses(driver: Driver) -> None:
    """While one waits to try again, the others go on at full speed."""
    driver.open("a")
    driver.open("b")
    driver.arrive("a", E.PING)
    driver.answer(BUSY, key="a")
    driver.arrive("b", *[E.PING] * 10)
    driver.accept_all()
    assert driver.sent("b").count("ping") == 10
    assert driver.sent("a").count("ping") == 1


# --- too many -----------------------------------------------------------------------------------------------------------------------


def test_a_500_is_bounded_while_the_api_serves_others(driver: Driver) -> None:
    """Eight requests in all, each answered 500 while others were served in between: set aside, with its account."""
    driver.jitter = 0.0
    driver.open()
    driver.arrive("a", E.PING, E.PLAY)
    for _ in range(8):
        others_are_served(driver)
        driver.answer(BROKEN, key="a")
        driver.wake()
    assert driver.reasons() == [(1, "attempts_exhausted")]
    (aside,) = driver.aside
    assert (aside.status, aside.attempts, aside.first_tried_at) == (500, 8, 1_000.0)
    assert driver.sent()[1:] == ["ping"] * 8 + ["play"]
    assert Change.GIVEN_UP in driver.changes()


@pytest.mark.parametrize("failure", [BUSY, UNSURE, TryAgain("status_502", 502), TryAgain("connect")])
def test_no_other_failure_is_counted(driver: Driver, failure: TryAgain) -> None:
    """502, 503, 504, timeouts and the like are bounded by age alone."""
    driver.jitter = 0.0
    driver.open()
    driver.arrive("a", E.PING)
    for _ in range(50):
        others_are_served(driver)
        driver.answer(failure, key="a")
        driver.wake()
    assert driver.reasons() == []


def test_a_500_is_not_counted_while_nobody_is_served(driver: Driver) -> None:
    """When the API answers nobody else, its 500 says nothing about the event."""
    driver.open()
    driver.arrive("a", E.PING)
    for _ in range(50):
        driver.answer(BROKEN)
        driver.wake()
        driver.run(3.0, lambda _: None)
    assert driver.reasons() == []
    assert driver.sent().count("ping") > 20


def test_what_is_told_again_does_not_use_up_the_events_own_tries(driver: Driver) -> None:
    """500s to something told again give that up; the event itself has all of its tries left."""
    driver.jitter = 0.0
    driver.open()
    driver.arrive("a", E.CHAPTER_START)
    driver.accept()
    driver.arrive("a", E.PING)
    driver.answer(Lost(404))
    driver.accept(key="a")
    for _ in range(8):
        others_are_served(driver)
        driver.answer(BROKEN, key="a")
        driver.wake()
    assert driver.changes().count(Change.TELLING_REFUSED) == 1
    others_are_served(driver)
    driver.answer(BROKEN, key="a")
    assert driver.reasons() == []


def test_openings_and_events_are_counted_apart(make_driver: Callable[..., Driver]) -> None:
    """That openings were served says nothing about events: the first 500 after an opening counts only if an event was served since."""
    driver = make_driver(rules=Rules(attempts_max=1), starts=Starts(required=frozenset({"media.id"})))
    others_are_served(driver)
    others_are_served(driver)
    driver.arrive("a", E.PING, start=Details(params=b'{"media.id":"film"}'))
    driver.accept(key="a")
    driver.answer(BROKEN, key="a")
    assert driver.reasons() == [], "no event was served since this one was first tried"


def test_an_event_is_given_up_when_it_is_too_old(driver: Driver) -> None:
    """Older than the limit, and the API serves others: set aside as too old; a younger one goes on trying."""
    driver.open()
    driver.arrive("a", E.PING, appended_at=driver.now - 82_801.0)
    driver.arrive("young", E.SESSION_START)
    others_are_served(driver)
    driver.answer(BUSY, key="a")
    driver.answer(BUSY, key="young")
    assert driver.reasons() == [(1, "too_old")]
    assert (driver.aside[0].status, driver.aside[0].attempts) == (503, 1)


def test_an_old_event_is_tried_all_the_same(driver: Driver) -> None:
    """Age alone sets nothing aside: what is delivered at the first try may be as old as it likes."""
    driver.arrive("a", E.SESSION_START, E.PING, appended_at=-1e9)
    driver.accept_all()
    assert driver.finished == [0, 1]


def test_a_start_that_is_given_up_takes_its_session_with_it(driver: Driver) -> None:
    """What follows a sessionStart that was given up has no session to go to."""
    driver.jitter = 0.0
    driver.arrive("a", E.SESSION_START, E.PING)
    driver.open("other")
    for number in range(8):
        driver.open(f"k{number}")
        driver.answer(BROKEN, key="a")
        driver.wake()
    assert driver.reasons() == [(0, "attempts_exhausted"), (1, "session_refused")]


def test_a_refusal_after_failures_names_all_its_tries(driver: Driver) -> None:
    """A dead letter tells how many requests there were and when the first one left."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(BUSY)
    driver.wake()
    driver.answer(Refused(400))
    (aside,) = driver.aside
    assert (aside.attempts, aside.first_tried_at) == (2, 1_000.0)
    assert driver.now > 1_000.0


# --- our own fault ------------------------------------------------------------------------------------------------------------------


def refuse_us(_: object) -> Verdict:
    """A gateway that wants other credentials."""
    return FORBIDDEN


def test_while_the_api_refuses_us_everything_holds(driver: Driver) -> None:
    """One probe every five seconds, nothing set aside, however long; the advice can be read; then all of it is delivered."""
    keys = [f"k{number}" for number in range(50)]
    for key in keys:
        driver.arrive(key, E.SESSION_START, E.PING, E.SESSION_END)
    driver.run(1.0, refuse_us)
    assert driver.router.opening.state is CircuitState.HELD
    assert driver.router.opening.advice == "check the credentials"
    since = len(driver.calls)
    driver.run(100.0, refuse_us)
    assert 19 <= len(driver.calls) - since <= 21
    assert driver.reasons() == []
    driver.run(20.0, driver.success_of)
    assert driver.router.opening.state is CircuitState.CLOSED
    assert sorted(driver.finished) == list(range(150))


def test_events_are_held_apart_from_openings(driver: Driver) -> None:
    """When only events are refused us, openings go on; the probes are events."""
    driver.open("a")
    driver.now += 10.0
    driver.arrive("a", E.PING)
    driver.answer(FORBIDDEN)
    assert (driver.router.sending.state, driver.router.opening.state) == (CircuitState.HELD, CircuitState.CLOSED)
    driver.arrive("b", E.SESSION_START, E.PING)
    driver.accept()
    assert driver.sent("b") == ["open"]
    driver.run(6.0, driver.success_of)
    assert driver.sent("b") == ["open", "ping"]
    assert driver.sent("a") == ["open", "ping", "ping"]


def test_while_we_are_refused_nobody_waits_on_his_own(make_driver: Callable[..., Driver]) -> None:
    """Who waited for a timer waits for the probes like all others, and goes as soon as one of them succeeds."""
    driver = make_driver(rules=Rules(backoff=Backoff(seconds_initial=30.0)))
    for key in ("a", "b"):
        driver.open(key)
    driver.now += 10.0
    driver.arrive("a", E.PING)
    driver.answer(BUSY)
    assert driver.lane("a").is_waiting
    driver.arrive("b", E.PING)
    driver.answer(FORBIDDEN)
    assert driver.router.sending.state is CircuitState.HELD
    driver.run(6.0, driver.success_of)
    assert driver.finished == [0, 1, 3, 2]


def test_one_refusal_of_us_among_successes_is_tried_again(driver: Driver) -> None:
    """A single 401 while others are served is a moment's failure: it waits its turn, nothing holds."""
    driver.open("a")
    others_are_served(driver)
    driver.arrive("a", E.PING)
    driver.answer(Misconfigured(401, "check"), key="a")
    assert driver.router.sending.state is CircuitState.CLOSED
    assert driver.waits[-1].jitter_seconds == 0.5
    driver.wake()
    driver.accept_all()
    assert driver.reasons() == []
    assert driver.sent() == ["open", "ping", "ping"]


@pytest.mark.parametrize("refusal", [FORBIDDEN, TryAgain(CREDENTIALS, 401)], ids=["ours", "fresh credentials are on their way"])
def test_being_refused_is_never_held_against_an_event(driver: Driver, refusal: Misconfigured | TryAgain) -> None:
    """However often and however old: nothing is set aside for a 401 or 403."""
    driver.jitter = 0.0
    driver.open("a")
    driver.arrive("a", E.PING, appended_at=-1e9)
    for _ in range(30):
        others_are_served(driver)
        driver.answer(refusal, key="a")
        driver.wake()
    assert driver.reasons() == []


def test_a_missing_address_opens_nothing_and_loses_nothing(driver: Driver) -> None:
    """404 on opening holds the openings; sessions that are open go on."""
    driver.open("a")
    driver.now += 10.0
    driver.arrive("b", E.SESSION_START)
    driver.answer(Misconfigured(404, "check the address"))
    driver.arrive("a", E.PING)
    driver.accept(key="a")
    assert driver.lane("b").state is State.ABSENT
    driver.run(6.0, driver.success_of)
    assert driver.finished == [0, 2, 1]


def test_waiting_bounds_are_the_operators(make_driver: Callable[..., Driver]) -> None:
    """The rules' backoff is the one that is used."""
    driver = make_driver(rules=Rules(backoff=Backoff(seconds_initial=2.0, seconds_max=3.0, retry_after_seconds_max=9.0)))
    driver.open()
    driver.arrive("a", E.PING)
    for failure in (BUSY, BUSY, TryAgain("status_502", 502, retry_after_seconds=10.0)):
        driver.answer(failure)
        driver.wake()
    assert [(wait.seconds, wait.jitter_seconds) for wait in driver.waits] == [(0.0, 2.0), (0.0, 3.0), (9.0, 3.0)]
