"""Keeps what a restart must know: memoirs of sessions, receipts of what is finished, committed offsets, and the farewell of partitions.

In: lanes that changed, partitions that come and go, word of what is durable. Out: memoirs and tombstones, commits, the reply to a revoke.

The order is the promise: memoirs first, then the commit, then tombstones. What a commit calls finished is never ahead of what the state
topic knows of the session, and the memoir of a session that is over stays until the commit covers its end.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from relay.core import memoir, receipts
from relay.core.assignment import Assignment, Stage
from relay.core.commands import Forget, Remember
from relay.core.inputs import Revoked
from relay.core.lane import Lane, State
from relay.core.router import Router
from relay.kafka.client import Seldom
from relay.kafka.source import CommitFailed, CommitPoint, Committed, CommittedPosition
from relay.observe.metrics import Tallies
from relay.ports import Flows, Handle, KeepsMemoirs, Loop

log = logging.getLogger("relay.keeper")

FAREWELL_SECONDS_MAX: Final = 1.5  # for the memoirs of partitions that leave; their callback waits two
RECEIPT_LENGTH_PAUSE: Final = receipts.TEXT_LENGTH_MAX * 3 // 4  # take no more records before finished offsets have no room


class _Receipt(NamedTuple):
    """What is being made durable for one partition."""

    assignment: Assignment
    point: CommitPoint | None
    ended: list[Lane]  # sessions that are over: their memoirs give way to tombstones once the commit covers their end


class _Departure:
    """Partitions that are about to leave: calls under way may end, then memoirs are written, then it is said what may be committed."""

    def __init__(self, assignments: list[Assignment], reply: Callable[[list[CommitPoint]], None], began_at: float) -> None:
        self.assignments = assignments
        self.reply = reply
        self.began_at = began_at
        self.timer: Handle | None = None
        self.unwritten = len(assignments)
        self.points: list[CommitPoint] = []

    @property
    def is_quiet(self) -> bool:
        return all(assignment.in_flight == 0 and assignment.asides_pending == 0 for assignment in self.assignments)


class Keeper:
    """Makes durable what was done."""

    def __init__(  # noqa: PLR0913  # the parts, each by its name
        self,
        *,
        router: Router,
        memoirs: KeepsMemoirs,
        source: Flows,
        tallies: Tallies,
        loop: Loop,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Join the parts."""
        self._router = router
        self._memoirs = memoirs
        self._source = source
        self._tallies = tallies
        self._loop = loop
        self._clock = clock
        self._wall_clock = wall_clock
        self._departures: list[_Departure] = []
        self._committed: dict[Assignment, CommitPoint] = {}
        self._receipts_under_way: dict[tuple[str, int], _Receipt] = {}
        self._due: list[_Receipt] = []
        self._ended: dict[Assignment, list[Lane]] = {}  # their memoirs are written, and the commit that was to cover their end failed
        self._seldom = Seldom(clock=clock)
        self._is_receipt_long: dict[tuple[str, int], bool] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more records should come: nothing more can be kept."""
        return self._memoirs.is_failing or any(self._is_receipt_long.values())

    @property
    def epoch(self) -> float:
        """The Unix time at which the core's clock began."""
        return self._wall_clock() - self._clock()

    # --- memoirs ----------------------------------------------------------------------------------------------------------------------

    def remember(self, remember: Remember) -> None:
        """Write the memoir of a lane now."""
        self._write_memoir(remember.lane)

    def forget(self, forget: Forget) -> None:
        """A lane was let go of; leave a tombstone where its memoir may be."""
        if forget.lane.had_session:
            self._write_tombstone(forget.lane)

    def _write_memoir(self, lane: Lane) -> None:
        lane.is_stale = False
        written = memoir.write(lane, self.epoch)
        if written is not None:
            self._memoirs.write(lane.assignment.topic, lane.assignment.partition, lane.key, written)

    def _write_tombstone(self, lane: Lane) -> None:
        self._memoirs.write(lane.assignment.topic, lane.assignment.partition, lane.key, None)

    # --- receipts ---------------------------------------------------------------------------------------------------------------------

    def write_receipts(self) -> None:
        """Memoirs first, then the commit: what the receipt calls finished is never ahead of what a restart knows of its session."""
        for place, assignment in self._router.assignments.items():
            if assignment.stage is not Stage.OWNED or place in self._receipts_under_way:
                continue
            point = self._point(assignment)
            if point is None and not assignment.changed:
                continue
            ended = self._ended.pop(assignment, [])
            ended += [lane for lane in assignment.changed if _is_over(lane) and not lane.unconfirmed()]
            for lane in assignment.changed:
                self._write_memoir(lane)
            assignment.changed.clear()
            receipt = self._receipts_under_way[place] = _Receipt(assignment, point, ended)
            self._memoirs.after_written(*place, partial(self._commit, receipt))

    def _commit(self, receipt: _Receipt) -> None:
        if receipt.point is None or receipt.assignment.stage is not Stage.OWNED:
            self._receipt_ended(receipt)
            return
        self._due.append(receipt)
        if len(self._due) == 1:
            self._loop.call_soon(self._commit_due)

    def _commit_due(self) -> None:
        """One commit for all partitions whose memoirs are written."""
        due, self._due = self._due, []
        points = [receipt.point for receipt in due if receipt.point is not None and receipt.assignment.stage is Stage.OWNED]
        if points:  # else they were lost since: to ask now would be to ask for whoever was given them next
            self._source.commit(points)

    def _point(self, assignment: Assignment) -> CommitPoint | None:
        """What may be committed, unless it has been."""
        ledger = assignment.ledger
        if ledger.safe is None:
            return None
        text = receipts.write(ledger)
        assignment.is_window_full = len(text) > RECEIPT_LENGTH_PAUSE
        self._is_receipt_long[assignment.topic, assignment.partition] = assignment.is_window_full
        point = CommitPoint(assignment.topic, assignment.partition, ledger.safe, text)
        return None if point == self._committed.get(assignment) else point

    def commit_ended(self, committed: Committed) -> None:
        """Kafka has the commit."""
        self._tallies.committed(is_success=True)
        for point in committed.points:
            receipt = self._receipts_under_way.get((point.topic, point.partition))
            if receipt is not None and receipt.point == point:
                self._committed[receipt.assignment] = point
                self._receipt_ended(receipt)

    def commit_failed(self, failed: CommitFailed) -> None:
        """Kafka has it not; the next receipt tries again."""
        self._tallies.committed(is_success=False)
        kept_back = self._seldom.count(failed.cause)
        if kept_back is not None:
            log.warning("commit failed", extra={"cause": failed.cause, "kept_back": kept_back})
        for point in failed.points:
            receipt = self._receipts_under_way.get((point.topic, point.partition))
            if receipt is not None and receipt.point == point:
                if receipt.ended:
                    self._ended[receipt.assignment] = receipt.ended
                self._drop_receipt(receipt)

    def _receipt_ended(self, receipt: _Receipt) -> None:
        self._drop_receipt(receipt)
        if receipt.assignment.stage is Stage.OWNED:
            for lane in receipt.ended:
                if _is_over(lane):
                    self._write_tombstone(lane)

    def _drop_receipt(self, receipt: _Receipt) -> None:
        place = (receipt.assignment.topic, receipt.assignment.partition)
        if self._receipts_under_way.get(place) is receipt:
            del self._receipts_under_way[place]

    # --- farewells --------------------------------------------------------------------------------------------------------------------

    def begin_departure(self, assignments: list[Assignment], reply: Callable[[list[CommitPoint]], None], seconds_max: float) -> None:
        """Partitions are about to leave: let calls under way end, within the bound, then say what may be committed."""
        departure = _Departure(assignments, reply, self._clock())
        self._departures.append(departure)
        departure.timer = self._loop.call_later(seconds_max, partial(self._depart, departure))

    def depart_if_quiet(self) -> None:
        """Let go whoever waits for nothing more."""
        for departure in [one for one in self._departures if one.is_quiet]:
            self._depart(departure)

    def overtake(self, topic: str, partition: int) -> None:
        """The partition is ours anew, and its farewell has not begun: nobody waits for that any more; calls under way are orphans."""
        for departure in list(self._departures):
            if any((one.topic, one.partition) == (topic, partition) for one in departure.assignments):
                self._depart(departure)

    def depart_all(self) -> None:
        """Wait for nobody."""
        for departure in list(self._departures):
            self._depart(departure)

    def lose(self, assignments: list[Assignment]) -> None:
        """Partitions are gone: nothing is committed, nothing more is written."""
        self._fence(assignments)
        self._let_go_of_memoirs(assignments)

    def _depart(self, departure: _Departure) -> None:
        """Write what the next owner needs, fence the partitions, and say what may be committed once it is written."""
        if departure not in self._departures:
            return
        self._departures.remove(departure)
        if departure.timer is not None:
            departure.timer.cancel()
        departure.timer = self._loop.call_later(FAREWELL_SECONDS_MAX, lambda: self._farewell_failed(departure))
        departure.assignments = [one for one in departure.assignments if one.stage is not Stage.GONE]  # else they were lost meanwhile
        departure.unwritten = len(departure.assignments)
        for assignment in departure.assignments:
            point = self._point(assignment)
            if point is not None:
                departure.points.append(point)
            for lane in assignment.lanes.values():
                if lane.is_stale or lane in assignment.changed:
                    self._write_memoir(lane)  # no tombstone even for one that is over: the commit may fail, and then its end comes again
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
            self._tallies.revoked(self._clock() - departure.began_at)
            departure.reply(departure.points)

    def _farewell_failed(self, departure: _Departure) -> None:
        """Without its memoirs nothing new may be committed: the next owner repeats what was delivered since the last receipt."""
        log.error("memoirs could not be written in time: partitions leave without a commit")
        departure.points = []
        self._farewell(departure)

    def _let_go_of_memoirs(self, assignments: list[Assignment]) -> None:
        for assignment in assignments:
            place = (assignment.topic, assignment.partition)
            if place not in self._router.assignments:  # else it is ours anew, and its restoration has let go of what was before
                self._memoirs.let_go(*place)

    def _fence(self, assignments: list[Assignment]) -> None:
        now = self._clock()
        for assignment in assignments:
            self._router.handle(Revoked(assignment), now)
            self._committed.pop(assignment, None)
            self._ended.pop(assignment, None)
            self._is_receipt_long.pop((assignment.topic, assignment.partition), None)
            receipt = self._receipts_under_way.get((assignment.topic, assignment.partition))
            if receipt is not None and receipt.assignment is assignment:
                self._drop_receipt(receipt)


def _is_over(lane: Lane) -> bool:
    """Whether a restart need know nothing of the session. While the record of its end says more, it must know what of it has left."""
    return lane.state is State.ENDED and lane.split is None


def finished_before(position: CommittedPosition) -> receipts.Ranges:
    """What the receipt beside a committed offset says is finished; nothing, when it is not one of ours."""
    if position.offset is None or not position.metadata:
        return ()
    try:
        return receipts.read(position.metadata, position.offset)
    except receipts.NoReceipt as error:
        log.warning(
            "receipt not understood: starting at the committed offset", extra={"partition": position.partition, "cause": str(error)}
        )
        return ()
