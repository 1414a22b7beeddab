"""Whatever happens in whatever order, the router keeps its promises.

Hypothesis drives a router: partitions come, leave, are taken and come back; events arrive with gaps; any call under way gets any verdict;
timers run out; time passes; dead letters are confirmed late. After each step the promises are checked, and in the end the API serves
everything: then each offset that was taken must be finished, and nothing may be left.
"""

from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.core.assignment import Assignment, Stage
from relay.core.books import EVENT_OVERHEAD_BYTES
from relay.core.commands import (
    Announce,
    Command,
    Drop,
    DropEvent,
    Finish,
    FinishUnknown,
    Forget,
    OpenSession,
    Remember,
    SendEvent,
    SetAside,
    SetAsideAlready,
    Skip,
    Wait,
)
from relay.core.events import ApiSessionId, Details, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import (
    Accepted,
    Answered,
    Arrived,
    ArrivedInParts,
    Assigned,
    Leaving,
    Lost,
    Misconfigured,
    Opened,
    Refused,
    Revoked,
    SaysNothing,
    StoredAside,
    TryAgain,
    Unreadable,
    Verdict,
    Woke,
)
from relay.core.lane import IN_FLIGHT_FROM, State
from relay.core.patience import Rules
from relay.core.policies import skipped_when_unknown, too_old_by_kind
from relay.core.pressure import CircuitState, Limits
from relay.core.reasons import Reason, Skipped
from relay.core.replays import END_HEADER, ROUND_HEADER, START_HEADER, end_header, start_header
from relay.core.router import Router
from relay.core.silence import KeepAlive
from relay.core.starts import Starts

PARTITIONS = range(2)
KEYS = [SessionKey(key) for key in ("a", "b", "c", "d")]
LIMITS = Limits(concurrency_max=5, session_events_max=4, buffer_events_max=20, lanes_max=5, reopenings_per_second_max=2.0)
RULES = Rules(attempts_max=3, age_seconds_max=600.0, idle_seconds_max=60.0, park_after_seconds=3.0)
CARED = Rules(
    attempts_max=3,
    age_seconds_max=600.0,
    idle_seconds_max=60.0,
    park_after_seconds=3.0,
    keep_alive=KeepAlive(3.0, silent_seconds_max=20.0, age_seconds_max=100.0, again_seconds=2.0),
)
DECIDED = Rules(
    attempts_max=3,
    age_seconds_max=600.0,
    idle_seconds_max=60.0,
    park_after_seconds=3.0,
    too_old=too_old_by_kind({"*": "drop", "sessionStart": "set_aside", "sessionComplete": "set_aside", "sessionEnd": "send"}),
    skipped_when_unknown=skipped_when_unknown({"*": "skip", "sessionStart": "repeat", "play": "repeat"}),
)
BROUGHT = Details(params=b'{"media.id":"film"}')
TELLS_AGAIN_AFTER = 10_000  # steps in which a healthy API must have emptied the router

kinds = st.one_of(
    st.sampled_from([EventType.PING, EventType.SESSION_START, EventType.PLAY]),
    st.sampled_from(list(EventType)),
)
failures = st.sampled_from(
    [
        TryAgain("status_500", 500),
        TryAgain("status_503", 503, retry_after_seconds=3.0),
        TryAgain("status_429", 429),
        TryAgain("status_500", 500, retry_after_seconds=3.0),
        TryAgain("timeout", is_outcome_unknown=True),
        Misconfigured(403, "check"),
        Refused(400, "no"),
    ]
)

Call = OpenSession | SendEvent
Headers = tuple[tuple[str, bytes | None], ...]


def success_of(call: Call, number: int) -> Verdict:
    """What a healthy API answers."""
    return Accepted() if isinstance(call, SendEvent) else Opened(ApiSessionId(f"api-{number}"))


class RouterHistory(RuleBasedStateMachine):
    """One history."""

    operator = RULES
    sheds_after: float | None = None

    def __init__(self) -> None:
        """Begin with no partition."""
        super().__init__()
        limits = msgspec.structs.replace(LIMITS, shed_pings_after_seconds=self.sheds_after)
        self.router = Router(limits=limits, rules=self.operator, starts=Starts(required=frozenset({"media.id"})))
        self.now = 1_000.0
        self.count = 0
        self.flying: list[Call] = []
        self.timers: list[tuple[float, Wait]] = []
        self.letters: list[SetAside] = []
        self.all: list[Assignment] = []
        self.next_offset: Counter[int] = Counter()
        self.done: dict[Assignment, set[int]] = {}
        self.taken: dict[Assignment, set[int]] = {}
        self.parts: dict[tuple[Assignment, int], list[int]] = {}  # of records that say several things: how many have left, of how many
        self.stored: set[tuple[Assignment, int]] = set()
        self.first_sent: dict[tuple[Assignment, SessionKey], list[int]] = {}
        self.safe_before: dict[Assignment, int] = {}

    # --- what may happen ----------------------------------------------------------------------------------------------------------

    @rule(partition=st.sampled_from(PARTITIONS))
    def assign(self, partition: int) -> None:
        """A partition becomes ours, from the first offset that was not safe before."""
        if ("events", partition) in self.router.assignments:
            return
        earlier = [one for one in self.all if one.partition == partition and one.ledger.safe is not None]
        if earlier:
            self.next_offset[partition] = earlier[-1].ledger.safe or 0
        assignment = Assignment("events", partition, generation=len(self.all))
        self.all.append(assignment)
        self.done[assignment] = set()
        self.taken[assignment] = set()
        self.tell(Assigned(assignment))

    @rule(key=st.sampled_from(KEYS), kind=kinds, gap=st.sampled_from([0, 0, 0, 1, 7]), age=st.sampled_from([0.0, 0.0, 1e6]), data=st.data())
    @precondition(lambda self: self.router.assignments)
    def arrive(self, key: SessionKey, kind: EventType, gap: int, age: float, data: st.DataObject) -> None:
        """An event comes in; some offsets are missing from the log."""
        self.say(data.draw(st.sampled_from(list(self.router.assignments.values()))), key, kind, gap=gap, age=age)

    def say(  # noqa: PLR0913  # an event has that many parts
        self, assignment: Assignment, key: SessionKey, kind: EventType, *, gap: int = 0, age: float = 0.0, headers: Headers = ()
    ) -> None:
        """An event stands in the log, and is read."""
        offset = self.next_offset[assignment.partition] + gap
        self.next_offset[assignment.partition] = offset + 1
        brings = kind is not EventType.SESSION_START and offset % 2 == 0
        event = PlayerEvent(
            kind,
            playhead=float(offset),
            ts=offset,
            params=BROUGHT.params if kind is EventType.SESSION_START else b"",
            state_name="mute" if kind in {EventType.STATE_START, EventType.STATE_END} else "",
            start=BROUGHT if brings else None,
            record=Record(offset, key=key.encode(), value=b"x" * 10, headers=headers, appended_at=self.now - age),
        )
        if assignment.stage is Stage.OWNED:
            self.taken[assignment].add(offset)
        self.tell(Arrived(assignment, key, event))

    @rule(key=st.sampled_from(KEYS), kind=kinds, start=st.sampled_from([None, False, True]), data=st.data())
    @precondition(lambda self: self.router.assignments)
    def comes_again(self, key: SessionKey, kind: EventType, start: bool | None, data: st.DataObject) -> None:  # noqa: FBT001  # drawn
        """What was set aside comes again, with or without its start."""
        brought = () if start is None else ((START_HEADER, start_header(BROUGHT, resume=start)),)
        assignment = data.draw(st.sampled_from(list(self.router.assignments.values())))
        self.say(assignment, key, kind, headers=((ROUND_HEADER, b"1"), *brought))

    @rule(key=st.sampled_from(KEYS), data=st.data())
    @precondition(lambda self: self.router.assignments)
    def a_replay_ends(self, key: SessionKey, data: st.DataObject) -> None:
        """The last record of a replay, which no input can read."""
        assignment = data.draw(st.sampled_from(list(self.router.assignments.values())))
        offset = self.next_offset[assignment.partition]
        self.next_offset[assignment.partition] += 1
        if assignment.stage is Stage.OWNED:
            self.taken[assignment].add(offset)
        end = (END_HEADER, end_header(key, playhead=float(offset), ts=offset))
        self.tell(Unreadable(assignment, Record(offset, key=key.encode(), headers=(end,)), Reason.EMPTY_VALUE, "", key))

    @rule(key=st.sampled_from(KEYS), several=st.lists(kinds, min_size=2, max_size=4), data=st.data())
    @precondition(lambda self: self.router.assignments)
    def arrive_in_parts(self, key: SessionKey, several: list[EventType], data: st.DataObject) -> None:
        """A record comes in that says several things."""
        assignment = data.draw(st.sampled_from(list(self.router.assignments.values())))
        offset = self.next_offset[assignment.partition]
        self.next_offset[assignment.partition] += 1
        record = Record(offset, key=key.encode(), value=b"x" * 10, appended_at=self.now)
        if assignment.stage is Stage.OWNED:
            self.taken[assignment].add(offset)
            self.parts[assignment, offset] = [0, len(several)]
        events = tuple(
            PlayerEvent(
                kind,
                playhead=float(offset),
                ts=offset,
                params=BROUGHT.params if kind is EventType.SESSION_START else b"",
                start=BROUGHT if kind is not EventType.SESSION_START and offset % 2 == 0 else None,
                record=record,
                part=Part(number, len(several)),
            )
            for number, kind in enumerate(several, start=1)
        )
        self.tell(ArrivedInParts(assignment, key, events))

    @rule(data=st.data())
    @precondition(lambda self: self.router.assignments)
    def arrive_with_nothing_to_say(self, data: st.DataObject) -> None:
        """A record comes in that a rule leaves out."""
        assignment = data.draw(st.sampled_from(list(self.router.assignments.values())))
        offset = self.next_offset[assignment.partition]
        self.next_offset[assignment.partition] += 1
        if assignment.stage is Stage.OWNED:
            self.taken[assignment].add(offset)
        self.tell(SaysNothing(assignment, Record(offset, value=b"x"), "rule"))

    @rule(data=st.data())
    @precondition(lambda self: self.router.assignments)
    def arrive_unreadable(self, data: st.DataObject) -> None:
        """A record comes in that nobody understands."""
        assignment = data.draw(st.sampled_from(list(self.router.assignments.values())))
        offset = self.next_offset[assignment.partition]
        self.next_offset[assignment.partition] += 1
        if assignment.stage is Stage.OWNED:
            self.taken[assignment].add(offset)
        self.tell(Unreadable(assignment, Record(offset, value=b"?"), Reason.NOT_JSON))

    @rule(data=st.data())
    @precondition(lambda self: self.flying)
    def succeed(self, data: st.DataObject) -> None:
        """The API does what it is asked to."""
        call = data.draw(st.sampled_from(self.flying))
        self.count += 1
        self.answer(call, success_of(call, self.count))

    @rule(failure=failures, data=st.data())
    @precondition(lambda self: self.flying)
    def fail(self, failure: TryAgain | Misconfigured | Refused, data: st.DataObject) -> None:
        """The API does not."""
        self.answer(data.draw(st.sampled_from(self.flying)), failure)

    @rule(status=st.sampled_from([404, 410]), data=st.data())
    @precondition(lambda self: any(isinstance(call, SendEvent) for call in self.flying))
    def lose(self, status: int, data: st.DataObject) -> None:
        """The API knows the session no more."""
        call = data.draw(st.sampled_from([call for call in self.flying if isinstance(call, SendEvent)]))
        self.answer(call, Lost(status))

    @rule(seconds=st.sampled_from([0.01, 0.5, 5.0, 40.0, 700.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes, and the timers that run out are told."""
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for _, wait in due:
            self.tell(Woke(wait.lane, wait.ticket))
        self.turn()

    @rule(failure=failures, seconds=st.sampled_from([3.0, 7.0]))
    @precondition(lambda self: self.flying)
    def fail_for_a_while(self, failure: TryAgain | Misconfigured | Refused, seconds: float) -> None:
        """An outage: whatever leaves fails."""
        until = self.now + seconds
        while self.now < until:
            for call in list(self.flying):
                self.answer(call, failure)
            self.pass_time(0.7)

    @rule(data=st.data())
    @precondition(lambda self: self.timers)
    def wake_too_early_or_in_vain(self, data: st.DataObject) -> None:
        """A timer that was never set, or one that is void, wakes nobody."""
        _, wait = data.draw(st.sampled_from(self.timers))
        self.tell(Woke(wait.lane, wait.ticket + 1))

    @rule(data=st.data())
    @precondition(lambda self: self.letters)
    def store_aside(self, data: st.DataObject) -> None:
        """Kafka confirms a dead letter."""
        letter = data.draw(st.sampled_from(self.letters))
        self.store(letter)

    @rule(data=st.data())
    @precondition(lambda self: self.router.assignments)
    def leave(self, data: st.DataObject) -> None:
        """A partition is about to be taken."""
        self.tell(Leaving(data.draw(st.sampled_from(list(self.router.assignments.values())))))

    @rule(data=st.data())
    @precondition(lambda self: self.router.assignments)
    def revoke(self, data: st.DataObject) -> None:
        """A partition is taken."""
        self.tell(Revoked(data.draw(st.sampled_from(list(self.router.assignments.values())))))

    @rule(is_window_full=st.booleans())
    def park(self, is_window_full: bool) -> None:  # noqa: FBT001  # drawn
        """The router looks around for who holds up others."""
        for assignment in self.router.assignments.values():
            assignment.is_window_full = is_window_full
        self.carry_out(self.router.park(self.now))
        self.turn()

    @rule(key=st.sampled_from(KEYS), data=st.data())
    @precondition(lambda self: self.router.assignments)
    def one_fails_while_others_are_served(self, key: SessionKey, data: st.DataObject) -> None:
        """A session is stuck, and has much to say; whoever else calls is served."""
        if any(one.stage is Stage.OWNED for one in self.router.assignments.values()):
            assignment = data.draw(st.sampled_from([one for one in self.router.assignments.values() if one.stage is Stage.OWNED]))
            for _ in range(LIMITS.session_events_max):
                self.say(assignment, key, EventType.PING)
        for other in (one for one in KEYS if one != key):
            for assignment in list(self.router.assignments.values()):
                self.say(assignment, other, EventType.SESSION_START)
        for _ in range(8):
            for call in list(self.flying):
                self.count += 1
                self.answer(call, TryAgain("status_503", 503) if call.lane.key == key else success_of(call, self.count))
            self.pass_time(0.7)

    @rule()
    def forget_idle(self) -> None:
        """Silent sessions are let go."""
        for assignment in self.router.assignments.values():
            self.carry_out(self.router.forget_idle(assignment, self.now))

    @rule(is_read_up=st.booleans())
    def look_for_silence(self, is_read_up: bool) -> None:  # noqa: FBT001  # drawn by its name
        """Silent players are spoken for, where that is wanted and nothing waits in the log."""
        for assignment in self.router.assignments.values():
            assignment.is_read_up = is_read_up
        self.router.look_for_silence(self.now)
        self.turn()

    @rule()
    def shed(self) -> None:
        """Superseded pings go, where that is wanted."""
        before = {lane: list(lane.waiting) for lane in self.router.lanes()}
        self.carry_out(self.router.shed(self.now))
        for lane, waiting in before.items():
            gone = [event for event in waiting if event not in lane.waiting]
            assert all(event.event_type is EventType.PING and event is not waiting[0] for event in gone)
            assert lane.waiting == [event for event in waiting if event not in gone]
            assert not gone or any(event.event_type is EventType.PING for event in lane.waiting)

    # --- what must hold -----------------------------------------------------------------------------------------------------------

    @invariant()
    def one_call_per_session(self) -> None:
        """Even across a rebalance."""
        places = Counter((call.lane.assignment.partition, call.lane.key) for call in self.flying)
        assert max(places.values(), default=0) <= 1

    @invariant()
    def lanes_in_flight_are_the_calls_under_way(self) -> None:
        """And a lane at rest with something to say stands in a queue, waits for a timer, or for an old call to end."""
        in_flight = {lane for lane in self.router.lanes() if lane.state >= IN_FLIGHT_FROM}
        assert in_flight == {call.lane for call in self.flying if call.lane.assignment.stage is not Stage.GONE}
        orphaned = {(call.lane.assignment.partition, call.lane.key) for call in self.flying if call.lane.assignment.stage is Stage.GONE}
        for lane in self.router.lanes():
            if lane.waiting and lane not in in_flight and lane.assignment.stage is Stage.OWNED:
                place = (lane.assignment.partition, lane.key)
                assert lane.is_queued or lane.is_waiting or place in orphaned, "a lane that nobody will ever wake"
                assert not (lane.is_queued and lane.is_waiting)

    @invariant()
    def counters_equal_a_recount(self) -> None:
        """Nothing leaks."""
        router, lanes = self.router, list(self.router.lanes())
        assert router.in_flight == len(self.flying) <= LIMITS.concurrency_max
        for assignment in self.all:
            assert assignment.in_flight == sum(call.lane.assignment is assignment for call in self.flying)
            assert assignment.asides_pending == sum(letter.assignment is assignment for letter in self.letters)
        events = [event for lane in lanes for event in lane.waiting]
        records = [event.record for event in events if event.record is not None and (event.part is None or event.part.is_last)]
        assert router.buffer.event_count == len(events)
        assert router.buffer.byte_count == sum(len(one.value or b"") + len(one.key or b"") + EVENT_OVERHEAD_BYTES for one in records)
        assert router.buffer.lane_count == len(lanes)
        assert router.buffer.crowded_lanes == sum(len(lane.waiting) >= LIMITS.session_events_max for lane in lanes)
        assert router.sessions_open == sum(lane.session_id is not None for lane in lanes)
        assert router.order_violations == 0

    @invariant()
    def the_safe_offset_is_safe(self) -> None:
        """It is never beyond an unfinished offset, and never goes back."""
        for assignment in self.all:
            safe = assignment.ledger.safe
            unfinished = self.taken[assignment] - self.done[assignment]
            if safe is None:
                assert not self.taken[assignment]
                continue
            if assignment.stage is not Stage.GONE:
                assert safe <= min(unfinished, default=safe)
            assert safe >= self.safe_before.get(assignment, 0)
            self.safe_before[assignment] = safe

    @invariant()
    def sent_in_the_order_of_the_log(self) -> None:
        """Within an assignment each session's events leave for the first time in ascending order."""
        for offsets in self.first_sent.values():
            assert offsets == sorted(offsets)

    @invariant()
    def nobody_spins(self) -> None:
        """When the router has nothing to say now, the moment at which it asks to be asked again lies ahead."""
        self.turn()
        asked = self.router.wake_at()
        assert asked is None or asked > self.now

    @invariant()
    def sessions_stand_where_they_can_go_on(self) -> None:
        """Whoever is ready has an id and knows how to open again; who is lost knows how to open again."""
        for lane in self.router.lanes():
            if lane.state is State.READY:
                assert lane.session_id is not None
            if lane.state in {State.READY, State.LOST}:
                assert lane.start is not None

    def teardown(self) -> None:
        """In the end the API serves everything: nothing is lost, nothing is left."""
        for _ in range(TELLS_AGAIN_AFTER):
            if not (self.flying or self.letters or any(lane.waiting for lane in self.owned_lanes())):
                break
            while self.letters:
                self.store(self.letters[0])
            if self.flying:
                self.count += 1
                self.answer(self.flying[0], success_of(self.flying[0], self.count))
            else:
                self.pass_time(1.0)
            self.counters_equal_a_recount()
            self.one_call_per_session()
        assert not self.flying
        assert not any(lane.waiting for lane in self.owned_lanes()), "an event that never leaves"
        for assignment in self.all:
            if assignment.stage is Stage.OWNED:
                assert self.done[assignment] == self.taken[assignment]
                assert assignment.ledger.outstanding_count == 0
        for assignment in list(self.router.assignments.values()):
            self.tell(Revoked(assignment))
        buffer = self.router.buffer
        assert (buffer.event_count, buffer.byte_count, buffer.lane_count, buffer.crowded_lanes) == (0, 0, 0, 0)
        assert (self.router.in_flight, self.router.sessions_open) == (0, 0)
        if self.router.opening.state is CircuitState.CLOSED and self.router.sending.state is CircuitState.CLOSED:
            self.pass_time(10.0)
            assert self.router.turns(self.now) == []

    # --- how ----------------------------------------------------------------------------------------------------------------------

    def owned_lanes(self) -> list[object]:
        """Lanes that may go on."""
        return [lane for lane in self.router.lanes() if lane.assignment.stage is Stage.OWNED]

    def tell(self, happened: Arrived | ArrivedInParts | SaysNothing | Assigned | Leaving | Revoked | Unreadable | Woke) -> None:
        """Tell the router, and let go whoever may go."""
        self.carry_out(self.router.handle(happened, self.now))
        self.turn()

    def answer(self, call: Call, verdict: Verdict) -> None:
        """A call has ended."""
        self.flying.remove(call)
        self.carry_out(self.router.handle(Answered(call.lane, verdict), self.now))
        self.turn()

    def store(self, letter: SetAside) -> None:
        """A dead letter is confirmed."""
        self.letters.remove(letter)
        place = (letter.assignment, letter.record.offset)
        if place in self.parts:
            assert place not in self.stored, "a second letter of one record"
            self.stored.add(place)
            self.finish_if_whole(*place)
        elif letter.assignment.stage is not Stage.GONE:
            self.finish(*place)
        self.carry_out(self.router.handle(StoredAside(letter.assignment, letter.record.offset, letter.key), self.now))

    def finish(self, assignment: Assignment, offset: int) -> None:
        """An offset is finished, once."""
        assert offset in self.taken[assignment]
        assert offset not in self.done[assignment]
        self.done[assignment].add(offset)

    def left_the_head(self, command: Finish | FinishUnknown | DropEvent | SetAside | SetAsideAlready) -> None:
        """An event was delivered, skipped or dropped, or is in a dead letter."""
        if isinstance(command, SetAside):
            self.letters.append(command)
            if command.reason is Reason.PARKED and command.attempts:
                assert self.router.opening.state is CircuitState.CLOSED or self.router.sending.state is CircuitState.CLOSED
            assignment, record, part = command.assignment, command.record, command.part
        else:
            assignment, part = command.lane.assignment, command.event.part
            assert command.event.record is not None
            record = command.event.record
        if part is not None:
            self.part_left(assignment, record.offset, part)
        elif isinstance(command, Finish | FinishUnknown | DropEvent):
            self.finish(assignment, record.offset)

    def part_left(self, assignment: Assignment, offset: int, part: Part) -> None:
        """A part has left its lane: after those before it."""
        parts = self.parts[assignment, offset]
        parts[0] += 1
        assert parts == [part.number, part.count]
        self.finish_if_whole(assignment, offset)

    def finish_if_whole(self, assignment: Assignment, offset: int) -> None:
        """A record is finished with its last part, and not before its letter is confirmed."""
        left, count = self.parts[assignment, offset]
        has_letter = any((letter.assignment, letter.record.offset) == (assignment, offset) for letter in self.letters)
        if left == count and not has_letter and assignment.stage is not Stage.GONE:
            self.finish(assignment, offset)

    def turn(self) -> None:
        """Let go whoever may go."""
        self.carry_out(self.router.turns(self.now))

    def carry_out(self, commands: list[Command]) -> None:  # one case per command
        """On paper."""
        for command in commands:
            match command:
                case OpenSession() | SendEvent():
                    assert command.lane.assignment.stage is Stage.OWNED, "nothing new leaves for who is leaving"
                    self.flying.append(command)
                    if isinstance(command, SendEvent) and command.event.record is not None:
                        sent = self.first_sent.setdefault((command.lane.assignment, command.lane.key), [])
                        if not sent or sent[-1] != command.event.record.offset:
                            sent.append(command.event.record.offset)
                case Wait():
                    self.timers.append((self.now + command.seconds + command.jitter_seconds, command))
                case Finish() | FinishUnknown() | DropEvent() | SetAside() | SetAsideAlready():
                    self.left_the_head(command)
                case Skip(reason=Skipped.READ_AGAIN):
                    pass
                case Drop() | Skip():
                    self.finish(command.assignment, command.offset)
                case Announce() | Remember() | Forget():
                    pass


class CaredHistory(RouterHistory):
    """One history in which the relay speaks for silent players."""

    operator = CARED


class DecidedHistory(RouterHistory):
    """One history in which the operator has decided about single events."""

    operator = DECIDED
    sheds_after = 2.0


TestRouterHistories = RouterHistory.TestCase
TestRouterHistories.settings = settings(max_examples=60, stateful_step_count=60, deadline=None, derandomize=True, database=None)
TestDecidedHistories = DecidedHistory.TestCase
TestDecidedHistories.settings = TestRouterHistories.settings
TestCaredHistories = CaredHistory.TestCase
TestCaredHistories.settings = TestRouterHistories.settings
