"""The loop: what happened → core → commands → the outside. It owns the only timer, and decides nothing.

In: messages of the Kafka source, ends of calls, confirmations of dead letters. Out: calls, dead letters, and whatever `keeper.py` keeps.

Everything that happens is put into an inbox, and one pass drains it: handle each, let go whoever may go, arm the timer. So callbacks never
reach into the core, and a burst costs one pass.
"""

import heapq
import logging
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from relay.backlog import Backlog
from relay.core.assignment import Assignment, Stage
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
from relay.core.events import Facts, Nothing, PlayerEvent, Record, Said, SessionKey
from relay.core.head_of_line import Standstills
from relay.core.inputs import Arrived, ArrivedAsFacts, ArrivedInParts, Assigned, Input, Leaving, SaysNothing, StoredAside, Unreadable, Woke
from relay.core.lane import Lane
from relay.core.ledger import Ledger
from relay.core.memoir import Memoir
from relay.core.router import Router
from relay.core.unread import Unread
from relay.input.decoding import Awaited
from relay.input.decoding import Unreadable as UnreadableRecord
from relay.kafka.dead_letters import DeadLetter
from relay.kafka.source import (
    CommitFailed,
    Committed,
    Fetched,
    PartitionsAssigned,
    PartitionsLeaving,
    PartitionsLost,
    SourceFailed,
    SourceMessage,
)
from relay.keeper import Keeper, finished_before
from relay.observe.metrics import Tallies
from relay.observe.reporting import Reporter
from relay.observe.witness import Witness
from relay.ports import Flows, Handle, KeepsMemoirs, KeepsTraces, Loop, Reads, StartsCalls, StoresLetters

log = logging.getLogger("relay.pump")

STANDSTILL_SECONDS: Final = 2.0  # without a pass, though they come several times a second: the process was stopped, or starved
DOUBT_SECONDS: Final = 1.0  # after that: Kafka has told us within milliseconds, when measured, that our partitions are somebody else's
LOOK_SECONDS: Final = 1.0  # between two looks at who holds up others
IDLE_SWEEPS: Final = 20  # a silent session is forgotten at most a twentieth of the limit late


class Pump:
    """Carries messages between the core and the outside."""

    def __init__(  # noqa: PLR0913  # the parts, each by its name
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
        witness: Witness | None = None,
        traces: KeepsTraces | None = None,
        random: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Join the parts. `failed` hears of what the service cannot go on after."""
        self.router = router
        self.last_pass_at = clock()
        self.last_delivery_at: float | None = None
        self.last_progress_at = self.last_pass_at
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
        self._unread = Unread()
        self._restoring: set[Assignment] = set()
        self._random = random or Random()  # noqa: S311  # jitter, no secret
        self._clock = clock
        self._wall_clock = wall_clock

        self._inbox: list[Input] = []
        self._is_scheduled = False
        self._scheduled_at = self.last_pass_at
        self._is_broken = False
        self._timers: list[tuple[float, int, Lane, int]] = []
        self._timer_count = 0
        self._alarm: Handle | None = None
        self._alarm_at = float("inf")
        self._generation = 0
        self._keeper = Keeper(router=router, memoirs=memoirs, source=source, tallies=tallies, loop=loop, clock=clock, wall_clock=wall_clock)
        self._reporter = Reporter(tallies, witness)
        self._witness = witness
        self.backlog = Backlog()  # what nobody can read yet
        self._is_paused = False
        self.standstills = Standstills()
        self._swept_at = self._looked_at = self.last_pass_at
        self._doubts_until = self.last_pass_at
        self._perform: dict[type[Command], Callable[..., None]] = {
            OpenSession: calls.start if witness is None else witness.opening(calls.start),
            SendEvent: calls.start if witness is None else witness.sending(calls.start),
            Wait: self._wait,
            Finish: self._finish,
            FinishUnknown: self._finish_unknown,
            DropEvent: self._drop,
            Skip: self._skip,
            Drop: self._drop,
            SetAside: self._set_aside,
            SetAsideAlready: self._left,
            Remember: self._keeper.remember,
            Forget: self._keeper.forget,
            Announce: self._reporter.announce,
        }
        self._traces = traces
        if traces is not None:
            self._perform |= traces.watching(self._perform)
        self._receive: dict[type[SourceMessage], Callable[..., None]] = {
            Fetched: self._fetched,
            PartitionsAssigned: self._assigned,
            PartitionsLeaving: self._leaving,
            PartitionsLost: self._lost,
            Committed: self._keeper.commit_ended,
            CommitFailed: self._keeper.commit_failed,
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
        self._schedule()  # first, so that the time that records take shows as our own lag
        self._protect(lambda: self._receive[type(message)](message))

    def read_on(self) -> None:
        """There is news for records that nobody could read yet."""
        self._protect(self._read_on)
        self._schedule()

    @property
    def is_paused(self) -> bool:
        """Whether the source was asked to stand still, since as much waits as may."""
        return self._is_paused

    def hurry(self) -> None:
        """Do not wait any longer for calls under way: whoever leaves leaves now."""
        self.leaving_seconds_max = 0.0
        self._keeper.depart_all()

    @property
    def unfinished_count(self) -> int:
        """Records that were read and are not finished."""
        letters_stored = sum(isinstance(one, StoredAside) for one in self._inbox)  # counted already, and not yet taken in
        return self.router.unfinished_count + self.backlog.record_count - letters_stored

    @property
    def left_count(self) -> int:
        """Records that were read here and left unfinished to whoever owns their partition next."""
        return self.router.left_count + self.backlog.left_count

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._scheduled_at = self._clock()
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
        now = self._clock()
        self._doubt_after_standstill(now)
        self.last_pass_at = now
        self.router.lag_seconds = now - self._scheduled_at
        router, perform = self.router, self._perform
        while self._timers and self._timers[0][0] <= now:
            _, _, lane, ticket = heapq.heappop(self._timers)
            self._inbox.append(Woke(lane, ticket))
        inbox, self._inbox = self._inbox, []
        for happened in inbox:
            for command in router.handle(happened, now):
                perform[type(command)](command)
        if now >= self._doubts_until:
            for command in router.turns(now):
                perform[type(command)](command)
        self._keeper.depart_if_quiet()
        if not router.is_stalled:
            self.last_progress_at = now
        self._check_fullness()
        self._reporter.watch(router)
        self._set_alarm(now)

    def _doubt_after_standstill(self, now: float) -> None:
        """Who stood still for long may have lost his partitions, and what he sends now would be sent twice: let Kafka speak first."""
        seconds = now - self.last_pass_at
        if seconds > STANDSTILL_SECONDS + self._receipt_seconds:
            self._doubts_until = now + DOUBT_SECONDS
            log.warning("the relay stood still: nothing leaves until Kafka had time to speak", extra={"seconds": round(seconds, 1)})

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

    def _finish_unknown(self, finish: FinishUnknown) -> None:
        self._tallies.event("unknown", "answer_lost")
        self._left(finish)

    def _skip(self, skip: Skip) -> None:
        self._tallies.event("deduplicated", skip.reason)

    def _drop(self, drop: Drop | DropEvent) -> None:
        self._tallies.event("dropped", drop.reason)
        if isinstance(drop, DropEvent):
            self._left(drop)

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
            trace="" if self._traces is None else self._traces.context_of(assignment.topic, assignment.partition, record),
        )
        self._reporter.set_aside(aside)
        self._letters.put(letter, lambda: self._stored(aside))

    def _left(self, command: FinishUnknown | DropEvent | SetAsideAlready) -> None:
        """An event needs nothing more; of a part that was set aside, the letter of its record holds it as well."""
        if self._witness is not None:
            self._witness.left(command)

    def _stored(self, aside: SetAside) -> None:
        self._tallies.event("dead_lettered", aside.reason)
        self.put(StoredAside(aside.assignment, aside.record.offset, aside.key))

    # --- the source -------------------------------------------------------------------------------------------------------------------

    def _fetched(self, fetched: Fetched) -> None:
        for topic, partition, records in fetched.batches:
            assignment = self.router.assignments.get((topic, partition))
            if assignment is None:
                continue  # fetched before a revoke, handed over after it
            self._tallies.consumed(topic, len(records))
            if assignment in self.backlog:
                self.backlog.add(assignment, records)
            else:
                self._read(assignment, records)
        self._source.taken()

    def _read(self, assignment: Assignment, records: list[Record]) -> None:
        """Take in the records of a partition, up to one that nobody can read yet: it holds up its own partition only."""
        now = self._clock()
        handle, perform = self.router.handle, self._perform
        read = self._reader.read if self._witness is None else self._witness.reading(self._reader.read, assignment)
        rest = iter(records)
        for record in rest:
            happened: Input
            try:
                key, said = read(record)
                happened = Arrived(assignment, key, said) if type(said) is PlayerEvent else _other(assignment, record, key, said)
            except UnreadableRecord as unreadable:
                happened = Unreadable(assignment, record, unreadable.reason, unreadable.detail, unreadable.key)
            except Awaited:
                self.backlog.add(assignment, [record, *rest])
                return
            for command in handle(happened, now):
                perform[type(command)](command)

    def _read_on(self) -> None:
        for assignment, records in self.backlog.take_all():
            self._read(assignment, records)

    def _assigned(self, assigned: PartitionsAssigned) -> None:
        self.has_joined = True
        self._tallies.rebalanced("assigned")
        log.info("partitions assigned", extra={"count": len(assigned.partitions)})
        for position in assigned.partitions:
            self._keeper.overtake(position.topic, position.partition)
            self.backlog.drop_foreign()
            self._generation += 1
            ledger = Ledger(finished_before(position))
            assignment = Assignment(
                position.topic,
                position.partition,
                generation=self._generation,
                ledger=ledger,
                starts_at=-1 if position.offset is None else position.offset,
                is_new_log=position.is_new_log,
            )
            self.router.handle(Assigned(assignment), self._clock())
            self._restore(assignment)

    def _restore(self, assignment: Assignment) -> None:
        """Take up the sessions of a partition before its first event is handled; other partitions go on meanwhile."""
        began = self._clock()
        self._restoring.add(assignment)

        def found(entries: list[tuple[SessionKey, Memoir | None]]) -> None:
            if assignment.stage is Stage.OWNED:
                for key, memoir in entries:
                    if memoir is None:
                        self.router.erase(assignment, key)
                    else:
                        self.router.restore(assignment, key, memoir, self._clock(), self._keeper.epoch)

        def done() -> None:
            self._restoring.discard(assignment)
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
            self.backlog.drop(assignment)  # the next owner reads it
            self.put(Leaving(assignment))
        self._keeper.begin_departure(assignments, leaving.reply, self.leaving_seconds_max)
        self._tallies.rebalanced("revoked")
        log.info("partitions leaving", extra={"count": len(assignments)})

    def _lost(self, lost: PartitionsLost) -> None:
        assignments = self._owned(lost.partitions)
        self._keeper.lose(assignments)
        self.backlog.drop_foreign()
        self._tallies.rebalanced("lost")
        log.warning("partitions lost", extra={"count": len(assignments)})

    def _owned(self, partitions: list[tuple[str, int]]) -> list[Assignment]:
        assignments = self.router.assignments
        return [assignments[place] for place in partitions if place in assignments]

    def _source_failed(self, failed: SourceFailed) -> None:
        self._failed(failed.error)

    # --- time and flow ----------------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """A receipt is due: make durable what was delivered."""
        self._loop.call_later(self._receipt_seconds, self._tick)
        self._protect(self._keeper.write_receipts)
        self._protect(self._look_around)
        self._schedule()  # so that `last_pass_at` proves that the loop turns
        if self._clock() - self._swept_at >= self._sweep_seconds:
            self._sweep()

    def _look_around(self) -> None:
        """Once in a while: what concerns all lanes, and is not worth a look at each event."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            for command in (*self.router.park(now), *self.router.shed(now)):
                self._perform[type(command)](command)
            self._look_for_silence(now)
            self.standstills.look(self.router.assignments.values(), now)
            self._reporter.name_who_holds_back(self.router, self.standstills, now)

    def _look_for_silence(self, now: float) -> None:
        """Where records are read as they come, and nothing waits in the log, a session that says nothing is silent."""
        self._restoring = {one for one in self._restoring if one.stage is Stage.OWNED}
        assignments = self.router.assignments.values()
        ends: Mapping[tuple[str, int], int] = {} if self._is_paused else self._source.ends()
        held_up = {(one.topic, one.partition) for one in assignments if one in self.backlog or one in self._restoring}
        self._unread.look(assignments, {place: end for place, end in ends.items() if place not in held_up}, now)
        self.router.look_for_silence(now)

    def _check_fullness(self) -> None:
        is_full = self.router.buffer.is_full or self._letters.pending_bytes > self._letter_bytes_max or self._keeper.is_full
        is_full = is_full or self.backlog.is_full
        if is_full != self._is_paused:
            self._is_paused = is_full
            if is_full:
                self._source.pause()
            else:
                self._source.resume()

    def _sweep(self) -> None:
        self._swept_at = now = self._clock()
        for assignment in list(self.router.assignments.values()):
            for command in self.router.forget_idle(assignment, now):
                self._perform[type(command)](command)

    def _set_alarm(self, now: float) -> None:
        """One timer for the next thing that happens by time alone."""
        moments = [moment for moment in (self._timers[0][0] if self._timers else None, self.router.wake_at()) if moment is not None]
        moment = min(moments, default=float("inf")) if now >= self._doubts_until else self._doubts_until
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


def _other(assignment: Assignment, record: Record, key: SessionKey, said: Said) -> Input:
    """What a record says, where that is not one event."""
    if isinstance(said, Nothing):
        return SaysNothing(assignment, record, said.reason)
    if isinstance(said, Facts):
        return ArrivedAsFacts(assignment, key, said)
    if isinstance(said, PlayerEvent):
        return Arrived(assignment, key, said)
    return ArrivedInParts(assignment, key, said)
