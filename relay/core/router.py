"""The one door into the core: event → lane, answer → session, and whose turn it is.

In: everything that can happen (`inputs.py`), with the time. Out: commands (`commands.py`).

Lanes with something to say stand in one of three queues: openings go first, so that a flood of pings does not delay a session's start;
openings in place of lost sessions come at a limited rate; events go round-robin, so that a busy session does not delay the others.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from relay.core.assignment import Assignment, Stage
from relay.core.backoff import Backoff
from relay.core.commands import Announce, Change, Command, Finish, Forget, Remember, SetAside, Skip, Wait
from relay.core.events import EventType, Record, SessionKey
from relay.core.inputs import (
    Accepted,
    Answered,
    Arrived,
    Assigned,
    GivenUp,
    Input,
    Leaving,
    Lost,
    LostTooOften,
    Misconfigured,
    NextComplete,
    NextEnd,
    NextEvent,
    NextJoin,
    NextStart,
    NextTold,
    Opened,
    Refused,
    Revoked,
    StoredAside,
    TryAgain,
    Unreadable,
    Verdict,
    Woke,
)
from relay.core.lane import IN_FLIGHT_FROM, SENDING_FROM, Lane, State
from relay.core.ledger import Taken
from relay.core.memoir import Memoir
from relay.core.memoir import restore as restore_lane
from relay.core.pressure import Allowance, Buffer, Circuit, CircuitState, Limits
from relay.core.reasons import Reason
from relay.core.session import Happened, advance
from relay.core.starts import Starts

EVENT_OVERHEAD_BYTES: Final = 400  # what a waiting event costs besides its bytes, measured on CPython 3.11
_SERVER_ERROR: Final = 500

_OVER: Final = frozenset({State.ABSENT, State.COMPLETED, State.ENDED, State.REFUSED})
MISCONFIGURED: Final = "misconfigured"

_NEXT: Final[dict[EventType, Happened]] = {
    EventType.SESSION_START: NextStart(),
    EventType.SESSION_COMPLETE: NextComplete(),
    EventType.SESSION_END: NextEnd(),
}
_NEXT_EVENT: Final = NextEvent()
_NEXT_TOLD: Final = NextTold()
_NEXT_JOIN: Final = NextJoin()


class Rules(msgspec.Struct, frozen=True):
    """What the operator decides about tries, openings and forgetting."""

    backoff: Backoff = Backoff()
    attempts_max: int = 8
    age_seconds_max: float = 82_800.0
    openings_max: int = 3  # API sessions that are opened for one event
    idle_seconds_max: float = 1_800.0


class Router:
    """All lanes of this process."""

    def __init__(self, *, limits: Limits, rules: Rules, starts: Starts) -> None:
        """Begin with no partition."""
        self.assignments: dict[tuple[str, int], Assignment] = {}
        self.opening = Circuit(concurrency_max=limits.concurrency_max)
        self.sending = Circuit(concurrency_max=limits.concurrency_max)
        self.buffer = Buffer(limits)
        self.in_flight = 0
        self.sessions_open = 0
        self.order_violations = 0
        self.is_draining = False
        self._limits = limits
        self._rules = rules
        self._starts = starts
        self._openings: deque[Lane] = deque()
        self._reopenings: deque[Lane] = deque()
        self._sendings: deque[Lane] = deque()
        self._reopening_allowance = Allowance(limits.reopenings_per_second_max)
        self._waiting: dict[Lane, bool] = {}  # lanes with a timer → whether the API itself asked for the wait
        self._orphans: dict[tuple[str, int, SessionKey], Lane] = {}  # in flight for an assignment that is gone
        self._handlers: dict[type[Input], Callable[..., list[Command]]] = {
            Arrived: self._arrived,
            Answered: self._answered,
            Woke: self._woke,
            StoredAside: self._stored_aside,
            Unreadable: self._unreadable,
            Assigned: self._assigned,
            Leaving: self._leaving,
            Revoked: self._revoked,
        }

    def handle(self, happened: Input, now: float) -> list[Command]:
        """Take in what happened."""
        return self._handlers[type(happened)](happened, now)

    def turns(self, now: float) -> list[Command]:
        """Let go whoever may go now. Ask again when something happened, or at `wake_at`."""
        commands: list[Command] = []
        if self.is_draining:
            return commands
        for circuit in (self.opening, self.sending):
            if circuit.looks_out(now):
                self._stop_waiting(circuit)
        while self.in_flight < self._limits.concurrency_max:
            lane = self._next_lane(now)
            if lane is None:
                break
            commands += self._turn(lane, now)
        return commands

    @property
    def is_stalled(self) -> bool:
        """Whether lanes wait for a turn and nothing under way would end the wait. For a moment that is so; for long it is a bug."""
        if self.in_flight or self.is_draining or not (self._openings or self._reopenings or self._sendings):
            return False
        return self.opening.state is CircuitState.CLOSED and self.sending.state is CircuitState.CLOSED

    def wake_at(self) -> float | None:
        """When `turns` may have more to say by time alone."""
        if self.is_draining or self.in_flight >= self._limits.concurrency_max:
            return None
        moments: list[float | None] = []
        if self.sending.state is CircuitState.CLOSED or self._sendings:
            moments.append(self.sending.ask_again_at())
        if self.opening.state is CircuitState.CLOSED or self._openings:
            moments.append(self.opening.ask_again_at())
        if self._reopenings:  # both must admit them; the moment that one of them gave may be past while the other still says no
            moments.append(self._reopening_at())
        return min((moment for moment in moments if moment is not None), default=None)

    def _reopening_at(self) -> float | None:
        allowed_at = self._reopening_allowance.ask_again_at()
        if self.opening.state is not CircuitState.CLOSED:
            return max(allowed_at, self.opening.ask_again_at() or 0.0)
        return allowed_at if self.opening.admits(allowed_at) else None  # else a call that lands makes room

    def drain(self) -> None:
        """Nothing new leaves from now on; calls under way may end."""
        self.is_draining = True

    def restore(self, assignment: Assignment, key: SessionKey, memoir: Memoir, now: float) -> None:
        """Take up a session where its memoir says it stood; of two memoirs the higher place in the log wins."""
        lane = assignment.lanes.get(key)
        if lane is None:
            lane = assignment.lanes[key] = Lane(key, assignment)
            self.buffer.lane_count += 1
        elif memoir.at < lane.last_offset:
            return
        was_open = lane.session_id is not None
        restore_lane(lane, memoir)
        if assignment.is_new_log:
            lane.last_offset = lane.done_offset = -1
        lane.active_at = now
        self.sessions_open += (lane.session_id is not None) - was_open

    def erase(self, assignment: Assignment, key: SessionKey) -> None:
        """A tombstone: what was restored of this session so far is over."""
        lane = assignment.lanes.pop(key, None)
        if lane is not None:
            self.buffer.lane_count -= 1
            self.sessions_open -= lane.session_id is not None

    def lanes(self) -> Iterator[Lane]:
        """Every lane, for those who look from outside."""
        for assignment in self.assignments.values():
            yield from assignment.lanes.values()

    def forget_idle(self, assignment: Assignment, now: float) -> list[Command]:
        """Let go of sessions that have been silent for too long; those that are over go first when there are too many lanes."""
        silent_since = now - self._rules.idle_seconds_max
        over_since = now if self.buffer.lane_count >= self._limits.lanes_max else silent_since
        idle = [
            lane
            for lane in assignment.lanes.values()
            if lane.active_at <= (over_since if lane.state in _OVER else silent_since)
            and not lane.waiting
            and lane.state < IN_FLIGHT_FROM
            and not lane.unconfirmed()
        ]
        commands: list[Command] = []
        for lane in idle:
            del assignment.lanes[lane.key]
            assignment.changed.pop(lane, None)
            self.buffer.lane_count -= 1
            if lane.session_id is not None:
                self.sessions_open -= 1
                commands.append(Announce(lane, Change.FORGOTTEN))
            commands.append(Forget(lane))
        return commands

    # --- what comes from Kafka ----------------------------------------------------------------------------------------------------

    def _arrived(self, happened: Arrived, now: float) -> list[Command]:
        assignment, event = happened.assignment, happened.event
        record = event.record
        assert record is not None
        if assignment.stage is not Stage.OWNED:
            return []  # it will be read by the next owner
        if record.offset < assignment.starts_at:
            self._begin_anew(assignment)
        taken = assignment.ledger.take(record.offset, record.appended_at)
        if taken is not Taken.NEW:
            return _not_new(taken, assignment, record.offset)
        lane = assignment.lanes.get(happened.key)
        if lane is None:
            lane = assignment.lanes[happened.key] = Lane(happened.key, assignment)
            self.buffer.lane_count += 1
        lane.active_at = now
        if record.offset <= lane.done_offset:
            return _arrived_again(lane, record)
        lane.waiting.append(event)
        buffer = self.buffer
        buffer.event_count += 1
        buffer.byte_count += _size(record)
        if len(lane.waiting) == self._limits.session_events_max:
            buffer.crowded_lanes += 1
        if lane.state < IN_FLIGHT_FROM and not lane.is_queued and not lane.is_waiting:
            self._queue(lane)
        return []

    def _unreadable(self, happened: Unreadable, _now: float) -> list[Command]:
        assignment, record = happened.assignment, happened.record
        if assignment.stage is not Stage.OWNED:
            return []
        if record.offset < assignment.starts_at:
            self._begin_anew(assignment)
        taken = assignment.ledger.take(record.offset, record.appended_at)
        if taken is not Taken.NEW:
            return _not_new(taken, assignment, record.offset)
        assignment.asides_pending += 1
        return [SetAside(assignment, record, happened.reason, happened.detail, key=happened.key)]

    @staticmethod
    def _begin_anew(assignment: Assignment) -> None:
        """A record before the committed offset: the topic was created again, and what was known of places is void."""
        assignment.starts_at = -1
        assignment.is_new_log = True
        assignment.ledger.begin_anew()
        for lane in assignment.lanes.values():
            lane.last_offset = lane.done_offset = -1

    def _stored_aside(self, happened: StoredAside, _now: float) -> list[Command]:
        assignment = happened.assignment
        assignment.asides_pending -= 1
        if assignment.stage is not Stage.GONE:
            assignment.ledger.finish(happened.offset)
            lane = assignment.lanes.get(happened.key) if happened.key is not None else None
            if lane is not None:
                lane.stored_aside(happened.offset)
        return []

    def _assigned(self, happened: Assigned, _now: float) -> list[Command]:
        assignment = happened.assignment
        self.assignments[assignment.topic, assignment.partition] = assignment
        return []

    def _leaving(self, happened: Leaving, _now: float) -> list[Command]:
        happened.assignment.stage = Stage.LEAVING
        return []

    def _revoked(self, happened: Revoked, _now: float) -> list[Command]:
        assignment = happened.assignment
        if assignment.stage is Stage.GONE:
            return []
        assignment.stage = Stage.GONE
        if self.assignments.get((assignment.topic, assignment.partition)) is assignment:
            del self.assignments[assignment.topic, assignment.partition]
        buffer = self.buffer
        buffer.lane_count -= len(assignment.lanes)
        for lane in assignment.lanes.values():
            buffer.event_count -= len(lane.waiting)
            buffer.byte_count -= sum(_size(event.record) for event in lane.waiting if event.record is not None)
            buffer.crowded_lanes -= len(lane.waiting) >= self._limits.session_events_max
            self.sessions_open -= lane.session_id is not None
            self._waiting.pop(lane, None)
            if lane.is_in_flight:
                self._orphans[assignment.topic, assignment.partition, lane.key] = lane
        for queue in (self._openings, self._reopenings, self._sendings):
            kept = [lane for lane in queue if lane.assignment is not assignment]
            queue.clear()
            queue.extend(kept)
        return []

    # --- what comes from the API and from timers ----------------------------------------------------------------------------------

    def _answered(self, happened: Answered, now: float) -> list[Command]:
        lane, verdict = happened.lane, happened.verdict
        circuit = self.sending if lane.state >= SENDING_FROM else self.opening
        circuit.land()
        self.in_flight -= 1
        lane.assignment.in_flight -= 1
        began_to_hold = self._note(circuit, verdict, now)
        if lane.assignment.stage is Stage.GONE:
            self._orphan_landed(lane)
            return []
        if isinstance(verdict, Misconfigured):
            verdict = TryAgain(MISCONFIGURED, verdict.status)
        weighed = self._weigh(lane, verdict, circuit, now)
        commands = self._advance(lane, weighed)
        if isinstance(weighed, TryAgain):
            commands += self._try_later(lane, weighed, circuit)
        elif lane.waiting:
            self._queue(lane)
        if began_to_hold:
            self._stop_waiting(circuit)
        return commands

    def _woke(self, happened: Woke, _now: float) -> list[Command]:
        lane = happened.lane
        if happened.ticket == lane.ticket and self._waiting.pop(lane, None) is not None:
            lane.is_waiting = False
            self._queue(lane)
        return []

    @staticmethod
    def _note(circuit: Circuit, verdict: Verdict, now: float) -> bool:
        """Tell the circuit how the call ended; True when it begins to hold."""
        if isinstance(verdict, Misconfigured):
            return circuit.misconfigured(now, verdict.advice)
        if isinstance(verdict, TryAgain):
            circuit.fail(now)
        elif not isinstance(verdict, Refused) or verdict.status:  # one that never left says nothing about the API
            circuit.succeed(now)
        return False

    def _weigh(self, lane: Lane, verdict: Accepted | Opened | Lost | Refused | TryAgain, circuit: Circuit, now: float) -> Happened:
        """Whether a failure is one too many for the event at the head. Only a destination that serves others may be the judge of that."""
        if isinstance(verdict, Lost):
            return LostTooOften(verdict.status) if lane.openings >= self._rules.openings_max else verdict
        if not isinstance(verdict, TryAgain):
            return verdict
        has_served = circuit.served > lane.served_seen
        lane.served_seen = circuit.served
        if not has_served or circuit.state is not CircuitState.CLOSED or verdict.cause == MISCONFIGURED:
            return verdict
        lane.strikes += verdict.status == _SERVER_ERROR
        if lane.strikes >= self._rules.attempts_max:
            return GivenUp(Reason.ATTEMPTS_EXHAUSTED, verdict.status, verdict.cause)
        record = lane.waiting[0].record
        if record is not None and now - record.appended_at > self._rules.age_seconds_max:
            return GivenUp(Reason.TOO_OLD, verdict.status, verdict.cause)
        return verdict

    def _try_later(self, lane: Lane, failure: TryAgain, circuit: Circuit) -> list[Command]:
        """Wait for a timer; while the circuit is not closed, wait in the queue instead: the circuit sets the pace then."""
        lane.failures += 1
        retried = Announce(lane, Change.RETRIED, failure.cause, failure.status)
        asked = self._rules.backoff.asked_seconds(failure.retry_after_seconds)
        if circuit.state is not CircuitState.CLOSED and not asked:
            self._queue(lane)
            return [retried]
        lane.is_waiting = True
        lane.ticket += 1
        self._waiting[lane] = asked > 0
        return [Wait(lane, asked, self._rules.backoff.jitter_seconds(lane.failures), lane.ticket), retried]

    def _stop_waiting(self, circuit: Circuit) -> None:
        """From now on the circuit sets the pace: who waits for a timer of its own comes to the queue, unless the API asked for the wait."""
        waiting = [lane for lane, was_asked in self._waiting.items() if not was_asked and self._circuit_of(lane) is circuit]
        for lane in waiting:
            del self._waiting[lane]
            lane.is_waiting = False
            lane.ticket += 1
            self._queue(lane)

    def _orphan_landed(self, orphan: Lane) -> None:
        """A call that outlived its assignment has ended: its session may go on in the assignment that came after."""
        place = (orphan.assignment.topic, orphan.assignment.partition)
        del self._orphans[*place, orphan.key]
        successor = self.assignments[place].lanes.get(orphan.key) if place in self.assignments else None
        if successor is not None and successor.waiting and not successor.is_queued:
            self._queue(successor)

    # --- whose turn it is ---------------------------------------------------------------------------------------------------------

    def _queue(self, lane: Lane) -> None:
        if self._orphans and (lane.assignment.topic, lane.assignment.partition, lane.key) in self._orphans:
            return  # one call at a time, even across a rebalance
        lane.is_queued = True
        if _is_sending_next(lane):
            self._sendings.append(lane)
        elif lane.state is State.LOST:
            self._reopenings.append(lane)
        else:
            self._openings.append(lane)

    def _circuit_of(self, lane: Lane) -> Circuit:
        return self.sending if _is_sending_next(lane) else self.opening

    def _next_lane(self, now: float) -> Lane | None:
        if self._openings and self.opening.admits(now):
            return self._pop(self._openings)
        if self._reopenings and self.opening.admits(now) and self._reopening_allowance.admits(now):
            self._reopening_allowance.take()
            return self._pop(self._reopenings)
        if self._sendings and self.sending.admits(now):
            return self._pop(self._sendings)
        return None

    @staticmethod
    def _pop(queue: deque[Lane]) -> Lane:
        lane = queue.popleft()
        lane.is_queued = False
        return lane

    def _turn(self, lane: Lane, now: float) -> list[Command]:
        if lane.assignment.stage is not Stage.OWNED:
            return []
        commands = self._advance(lane, self._next(lane))
        if lane.state < IN_FLIGHT_FROM:  # it was set aside without a call
            if lane.waiting:
                self._queue(lane)
            return commands
        circuit = self.sending if lane.state >= SENDING_FROM else self.opening
        circuit.depart(now)
        self.in_flight += 1
        lane.assignment.in_flight += 1
        if lane.judge is not circuit:
            lane.judge = circuit
            lane.served_seen = circuit.served
            lane.strikes = 0
        if lane.attempts == 0:
            lane.first_tried_at = now
            self._check_order(lane)
        if lane.state is not State.TELLING and lane.state is not State.REPLACING:
            lane.attempts += 1
        return commands

    def _next(self, lane: Lane) -> Happened:
        head = lane.waiting[0]
        if lane.is_untold and lane.playback is not None and lane.state is State.READY:
            lane.to_tell = lane.playback.told_before(head)[lane.told_count :]
            lane.is_untold = False
        if lane.to_tell:
            return _NEXT_TOLD
        if lane.state is State.ABSENT and head.event_type is not EventType.SESSION_START:
            lane.start = self._starts.for_joining(head.start)
            return _NEXT_EVENT if lane.start is None else _NEXT_JOIN
        return _NEXT.get(head.event_type, _NEXT_EVENT)

    def _check_order(self, lane: Lane) -> None:
        """A cheap watch over the promise itself: per session the sent order is the order of the log."""
        record = lane.waiting[0].record
        if record is None or record.offset == lane.sent_offset:
            return
        if record.offset < lane.sent_offset:
            self.order_violations += 1
        lane.sent_offset = record.offset

    def _advance(self, lane: Lane, happened: Happened) -> list[Command]:
        was = lane.session_id
        commands = advance(lane, happened)
        if lane.session_id is not was:
            self.sessions_open += (lane.session_id is not None) - (was is not None)
            if lane.session_id is not None:
                lane.is_changed = False
                commands.append(Remember(lane))
            elif lane.state is State.ENDED:
                # At once, like the opening: what is repeated after a crash would find the session closed, and open another in place of it.
                commands.append(Remember(lane))
        if lane.is_changed:
            lane.is_changed = False
            lane.assignment.changed[lane] = None
        for command in commands:
            if isinstance(command, Finish):
                record = command.event.record
                assert record is not None
                lane.assignment.ledger.finish(record.offset)
                self._left_the_buffer(lane, record)
            elif isinstance(command, SetAside):
                self._left_the_buffer(lane, command.record)
                lane.assignment.asides_pending += 1
        return commands

    def _left_the_buffer(self, lane: Lane, record: Record) -> None:
        buffer = self.buffer
        buffer.event_count -= 1
        buffer.byte_count -= _size(record)
        if len(lane.waiting) == self._limits.session_events_max - 1:
            buffer.crowded_lanes -= 1


def _arrived_again(lane: Lane, record: Record) -> list[Command]:
    """The memoir says that this one left the head. If its dead letter was not confirmed, it is set aside again, for the same reason."""
    assignment = lane.assignment
    reason = None if lane.asides is None else lane.asides.get(record.offset)
    if reason is None:
        assignment.ledger.finish(record.offset)
        return [Skip(assignment, record.offset)]
    assignment.asides_pending += 1
    return [SetAside(assignment, record, reason, key=lane.key)]


def _size(record: Record) -> int:
    return len(record.value or b"") + len(record.key or b"") + EVENT_OVERHEAD_BYTES


def _is_sending_next(lane: Lane) -> bool:
    """Whether the lane's next call is one of events: only an open session has any."""
    if lane.state is State.READY:
        return True
    return lane.state is State.COMPLETED and lane.waiting[0].event_type is EventType.SESSION_END


def _not_new(taken: Taken, assignment: Assignment, offset: int) -> list[Command]:
    return [Skip(assignment, offset)] if taken is Taken.FINISHED_BEFORE else []
