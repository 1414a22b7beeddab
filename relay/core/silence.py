"""Sessions whose player is silent: what the relay says in his place, and when it ends them. Off unless a setting says how often.

In: lanes at rest, the time. Out: the relay's own pings and ends, as `NextPing` and `NextSuspension`.

The API lets a session expire ten minutes after its last event, half an hour after its playhead last moved, a day after it was opened.
Adobe's own clients ping on in pause and in buffering, end a session that stands still for half an hour or is a day old, and open another
one that resumes it when the player goes on. The relay does the same for players that say nothing meanwhile:

1. An own ping carries the player's clock, moved on: the last `ts` plus the time that has passed since that event came in. An event comes in
   after it was said, so this is never ahead of what the player says next by more than its way takes.
2. Its playhead moves on only where the player said `play` and no ad is open, since nothing else moves it.
3. Nobody has seen it move, though: a player that was closed without a word looks the same. So the silence is counted from the player's last
   event, whatever its own pings said, and ends with a sessionEnd shortly before the API would close the session itself.
4. What the relay says itself has no place in the log, is never tried again, and goes only where nobody else wants to go. A player's event
   waits for it no longer than for any call of its session, and ends the silence.
5. Only where all that stands in the log of the partition has been read: an event that waits there is no silence.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from relay.core.assignment import Stage
from relay.core.events import EventType, PlayerEvent
from relay.core.inputs import NextPing, NextSuspension
from relay.core.lane import Lane, Silence, State

LANES_PER_LOOK: Final = 10_000  # 7 ms, measured; a look comes once a second, so half a million sessions take 50 of them
OWN_SHARE: Final = 8  # the relay's own calls take an eighth of those that may fly


class KeepAlive(msgspec.Struct, frozen=True):
    """How silent sessions are kept. All but the first follow from what the API does."""

    seconds: float  # between two pings; the API waits for 600
    silent_seconds_max: float = 1_740.0  # the API waits for 1,800 without movement: the end should still be heard
    age_seconds_max: float = 86_340.0  # likewise, of 86,400
    again_seconds: float = 15.0  # after one that failed


class Silences:
    """Which sessions the relay should speak for."""

    __slots__ = ("_idle_seconds_max", "_round", "_rules", "_speaking", "_wanting")

    def __init__(self, rules: KeepAlive, idle_seconds_max: float) -> None:
        """Nobody is silent yet. A session that is to be forgotten sooner is ended then."""
        self._rules = rules
        self._idle_seconds_max = idle_seconds_max
        self._round: Iterator[Lane] = iter(())
        self._wanting: dict[Lane, None] = {}
        self._speaking: set[Lane] = set()

    def look(self, lanes: Iterable[Lane], now: float) -> None:
        """Look at the next of all lanes; some thousands at a time, round after round."""
        looked_at = list(islice(self._round, LANES_PER_LOOK))
        if not looked_at:
            self._round = iter(list(lanes))
            looked_at = list(islice(self._round, LANES_PER_LOOK))
        for lane in looked_at:
            if self._next_of(lane, now) is not None:
                self._wanting[lane] = None

    def next(self, now: float, concurrency_max: int) -> tuple[Lane, NextPing | NextSuspension] | None:
        """The next one to speak for, if there is room for a call of the relay's own."""
        if not self._wanting:
            return None
        self._speaking = {lane for lane in self._speaking if lane.state >= State.PINGING and lane.assignment.stage is not Stage.GONE}
        if len(self._speaking) >= max(1, concurrency_max // OWN_SHARE):
            return None
        while self._wanting:
            lane = next(iter(self._wanting))
            del self._wanting[lane]
            happened = self._next_of(lane, now)
            if happened is not None:
                return lane, happened
        return None

    def speak(self, lane: Lane, happened: NextPing | NextSuspension, now: float) -> None:
        """The relay speaks for this one now."""
        silence = lane.silence
        if silence is None:
            silence = lane.silence = Silence(lane.active_at, lane.last_ts, lane.last_playhead)
        silence.said = happened.event
        silence.speak_at = now + self._rules.seconds
        silence.speak_again_at = now + min(self._rules.again_seconds, self._rules.seconds)
        if isinstance(happened, NextSuspension):
            lane.active_at = now  # it is remembered from now on for as long as if the player had said so
        self._speaking.add(lane)

    def _next_of(self, lane: Lane, now: float) -> NextPing | NextSuspension | None:
        if lane.state is not State.READY or lane.has_more or lane.is_untold or lane.to_tell:
            return None
        assignment, rules, silence = lane.assignment, self._rules, lane.silence
        is_held = assignment.lanes.get(lane.key) is lane  # else it was forgotten since it was looked at
        if assignment.stage is not Stage.OWNED or not assignment.is_read_up or not is_held:
            return None
        if lane.opened_at <= now - rules.age_seconds_max:
            return NextSuspension(_said(EventType.SESSION_END, lane, now))
        since = lane.active_at if silence is None else silence.since
        if now - since >= min(rules.silent_seconds_max, self._idle_seconds_max):
            return NextSuspension(_said(EventType.SESSION_END, lane, now))
        if now >= (since + rules.seconds if silence is None else silence.speak_at):
            return NextPing(_said(EventType.PING, lane, now))
        return None


def _said(kind: EventType, lane: Lane, now: float) -> PlayerEvent:
    """What the player would say now."""
    silence = lane.silence or Silence(lane.active_at, lane.last_ts, lane.last_playhead)
    passed = now - silence.since
    playback = lane.playback
    is_moving = playback is not None and playback.playing is EventType.PLAY and playback.ad is None and playback.ad_break is None
    playhead = round(silence.playhead + passed, 3) if is_moving else silence.playhead
    return PlayerEvent(kind, playhead=playhead, ts=silence.ts + int(passed * 1000))
