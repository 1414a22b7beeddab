"""Player states to API events, as Adobe's own clients derive them.

In: the facts of one record (what a mapping found a player to say), and what was derived from the records before it. Out: the events that
say the difference, and what to remember for the next record. Everything follows from event time, so the same records give the same events
whenever they are read, and what is remembered stands in the session's memoir.

The rules:

1. Only changes are sent. Of buffering, seeking, playing and pausing the strongest is what the API hears; a seek is a pause to it.
2. `play` ends buffering and seeking. A pause while buffering or seeking is remembered, and heard afterwards.
3. What is still open is closed before what ends it: an ad is skipped, an ad break completed, a chapter skipped.
4. After an ad has begun, and after an ad break, the playback state is said once more. In an ad break without an ad it is not said.
5. When nothing was said of playback for a while of event time, the next fact brings a ping along.
6. A session begins with its first fact, if that says what a start would carry; it ends by a fact, by silence or, where the mapping wants
   it, by facts about other media. A session that has ended begins again when it plays.
"""

import zlib
from typing import Final, NamedTuple

import msgspec

from relay.core.events import Derived, Details, EventType, Fact, PlayerEvent, StateRules

SEEK_START: Final = "seekStart"
SEEK_COMPLETE: Final = "seekComplete"
BUFFER_COMPLETE: Final = "bufferComplete"
TICK: Final = "tick"

NEW: Final = 0
OPEN: Final = 1
COMPLETED: Final = 2
ENDED: Final = 3

E = EventType
_SAYS_NO_BEGIN: Final = frozenset(
    {
        *(E.SESSION_COMPLETE, E.SESSION_END, E.AD_COMPLETE, E.AD_SKIP, E.AD_BREAK_COMPLETE, E.CHAPTER_COMPLETE, E.CHAPTER_SKIP),
        *(E.STATE_END, E.ERROR, E.BITRATE_CHANGE, SEEK_COMPLETE, BUFFER_COMPLETE),
    }
)
_PLAYBACK: Final = frozenset({E.PLAY, E.PAUSE_START, E.BUFFER_START, SEEK_START, SEEK_COMPLETE, BUFFER_COMPLETE})
_decode_params: Final = msgspec.json.Decoder(dict[str, object]).decode


class Derivation(NamedTuple):
    """What a record comes to."""

    after: Derived  # what to remember; the same object as before when nothing has changed
    events: list[PlayerEvent]


def derive(before: Derived, facts: tuple[Fact, ...], rules: StateRules) -> Derivation:
    """What the facts of a record come to after all that was before."""
    if len(facts) == 1 and facts[0].kind == TICK and before.phase == OPEN:  # by far the most frequent fact
        event = facts[0].event
        is_ping_due = rules.ping_milliseconds and event.ts - before.said_at >= rules.ping_milliseconds
        if not is_ping_due and not _is_another_session(before, event, rules):
            return Derivation(before, [])
    deriving = _Deriving(before, rules)
    for fact in facts:
        deriving.take(fact)
    after = deriving.state
    return Derivation(before if after == before else after, deriving.events)


class _Deriving:
    """One record under way."""

    def __init__(self, before: Derived, rules: StateRules) -> None:
        self.events: list[PlayerEvent] = []
        self.state = msgspec.structs.replace(before)
        self._rules = rules
        self._fact: Fact

    def take(self, fact: Fact) -> None:
        self._fact = fact
        event, count = fact.event, len(self.events)
        if self.state.phase in {OPEN, COMPLETED} and _is_another_session(self.state, event, self._rules):
            was_open = self.state.phase == OPEN
            self._end_where_it_was_seen()
            self.state.phase = NEW if was_open else ENDED  # what was under way goes on as another session
        if fact.kind == E.SESSION_START:
            self._begin(Details(event.params, event.custom_metadata), event)
            return
        if self.state.phase != OPEN:
            self._take_outside(fact)
            if self.state.phase != OPEN:
                return
        self._take_inside(fact)
        if len(self.events) == count:
            self._ping_if_due()

    # --- beginnings and ends ------------------------------------------------------------------------------------------------------------

    def _take_outside(self, fact: Fact) -> None:
        """Before the first session, or after the last."""
        event, kind = fact.event, fact.kind
        if self.state.phase == COMPLETED and kind == E.SESSION_END:
            self._say(event.event_type)
            self.state.phase = ENDED
        elif kind not in _SAYS_NO_BEGIN and (self.state.phase == NEW or kind == E.PLAY):
            if event.start is None:
                if kind != TICK:
                    self.events.append(event)  # nobody knows what a start would say: whether it may be opened is for others to decide
                return
            self._begin(event.start, event)

    def _begin(self, start: Details, event: PlayerEvent) -> None:
        if self.state.phase == OPEN:
            if _media_of(start.params) == self.state.media:
                return  # said twice
            self._end_where_it_was_seen()
        elif self.state.phase == COMPLETED:
            self._end_where_it_was_seen()
        self.state = Derived(phase=OPEN, media=_media_of(start.params))
        qoe = event.qoe_data if event.event_type is E.SESSION_START else b""
        self._say(E.SESSION_START, params=start.params, metadata=start.custom_metadata, qoe=qoe, start=None)
        self.state.said_at = event.ts

    def _end_where_it_was_seen(self) -> None:
        """No fact ends it: what is open is closed at the last moment that was told."""
        playhead, ts = self.state.seen, self.state.seen_at
        self._close_all(playhead, ts)
        self._say(E.SESSION_END, playhead=playhead, ts=ts)

    # --- while it is open ---------------------------------------------------------------------------------------------------------------

    def _take_inside(self, fact: Fact) -> None:
        event, kind = fact.event, fact.kind
        if kind in _PLAYBACK:
            self._change_playback(kind)
            self._say_playback()
        elif kind == E.PING:
            self._say(E.PING, qoe=event.qoe_data)
            self.state.said_at = event.ts
        elif kind in {E.AD_BREAK_START, E.AD_START, E.CHAPTER_START}:
            self._open(event)
        elif kind in {E.AD_COMPLETE, E.AD_SKIP, E.AD_BREAK_COMPLETE, E.CHAPTER_COMPLETE, E.CHAPTER_SKIP}:
            self._close(event)
        elif kind in {E.STATE_START, E.STATE_END}:
            self._change_state(event)
        elif kind in {E.SESSION_COMPLETE, E.SESSION_END}:
            self._close_all()
            self._say_it(event)
            self.state.phase = COMPLETED if kind == E.SESSION_COMPLETE else ENDED
        elif kind != TICK:
            self._say_it(event)

    def _change_playback(self, kind: str) -> None:
        if kind == E.PLAY:
            self.state.base, self.state.buffering, self.state.seeking = E.PLAY, False, False
        elif kind == E.PAUSE_START:
            self.state.base = E.PAUSE_START
        else:
            if kind in {E.BUFFER_START, BUFFER_COMPLETE}:
                self.state.buffering = kind == E.BUFFER_START
            else:
                self.state.seeking = kind == SEEK_START
            if kind in {SEEK_COMPLETE, BUFFER_COMPLETE} and not self.state.base:
                self.state.base = E.PAUSE_START  # out of nothing it goes to a pause

    @property
    def _strongest(self) -> str:
        if self.state.buffering:
            return E.BUFFER_START
        return E.PAUSE_START if self.state.seeking else self.state.base

    def _say_playback(self, *, again: bool = False) -> None:
        now = self._strongest
        if not now or (self.state.ad_break and not self.state.ad) or (now == self.state.said and not again):
            return
        is_said_by_fact = self._fact.event.event_type == now
        self._say(EventType(now), qoe=self._fact.event.qoe_data if is_said_by_fact else b"")
        self.state.said, self.state.said_at = now, self._fact.event.ts

    def _ping_if_due(self) -> None:
        ts, every = self._fact.event.ts, self._rules.ping_milliseconds
        if every and ts - self.state.said_at >= every:
            self._say(E.PING, qoe=self._fact.event.qoe_data)
            self.state.said_at = ts

    def _open(self, event: PlayerEvent) -> None:
        print_ = zlib.crc32(event.params) or 1
        if event.event_type is E.CHAPTER_START:
            if print_ != self.state.chapter:
                self._close_chapter()
                self._say_it(event)
                self.state.chapter = print_
        elif event.event_type is E.AD_BREAK_START:
            if print_ != self.state.ad_break:
                self._close_ad_break()
                self._say_it(event)
                self.state.ad_break = print_
        elif print_ != self.state.ad:
            self._close_ad()
            self.state.base = self.state.base or E.PLAY
            self._say_it(event)
            self.state.ad = print_
            self._say_playback(again=True)

    def _close(self, event: PlayerEvent) -> None:
        kind = event.event_type
        if kind in {E.CHAPTER_COMPLETE, E.CHAPTER_SKIP}:
            if self.state.chapter:
                self._say_it(event)
                self.state.chapter = 0
        elif kind is E.AD_BREAK_COMPLETE:
            if self.state.ad_break:
                self._close_ad()
                self._say_it(event)
                self.state.ad_break = 0
                self._say_playback(again=True)
        elif self.state.ad:
            self._say_it(event)
            self.state.ad = 0

    def _change_state(self, event: PlayerEvent) -> None:
        name, is_on = event.state_name, event.event_type is E.STATE_START
        if (name in self.state.states) is not is_on:
            self._say_it(event)
            self.state.states = (*self.state.states, name) if is_on else tuple(one for one in self.state.states if one != name)

    def _close_all(self, playhead: float | None = None, ts: int | None = None) -> None:
        self._close_ad_break(playhead, ts)
        self._close_chapter(playhead, ts)

    def _close_ad(self, playhead: float | None = None, ts: int | None = None) -> None:
        if self.state.ad:
            self._say(E.AD_SKIP, playhead=playhead, ts=ts)
            self.state.ad = 0

    def _close_ad_break(self, playhead: float | None = None, ts: int | None = None) -> None:
        self._close_ad(playhead, ts)
        if self.state.ad_break:
            self._say(E.AD_BREAK_COMPLETE, playhead=playhead, ts=ts)
            self.state.ad_break = 0

    def _close_chapter(self, playhead: float | None = None, ts: int | None = None) -> None:
        if self.state.chapter:
            self._say(E.CHAPTER_SKIP, playhead=playhead, ts=ts)
            self.state.chapter = 0

    # --- saying -------------------------------------------------------------------------------------------------------------------------

    def _say_it(self, event: PlayerEvent) -> None:
        self.events.append(event)
        self.state.seen_at, self.state.seen = event.ts, event.playhead

    def _say(  # noqa: PLR0913  # what an event may carry, each by its name
        self,
        event_type: EventType,
        *,
        playhead: float | None = None,
        ts: int | None = None,
        params: bytes = b"",
        metadata: bytes = b"",
        qoe: bytes = b"",
        start: Details | None = None,
    ) -> None:
        event = self._fact.event
        brought = event.start if event_type is not E.SESSION_START else start
        self._say_it(
            PlayerEvent(
                event_type,
                event.playhead if playhead is None else playhead,
                event.ts if ts is None else ts,
                params,
                qoe,
                metadata,
                start=brought,
                record=event.record,
            )
        )


def _is_another_session(state: Derived, event: PlayerEvent, rules: StateRules) -> bool:
    """Whether the session at hand was over before this: by silence, or because it is about other media."""
    if rules.silence_milliseconds and event.ts - state.seen_at > rules.silence_milliseconds:
        return True
    if not rules.ends_on_new_media or not state.media:
        return False
    media = _media_of(event.start.params) if event.start is not None else ""
    return bool(media) and media != state.media


def _media_of(params: bytes) -> str:
    media = _decode_params(params).get("media.id") if params else None
    return media if isinstance(media, str) else ""
