"""Partitions come, leave and come back, with calls under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, EventType, SessionKey
from relay.core.inputs import Accepted, Assigned, Lost, Misconfigured, Opened, Refused, TryAgain
from relay.core.lane import Lane, State
from relay.core.ledger import Ledger
from relay.core.memoir import read, write
from relay.core.pressure import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

    from relay.core.inputs import Verdict

E = EventType
LATE: list[Verdict] = [
    Accepted(),
    Lost(404),
    TryAgain("timeout"),
    TryAgain("status_503", 503, 9.0),
    Refused(400),
    Misconfigured(403, "check"),
]


def test_a_partition_that_is_leaving_lets_calls_end_and_starts_none(driver: Driver) -> None:
    """Answers still count and finish their offsets; the next event waits for the next owner."""
    driver.open()
    driver.arrive("a", E.PING, E.PING)
    driver.leave()
    driver.accept()
    assert driver.flying == []
    assert driver.finished == [0, 1]
    assert driver.assignment.ledger.safe == 2
    assert driver.assignment.in_flight == 0


@pytest.mark.parametrize("verdict", LATE)
def test_any_answer_may_come_while_a_partition_is_leaving(driver: Driver, verdict: Verdict) -> None:
    """Whatever it says, nothing new leaves, and what it finished or set aside counts."""
    driver.open()
    driver.arrive("a", E.PING, E.PING)
    driver.leave()
    driver.answer(verdict)
    driver.wake()
    driver.pass_time(30.0)
    assert driver.flying == []
    assert driver.assignment.ledger.safe == (2 if isinstance(verdict, Accepted | Refused) else 1)


def test_records_of_a_partition_that_is_leaving_are_left_to_the_next_owner(driver: Driver) -> None:
    """What arrives while it is leaving is not taken."""
    driver.open()
    driver.leave()
    driver.arrive("a", E.PING)
    driver.arrive("b", E.SESSION_START)
    assert driver.flying == []
    assert driver.assignment.ledger.safe == 1
    assert list(driver.assignment.lanes) == ["a"]


@pytest.mark.parametrize("verdict", LATE)
def test_an_answer_that_outlives_its_partition_is_let_go(driver: Driver, verdict: Verdict) -> None:
    """It frees its slot and changes nothing else: no event finished, none set aside, no timer."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.revoke()
    safe = driver.assignment.ledger.safe
    driver.answer(verdict)
    assert (driver.router.in_flight, driver.assignment.in_flight, driver.flying) == (0, 0, [])
    assert driver.assignment.ledger.safe == safe == 1
    assert (driver.finished, driver.reasons(), driver.waits) == ([0], [], [])


def test_counters_return_to_zero_when_everything_is_taken(make_driver: Callable[..., Driver]) -> None:
    """Buffers, lanes, sessions and slots: nothing leaks with a partition, whatever its lanes were doing."""
    driver = make_driver(limits=Limits(session_events_max=3, concurrency_max=20))
    driver.open("idle")
    driver.open("waiting")
    driver.arrive("waiting", E.PING)
    driver.answer(TryAgain("timeout"), key="waiting")
    driver.open("flying")
    driver.arrive("flying", *[E.PING] * 5)
    driver.arrive("opening", E.SESSION_START)
    driver.open("lost")
    driver.arrive("lost", E.PING)
    driver.answer(Lost(404), key="lost")
    driver.revoke()
    router, buffer = driver.router, driver.router.buffer
    assert (buffer.event_count, buffer.byte_count, buffer.lane_count, buffer.crowded_lanes) == (0, 0, 0, 0)
    assert router.sessions_open == 0
    assert list(router.lanes()) == []
    while driver.flying:
        driver.answer(TryAgain("reset"))
    driver.wake()
    driver.pass_time(60.0)
    assert (router.in_flight, driver.flying, router.wake_at()) == (0, [], None)


def test_other_partitions_go_on(driver: Driver) -> None:
    """A partition that is taken disturbs no session of another."""
    driver.open("a")
    driver.arrive("a", E.PING)
    first = driver.assignment
    driver.assign(1)
    driver.arrive("b", E.SESSION_START, E.PING)
    driver.revoke(first)
    driver.accept(2, key="b")
    assert driver.sent("b") == ["open", "ping"]
    assert driver.assignment.ledger.safe == 2


def test_the_same_key_in_two_partitions_is_two_sessions(driver: Driver) -> None:
    """Order holds within a partition, so a session is a key of a partition."""
    driver.open("a")
    driver.assign(1)
    driver.arrive("a", E.SESSION_START)
    driver.accept_all()
    assert driver.router.sessions_open == 2


@pytest.mark.parametrize("verdict", LATE)
def test_a_partition_given_back_never_has_two_calls_of_one_session(driver: Driver, verdict: Verdict) -> None:
    """Taken and given back while a call is under way: the session waits until the old call has ended, however, and then goes on."""
    driver.open()
    driver.arrive("a", E.PING)
    old = driver.call_of("a")
    driver.revoke()
    driver.assign(from_offset=1)
    driver.arrive("a", E.SESSION_START, E.PING)
    driver.arrive("b", E.SESSION_START)
    assert driver.flying[0] is old
    assert [call.lane.key for call in driver.flying] == ["a", "b"], "the others do not wait"
    driver.answer(verdict, key="a")
    if driver.router.throttled_until == 0.0:
        assert [call.lane.key for call in driver.flying] == ["b", "a"]
    driver.run(20.0, driver.success_of)
    assert driver.finished == [0, 3, 1, 2]


def test_a_session_whose_old_call_ended_before_its_event_came_goes_at_once(driver: Driver) -> None:
    """Nothing is left to wait for."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.revoke()
    driver.assign(from_offset=1)
    driver.answer(TryAgain("timeout"))
    driver.arrive("a", E.SESSION_START)
    assert len(driver.flying) == 1


def test_a_session_that_was_taken_up_and_says_nothing_waits_for_no_old_call(driver: Driver) -> None:
    """When that ends there is nothing to send; the next event goes at once."""
    lane = driver.open()
    driver.arrive("a", E.PING)
    memoir = read(write(lane) or b"")
    driver.revoke()
    driver.assign(from_offset=1)
    driver.router.restore(driver.assignment, SessionKey("a"), memoir, driver.now)
    driver.answer(TryAgain("timeout"))
    assert driver.flying == []
    driver.arrive("a", E.PING)
    assert len(driver.flying) == 1


def test_a_partition_may_come_and_go_twice_while_one_call_is_under_way(driver: Driver) -> None:
    """The last assignment is the one whose session goes on."""
    driver.open()
    driver.arrive("a", E.PING)
    for _ in range(3):
        driver.revoke()
        driver.assign(from_offset=1)
        driver.arrive("a", E.SESSION_START)
        assert len(driver.flying) == 1
    driver.answer(Accepted())
    assert len(driver.flying) == 1
    assert driver.flying[0].lane is driver.lane()
    driver.accept_all()
    assert driver.assignment.ledger.safe == 2


def test_a_partition_taken_while_its_session_waits_for_an_old_call(driver: Driver) -> None:
    """When the old call ends and nobody is there any more, nothing happens."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.revoke()
    driver.assign(from_offset=1)
    driver.arrive("a", E.SESSION_START)
    driver.revoke()
    driver.answer(Accepted())
    assert (driver.flying, driver.router.in_flight) == ([], 0)


def test_a_partition_that_is_lost_while_it_is_leaving_is_let_go_once(driver: Driver) -> None:
    """Being told twice that a partition is gone counts once, before and after its last call has ended."""
    driver.open("a")
    driver.arrive("a", E.PING, E.PING)
    first = driver.assignment
    driver.leave()
    driver.revoke(first)
    driver.revoke(first)
    driver.answer(Accepted())
    driver.revoke(first)
    driver.assign(from_offset=1)
    driver.arrive("a", E.SESSION_START)
    assert len(driver.flying) == 1, "the session is not kept waiting for a call that has ended"
    driver.check_books()


def test_a_partition_that_is_gone_is_not_brought_back(driver: Driver) -> None:
    """Word that it leaves may be taken in after it has gone: its calls under way count no more for that."""
    assignment = driver.assignment
    driver.arrive("a", E.SESSION_START)
    driver.revoke()
    driver.leave(assignment)
    driver.assign(from_offset=0)
    driver.arrive("a", E.SESSION_START)
    assert len(driver.flying) == 1
    driver.answer(Opened(ApiSessionId("late")))
    assert driver.finished == []
    assert len(driver.flying) == 1
    driver.accept_all()
    assert driver.finished == [0]


def test_a_dead_letter_that_outlives_its_partition_commits_nothing(driver: Driver) -> None:
    """It was written, and its offset is the next owner's business."""
    driver.stores_aside = False
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(Refused(400))
    driver.revoke()
    safe = driver.assignment.ledger.safe
    driver.store_aside(1)
    assert driver.assignment.ledger.safe == safe == 1


def test_records_of_a_partition_that_is_gone_are_not_taken(driver: Driver) -> None:
    """What was fetched before a revoke and is handed over after it is let go."""
    driver.revoke()
    driver.arrive("a", E.SESSION_START)
    assert driver.flying == []
    assert driver.router.buffer.event_count == 0
    assert driver.assignment.ledger.safe is None


def test_waking_a_lane_of_a_partition_that_is_gone_does_nothing(driver: Driver) -> None:
    """A timer that outlives its partition is void."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(TryAgain("timeout"))
    driver.revoke()
    driver.wake()
    assert driver.flying == []


def test_a_new_assignment_begins_without_the_old_ones_sessions(driver: Driver) -> None:
    """What the old assignment knew may have been changed by another owner since: memoirs tell, not memory."""
    driver.open()
    driver.revoke()
    driver.assign(from_offset=1)
    driver.arrive("a", E.PING)
    assert driver.reasons() == [(1, "no_session_start")]
    assert driver.assignment.lanes[SessionKey("a")].state is State.ABSENT


def test_fifty_rebalances_without_traffic_leave_nothing_behind(driver: Driver) -> None:
    """Coming and going costs nothing and commits nothing."""
    for _ in range(50):
        assert driver.assignment.ledger.safe is None
        driver.leave()
        driver.revoke()
        driver.assign()
    assert len(driver.router.assignments) == 1
    assert (driver.router.buffer.lane_count, driver.router.in_flight, driver.router.wake_at()) == (0, 0, None)


def test_a_topic_that_was_created_again_is_read_from_its_begin(driver: Driver) -> None:
    """A record before the committed offset: receipts and memoirs speak of another log, and nothing of the new one is skipped."""
    assignment = Assignment("events", 1, ledger=Ledger(((1_002, 1_004),)), starts_at=1_000)
    driver.handle(Assigned(assignment))
    lane = Lane(SessionKey("a"), assignment)
    assignment.lanes[SessionKey("a")] = lane
    driver.router.buffer.lane_count += 1
    lane.done_offset = lane.last_offset = 1_001
    driver.arrive("a", E.SESSION_START, E.PLAY, assignment=assignment)
    driver.accept_all()
    assert driver.skipped == []
    assert driver.finished == [0, 1]


def test_what_is_taken_holds_no_lanes(driver: Driver) -> None:
    """Sessions of a partition that has left are freed at once, and not only when somebody looks for garbage."""
    driver.open("a")
    driver.arrive("a", E.PLAY)
    driver.accept()
    assignment = driver.assignment
    assert assignment.lanes
    assert assignment.changed
    driver.revoke()
    assert not assignment.lanes
    assert not assignment.changed
