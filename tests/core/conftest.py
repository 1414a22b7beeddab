"""A router at work: a clock that stands until it is moved, and an API that answers what the test says.

In: what a test lets happen. Out: the calls under way, and what became of each event. After each step the books are checked: the router's
counters must equal what is counted anew.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.assignment import Assignment
from relay.core.books import EVENT_OVERHEAD_BYTES
from relay.core.commands import (
    Announce,
    Change,
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
    Input,
    Leaving,
    Opened,
    Revoked,
    StoredAside,
    Verdict,
    Woke,
)
from relay.core.lane import Lane, State
from relay.core.ledger import Ledger
from relay.core.memoir import read, write
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.sequence import Order
from relay.core.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Callable

Call = OpenSession | SendEvent
START = b'{"media.id":"film"}'
IDLE_STEPS_MAX = 2_000  # steps in a row in which no time passes


class Driver:
    """Carries out the router's commands on paper."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        rules: Rules | None = None,
        starts: Starts | None = None,
        order: Order | None = None,
        checks_books: bool = True,
    ) -> None:
        """Begin with one partition."""
        self.limits = limits or Limits()
        self.order = order
        self.router = Router(
            limits=self.limits,
            rules=rules or Rules(),
            starts=starts or Starts(required=frozenset({"media.id"}), may_join=False),
            order=order,
        )
        self.now = 1_000.0
        self.flying: list[Call] = []
        self.calls: list[Call] = []
        self.timers: list[tuple[float, int, Wait]] = []
        self.waits: list[Wait] = []
        self.finished: list[int] = []
        self.unknown: list[int] = []
        self.dropped: list[tuple[int, str]] = []
        self.skipped: list[int] = []
        self.dropped: list[tuple[int, str]] = []
        self.aside: list[SetAside] = []
        self.announced: list[Announce] = []
        self.remembered: list[Lane] = []
        self.forgotten: list[Lane] = []
        self.opened = 0
        self.stores_aside = True
        self.jitter = 1.0  # which part of the longest wait is drawn
        self._checks_books = checks_books
        self._count = itertools.count()
        self._unasked: list[Call] = []
        self._answers: list[tuple[float, int, Call, Verdict]] = []
        self._asides_pending: Counter[Assignment] = Counter()
        self._aside_keys: dict[tuple[Assignment, int], SessionKey | None] = {}
        self._offsets: Counter[tuple[str, int]] = Counter()
        self.assignment = self.assign()

    # --- what happens -------------------------------------------------------------------------------------------------------------

    def assign(self, partition: int = 0, *, ledger: Ledger | None = None, from_offset: int | None = None) -> Assignment:
        """A partition becomes ours, from the beginning or from an offset."""
        assignment = Assignment("events", partition, ledger=ledger)
        if from_offset is not None:
            self._offsets["events", partition] = from_offset
        self.handle(Assigned(assignment))
        self.assignment = assignment
        return assignment

    def arrive(  # noqa: PLR0913  # an event has that many parts
        self,
        key: str,
        *kinds: EventType,
        assignment: Assignment | None = None,
        params: bytes = b"",
        metadata: bytes = b"",
        state_name: str = "",
        start: Details | None = None,
        appended_at: float | None = None,
        headers: tuple[tuple[str, bytes | None], ...] = (),
        turns: bool = True,
    ) -> list[PlayerEvent]:
        """Events of one player session come in. Playhead and time follow from the offset, so that each event is told from the others."""
        assignment = assignment or self.assignment
        events: list[PlayerEvent] = []
        for kind in kinds:
            offset = self._offsets[assignment.topic, assignment.partition]
            self._offsets[assignment.topic, assignment.partition] += 1
            event = PlayerEvent(
                kind,
                playhead=offset + 0.5,
                ts=1_700_000_000_000 + offset,
                params=params or (START if kind is EventType.SESSION_START else b""),
                custom_metadata=metadata,
                state_name=state_name,
                start=start,
                record=Record(
                    offset,
                    key=key.encode(),
                    value=b"x" * 100,
                    headers=headers,
                    appended_at=self.now if appended_at is None else appended_at,
                ),
            )
            events.append(event)
            self.carry_out(self.router.handle(Arrived(assignment, SessionKey(key), event), self.now))
        if turns:
            self.turn()
        return events

    def say(  # noqa: PLR0913  # an event has that many parts
        self,
        kind: EventType,
        ts: int,
        *,
        key: str = "a",
        number: int | None = None,
        value: bytes | None = None,
        headers: tuple[tuple[str, bytes | None], ...] = (),
        assignment: Assignment | None = None,
    ) -> int:
        """An event of this time comes in, and perhaps with this number; its offset."""
        assignment = assignment or self.assignment
        offset = self._offsets[assignment.topic, assignment.partition]
        self._offsets[assignment.topic, assignment.partition] += 1
        headers += () if number is None else (("seq", str(number).encode()),)
        written = value if value is not None else f"{kind} {ts} {number}".encode()
        record = Record(offset, key=key.encode(), value=written, headers=headers, appended_at=self.now)
        params = START if kind is EventType.SESSION_START else b""
        event = PlayerEvent(kind, playhead=offset + 0.5, ts=ts, params=params, record=record)
        self.handle(Arrived(assignment, SessionKey(key), event))
        return offset

    def arrive_in_parts(self, key: str, *kinds: EventType, start: Details | None = None) -> int:
        """A record comes in that says all of this at once; its offset."""
        offset = self._offsets[self.assignment.topic, self.assignment.partition]
        self._offsets[self.assignment.topic, self.assignment.partition] += 1
        record = Record(offset, key=key.encode(), value=b"x" * 100, appended_at=self.now)
        events = tuple(
            PlayerEvent(
                kind,
                playhead=offset + number / 10,
                ts=1_700_000_000_000 + offset,
                params=START if kind is EventType.SESSION_START else b"",
                start=start,
                record=record,
                part=Part(number, len(kinds)),
            )
            for number, kind in enumerate(kinds, start=1)
        )
        self.handle(ArrivedInParts(self.assignment, SessionKey(key), events))
        return offset

    def restart(self, *, from_offset: int) -> None:
        """All memory but that of the state topic is gone, and the log is read again from an offset."""
        memoirs = {lane.key: write(lane) for lane in self.assignment.lanes.values()}
        self.revoke()
        self.flying.clear()
        starts = Starts(required=frozenset({"media.id"}), may_join=False)
        self.router = Router(limits=self.limits, rules=Rules(), starts=starts, order=self.order)
        assignment = self.assign(from_offset=from_offset)
        for key, memoir in memoirs.items():
            if memoir is not None:
                self.router.restore(assignment, key, read(memoir), self.now)

    def handle(self, *happened: Input) -> None:
        """Something happens; then whoever may go goes."""
        for one in happened:
            self.carry_out(self.router.handle(one, self.now))
        self.turn()

    def turn(self) -> None:
        """Let go whoever may go."""
        self.carry_out(self.router.turns(self.now))
        if self._checks_books:
            self.check_books()

    def answer(self, *verdicts: Verdict, key: str | None = None) -> Call:
        """The API answers the oldest call under way, or that of one player session; then the next one of the same session, and so on."""
        for verdict in verdicts:
            call = self.call_of(key)
            key = call.lane.key
            self.flying.remove(call)
            self._unasked = [other for other in self._unasked if other is not call]  # the same call may leave again at once
            self.handle(Answered(call.lane, verdict))
        return call

    def accept(self, count: int = 1, key: str | None = None) -> None:
        """The API does what it is asked to, so many times."""
        for _ in range(count):
            self.answer(self.success_of(self.call_of(key)), key=key)

    def accept_all(self) -> None:
        """The API does what it is asked to until nothing is under way."""
        while self.flying:
            self.accept()

    def open(self, key: str = "a") -> Lane:
        """A player session begins, and its API session is open."""
        self.arrive(key, EventType.SESSION_START)
        self.accept(key=key)
        return self.lane(key)

    def store_aside(self, offset: int, assignment: Assignment | None = None) -> None:
        """Kafka confirms a dead letter."""
        assignment = assignment or self.assignment
        self._asides_pending[assignment] -= 1
        self.carry_out(self.router.handle(StoredAside(assignment, offset, self._aside_keys.pop((assignment, offset), None)), self.now))

    def leave(self, assignment: Assignment | None = None) -> None:
        """A partition is about to be taken."""
        self.handle(Leaving(assignment or self.assignment))

    def revoke(self, assignment: Assignment | None = None) -> None:
        """A partition is taken."""
        self.handle(Revoked(assignment or self.assignment))

    def wake(self) -> None:
        """Time passes until the timers set so far have run out."""
        timers, self.timers = sorted(self.timers), []
        for moment, _, wait in timers:
            self.now = max(self.now, moment)
            self.handle(Woke(wait.lane, wait.ticket))

    def pass_time(self, seconds: float) -> None:
        """Time passes; timers run out and the router is asked when it wants to be, as the pump does it."""
        self.run(seconds, lambda _: None)

    def run(self, seconds: float, api: Callable[[Call], Verdict | None], *, latency_seconds: float = 0.02) -> None:
        """Time passes, and an API answers each call after a while; None: not while this API is there."""
        until = self.now + seconds
        idle_steps = 0
        while True:
            unasked, self._unasked = self._unasked, []
            for call in unasked:
                if call not in self.flying:
                    continue
                verdict = api(call)
                if verdict is None:
                    self._unasked.append(call)
                else:
                    heapq.heappush(self._answers, (self.now + latency_seconds, next(self._count), call, verdict))
            asked = self.router.wake_at()
            # A moment after the one that was asked for: like a real clock, which never stands still.
            moments = [] if asked is None else [max(asked, self.now) + 1e-6]
            moments += [queue[0][0] for queue in (self.timers, self._answers) if queue]
            moment = min(moments, default=until)
            if moment >= until:
                break
            idle_steps = idle_steps + 1 if moment < self.now + 1e-5 else 0
            assert idle_steps < IDLE_STEPS_MAX, "the router asks to be woken again and again, and has nothing to say"
            self.now = max(self.now, moment)
            while self.timers and self.timers[0][0] <= self.now:
                wait = heapq.heappop(self.timers)[2]
                self.carry_out(self.router.handle(Woke(wait.lane, wait.ticket), self.now))
            while self._answers and self._answers[0][0] <= self.now:
                _, _, call, verdict = heapq.heappop(self._answers)
                self.flying.remove(call)
                self.carry_out(self.router.handle(Answered(call.lane, verdict), self.now))
            self.turn()
        self.now = until
        self.turn()

    # --- what is seen -------------------------------------------------------------------------------------------------------------

    def call_of(self, key: str | None = None) -> Call:
        """The call under way for a player session; the oldest one when none is named."""
        return next(call for call in self.flying if key is None or call.lane.key == key)

    def success_of(self, call: Call) -> Verdict:
        """What a healthy API answers."""
        if isinstance(call, SendEvent):
            return Accepted()
        self.opened += 1
        return Opened(ApiSessionId(f"api-{self.opened}"))

    def lane(self, key: str = "a") -> Lane:
        """The lane of a player session."""
        return self.assignment.lanes[SessionKey(key)]

    def sent(self, key: str = "a", *, since: int = 0) -> list[str]:
        """What left for a player session, in words."""
        return [name(call) for call in self.calls[since:] if call.lane.key == key]

    def changes(self) -> list[Change]:
        """What was announced."""
        return [announce.change for announce in self.announced]

    def reasons(self) -> list[tuple[int, str]]:
        """What was set aside, and why."""
        return [(aside.record.offset, str(aside.reason)) for aside in self.aside]

    # --- the books ----------------------------------------------------------------------------------------------------------------

    def check_books(self) -> None:
        """The router's counters equal what is counted anew."""
        router, lanes = self.router, list(self.router.lanes())
        assert router.order_violations == 0
        assert router.in_flight == len(self.flying)
        for assignment in router.assignments.values():
            assert assignment.in_flight == sum(call.lane.assignment is assignment for call in self.flying)
            assert assignment.asides_pending == self._asides_pending[assignment]
        events = [event for lane in lanes for event in lane.waiting]
        held = [one for lane in lanes if lane.sequence is not None for one in lane.sequence.held]
        events += [event for one in held for event in one.events]
        records = [event.record for event in events if event.record is not None and (event.part is None or event.part.is_last)]
        assert router.buffer.event_count == len(events)
        assert router.buffer.byte_count == sum(len(one.value or b"") + len(one.key or b"") + EVENT_OVERHEAD_BYTES for one in records)
        assert router.buffer.lane_count == len(lanes)
        assert router.buffer.crowded_lanes == sum(len(lane.waiting) >= self.limits.session_events_max for lane in lanes)
        assert router.sessions_open == sum(lane.session_id is not None for lane in lanes)
        places = Counter((call.lane.assignment.topic, call.lane.assignment.partition, call.lane.key) for call in self.flying)
        assert max(places.values(), default=0) <= 1, "two calls of one player session at once"

    def carry_out(self, commands: list[Command]) -> None:  # noqa: C901, PLR0912  # one case per command
        """On paper."""
        for command in commands:
            match command:
                case OpenSession() | SendEvent():
                    self.flying.append(command)
                    self._unasked.append(command)
                    self.calls.append(command)
                case Wait():
                    self.waits.append(command)
                    moment = self.now + command.seconds + command.jitter_seconds * self.jitter
                    heapq.heappush(self.timers, (moment, next(self._count), command))
                case Finish():
                    assert command.event.record is not None
                    self.finished.append(command.event.record.offset)
                case FinishUnknown():
                    assert command.event.record is not None
                    self.unknown.append(command.event.record.offset)
                case DropEvent():
                    assert command.event.record is not None
                    self.dropped.append((command.event.record.offset, str(command.reason)))
                case Skip():
                    self.skipped.append(command.offset)
                case Drop():
                    self.dropped.append((command.offset, command.reason))
                case SetAside():
                    self.aside.append(command)
                    self._asides_pending[command.assignment] += 1
                    self._aside_keys[command.assignment, command.record.offset] = command.key
                    if self.stores_aside:
                        self.store_aside(command.record.offset, command.assignment)
                case Remember():
                    self.remembered.append(command.lane)
                case Forget():
                    self.forgotten.append(command.lane)
                case Announce():
                    self.announced.append(command)


def name(call: Call) -> str:
    """A call in a word or two."""
    if isinstance(call, SendEvent):
        return str(call.event.event_type)
    resumes = msgspec.json.decode(call.start.params, type=dict[str, object]).get("media.resume") is True if call.start.params else False
    return "open again" if resumes else "open"


@pytest.fixture
def driver() -> Driver:
    """A router with the limits and rules that it has by default."""
    return Driver()


@pytest.fixture
def make_driver() -> Callable[..., Driver]:
    """For a router with other limits, rules or starts."""
    return Driver


@pytest.fixture
def lane() -> Lane:
    """An empty lane."""
    return Lane(SessionKey("a"), Assignment("events", 0))


@pytest.fixture
def states() -> list[State]:
    """Each state there is."""
    return list(State)
