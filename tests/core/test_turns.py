"""Whose turn it is, one question at a time: who may go, when to ask again, and whether anything is stuck."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.core.assignment import Assignment
from relay.core.events import EventType, PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Lost, Misconfigured, Refused, TryAgain
from relay.core.lane import Lane, State
from relay.core.pressure import CircuitState, Limits
from relay.core.turns import Turns

OPENS, OPENS_AGAIN, SENDS = State.ABSENT, State.LOST, State.READY
IN_FLIGHT = {OPENS: State.OPENING, OPENS_AGAIN: State.REOPENING, SENDS: State.SENDING}
WORDS = {OPENS: "open", OPENS_AGAIN: "reopen", SENDS: "send"}
NOW = 1_000.0


def queued(turns: Turns, state: State, key: str = "a", kind: EventType = EventType.PING) -> Lane:
    """A session that stands there and has something to say."""
    lane = Lane(SessionKey(key), Assignment("events", 0))
    lane.state = state
    lane.waiting.append(PlayerEvent(kind, playhead=1.0, ts=1, record=Record(0)))
    turns.queue(lane)
    return lane


def go(turns: Turns, now: float = NOW) -> Lane | None:
    """The next call departs."""
    lane = turns.next(now)
    if lane is not None:
        lane.state = IN_FLIGHT[lane.state]
        turns.depart(lane, now)
    return lane


def probing(turns: Turns, state: State, now: float = NOW) -> None:
    """Calls of this kind have done nothing but fail."""
    circuit = turns.sending if state is SENDS else turns.opening
    circuit.looks_out(now - 6.0)
    circuit.fail(now - 5.5)
    assert circuit.looks_out(now)
    assert circuit.state is CircuitState.PROBING


# --- who may go ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("places", "of_each_kind"), [(1, 1), (2, 1), (3, 2), (8, 7), (16, 14), (512, 448)])
def test_each_kind_leaves_an_eighth_of_the_places_to_the_other(places: int, of_each_kind: int) -> None:
    """One at least, but where there is just one."""
    for state in (OPENS, SENDS):
        turns = Turns(Limits(concurrency_max=places))
        for number in range(places + 1):
            queued(turns, state, f"{number}")
        for _ in range(of_each_kind):
            assert go(turns) is not None
        assert go(turns) is None


def test_where_departures_are_paced_each_fourth_is_for_an_event() -> None:
    """While openings wait as well."""
    turns = Turns(Limits(requests_per_second_max=10.0))
    for number in range(12):
        queued(turns, OPENS, f"open-{number}")
        queued(turns, SENDS, f"send-{number}")
    gone = []
    for second in range(12):
        lane = go(turns, NOW + second)
        assert lane is not None
        gone.append("open" if lane.state is State.OPENING else "send")
    assert gone == ["open", "open", "open", "send"] * 3


def test_openings_have_the_pace_to_themselves_where_no_event_may_go() -> None:
    """For want of one, or in an outage of theirs."""
    for has_events in (False, True):
        turns = Turns(Limits(requests_per_second_max=10.0))
        for number in range(8):
            queued(turns, OPENS, f"open-{number}")
        if has_events:
            probing(turns, SENDS)
            queued(turns, SENDS)
        gone = []
        for second in range(8):
            if has_events:
                turns.sending.depart(NOW + second)  # the probe has just gone
            lane = go(turns, NOW + second)
            assert lane is not None
            gone.append(lane.state)
        assert gone == [State.OPENING] * 8


def test_without_a_pace_openings_go_first_however_many_went_before() -> None:
    """That the API asked for less once is over then."""
    turns = Turns(Limits(requests_per_second_max=10.0))
    for number in range(3):
        queued(turns, OPENS, f"open-{number}")
        assert go(turns, NOW + number) is not None
    turns.pace.is_on = False
    queued(turns, SENDS)
    opens = queued(turns, OPENS, "late")
    assert go(turns, NOW + 9.0) is opens


def test_whoever_was_asked_to_come_later_is_next() -> None:
    """It had its turn."""
    turns = Turns(Limits(concurrency_max=1))
    first, second = queued(turns, SENDS, "first"), queued(turns, SENDS, "second")
    assert turns.next(NOW) is first
    turns.queue_first(first)
    assert first.is_queued, "whoever stands in a queue is not put there a second time"
    assert turns.next(NOW) is first
    assert turns.next(NOW) is second


@pytest.mark.parametrize(
    ("state", "kind", "is_event"),
    [
        (State.READY, EventType.PING, True),
        (State.READY, EventType.SESSION_START, True),
        (State.COMPLETED, EventType.SESSION_END, True),
        (State.COMPLETED, EventType.SESSION_START, False),
        (State.ABSENT, EventType.SESSION_START, False),
        (State.ENDED, EventType.SESSION_END, False),
        (State.LOST, EventType.SESSION_END, False),
    ],
)
def test_only_an_open_session_has_events_to_send(state: State, kind: EventType, *, is_event: bool) -> None:
    """And one that is completed its end: these wait where events fail, all others where openings do."""
    turns = Turns(Limits())
    probing(turns, SENDS)
    turns.sending.depart(NOW)
    lane = queued(turns, state, kind=kind)
    assert (turns.next(NOW) is lane) is not is_event


def test_nobody_goes_for_a_partition_that_has_gone() -> None:
    """What is dropped has no turn; the others keep their order."""
    turns = Turns(Limits())
    gone = queued(turns, SENDS, "gone")
    first, second = queued(turns, SENDS, "first"), queued(turns, SENDS, "second")
    gone.assignment.lanes[gone.key] = gone
    failed = queued(turns, SENDS, "failed")
    failed.assignment = gone.assignment
    gone.assignment.lanes[failed.key] = failed
    assert turns.wait(failed, turns.sending, is_asked=False)
    turns.drop(gone.assignment)
    assert turns.waiting() == []
    assert turns.orphan_count == 0
    assert [go(turns), go(turns), go(turns)] == [first, second, None]


# --- when to ask again --------------------------------------------------------------------------------------------------------------


def test_who_waits_for_a_probe_is_asked_again_when_it_may_go() -> None:
    """By the circuit of its own kind; where nobody waits for one, its moment is no matter."""
    for state, other in ((SENDS, OPENS), (OPENS, SENDS)):
        turns = Turns(Limits())
        probing(turns, state)
        assert turns.ask_again_at() is None
        queued(turns, other)
        assert go(turns) is not None, "the other kind is served"
        assert turns.ask_again_at() is None
        queued(turns, state)
        assert turns.ask_again_at() == NOW
        assert go(turns) is not None
        queued(turns, state, "b")
        assert turns.ask_again_at() == NOW + 0.1


def test_of_two_moments_the_first_counts() -> None:
    """Each kind fails on its own."""
    turns = Turns(Limits())
    turns.opening.fail(NOW)
    turns.sending.fail(NOW + 1.0)
    assert turns.ask_again_at() == NOW + 5.0
    turns = Turns(Limits())
    turns.opening.fail(NOW + 1.0)
    turns.sending.fail(NOW)
    assert turns.ask_again_at() == NOW + 5.0


def test_where_nothing_may_go_by_time_alone_nobody_asks() -> None:
    """While it drains, and while all places are taken."""
    turns = Turns(Limits(concurrency_max=1))
    turns.sending.fail(NOW)
    assert turns.ask_again_at() is not None
    queued(turns, SENDS)
    assert go(turns) is not None
    assert turns.ask_again_at() is None
    turns = Turns(Limits())
    turns.sending.fail(NOW)
    turns.is_draining = True
    assert turns.ask_again_at() is None


def test_who_opens_again_is_asked_when_there_is_leave_for_it() -> None:
    """So many in a second; in an outage not before the next probe, either."""
    turns = Turns(Limits(reopenings_per_second_max=2.0))
    for number in range(4):
        queued(turns, OPENS_AGAIN, f"{number}")
    assert [go(turns) is not None for _ in range(3)] == [True, True, False]
    assert turns.ask_again_at() == NOW + 0.5
    assert go(turns, NOW + 0.5) is not None
    turns.opening.land()
    probing(turns, OPENS_AGAIN, NOW + 10.0)
    queued(turns, OPENS, "probe")
    assert go(turns, NOW + 10.0) is not None
    assert turns.ask_again_at() == NOW + 10.1


def test_who_opens_again_and_has_no_place_waits_for_a_call_to_land() -> None:
    """Time alone brings none."""
    turns = Turns(Limits(concurrency_max=4, reopenings_per_second_max=100.0))
    for number in range(5):
        queued(turns, OPENS_AGAIN, f"{number}")
    assert [go(turns) is not None for _ in range(4)] == [True, True, True, False]
    assert turns.ask_again_at() is None


# --- what nobody waits for ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [OPENS, OPENS_AGAIN, SENDS])
def test_the_relay_speaks_for_itself_only_where_nobody_wants_a_turn(state: State) -> None:
    """Whatever kind of call it would be."""
    turns = Turns(Limits())
    assert turns.has_room_to_spare(NOW)
    queued(turns, state)
    assert not turns.has_room_to_spare(NOW)
    assert go(turns) is not None
    assert turns.has_room_to_spare(NOW)


def test_the_relay_speaks_for_itself_only_where_there_is_a_place() -> None:
    """Of all, and of those for events."""
    turns = Turns(Limits(concurrency_max=1))
    queued(turns, OPENS)
    assert go(turns) is not None
    assert not turns.has_room_to_spare(NOW)
    turns = Turns(Limits(concurrency_max=2))
    queued(turns, SENDS)
    assert go(turns) is not None
    assert not turns.has_room_to_spare(NOW)


def test_the_relay_speaks_for_itself_only_at_the_pace() -> None:
    """And nobody need ask again for that."""
    turns = Turns(Limits(requests_per_second_max=1.0))
    assert turns.has_room_to_spare(NOW)
    queued(turns, SENDS)
    assert go(turns) is not None
    assert not turns.has_room_to_spare(NOW + 0.5)
    assert turns.ask_again_at() is None
    assert turns.has_room_to_spare(NOW + 2.0)


# --- whether anything is stuck ------------------------------------------------------------------------------------------------------


def draining(turns: Turns) -> None:
    """Nothing is to leave any more."""
    turns.is_draining = True


def held_by_the_pace(turns: Turns) -> None:
    """The API has asked for a wait."""
    turns.pace.is_holding = True


def under_way(turns: Turns) -> None:
    """A call that may end the wait has not landed."""
    turns.in_flight = 1


def opening_fails(turns: Turns) -> None:
    """An outage of one kind."""
    turns.opening.state = CircuitState.PROBING


def sending_fails(turns: Turns) -> None:
    """And of the other."""
    turns.sending.state = CircuitState.PROBING


@pytest.mark.parametrize("excuse", [draining, held_by_the_pace, under_way, opening_fails, sending_fails])
@pytest.mark.parametrize("state", [OPENS, OPENS_AGAIN, SENDS])
def test_who_waits_without_an_excuse_is_stalled(state: State, excuse: Callable[[Turns], None]) -> None:
    """Lanes of any kind that could go and do not would be a bug; where nobody waits, or something holds them back, there is none."""
    turns = Turns(Limits())
    assert not turns.is_stalled
    queued(turns, state)
    assert turns.is_stalled
    excuse(turns)
    assert not turns.is_stalled


# --- what an answer says of the API -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "served"),
    [(Accepted(), 1), (Lost(404), 1), (Refused(400), 1), (Refused(0), 0), (TryAgain("timeout"), 0), (Misconfigured(403, "check"), 0)],
)
def test_whoever_answers_serves(verdict: Accepted | Lost | Refused | TryAgain | Misconfigured, served: int) -> None:
    """A refusal is an answer like any other, unless the event never left."""
    turns = Turns(Limits())
    lane = queued(turns, SENDS)
    assert go(turns) is lane
    assert turns.land(lane, verdict, NOW + 1.0, 0.02, 0.0) is turns.sending
    assert (turns.sending.served, turns.opening.served) == (served, 0)
    assert (turns.in_flight, lane.assignment.in_flight, turns.sending.in_flight) == (0, 0, 0)


def test_each_call_for_less_is_counted() -> None:
    """By its kind."""
    turns = Turns(Limits())
    for number in range(2):
        lane = queued(turns, SENDS, f"{number}")
        assert go(turns) is lane
        turns.land(lane, TryAgain("status_429", 429), NOW, 0.02, 0.0)
    assert (turns.sending.throttled, turns.opening.throttled) == (2, 0)


def test_the_pace_follows_what_both_kinds_were_served() -> None:
    """Forty calls in a second, openings and events together, and then too much: that is the pace."""
    turns = Turns(Limits())
    for number in range(60):
        turns.opening.served += 1
        turns.sending.served += 1
        turns.look_out(NOW + number * 0.05)
    lanes = [queued(turns, SENDS, f"{number}") for number in range(8)]
    for lane in lanes:
        assert go(turns, NOW + 3.0) is lane
    for lane in lanes:
        turns.land(lane, TryAgain("status_429", 429), NOW + 3.0, 0.02, 0.0)
    assert turns.pace.per_second == pytest.approx(40.0, rel=0.15)


def test_after_a_wait_that_the_api_has_asked_for_few_go_at_first() -> None:
    """Side by side, of either kind: what is under way, and one more."""
    turns = Turns(Limits(concurrency_max=64))
    turns.pace.refuse(NOW, 0, asked_seconds=10.0)
    turns.look_out(NOW + 5.0)
    assert (turns.opening.concurrency.limit, turns.sending.concurrency.limit) == (56, 56)
    turns.look_out(NOW + 10.5)
    assert (turns.opening.concurrency.limit, turns.sending.concurrency.limit) == (1, 1)


@pytest.mark.parametrize(
    ("attempts", "failed_in", "counts"), [(1, -1, True), (1, 0, True), (2, -1, True), (2, 0, False)], ids=["new", "next", "after", "again"]
)
def test_the_first_try_of_an_event_says_how_the_api_is(attempts: int, failed_in: int, *, counts: bool) -> None:
    """And the first after an outage; that what failed fails again says nothing new."""
    turns = Turns(Limits())
    for second in range(6):
        turns.look_out(NOW + second)
    lanes = [queued(turns, SENDS, f"{number}") for number in range(30)]
    for lane in lanes:
        assert go(turns, NOW + 5.5) is lane
        lane.attempts, lane.failed_in = attempts, failed_in
    for lane in lanes:
        turns.land(lane, TryAgain("status_503", 503), NOW + 5.6, 0.02, 0.0)
        assert lane.failed_in == 0, "in this time since the last outage"
    turns.look_out(NOW + 6.0)
    assert turns.sending.state is (CircuitState.PROBING if counts else CircuitState.CLOSED)


# --- timers -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["woke", "called off", "outage"])
def test_a_timer_that_is_over_wakes_nobody(ends: str) -> None:
    """Whatever ended the wait: the lane has its turn once."""
    turns = Turns(Limits())
    lane = queued(turns, SENDS)
    assert turns.next(NOW) is lane
    assert not turns.was_asked_to_wait(lane)
    assert turns.wait(lane, turns.sending, is_asked=False)
    ticket = lane.ticket
    assert turns.waiting() == [lane]
    assert not turns.was_asked_to_wait(lane)
    if ends == "woke":
        turns.wake(lane, ticket)
    elif ends == "called off":
        turns.call_off(lane)
    else:
        turns.stop_waiting(turns.sending)
    assert turns.waiting() == []
    assert not lane.is_waiting
    assert (turns.next(NOW) is lane) == (ends != "called off")
    assert turns.wait(lane, turns.sending, is_asked=True)
    assert turns.was_asked_to_wait(lane)
    turns.wake(lane, ticket)
    assert lane.is_waiting, "that timer was for the wait before"
    turns.stop_waiting(turns.sending)
    assert turns.waiting() == [lane], "what the API has asked for is waited out"


def test_an_outage_ends_the_waits_of_its_own_kind() -> None:
    """Whoever waits for the other goes on waiting for its timer."""
    turns = Turns(Limits())
    opens, sends = queued(turns, OPENS, "a"), queued(turns, SENDS, "b")
    for lane, circuit in ((opens, turns.opening), (sends, turns.sending)):
        assert turns.next(NOW) is lane
        assert turns.wait(lane, circuit, is_asked=False)
    turns.stop_waiting(turns.opening)
    assert turns.waiting() == [sends]
    assert turns.next(NOW) is opens


def test_who_fails_in_an_outage_stands_in_the_queue() -> None:
    """No timer of its own delays it: the circuit sets the pace, unless the API has asked for the wait."""
    turns = Turns(Limits())
    probing(turns, SENDS)
    lane, asked = queued(turns, SENDS, "a"), queued(turns, SENDS, "b")
    assert turns.next(NOW) is lane
    assert not turns.wait(lane, turns.sending, is_asked=False)
    assert (lane.is_queued, lane.is_waiting, turns.waiting()) == (True, False, [])
    assert turns.next(NOW) is asked
    assert turns.wait(asked, turns.sending, is_asked=True)
    assert turns.waiting() == [asked]
