"""The loop: what happened → core → commands → the outside. It owns the only timer, and decides nothing.

In: messages of the Kafka source, ends of calls, confirmations of dead letters. Out: calls, dead letters, commits.

Everything that happens is put into an inbox, and one pass drains it: handle each, let go whoever may go, arm the timer. So callbacks never
reach into the core, and a burst costs one pass.
"""

import heapq
import logging
import time
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from relay.core.assignment import Assignment, Stage
from relay.core.commands import Announce, Change, Command, Finish, OpenSession, SendEvent, SetAside, Skip, Wait
from relay.core.events import PlayerEvent, Record, SessionKey
from relay.core.inputs import Answered, Arrived, Assigned, Input, Leaving, Revoked, StoredAside, Unreadable, Woke
from relay.core.lane import Lane
from relay.core.pressure import CircuitState
from relay.core.router import Router
from relay.input.native import Unreadable as UnreadableRecord
from relay.kafka.dead_letters import DeadLetter
from relay.kafka.source import (
    CommitFailed,
    CommitPoint,
    Committed,
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


class _Departure:
    """Partitions that are about to leave, while calls under way for them may end."""

    def __init__(self, assignments: list[Assignment], reply: Callable[[list[CommitPoint]], None]) -> None:
        self.assignments = assignments
        self.reply = reply
        self.timer: Handle | None = None

    @property
    def is_quiet(self) -> bool:
        return all(assignment.in_flight == 0 for assignment in self.assignments)


class Pump:
    """Carries messages between the core and the outside."""

    def __init__(
        self,
        *,
        router: Router,
        reader: Reads,
        calls: StartsCalls,
        letters: StoresLetters,
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
        self.leaving_seconds_max = leaving_seconds_max
        self._reader = reader
        self._calls = calls
        self._letters = letters
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
        self._committed: dict[Assignment, int] = {}
        self._is_committing = False
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
        for position in assigned.partitions:
            self._generation += 1
            assignment = Assignment(position.topic, position.partition, generation=self._generation)
            self.put(Assigned(assignment))
        self._tallies.rebalanced("assigned")
        self._drain_inbox()
        self._source.release([(position.topic, position.partition) for position in assigned.partitions])
        log.info("partitions assigned", extra={"count": len(assigned.partitions)})

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
        """Fence the partitions, then say what may be committed for them."""
        if departure not in self._departures:
            return
        self._departures.remove(departure)
        if departure.timer is not None:
            departure.timer.cancel()
        points = self._points(departure.assignments)
        self._fence(departure.assignments)
        departure.reply(points)

    def _lost(self, lost: PartitionsLost) -> None:
        assignments = self._owned(lost.partitions)
        self._fence(assignments)
        self._tallies.rebalanced("lost")
        log.warning("partitions lost", extra={"count": len(assignments)})

    def _fence(self, assignments: list[Assignment]) -> None:
        now = self._clock()
        for assignment in assignments:
            self.router.handle(Revoked(assignment), now)
            self._committed.pop(assignment, None)

    def _owned(self, partitions: list[tuple[str, int]]) -> list[Assignment]:
        assignments = self.router.assignments
        return [assignments[place] for place in partitions if place in assignments]

    def _source_failed(self, failed: SourceFailed) -> None:
        self._failed(failed.error)

    # --- commits ----------------------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """A receipt is due: make durable what was delivered."""
        self._loop.call_later(self._receipt_seconds, self._tick)
        self._schedule()  # so that `last_pass_at` proves that the loop turns
        if not self._is_committing:
            points = self._points([one for one in self.router.assignments.values() if one.stage is Stage.OWNED])
            if points:
                self._is_committing = True
                self._source.commit(points)
        if self._clock() - self._swept_at >= self._sweep_seconds:
            self._sweep()

    def _points(self, assignments: list[Assignment]) -> list[CommitPoint]:
        """What may be committed and has not been."""
        points: list[CommitPoint] = []
        for assignment in assignments:
            safe = assignment.ledger.safe
            if safe is not None and safe != self._committed.get(assignment):
                points.append(CommitPoint(assignment.topic, assignment.partition, safe, ""))
        return points

    def _commit_ended(self, committed: Committed) -> None:
        self._is_committing = False
        self._tallies.committed(is_success=True)
        for point in committed.points:
            assignment = self.router.assignments.get((point.topic, point.partition))
            if assignment is not None:
                self._committed[assignment] = point.offset

    def _commit_failed(self, failed: CommitFailed) -> None:
        self._is_committing = False
        self._tallies.committed(is_success=False)
        log.warning("commit failed", extra={"cause": failed.cause})

    # --- flow -------------------------------------------------------------------------------------------------------------------------

    def _check_fullness(self) -> None:
        is_full = self.router.buffer.is_full or self._letters.pending_bytes > self._letter_bytes_max
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
