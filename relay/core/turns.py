"""Whose turn it is: lanes with something to say stand in queues, wait for timers, or are in flight; circuits and limits say who may go.

In: lanes that want a turn, calls that depart and land, the time. Out: the next lane that may go, and when to ask again.

Openings go first, so that a flood of pings does not delay a session's start; openings in place of lost sessions come at a limited rate;
events go round-robin, so that a busy session does not delay the others. A lane that waits is an entry here and nothing else.

Neither kind of calls can use up what the other needs: of the places for calls under way each leaves some to the other, and where departures
are paced, one in four is for an event. A lane that the API has asked to come later stays first.
"""

from collections import deque
from typing import Final

from relay.core.assignment import Assignment, Stage
from relay.core.events import EventType, SessionKey
from relay.core.inputs import Misconfigured, Refused, TryAgain, Verdict
from relay.core.lane import SENDING_FROM, Lane, State
from relay.core.pace import Pace
from relay.core.pressure import Allowance, Circuit, CircuitState, Limits

RESERVED_SHARE: Final = 8  # an eighth of the places for openings alone, another for events alone
OPENINGS_IN_A_ROW_MAX: Final = 3  # while events wait for the same pace


class Turns:
    """The queues of this process, and its calls under way."""

    def __init__(self, limits: Limits) -> None:
        """Begin with nobody waiting."""
        self.opening = _circuit(limits)
        self.sending = _circuit(limits)
        self.pace = Pace(per_second_max=limits.requests_per_second_max)
        self.in_flight = 0
        self.is_draining = False
        self._concurrency_max = limits.concurrency_max
        self._asked_seconds_max = limits.retry_after_seconds_max
        self._openings_in_a_row = 0
        self._openings: deque[Lane] = deque()
        self._reopenings: deque[Lane] = deque()
        self._sendings: deque[Lane] = deque()
        self._reopening_allowance = Allowance(limits.reopenings_per_second_max)
        self._waiting: dict[Lane, bool] = {}  # lanes with a timer → whether the API itself asked for the wait
        self._orphans: dict[tuple[str, int, SessionKey], Lane] = {}  # in flight for an assignment that is gone

    # --- wanting a turn -----------------------------------------------------------------------------------------------------------

    def queue(self, lane: Lane) -> None:
        """The lane has something to say. One call at a time, even across a rebalance: behind an orphan it waits until that has landed."""
        if self.is_behind_orphan(lane):
            return
        lane.is_queued = True
        self._queue_of(lane).append(lane)

    def queue_first(self, lane: Lane) -> None:
        """The lane had its turn, and the API asked it to come later: it is next."""
        lane.is_queued = True
        self._queue_of(lane).appendleft(lane)

    def wait(self, lane: Lane, circuit: Circuit, *, is_asked: bool) -> bool:
        """The lane failed and is to wait: for a timer (True), or, while the circuit is not closed, in the queue: it sets the pace then."""
        if circuit.state is not CircuitState.CLOSED and not is_asked:
            self.queue(lane)
            return False
        lane.is_waiting = True
        lane.ticket += 1
        self._waiting[lane] = is_asked
        return True

    def wake(self, lane: Lane, ticket: int) -> None:
        """A timer fired. An old ticket is void."""
        if ticket == lane.ticket and self._waiting.pop(lane, None) is not None:
            lane.is_waiting = False
            self.queue(lane)

    def stop_waiting(self, circuit: Circuit) -> None:
        """From now on the circuit sets the pace: who waits for a timer of its own comes to the queue, unless the API asked for the wait."""
        waiting = [lane for lane, was_asked in self._waiting.items() if not was_asked and self.circuit_of_next(lane) is circuit]
        for lane in waiting:
            del self._waiting[lane]
            lane.is_waiting = False
            self.queue(lane)

    def waiting(self) -> list[Lane]:
        """The lanes that failed and wait for a timer."""
        return list(self._waiting)

    def was_asked_to_wait(self, lane: Lane) -> bool:
        """Whether a lane waits because the API asked for it."""
        return self._waiting.get(lane, False)

    def call_off(self, lane: Lane) -> None:
        """The lane waits no longer; its timer is void."""
        del self._waiting[lane]
        lane.is_waiting = False

    def drop(self, assignment: Assignment) -> None:
        """The assignment is gone: its lanes wait no longer, and those in flight are orphans."""
        for lane in assignment.lanes.values():
            self._waiting.pop(lane, None)
            if lane.is_in_flight:
                self._orphans[assignment.topic, assignment.partition, lane.key] = lane
        for queue in (self._openings, self._reopenings, self._sendings):
            kept = [lane for lane in queue if lane.assignment is not assignment]
            queue.clear()
            queue.extend(kept)

    # --- going and landing ----------------------------------------------------------------------------------------------------------

    def look_out(self, now: float) -> None:
        """Notice that the API has failed for long enough, or that a wait which it asked for is over."""
        for circuit in (self.opening, self.sending):
            if circuit.looks_out(now):
                self.stop_waiting(circuit)
        if self.pace.pass_by(now, self.opening.served + self.sending.served):
            for circuit in (self.opening, self.sending):
                circuit.concurrency.begin_anew(circuit.in_flight)

    def next(self, now: float) -> Lane | None:
        """The next lane that may go now."""
        pace = self.pace
        pace.is_holding = False
        while self.in_flight < self._concurrency_max:
            queue = self._next(now)
            if queue is None or (pace.is_on and pace.holds(now)):
                return None
            lane = queue.popleft()
            lane.is_queued = False
            if queue is self._reopenings:
                self._reopening_allowance.take()
            if lane.assignment.stage is Stage.OWNED:
                return lane
        return None

    def has_room_to_spare(self, now: float) -> bool:
        """Whether a call could go that nobody waits for: no lane wants a turn. In an outage it goes as a probe, at the circuit's pace."""
        if self._openings or self._reopenings or self._sendings or self.in_flight >= self._concurrency_max:
            return False
        if self.pace.is_on and self.pace.holds(now):
            self.pace.is_holding = False  # nobody waits for it
            return False
        return self.sending.admits(now)

    def is_behind_orphan(self, lane: Lane) -> bool:
        """Whether a call of the same session outlives the assignment that it was made for."""
        return bool(self._orphans) and (lane.assignment.topic, lane.assignment.partition, lane.key) in self._orphans

    def circuit_of_next(self, lane: Lane) -> Circuit:
        """The kind of the lane's next call."""
        return self.sending if _is_sending_next(lane) else self.opening

    def depart(self, lane: Lane, now: float) -> Circuit:
        """A call of the lane departs."""
        circuit = self.sending if lane.state >= SENDING_FROM else self.opening
        circuit.depart(now)
        if self.pace.is_on:
            self.pace.depart(now)
            self._openings_in_a_row = 0 if circuit is self.sending else self._openings_in_a_row + 1
        self.in_flight += 1
        lane.assignment.in_flight += 1
        return circuit

    def land(self, lane: Lane, verdict: Verdict, now: float, seconds: float, lag_seconds: float) -> Circuit:
        """A call of the lane has landed, and what its answer means tells the circuit how the API is."""
        circuit = self.sending if lane.state >= SENDING_FROM else self.opening
        is_first = lane.attempts <= 1 or lane.failed_in != circuit.closings
        circuit.land(is_first)
        self.in_flight -= 1
        lane.assignment.in_flight -= 1
        if isinstance(verdict, Misconfigured):
            circuit.misconfigured(now, verdict.advice, is_first=is_first)
            lane.failed_in = circuit.closings
        elif isinstance(verdict, TryAgain):
            if verdict.asks_for_less:
                circuit.throttled += 1
                asked_seconds = min(verdict.retry_after_seconds, self._asked_seconds_max)
                self.pace.refuse(now, self.opening.served + self.sending.served, asked_seconds=asked_seconds)
            else:
                circuit.fail(now, is_first=is_first)
                lane.failed_in = circuit.closings
        elif not isinstance(verdict, Refused) or verdict.status:  # one that never left says nothing about the API
            circuit.succeed(now, seconds, lag_seconds)
        return circuit

    def orphan_landed(self, orphan: Lane, successor: Assignment | None) -> None:
        """A call that outlived its assignment has ended: its session may go on in the assignment that came after."""
        del self._orphans[orphan.assignment.topic, orphan.assignment.partition, orphan.key]
        lane = successor.lanes.get(orphan.key) if successor is not None else None
        if lane is not None and lane.waiting:  # not queued yet: it had to wait for this
            self.queue(lane)

    # --- time -----------------------------------------------------------------------------------------------------------------------

    def ask_again_at(self) -> float | None:
        """When `next` may have more to say by time alone."""
        if self.is_draining or self.in_flight >= self._concurrency_max:
            return None
        if self.pace.is_holding:
            return self.pace.ask_again_at()
        moments: list[float | None] = []
        if self.sending.state is CircuitState.CLOSED or self._sendings:
            moments.append(self.sending.ask_again_at())
        if self.opening.state is CircuitState.CLOSED or self._openings:
            moments.append(self.opening.ask_again_at())
        if self._reopenings:  # both must admit them; the moment that one of them gave may be past while the other still says no
            moments.append(self._reopening_at())
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def orphan_count(self) -> int:
        """Calls under way for assignments that are gone."""
        return len(self._orphans)

    @property
    def is_stalled(self) -> bool:
        """Whether lanes wait for a turn and nothing under way would end the wait. For a moment that is so; for long it is a bug."""
        if self.in_flight or self.is_draining or self.pace.is_holding or not (self._openings or self._reopenings or self._sendings):
            return False
        return self.opening.state is CircuitState.CLOSED and self.sending.state is CircuitState.CLOSED

    def _reopening_at(self) -> float | None:
        allowed_at = self._reopening_allowance.ask_again_at()
        if self.opening.state is not CircuitState.CLOSED:
            return max(allowed_at, self.opening.ask_again_at() or 0.0)
        return allowed_at if self.opening.admits(allowed_at) else None  # else a call that lands makes room

    def _next(self, now: float) -> deque[Lane] | None:
        """The queue whose first lane may go as far as the circuits are concerned."""
        if self._sendings and self._openings_in_a_row >= OPENINGS_IN_A_ROW_MAX and self.pace.is_on and self.sending.admits(now):
            return self._sendings
        if self._openings and self.opening.admits(now):
            return self._openings
        if self._reopenings and self.opening.admits(now) and self._reopening_allowance.admits(now):
            return self._reopenings
        if self._sendings and self.sending.admits(now):
            return self._sendings
        return None

    def _queue_of(self, lane: Lane) -> deque[Lane]:
        if _is_sending_next(lane):
            return self._sendings
        return self._reopenings if lane.state is State.LOST else self._openings


def _circuit(limits: Limits) -> Circuit:
    """One kind of calls, which leaves some of the places to the other."""
    reserved = 0 if limits.concurrency_max == 1 else max(1, limits.concurrency_max // RESERVED_SHARE)
    return Circuit(
        concurrency_max=limits.concurrency_max - reserved,
        concurrency_min=limits.concurrency_min,
        is_adaptive=limits.is_concurrency_adaptive,
    )


def _is_sending_next(lane: Lane) -> bool:
    """Whether the lane's next call is one of events: only an open session has any."""
    if lane.state is State.READY:
        return True
    return lane.state is State.COMPLETED and lane.waiting[0].event_type is EventType.SESSION_END
