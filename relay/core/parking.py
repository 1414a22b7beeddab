"""When a session is parked: it fails for long, holds up everything, and the API serves others meanwhile.

In: a lane that waits for its next try. Out: whether all that waits in it is to be set aside, in order, to be replayed later.

A lane that is full pauses the source, and so does a partition whose receipt has no room for more finished offsets beyond a stuck one. A
moment's failure is worth the wait; a session that fails for as long as the operator allows is not. An outage is not the session's fault, so
only what failed since the circuit was last closed counts, and the API must have served somebody since.
"""

from relay.core.assignment import Stage
from relay.core.lane import Lane
from relay.core.patience import Rules
from relay.core.pressure import CircuitState, Limits


def is_to_be_parked(lane: Lane, limits: Limits, rules: Rules, now: float) -> bool:
    """Whether this session has to give way."""
    circuit = lane.judge
    if not lane.held_since or circuit is None or circuit.state is not CircuitState.CLOSED or not circuit.is_sound:
        return False
    has_served_since = circuit.served_at > lane.held_since > circuit.closed_since
    is_patience_over = now - lane.held_since >= rules.park_after_seconds
    return has_served_since and is_patience_over and lane.assignment.stage is Stage.OWNED and _holds_up(lane, limits)


def _holds_up(lane: Lane, limits: Limits) -> bool:
    if len(lane.waiting) >= limits.session_events_max:
        return True
    record, assignment = lane.waiting[0].record, lane.assignment
    return assignment.is_window_full and record is not None and record.offset == assignment.ledger.safe
