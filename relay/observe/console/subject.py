"""What the console looks at: the parts of a running relay, as small faces, and plain facts from its settings.

In: what `app.py` joins. Out: one object that every view reads from. Nothing here changes anything but which time lines are kept.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from relay.core.assignment import Assignment
from relay.core.router import Router
from relay.observe.history import History
from relay.observe.logs import hashed
from relay.observe.metrics import Tallies
from relay.observe.witness import Witness

Place = tuple[str, int]


class Facts(NamedTuple):
    """What does not change while it runs."""

    version: str
    name: str
    group: str
    dialect: str
    dead_letter_topic: str
    concurrency_max: int
    buffer_events_max: int
    buffer_bytes_max: int
    lanes_max: int
    is_masked: bool
    settings: Sequence[tuple[str, object, str]]  # name, value that may be shown, source


class Found(Protocol):
    """A partition that a key may lie in, and who holds it as far as anybody says: member, client, host."""

    @property
    def topic(self) -> str:
        """The topic."""
        ...

    @property
    def partition(self) -> int:
        """The partition."""
        ...

    @property
    def partitioner(self) -> str:
        """How the producer would choose it."""
        ...

    @property
    def holder(self) -> tuple[str, str, str] | None:
        """Who holds it."""
        ...


class Parts(Protocol):
    """What the relay knows outside of the core; nothing of it is there before it serves."""

    def is_ready(self) -> tuple[bool, Mapping[str, object]]:
        """What `/readyz` says."""
        ...

    def lags(self) -> Mapping[Place, int]:
        """Records that are not finished, by partition."""
        ...

    def is_paused(self) -> bool:
        """Whether reading is paused."""
        ...

    def letters_pending(self) -> int:
        """Dead letters that are not confirmed."""
        ...

    def oldest_seconds(self) -> float:
        """The age of the oldest event that was read and is not finished."""
        ...

    def standing_since(self) -> Mapping[Assignment, float]:
        """Partitions that are held back by one event, and since when they were seen to be, on the core's clock."""
        ...


class Subject(NamedTuple):
    """One relay, to be looked at."""

    facts: Facts
    parts: Parts
    router: Router
    tallies: Tallies
    witness: Witness
    history: History
    locate: Callable[[str], Awaitable[Sequence[Found]]]
    started_at: float
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time

    def wall(self, moment: float) -> float:
        """A moment of the core's clock as Unix seconds."""
        return round(self.wall_clock() - (self.clock() - moment), 3)

    def age(self, moment: float) -> float:
        """How long ago a moment of the core's clock was."""
        return round(max(0.0, self.clock() - moment), 3)

    def shown(self, key: str | None) -> str | None:
        """A key, where keys may be shown."""
        return None if self.facts.is_masked else key

    def name(self, key: str | None) -> str:
        """The short name of a session, which anybody may see."""
        return "" if key is None else hashed(key)
