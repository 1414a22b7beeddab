"""Time lines: what happened to single player sessions, row by row, for as many of them as memory is granted for.

In: what is received, sent and answered, and what becomes of sessions. Out: rows, for the console.

Which sessions are kept, when there is not room for all: those that somebody asked to follow, then those that had trouble, then a sample of
those that were opened here; whoever is over makes room first. A session that is not kept costs one look into a dictionary per event. Of a
long line the first rows and the last ones are kept: how it began, and how it stands.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from relay.core.assignment import Assignment
from relay.core.commands import Announce, Cause, Change, OpenSession, SendEvent, SetAside
from relay.core.events import PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Opened, Verdict
from relay.core.lane import Lane, State
from relay.core.verdict import ACCEPTED

ROWS_FIRST: Final = 40
ROWS_LAST: Final = 160
ROWS_LAST_FOLLOWED: Final = 2_000
PENDING_MAX: Final = 100  # rows of events that were received and are not finished; more waiting ones are only counted
FOLLOWED_MAX: Final = 50
REFRESH_EVERY: Final = 1_000  # with no room left, one in so many openings takes the place of the oldest sample


class What(StrEnum):
    """What a row tells of."""

    EVENT = "event"  # an event of the player, from its reception to the last answer
    OPENING = "opening"  # a call to open a session for an event that is not its start
    TOLD = "told"  # something that was open, told again to a new session
    FAREWELL = "farewell"  # the relay's own sessionEnd, before a second sessionStart or for a silent player
    KEPT_ALIVE = "kept_alive"  # the relay's own ping, for a silent player
    OPENED = "opened"
    LOST = "lost"
    SUSPENDED = "suspended"
    REFUSED = "refused"
    ENDED = "ended"
    FORGOTTEN = "forgotten"
    TELLING_REFUSED = "telling_refused"
    RETRIED = "retried"
    GIVEN_UP = "given_up"
    PARKED = "parked"
    REPEATED_UNKNOWN = "repeated_unknown"
    SKIPPED_UNKNOWN = "skipped_unknown"
    CAME_LATE = "came_late"
    CAME_TWICE = "came_twice"
    SCATTERED = "scattered"


class Rank(IntEnum):
    """Why a session is kept; who ranks higher may take the place of one that ranks lower."""

    SAMPLED = 0
    TROUBLED = 1
    FOLLOWED = 2


class Row(msgspec.Struct, gc=False):
    """One thing that happened. Times are of the core's clock, in seconds; 0 where it did not happen."""

    what: What
    at: float
    event: str = ""  # the type of the event
    offset: int = -1
    part: int = 0  # of its record, from 1; 0 when the record says one thing
    appended_at: float = 0.0
    received_at: float = 0.0
    sent_at: float = 0.0
    answered_at: float = 0.0
    tries: int = 0
    outcome: str = ""  # "delivered", "opened", "set aside" …; empty while it waits
    cause: str = ""  # from closed lists
    status: int = 0


_CHANGES: Final[dict[Change, What]] = {
    change: What(change.value) for change in Change if change not in {Change.TOLD, Change.PINGED}
}  # those have a row of their own
_OVER: Final = frozenset({Change.ENDED, Change.FORGOTTEN})
_SETTLED: Final = {
    Change.ENDED: "over",
    Change.SUSPENDED: "over",
    Change.TELLING_REFUSED: "refused",
    Change.SKIPPED_UNKNOWN: "unknown",
}  # what these say of a call that was not answered well
_OWN: Final = {State.REPLACING: What.FAREWELL, State.SUSPENDING: What.FAREWELL, State.PINGING: What.KEPT_ALIVE}
_OF_A_START: Final = frozenset({Cause.FIRST, Cause.RESTARTED})


class Line:
    """The time line of one session."""

    __slots__ = (
        "_last",
        "_pending",
        "_under_way",
        "first",
        "is_over",
        "key",
        "left_out",
        "partition",
        "rank",
        "since",
        "topic",
        "uncounted",
    )

    def __init__(self, lane_key: SessionKey, assignment: Assignment, rank: Rank, since: float) -> None:
        """Begin now."""
        self.key = lane_key
        self.topic = assignment.topic
        self.partition = assignment.partition
        self.rank = rank
        self.since = since
        self.is_over = False
        self.first: list[Row] = []
        self.left_out = 0  # rows between the first and the last
        self.uncounted = 0  # events that were received while as many as may be were pending
        self._last: deque[Row] = deque(maxlen=ROWS_LAST)
        self._pending: dict[tuple[int, int], Row] = {}  # by offset and part
        self._under_way: Row | None = None

    @property
    def rows(self) -> list[Row]:
        """All that is kept, in order."""
        return [*self.first, *self._last]

    def follow(self) -> None:
        """Keep more from now on."""
        self.rank = Rank.FOLLOWED
        self._last = deque(self._last, maxlen=ROWS_LAST_FOLLOWED)

    def is_of(self, assignment: Assignment) -> bool:
        """Whether it is that partition's: one key in two partitions is two sessions."""
        return assignment.partition == self.partition and assignment.topic == self.topic

    def received(self, event: PlayerEvent, record: Record, now: float) -> None:
        """An event came in."""
        if len(self._pending) >= PENDING_MAX:
            self.uncounted += 1
            return
        self._pend(event, record, now).received_at = now

    def opening(self, command: OpenSession, now: float) -> None:
        """A session is being opened."""
        head = command.lane.waiting[0]
        assert head.record is not None
        if command.cause in _OF_A_START:
            row = self._row_of(head, head.record, now)
            row.cause = command.cause
        elif self._under_way is not None and self._under_way.what is What.OPENING and not self._under_way.outcome:
            row = self._under_way  # once more
        else:
            row = Row(What.OPENING, now, head.event_type, head.record.offset, cause=command.cause)
            self._add(row)
        self._depart(row, now)

    def sent(self, command: SendEvent, now: float) -> None:
        """An event is being sent."""
        event = command.event
        if event.record is not None:
            row = self._row_of(event, event.record, now)
        else:
            what = _OWN.get(command.lane.state, What.TOLD)
            row = Row(what, now, event.event_type)
            self._add(row)
        self._depart(row, now)

    def answered(self, verdict: Verdict, now: float) -> None:
        """The call under way has ended."""
        row = self._under_way
        if row is None:
            return
        row.answered_at = now
        if verdict is ACCEPTED or isinstance(verdict, Accepted):
            row.outcome = "delivered"
        elif isinstance(verdict, Opened):
            row.outcome = "opened"
        else:
            row.status = verdict.status
            return  # what it means for the session, the core says next
        self._settle(row, row.outcome)

    def changed(self, announce: Announce, now: float) -> None:
        """Something became of the session."""
        if self._under_way is not None and announce.change in _SETTLED:
            self._settle(self._under_way, _SETTLED[announce.change])
        what = _CHANGES.get(announce.change)
        if what is not None:
            self._add(Row(what, now, cause=announce.detail, status=announce.status))

    def set_aside(self, aside: SetAside, now: float) -> None:
        """An event goes to the dead letters."""
        part = 0 if aside.part is None else aside.part.number
        row = self._pending.pop((aside.record.offset, part), None)
        if row is None:
            row = Row(What.EVENT, now, offset=aside.record.offset, part=part, appended_at=aside.record.appended_at, tries=aside.attempts)
            self._add(row)
        row.outcome, row.cause, row.status = "set aside", aside.reason, aside.status
        if self._under_way is not None and self._under_way is not row:
            self._under_way.outcome = "refused"  # the opening that was tried for it
        self._under_way = None

    def left(self, event: PlayerEvent, outcome: str) -> None:
        """An event is done with, though it was neither delivered nor set aside by itself."""
        assert event.record is not None
        row = self._pending.pop(_place(event, event.record), None)
        if row is not None:
            row.outcome = outcome
            if row is self._under_way:
                self._under_way = None

    def _settle(self, row: Row, outcome: str) -> None:
        row.outcome = outcome
        self._under_way = None
        if row.what is What.EVENT:  # an opening bears the offset of the event that still waits for it
            self._pending.pop((row.offset, row.part), None)

    def _row_of(self, event: PlayerEvent, record: Record, now: float) -> Row:
        return self._pending.get(_place(event, record)) or self._pend(event, record, now)

    def _pend(self, event: PlayerEvent, record: Record, now: float) -> Row:
        place = offset, part = _place(event, record)
        row = self._pending[place] = Row(What.EVENT, now, event.event_type, offset, part, record.appended_at)
        self._add(row)
        return row

    def _depart(self, row: Row, now: float) -> None:
        row.sent_at = row.sent_at or now
        row.tries += 1
        row.status = 0
        self._under_way = row

    def _add(self, row: Row) -> None:
        if len(self.first) < ROWS_FIRST:
            self.first.append(row)
            return
        if len(self._last) == self._last.maxlen:
            self.left_out += 1
        self._last.append(row)


def _place(event: PlayerEvent, record: Record) -> tuple[int, int]:
    return record.offset, 0 if event.part is None else event.part.number


class TimeLines:
    """The lines that are kept."""

    def __init__(self, lines_max: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep at most so many; 0 keeps none, and then nobody should ask it about every event."""
        self.lines_max = lines_max
        self.clock = clock
        self.kept: dict[SessionKey, Line] = {}
        self._ranked: dict[Rank, dict[SessionKey, None]] = {rank: {} for rank in Rank}  # in the order of their coming
        self._over: dict[SessionKey, None] = {}
        self._refused = 0

    def __iter__(self) -> Iterator[Line]:
        """Every line, the oldest first."""
        return iter(self.kept.values())

    def of(self, key: SessionKey, topic: str, partition: int) -> Line | None:
        """The line of a session, if it is kept."""
        line = self.kept.get(key)
        return line if line is not None and (line.topic, line.partition) == (topic, partition) else None

    def of_lane(self, lane: Lane) -> Line | None:
        """The line of a lane, if it is kept."""
        line = self.kept.get(lane.key)
        return line if line is not None and line.is_of(lane.assignment) else None

    def begin(self, lane: Lane, rank: Rank) -> Line | None:
        """Keep this session from now on, if there is room or it may take somebody's place."""
        line = self.of_lane(lane)
        if line is not None:
            self._raise(line, rank)
            return line
        if lane.key in self.kept or not self._make_room(rank):
            return None
        line = self.kept[lane.key] = Line(lane.key, lane.assignment, rank, self.clock())
        if rank is Rank.FOLLOWED:
            line.follow()
        self._ranked[rank][lane.key] = None
        return line

    def over(self, line: Line) -> None:
        """The session is over: its line stays until its room is wanted."""
        line.is_over = True
        if line.rank is not Rank.FOLLOWED:
            self._over[line.key] = None

    def is_over(self, change: Change) -> bool:
        """Whether nothing more is expected after it."""
        return change in _OVER

    def _raise(self, line: Line, rank: Rank) -> None:
        """It goes on, perhaps for a better reason."""
        line.is_over = False
        self._over.pop(line.key, None)
        if rank <= line.rank or (rank is Rank.FOLLOWED and not self._make_room_among_followed()):
            return
        del self._ranked[line.rank][line.key]
        line.rank = rank
        self._ranked[rank][line.key] = None
        if rank is Rank.FOLLOWED:
            line.follow()

    def _make_room(self, rank: Rank) -> bool:
        if rank is Rank.FOLLOWED and not self._make_room_among_followed():
            return False
        if len(self.kept) < self.lines_max:
            return True
        leaving = next(iter(self._over), None)
        if leaving is None:
            leaving = next((key for lower in Rank if lower < rank for key in self._ranked[lower]), None)
        if leaving is None and (rank is not Rank.SAMPLED or self._is_due()):
            leaving = next(iter(self._ranked[rank]), None)
        if leaving is None:
            return False
        self._drop(leaving)
        return True

    def _make_room_among_followed(self) -> bool:
        followed = self._ranked[Rank.FOLLOWED]
        if self.lines_max and len(followed) >= FOLLOWED_MAX:
            self._drop(next(iter(followed)))
        return bool(self.lines_max)

    def _is_due(self) -> bool:
        self._refused += 1
        return self._refused % REFRESH_EVERY == 0

    def _drop(self, key: SessionKey) -> None:
        line = self.kept.pop(key)
        del self._ranked[line.rank][key]
        self._over.pop(key, None)
