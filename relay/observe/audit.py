"""Why sessions were opened, what was set aside, which calls failed and when circuits changed: the latest of each, since this relay started.

In: what the core announces. Out: short lists, for the console. Everything here is bounded, and nothing is told per event.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from relay.core.commands import Announce, Cause, Change, SetAside
from relay.core.events import EventType, SessionKey
from relay.core.lane import Lane
from relay.core.pressure import CircuitState

OPENINGS_MAX: Final = 500  # of each cause: the many first ones must not push out the few lost ones
LETTERS_MAX: Final = 20  # of each reason
PROBLEMS_MAX: Final = 200
SWITCHES_MAX: Final = 50
LOSSES_MAX: Final = 1_000
DETAIL_CHARACTERS_MAX: Final = 500

PROBLEMS: Final = frozenset(Change) - {Change.OPENED, Change.ENDED, Change.SUSPENDED, Change.FORGOTTEN, Change.TOLD, Change.PINGED}


class Place(msgspec.Struct, frozen=True, gc=False):
    """Whose it is, and where in the log."""

    topic: str
    partition: int
    offset: int
    key: SessionKey | None


class Opening(msgspec.Struct, frozen=True, gc=False):
    """An API session that was opened."""

    at: float  # on the core's clock
    cause: Cause
    place: Place
    event: EventType  # the one that it was opened for
    after_status: int = 0  # for a lost one: the answer that said so, where it is still known


class Letter(msgspec.Struct, frozen=True, gc=False):
    """An event that was set aside."""

    at: float
    reason: str
    place: Place
    attempts: int
    status: int
    detail: str  # may quote a player, or the API


class Problem(msgspec.Struct, frozen=True, gc=False):
    """A call that did not end well."""

    at: float
    change: Change
    cause: str  # from closed lists
    status: int
    place: Place


class Switch(msgspec.Struct, frozen=True, gc=False):
    """A circuit that opened or closed."""

    at: float
    operation: str
    state: CircuitState
    advice: str


class Audit:
    """The latest of each."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.openings: dict[Cause, deque[Opening]] = {cause: deque(maxlen=OPENINGS_MAX) for cause in Cause}
        self.letters: dict[str, deque[Letter]] = {}
        self.letter_counts: dict[str, int] = {}
        self.problems: deque[Problem] = deque(maxlen=PROBLEMS_MAX)
        self.switches: deque[Switch] = deque(maxlen=SWITCHES_MAX)
        self._losses: dict[tuple[int, SessionKey], int] = {}  # by assignment and key, the answer that said so

    def latest_openings(self, causes: Iterable[Cause] = tuple(Cause)) -> list[Opening]:
        """Those of these causes that are kept, the newest first."""
        return sorted((opening for cause in causes for opening in self.openings[cause]), key=lambda one: one.at, reverse=True)

    def announce(self, announce: Announce, now: float) -> None:
        """Something became of a session."""
        lane, change = announce.lane, announce.change
        if change is Change.OPENED:
            cause = Cause(announce.detail)
            head = None if cause in {Cause.FIRST, Cause.RESTARTED} else lane.waiting[0]
            event = EventType.SESSION_START if head is None else head.event_type
            after_status = self._losses.pop((lane.assignment.generation, lane.key), 0)
            self.openings[cause].append(Opening(now, cause, _place(lane), event, after_status))
        elif change in PROBLEMS:
            self.problems.append(Problem(now, change, announce.detail, announce.status, _place(lane)))
            if change is Change.LOST:
                self._lost(lane, announce.status)

    def set_aside(self, aside: SetAside, now: float) -> None:
        """An event goes to the dead letters."""
        place = Place(aside.assignment.topic, aside.assignment.partition, aside.record.offset, aside.key)
        letters = self.letters.setdefault(aside.reason, deque(maxlen=LETTERS_MAX))
        letters.append(Letter(now, aside.reason, place, aside.attempts, aside.status, aside.detail[:DETAIL_CHARACTERS_MAX]))
        self.letter_counts[aside.reason] = self.letter_counts.get(aside.reason, 0) + 1

    def switch(self, operation: str, state: CircuitState, advice: str, now: float) -> None:
        """A circuit opened or closed."""
        self.switches.append(Switch(now, operation, state, advice))

    def _lost(self, lane: Lane, status: int) -> None:
        if len(self._losses) >= LOSSES_MAX:
            del self._losses[next(iter(self._losses))]
        self._losses[lane.assignment.generation, lane.key] = status


def _place(lane: Lane) -> Place:
    """At the head, or at the last event that left it."""
    head = lane.waiting[0].record if lane.waiting else None
    offset = lane.last_offset if head is None else head.offset
    return Place(lane.assignment.topic, lane.assignment.partition, offset, lane.key)
