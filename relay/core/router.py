"""The one door into the core: event → lane, answer → session. It opens, bounds and retires lanes.

In: everything that can happen (`inputs.py`), with the time. Out: commands (`commands.py`). Whose turn it is, `turns.py` knows; when an
event is given up, `patience.py`; what becomes of a session, `session.py`.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Final

from relay.core.arrivals import Arrivals
from relay.core.assignment import Assignment, Stage
from relay.core.books import Books
from relay.core.commands import (
    Announce,
    Change,
    Command,
    DropEvent,
    Finish,
    FinishUnknown,
    Forget,
    Remember,
    SendEvent,
    SetAside,
    SetAsideAlready,
    Wait,
)
from relay.core.events import Derived, EventType, PlayerEvent, SessionKey
from relay.core.inputs import (
    Answered,
    Arrived,
    ArrivedAsFacts,
    ArrivedInParts,
    Assigned,
    Happened,
    Input,
    Leaving,
    Misconfigured,
    NextComplete,
    NextEnd,
    NextEvent,
    NextJoin,
    NextStart,
    NextStartTooOld,
    NextTold,
    NextTooOld,
    Parked,
    Revoked,
    SaysNothing,
    StoredAside,
    TryAgain,
    Unreadable,
    Woke,
)
from relay.core.lane import IN_FLIGHT_FROM, OVER, Lane, State
from relay.core.memoir import Memoir
from relay.core.memoir import restore as restore_lane
from relay.core.parking import is_excused, is_to_be_parked
from relay.core.patience import MISCONFIGURED, Rules, begin_try, is_too_old, weigh
from relay.core.policies import TooOld
from relay.core.pressure import Circuit, CircuitState, Limits
from relay.core.reasons import Dropped
from relay.core.replays import next_again
from relay.core.sequence import Order, Policy, is_displaced
from relay.core.session import advance
from relay.core.shedding import Overload, superseded
from relay.core.silence import Silences
from relay.core.starts import Starts
from relay.core.turns import Turns

PARKED_SECONDS_MAX: Final = 7 * 86_400.0  # a parked session is remembered as long as its letters usually are

_NEXT: Final[dict[EventType, Happened]] = {
    EventType.SESSION_START: NextStart(),
    EventType.SESSION_COMPLETE: NextComplete(),
    EventType.SESSION_END: NextEnd(),
}
_NEXT_EVENT: Final = NextEvent()
_NEXT_TOLD: Final = NextTold()
_NEXT_JOIN: Final = NextJoin()
_UNDERIVED: Final = Derived()
_NEXT_START_TOO_OLD: Final = NextStartTooOld()
_NEXT_TOO_OLD: Final = {TooOld.DROP: NextTooOld(is_dropped=True), TooOld.SET_ASIDE: NextTooOld(is_dropped=False)}


class Router:
    """All lanes of this process."""

    def __init__(self, *, limits: Limits, rules: Rules, starts: Starts, order: Order | None = None) -> None:
        """Begin with no partition."""
        self.assignments: dict[tuple[str, int], Assignment] = {}
        self._books = Books(limits)
        self.buffer = self._books.buffer
        self._turns = Turns(limits)
        self.opening = self._turns.opening
        self.sending = self._turns.sending
        self.sessions_open = 0
        self._excused: set[Lane] = set()  # full lanes that fail, and for which the source does not pause yet
        self.order_violations = 0
        self.lag_seconds = 0.0  # how late our own loop is; the pump says so
        self._limits = limits
        self._overload = None if limits.shed_pings_after_seconds is None else Overload(limits.shed_pings_after_seconds)
        self._rules = rules
        self._silences = None if rules.keep_alive is None else Silences(rules.keep_alive, rules.idle_seconds_max)
        self._starts = starts
        self._arrivals = arrivals = Arrivals(self._books, self._turns, self.assignments, order or Order(Policy.IGNORE))
        self._handlers: dict[type[Input], Callable[..., list[Command]]] = {
            Arrived: arrivals.event,
            ArrivedInParts: arrivals.parts,
            ArrivedAsFacts: arrivals.facts,
            SaysNothing: arrivals.nothing,
            Answered: self._answered,
            Woke: self._woke,
            StoredAside: self._stored_aside,
            Unreadable: arrivals.unreadable,
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
        turns = self._turns
        if turns.is_draining:
            return commands
        self._arrivals.let_in_what_is_due(now)
        turns.look_out(now)
        while (lane := turns.next(now)) is not None:
            commands += self._turn(lane, now)
        if self._silences is not None:
            commands += self._speak_for_silent(self._silences, now)
        return commands

    def wake_at(self) -> float | None:
        """When `turns` may have more to say by time alone."""
        asked = self._turns.ask_again_at()
        due = None if self._turns.is_draining else self._arrivals.ask_again_at()
        return asked if due is None else due if asked is None else min(asked, due)

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._turns.in_flight

    @property
    def extra_outcomes(self) -> int:
        """Of events, beyond one for each record: a record may say several things."""
        return self._books.extra_outcomes

    @property
    def left_count(self) -> int:
        """Records that were read here and left unfinished to whoever owns their partition next."""
        return self._books.left_count

    @property
    def throttled_until(self) -> float:
        """When a wait ends that the API has asked for, on the core's clock; 0 when there is none."""
        return self._turns.pace.throttled_until

    @property
    def requests_per_second(self) -> float | None:
        """The pace at which calls may leave; None when nothing limits it."""
        return self._turns.pace.per_second

    @property
    def is_slowed_down(self) -> bool:
        """Whether the API has asked for less, lately."""
        return self._turns.pace.is_slowed_down

    @property
    def orphan_count(self) -> int:
        """Calls under way for assignments that are gone."""
        return self._turns.orphan_count

    @property
    def unfinished_count(self) -> int:
        """Records that were read and are not finished."""
        return sum(assignment.ledger.outstanding_count for assignment in self.assignments.values())

    @property
    def is_stalled(self) -> bool:
        """Whether lanes could go, and none does."""
        return self._turns.is_stalled

    def was_asked_to_wait(self, lane: Lane) -> bool:
        """Whether a lane waits because the API asked for it."""
        return self._turns.was_asked_to_wait(lane)

    def drain(self) -> None:
        """Nothing new leaves from now on; calls under way may end."""
        self._turns.is_draining = True

    def restore(self, assignment: Assignment, key: SessionKey, memoir: Memoir, now: float, epoch: float = 0.0) -> None:
        """Take up a session where its memoir says it stood; of two memoirs the higher place in the log wins.

        `epoch` is the Unix time at which the core's clock began.
        """
        lane = assignment.lanes.get(key)
        if lane is None:
            lane = self._books.new_lane(assignment, key)
        elif memoir.at < lane.last_offset:
            return
        was_open = lane.session_id is not None
        restore_lane(lane, memoir, epoch)
        if assignment.is_new_log:
            lane.last_offset = lane.done_offset = -1
            lane.split = None
        lane.active_at = now
        if self._silences is not None and lane.opened_at == inf:
            lane.opened_at = now  # nobody has written down when it was
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
        """Let go of sessions that have been silent for too long; those that are over go first when there are too many lanes.

        Nobody is silent whose events may wait in the log, as they do while an outage keeps the source paused. But when there are too many
        lanes, nothing more is read before some have gone.
        """
        is_crowded = self.buffer.lane_count >= self._limits.lanes_max
        if not (assignment.is_read_up or is_crowded):
            return []
        silent_since = now - self._rules.idle_seconds_max
        over_since = now if is_crowded else silent_since
        parked_since = now if is_crowded else now - max(PARKED_SECONDS_MAX, self._rules.idle_seconds_max)
        kept_since = silent_since if self._silences is None else silent_since - self._rules.idle_seconds_max  # else it is ended first
        since = dict.fromkeys(State, silent_since) | dict.fromkeys(OVER, over_since) | {State.PARKED: parked_since, State.READY: kept_since}
        idle = [
            lane
            for lane in assignment.lanes.values()
            if lane.active_at <= since[lane.state] and not lane.has_more and not lane.is_in_flight and not lane.unconfirmed()
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

    def park(self, now: float) -> list[Command]:
        """Set aside what failed for long and holds up everything, while the API serves others. To be called now and then."""
        is_held_up = self.buffer.crowded_lanes or any(one.is_window_full for one in self.assignments.values())
        if not is_held_up or self._turns.is_draining:
            self._excuse(set())
            return []
        commands: list[Command] = []
        waiting = self._turns.waiting()
        for lane in waiting:
            if is_to_be_parked(lane, self._limits, self._rules, now):
                self._turns.call_off(lane)
                commands += self._park(lane, now)
        self._excuse(self._excused.union(waiting))
        return commands

    def look_for_silence(self, now: float) -> None:
        """Look at the next lanes for players that are silent, if sessions are to be kept alive for them. To be called once a second."""
        if self._silences is not None:
            self._silences.look(self.lanes(), now)

    def _speak_for_silent(self, silences: Silences, now: float) -> list[Command]:
        """What the relay says itself: only where nobody else wants to go."""
        commands: list[Command] = []
        while self._turns.has_room_to_spare(now) and (wanted := silences.next(now, self._limits.concurrency_max)) is not None:
            lane, happened = wanted
            if not self._turns.is_behind_orphan(lane):
                silences.speak(lane, happened, now)
                commands += self._advance(lane, happened, now)
                self._turns.depart(lane, now)
        return commands

    def _excuse(self, lanes: set[Lane]) -> None:
        """Of these lanes, those that are full let the source flow for now."""
        limits = self._limits
        self._excused = {lane for lane in lanes if lane.assignment.stage is not Stage.GONE and is_excused(lane, limits)}
        self.buffer.excused_lanes = len(self._excused)

    def shed(self, now: float) -> list[Command]:
        """Thin out superseded pings, if that is wanted and events have filled the buffer for long while the API serves."""
        if self._overload is None:
            return []
        is_filled = self.buffer.is_full and self.buffer.lane_count < self._limits.lanes_max  # too many lanes: no event is to blame
        if not self._overload.lasts(now, is_overloaded=is_filled and self.sending.state is CircuitState.CLOSED):
            return []
        return [command for lane in self.lanes() if lane.assignment.stage is Stage.OWNED for command in self._shed(lane)]

    def _shed(self, lane: Lane) -> list[Command]:
        places = superseded(lane)
        commands: list[Command] = []
        for place in reversed(places):  # so that those before keep their places
            event = lane.waiting.pop(place)
            self._books.finished(lane, event)
            commands.append(DropEvent(lane, event, Dropped.SHED))
        return commands

    # --- what comes from Kafka ----------------------------------------------------------------------------------------------------

    def _stored_aside(self, happened: StoredAside, _now: float) -> list[Command]:
        self._books.stored_aside(happened)
        return []

    def _assigned(self, happened: Assigned, _now: float) -> list[Command]:
        assignment = happened.assignment
        self.assignments[assignment.topic, assignment.partition] = assignment
        return []

    def _leaving(self, happened: Leaving, _now: float) -> list[Command]:
        if happened.assignment.stage is Stage.OWNED:  # else it is gone before this was taken in, and nothing brings it back
            happened.assignment.stage = Stage.LEAVING
        return []

    def _revoked(self, happened: Revoked, _now: float) -> list[Command]:
        assignment = happened.assignment
        if assignment.stage is Stage.GONE:
            return []
        assignment.stage = Stage.GONE
        if self.assignments.get((assignment.topic, assignment.partition)) is assignment:
            del self.assignments[assignment.topic, assignment.partition]
        self._books.count_out(assignment)
        self.sessions_open -= sum(lane.session_id is not None for lane in assignment.lanes.values())
        self._turns.drop(assignment)
        self._excuse(self._excused)
        assignment.lanes.clear()  # lanes point to their assignment: while it points back, only a look for garbage frees them
        assignment.changed.clear()
        return []

    # --- what comes from the API and from timers ----------------------------------------------------------------------------------

    def _answered(self, happened: Answered, now: float) -> list[Command]:
        lane, verdict, turns = happened.lane, happened.verdict, self._turns
        circuit = turns.land(lane, verdict, now, happened.seconds, self.lag_seconds)
        if lane.assignment.stage is Stage.GONE:
            turns.orphan_landed(lane, self.assignments.get((lane.assignment.topic, lane.assignment.partition)))
            return []
        if isinstance(verdict, Misconfigured):
            verdict = TryAgain(MISCONFIGURED, verdict.status)
        weighed = weigh(lane, verdict, self._rules, circuit, now)
        commands = self._advance(lane, weighed, now)
        if isinstance(weighed, TryAgain):
            commands += self._try_later(lane, weighed, circuit, now)
        elif lane.waiting:
            turns.queue(lane)
        if circuit.state is CircuitState.HELD:
            turns.stop_waiting(circuit)
        return commands

    def _woke(self, happened: Woke, _now: float) -> list[Command]:
        self._turns.wake(happened.lane, happened.ticket)
        return []

    def _try_later(self, lane: Lane, failure: TryAgain, circuit: Circuit, now: float) -> list[Command]:
        if failure.asks_for_less:  # that is for all of us: the pace sees to it
            lane.failed_cause, lane.failed_status = failure.cause, failure.status
            self._turns.queue_first(lane)
            return [Announce(lane, Change.RETRIED, failure.cause, failure.status)]
        lane.failures += 1
        lane.failed_cause, lane.failed_status = failure.cause, failure.status
        if len(lane.waiting) >= self._limits.session_events_max:
            self._excuse({lane, *self._excused})
        backoff = self._rules.backoff
        asked = backoff.asked_seconds(failure.retry_after_seconds)
        commands: list[Command] = [Announce(lane, Change.RETRIED, failure.cause, failure.status)]
        if not self._turns.is_draining and is_to_be_parked(lane, self._limits, self._rules, now):
            return commands + self._park(lane, now)
        if failure.is_outcome_unknown:
            commands.append(Announce(lane, Change.REPEATED_UNKNOWN, "send" if circuit is self.sending else "open"))
        if self._turns.wait(lane, circuit, is_asked=asked > 0):
            commands.append(Wait(lane, asked, backoff.jitter_seconds(lane.failures), lane.ticket))
        return commands

    def _park(self, lane: Lane, now: float) -> list[Command]:
        commands = self._advance(lane, Parked(lane.failed_status, lane.failed_cause), now)
        if lane.waiting:  # they follow, one after the other, as whatever comes later will
            self._turns.queue(lane)
        return commands

    # --- turns --------------------------------------------------------------------------------------------------------------------

    def _turn(self, lane: Lane, now: float) -> list[Command]:
        part = lane.waiting[0].part
        if part is not None and part.is_silent:
            return self._pass_by(lane)
        commands = self._advance(lane, self._next(lane, now), now)
        if lane.state < IN_FLIGHT_FROM:  # it was set aside without a call
            if lane.waiting:
                self._turns.queue(lane)
            return commands
        begin_try(lane, self._turns.depart(lane, now))
        if lane.attempts == 0:
            lane.first_tried_at = now
            self._check_order(lane)
        if lane.state is not State.TELLING and lane.state is not State.REPLACING:
            lane.attempts += 1
        return commands

    def _pass_by(self, lane: Lane) -> list[Command]:
        """What stands at the head only moves on what is derived: its turn has come, and no call is made."""
        head = lane.take_head()
        self._books.finished(lane, head)
        lane.is_changed = False
        lane.assignment.changed[lane] = None
        if lane.waiting:
            self._turns.queue(lane)
        return [DropEvent(lane, head, Dropped.UNCHANGED)]

    def _next(self, lane: Lane, now: float) -> Happened:
        head = lane.waiting[0]
        if lane.is_untold and lane.playback is not None and lane.state is State.READY:
            lane.to_tell = lane.playback.told_before(head)[lane.told_count :]
            lane.is_untold = False
        if lane.to_tell:
            return _NEXT_TOLD
        if self._rules.too_old and (outdated := self._next_too_old(lane, head, now)) is not None:
            return outdated
        if lane.state is not State.READY and head.event_type is not EventType.SESSION_START:
            if lane.state in OVER and (again := next_again(lane, head, self._starts)) is not None:
                return again
            if lane.state is State.ABSENT:
                lane.start = self._starts.for_joining(head.start)
                return _NEXT_EVENT if lane.start is None else _NEXT_JOIN
        return _NEXT.get(head.event_type, _NEXT_EVENT)

    def _next_too_old(self, lane: Lane, head: PlayerEvent, now: float) -> Happened | None:
        """What age says of the head, where a call would be made. In an outage it says nothing: the head is what is probed with."""
        policy = self._rules.too_old.get(head.event_type)
        if policy is None or not is_too_old(head, self._rules, now):
            return None
        if self._turns.circuit_of_next(lane).state is not CircuitState.CLOSED:
            return None
        is_open = lane.state is State.READY
        if head.event_type is EventType.SESSION_START:
            return None if is_open else _NEXT_START_TOO_OLD  # the session that is open is ended first
        is_end = head.event_type is EventType.SESSION_END
        goes_out = is_open or lane.state is State.ABSENT or (lane.state is State.COMPLETED if is_end else lane.state is State.LOST)
        return _NEXT_TOO_OLD[policy] if goes_out else None

    def _check_order(self, lane: Lane) -> None:
        """A cheap watch over the promise itself: per session the sent order is the order of the log."""
        record = lane.waiting[0].record
        assert record is not None
        if record.offset < lane.sent_offset:
            if is_displaced(lane, record.offset):
                return
            self.order_violations += 1
        lane.sent_offset = record.offset

    def _advance(self, lane: Lane, happened: Happened, now: float) -> list[Command]:
        was = lane.session_id
        commands = advance(lane, happened)
        if lane.session_id is not was:
            commands += self._session_changed(lane, now, was_open=was is not None)
        if lane.is_changed:
            lane.is_changed = False
            lane.assignment.changed[lane] = None
        for command in commands:
            if isinstance(command, SendEvent):
                continue  # the most frequent one, with nothing to book
            if isinstance(command, Finish):
                self._books.finished(lane, command.event)
            elif isinstance(command, SetAside | SetAsideAlready):
                self._books.aside_left(lane, command)
            elif isinstance(command, FinishUnknown | DropEvent):
                self._books.finished(lane, command.event)
        return commands

    def _session_changed(self, lane: Lane, now: float, *, was_open: bool) -> list[Command]:
        self.sessions_open += (lane.session_id is not None) - was_open
        if lane.session_id is not None:
            if self._silences is not None:
                lane.opened_at = now
            lane.is_changed = False
            return [Remember(lane)]
        # An end at once, like the opening: what is repeated after a crash would find the session closed, and open another in place of it.
        return [Remember(lane)] if lane.state is State.ENDED else []
