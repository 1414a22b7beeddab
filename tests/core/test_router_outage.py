"""An API that fails for everybody: few calls, nothing lost, quick and gentle to come back. All in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.commands import OpenSession, SendEvent
from relay.core.events import EventType
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, TryAgain
from relay.core.patience import Rules
from relay.core.pressure import CircuitState, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Call, Driver

    from relay.core.inputs import Verdict

E = EventType


def broken(_: object) -> Verdict:
    """Every answer is a 500."""
    return TryAgain("status_500", 500)


def crowd(make_driver: Callable[..., Driver], *, opened: int, opening: int, rules: Rules | None = None) -> Driver:
    """Sessions that are open and have something to say, and others that would begin."""
    driver = make_driver(checks_books=False, rules=rules)
    for number in range(opened):
        driver.open(f"open-{number}")
    for number in range(opened):
        driver.arrive(f"open-{number}", E.PING, E.PING, turns=False)
    for number in range(opening):
        driver.arrive(f"new-{number}", E.SESSION_START, E.PING, turns=False)
    return driver


def calls_by_second(driver: Driver, api: Callable[[Call], Verdict | None], *, seconds: int) -> list[int]:
    """How many calls leave in each second."""
    counts = []
    for _ in range(seconds):
        before = len(driver.calls)
        driver.run(1.0, api)
        counts.append(len(driver.calls) - before)
    return counts


@pytest.mark.parametrize(("opened", "opening"), [(1, 1), (500, 0), (0, 500), (400, 400)])
def test_in_an_outage_few_calls_leave_however_many_wait(make_driver: Callable[..., Driver], opened: int, opening: int) -> None:
    """After five seconds of nothing but failures at most forty calls leave per second, both circuits together."""
    driver = crowd(make_driver, opened=opened, opening=opening)
    driver.turn()
    driver.run(6.0, broken)
    counts = calls_by_second(driver, broken, seconds=60)
    assert max(counts) <= 40
    assert sum(counts[-10:]) >= 4, "it goes on probing"
    driver.check_books()


def test_ends_of_completed_sessions_are_held_back_as_well(make_driver: Callable[..., Driver]) -> None:
    """In an outage a sessionEnd is a call like any other, whatever its session has said before."""
    driver = crowd(make_driver, opened=0, opening=0)
    for number in range(200):
        driver.arrive(f"k{number}", E.SESSION_START, E.SESSION_COMPLETE)
    driver.accept_all()
    driver.arrive("opening", E.SESSION_START)
    driver.open("sending")
    driver.arrive("sending", E.PING)
    driver.run(8.0, broken)
    assert (driver.router.opening.state, driver.router.sending.state) == (CircuitState.PROBING, CircuitState.PROBING)
    for number in range(200):
        driver.arrive(f"k{number}", E.SESSION_END, turns=False)
    driver.turn()
    assert max(calls_by_second(driver, broken, seconds=20)) <= 40


@pytest.mark.parametrize("after_seconds", [6.0, 61.7, 3_600.0])
def test_recovery_is_noticed_within_five_seconds(make_driver: Callable[..., Driver], after_seconds: float) -> None:
    """However long it lasted: within five seconds both kinds of calls succeed again, and soon everything is delivered."""
    driver = crowd(make_driver, opened=100, opening=100)
    driver.turn()
    driver.run(after_seconds, broken)
    before = len(driver.finished)
    driver.run(5.0, driver.success_of)
    assert len(driver.finished) > before + 20
    assert driver.router.sending.state is CircuitState.CLOSED
    assert driver.router.opening.state is CircuitState.CLOSED
    driver.run(30.0, driver.success_of)
    assert sorted(driver.finished) == list(range(500))
    driver.check_books()


def test_calls_that_hang_do_not_delay_the_recovery(make_driver: Callable[..., Driver]) -> None:
    """An API that swallows calls for ten seconds each and then serves: within five seconds the next events are delivered."""
    driver = crowd(make_driver, opened=100, opening=0)
    driver.turn()
    driver.run(60.0, lambda _: TryAgain("timeout", is_outcome_unknown=True), latency_seconds=10.0)
    assert driver.router.sending.state is CircuitState.PROBING
    before = len(driver.finished)
    driver.run(5.0, driver.success_of)
    assert len(driver.finished) > before + 5


@pytest.mark.parametrize("status", [500, 503, 429, 0])
def test_nothing_is_set_aside_in_an_outage_of_any_length(make_driver: Callable[..., Driver], status: int) -> None:
    """Hours of failures, far beyond the age limit: everything is still there, and is delivered in the end."""
    driver = crowd(make_driver, opened=10, opening=10, rules=Rules(age_seconds_max=300.0))
    driver.turn()
    driver.run(2 * 3_600.0, lambda _: TryAgain(f"status_{status}", status))
    assert driver.reasons() == []
    driver.run(60.0, driver.success_of)
    assert sorted(driver.finished) == list(range(50))
    assert driver.reasons() == []


def test_the_first_failure_after_an_outage_is_not_held_against_an_event(make_driver: Callable[..., Driver]) -> None:
    """The tries of the outage do not count: an event which fails once or twice after it is not given up."""
    driver = crowd(make_driver, opened=10, opening=0)
    driver.turn()
    driver.run(600.0, broken)
    failed: list[Call] = []

    def stumbles(call: Call) -> Verdict:
        if call.lane.key == "open-3" and len(failed) < 5:
            failed.append(call)
            return TryAgain("status_500", 500)
        return driver.success_of(call)

    driver.run(60.0, stumbles)
    assert (len(failed), driver.reasons()) == (5, [])


def test_the_crowd_does_not_fall_upon_the_api_at_once(make_driver: Callable[..., Driver]) -> None:
    """After an outage the calls side by side grow from a few to the limit as they succeed."""
    driver = crowd(make_driver, opened=400, opening=0)
    driver.turn()
    driver.run(60.0, broken)
    most = []
    for _ in range(40):
        driver.run(0.1, driver.success_of, latency_seconds=0.1)
        most.append(len(driver.flying))
    resumed = next(index for index, count in enumerate(most) if count > 1)
    assert most[resumed] <= 4
    assert all(later <= 2 * earlier + 2 for earlier, later in zip(most[resumed:], most[resumed + 1 :], strict=False))


@pytest.mark.parametrize("failure", [TryAgain("status_500", 500), Misconfigured(403, "check")], ids=["500", "403"])
def test_the_tries_of_a_few_do_not_stop_the_others(make_driver: Callable[..., Driver], failure: Verdict) -> None:
    """A hundred sessions are never served, and tried again and again; four others a second are served all the time."""
    driver = crowd(make_driver, opened=100, opening=0, rules=Rules(attempts_max=1_000))
    for number in range(4):
        driver.open(f"served-{number}")
    for _ in range(30):
        for number in range(4):
            driver.arrive(f"served-{number}", E.PING)
        driver.run(1.0, lambda call: Accepted() if call.lane.key.startswith("served") else failure)
        assert driver.router.sending.state is CircuitState.CLOSED


def test_one_circuits_outage_is_not_the_others(make_driver: Callable[..., Driver]) -> None:
    """When only openings fail, open sessions go on at full speed, and the reverse."""
    driver = crowd(make_driver, opened=50, opening=50)
    driver.turn()

    def opens_nothing(call: Call) -> Verdict:
        return broken(call) if isinstance(call, OpenSession) else Accepted()

    driver.run(10.0, opens_nothing)
    assert driver.router.opening.state is CircuitState.PROBING
    assert driver.router.sending.state is CircuitState.CLOSED
    assert sum(call.lane.key.startswith("open-") for call in driver.calls if isinstance(call, SendEvent)) == 100


def test_what_the_api_asked_for_is_waited_out_even_in_an_outage(make_driver: Callable[..., Driver]) -> None:
    """A session that was told `Retry-After` is no probe before that; one that was told so by a 503 speaks for all."""
    driver = crowd(make_driver, opened=20, opening=0)
    driver.turn()
    driver.run(0.1, lambda _: TryAgain("status_500", 500, retry_after_seconds=120.0))
    before = len(driver.calls)
    driver.run(119.0, broken)
    assert len(driver.calls) == before
    driver.run(3.0, lambda _: TryAgain("status_503", 503, retry_after_seconds=120.0))
    before = len(driver.calls)
    driver.run(115.0, broken)
    assert len(driver.calls) == before
    driver.run(30.0, driver.success_of)
    assert len(driver.finished) == 60


def test_while_nothing_can_leave_nobody_is_woken_in_vain(make_driver: Callable[..., Driver]) -> None:
    """When turns have nothing to say, the next moment to ask lies ahead: a pump that wakes then does not spin."""
    driver = make_driver(limits=Limits(reopenings_per_second_max=2, concurrency_max=8), checks_books=False)
    for number in range(40):
        driver.open(f"k{number}")
    for number in range(40):
        driver.arrive(f"k{number}", E.PING, turns=False)
    turns = 0

    def asked_once(api: Callable[[Call], Verdict | None], seconds: float) -> None:
        nonlocal turns
        until = driver.now + seconds
        while driver.now < until:
            driver.run(0.05, api, latency_seconds=0.01)
            driver.turn()
            asked = driver.router.wake_at()
            assert asked is None or asked > driver.now, f"asked to wake {driver.now - (asked or 0.0)} seconds ago"
            turns += 1

    driver.turn()
    asked_once(lambda call: Lost(404) if isinstance(call, SendEvent) else driver.success_of(call), 0.5)
    asked_once(broken, 20.0)
    asked_once(lambda call: driver.success_of(call) if isinstance(call, SendEvent) else None, 5.0)
    asked_once(driver.success_of, 20.0)
    assert turns > 100


def test_lost_sessions_with_no_slot_to_open_again_do_not_spin(make_driver: Callable[..., Driver]) -> None:
    """While openings hang and no more may fly, lost sessions wait for one to land, not for a moment that is past."""
    driver = make_driver(checks_books=False)
    for number in range(20):
        driver.open(f"k{number}")
    for number in range(10):
        driver.arrive(f"new{number}", E.SESSION_START, turns=False)
    driver.turn()
    driver.run(8.0, broken)
    assert driver.router.opening.state is CircuitState.PROBING
    for number in range(20):
        driver.arrive(f"k{number}", E.PING)
        driver.answer(Lost(404), key=f"k{number}")
    first: list[Call] = []

    def serves_once(call: Call) -> Verdict | None:
        if first:
            return None
        first.append(call)
        return driver.success_of(call)

    driver.run(4.0, serves_once)
    assert driver.router.opening.state is CircuitState.CLOSED
    driver.turn()
    asked = driver.router.wake_at()
    assert asked is None or asked > driver.now


def test_a_lone_session_that_fails_is_no_longer_alone(driver: Driver) -> None:
    """One session, one API that fails: after five seconds it probes; its first success closes the circuit."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.run(5.0, broken)
    driver.run(1.0, broken)
    assert driver.router.sending.state is CircuitState.PROBING
    driver.run(3.0, driver.success_of)
    assert driver.router.sending.state is CircuitState.CLOSED
    assert driver.finished == [0, 1]


def test_an_opening_that_succeeds_says_nothing_about_events(driver: Driver) -> None:
    """Each circuit closes by a success of its own kind."""
    driver.open("a")
    driver.arrive("a", E.PING)
    driver.run(7.0, lambda call: broken(call) if isinstance(call, SendEvent) else Opened("x"))
    driver.arrive("b", E.SESSION_START)
    driver.run(0.03, lambda call: broken(call) if isinstance(call, SendEvent) else driver.success_of(call))
    assert driver.router.sending.state is CircuitState.PROBING
