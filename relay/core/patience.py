"""How often and how long a failing call is tried before its event is given up, and how long to wait between two tries.

In: what an answer means, and whether the API served others since the last try. Out: the same, or that it is given up.

Only a destination that serves others may be the judge of an event: a try counts if the API accepted something of the same kind since the
one before, and lately failed less than half of what it was asked for. In an outage nothing counts, however long it lasts, be it whole or
nearly so; nor does an answer that asks us to come later.
"""

from typing import Final, TypeAlias

import msgspec

from relay.core.backoff import Backoff
from relay.core.events import EventType, PlayerEvent
from relay.core.inputs import Accepted, Foregone, GivenUp, Lost, LostTooOften, Opened, OutcomeUnknown, Refused, TryAgain
from relay.core.lane import SENDING_FROM, Lane, State
from relay.core.policies import TooOld
from relay.core.pressure import Circuit, CircuitState
from relay.core.reasons import Reason
from relay.core.silence import KeepAlive

MISCONFIGURED: Final = "misconfigured"
CREDENTIALS: Final = "credentials"  # refused or not to be had for the moment; others are on their way
_NEVER_THE_EVENTS: Final = frozenset({MISCONFIGURED, CREDENTIALS})
_SERVER_ERROR: Final = 500

Weighed: TypeAlias = Accepted | Opened | Lost | LostTooOften | Refused | TryAgain | GivenUp | OutcomeUnknown | Foregone


class Rules(msgspec.Struct, frozen=True):
    """What the operator decides about tries, openings, forgetting, and single events."""

    backoff: Backoff = Backoff()
    attempts_max: int = 8
    age_seconds_max: float = 82_800.0
    openings_max: int = 3  # API sessions that are opened for one event
    idle_seconds_max: float = 1_800.0
    keep_alive: KeepAlive | None = None  # of sessions whose player is silent
    park_after_seconds: float = 30.0  # of failing while the API serves others, when the session holds up everything
    too_old: dict[EventType, TooOld] = {}  # kinds that are not sent when they are older than the limit
    skipped_when_unknown: frozenset[EventType] = frozenset()  # kinds that do not go again when their answer was lost


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
    if lane.state >= State.PINGING:
        return Foregone()
    if verdict.asks_for_less:
        return verdict  # who is asked to come later has not failed
    return _weigh_failure(lane, verdict, rules, circuit, now)


def _weigh_failure(lane: Lane, verdict: TryAgain, rules: Rules, circuit: Circuit, now: float) -> Weighed:
    if verdict.is_outcome_unknown and rules.skipped_when_unknown and _kind_under_way(lane) in rules.skipped_when_unknown:
        return OutcomeUnknown(verdict.cause)
    has_served = circuit.served > lane.served_seen
    lane.served_seen = circuit.served
    if not has_served or circuit.state is not CircuitState.CLOSED or not circuit.is_sound or verdict.cause in _NEVER_THE_EVENTS:
        return verdict
    if lane.held_since <= circuit.closed_since:  # what failed before an outage says nothing after it
        lane.held_since = now
    lane.strikes += verdict.status == _SERVER_ERROR
    if lane.strikes >= rules.attempts_max:
        return GivenUp(Reason.ATTEMPTS_EXHAUSTED, verdict.status, verdict.cause)
    if is_too_old(lane.waiting[0], rules, now) and not _is_dropped_when_old(lane, rules):
        return GivenUp(Reason.TOO_OLD, verdict.status, verdict.cause)
    return verdict


def is_too_old(event: PlayerEvent, rules: Rules, now: float) -> bool:
    """Whether an event of the player is older than events may be."""
    return event.record is not None and now - event.record.appended_at > rules.age_seconds_max


def _is_dropped_when_old(lane: Lane, rules: Rules) -> bool:
    """Whether the head leaves by itself on its next turn. What is told before it has no turn of that kind, and is given up."""
    return lane.state is not State.TELLING and rules.too_old.get(lane.waiting[0].event_type) is TooOld.DROP


def _kind_under_way(lane: Lane) -> EventType | None:
    """What was sent; None for an opening, which cannot be skipped."""
    if lane.state < SENDING_FROM:
        return None
    if lane.state is State.TELLING:
        return lane.to_tell[0].event_type
    return EventType.SESSION_END if lane.state is State.REPLACING else lane.waiting[0].event_type
