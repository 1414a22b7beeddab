"""Sessions, found among a hundred thousand without holding anybody up.

In: a filter. Out: a page of sessions, or one with its time line. Lanes are looked at a slice at a time, with the loop free in between, and
no longer than until the page is full; a next page begins where this one ended, which is exact as long as nobody ahead of it left.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from relay.core.assignment import Assignment
from relay.core.commands import Cause
from relay.core.events import SessionKey
from relay.core.lane import IN_FLIGHT_FROM, Lane, State
from relay.observe.console import shapes
from relay.observe.console.subject import Subject
from relay.observe.console.waits import waits_for

PAGE: Final = 50
SLICE: Final = 500  # lanes that are looked at in one turn of the loop: half a millisecond where names are computed
LOOKS_MAX: Final = 250_000
NAMES_MAX: Final = 5_000

Judge = Callable[[Lane], bool]

STATES: Final[Mapping[str, Judge]] = {
    "waiting": lambda lane: bool(lane.waiting),
    "failing": lambda lane: lane.failures > 0,
    "in-flight": lambda lane: lane.state >= IN_FLIGHT_FROM,
    "open": lambda lane: lane.session_id is not None,
    "absent": lambda lane: lane.state is State.ABSENT,
    "lost": lambda lane: lane.state is State.LOST or lane.state is State.REOPENING,
    "refused": lambda lane: lane.state is State.REFUSED,
    "parked": lambda lane: lane.state is State.PARKED,
    "completed": lambda lane: lane.state is State.COMPLETED,
    "ended": lambda lane: lane.state is State.ENDED,
}


class Filter(NamedTuple):
    """Which sessions are wanted."""

    state: str = ""
    cause: str = ""
    text: str = ""
    begin: str = ""


class Finder:
    """Finds sessions, and remembers the names that it gave."""

    def __init__(self, subject: Subject) -> None:
        """Look at this relay."""
        self._subject = subject
        self._named: dict[tuple[str, int, str], SessionKey] = {}

    async def find(self, wanted: Filter) -> shapes.Sessions:
        """A page of those that match."""
        if wanted.text and (lanes := self._by_key(SessionKey(wanted.text))):
            return self._page([lane for lane in lanes if self._matches(wanted._replace(text=""))(lane)], len(lanes), "")
        if wanted.cause:
            return self._by_cause(wanted)
        return await self._walk(self._matches(wanted), wanted.begin)

    async def lane_named(self, topic: str, partition: int, name: str) -> Lane | None:
        """The lane that goes by this name."""
        assignment = self._subject.router.assignments.get((topic, partition))
        if assignment is None:
            return None
        key = self._named.get((topic, partition, name))
        if key is not None and key in assignment.lanes:
            return assignment.lanes[key]
        for lanes in _slices(assignment, 0):
            for lane in lanes:
                if self._subject.name(lane.key) == name:
                    return lane
            await asyncio.sleep(0)
        return None

    def lanes_of(self, key: SessionKey) -> list[Lane]:
        """Every lane of this key: one, unless it is spread over partitions."""
        return self._by_key(key)

    def session(self, lane: Lane) -> shapes.Session:
        """One session as it stands."""
        subject, assignment = self._subject, lane.assignment
        name = subject.name(lane.key)
        if len(self._named) >= NAMES_MAX:
            del self._named[next(iter(self._named))]
        self._named[assignment.topic, assignment.partition, name] = lane.key
        head = lane.waiting[0].record if lane.waiting else None
        return shapes.Session(
            name=name,
            key=subject.shown(lane.key),
            topic=assignment.topic,
            partition=assignment.partition,
            state=lane.state.name.lower(),
            waits_for=waits_for(lane, subject.router),
            waiting=len(lane.waiting),
            oldest_waiting_seconds=0.0 if head is None else subject.age(head.appended_at),
            silent_seconds=subject.age(lane.active_at),
            tries=lane.attempts,
        )

    # --- the inside -------------------------------------------------------------------------------------------------------------------

    def _by_key(self, key: SessionKey) -> list[Lane]:
        assignments = self._subject.router.assignments.values()
        return [lane for one in assignments if (lane := one.lanes.get(key)) is not None]

    def _by_cause(self, wanted: Filter) -> shapes.Sessions:
        """Those of the openings that are remembered; the newest first, each session once."""
        openings = self._subject.witness.audit.latest_openings([Cause(wanted.cause)])
        assignments = self._subject.router.assignments
        found: dict[Lane, None] = {}
        for opening in openings:
            assignment = assignments.get((opening.place.topic, opening.place.partition))
            lane = assignment.lanes.get(opening.place.key) if assignment is not None and opening.place.key is not None else None
            if lane is not None:
                found[lane] = None
        matches = self._matches(wanted)
        lanes = [lane for lane in found if matches(lane)]
        begin = int(wanted.begin) if wanted.begin.isdecimal() else 0
        following = str(begin + PAGE) if len(lanes) > begin + PAGE else ""
        return self._page(lanes[begin : begin + PAGE], len(openings), following)

    async def _walk(self, matches: Judge, begin: str) -> shapes.Sessions:
        found: list[Lane] = []
        looked_at = 0
        for assignment, place in self._places(begin):
            at = place
            for lanes in _slices(assignment, place):
                hits = [(number, lane) for number, lane in enumerate(lanes, 1) if matches(lane)]
                room = PAGE - len(found)
                found += [lane for _, lane in hits[:room]]
                if len(hits) >= room:
                    last = hits[room - 1][0]
                    return self._page(found, looked_at + last, _cursor(assignment, at + last))
                at += len(lanes)
                looked_at += len(lanes)
                if looked_at >= LOOKS_MAX:
                    return self._page(found, looked_at, _cursor(assignment, at))
                await asyncio.sleep(0)
        return self._page(found, looked_at, "")

    def _places(self, begin: str) -> Iterator[tuple[Assignment, int]]:
        """Every partition in order, from a cursor on."""
        partition, _, rest = begin.partition(".")
        place, _, topic = rest.partition(".")
        after = (topic, int(partition)) if partition.isdecimal() and place.isdecimal() else ("", -1)
        for at, assignment in sorted(self._subject.router.assignments.items()):
            if at >= after:
                yield assignment, int(place) if at == after else 0

    def _matches(self, wanted: Filter) -> Judge:
        judges: list[Judge] = []
        if wanted.state:
            judges.append(STATES[wanted.state])
        if wanted.text:
            judges.append(self._says(wanted.text))
        if len(judges) == 1:
            return judges[0]
        if not judges:
            return lambda _: True
        return lambda lane: all(judge(lane) for judge in judges)

    def _says(self, text: str) -> Judge:
        """By the beginning of the name; by any part of the key only where keys are shown, else one could feel one's way to them."""
        name, lowered = self._subject.name, text.lower()
        if not self._subject.facts.is_masked:
            return lambda lane: text in lane.key or name(lane.key).startswith(lowered)
        return lambda lane: name(lane.key).startswith(lowered)

    def _page(self, lanes: list[Lane], looked_at: int, following: str) -> shapes.Sessions:
        return shapes.Sessions(
            sessions=[self.session(lane) for lane in lanes],
            held=self._subject.router.buffer.lane_count,
            looked_at=looked_at,
            next=following,
        )


def _slices(assignment: Assignment, begin: int) -> Iterator[list[Lane]]:
    """The lanes as they are now, in slices: to copy a hundred thousand references takes less than a millisecond."""
    lanes = list(islice(assignment.lanes.values(), begin, None))
    for place in range(0, len(lanes), SLICE):
        yield lanes[place : place + SLICE]


def _cursor(assignment: Assignment, place: int) -> str:
    return f"{assignment.partition}.{place}.{assignment.topic}"
