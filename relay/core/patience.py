"""How often and how long a failing call is tried before its event is given up, and how long to wait between two tries.

In: what an answer means, and whether the API served others since the last try. Out: the same, or that it is given up.

Only a destination that serves others may be the judge of an event: a try counts if the API accepted something of the same kind since the
one before. In an outage nothing counts, however long it lasts, and one poisonous event is told from an outage without any threshold.
"""

from typing import Final, TypeAlias

import msgspec

from relay.core.backoff import Backoff
from relay.core.inputs import Accepted, GivenUp, Lost, LostTooOften, Opened, Refused, TryAgain
from relay.core.lane import Lane
from relay.core.pressure import Circuit, CircuitState
from relay.core.reasons import Reason

MISCONFIGURED: Final = "misconfigured"
CREDENTIALS: Final = "credentials"  # refused or not to be had for the moment; others are on their way
_NEVER_THE_EVENTS: Final = frozenset({MISCONFIGURED, CREDENTIALS})
_SERVER_ERROR: Final = 500

Weighed: TypeAlias = Accepted | Opened | Lost | LostTooOften | Refused | TryAgain | GivenUp


class Rules(msgspec.Struct, frozen=True):
    """What the operator decides about tries, openings and forgetting."""

    backoff: Backoff = Backoff()
    attempts_max: int = 8
    age_seconds_max: float = 82_800.0
    openings_max: int = 3  # API sessions that are opened for one event
    idle_seconds_max: float = 1_800.0
    park_after_seconds: float = 30.0  # of failing while the API serves others, when the session holds up everything


def begin_try(lane: Lane, circuit: Circuit) -> None:
    """A call departs. Openings and events are judged apart."""
    if lane.judge is not circuit:
        lane.judge = circuit
        lane.served_seen = circuit.served
        lane.strikes = 0


def weigh(lane: Lane, verdict: Accepted | Opened | Lost | Refused | TryAgain, rules: Rules, circuit: Circuit, now: float) -> Weighed:
    """Whether a failure is one too many for the event at the head."""
    if isinstance(verdict, Lost):
        return LostTooOften(verdict.status) if lane.openings >= rules.openings_max else verdict
    if not isinstance(verdict, TryAgain):
        return verdict
    has_served = circuit.served > lane.served_seen
    lane.served_seen = circuit.served
    if not has_served or circuit.state is not CircuitState.CLOSED or verdict.cause in _NEVER_THE_EVENTS:
        return verdict
    if lane.held_since <= circuit.closed_since:  # what failed before an outage says nothing after it
        lane.held_since = now
    lane.strikes += verdict.status == _SERVER_ERROR
    if lane.strikes >= rules.attempts_max:
        return GivenUp(Reason.ATTEMPTS_EXHAUSTED, verdict.status, verdict.cause)
    record = lane.waiting[0].record
    if record is not None and now - record.appended_at > rules.age_seconds_max:
        return GivenUp(Reason.TOO_OLD, verdict.status, verdict.cause)
    return verdict
