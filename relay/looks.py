"""What the console and the history read of the parts: they see small faces, and the parts know nothing of them.

In: the parts, once there are any. Out: figures. Before it serves there is nothing to tell.
"""

import time
from collections.abc import Callable, Mapping

from relay.core.assignment import Assignment
from relay.core.router import Router
from relay.health import Verdict
from relay.parts import Parts


class Looks:
    """A running relay, for those who look at it from outside."""

    def __init__(self, router: Router, *, parts: Callable[[], Parts | None], is_ready: Callable[[], Verdict]) -> None:
        """`parts` says None until it serves."""
        self._router = router
        self._parts = parts
        self.is_ready = is_ready

    def lags(self) -> Mapping[tuple[str, int], int]:
        """Records that are not finished, by partition."""
        parts = self._parts()
        return {} if parts is None else parts.source.lag()

    def lag(self) -> int:
        """The same, over all partitions."""
        return sum(self.lags().values())

    def is_paused(self) -> bool:
        """Whether reading is paused."""
        parts = self._parts()
        return parts is not None and parts.pump.is_paused

    def letters_pending(self) -> int:
        """Dead letters that Kafka has not confirmed."""
        parts = self._parts()
        return 0 if parts is None else parts.letters.pending_count

    def standing_since(self) -> Mapping[Assignment, float]:
        """Partitions that are held back by one event, and since when they were seen to be, on the core's clock."""
        parts = self._parts()
        return {} if parts is None else parts.pump.standstills.since()

    def oldest_seconds(self) -> float:
        """The age of the oldest event that was read and is not finished."""
        moments = [moment for one in self._router.assignments.values() if (moment := one.ledger.oldest_appended_at) is not None]
        parts = self._parts()
        moments += [] if parts is None else parts.pump.backlog.oldest_appended_at()
        return max(0.0, time.monotonic() - min(moments)) if moments else 0.0

    def in_flight(self) -> int:
        """Calls under way."""
        return self._router.in_flight

    def sessions_open(self) -> int:
        """API sessions that are open."""
        return self._router.sessions_open
