"""Who holds a partition back: the session at its safe offset, what it waits for, and how much is finished beyond it.

In: assignments and lanes as they are, and the time. Out: plain values for the log, the metrics and the console. Nothing is kept per event:
`Standstills` looks at each partition's safe offset now and then, and the lanes of a partition are searched only when somebody asks.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from relay.core.assignment import Assignment
from relay.core.events import SessionKey
from relay.core.lane import SENDING_FROM, Lane, State
from relay.core.pressure import CircuitState
from relay.core.router import Router


class Awaited(StrEnum):
    """What an event at the safe offset waits for."""

    OPENING = "opening"  # the answer to an opening
    ANSWER = "answer"  # the answer to an event
    CIRCUIT = "circuit"  # the API serves nobody
    RETRY_AFTER = "retry_after"  # the API asked for the wait
    BACKOFF = "backoff"  # it failed, and is tried again soon
    TURN = "turn"  # others are before it
    DEAD_LETTER = "dead_letter"  # Kafka has not confirmed its dead letter


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """A partition whose safe offset waits for one event. Times are on the core's clock."""

    topic: str
    partition: int
    offset: int
    key: SessionKey | None  # None when its session has moved on, and only its dead letter is awaited
    waits_for: Awaited
    cause: str  # of its last failure, from a closed list; empty when it did not fail
    status: int  # 0 when there was no answer
    attempts: int
    since: float  # when it was first tried; when its record was appended, if it was not
    finished_beyond: int  # offsets after it that need nothing more, and cannot be committed before it


def held_back(router: Router, assignment: Assignment) -> HeldBack | None:
    """What the safe offset of a partition waits for; None when it waits for nothing. Searches the lanes of the partition."""
    ledger = assignment.ledger
    offset, appended_at = ledger.safe, ledger.oldest_appended_at
    if offset is None or appended_at is None:
        return None
    lane = next((lane for lane in assignment.lanes.values() if _stands_at(lane, offset)), None)
    has_failed = lane is not None and lane.failures > 0
    return HeldBack(
        topic=assignment.topic,
        partition=assignment.partition,
        offset=offset,
        key=None if lane is None else lane.key,
        waits_for=Awaited.DEAD_LETTER if lane is None else _awaited(router, lane),
        cause=lane.failed_cause if lane is not None and has_failed else "",
        status=lane.failed_status if lane is not None and has_failed else 0,
        attempts=0 if lane is None else lane.attempts,
        since=lane.first_tried_at if lane is not None and lane.attempts else appended_at,
        finished_beyond=finished_beyond(assignment),
    )


def finished_beyond(assignment: Assignment) -> int:
    """How many offsets after the safe one need nothing more. Those that are missing from the log count as well."""
    ledger = assignment.ledger
    if ledger.safe is None or ledger.finished_below <= ledger.safe:
        return 0
    return (ledger.end or 0) - ledger.safe - ledger.outstanding_count


def _stands_at(lane: Lane, offset: int) -> bool:
    record = lane.waiting[0].record if lane.waiting else None
    return record is not None and record.offset == offset


def _awaited(router: Router, lane: Lane) -> Awaited:
    if lane.is_in_flight:
        return Awaited.ANSWER if lane.state >= SENDING_FROM else Awaited.OPENING
    if lane.is_waiting:
        return Awaited.RETRY_AFTER if router.was_asked_to_wait(lane) else Awaited.BACKOFF
    if router.throttled_until:
        return Awaited.RETRY_AFTER
    circuit = router.sending if lane.state in {State.READY, State.COMPLETED} else router.opening
    return Awaited.TURN if circuit.state is CircuitState.CLOSED else Awaited.CIRCUIT


class Standstills:
    """Since when the safe offset of each partition stands still, as far as those know who look now and then."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: dict[Assignment, tuple[int, float]] = {}

    def look(self, assignments: Iterable[Assignment], now: float) -> None:
        """Look at the partitions that are ours."""
        before, self._seen = self._seen, {}
        for one in assignments:
            safe = one.ledger.safe
            if safe is not None and finished_beyond(one):
                offset, since = before.get(one, (safe, now))
                self._seen[one] = (safe, since if offset == safe else now)

    def longest(self) -> tuple[Assignment, float] | None:
        """The partition that is held back the longest, and since when it was seen to be."""
        if not self._seen:
            return None
        assignment = min(self._seen, key=lambda one: self._seen[one][1])
        return assignment, self._seen[assignment][1]

    def since(self) -> dict[Assignment, float]:
        """Every partition that is held back, and since when it was seen to be."""
        return {assignment: since for assignment, (_, since) in self._seen.items()}
