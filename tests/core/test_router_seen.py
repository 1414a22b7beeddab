"""What the router says of itself to those who look on from outside, and when it wants to be asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.events import EventType
from relay.core.inputs import Accepted, Lost, Refused
from relay.core.pressure import Limits
from relay.core.sequence import Order, Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType


def test_the_pace_is_told(driver: Driver, make_driver: Callable[..., Driver]) -> None:
    """Calls per second, at most as many as the operator allows; and nothing where nothing limits them."""
    assert driver.router.requests_per_second is None
    limited = make_driver(limits=Limits(requests_per_second_max=50.0))
    assert limited.router.requests_per_second is not None
    assert 40.0 < limited.router.requests_per_second <= 50.0


def test_calls_that_outlive_their_partition_are_counted(driver: Driver) -> None:
    """Until they have landed."""
    driver.open("a")
    driver.arrive("a", E.PING)
    driver.arrive("b", E.SESSION_START)
    assert driver.router.orphan_count == 0
    driver.revoke()
    assert driver.router.orphan_count == 2
    driver.answer(Accepted())
    assert driver.router.orphan_count == 1


def test_whoever_may_go_and_does_not_is_noticed(driver: Driver) -> None:
    """Between an event and its turn, for a moment; where that lasts something is wrong."""
    driver.open("a")
    assert driver.router.is_stalled is False
    driver.arrive("a", E.PING, turns=False)
    assert driver.router.is_stalled is True
    driver.turn()
    assert driver.router.is_stalled is False


def test_our_own_loop_is_in_time_unless_the_pump_says_otherwise(driver: Driver) -> None:
    """Else the first answers would look faster than they were."""
    assert driver.router.lag_seconds == 0.0


@pytest.mark.parametrize(("window_seconds", "asked_after"), [(0.25, 0.25), (5.0, 1.0)])
def test_the_earlier_of_two_moments_is_asked_for(make_driver: Callable[..., Driver], window_seconds: float, asked_after: float) -> None:
    """A call waits for the pace of one per second, an event for others to go before it: the router wants to be asked when one may go."""
    driver = make_driver(
        limits=Limits(requests_per_second_max=1.0), order=Order(policy=Policy.REORDER, window_seconds=window_seconds), checks_books=False
    )
    for key in ("a", "b"):
        driver.say(E.SESSION_START, 1, key=key)
    assert len(driver.flying) == 1
    driver.say(E.PING, 5, key="a")
    assert driver.router.wake_at() == pytest.approx(driver.now + asked_after)


@pytest.mark.parametrize(
    ("kinds", "attempts"),
    [((E.CHAPTER_START, E.PLAY, E.PING), 3), ((E.PING, E.SESSION_START), 1)],
    ids=["told again what was open", "ended before another start"],
)
def test_a_letter_names_the_calls_that_were_made_for_its_event(driver: Driver, kinds: tuple[E, ...], attempts: int) -> None:
    """Its own and the openings that it needed, and not what the relay had to say before it."""
    driver.open()
    driver.arrive("a", *kinds)
    driver.accept(len(kinds) - 1)
    if attempts == 3:
        driver.answer(Lost(404))
        driver.accept(3)  # the opening, the chapter, and that it plays
    else:
        driver.accept()  # the relay's own end
    driver.answer(Refused(400))
    assert [aside.attempts for aside in driver.aside] == [attempts]
