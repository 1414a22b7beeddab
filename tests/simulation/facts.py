"""What the checks talk about: who held a partition and how that ended, the terms of a world, and the figures of what happened in it.

In: nothing. Out: values that the other modules fill and read, and `Violation`.
"""

from dataclasses import dataclass, field

from relay.core.events import EventType
from relay.core.policies import TooOld
from relay.core.receipts import Ranges


class LostTrack(Exception):  # noqa: N818  # it names what happened
    """What a relay rightly forgot decides what comes next: nothing more can be said of this world."""


class Violation(AssertionError):  # noqa: N818  # what it is
    """Something happened that the relay promises not to do."""


@dataclass(eq=False)
class Tenure:
    """A partition in the hands of a process, from the moment its committed position was read."""

    process: str
    partition: int
    offset: int
    ranges: Ranges
    began_at: float
    ended_at: float = 0.0
    ended: str = ""  # left, unstored, silent, lost, crashed, exited, fenced
    in_flight_at_end: int = 0
    leaving_since: float = 0.0
    was_hurried: bool = False  # calls under way could not be waited for
    stood_still: bool = False  # the process was stopped for a while
    is_excluded: bool = False  # the group has given the partition to somebody else, or may have

    @property
    def is_unclean(self) -> bool:
        """It may have left things behind that were done and are not on record."""
        return self.is_excluded or self.was_hurried or self.ended not in ("", "left") or self.in_flight_at_end > 0

    def knows_finished(self, offset: int) -> bool:
        """Whether the committed position said so when it began."""
        return offset < self.offset or any(first <= offset < end for first, end in self.ranges)


@dataclass(frozen=True)
class Terms:
    """What may rightly happen in a world, by the settings of its operator."""

    attempts_max: int
    openings_max: int
    may_forget: bool  # sessions that are silent for a while
    may_be_too_old: bool
    park_after_seconds: float
    session_events_max: int
    repeat_seconds_max: float | None  # what was heard longer before a crash must not be repeated; None where nothing can be said
    age_seconds_max: float
    too_old: dict[EventType, TooOld]
    skipped_when_unknown: frozenset[EventType]
    may_shed: bool
    durable_seconds_max: float | None  # so long before a crash an opening was answered at most, if it must be opened again


@dataclass
class Figures:
    """What happened, for those who count."""

    accepted: int = 0
    repeats: int = 0
    openings: int = 0
    openings_again: int = 0
    told: int = 0
    own: int = 0
    commits: int = 0
    letters: int = 0
    parked: int = 0
    excuses: dict[str, int] = field(default_factory=dict)

    def excuse(self, why: str) -> None:
        """Something was not as in a perfect world, and may be so."""
        self.excuses[why] = self.excuses.get(why, 0) + 1
