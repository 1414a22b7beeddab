"""The waiting events of one player session, and what a lane shows of itself."""

from __future__ import annotations

from relay.core.events import ApiSessionId, Derived, Details, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.lane import IN_FLIGHT_FROM, Lane, Silence, State
from relay.core.playback import Playback
from relay.core.pressure import Circuit
from relay.core.reasons import Reason
from relay.core.sequence import Held, Sequence
from relay.core.split import Letter


def test_the_next_head_has_a_fresh_start(lane: Lane) -> None:
    """The trouble with one event is not held against the next."""
    lane.waiting = [PlayerEvent(EventType.PING, 1, 2, record=Record(offset)) for offset in (5, 6)]
    lane.attempts, lane.strikes, lane.failures, lane.openings = 4, 3, 2, 1
    lane.judge, lane.held_since = Circuit(concurrency_max=1), 7.0
    head = lane.take_head()
    assert head.record == Record(5)
    assert (lane.attempts, lane.strikes, lane.failures, lane.openings, lane.last_offset) == (0, 0, 0, 0, 5)
    assert (lane.judge, lane.held_since) == (None, 0.0)
    assert [event.record for event in lane.waiting] == [Record(6)]


def test_nothing_is_held_against_a_new_session(lane: Lane) -> None:
    """Neither tries nor failures, of whatever kind, and nothing that went wrong in any time between two outages."""
    assert (lane.attempts, lane.strikes, lane.failures, lane.openings, lane.held_since) == (0, 0, 0, 0, 0.0)
    assert (lane.failed_cause, lane.failed_status) == ("", 0)
    assert lane.failed_in < 0
    assert lane.latest_ts < 0, "whatever comes first is not late"
    assert lane.sent_offset < 0


def test_an_event_that_comes_again_does_not_lead_back(lane: Lane) -> None:
    """Its place in the log is behind those that have left already."""
    lane.waiting = [PlayerEvent(EventType.PING, 1, 2, record=Record(offset)) for offset in (5, 3)]
    lane.take_head()
    lane.take_head()
    assert lane.last_offset == 5


def test_parts_leave_one_after_the_other(lane: Lane) -> None:
    """How many have left is known of the record at the head, and with the last of them what is derived from it."""
    before, after = Derived(phase=1), Derived(phase=1, base="play")
    lane.derived, lane.derived_ahead, lane.is_changed = before, after, False
    lane.waiting = [
        PlayerEvent(EventType.PLAY, 1, 2, record=Record(5), part=Part(1, 2)),
        PlayerEvent(EventType.PING, 1, 2, record=Record(5), part=Part(2, 2, after)),
        PlayerEvent(EventType.PING, 1, 2, record=Record(6), part=Part(1, 2)),
    ]
    lane.take_head()
    assert lane.split is not None
    split = lane.split
    split.letter = Letter.PENDING
    assert (split.offset, split.done, lane.derived, lane.derived_ahead, lane.is_changed) == (5, 1, before, after, True)
    lane.take_head()
    assert lane.split is split
    assert (split.done, lane.derived, lane.derived_ahead) == (2, after, None)
    lane.take_head()
    assert (lane.split.offset, lane.split.done, lane.split.letter) == (6, 1, Letter.NONE)


def test_what_is_derived_further_ahead_stays_ahead(lane: Lane) -> None:
    """It is known when the record that says it has left."""
    after, further = Derived(phase=1, base="play"), Derived(phase=1, base="pauseStart")
    lane.derived_ahead = further
    lane.waiting = [PlayerEvent(EventType.PLAY, 1, 2, record=Record(5), part=Part(1, 1, after))]
    lane.take_head()
    assert (lane.derived, lane.derived_ahead) == (after, further)


# --- dead letters -------------------------------------------------------------------------------------------------------------------


def test_what_waits_for_its_letter_is_known_until_it_is_confirmed(lane: Lane) -> None:
    """A letter of another record of the session changes nothing."""
    lane.stored_aside(4)
    assert lane.asides is None
    lane.set_aside(5, Reason.REJECTED)
    lane.set_aside(3, Reason.TOO_OLD)
    assert lane.unconfirmed() == [(3, Reason.TOO_OLD), (5, Reason.REJECTED)]
    lane.stored_aside(4)
    lane.stored_aside(5)
    assert lane.asides == {3: Reason.TOO_OLD}
    lane.stored_aside(3)
    assert lane.asides is None
    assert lane.unconfirmed() == []


def test_after_a_restart_letters_wait_until_their_records_come_again(lane: Lane) -> None:
    """What has come again and is finished was confirmed; what has not come yet, nobody knows of."""
    for offset in (1, 3, 5, 6):
        lane.set_aside(offset, Reason.REJECTED)
    assert [offset for offset, _ in lane.unconfirmed()] == [1, 3, 5, 6]
    ledger = lane.assignment.ledger
    for offset in range(5):
        ledger.take(offset)
    ledger.finish(1)
    assert [offset for offset, _ in lane.unconfirmed()] == [3, 5, 6]
    for offset in (5, 6):
        ledger.take(offset)
    for offset in (3, 5, 6):
        ledger.finish(offset)
    assert lane.unconfirmed() == []
    assert lane.asides is None


# --- the API session ----------------------------------------------------------------------------------------------------------------


def test_nothing_is_kept_of_a_session_that_is_over(lane: Lane) -> None:
    """And the next memoir says so."""
    lane.session_id, lane.start, lane.playback, lane.silence = ApiSessionId("x"), Details(b"{}"), Playback(), Silence(1.0, 2, 3.0)
    lane.to_tell, lane.told_count, lane.is_untold, lane.is_suspended, lane.is_changed = (
        [PlayerEvent(EventType.PLAY, 1, 2)],
        1,
        True,
        True,
        False,
    )
    lane.forget_session()
    assert (lane.session_id, lane.start, lane.playback, lane.silence) == (None, None, None, None)
    assert (lane.to_tell, lane.told_count, lane.is_untold, lane.is_suspended, lane.is_changed) == ([], 0, False, False, True)


def test_a_memoir_grows_stale_with_any_event_and_wrong_with_some(lane: Lane) -> None:
    """A ping moves the playhead; what opens or closes something must be written down."""
    assert (lane.is_stale, lane.is_changed) == (False, False)
    lane.remember(PlayerEvent(EventType.PING, 1, 2))
    assert (lane.is_stale, lane.is_changed) == (True, False)
    lane.remember(PlayerEvent(EventType.CHAPTER_START, 1, 2))
    assert lane.is_changed
    memory = lane.playback
    lane.remember(PlayerEvent(EventType.AD_START, 1, 2))
    assert lane.playback is memory
    assert memory is not None
    assert (memory.chapter, memory.ad) == (Details(), Details())


def test_the_relay_may_speak_at_once_when_a_player_falls_silent() -> None:
    """And no memoir tells of it yet."""
    silence = Silence(5.0, 6, 7.5)
    assert (silence.since, silence.ts, silence.playhead, silence.speak_at, silence.speak_again_at) == (5.0, 6, 7.5, 5.0, 5.0)
    assert not silence.is_known


def test_a_lane_has_more_while_anything_waits(lane: Lane) -> None:
    """In it, or before it for others to go first."""
    assert not lane.has_more
    lane.sequence = Sequence()
    assert not lane.has_more
    lane.sequence.held.append(Held(1, 1, ()))
    assert lane.has_more
    lane.sequence = None
    lane.waiting.append(PlayerEvent(EventType.PING, 1, 2))
    assert lane.has_more


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
