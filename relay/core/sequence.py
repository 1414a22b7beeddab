"""Order on the way in: what comes late or twice, before anybody holds it against the relay.

In: events of a session in the order of their partition. Out: what was found of each, and which may go to its lane now.

The theory:

1. An event has a *place*: its sequence number, where producers write one into a header, and its `ts` otherwise.
2. It is *late* when its place is below the highest that has gone to its lane, and *repeated* when its place and its value are those of a
   recent event; with sequence numbers the number alone says so. Neither is ever an error of the event itself.
3. `send` only counts. `drop_repeats` lets no repeated one pass. `reorder` drops them as well, and lets an event wait so that others may go
   before it: one with the next number goes at once, all others when the window is over, in seconds or in events. What is late even then
   goes as it comes.
4. A `sessionStart` waits for nobody but those before it that wait already, and what was known of the session's order begins anew with it.
   What comes again by a replay, and what has no number where numbers are looked at, passes by.

Nothing of this outlives a restart: it begins with the first event that is read then, and at worst lets something pass.
"""

from array import array
from bisect import insort
from collections import deque
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from relay.core.events import EventType, PlayerEvent, Record

if TYPE_CHECKING:
    from relay.core.lane import Lane

RECENT_MAX: Final = 32  # events of a session among which a repeated one is found
NUMBER_MAX: Final = 2**63 - 1
_NUMBER_CHARACTERS_MAX: Final = 19
_REPLAYED: Final = frozenset({"relay.replay", "relay.replay_end"})


class Policy(StrEnum):
    """What becomes of events that come late or twice."""

    IGNORE = "ignore"  # nobody looks
    SEND = "send"
    DROP_REPEATS = "drop_repeats"
    REORDER = "reorder"


class Order(msgspec.Struct, frozen=True):
    """What the operator wants."""

    policy: Policy = Policy.SEND
    sequence_header: str | None = None
    window_seconds: float = 2.0
    window_events: int = 32  # of one session


class Found(Enum):
    """What was found of an event."""

    IN_ORDER = auto()
    LATE = auto()
    REPEATED = auto()


class Held(NamedTuple):
    """What waits for others to go before it: all that a record says. Compared by place, then by offset."""

    place: int
    offset: int
    events: tuple[PlayerEvent, ...]


class Sequence:
    """What is known of the order of one session."""

    __slots__ = ("displaced", "held", "highest", "recent", "released_offset")

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.highest = -1  # place that has gone to the lane
        self.recent = array("q")  # digests
        self.held: list[Held] = []
        self.released_offset = -1  # the highest
        self.displaced: set[int] = set()  # offsets that went to the lane behind a higher one, and wait there

    def is_repeated(self, digest: int) -> bool:
        """Whether such an event was seen a short while ago; from now on it was."""
        recent = self.recent
        if digest in recent:
            return True
        recent.append(digest)
        if len(recent) > RECENT_MAX:
            recent.pop(0)
        return False

    def begin_anew(self) -> None:
        """A session begins."""
        self.highest = -1
        self.recent = array("q")


class Judged(NamedTuple):
    """What was found, and what goes to the lane now, in this order; a repeated event is not among it where those are dropped."""

    found: Found
    ready: list[tuple[PlayerEvent, ...]]


class Sequencing:
    """Looks at the order of all sessions."""

    def __init__(self, order: Order) -> None:
        """Take the operator's choice."""
        self._order = order
        self._drops = order.policy in {Policy.DROP_REPEATS, Policy.REORDER}
        self._reorders = order.policy is Policy.REORDER
        self._due: deque[tuple[float, Lane, int]] = deque()  # the window is the same for all, so what came first is due first

    def look(self, lane: "Lane", record: Record, events: tuple[PlayerEvent, ...], now: float) -> Judged:
        """All that a record says has come in for a lane."""
        head = events[0]
        place = self._place(record, head)
        if place is None:
            return Judged(Found.IN_ORDER, [events])
        sequence = lane.sequence
        if sequence is None:
            sequence = lane.sequence = Sequence()
        if not lane.waiting:
            sequence.displaced.clear()  # they have left
        is_start = head.event_type is EventType.SESSION_START
        digest = hash((place, record.value)) if is_start or self._order.sequence_header is None else place
        if sequence.is_repeated(digest):
            return Judged(Found.REPEATED, [] if self._drops else [events])
        if is_start and sequence.highest >= 0:
            flushed = self._release(lane, len(sequence.held))
            sequence.begin_anew()
            sequence.is_repeated(digest)
            return Judged(Found.IN_ORDER, [*flushed, *self._pass(sequence, place, record, events)])
        if place < sequence.highest:
            return Judged(Found.LATE, self._pass(sequence, place, record, events))
        if not self._reorders:
            return Judged(Found.IN_ORDER, self._pass(sequence, place, record, events))
        insort(sequence.held, Held(place, record.offset, events))
        ready = self._release(lane, self._ripe(sequence))
        if events not in ready:
            self._due.append((now + self._order.window_seconds, lane, place))
        return Judged(Found.IN_ORDER, ready)

    def due(self, now: float) -> list[tuple["Lane", list[tuple[PlayerEvent, ...]]]]:
        """What has waited for as long as the window is."""
        released: list[tuple[Lane, list[tuple[PlayerEvent, ...]]]] = []
        while self._due and self._due[0][0] <= now:
            _, lane, place = self._due.popleft()
            if lane.sequence is not None and lane.sequence.held:
                count = sum(one.place <= place for one in lane.sequence.held)
                if count:
                    released.append((lane, self._release(lane, count)))
        return released

    def ask_again_at(self) -> float | None:
        """When `due` may have more to say."""
        return self._due[0][0] if self._due else None

    def _place(self, record: Record, head: PlayerEvent) -> int | None:
        name = self._order.sequence_header
        if not record.headers:
            return head.ts if name is None else None
        number: int | None = None
        for given, value in record.headers:
            if given in _REPLAYED:
                return None
            if given == name:
                number = _number(value)
        return head.ts if name is None else number

    def _ripe(self, sequence: Sequence) -> int:
        """How many of those that wait need to wait no longer: a start, those that follow without a gap, and more than the window holds."""
        held = sequence.held
        count, highest = 0, sequence.highest
        has_numbers = self._order.sequence_header is not None
        for one in held:
            is_start = one.events[0].event_type is EventType.SESSION_START
            if not is_start and not (has_numbers and one.place == highest + 1):
                break
            count, highest = count + 1, one.place
        return max(count, len(held) - self._order.window_events)

    def _release(self, lane: "Lane", count: int) -> list[tuple[PlayerEvent, ...]]:
        sequence = lane.sequence
        assert sequence is not None
        ready, sequence.held = sequence.held[:count], sequence.held[count:]
        for one in ready:
            self._went(sequence, one.place, one.offset)
        return [one.events for one in ready]

    def _pass(self, sequence: Sequence, place: int, record: Record, events: tuple[PlayerEvent, ...]) -> list[tuple[PlayerEvent, ...]]:
        self._went(sequence, place, record.offset)
        return [events]

    def _went(self, sequence: Sequence, place: int, offset: int) -> None:
        sequence.highest = max(sequence.highest, place)
        if not self._reorders:
            return
        if offset < sequence.released_offset:
            sequence.displaced.add(offset)
        else:
            sequence.released_offset = offset


def is_replayed(record: Record) -> bool:
    """Whether a record comes again by a replay: it was late before, and everybody knows."""
    return any(name in _REPLAYED for name, _ in record.headers)


def is_displaced(lane: "Lane", offset: int) -> bool:
    """Whether an event stands behind a younger one of the log because its place says so."""
    return lane.sequence is not None and offset in lane.sequence.displaced


def lowest_waiting(lane: "Lane") -> int | None:
    """The lowest offset of what waits in a lane, or before it for others to go first. None when nothing does."""
    sequence = lane.sequence
    if sequence is None or not (sequence.held or sequence.displaced):
        head = lane.waiting[0].record if lane.waiting else None
        return None if head is None else head.offset
    offsets = [event.record.offset for event in lane.waiting if event.record is not None] + [one.offset for one in sequence.held]
    return min(offsets, default=None)


def _number(value: bytes | None) -> int | None:
    if value is None or len(value) > _NUMBER_CHARACTERS_MAX or not value.isdigit():
        return None
    number = int(value)
    return number if number <= NUMBER_MAX else None
