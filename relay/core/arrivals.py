"""What comes from Kafka, on its way into the lanes: known already or new, whole or in parts, in order or not.

In: records that were read, as events, parts, facts or nothing. Out: commands for what needs no lane; the rest waits in one.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay.core.assignment import Assignment, Stage
from relay.core.books import Books
from relay.core.commands import Announce, Change, Command, Drop, SetAside, Skip
from relay.core.derivation import derive
from relay.core.events import Derived, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import Arrived, ArrivedAsFacts, ArrivedInParts, SaysNothing, Unreadable
from relay.core.lane import IN_FLIGHT_FROM, OVER, Lane
from relay.core.reasons import Dropped, Skipped
from relay.core.replays import end_of
from relay.core.sequence import Found, Order, Policy, Sequencing, is_replayed
from relay.core.split import Letter
from relay.core.turns import Turns

_UNDERIVED: Final = Derived()


class Arrivals:
    """The way in."""

    def __init__(self, books: Books, turns: Turns, assignments: Mapping[tuple[str, int], Assignment], order: Order) -> None:
        """Enter what comes into the books, and queue lanes for their turns."""
        self._books = books
        self._turns = turns
        self._assignments = assignments
        # The common choice costs a comparison; whoever chooses more pays for it.
        self._looks_at_order = order.policy is not Policy.IGNORE
        self._counts_order = order.policy is Policy.SEND and order.sequence_header is None
        self._sequencing = None if self._counts_order or order.policy is Policy.IGNORE else Sequencing(order)

    def ask_again_at(self) -> float | None:
        """When something that waits for its place may wait no longer; None when nothing does."""
        return None if self._sequencing is None else self._sequencing.ask_again_at()

    def let_in_what_is_due(self, now: float) -> None:
        """What has waited for its place as long as it may goes into its lane."""
        if self._sequencing is None:
            return
        for lane, ready in self._sequencing.due(now):
            if lane.assignment.stage is not Stage.GONE:  # where it leaves they wait in their lane, and are counted out with it
                for events in ready:
                    self._let_in(lane, events)

    # --- one event, several, or facts -----------------------------------------------------------------------------------------------

    def event(self, happened: Arrived, now: float) -> list[Command]:
        """A record that is one event, as nearly all are."""
        event = happened.event
        assert event.record is not None
        entered = self._enter(happened.assignment, event.record, happened.key, now)
        if isinstance(entered, list):
            return entered
        lane, noticed = entered
        if lane.split is not None and lane.split.offset == event.record.offset:
            return self._go_on_behind(lane, event.record, (event,))
        return self._take_in(lane, event.record, (event,), noticed, now)

    def parts(self, happened: ArrivedInParts, now: float) -> list[Command]:
        """A record that says several things."""
        record = happened.events[0].record
        assert record is not None
        entered = self._enter(happened.assignment, record, happened.key, now)
        if isinstance(entered, list):
            return entered
        lane, noticed = entered
        if lane.split is not None and lane.split.offset == record.offset:
            return self._go_on_behind(lane, record, happened.events)
        return self._take_in(lane, record, happened.events, noticed, now)

    def facts(self, happened: ArrivedAsFacts, now: float) -> list[Command]:
        """A record of facts about a player: what they come to follows from all that came before them, waiting or not."""
        assignment, facts = happened.assignment, happened.facts.facts
        record = facts[0].event.record
        assert record is not None
        entered = self._enter(assignment, record, happened.key, now)
        if isinstance(entered, list):
            return entered
        lane, noticed = entered
        # What they come to rests on those before: they are never held back here, and a repeat says nothing new by itself.
        if self._looks_at_order:
            noticed += _count_order(lane, record, facts[0].event)
        before = lane.derived_ahead or lane.derived or _UNDERIVED
        after, derived = derive(before, facts, happened.facts.rules)
        is_split = lane.split is not None and lane.split.offset == record.offset
        if not derived and not is_split and (after is before or not lane.waiting):
            if after is not before:
                lane.derived = after
                assignment.changed[lane] = None
            assignment.ledger.finish(record.offset)
            return [*noticed, Drop(assignment, record.offset, Dropped.UNCHANGED)]
        lane.derived_ahead = after
        events = _in_parts(derived or [facts[0].event], after, is_silent=not derived)
        if is_split:
            return self._go_on_behind(lane, record, events)
        self._books.count_in(record, len(events))
        self._let_in(lane, events)
        return noticed

    # --- no event -------------------------------------------------------------------------------------------------------------------

    def nothing(self, happened: SaysNothing, _now: float) -> list[Command]:
        """A record that says nothing, by a rule of its mapping."""
        assignment, record = happened.assignment, happened.record
        needs_nothing = self._books.take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        assignment.ledger.finish(record.offset)
        return [Drop(assignment, record.offset, happened.reason)]

    def unreadable(self, happened: Unreadable, now: float) -> list[Command]:
        """A record that nobody understands; or it marks the end of a replay."""
        assignment, record = happened.assignment, happened.record
        if record.headers and (end := end_of(record)) is not None:
            return self.event(Arrived(assignment, *end), now)
        needs_nothing = self._books.take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        assignment.asides_pending += 1
        return [SetAside(assignment, record, happened.reason, happened.detail, key=happened.key)]

    # --- on the way -----------------------------------------------------------------------------------------------------------------

    def _enter(self, assignment: Assignment, record: Record, key: SessionKey, now: float) -> list[Command] | tuple[Lane, list[Command]]:
        """The lane that a record is for, and what there is to tell; or only commands, when it needs no lane any more."""
        needs_nothing = self._books.take(assignment, record)
        if needs_nothing is not None:
            return needs_nothing
        noticed: list[Command] = []
        lane = assignment.lanes.get(key)
        if lane is None:
            lane = self._books.new_lane(assignment, key)
            if self._is_scattered(lane):
                noticed.append(Announce(lane, Change.SCATTERED))
        lane.active_at = now
        if lane.silence is not None:
            lane.silence = None
            assignment.changed[lane] = None  # a restart must not take it for silent still
        return _arrived_again(lane, record) if record.offset <= lane.done_offset else (lane, noticed)

    def _take_in(self, lane: Lane, record: Record, events: tuple[PlayerEvent, ...], noticed: list[Command], now: float) -> list[Command]:
        if self._counts_order:
            head = events[0]
            if head.ts > lane.latest_ts:
                lane.latest_ts, lane.latest_digest = head.ts, hash(record.value)
            else:
                noticed += _count_order(lane, record, head)
        elif self._sequencing is not None:
            return noticed + self._take_in_order(self._sequencing, lane, record, events, now)
        self._books.count_in(record, len(events))
        self._let_in(lane, events)
        return noticed

    def _take_in_order(
        self, sequencing: Sequencing, lane: Lane, record: Record, events: tuple[PlayerEvent, ...], now: float
    ) -> list[Command]:
        """Let in what has its turn by now; the rest waits for others to go before it, and counts as waiting."""
        found, ready = sequencing.look(lane, record, events, now)
        commands: list[Command] = []
        if found is not Found.IN_ORDER:
            commands.append(Announce(lane, Change.CAME_LATE if found is Found.LATE else Change.CAME_TWICE))
        if found is Found.REPEATED and not ready:
            lane.assignment.ledger.finish(record.offset)
            return [*commands, Skip(lane.assignment, record.offset, Skipped.REPEATED)]
        self._books.count_in(record, len(events))
        for one in ready:
            self._let_in(lane, one)
        return commands

    def _let_in(self, lane: Lane, events: tuple[PlayerEvent, ...]) -> None:
        self._books.let_in(lane, events)
        if lane.state < IN_FLIGHT_FROM and not lane.is_queued and not lane.is_waiting:
            self._turns.queue(lane)

    def _go_on_behind(self, lane: Lane, record: Record, events: tuple[PlayerEvent, ...]) -> list[Command]:
        """The memoir says that some parts have left the lane: go on behind them, and write the letter again that was not confirmed."""
        assignment, split = lane.assignment, lane.split
        assert split is not None
        commands: list[Command] = []
        if split.letter is Letter.PENDING:
            commands += _set_aside_again(lane, record)
        events = events[split.done :]
        if events:
            self._books.count_in(record, len(events))
            self._let_in(lane, events)
            return commands
        lane.split = None  # the mapping has changed meanwhile, and the record says no more than what has left
        if not commands:
            assignment.ledger.finish(record.offset)
            commands.append(Skip(assignment, record.offset))
        return commands

    def _is_scattered(self, lane: Lane) -> bool:
        """Whether the same session lives in another partition of the topic: nobody can keep an order over two of them."""
        key, here = lane.key, lane.assignment
        for other in self._assignments.values():
            if key in other.lanes and other.topic == here.topic:  # in here, too, but that lane is new
                elsewhere = other.lanes[key]
                if elsewhere.waiting or elsewhere.state not in OVER:
                    return True
        return False


def _count_order(lane: Lane, record: Record, event: PlayerEvent) -> list[Command]:
    """What came in: in order, a new beginning, the same once more, or something late."""
    digest = hash(record.value)
    is_same = event.ts == lane.latest_ts and digest == lane.latest_digest
    is_late = event.ts < lane.latest_ts
    if is_replayed(record):
        return []
    if not is_late or event.event_type is EventType.SESSION_START:
        lane.latest_ts, lane.latest_digest = event.ts, digest
    if is_same:
        return [Announce(lane, Change.CAME_TWICE)]
    return [Announce(lane, Change.CAME_LATE)] if is_late and event.event_type is not EventType.SESSION_START else []


def _arrived_again(lane: Lane, record: Record) -> list[Command]:
    """The memoir says that this one left the head. If its dead letter was not confirmed, it is set aside again, for the same reason."""
    assignment = lane.assignment
    reason = None if lane.asides is None else lane.asides.get(record.offset)
    if reason is None:
        assignment.ledger.finish(record.offset)
        return [Skip(assignment, record.offset)]
    return _set_aside_again(lane, record)


def _set_aside_again(lane: Lane, record: Record) -> list[Command]:
    assert lane.asides is not None
    lane.assignment.asides_pending += 1
    return [SetAside(lane.assignment, record, lane.asides[record.offset], key=lane.key)]


def _in_parts(events: list[PlayerEvent], after: Derived, *, is_silent: bool) -> tuple[PlayerEvent, ...]:
    count = len(events)
    return tuple(
        msgspec.structs.replace(event, part=Part(number, count, after if number == count else None, is_silent))
        for number, event in enumerate(events, start=1)
    )
