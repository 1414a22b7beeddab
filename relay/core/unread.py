"""Whether all that stands in the log of a partition has been read.

In: where the logs end, as Kafka says, and where reading is. Out: `is_read_up` of each assignment.

A log may end with records that nobody is given (marks of transactions, what was compacted away): then reading never comes to its end. So
what lies between counts as nothing when it has stayed the same for some seconds while records could come.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from relay.core.assignment import Assignment

SETTLED_SECONDS: Final = 5.0


class Unread:
    """Looks at each partition now and then."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: dict[Assignment, tuple[int, int, float]] = {}  # where the log ended, where reading was, since when both

    def look(self, assignments: Iterable[Assignment], ends: Mapping[tuple[str, int], int], now: float) -> None:
        """Look at each; `ends` leaves out those of which nothing is known, or that nobody reads now."""
        seen, self._seen = self._seen, {}
        for assignment in assignments:
            end = ends.get((assignment.topic, assignment.partition))
            place = assignment.starts_at if assignment.ledger.end is None else assignment.ledger.end
            if end is None or place < 0:
                assignment.is_read_up = False
                continue
            before = seen.get(assignment)
            since = now if before is None or before[:2] != (end, place) else before[2]
            self._seen[assignment] = (end, place, since)
            assignment.is_read_up = place >= end or now - since >= SETTLED_SECONDS
