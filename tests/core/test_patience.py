"""When a failure is held against the event at the head: a table of what excuses it."""

import pytest

from relay.core.assignment import Assignment
from relay.core.events import EventType, PlayerEvent, Record, SessionKey
from relay.core.inputs import GivenUp, TryAgain
from relay.core.lane import Lane, State
from relay.core.patience import CREDENTIALS, MISCONFIGURED, Rules, begin_try, is_too_old, weigh
from relay.core.policies import TooOld
from relay.core.pressure import Circuit, CircuitState
from relay.core.reasons import Reason

RULES = Rules(attempts_max=3, age_seconds_max=100.0)
UNWELL = TryAgain("status_500", 500)


@pytest.fixture
def lane() -> Lane:
    """A lane whose ping is under way; it was appended at the moment 1000."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state = State.SENDING
    lane.waiting = [PlayerEvent(EventType.PING, record=Record(7, appended_at=1_000.0), playhead=1.0, ts=1)]
    return lane


@pytest.fixture
def circuit() -> Circuit:
    """A circuit that has served somebody since the lane last looked."""
    circuit = Circuit(concurrency_max=10)
    circuit.served = 1
    return circuit


def test_openings_and_events_are_judged_apart(lane: Lane, circuit: Circuit) -> None:
    """What was served before the first try of a kind says nothing, and strikes of the other kind do not count."""
    begin_try(lane, circuit)
    assert (lane.judge, lane.served_seen, lane.strikes) == (circuit, 1, 0)
    lane.strikes, circuit.served = 2, 5
    begin_try(lane, circuit)
    assert (lane.served_seen, lane.strikes) == (1, 2), "the same kind goes on"
    other = Circuit(concurrency_max=10)
    begin_try(lane, other)
    assert (lane.judge, lane.served_seen, lane.strikes) == (other, 0, 0)


def test_a_failure_counts_once_the_api_has_served_another(lane: Lane, circuit: Circuit) -> None:
    """Else it is nobody's fault that can be told; what was served counts for one failure only."""
    assert weigh(lane, UNWELL, RULES, circuit, 1_000.0) is UNWELL
    assert (lane.strikes, lane.held_since) == (1, 1_000.0)
    assert weigh(lane, UNWELL, RULES, circuit, 1_001.0) is UNWELL
    assert lane.strikes == 1
    circuit.served = 2
    assert weigh(lane, UNWELL, RULES, circuit, 1_002.0) is UNWELL
    assert (lane.strikes, lane.held_since) == (2, 1_000.0)
    circuit.served = 3
    assert weigh(lane, UNWELL, RULES, circuit, 1_003.0) == GivenUp(Reason.ATTEMPTS_EXHAUSTED, 500, "status_500")


@pytest.mark.parametrize("state", [state for state in CircuitState if state is not CircuitState.CLOSED])
def test_in_an_outage_no_failure_counts(lane: Lane, circuit: Circuit, state: CircuitState) -> None:
    """Though somebody was served."""
    circuit.state = state
    assert weigh(lane, UNWELL, RULES, circuit, 5_000.0) is UNWELL
    assert (lane.strikes, lane.held_since) == (0, 0.0)


def test_where_hardly_anything_is_served_no_failure_counts(lane: Lane, circuit: Circuit) -> None:
    """Who fails there fails like most others."""
    circuit.is_sound = False
    assert weigh(lane, UNWELL, RULES, circuit, 5_000.0) is UNWELL
    assert (lane.strikes, lane.held_since) == (0, 0.0)


@pytest.mark.parametrize("cause", [MISCONFIGURED, CREDENTIALS])
def test_what_is_our_own_fault_never_counts(lane: Lane, circuit: Circuit, cause: str) -> None:
    """However old the event is meanwhile."""
    verdict = TryAgain(cause, 403)
    assert weigh(lane, verdict, RULES, circuit, 5_000.0) is verdict
    assert lane.held_since == 0.0


def test_who_fails_and_is_too_old_is_given_up(lane: Lane, circuit: Circuit) -> None:
    """At the limit it is not yet."""
    assert weigh(lane, UNWELL, RULES, circuit, 1_100.0) is UNWELL
    circuit.served = 2
    assert weigh(lane, UNWELL, RULES, circuit, 1_100.5) == GivenUp(Reason.TOO_OLD, 500, "status_500")


@pytest.mark.parametrize(
    ("state", "policy", "leaves_by_itself"),
    [
        (State.SENDING, TooOld.DROP, True),
        (State.SENDING, TooOld.SET_ASIDE, False),
        (State.TELLING, TooOld.DROP, False),
    ],
)
def test_what_is_dropped_for_its_age_anyway_is_not_given_up(
    lane: Lane, circuit: Circuit, state: State, policy: TooOld, *, leaves_by_itself: bool
) -> None:
    """It leaves on its next turn. What is told before it has no such turn."""
    lane.state, lane.to_tell = state, list(lane.waiting)
    rules = Rules(age_seconds_max=100.0, too_old={EventType.PING: policy})
    weighed = weigh(lane, UNWELL, rules, circuit, 5_000.0)
    assert (weighed is UNWELL) == leaves_by_itself
    assert leaves_by_itself or weighed == GivenUp(Reason.TOO_OLD, 500, "status_500")


def test_what_the_relay_says_itself_has_no_age() -> None:
    """Only records do."""
    assert not is_too_old(PlayerEvent(EventType.SESSION_END, playhead=1.0, ts=1), RULES, 1e9)
