"""Offsets that finish in any order → the offset that is safe to commit.

The theory, in four rules:

1. Records of a partition are *taken* in the order of the log. Offsets may skip (compaction, transaction markers, retention): what lies
   between two records that were taken needs nothing.
2. An offset that was taken is *outstanding* until it is *finished*: delivered, or its dead letter confirmed, or known from a receipt.
3. The *safe* offset is the lowest outstanding one; without any, the one after the last that was taken. Everything below it is finished,
   so it may be committed. It never goes back.
4. Memory is proportional to what is outstanding, however far finished offsets run ahead of a stuck one: what is finished is not stored,
   it is what was taken and is no longer outstanding.

The dict of outstanding offsets is ordered by insertion, hence by offset, so its first key is the lowest.
"""

from collections.abc import Iterator
from enum import Enum, auto


class Taken(Enum):
    """What taking an offset found."""

    NEW = auto()  # to be handled
    FINISHED_BEFORE = auto()  # a receipt says that it was finished before a restart
    REPEATED = auto()  # this assignment has had it already: Kafka read the log again


class Ledger:
    """The account of one partition during one assignment."""

    __slots__ = ("_finished_before", "_finished_below", "_next", "_outstanding")

    def __init__(self, finished_before: tuple[tuple[int, int], ...] = ()) -> None:
        """Start with what receipts say is finished: ranges [first, end), ascending and apart."""
        self._outstanding: dict[int, float] = {}  # offset → when it was appended to the log
        self._next: int | None = None  # the offset after the last that was taken
        self._finished_before = list(reversed(finished_before))
        self._finished_below = 0  # the offset after the highest finished one

    def take(self, offset: int, appended_at: float = 0.0) -> Taken:
        """Enter an offset into the account."""
        if self._next is not None and offset < self._next:
            return Taken.REPEATED
        self._next = offset + 1
        if self._finished_before and self._was_finished(offset):
            self._finished_below = offset + 1
            return Taken.FINISHED_BEFORE
        self._outstanding[offset] = appended_at
        return Taken.NEW

    def finish(self, offset: int) -> None:
        """An outstanding offset needs nothing more. To finish one twice, or one never taken, is a bug of the relay."""
        del self._outstanding[offset]
        if offset >= self._finished_below:
            self._finished_below = offset + 1

    def begin_anew(self) -> None:
        """The log is another one than that of the receipts: they say nothing about it."""
        self._finished_before = []

    @property
    def finished_below(self) -> int:
        """The offset after the highest that is finished; between the safe offset and this one, finished and outstanding ones mix."""
        return self._finished_below

    @property
    def safe(self) -> int | None:
        """The offset to commit: everything below it is finished. None before the first record."""
        return next(iter(self._outstanding), self._next)

    @property
    def end(self) -> int | None:
        """The offset after the last that was taken."""
        return self._next

    @property
    def outstanding_count(self) -> int:
        """How many offsets are taken and not finished."""
        return len(self._outstanding)

    @property
    def oldest_appended_at(self) -> float | None:
        """When the lowest outstanding record was appended to the log."""
        return next(iter(self._outstanding.values()), None)

    def is_outstanding(self, offset: int) -> bool:
        """Whether an offset was taken and is not finished."""
        return offset in self._outstanding

    def outstanding(self) -> Iterator[int]:
        """The offsets that are taken and not finished, ascending."""
        return iter(self._outstanding)

    def finished_ahead(self) -> Iterator[tuple[int, int]]:
        """The ranges that receipts say are finished and that were not taken again yet, ascending: a receipt must not forget them."""
        place = self._next or 0
        return ((max(first, place), end) for first, end in reversed(self._finished_before) if end > place)

    def _was_finished(self, offset: int) -> bool:
        while self._finished_before and self._finished_before[-1][1] <= offset:
            self._finished_before.pop()
        return bool(self._finished_before) and self._finished_before[-1][0] <= offset
