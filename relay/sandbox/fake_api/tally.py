"""The account in figures: of one player session, and of all of them.

In: what `judge.py` found. Out: `Tally` and `Account`, plain values that also go out as JSON.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

FINDINGS_MAX: Final = 5  # of one player session; the figures say how many there are


class Tally(msgspec.Struct):
    """What was found in one player session, or in many together."""

    received: int = 0  # different events that were taken; what is told again is none of them
    told_again: int = 0
    repeats: int = 0  # the same event was taken once more
    repeats_excused: int = 0  # of these, where the answer to the earlier one was lost
    out_of_order: int = 0  # first taken after a later event
    missing: int = 0  # known here and below only where somebody has told what to expect
    extra: int = 0
    refused_by_fault: int = 0  # never taken, because a fault blamed the event or its session's start
    ends_without_session: int = 0  # a sessionEnd that found its session gone: there was nothing left to end
    ends_added: int = 0  # a sessionEnd that the client added, at the last event's ts or after it
    pings_added: int = 0  # a ping that the client added for a silent player
    openings: int = 0
    openings_resumed: int = 0  # of these, in place of a session that was lost
    openings_joined: int = 0  # of these, for a player session that was under way
    openings_needless: int = 0  # of these, although nobody was told that the session before is gone
    retold_wrong: int = 0  # resumed openings after which not exactly what was open was told again
    findings: list[str] = msgspec.field(default_factory=list[str])  # the first few of what is wrong, in words

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, added, overtaken, repeated without need or told wrongly."""
        return not (self.missing or self.extra or self.out_of_order or self.retold_wrong or self.repeats > self.repeats_excused)

    def add(self, other: "Tally") -> None:
        """Add the figures of another."""
        for name in _FIGURES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def find(self, finding: str) -> None:
        """Keep a finding in words, while there is room."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


_FIGURES: Final = tuple(name for name in Tally.__struct_fields__ if name != "findings")


class Account(msgspec.Struct):
    """What the fake got in all."""

    total: Tally
    sessions: dict[str, Tally]  # by player session
    faults: dict[str, int]  # injected, by what they do
    requests: dict[str, int]  # by status; "none" where no answer was given
    events_kept: int = 0
    events_not_kept: int = 0  # beyond the limit of what is remembered: nothing is known about these

    @property
    def is_clean(self) -> bool:
        """Whether everything is remembered and nothing is wrong."""
        return self.total.is_clean and not self.events_not_kept


def sum_up(tallies: Iterable[Tally]) -> Tally:
    """Add the figures of many."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total
