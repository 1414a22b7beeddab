"""Sees what happens and remembers the latest of it: joins time lines and audit to the pump.

In: functions of the pump's way, and what the core announces. Out: the same functions, which tell the time lines as well; when none are
kept, they come back as they were, and cost nothing.
"""

import time
from collections.abc import Callable
from typing import Final

from relay.core.assignment import Assignment
from relay.core.commands import Announce, Change, DropEvent, FinishUnknown, OpenSession, SendEvent, SetAside, SetAsideAlready
from relay.core.events import PlayerEvent, Record, Said, SessionKey
from relay.core.inputs import Answered
from relay.core.pressure import CircuitState
from relay.observe.audit import PROBLEMS, Audit
from relay.observe.timelines import Rank, TimeLines

Read = Callable[[Record], tuple[SessionKey, Said]]
Start = Callable[[OpenSession | SendEvent], None]
Report = Callable[[Answered], None]

LINES_MAX: Final = 250

_LEFT: Final = {
    SetAsideAlready: "set aside",  # it is in the dead letter of another part of its record
    FinishUnknown: "answer lost",
    DropEvent: "dropped",
}


class Witness:
    """What the console knows that is not written in the core's own state."""

    def __init__(self, *, lines_max: int = LINES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep at most so many time lines."""
        self.clock = clock
        self.audit = Audit()
        self.lines = TimeLines(lines_max, clock=clock)

    # --- what happens for every event: each of these is joined in only when lines are kept -------------------------------------------

    def reading(self, read: Read, assignment: Assignment) -> Read:
        """Reads a record of this partition."""
        if not self.lines.lines_max:
            return read
        kept, clock = self.lines.kept, self.clock

        def read_and_tell(record: Record) -> tuple[SessionKey, Said]:
            key, said = both = read(record)
            line = kept.get(key)
            if line is not None and line.is_of(assignment):
                for event in said if isinstance(said, tuple) else (said,):
                    if isinstance(event, PlayerEvent):
                        line.received(event, record, clock())
            return both

        return read_and_tell

    def opening(self, start: Start) -> Start:
        """Starts a call that opens a session."""
        if not self.lines.lines_max:
            return start
        begin, clock = self.lines.begin, self.clock

        def tell_and_start(command: OpenSession | SendEvent) -> None:
            line = begin(command.lane, Rank.SAMPLED)
            if line is not None and isinstance(command, OpenSession):
                line.opening(command, clock())
            start(command)

        return tell_and_start

    def sending(self, start: Start) -> Start:
        """Starts a call that sends an event."""
        if not self.lines.lines_max:
            return start
        kept, begin, lines_max, clock = self.lines.kept, self.lines.begin, self.lines.lines_max, self.clock

        def tell_and_start(command: OpenSession | SendEvent) -> None:
            line = kept.get(command.lane.key)
            if line is None and len(kept) < lines_max:  # one that was open before this relay began, and there is room
                line = begin(command.lane, Rank.SAMPLED)
            if line is not None and isinstance(command, SendEvent) and line.is_of(command.lane.assignment):
                line.sent(command, clock())
            start(command)

        return tell_and_start

    def answering(self, report: Report) -> Report:
        """Reports how a call ended."""
        if not self.lines.lines_max:
            return report
        kept, clock = self.lines.kept, self.clock

        def tell_and_report(answered: Answered) -> None:
            line = kept.get(answered.lane.key)
            if line is not None and line.is_of(answered.lane.assignment):
                line.answered(answered.verdict, clock())
            report(answered)

        return tell_and_report

    # --- what happens now and then ---------------------------------------------------------------------------------------------------

    def announce(self, announce: Announce) -> None:
        """Something became of a session."""
        now, lane, change = self.clock(), announce.lane, announce.change
        if change is not Change.TOLD:
            self.audit.announce(announce, now)
        lines = self.lines
        line = lines.begin(lane, Rank.TROUBLED) if change in PROBLEMS and lines.lines_max else lines.of_lane(lane)
        if line is not None:
            line.changed(announce, now)
            if lines.is_over(change):
                lines.over(line)

    def set_aside(self, aside: SetAside) -> None:
        """An event goes to the dead letters."""
        now = self.clock()
        self.audit.set_aside(aside, now)
        assignment = aside.assignment
        lane = None if aside.key is None else assignment.lanes.get(aside.key)
        if lane is not None and self.lines.lines_max:
            line = self.lines.begin(lane, Rank.TROUBLED)
            if line is not None:
                line.set_aside(aside, now)

    def left(self, command: SetAsideAlready | FinishUnknown | DropEvent) -> None:
        """An event is done with, though it was neither delivered nor set aside by itself."""
        line = self.lines.of_lane(command.lane)
        if line is not None:
            line.left(command.event, _LEFT[type(command)])

    def switch(self, operation: str, state: CircuitState, advice: str) -> None:
        """A circuit opened or closed."""
        self.audit.switch(operation, state, advice, self.clock())
