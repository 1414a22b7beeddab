"""When a session is parked: it fails for long, holds up everything, and the API serves others meanwhile.

In: a lane that waits for its next try. Out: whether all that waits in it is to be set aside, in order, to be replayed later.

A lane that is full pauses the source, and so does a partition whose receipt has no room for more finished offsets beyond a stuck one. A
moment's failure is worth the wait; a session that fails for as long as the operator allows is not. An outage is not the session's fault, so
only what failed since the circuit was last closed counts, and the API must have served somebody since.

That can be seen only while others have something to say. So a full lane that fails may become twice as full before the source pauses
for it, and when there is no more room than that, there is no more patience either.
"""

from typing import Final

from relay.core.assignment import Stage
from relay.core.lane import Lane
from relay.core.patience import Rules
from relay.core.pressure import CircuitState, Limits

OVERRUN: Final = 2


def is_to_be_parked(lane: Lane, limits: Limits, rules: Rules, now: float) -> bool:
    """Whether this session has to give way."""
    circuit = lane.judge
    if not lane.held_since or circuit is None or circuit.state is not CircuitState.CLOSED or not circuit.is_sound:
        return False
    has_served_since = circuit.served_at > lane.held_since > circuit.closed_since
    is_patience_over = now - lane.held_since >= rules.park_after_seconds or is_overrun(lane, limits) or _fills_its_partition(lane)
    return has_served_since and is_patience_over and lane.assignment.stage is Stage.OWNED and _holds_up(lane, limits)


def is_excused(lane: Lane, limits: Limits) -> bool:
    """Whether the source need not pause yet for a full lane: it fails, and only while others are served does one see whose fault it is."""
    return lane.failures > 0 and len(lane.waiting) >= limits.session_events_max and not is_overrun(lane, limits)


def is_overrun(lane: Lane, limits: Limits) -> bool:
    """Whether a lane holds more than it ever should."""
    return len(lane.waiting) >= OVERRUN * limits.session_events_max


def _holds_up(lane: Lane, limits: Limits) -> bool:
    return len(lane.waiting) >= limits.session_events_max or _fills_its_partition(lane)


def _fills_its_partition(lane: Lane) -> bool:
    record, assignment = lane.waiting[0].record, lane.assignment
    return assignment.is_window_full and record is not None and record.offset == assignment.ledger.safe
