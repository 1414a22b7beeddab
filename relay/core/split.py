"""A record that says several things, while some of them have left the lane and some have not.

The theory, in four rules:

1. The parts of a record stand in its lane one behind the other, so at most one record of a lane is split: the one at its head.
2. Its offset is finished with its last part; if a part was set aside, not before the record's dead letter is confirmed either.
3. The letter holds the whole record, so one is written, for the first part that is set aside, however many follow.
4. The memoir says how many parts have left, so that a restart goes on behind them.

In: what becomes of parts. Out: what is still owed to the record.
"""

from enum import IntEnum


class Letter(IntEnum):
    """How far the dead letter of a split record is. The numbers stand in memoirs."""

    NONE = 0
    PENDING = 1
    STORED = 2


class Split:
    """One record that has left its lane in part."""

    __slots__ = ("done", "letter", "offset")

    def __init__(self, offset: int, done: int = 0, letter: Letter = Letter.NONE) -> None:
        """Begin with so many parts that have left."""
        self.offset = offset
        self.done = done
        self.letter = letter
