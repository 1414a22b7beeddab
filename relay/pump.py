"""The loop: what happened → core → commands → the outside. It owns the only timer, and decides nothing.

In: messages of the Kafka source, ends of calls, confirmations of dead letters. Out: calls, dead letters, commits.

Everything that happens is put into an inbox, and one pass drains it: handle each, let go whoever may go, arm the timer. So callbacks never
reach into the core, and a burst costs one pass.
"""

import heapq
import logging
import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, NamedTuple, Protocol

from relay.core import memoir, receipts
from relay.core.assignment import Assignment, Stage
from relay.core.commands import Announce, Change, Command, Finish, Forget, OpenSession, Remember, SendEvent, SetAside, Skip, Wait
from relay.core.events import PlayerEvent, Record, SessionKey
from relay.core.inputs import Answered, Arrived, Assigned, Input, Leaving, Revoked, StoredAside, Unreadable, Woke
from relay.core.lane import Lane, State
from relay.core.ledger import Ledger
from relay.core.memoir import Memoir
from relay.core.pressure import CircuitState
from relay.core.router import Router
from relay.input.native import Unreadable as UnreadableRecord
from relay.kafka.dead_letters import DeadLetter
from relay.kafka.source import (
    CommitFailed,
    CommitPoint,
    Committed,
    CommittedPosition,
    Fetched,
    PartitionsAssigned,
    PartitionsLeaving,
    PartitionsLost,
    SourceFailed,
    SourceMessage,
)
from relay.observe.logs import hashed
from relay.observe.metrics import Tallies

log = logging.getLogger("relay.pump")

FAREWELL_SECONDS_MAX: Final = 1.5  # for the memoirs of partitions that leave; their callback waits two
RECEIPT_LENGTH_PAUSE: Final = receipts.TEXT_LENGTH_MAX * 3 // 4  # take no more records before finished offsets have no room
IDLE_SWEEPS: Final = 20  # a silent session is forgotten at most a twentieth of the limit late


class Loop(Protocol):
    """What the pump needs of an event loop; a simulation brings its own."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Call back in the next pass of the loop."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Handle":
        """Call back after so many seconds."""
        ...


class Handle(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None:
        """Call it off."""
        ...


class Reads(Protocol):
    """The input's face."""

    def read(self, record: Record) -> tuple[SessionKey, PlayerEvent]:
        """The event in a record, or `Unreadable`."""
        ...


class StartsCalls(Protocol):
    """The calls' face."""

    def start(self, command: OpenSession | SendEvent) -> None:
        """Begin a call; its end comes back as `Answered`."""
        ...


class StoresLetters(Protocol):
    """The dead letters' face."""

    @property
    def pending_bytes(self) -> int:
        """What is written and not yet confirmed."""
        ...

    def put(self, letter: DeadLetter, stored: Callable[[], None]) -> None:
        """Write a letter; call back once Kafka has confirmed it."""
        ...


class Flows(Protocol):
    """The source's face."""

    def commit(self, points: list[CommitPoint]) -> None:
        """Commit; `Committed` or `CommitFailed` comes back."""
        ...

    def pause(self) -> None:
        """Let no more records come."""
        ...

    def resume(self) -> None:
        """Let records come again."""
        ...

    def release(self, partitions: list[tuple[str, int]]) -> None:
        """Let records of newly assigned partitions come."""
        ...

    def taken(self) -> None:
        """A batch has been taken in."""
        ...


class KeepsMemoirs(Protocol):
    """The state topic's face."""

    @property
    def is_failing(self) -> bool:
        """Whether memoirs cannot be written now."""
        ...

    def write(self, topic: str, partition: int, key: SessionKey, memoir: bytes | None) -> None:
        """Write a memoir, or a tombstone."""
        ...

    def after_written(self, topic: str, partition: int, then: Callable[[], None]) -> None:
        """Call back once all that was written for the partition so far is confirmed."""
        ...

    def restore(self, topic: str, partition: int, found: "Found", done: Callable[[], None]) -> None:
        """Read the partition, hand over each of its sessions once, in chunks; then say that it is done."""
        ...

    def let_go(self, topic: str, partition: int) -> None:
        """The partition is no longer ours: what waits to be written for it must not be written over the next owner's."""
        ...


class _Receipt(NamedTuple):
    """What is being made durable for one partition."""

    assignment: Assignment
    point: CommitPoint | None
    ended: list[Lane]  # sessions that are over: their memoirs give way to tombstones once the commit covers their end


Found = Callable[[list[tuple[SessionKey, Memoir | None]]], None]


class _Departure:
    """Partitions that are about to leave: calls under way may end, then memoirs are written, then it is said what may be committed."""

    def __init__(self, assignments: list[Assignment], reply: Callable[[list[CommitPoint]], None]) -> None:
        self.assignments = assignments
        self.reply = reply
        self.timer: Handle | None = None
        self.unwritten = len(assignments)
        self.points: list[CommitPoint] = []

    @property
    def is_quiet(self) -> bool:
        return all(assignment.in_flight == 0 and assignment.asides_pending == 0 for assignment in self.assignments)


class Pump:
    """Carries messages between the core and the outside."""

    def __init__(
        self,
        *,
        router: Router,
        reader: Reads,
        calls: StartsCalls,
        letters: StoresLetters,
        memoirs: KeepsMemoirs,
        source: Flows,
        tallies: Tallies,
        loop: Loop,
        failed: Callable[[BaseException], None],
        receipt_seconds: float = 0.2,
        leaving_seconds_max: float = 10.0,
        idle_seconds_max: float = 1800.0,
        letter_bytes_max: int = 64 * 2**20,
        random: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Join the parts. `failed` hears of what the service cannot go on after."""
        self.router = router
        self.last_pass_at = clock()
        self.last_delivery_at: float | None = None
        self.has_joined = False  # the group has given us an assignment, be it empty
        self.leaving_seconds_max = leaving_seconds_max
        self._reader = reader
        self._calls = calls
        self._letters = letters
        self._memoirs = memoirs
        self._source = source
        self._tallies = tallies
        self._loop = loop
        self._failed = failed
        self._receipt_seconds = receipt_seconds
        self._sweep_seconds = idle_seconds_max / IDLE_SWEEPS
        self._letter_bytes_max = letter_bytes_max
        self._random = random or Random()  # noqa: S311  # jitter, no secret
        self._clock = clock
        self._wall_clock = wall_clock

        self._inbox: list[Input] = []
        self._is_scheduled = False
        self._is_broken = False
        self._timers: list[tuple[float, int, Lane, int]] = []
        self._timer_count = 0
        self._alarm: Handle | None = None
        self._alarm_at = float("inf")
        self._generation = 0
        self._departures: list[_Departure] = []
        self._committed: dict[Assignment, CommitPoint] = {}
        self._receipts_under_way: dict[tuple[str, int], _Receipt] = {}
        self._due_points: list[CommitPoint] = []
        self._is_receipt_long: dict[tuple[str, int], bool] = {}
        self._is_paused = False
        self._circuits = {"open": CircuitState.CLOSED, "send": CircuitState.CLOSED}
        self._swept_at = self.last_pass_at
        self._perform: dict[type[Command], Callable[..., None]] = {
            OpenSession: calls.start,
            SendEvent: calls.start,
            Wait: self._wait,
            Finish: self._finish,
            Skip: self._skip,
            SetAside: self._set_aside,
            Remember: self._remember,
            Forget: self._forget,
            Announce: self._announce,
        }
        self._receive: dict[type[SourceMessage], Callable[..., None]] = {
            Fetched: self._fetched,
            PartitionsAssigned: self._assigned,
            PartitionsLeaving: self._leaving,
            PartitionsLost: self._lost,
            Committed: self._commit_ended,
            CommitFailed: self._commit_failed,
            SourceFailed: self._source_failed,
        }

    # --- the face ---------------------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the clockwork."""
        self._loop.call_later(self._receipt_seconds, self._tick)

    def put(self, happened: Input) -> None:
        """Something happened; it is handled in the next pass."""
        self._inbox.append(happened)
        self._schedule()

    def deliver(self, message: SourceMessage) -> None:
        """The source says something; records are taken in at once, the rest follows in the next pass."""
        if self._is_broken and isinstance(message, PartitionsLeaving):
            message.reply([])  # after a bug nothing is committed, and nobody needs to wait
        self._protect(lambda: self._receive[type(message)](message))
        self._schedule()

    def hurry(self) -> None:
        """Do not wait any longer for calls under way: whoever leaves leaves now."""
        self.leaving_seconds_max = 0.0
        for departure in list(self._departures):
            self._depart(departure)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        self._is_scheduled = False
        self._protect(self._drain_inbox)

    def _protect(self, step: Callable[[], None]) -> None:
        """A bug of the relay stops the service, and nothing is committed after it."""
        if self._is_broken:
            return
        try:
            step()
        except Exception as bug:  # noqa: BLE001  # the one place
            self._is_broken = True
            self._failed(bug)

    def _drain_inbox(self) -> None:
        now = self.last_pass_at = self._clock()
        router, perform = self.router, self._perform
        while self._timers and self._timers[0][0] <= now:
            _, _, lane, ticket = heapq.heappop(self._timers)
            self._inbox.append(Woke(lane, ticket))
        inbox, self._inbox = self._inbox, []
        for happened in inbox:
            for command in router.handle(happened, now):
                perform[type(command)](command)
        for command in router.turns(now):
            perform[type(command)](command)
        for departure in [one for one in self._departures if one.is_quiet]:
            self._depart(departure)
        self._check_fullness()
        self._watch_circuits()
        self._set_alarm(now)

    # --- commands ---------------------------------------------------------------------------------------------------------------------

    def _wait(self, wait: Wait) -> None:
        moment = self.last_pass_at + wait.seconds + self._random.random() * wait.jitter_seconds
        self._timer_count += 1  # so that two of one moment are told apart
        heapq.heappush(self._timers, (moment, self._timer_count, wait.lane, wait.ticket))

    def _finish(self, finish: Finish) -> None:
        record = finish.event.record
        assert record is not None
        self.last_delivery_at = self.last_pass_at
        self._tallies.delivered(max(0.0, self.last_pass_at - record.appended_at))

    def _skip(self, _skip: Skip) -> None:
        self._tallies.event("deduplicated", "finished_before")

    def _set_aside(self, aside: SetAside) -> None:
        assignment, record = aside.assignment, aside.record
        wall = self._wall_clock()
        letter = DeadLetter(
            topic=assignment.topic,
            partition=assignment.partition,
            record=record,
            reason=aside.reason,
            detail=aside.detail,
            session=aside.key,
            attempts=aside.attempts,
            status=aside.status,
            first_tried_at=int((wall - (self.last_pass_at - aside.first_tried_at)) * 1000) if aside.first_tried_at else 0,
            set_aside_at=int(wall * 1000),
        )
        log.warning(
            "event set aside",
            extra={
                "reason": aside.reason,
                "status": aside.status,
                "topic": assignment.topic,
                "partition": assignment.partition,
                "offset": record.offset,
                "session": hashed(aside.key) if aside.key is not None else "",
            },
        )
        self._letters.put(letter, lambda: self._stored(aside))

    def _stored(self, aside: SetAside) -> None:
        self._tallies.event("dead_lettered", aside.reason)
        self.put(StoredAside(aside.assignment, aside.record.offset))

    def _announce(self, announce: Announce) -> None:
        change, detail = announce.change, announce.detail
        self._tallies.change(change, detail)
        level = _LEVELS.get(change, logging.DEBUG)
        if log.isEnabledFor(level):
            lane = announce.lane
            log.log(
                level,
                _SENTENCES[change],
                extra={
                    "session": hashed(lane.key),
                    "partition": lane.assignment.partition,
                    "cause": detail,
                    "status": announce.status,
                },
            )

    # --- the source -------------------------------------------------------------------------------------------------------------------

    def _fetched(self, fetched: Fetched) -> None:
        now = self._clock()
        handle, read, perform = self.router.handle, self._reader.read, self._perform
        for topic, partition, records in fetched.batches:
            assignment = self.router.assignments.get((topic, partition))
            if assignment is None:
                continue  # fetched before a revoke, handed over after it
            self._tallies.consumed(topic, len(records))
            for record in records:
                happened: Input
                try:
                    key, event = read(record)
                    happened = Arrived(assignment, key, event)
                except UnreadableRecord as unreadable:
                    happened = Unreadable(assignment, record, unreadable.reason, unreadable.detail, unreadable.key)
                for command in handle(happened, now):
                    perform[type(command)](command)
        self._source.taken()

    def _assigned(self, assigned: PartitionsAssigned) -> None:
        self.has_joined = True
        self._tallies.rebalanced("assigned")
        log.info("partitions assigned", extra={"count": len(assigned.partitions)})
        for position in assigned.partitions:
            self._generation += 1
            ledger = Ledger(_finished_before(position))
            assignment = Assignment(position.topic, position.partition, generation=self._generation, ledger=ledger)
            self.router.handle(Assigned(assignment), self._clock())
            self._restore(assignment)

    def _restore(self, assignment: Assignment) -> None:
        """Take up the sessions of a partition before its first event is handled; other partitions go on meanwhile."""
        began = self._clock()

        def found(entries: list[tuple[SessionKey, Memoir | None]]) -> None:
            if assignment.stage is Stage.OWNED:
                for key, memoir in entries:
                    if memoir is None:
                        self.router.erase(assignment, key)
                    else:
                        self.router.restore(assignment, key, memoir, self._clock())

        def done() -> None:
            if assignment.stage is Stage.OWNED:
                seconds = self._clock() - began
                self._tallies.restored(len(assignment.lanes), seconds)
                log.info(
                    "sessions restored",
                    extra={"partition": assignment.partition, "count": len(assignment.lanes), "seconds": round(seconds, 3)},
                )
                self._source.release([(assignment.topic, assignment.partition)])

        self._memoirs.restore(
            assignment.topic,
            assignment.partition,
            lambda entries: self._protect(lambda: found(entries)),
            lambda: self._protect(done),
        )

    def _leaving(self, leaving: PartitionsLeaving) -> None:
        assignments = self._owned(leaving.partitions)
        for assignment in assignments:
            self.put(Leaving(assignment))
        departure = _Departure(assignments, leaving.reply)
        self._departures.append(departure)
        departure.timer = self._loop.call_later(self.leaving_seconds_max, lambda: self._depart(departure))
        self._tallies.rebalanced("revoked")
        log.info("partitions leaving", extra={"count": len(assignments)})

    def _depart(self, departure: _Departure) -> None:
        """Write what the next owner needs, fence the partitions, and say what may be committed once it is written."""
        if departure not in self._departures:
            return
        self._departures.remove(departure)
        if departure.timer is not None:
            departure.timer.cancel()
        departure.timer = self._loop.call_later(FAREWELL_SECONDS_MAX, lambda: self._farewell_failed(departure))
        for assignment in departure.assignments:
            point = self._point(assignment)
            if point is not None:
                departure.points.append(point)
            for lane in assignment.lanes.values():
                if lane.state is State.ENDED and lane in assignment.changed:
                    self._write_tombstone(lane)
                elif lane.is_stale or lane in assignment.changed:
                    self._write_memoir(lane)
        self._fence(departure.assignments)
        for assignment in departure.assignments:
            self._memoirs.after_written(assignment.topic, assignment.partition, lambda: self._written(departure))
        if not departure.assignments:
            self._farewell(departure)

    def _written(self, departure: _Departure) -> None:
        departure.unwritten -= 1
        if departure.unwritten == 0:
            self._farewell(departure)

    def _farewell(self, departure: _Departure) -> None:
        if departure.timer is not None:
            departure.timer.cancel()
            departure.timer = None
            self._let_go_of_memoirs(departure.assignments)
            departure.reply(departure.points)

    def _farewell_failed(self, departure: _Departure) -> None:
        """Without its memoirs nothing new may be committed: the next owner repeats what was delivered since the last receipt."""
        log.error("memoirs could not be written in time: partitions leave without a commit")
        departure.points = []
        self._farewell(departure)

    def _lost(self, lost: PartitionsLost) -> None:
        assignments = self._owned(lost.partitions)
        self._fence(assignments)
        self._let_go_of_memoirs(assignments)
        self._tallies.rebalanced("lost")
        log.warning("partitions lost", extra={"count": len(assignments)})

    def _let_go_of_memoirs(self, assignments: list[Assignment]) -> None:
        for assignment in assignments:
            self._memoirs.let_go(assignment.topic, assignment.partition)

    def _fence(self, assignments: list[Assignment]) -> None:
        now = self._clock()
        for assignment in assignments:
            self.router.handle(Revoked(assignment), now)
            self._committed.pop(assignment, None)
            self._is_receipt_long.pop((assignment.topic, assignment.partition), None)
            self._receipts_under_way.pop((assignment.topic, assignment.partition), None)

    def _owned(self, partitions: list[tuple[str, int]]) -> list[Assignment]:
        assignments = self.router.assignments
        return [assignments[place] for place in partitions if place in assignments]

    def _source_failed(self, failed: SourceFailed) -> None:
        self._failed(failed.error)

    # --- commits ----------------------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """A receipt is due: make durable what was delivered."""
        self._loop.call_later(self._receipt_seconds, self._tick)
        self._protect(self._write_receipts)
        self._schedule()  # so that `last_pass_at` proves that the loop turns
        if self._clock() - self._swept_at >= self._sweep_seconds:
            self._sweep()

    def _write_receipts(self) -> None:
        """Memoirs first, then the commit: what the receipt calls finished is never ahead of what a restart knows of its session."""
        for place, assignment in self.router.assignments.items():
            if assignment.stage is not Stage.OWNED or place in self._receipts_under_way:
                continue
            point = self._point(assignment)
            if point is None and not assignment.changed:
                continue
            ended = [lane for lane in assignment.changed if lane.state is State.ENDED]
            for lane in assignment.changed:
                self._write_memoir(lane)
            assignment.changed.clear()
            receipt = self._receipts_under_way[place] = _Receipt(assignment, point, ended)
            self._memoirs.after_written(*place, partial(self._commit, receipt))

    def _commit(self, receipt: _Receipt) -> None:
        if receipt.point is None or receipt.assignment.stage is not Stage.OWNED:
            self._receipt_ended(receipt)
            return
        self._due_points.append(receipt.point)
        if len(self._due_points) == 1:
            self._loop.call_soon(self._commit_due)

    def _commit_due(self) -> None:
        """One commit for all partitions whose memoirs are written."""
        points, self._due_points = self._due_points, []
        self._source.commit(points)

    def _point(self, assignment: Assignment) -> CommitPoint | None:
        """What may be committed, unless it has been."""
        ledger = assignment.ledger
        if ledger.safe is None:
            return None
        text = receipts.write(ledger)
        self._is_receipt_long[assignment.topic, assignment.partition] = len(text) > RECEIPT_LENGTH_PAUSE
        point = CommitPoint(assignment.topic, assignment.partition, ledger.safe, text)
        return None if point == self._committed.get(assignment) else point

    def _commit_ended(self, committed: Committed) -> None:
        self._tallies.committed(is_success=True)
        for point in committed.points:
            receipt = self._receipts_under_way.get((point.topic, point.partition))
            if receipt is not None and receipt.point == point:
                self._committed[receipt.assignment] = point
                self._receipt_ended(receipt)

    def _commit_failed(self, failed: CommitFailed) -> None:
        self._tallies.committed(is_success=False)
        log.warning("commit failed", extra={"cause": failed.cause})
        for point in failed.points:
            receipt = self._receipts_under_way.get((point.topic, point.partition))
            if receipt is not None and receipt.point == point:
                receipt.assignment.changed.update(dict.fromkeys(receipt.ended))
                self._drop_receipt(receipt)

    def _receipt_ended(self, receipt: _Receipt) -> None:
        self._drop_receipt(receipt)
        if receipt.assignment.stage is Stage.OWNED:
            for lane in receipt.ended:
                if lane.state is State.ENDED:
                    self._write_tombstone(lane)

    def _drop_receipt(self, receipt: _Receipt) -> None:
        place = (receipt.assignment.topic, receipt.assignment.partition)
        if self._receipts_under_way.get(place) is receipt:
            del self._receipts_under_way[place]

    # --- memoirs ----------------------------------------------------------------------------------------------------------------------

    def _remember(self, remember: Remember) -> None:
        self._write_memoir(remember.lane)

    def _forget(self, forget: Forget) -> None:
        if forget.lane.had_session:
            self._write_tombstone(forget.lane)

    def _write_memoir(self, lane: Lane) -> None:
        lane.is_stale = False
        written = memoir.write(lane)
        if written is not None:
            self._memoirs.write(lane.assignment.topic, lane.assignment.partition, lane.key, written)

    def _write_tombstone(self, lane: Lane) -> None:
        self._memoirs.write(lane.assignment.topic, lane.assignment.partition, lane.key, None)

    # --- flow -------------------------------------------------------------------------------------------------------------------------

    def _check_fullness(self) -> None:
        is_full = (
            self.router.buffer.is_full
            or self._letters.pending_bytes > self._letter_bytes_max
            or self._memoirs.is_failing
            or any(self._is_receipt_long.values())
        )
        if is_full != self._is_paused:
            self._is_paused = is_full
            if is_full:
                self._source.pause()
            else:
                self._source.resume()

    def _watch_circuits(self) -> None:
        for operation, circuit in (("open", self.router.opening), ("send", self.router.sending)):
            if circuit.state is self._circuits[operation]:
                continue
            self._circuits[operation] = circuit.state
            if circuit.state is CircuitState.CLOSED:
                log.warning("the API serves again", extra={"operation": operation})
            elif circuit.state is CircuitState.PROBING:
                log.error("the API fails: everything waits and one call is tried now and then", extra={"operation": operation})
            else:
                log.error("the API refuses us: everything waits until this is mended", extra={"operation": operation, "advice": circuit.advice})

    def _sweep(self) -> None:
        self._swept_at = now = self._clock()
        for assignment in list(self.router.assignments.values()):
            for command in self.router.forget_idle(assignment, now):
                self._perform[type(command)](command)

    def _set_alarm(self, now: float) -> None:
        """One timer for the next thing that happens by time alone."""
        moments = [moment for moment in (self._timers[0][0] if self._timers else None, self.router.wake_at()) if moment is not None]
        moment = min(moments, default=float("inf"))
        if moment >= self._alarm_at and self._alarm_at > now:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = moment
        if moment < float("inf"):
            self._alarm = self._loop.call_later(max(0.0, moment - now), self._rang)

    def _rang(self) -> None:
        self._alarm = None
        self._alarm_at = float("inf")
        self._schedule()


def _finished_before(position: CommittedPosition) -> receipts.Ranges:
    if position.offset is None or not position.metadata:
        return ()
    try:
        return receipts.read(position.metadata, position.offset)
    except receipts.NoReceipt as error:
        log.warning("receipt not understood: starting at the committed offset", extra={"partition": position.partition, "cause": str(error)})
        return ()


_LEVELS: Final = {
    Change.OPENED: logging.INFO,
    Change.ENDED: logging.INFO,
    Change.LOST: logging.WARNING,
    Change.REFUSED: logging.WARNING,
    Change.TELLING_REFUSED: logging.WARNING,
    Change.GIVEN_UP: logging.WARNING,
}
_SENTENCES: Final = {change: f"session {change.replace('_', ' ')}" for change in Change} | {
    Change.RETRIED: "call failed, to be tried again",
    Change.TOLD: "told again what was open",
    Change.TELLING_REFUSED: "the new session refused what was open",
    Change.GIVEN_UP: "event given up",
}
