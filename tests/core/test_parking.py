"""A session that fails for long and holds up everything is parked, while the API serves others; never in an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.assignment import Assignment, Stage
from relay.core.commands import Change
from relay.core.events import Details, EventType, PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Assigned, TryAgain, Verdict
from relay.core.lane import Lane, State
from relay.core.memoir import read, write
from relay.core.parking import is_excused, is_to_be_parked
from relay.core.patience import Rules
from relay.core.pressure import Circuit, CircuitState, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Call, Driver

    Make = Callable[..., Driver]

E = EventType
UNWELL = TryAgain("status_503", 503)
LIMITS = Limits(session_events_max=4, concurrency_max=50)
RULES = Rules(park_after_seconds=20.0)


def fails_for(*keys: str, driver: Driver) -> Callable[[Call], Verdict]:
    """An API that fails for these sessions and serves the others."""
    return lambda call: UNWELL if call.lane.key in keys else driver.success_of(call)


def bystander(driver: Driver, seconds: float, api: Callable[[Call], Verdict | None]) -> None:
    """Time passes as in a relay at work: others have something to say each second, and the router looks around."""
    for _ in range(int(seconds)):
        driver.arrive("other", E.PING)
        driver.run(1.0, api)
        driver.carry_out(driver.router.park(driver.now))
        driver.turn()


@pytest.fixture
def busy(make_driver: Make) -> Driver:
    """A router with two open sessions; `a` has as much waiting as a session may have."""
    driver = make_driver(limits=LIMITS, rules=RULES)
    driver.open("other")
    driver.open("a")
    driver.arrive("a", E.CHAPTER_START, params=b'{"media.chapter.index":1}')
    driver.accept(key="a")
    driver.arrive("a", E.PING, E.PLAY, E.PING, E.PING)
    return driver


def test_a_session_that_holds_up_everything_is_parked(busy: Driver) -> None:
    """All that waits in it is set aside in order, and the source may flow."""
    assert busy.router.buffer.is_full
    offsets = [event.record.offset for event in busy.lane("a").waiting if event.record is not None]
    bystander(busy, 19, fails_for("a", driver=busy))
    assert busy.lane("a").state is not State.PARKED
    bystander(busy, 40, fails_for("a", driver=busy))
    assert busy.lane("a").state is State.PARKED
    assert busy.reasons() == [(offset, "parked") for offset in offsets]
    assert (busy.aside[0].status, busy.aside[0].detail) == (503, "status_503")
    assert busy.changes().count(Change.PARKED) == 1
    assert not busy.router.buffer.is_full
    assert busy.assignment.ledger.outstanding_count == 0


@pytest.fixture
def stuck() -> Lane:
    """A full lane that has failed for as long as the operator allows, at the moment 40, while the API has served others."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.judge = Circuit(concurrency_max=10)
    lane.judge.served_at, lane.judge.closed_since = 30.0, 10.0
    lane.held_since, lane.failures = 20.0, 3
    for offset in range(4):
        lane.assignment.ledger.take(offset)
        lane.waiting.append(PlayerEvent(E.PING, record=Record(offset), playhead=1.0, ts=1))
    return lane


def is_parked_at(lane: Lane, now: float) -> bool:
    """Whether it has to give way."""
    return is_to_be_parked(lane, LIMITS, RULES, now)


def test_patience_ends_at_its_limit(stuck: Lane) -> None:
    """Not before; sooner only where there is no more room."""
    assert is_parked_at(stuck, 40.0)
    assert not is_parked_at(stuck, 39.9)
    stuck.waiting *= 2
    assert is_parked_at(stuck, 20.5)


def unsound(circuit: Circuit) -> None:
    """Hardly anything is served."""
    circuit.is_sound = False


def probing(circuit: Circuit) -> None:
    """Nothing is served."""
    circuit.state = CircuitState.PROBING


def served_nobody(circuit: Circuit) -> None:
    """Since the session began to fail."""
    circuit.served_at = 20.0


def closed_later(circuit: Circuit) -> None:
    """The session has failed since the end of an outage, no longer."""
    circuit.closed_since = 20.0


@pytest.mark.parametrize("excuse", [unsound, probing, served_nobody, closed_later])
def test_what_may_be_the_apis_fault_parks_nobody(stuck: Lane, excuse: Callable[[Circuit], None]) -> None:
    """However long it lasts."""
    assert stuck.judge is not None
    excuse(stuck.judge)
    assert not is_parked_at(stuck, 1_000.0)


def test_who_holds_up_nobody_is_not_parked(stuck: Lane) -> None:
    """Below its limit a lane is in nobody's way, unless it is its partition that can take no more because of it; nor is one that leaves."""
    stuck.waiting.pop()
    assert not is_parked_at(stuck, 1_000.0)
    stuck.assignment.is_window_full = True
    assert is_parked_at(stuck, 20.5), "then no other waits for its patience to end"
    stuck.assignment.stage = Stage.LEAVING
    assert not is_parked_at(stuck, 1_000.0)


def test_a_full_lane_is_excused_while_it_fails(stuck: Lane) -> None:
    """One that does not fail is served, and one that holds twice as much as it should is excused no more."""
    assert is_excused(stuck, LIMITS)
    stuck.failures = 0
    assert not is_excused(stuck, LIMITS)
    stuck.failures = 1
    assert is_excused(stuck, LIMITS)
    full = stuck.waiting
    stuck.waiting = full[:3]
    assert not is_excused(stuck, LIMITS)
    stuck.waiting = full * 2
    assert not is_excused(stuck, LIMITS)


def test_others_flow_while_a_full_session_fails(busy: Driver) -> None:
    """Else nobody would be served, and nobody could tell its trouble from an outage; up to twice its room, then the source pauses."""
    assert busy.router.buffer.is_full
    busy.answer(UNWELL, key="a")
    assert not busy.router.buffer.is_full
    busy.arrive("a", *[E.PING] * 3)
    assert not busy.router.buffer.is_full
    busy.arrive("a", E.PING)
    busy.carry_out(busy.router.park(busy.now))
    assert busy.router.buffer.is_full
    busy.revoke()
    assert not busy.router.buffer.is_full


def test_where_there_is_no_more_room_there_is_no_more_patience(busy: Driver) -> None:
    """A hot session is parked as soon as it is known that the API serves others, and not before."""
    busy.arrive("a", *[E.PING] * 4)
    busy.run(3.0, fails_for("a", driver=busy))
    busy.carry_out(busy.router.park(busy.now))
    assert busy.aside == []
    bystander(busy, 5, fails_for("a", driver=busy))
    assert busy.lane("a").state is State.PARKED


ASKS = TryAgain("status_500", 500, retry_after_seconds=250.0)


def waits_long(driver: Driver) -> None:
    """`a` has failed while others were served, waits as the API has asked, and has done so for longer than the operator allows."""
    bystander(driver, 2, fails_for("a", driver=driver))
    bystander(driver, 25, lambda call: ASKS if call.lane.key == "a" else Accepted())
    assert driver.lane("a").is_waiting


def test_who_waits_too_long_for_the_next_try_is_not_tried_again(make_driver: Make) -> None:
    """When patience ends, a full session gives way at once, however long its wait would last yet."""
    driver = make_driver(limits=LIMITS, rules=Rules(park_after_seconds=40.0))
    for key in ("other", "a"):
        driver.open(key)
    driver.arrive("a", *[E.PING] * 4)
    waits_long(driver)
    tries = len(driver.sent("a"))
    bystander(driver, 30, lambda _: Accepted())
    assert driver.lane("a").state is State.PARKED
    assert len(driver.sent("a")) == tries


def test_one_full_partition_of_several_suffices(make_driver: Make) -> None:
    """The session that fills its partition gives way, though another partition could take more."""
    driver = make_driver(limits=Limits(concurrency_max=50), rules=RULES)
    for key in ("other", "a"):
        driver.open(key)
    driver.handle(Assigned(Assignment("events", 1)))
    driver.arrive("a", E.PING)
    waits_long(driver)
    assert driver.aside == []
    driver.assignment.is_window_full = True
    driver.carry_out(driver.router.park(driver.now))
    assert driver.lane("a").state is State.PARKED


def test_while_the_relay_stops_nobody_is_parked(make_driver: Make) -> None:
    """Neither who waits nor whose last call fails: whoever comes next decides."""
    driver = make_driver(limits=LIMITS, rules=RULES)
    for key in ("other", "a", "b"):
        driver.open(key)
    for key in ("a", "b"):
        driver.arrive(key, *[E.PING] * 4)
    bystander(driver, 2, fails_for("a", "b", driver=driver))
    bystander(driver, 15, lambda call: {"a": ASKS, "b": None}.get(call.lane.key, Accepted()))
    driver.now += 30.0
    driver.router.drain()
    assert driver.lane("a").is_waiting
    assert driver.router.park(driver.now) == []
    driver.answer(UNWELL, key="b")
    assert driver.aside == []


def test_an_excuse_ends_with_its_reason(busy: Driver) -> None:
    """A session that was excused and is served again excuses no other: one that is merely full pauses the source."""
    busy.answer(UNWELL, key="a")
    assert not busy.router.buffer.is_full
    busy.run(5.0, lambda _: Accepted())
    busy.carry_out(busy.router.park(busy.now))
    busy.arrive("other", *[E.PING] * 4)
    assert busy.router.buffer.is_full


def test_an_excuse_leaves_with_its_partition(busy: Driver) -> None:
    """Nor does one of a partition that was taken."""
    busy.answer(UNWELL, key="a")
    busy.revoke()
    busy.assign(1)
    busy.open("b")
    busy.arrive("b", *[E.PING] * 4)
    assert busy.router.buffer.is_full


def test_what_comes_later_stays_behind(busy: Driver) -> None:
    """Later events of a parked session are set aside, too, without a call; a sessionStart begins anew."""
    bystander(busy, 60, fails_for("a", driver=busy))
    calls = len(busy.sent())
    busy.arrive("a", E.PING, E.SESSION_END)
    assert [reason for _, reason in busy.reasons()[-2:]] == ["parked", "parked"]
    assert len(busy.sent()) == calls
    busy.arrive("a", E.SESSION_START, E.PING)
    busy.accept(2, key="a")
    assert busy.sent(since=len(busy.calls) - 2) == ["open", "ping"]
    assert busy.lane("a").state is State.READY


def test_a_session_that_harms_nobody_is_not_parked(make_driver: Make) -> None:
    """However long a session fails: as long as it does not fill any window, its events wait."""
    driver = make_driver(limits=LIMITS, rules=RULES)
    driver.open("other")
    driver.open("a")
    driver.arrive("a", E.PING, E.PLAY)
    bystander(driver, 300, fails_for("a", driver=driver))
    assert driver.aside == []


def test_a_full_session_that_gets_on_is_not_parked(busy: Driver) -> None:
    """A session that always has a full lane, and is served slowly, is busy, not stuck."""
    for _ in range(60):
        busy.accept(key="a")
        busy.arrive("a", E.PING)
        bystander(busy, 1, lambda call: None if call.lane.key == "a" else Accepted())
    assert busy.aside == []


def test_nobody_is_parked_in_an_outage(busy: Driver) -> None:
    """When the API serves nobody, it is not the session's fault, however long it lasts; nor is it right after."""
    busy.run(3_600.0, lambda _: UNWELL)
    busy.carry_out(busy.router.park(busy.now))
    assert busy.aside == []
    bystander(busy, 15, fails_for("a", driver=busy))
    assert busy.aside == []
    bystander(busy, 45, fails_for("a", driver=busy))
    assert busy.lane("a").state is State.PARKED


def test_what_failed_before_an_outage_says_nothing_after_it(busy: Driver) -> None:
    """Who waited through an outage, as the API had asked, is tried again before anybody counts."""
    bystander(busy, 5, fails_for("a", driver=busy))
    asks = TryAgain("status_500", 500, retry_after_seconds=250.0)
    bystander(busy, 10, lambda call: asks if call.lane.key == "a" else Accepted())
    assert busy.lane("a").is_waiting
    for _ in range(200):
        busy.arrive("other", E.PING)
        busy.run(1.0, lambda _: UNWELL)
    bystander(busy, 15, fails_for("a", driver=busy))
    assert busy.aside == []


def test_a_stuck_session_is_parked_when_the_receipt_is_full(make_driver: Make) -> None:
    """When no more finished offsets have room beyond it, the session at the safe offset gives way, and it alone."""
    driver = make_driver(limits=Limits(concurrency_max=50), rules=RULES)
    for key in ("other", "a", "b"):
        driver.open(key)
    driver.arrive("a", E.PING)
    driver.arrive("b", E.PING)
    bystander(driver, 60, fails_for("a", "b", driver=driver))
    assert driver.aside == []
    driver.assignment.is_window_full = True
    driver.carry_out(driver.router.park(driver.now))
    driver.turn()
    assert driver.lane("a").state is State.PARKED
    driver.assignment.is_window_full = False
    bystander(driver, 60, fails_for("b", driver=driver))
    assert driver.lane("b").state is State.READY or driver.lane("b").is_in_flight
    assert [reason for _, reason in driver.reasons()] == ["parked"]


def test_a_session_in_flight_is_parked_when_its_call_has_landed(busy: Driver) -> None:
    """A call that is under way is waited for: it may succeed yet."""
    bystander(busy, 19, fails_for("a", driver=busy))
    busy.run(40.0, lambda call: None if call.lane.key == "a" else Accepted())
    call = busy.call_of("a")
    busy.arrive("other", E.PING)
    busy.accept(key="other")
    busy.carry_out(busy.router.park(busy.now))
    assert busy.aside == []
    assert call in busy.flying
    busy.answer(UNWELL, key="a")
    assert busy.lane("a").state is State.PARKED


def test_a_session_that_never_opened_is_parked_with_its_start(make_driver: Make) -> None:
    """Its sessionStart is the first of its letters, and nothing is left to go on with."""
    driver = make_driver(limits=LIMITS, rules=RULES)
    driver.open("other")
    driver.arrive("other", E.SESSION_END)
    driver.accept(key="other")
    driver.arrive("a", E.SESSION_START, E.PLAY, E.PING, E.PING)
    for number in range(60):
        driver.arrive(f"others-{number}", E.SESSION_START)
        driver.run(1.0, fails_for("a", driver=driver))
        driver.carry_out(driver.router.park(driver.now))
        driver.turn()
    assert driver.lane("a").state is State.PARKED
    assert [reason for _, reason in driver.reasons()] == ["parked"] * 4
    assert driver.lane("a").start is None


def test_a_parked_session_stays_parked_over_a_restart(busy: Driver) -> None:
    """The next owner sets its events aside as well, and knows what it would take to go on."""
    bystander(busy, 60, fails_for("a", driver=busy))
    before = busy.lane("a")
    written = write(before)
    assert written is not None
    busy.revoke()
    busy.assign()
    again = busy.router
    again.restore(busy.assignment, before.key, read(written), busy.now)
    busy.arrive("a", E.PING)
    assert busy.reasons()[-1][1] == "parked"
    assert busy.lane("a").start == Details(params=b'{"media.id":"film"}')
    assert busy.lane("a").playback is not None


def test_a_parked_session_is_remembered_when_others_are_forgotten(busy: Driver) -> None:
    """Half an hour of silence ends no parking: an event that comes then would overtake those that were set aside."""
    bystander(busy, 60, fails_for("a", driver=busy))
    lane = busy.lane("a")
    assert busy.router.forget_idle(busy.assignment, busy.now + 3 * 86_400) != []
    assert busy.assignment.lanes == {lane.key: lane}
    a_week_later = lane.active_at + 7 * 86_400
    assert busy.router.forget_idle(busy.assignment, a_week_later - 1.0) == []
    assert busy.router.forget_idle(busy.assignment, a_week_later + 1.0) != []
    assert busy.assignment.lanes == {}


def test_a_partition_that_leaves_parks_nobody(busy: Driver) -> None:
    """Whoever comes next decides."""
    bystander(busy, 19, fails_for("a", driver=busy))
    busy.leave()
    busy.now += 60
    assert busy.router.park(busy.now) == []
    assert isinstance(busy.assignment, Assignment)
