"""The waiting events of one player session, and what a lane shows of itself."""

from __future__ import annotations

from relay.core.events import EventType, PlayerEvent, Record, SessionKey
from relay.core.lane import IN_FLIGHT_FROM, Lane, State


def test_the_next_head_has_a_fresh_start(lane: Lane) -> None:
    """The trouble with one event is not held against the next."""
    lane.waiting = [PlayerEvent(EventType.PING, 1, 2, record=Record(offset)) for offset in (5, 6)]
    lane.attempts, lane.strikes, lane.failures, lane.openings = 4, 3, 2, 1
    head = lane.take_head()
    assert head.record == Record(5)
    assert (lane.attempts, lane.strikes, lane.failures, lane.openings, lane.last_offset) == (0, 0, 0, 0, 5)
    assert [event.record for event in lane.waiting] == [Record(6)]


def test_an_ordinary_event_leaves_no_playback_memory(lane: Lane) -> None:
    """A session that was never told anything lasting costs no memory for it; time and place are kept all the same."""
    lane.remember(PlayerEvent(EventType.PING, 7.5, 1_700_000_000_000))
    assert lane.playback is None
    assert (lane.last_playhead, lane.last_ts) == (7.5, 1_700_000_000_000)
    lane.remember(PlayerEvent(EventType.PLAY, 8, 1_700_000_000_500))
    assert lane.playback is not None


def test_a_lane_never_shows_the_players_key(lane: Lane) -> None:
    """What may end in a log line names partition, state and count, not the player."""
    lane.key = SessionKey("anna@example.org")
    assert "anna" not in repr(lane)
    assert "events[0]" in repr(lane)


def test_states_at_rest_and_in_flight_are_apart(lane: Lane, states: list[State]) -> None:
    """Whether an answer is awaited can be read from the state alone."""
    in_flight = []
    for state in states:
        lane.state = state
        if lane.is_in_flight:
            in_flight.append(state)
    assert in_flight == [state for state in states if state >= IN_FLIGHT_FROM]
    assert {state.name for state in in_flight} == {
        "OPENING",
        "JOINING",
        "REOPENING",
        "SENDING",
        "COMPLETING",
        "CLOSING",
        "CLOSING_COMPLETED",
        "TELLING",
        "REPLACING",
        "PINGING",
        "SUSPENDING",
    }
