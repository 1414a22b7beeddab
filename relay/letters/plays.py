"""What the source topic tells of one player session: its plays, which of them the API has counted, and whether it is still going on.

In: the session's records, in the order of the log. Out: facts for `plan.py`.

A *play* begins with a sessionStart of the player and ends before the next one. Records that were replayed belong to the play in which they
first came. A play is counted when the API has taken anything of it: a record that is finished and has no dead letter.
"""

from bisect import bisect_right, insort

import msgspec

from relay.core.events import Details, EventType, PlayerEvent


class Seen(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One record of the session."""

    offset: int
    origin: int  # the same, unless it was replayed
    timestamp_ms: int
    event: PlayerEvent | None  # None when it cannot be read, or is the end of a replay
    is_finished: bool  # the relay needs nothing more of it
    has_letter: bool

    @property
    def is_live(self) -> bool:
        """Whether the player said it, and not a replay."""
        return self.offset == self.origin


class Facts:
    """One player session as the source topic shows it."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.starts: list[int] = []  # offsets of sessionStarts, ascending: one for each play
        self.said: dict[int, Details] = {}  # by the offset of a start, what it said
        self.brought: Details | None = None  # what an event brought along as its `start`
        self.ended: set[int] = set()  # plays with a sessionEnd
        self.counted: set[int] = set()
        self.unfinished = 0
        self.last_live_offset = -1
        self.last_live_ms = 0

    def play_of(self, origin: int) -> int:
        """Which play an offset belongs to; 0 stands for what came before the first start that is there."""
        return bisect_right(self.starts, origin)

    @property
    def last_play(self) -> int:
        """The latest play."""
        return len(self.starts)

    def start_of(self, play: int) -> Details | None:
        """What the start of a play said."""
        return self.said.get(self.starts[play - 1]) if play else None

    def knows_start(self, offset: int, start: Details) -> None:
        """A sessionStart that is there. Those of the letters are told first: the topic may no longer hold them."""
        if offset not in self.said:
            insort(self.starts, offset)
        self.said[offset] = start

    def see(self, seen: Seen) -> None:
        """One more record."""
        event = seen.event
        if seen.is_live:
            self.last_live_offset = max(self.last_live_offset, seen.offset)
            self.last_live_ms = max(self.last_live_ms, seen.timestamp_ms)
            if event is not None and event.event_type is EventType.SESSION_START:
                self.knows_start(seen.offset, Details(params=event.params, custom_metadata=event.custom_metadata))
        play = self.play_of(seen.origin)
        if event is not None and event.event_type is EventType.SESSION_END:
            self.ended.add(play)
        if event is not None and event.start is not None:
            self.brought = event.start
        if not seen.is_finished:
            self.unfinished += 1
        elif event is not None and not seen.has_letter:
            self.counted.add(play)
