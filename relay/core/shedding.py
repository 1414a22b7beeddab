"""Thinning of pings that are superseded, while events have filled the buffer for long. Off unless a setting says after how long.

In: whether the buffer is full while the API serves, and a lane. Out: whether the overload lasts, and which events of the lane may go.

A ping says where the playhead is, and the next one says it better. So under an overload that lasts, every other ping goes that has another
one behind it in its lane; each round halves what is left. Everything else stays, and so do

- the head, which may be under way;
- the last ping of a lane;
- parts of a record that says several things, which leave one behind the other;
- what a replay brings again, and pings that bring a session's start while none is known.
"""

from typing import Final

from relay.core.events import EventType, PlayerEvent
from relay.core.lane import Lane
from relay.core.replays import replay_of

_WAITING_MIN: Final = 3  # a head, a ping, and one behind it


class Overload:
    """How long it lasts."""

    __slots__ = ("_after_seconds", "_since")

    def __init__(self, after_seconds: float) -> None:
        """Nothing is overloaded yet."""
        self._after_seconds = after_seconds
        self._since: float | None = None

    def lasts(self, now: float, *, is_overloaded: bool) -> bool:
        """Whether it has lasted for long enough. Then it begins to count anew, so that a round is followed by a wait."""
        if not is_overloaded:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < self._after_seconds:
            return False
        self._since = now
        return True


def superseded(lane: Lane) -> list[int]:
    """The places of every other ping of a lane that may go, the oldest first."""
    if len(lane.waiting) < _WAITING_MIN:
        return []
    places = [place for place, event in enumerate(lane.waiting) if place and _is_a_mere_ping(lane, event)]
    return places[:-1:2]


def _is_a_mere_ping(lane: Lane, event: PlayerEvent) -> bool:
    if event.event_type is not EventType.PING or event.part is not None or event.record is None:
        return False
    brings_start = event.start is not None and lane.start is None
    return not brings_start and not (event.record.headers and replay_of(event.record) is not None)
