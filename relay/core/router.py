"""The one door into the core: event → lane, answer → session. It opens, bounds and retires lanes.

In: everything that can happen (`inputs.py`), with the time. Out: commands (`commands.py`). Whose turn it is, `turns.py` knows; when an
event is given up, `patience.py`; what becomes of a session, `session.py`.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Final

import msgspec

from relay.core.assignment import Assignment, Stage
from relay.core.commands import (
    Announce,
    Change,
    Command,
    Drop,
    DropEvent,
    Finish,
    FinishUnknown,
    Forget,
    Remember,
    SendEvent,
    SetAside,
    SetAsideAlready,
    Skip,
    Wait,
)
from relay.core.derivation import derive
from relay.core.events import Derived, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import (
    Answered,
    Arrived,
    ArrivedAsFacts,
    ArrivedInParts,
    Assigned,
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
from relay.core.lane import IN_FLIGHT_FROM, Lane, State
from relay.core.ledger import Taken
from relay.core.memoir import Memoir
from relay.core.memoir import restore as restore_lane
from relay.core.parking import is_excused, is_to_be_parked
from relay.core.patience import MISCONFIGURED, Rules, begin_try, is_too_old, weigh
from relay.core.policies import TooOld
from relay.core.pressure import Buffer, Circuit, CircuitState, Limits
from relay.core.reasons import Dropped, Skipped
from relay.core.replays import end_of, next_again
from relay.core.sequence import Found, Order, Policy, Sequencing, is_displaced, is_replayed
from relay.core.session import Happened, advance
from relay.core.shedding import Overload, superseded
from relay.core.silence import Silences
from relay.core.split import Letter
from relay.core.starts import Starts
from relay.core.turns import Turns

EVENT_OVERHEAD_BYTES: Final = 400  # what a waiting event costs besides its bytes, measured on CPython 3.11

PARKED_SECONDS_MAX: Final = 7 * 86_400.0  # a parked session is remembered as long as its letters usually are

_OVER: Final = frozenset({State.ABSENT, State.COMPLETED, State.ENDED, State.REFUSED, State.PARKED})

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
        self.buffer = Buffer(limits)
        self._turns = Turns(limits)
        self.opening = self._turns.opening
        self.sending = self._turns.sending
        self.sessions_open = 0
        self._excused: set[Lane] = set()  # full lanes that fail, and for which the source does not pause yet
        self.order_violations = 0
        self.lag_seconds = 0.0  # how late our own loop is; the pump says so
        self.extra_outcomes = 0  # of events, beyond one for each record: a record may say several things
        self.left_count = 0  # records that were read here and left unfinished to whoever owns their partition next
        self._limits = limits
        self._overload = None if limits.shed_pings_after_seconds is None else Overload(limits.shed_pings_after_seconds)
        self._rules = rules
        self._silences = None if rules.keep_alive is None else Silences(rules.keep_alive, rules.idle_seconds_max)
        self._starts = starts
        order = order or Order(Policy.IGNORE)
        # The common choice costs a comparison; whoever chooses more pays for it.
        self._looks_at_order = order.policy is not Policy.IGNORE
        self._counts_order = order.policy is Policy.SEND and order.sequence_header is None
        self._sequencing = None if self._counts_order or order.policy is Policy.IGNORE else Sequencing(order)
        self._handlers: dict[type[Input], Callable[..., list[Command]]] = {
            Arrived: self._arrived,
            ArrivedInParts: self._arrived_in_parts,
            ArrivedAsFacts: self._arrived_as_facts,
            SaysNothing: self._says_nothing,
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
        turns = self._turns
        if turns.is_draining:
            return commands
        if self._sequencing is not None:
            self._let_in_what_is_due(self._sequencing, now)
        turns.look_out(now)
        while (lane := turns.next(now)) is not None:
            commands += self._turn(lane, now)
        if self._silences is not None:
            commands += self._speak_for_silent(self._silences, now)
        return commands

    def wake_at(self) -> float | None:
        """When `turns` may have more to say by time alone."""
        asked = self._turns.ask_again_at()
        due = self._sequencing.ask_again_at() if self._sequencing is not None and not self._turns.is_draining else None
        return asked if due is None else due if asked is None else min(asked, due)

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._turns.in_flight

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
            lane = assignment.lanes[key] = Lane(key, assignment)
            self.buffer.lane_count += 1
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
        since = (
            dict.fromkeys(State, silent_since) | dict.fromkeys(_OVER, over_since) | {State.PARKED: parked_since, State.READY: kept_since}
        )
        idle = [
            lane
            for lane in assignment.lanes.values()
            if lane.active_at <= since[lane.state] and not lane.has_more and lane.state < IN_FLIGHT_FROM and not lane.unconfirmed()
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
            self._finished(lane, event)
            commands.append(DropEvent(lane, event, Dropped.SHED))
        return commands

    # --- what comes from Kafka ----------------------------------------------------------------------------------------------------

    def _arrived(self, happened: Arrived, now: float) -> list[Command]:  # noqa: C901, PLR0912  # the hot path, in one piece
        assignment, event = happened.assignment, happened.event
        record = event.record
        assert record is not None
        if assignment.stage is not Stage.OWNED:
            self.left_count += 1
            return []  # it will be read by the next owner
        if record.offset < assignment.starts_at:
            self._begin_anew(assignment)
        taken = assignment.ledger.take(record.offset, record.appended_at)
        if taken is not Taken.NEW:
            return _not_new(taken, assignment, record.offset)
        lane = assignment.lanes.get(happened.key)
        commands: list[Command] = []
        if lane is None:
            lane = assignment.lanes[happened.key] = Lane(happened.key, assignment)
            self.buffer.lane_count += 1
            if self._is_scattered(lane):
                commands.append(Announce(lane, Change.SCATTERED))
        lane.active_at = now
        if lane.silence is not None:
            self._silence_ended(lane)
        if record.offset <= lane.done_offset:
            return _arrived_again(lane, record)
        if lane.split is not None and lane.split.offset == record.offset:
            return self._go_on_behind(lane, record, (event,))
        if self._counts_order:
            if event.ts > lane.latest_ts:
                lane.latest_ts, lane.latest_digest = event.ts, hash(record.value)
            else:
                commands += _count_order(lane, record, event)
        elif self._sequencing is not None:
            return commands + self._take_in_order(self._sequencing, lane, record, (event,), now)
        lane.waiting.append(event)
        buffer = self.buffer
        buffer.event_count += 1
        buffer.byte_count += _size(record)
        if len(lane.waiting) == self._limits.session_events_max:
            buffer.crowded_lanes += 1
        if lane.state < IN_FLIGHT_FROM and not lane.is_queued and not lane.is_waiting:
            self._turns.queue(lane)
        return commands

    def _arrived_in_parts(self, happened: ArrivedInParts, now: float) -> list[Command]:
        assignment, record = happened.assignment, happened.events[0].record
        assert record is not None
        needs_nothing = self._take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        lane = assignment.lanes.get(happened.key)
        commands: list[Command] = []
        if lane is None:
            lane = assignment.lanes[happened.key] = Lane(happened.key, assignment)
            self.buffer.lane_count += 1
            if self._is_scattered(lane):
                commands.append(Announce(lane, Change.SCATTERED))
        lane.active_at = now
        if lane.silence is not None:
            self._silence_ended(lane)
        if record.offset <= lane.done_offset:
            return _arrived_again(lane, record)
        if lane.split is not None and lane.split.offset == record.offset:
            return self._go_on_behind(lane, record, happened.events)
        if self._sequencing is not None:
            return commands + self._take_in_order(self._sequencing, lane, record, happened.events, now)
        if self._counts_order:
            commands += _count_order(lane, record, happened.events[0])
        self._append_parts(lane, record, happened.events)
        return commands

    def _arrived_as_facts(self, happened: ArrivedAsFacts, now: float) -> list[Command]:
        """What the facts come to follows from all that came before them in this session, waiting or not."""
        assignment, facts = happened.assignment, happened.facts.facts
        record = facts[0].event.record
        assert record is not None
        needs_nothing = self._take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        lane = assignment.lanes.get(happened.key)
        if lane is None:
            lane = assignment.lanes[happened.key] = Lane(happened.key, assignment)
            self.buffer.lane_count += 1
        lane.active_at = now
        if lane.silence is not None:
            self._silence_ended(lane)
        if record.offset <= lane.done_offset:
            return _arrived_again(lane, record)
        # What they come to rests on those before: they are never held back here, and a repeat says nothing new by itself.
        noticed = _count_order(lane, record, facts[0].event) if self._looks_at_order else []
        before = lane.derived_ahead or lane.derived or _UNDERIVED
        after, derived = derive(before, facts, happened.facts.rules)
        is_split = lane.split is not None and lane.split.offset == record.offset
        if not derived and not is_split and (after is before or not lane.waiting):
            if after is not before:
                lane.derived = after
                assignment.changed[lane] = None
            assignment.ledger.finish(record.offset)
            return [*noticed, Drop(assignment, record.offset, Dropped.UNCHANGED)]
        lane.derived_ahead = after
        events = _in_parts(derived or [facts[0].event], after, is_silent=not derived)
        if is_split:
            return self._go_on_behind(lane, record, events)
        self._append_parts(lane, record, events)
        return noticed

    def _go_on_behind(self, lane: Lane, record: Record, events: tuple[PlayerEvent, ...]) -> list[Command]:
        """The memoir says that some parts have left the lane: go on behind them, and write the letter again that was not confirmed."""
        assignment, split = lane.assignment, lane.split
        assert split is not None
        commands: list[Command] = []
        if split.letter is Letter.PENDING:
            commands += _set_aside_again(lane, record)
        events = events[split.done :]
        if events:
            self._append_parts(lane, record, events)
            return commands
        lane.split = None  # the mapping has changed meanwhile, and the record says no more than what has left
        if not commands:
            assignment.ledger.finish(record.offset)
            commands.append(Skip(assignment, record.offset))
        return commands

    @staticmethod
    def _silence_ended(lane: Lane) -> None:
        lane.silence = None
        lane.assignment.changed[lane] = None  # a restart must not take it for silent still

    def _append_parts(self, lane: Lane, record: Record, events: tuple[PlayerEvent, ...]) -> None:
        self.buffer.event_count += len(events)
        self.buffer.byte_count += _size(record)
        self._let_in(lane, events)

    def _let_in(self, lane: Lane, events: tuple[PlayerEvent, ...]) -> None:
        """To the lane, what is counted as waiting already."""
        count_before = len(lane.waiting)
        lane.waiting += events
        if count_before < self._limits.session_events_max <= len(lane.waiting):
            self.buffer.crowded_lanes += 1
        if lane.state < IN_FLIGHT_FROM and not lane.is_queued and not lane.is_waiting:
            self._turns.queue(lane)

    def _take_in_order(
        self, sequencing: Sequencing, lane: Lane, record: Record, events: tuple[PlayerEvent, ...], now: float
    ) -> list[Command]:
        """Let in what has its turn by now; the rest waits for others to go before it, and counts as waiting."""
        found, ready = sequencing.look(lane, record, events, now)
        commands: list[Command] = []
        if found is not Found.IN_ORDER:
            commands.append(Announce(lane, Change.CAME_LATE if found is Found.LATE else Change.CAME_TWICE))
        if found is Found.REPEATED and not ready:
            lane.assignment.ledger.finish(record.offset)
            return [*commands, Skip(lane.assignment, record.offset, Skipped.REPEATED)]
        self.buffer.event_count += len(events)
        self.buffer.byte_count += _size(record)
        for one in ready:
            self._let_in(lane, one)
        return commands

    def _let_in_what_is_due(self, sequencing: Sequencing, now: float) -> None:
        for lane, ready in sequencing.due(now):
            if lane.assignment.stage is not Stage.GONE:  # where it leaves they wait in their lane, and are counted out with it
                for events in ready:
                    self._let_in(lane, events)

    def _is_scattered(self, lane: Lane) -> bool:
        """Whether the same session lives in another partition of the topic: nobody can keep an order over two of them."""
        here = lane.assignment
        elsewhere = (
            other.lanes[lane.key]
            for other in self.assignments.values()
            if other is not here and lane.key in other.lanes and other.topic == here.topic
        )
        return any(other.waiting or other.state not in _OVER for other in elsewhere)

    def _says_nothing(self, happened: SaysNothing, _now: float) -> list[Command]:
        assignment, record = happened.assignment, happened.record
        needs_nothing = self._take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        assignment.ledger.finish(record.offset)
        return [Drop(assignment, record.offset, happened.reason)]

    def _unreadable(self, happened: Unreadable, now: float) -> list[Command]:
        assignment, record = happened.assignment, happened.record
        if record.headers and (end := end_of(record)) is not None:
            return self._arrived(Arrived(assignment, *end), now)
        needs_nothing = self._take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        assignment.asides_pending += 1
        return [SetAside(assignment, record, happened.reason, happened.detail, key=happened.key)]

    def _take(self, assignment: Assignment, record: Record) -> list[Command] | None:
        """Enter a record into the account; what to do when it needs nothing more, and None when it does."""
        if assignment.stage is not Stage.OWNED:
            self.left_count += 1
            return []
        if record.offset < assignment.starts_at:
            self._begin_anew(assignment)
        taken = assignment.ledger.take(record.offset, record.appended_at)
        return None if taken is Taken.NEW else _not_new(taken, assignment, record.offset)

    @staticmethod
    def _begin_anew(assignment: Assignment) -> None:
        """A record before the committed offset: the topic was created again, and what was known of places is void."""
        assignment.starts_at = -1
        assignment.is_new_log = True
        assignment.ledger.begin_anew()
        for lane in assignment.lanes.values():
            lane.last_offset = lane.done_offset = -1
            lane.split = None

    def _stored_aside(self, happened: StoredAside, _now: float) -> list[Command]:
        assignment = happened.assignment
        assignment.asides_pending -= 1
        if assignment.stage is not Stage.GONE:
            lane = assignment.lanes.get(happened.key) if happened.key is not None else None
            if lane is not None:
                lane.stored_aside(happened.offset)
                if _is_split_at(lane, happened.offset):
                    self.extra_outcomes += 1
                    return []  # it is finished with its last part
            assignment.ledger.finish(happened.offset)
        else:
            self.left_count -= 1  # it was counted when the partition was taken, and its letter is stored all the same
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
        self.left_count += assignment.ledger.outstanding_count
        buffer = self.buffer
        buffer.lane_count -= len(assignment.lanes)
        for lane in assignment.lanes.values():
            buffer.event_count -= len(lane.waiting)
            buffer.byte_count -= sum(_size(event.record) for event in lane.waiting if event.record is not None and _is_last(event.part))
            buffer.crowded_lanes -= len(lane.waiting) >= self._limits.session_events_max
            for held in lane.sequence.held if lane.sequence is not None else ():
                buffer.event_count -= len(held.events)
                buffer.byte_count -= sum(_size(event.record) for event in held.events[-1:] if event.record is not None)
            self.sessions_open -= lane.session_id is not None
        self._turns.drop(assignment)
        self._excuse(self._excused)
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
        self._finished(lane, head)
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
            if lane.state in _OVER and (again := next_again(lane, head, self._starts)) is not None:
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
        is_start, is_open = head.event_type is EventType.SESSION_START, lane.state is State.READY
        circuit = self.sending if is_open or lane.state is State.COMPLETED else self.opening
        if circuit.state is not CircuitState.CLOSED:
            return None
        if is_start:
            return None if is_open else _NEXT_START_TOO_OLD  # the session that is open is ended first
        is_end = head.event_type is EventType.SESSION_END
        goes_out = is_open or lane.state is State.ABSENT or (lane.state is State.COMPLETED if is_end else lane.state is State.LOST)
        return _NEXT_TOO_OLD[policy] if goes_out else None

    def _check_order(self, lane: Lane) -> None:
        """A cheap watch over the promise itself: per session the sent order is the order of the log."""
        record = lane.waiting[0].record
        if record is None or record.offset == lane.sent_offset:
            return
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
                self._finished(lane, command.event)
            elif isinstance(command, SetAside | SetAsideAlready):
                self._aside_left(lane, command)
            elif isinstance(command, FinishUnknown | DropEvent):
                self._finished(lane, command.event)
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

    def _finished(self, lane: Lane, event: PlayerEvent) -> None:
        record = event.record
        assert record is not None
        if event.part is not None:
            self.extra_outcomes += 1
            self._part_left(lane, record, event.part)
            return
        lane.assignment.ledger.finish(record.offset)
        self._left_the_buffer(lane, record)

    def _aside_left(self, lane: Lane, aside: SetAside | SetAsideAlready) -> None:
        if isinstance(aside, SetAside):
            lane.assignment.asides_pending += 1
            record, part = aside.record, aside.part
        else:
            assert aside.event.record is not None
            record, part = aside.event.record, aside.event.part
        if part is not None:
            self._part_left(lane, record, part)
        else:
            self._left_the_buffer(lane, record)

    def _part_left(self, lane: Lane, record: Record, part: Part) -> None:
        """With its last part a record is finished, unless its dead letter is still to be confirmed."""
        if not part.is_last:
            self.buffer.event_count -= 1
            self.buffer.crowded_lanes -= len(lane.waiting) == self._limits.session_events_max - 1
            return
        self._left_the_buffer(lane, record)
        split, lane.split = lane.split, None
        assert split is not None
        if split.letter is not Letter.PENDING:
            lane.assignment.ledger.finish(record.offset)
            self.extra_outcomes -= 1

    def _left_the_buffer(self, lane: Lane, record: Record) -> None:
        buffer = self.buffer
        buffer.event_count -= 1
        buffer.byte_count -= _size(record)
        if len(lane.waiting) == self._limits.session_events_max - 1:
            buffer.crowded_lanes -= 1


def _count_order(lane: Lane, record: Record, event: PlayerEvent) -> list[Command]:
    """What came in: in order, a new beginning, the same once more, or something late."""
    digest = hash(record.value)
    is_same = event.ts == lane.latest_ts and digest == lane.latest_digest
    is_late = event.ts < lane.latest_ts
    if is_replayed(record):
        return []
    if not is_late or event.event_type is EventType.SESSION_START:
        lane.latest_ts, lane.latest_digest = event.ts, digest
    if is_same:
        return [Announce(lane, Change.CAME_TWICE)]
    return [Announce(lane, Change.CAME_LATE)] if is_late and event.event_type is not EventType.SESSION_START else []


def _arrived_again(lane: Lane, record: Record) -> list[Command]:
    """The memoir says that this one left the head. If its dead letter was not confirmed, it is set aside again, for the same reason."""
    assignment = lane.assignment
    reason = None if lane.asides is None else lane.asides.get(record.offset)
    if reason is None:
        assignment.ledger.finish(record.offset)
        return [Skip(assignment, record.offset)]
    return _set_aside_again(lane, record)


def _set_aside_again(lane: Lane, record: Record) -> list[Command]:
    assert lane.asides is not None
    lane.assignment.asides_pending += 1
    return [SetAside(lane.assignment, record, lane.asides[record.offset], key=lane.key)]


def _is_split_at(lane: Lane, offset: int) -> bool:
    """Whether parts of this record still wait. Its dead letter is confirmed now."""
    head = lane.waiting[0] if lane.waiting else None
    if lane.split is None or head is None or head.record is None or head.record.offset != offset:
        return False
    lane.split.letter = Letter.STORED
    return True


def _in_parts(events: list[PlayerEvent], after: Derived, *, is_silent: bool) -> tuple[PlayerEvent, ...]:
    count = len(events)
    return tuple(
        msgspec.structs.replace(event, part=Part(number, count, after if number == count else None, is_silent))
        for number, event in enumerate(events, start=1)
    )


def _is_last(part: Part | None) -> bool:
    return part is None or part.is_last


def _size(record: Record) -> int:
    return len(record.value or b"") + len(record.key or b"") + EVENT_OVERHEAD_BYTES


def _not_new(taken: Taken, assignment: Assignment, offset: int) -> list[Command]:
    return [Skip(assignment, offset, Skipped.FINISHED_BEFORE if taken is Taken.FINISHED_BEFORE else Skipped.READ_AGAIN)]
