"""The account of what waits here: records that were taken, events that were let in, and what has left.

In: records as they come, and what became of their events. Out: ledgers that are right, and counts that come back to nothing.
"""

from typing import Final

from relay.core.assignment import Assignment, Stage
from relay.core.commands import Command, SetAside, SetAsideAlready, Skip
from relay.core.events import Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import StoredAside
from relay.core.lane import Lane
from relay.core.ledger import Taken
from relay.core.pressure import Buffer, Limits
from relay.core.reasons import Skipped
from relay.core.split import Letter

EVENT_OVERHEAD_BYTES: Final = 400  # what a waiting event costs besides its bytes, measured on CPython 3.11


class Books:
    """Of this process."""

    def __init__(self, limits: Limits) -> None:
        """Begin with nothing."""
        self.buffer = Buffer(limits)
        self.extra_outcomes = 0  # of events, beyond one for each record: a record may say several things
        self.left_count = 0  # records that were read here and left unfinished to whoever owns their partition next
        self._session_events_max = limits.session_events_max

    # --- coming -------------------------------------------------------------------------------------------------------------------

    def take(self, assignment: Assignment, record: Record) -> list[Command] | None:
        """Enter a record into the account; what to do when it needs nothing more, and None when it does."""
        if assignment.stage is not Stage.OWNED:
            self.left_count += 1
            return []
        if record.offset < assignment.starts_at:
            _begin_anew(assignment)
        taken = assignment.ledger.take(record.offset, record.appended_at)
        return None if taken is Taken.NEW else _not_new(taken, assignment, record.offset)

    def new_lane(self, assignment: Assignment, key: SessionKey) -> Lane:
        """Open a lane for a session that has none."""
        self.buffer.lane_count += 1
        lane = assignment.lanes[key] = Lane(key, assignment)
        return lane

    def count_in(self, record: Record, event_count: int) -> None:
        """Events of a record wait from now on, in their lane or before it."""
        self.buffer.event_count += event_count
        self.buffer.byte_count += size_of(record)

    def let_in(self, lane: Lane, events: tuple[PlayerEvent, ...]) -> None:
        """To the lane, what is counted as waiting already."""
        count_before = len(lane.waiting)
        lane.waiting += events
        if count_before < self._session_events_max <= len(lane.waiting):
            self.buffer.crowded_lanes += 1

    # --- leaving ------------------------------------------------------------------------------------------------------------------

    def finished(self, lane: Lane, event: PlayerEvent) -> None:
        """An event left its lane, and needs nothing more."""
        record = event.record
        assert record is not None
        if event.part is not None:
            self.extra_outcomes += 1
            self._part_left(lane, record, event.part)
            return
        lane.assignment.ledger.finish(record.offset)
        self._left_the_buffer(lane, record)

    def aside_left(self, lane: Lane, aside: SetAside | SetAsideAlready) -> None:
        """An event left its lane for the dead letters."""
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
            self.buffer.crowded_lanes -= len(lane.waiting) == self._session_events_max - 1
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
        buffer.byte_count -= size_of(record)
        if len(lane.waiting) == self._session_events_max - 1:
            buffer.crowded_lanes -= 1

    def stored_aside(self, happened: StoredAside) -> None:
        """A dead letter is confirmed."""
        assignment = happened.assignment
        assignment.asides_pending -= 1
        if assignment.stage is not Stage.GONE:
            lane = assignment.lanes.get(happened.key) if happened.key is not None else None
            if lane is not None:
                lane.stored_aside(happened.offset)
                if _is_split_at(lane, happened.offset):
                    self.extra_outcomes += 1
                    return  # it is finished with its last part
            assignment.ledger.finish(happened.offset)
        else:
            self.left_count -= 1  # it was counted when the partition was taken, and its letter is stored all the same

    def count_out(self, assignment: Assignment) -> None:
        """A partition is gone, and what waits of it is its next owner's."""
        self.left_count += assignment.ledger.outstanding_count
        buffer = self.buffer
        buffer.lane_count -= len(assignment.lanes)
        for lane in assignment.lanes.values():
            buffer.event_count -= len(lane.waiting)
            buffer.byte_count -= sum(size_of(event.record) for event in lane.waiting if event.record is not None and _is_last(event.part))
            buffer.crowded_lanes -= len(lane.waiting) >= self._session_events_max
            for held in lane.sequence.held if lane.sequence is not None else ():
                buffer.event_count -= len(held.events)
                buffer.byte_count -= sum(size_of(event.record) for event in held.events[-1:] if event.record is not None)


def size_of(record: Record) -> int:
    """What a waiting event costs."""
    return len(record.value or b"") + len(record.key or b"") + EVENT_OVERHEAD_BYTES


def _begin_anew(assignment: Assignment) -> None:
    """A record before the committed offset: the topic was created again, and what was known of places is void."""
    assignment.starts_at = -1
    assignment.is_new_log = True
    assignment.ledger.begin_anew()
    for lane in assignment.lanes.values():
        lane.last_offset = lane.done_offset = -1
        lane.split = None


def _is_split_at(lane: Lane, offset: int) -> bool:
    """Whether parts of this record still wait. Its dead letter is confirmed now."""
    head = lane.waiting[0] if lane.waiting else None
    if lane.split is None or head is None or head.record is None or head.record.offset != offset:
        return False
    lane.split.letter = Letter.STORED
    return True


def _is_last(part: Part | None) -> bool:
    return part is None or part.is_last


def _not_new(taken: Taken, assignment: Assignment, offset: int) -> list[Command]:
    return [Skip(assignment, offset, Skipped.FINISHED_BEFORE if taken is Taken.FINISHED_BEFORE else Skipped.READ_AGAIN)]
