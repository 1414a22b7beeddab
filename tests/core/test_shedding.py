"""Under an overload that lasts, superseded pings are thinned out, if that is wanted, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.events import Details, EventType, Part, PlayerEvent, Record
from relay.core.inputs import Accepted, TryAgain
from relay.core.pressure import Limits
from relay.core.shedding import Overload, superseded

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

    from relay.core.lane import Lane

E = EventType
P = EventType.PING
START = Details(params=b'{"media.id":"film"}')


@pytest.fixture
def crowded(make_driver: Callable[..., Driver]) -> Callable[..., Driver]:
    """For a router that holds few events and sheds pings after three seconds; the first call of a session is under way."""

    def make(*kinds: E, after_seconds: float | None = 3.0) -> Driver:
        driver = make_driver(limits=Limits(buffer_events_max=len(kinds), shed_pings_after_seconds=after_seconds))
        driver.open()
        driver.arrive("a", *kinds)
        assert driver.router.buffer.is_full
        return driver

    return make


def shed(driver: Driver, *, after: float = 0.0) -> list[int]:
    """The router is asked; the offsets that went."""
    driver.now += after
    before = len(driver.dropped)
    driver.carry_out(driver.router.shed(driver.now))
    driver.check_books()
    return sorted(offset for offset, reason in driver.dropped[before:] if reason == "shed")


# --- which of them ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "places"),
    [
        ([P, P, P], [1]),
        ([E.PLAY, P, P], [1]),
        ([E.PLAY, P, P, P, P, P], [1, 3]),
        ([E.PLAY, P, E.PLAY, P, E.AD_START, P, E.STATE_END], [1]),
        ([E.PLAY, P, E.SESSION_END], []),
        ([P, P], []),
        ([P], []),
        ([], []),
        ([E.PLAY, *[kind for kind in E if kind is not P], P], []),
    ],
)
def test_every_other_ping_goes_that_has_another_one_behind_it(lane: Lane, kinds: list[E], places: list[int]) -> None:
    """Never the head, never the last ping, never anything else."""
    lane.waiting = [PlayerEvent(kind, 0.0, 0, record=Record(offset)) for offset, kind in enumerate(kinds)]
    lane.start = START
    assert superseded(lane) == places


def test_parts_replays_and_what_brings_a_start_stay(lane: Lane) -> None:
    """Parts leave one behind the other; a replay means what it brings; without a start known, the one that a ping brings may be needed."""
    again = Record(1, headers=(("relay.replay", b"1"),))
    kept = [
        PlayerEvent(P, 0.0, 0, record=again),
        PlayerEvent(P, 0.0, 0, record=Record(2), part=Part(1, 2)),
        PlayerEvent(P, 0.0, 0, record=Record(3), start=START),
    ]
    mere = [PlayerEvent(P, 0.0, 0, record=Record(offset, headers=(("traceparent", b"00"),))) for offset in (4, 5)]
    lane.waiting = [PlayerEvent(E.PLAY, 0.0, 0, record=Record(0)), *kept, *mere]
    assert superseded(lane) == [4]
    lane.start = START
    assert superseded(lane) == [3]


# --- when -----------------------------------------------------------------------------------------------------------------------------


def test_an_overload_counts_from_its_beginning_and_anew_after_each_round() -> None:
    """An interruption ends it."""
    overload = Overload(3.0)
    asked = [(0.0, True), (2.9, True), (3.0, True), (5.9, True), (6.0, True), (7.0, False), (8.0, True), (10.9, True), (11.0, True)]
    answers = [overload.lasts(now, is_overloaded=is_overloaded) for now, is_overloaded in asked]
    assert answers == [False, False, True, False, True, False, False, False, True]


def test_by_default_nothing_is_shed(crowded: Callable[..., Driver]) -> None:
    """However full it is and for however long."""
    driver = crowded(*[P] * 10, after_seconds=None)
    assert shed(driver) == []
    assert shed(driver, after=1_000.0) == []


def test_each_round_halves_what_is_superseded(crowded: Callable[..., Driver]) -> None:
    """The first after the set time, the next after as long again, until the buffer has room."""
    driver = crowded(*[P] * 8, E.PLAY)
    assert shed(driver) == []
    assert shed(driver, after=2.0) == []
    assert shed(driver, after=1.0) == [2, 4, 6]
    assert not driver.router.buffer.is_full
    assert shed(driver, after=10.0) == []


def test_order_and_ledger_are_right_afterwards(crowded: Callable[..., Driver]) -> None:
    """What is left goes in its order, and the safe offset comes to the end."""
    driver = crowded(E.PLAY, *[P] * 5, E.PAUSE_START, P, E.SESSION_END)
    shed(driver)
    assert shed(driver, after=3.0) == [2, 4, 6]
    driver.accept_all()
    assert driver.finished == [0, 1, 3, 5, 7, 8, 9]
    assert driver.assignment.ledger.safe == 10
    assert (driver.router.buffer.event_count, driver.router.buffer.byte_count) == (0, 0)


def test_a_session_that_holds_too_much_makes_room(make_driver: Callable[..., Driver]) -> None:
    """The limit of one session pauses the source for all, so it is an overload, too."""
    driver = make_driver(limits=Limits(session_events_max=4, shed_pings_after_seconds=3.0))
    driver.open()
    driver.arrive("a", *[P] * 6)
    assert driver.router.buffer.is_full
    shed(driver)
    assert shed(driver, after=3.0) == [2, 4]
    assert driver.router.buffer.is_full
    assert shed(driver, after=3.0) == [3]
    assert not driver.router.buffer.is_full


def test_an_outage_is_no_overload(crowded: Callable[..., Driver]) -> None:
    """Kafka keeps what waits; only when the API serves again the overload begins to count."""
    driver = crowded(*[P] * 10)
    driver.run(60.0, lambda _: TryAgain("status_503", 503))
    assert shed(driver) == []
    assert shed(driver, after=60.0) == []
    driver.run(2.5, lambda _: Accepted(), latency_seconds=2.0)
    assert driver.router.sending.state == 0
    assert shed(driver) == []


def test_too_many_sessions_are_no_reason(make_driver: Callable[..., Driver]) -> None:
    """No ping makes room for a session."""
    driver = make_driver(limits=Limits(lanes_max=1, shed_pings_after_seconds=3.0))
    driver.open()
    driver.arrive("a", *[P] * 6)
    assert driver.router.buffer.is_full
    shed(driver)
    assert shed(driver, after=3.0) == []
