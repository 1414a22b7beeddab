"""An API that asks for less, one that hangs, and a crowd that wants more than there is: who goes, who waits. All in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from relay.core.backoff import Backoff
from relay.core.commands import OpenSession, SendEvent
from relay.core.events import EventType
from relay.core.inputs import Accepted, TryAgain
from relay.core.patience import Rules
from relay.core.pressure import CircuitState, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Call, Driver

    from relay.core.inputs import Verdict

E = EventType
TOO_MANY = TryAgain("status_429", 429)


def playing(make_driver: Callable[..., Driver], sessions: int, *, pings: int = 50, limits: Limits | None = None) -> Driver:
    """Sessions that are open and have much to say."""
    driver = make_driver(limits=limits, checks_books=False, rules=Rules(age_seconds_max=60.0))
    for number in range(sessions):
        driver.open(f"k{number}")
    driver.now += 10.0
    for number in range(sessions):
        driver.arrive(f"k{number}", *[E.PING] * pings, turns=False)
    return driver


@pytest.mark.parametrize(
    "failure",
    [TryAgain("status_429", 429, retry_after_seconds=7.0), TryAgain("status_503", 503, retry_after_seconds=7.0)],
)
def test_retry_after_holds_for_all(make_driver: Callable[..., Driver], failure: TryAgain) -> None:
    """429 and 503 that say until when: nothing leaves before that, no opening and no event; then the crowd comes back gently."""
    driver = playing(make_driver, 200)
    driver.arrive("new", E.SESSION_START, turns=False)
    driver.turn()
    driver.answer(failure, key="k0")
    assert driver.router.throttled_until == driver.now + 7.0
    while driver.flying:
        driver.accept()
    before = len(driver.calls)
    driver.arrive("newer", E.SESSION_START)
    driver.run(6.9, driver.success_of)
    assert len(driver.calls) == before
    assert not driver.router.is_stalled, "it waits because it was asked to"
    driver.run(0.11, lambda _: None)
    assert 1 <= len(driver.flying) <= 2, "one of each kind at first"
    driver.run(30.0, driver.success_of)
    assert len(driver.finished) == 200 * 51 + 2
    assert driver.router.throttled_until == 0.0


def test_retry_after_is_bounded(make_driver: Callable[..., Driver]) -> None:
    """More than the maximum counts as the maximum."""
    driver = playing(make_driver, 1, limits=Limits(retry_after_seconds_max=20.0))
    driver.turn()
    driver.answer(TryAgain("status_429", 429, retry_after_seconds=86_400.0))
    assert driver.router.throttled_until == driver.now + 20.0


@pytest.mark.parametrize("asked", [0.0, 3.0])
def test_who_is_asked_to_come_later_stays_first(make_driver: Callable[..., Driver], asked: float) -> None:
    """The session that met the 429 is the next to go, before all that queue behind it."""
    driver = playing(make_driver, 30, limits=Limits(concurrency_max=2))
    driver.turn()
    since = len(driver.calls)
    refused = driver.answer(TryAgain("status_429", 429, retry_after_seconds=asked)).lane.key
    driver.run(8.0, driver.success_of)
    assert driver.calls[since].lane.key == refused
    assert driver.waits == [], "it has no timer of its own"


@pytest.mark.parametrize("asked", [0.0, 2.0])
def test_what_is_refused_is_no_attempt(make_driver: Callable[..., Driver], asked: float) -> None:
    """However often, however old the event: nothing is set aside for it, and no wait of the session grows."""
    driver = playing(make_driver, 20, pings=20, limits=Limits(is_concurrency_adaptive=True))
    count = 0

    def takes_some(call: Call) -> Verdict:
        nonlocal count
        count += 1
        return driver.success_of(call) if count % 3 == 0 else TryAgain("status_429", 429, retry_after_seconds=asked)

    driver.turn()
    driver.run(1_200.0, takes_some)
    assert driver.reasons() == []
    assert all(lane.failures == 0 and lane.strikes == 0 for lane in driver.router.lanes())
    driver.run(120.0, driver.success_of)
    assert len(driver.finished) == 20 * 21
    assert driver.router.sending.state is CircuitState.CLOSED


def test_a_hard_limit_is_shared_by_all_sessions(make_driver: Callable[..., Driver]) -> None:
    """An API that takes ten requests in any second, and 300 sessions: nine of ten places are used, and one request in fifty is refused."""
    driver = playing(make_driver, 300, limits=Limits(is_concurrency_adaptive=True))
    taken: list[float] = []
    counts: Counter[bool] = Counter()

    def takes_ten(call: Call) -> Verdict:
        while taken and taken[0] <= driver.now - 1.0:
            taken.pop(0)
        counts[len(taken) < 10] += 1
        if len(taken) >= 10:
            return TOO_MANY
        taken.append(driver.now)
        return driver.success_of(call)

    driver.turn()
    driver.run(5.0, takes_ten, latency_seconds=0.05)
    counts.clear()
    driver.run(120.0, takes_ten, latency_seconds=0.05)
    assert counts[True] >= 0.92 * 1_200
    assert counts[False] <= 0.02 * counts[True]
    assert driver.router.is_slowed_down


def test_where_departures_are_paced_events_have_their_share(make_driver: Callable[..., Driver]) -> None:
    """Openings go first, but a flood of them leaves one departure in four to events."""
    driver = make_driver(limits=Limits(requests_per_second_max=20.0), checks_books=False)
    for number in range(10):
        driver.arrive(f"k{number}", E.SESSION_START, *[E.PING] * 50, turns=False)
    driver.turn()
    driver.run(0.6, driver.success_of)
    for number in range(1_000):
        driver.arrive(f"new-{number}", E.SESSION_START, turns=False)
    since = len(driver.calls)
    driver.turn()
    driver.run(10.0, driver.success_of)
    kinds = Counter(isinstance(call, OpenSession) for call in driver.calls[since:])
    assert 190 <= kinds[True] + kinds[False] <= 200
    assert kinds[False] == pytest.approx(49, abs=3)


@pytest.mark.parametrize("hanging", [OpenSession, SendEvent])
def test_calls_that_hang_leave_places_to_the_other_kind(make_driver: Callable[..., Driver], hanging: type[Call]) -> None:
    """Calls of one kind hang for ever and take all that they may; an eighth of the places is left, and the other kind goes on."""
    driver = playing(make_driver, 100, pings=3, limits=Limits(concurrency_max=64))
    for number in range(100):
        driver.arrive(f"new-{number}", E.SESSION_START, turns=False)
    driver.turn()
    driver.run(20.0, lambda call: None if isinstance(call, hanging) else driver.success_of(call))
    assert sum(isinstance(call, hanging) for call in driver.flying) == 56
    served = sum(not isinstance(call, hanging) for call in driver.calls)
    assert served >= (300 if hanging is OpenSession else 200)


def test_a_flood_of_events_delays_no_opening(make_driver: Callable[..., Driver]) -> None:
    """A thousand sessions with 50 pings each, and an API with a short queue: a session that begins is opened with the next answer."""
    driver = playing(make_driver, 1_000, limits=Limits(concurrency_max=64))
    driver.turn()
    driver.run(1.0, driver.success_of)
    for number in range(20):
        driver.arrive(f"new-{number}", E.SESSION_START)
        assert any(call.lane.key == f"new-{number}" for call in driver.flying)
        driver.run(0.1, driver.success_of)


def test_a_hot_session_delays_nobody(make_driver: Callable[..., Driver]) -> None:
    """One session with 900 events and 50 with one each, one call at a time: each of the 50 has its turn within the first 52."""
    driver = playing(make_driver, 51, pings=0, limits=Limits(concurrency_max=2))
    driver.arrive("k0", *[E.PING] * 900, turns=False)
    for number in range(1, 51):
        driver.arrive(f"k{number}", E.PING, turns=False)
    since = len(driver.calls)
    driver.turn()
    driver.run(60.0, driver.success_of)
    assert {call.lane.key for call in driver.calls[since : since + 52]} == {f"k{number}" for number in range(51)}
    hot = [call.event.record.offset for call in driver.calls if isinstance(call, SendEvent) and call.lane.key == "k0" and call.event.record]
    assert len(hot) == 900
    assert hot == sorted(hot)


def test_a_few_that_never_succeed_stop_nobody(make_driver: Callable[..., Driver]) -> None:
    """A hundred sessions whose events always fail make up nearly all calls; the few that are served are served as ever."""
    driver = make_driver(checks_books=False, rules=Rules(backoff=Backoff(0.5, 2.0)))
    for number in range(101):
        driver.open(f"k{number}")
    for number in range(1, 161):
        if number <= 100:
            driver.arrive(f"k{number}", E.PING)
        driver.arrive("k0", E.PING)
        driver.run(1.0, lambda call: Accepted() if call.lane.key == "k0" else TryAgain("status_503", 503))
        assert driver.lane("k0").waiting == []
    assert driver.router.sending.state is CircuitState.CLOSED
    assert driver.reasons() == []


def test_hardly_anything_is_served_and_nothing_is_set_aside(make_driver: Callable[..., Driver]) -> None:
    """Nineteen of twenty calls fail with 500 for half an hour: it is an outage with holes, few requests leave, and no event is given up."""
    driver = playing(make_driver, 200, pings=20)
    count = 0

    def hardly(call: Call) -> Verdict:
        nonlocal count
        count += 1
        return Accepted() if isinstance(call, SendEvent) and count % 20 == 0 else TryAgain("status_500", 500)

    driver.turn()
    driver.run(30.0, hardly)
    assert driver.router.sending.state is CircuitState.PROBING
    since = len(driver.calls)
    driver.run(1_800.0, hardly)
    assert driver.reasons() == []
    assert len(driver.calls) - since <= 40 * 1_800
    driver.run(200.0, driver.success_of)
    assert len(driver.finished) == 200 * 21
    assert driver.reasons() == []
