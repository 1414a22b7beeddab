"""A simulated player: one session as real players report it, the same for the same random numbers.

In: a session key, random numbers, a shape, the moment at which the session begins. Out: what the player says, in the order of time.

A player watches one title to its end, or leaves before. The playhead moves only while the content plays: not during ads, pauses and
buffering; a seek moves it without time passing. Nothing here reads a clock, sleeps or keeps what was said.
"""

import itertools
import math
from collections.abc import Generator, Iterator
from enum import IntEnum, auto
from random import Random
from typing import Final

from relay.core.events import EventType
from relay.sandbox.saying import BITRATES, Said, Voice
from relay.sandbox.shapes import Shape
from relay.sandbox.titles import ad_break_params, chapter_params, draw_ad

HOUR_MS: Final = 3_600_000

_STATES: Final = ("fullscreen", "mute", "closedCaptioning", "pictureInPicture", "inFocus")
_STATES_AT_ONCE_WEIGHTS: Final = (70, 20, 10)  # one, two, three states change in one moment
_ERRORS: Final = ("network.timeout", "segment.missing", "drm.renewal", "decoder.stall")
_SEEK_BACK_SHARE: Final = 0.4
_SEEK_MS_MAX: Final = 180_000
_LEAVES_IN_AD_SHARE: Final = 0.2  # of those who leave early and meet a break


class _Next(IntEnum):
    """What can come next while the content plays; at the same moment, the smaller one first."""

    LEAVING = auto()
    CONTENT_END = auto()
    CHAPTER_END = auto()
    MIDROLL = auto()
    INTERRUPTION = auto()
    PING = auto()


class Player:
    """Somebody in front of one title."""

    def __init__(self, session_key: str, random: Random, shape: Shape, began_ms: int) -> None:
        """Sit down; nothing has been said yet."""
        self.voice = Voice(session_key, random, shape, began_ms)
        self.title = self.voice.title
        self.random = random
        self.shape = shape
        self._ping_ms = int(shape.ping_seconds * 1000)
        self._ad_ping_ms = int(shape.ad_ping_seconds * 1000)
        self._break_count = 0
        self._is_in_break = self._is_in_ad = False
        self._cue_passed_ms = 0
        self._chapter: int | None = None
        self._states_on: set[str] = set()
        self._interruptions = {
            self._pause: shape.pauses_per_hour,
            self._buffer: shape.buffers_per_hour,
            self._seek: shape.seeks_per_hour,
            self._change_states: shape.state_changes_per_hour,
            self._change_bitrate: shape.bitrate_changes_per_hour,
            self._meet_error: shape.errors_per_hour,
        }
        drawn = random.random()
        self._vanishes = drawn < shape.vanish_share
        self._leaves = drawn < shape.vanish_share + shape.early_end_share
        self._leaves_after_ms = random.randrange(self.title.length_ms) if self._leaves else math.inf

    def watch(self) -> Iterator[Said]:
        """Everything that this player says, in order."""
        if self.shape.events_exactly:
            yield from self._report_plainly(self.shape.events_exactly)
            return
        yield self.voice.say_start()
        has_left = False
        if self.random.random() < self.shape.preroll_share:
            has_left = yield from self._sit_through_break()
        if not has_left:
            yield self.voice.say(EventType.PLAY, quality=self.voice.quality() | {"media.qoe.timeToStart": self.random.randrange(200, 4000)})
            has_left = yield from self._watch_content()
        if has_left:
            yield from self._leave()
            return
        yield self.voice.say(EventType.SESSION_COMPLETE)
        if self.random.random() < self.shape.end_after_complete_share:
            yield self.voice.say(EventType.SESSION_END)

    # --- the simple player -------------------------------------------------------------------------------------------------------

    def _report_plainly(self, event_count: int) -> Iterator[Said]:
        yield self.voice.say_start()
        for _ in range(event_count - 2):
            self._play_on(self._ping_ms)
            yield self.voice.say_ping()
        yield self.voice.say(EventType.SESSION_END)

    # --- the content ------------------------------------------------------------------------------------------------------------

    def _watch_content(self) -> Generator[Said, None, bool]:
        """Watch to the end, or leave: true when the player left."""
        watched_ms = 0.0
        ping_at_ms = watched_ms + self._ping_ms
        interruption_at_ms = watched_ms + self._until_interruption_ms()
        yield from self._follow_chapter(EventType.CHAPTER_SKIP)
        while True:
            wait_ms, happens = min(
                (self._leaves_after_ms - watched_ms, _Next.LEAVING),
                (self.title.length_ms - self.voice.playhead_ms, _Next.CONTENT_END),
                (self._chapter_end_ms() - self.voice.playhead_ms, _Next.CHAPTER_END),
                (self._cue_ms() - self.voice.playhead_ms, _Next.MIDROLL),
                (interruption_at_ms - watched_ms, _Next.INTERRUPTION),
                (ping_at_ms - watched_ms, _Next.PING),
            )
            self._play_on(int(wait_ms))
            watched_ms += wait_ms
            if happens is _Next.PING:
                yield self.voice.say_ping()
                ping_at_ms = watched_ms + self._ping_ms
            elif happens is _Next.INTERRUPTION:
                yield from self._be_interrupted()
                interruption_at_ms = watched_ms + self._until_interruption_ms()
                ping_at_ms = watched_ms + self._ping_ms
            elif happens is _Next.CHAPTER_END:
                yield from self._follow_chapter(EventType.CHAPTER_COMPLETE)
            elif happens is _Next.MIDROLL:
                self._cue_passed_ms = self.voice.playhead_ms
                if (yield from self._sit_through_break()):
                    return True
                yield self.voice.say(EventType.PLAY)
                ping_at_ms = watched_ms + self._ping_ms
            elif happens is _Next.CONTENT_END:
                if self._chapter is not None:
                    yield self.voice.say(EventType.CHAPTER_COMPLETE)
                return False
            else:
                return True

    def _play_on(self, wait_ms: int) -> None:
        self.voice.at_ms += wait_ms
        self.voice.playhead_ms += wait_ms

    def _stay(self, wait_ms: int, ping_ms: int) -> Iterator[Said]:
        """Let time pass while the playhead stands: the pings go on."""
        while wait_ms > ping_ms:
            self.voice.at_ms += ping_ms
            wait_ms -= ping_ms
            yield self.voice.say_ping()
        self.voice.at_ms += wait_ms

    def _cue_ms(self) -> float:
        """Where the next break of ads stands: each is shown once, and one that was jumped over is not shown."""
        every_ms = int(self.shape.midroll_every_seconds * 1000)
        if not every_ms:
            return math.inf
        cue_ms = (max(self.voice.playhead_ms, self._cue_passed_ms) // every_ms + 1) * every_ms
        return cue_ms if cue_ms < self.title.length_ms else math.inf

    def _chapter_end_ms(self) -> float:
        return math.inf if self._chapter is None else (self._chapter + 1) * int(self.shape.chapter_seconds * 1000)

    def _follow_chapter(self, closing: EventType) -> Iterator[Said]:
        """Close the open chapter and open the one at the playhead, unless they are the same."""
        if not self.title.has_chapters:
            return
        chapter_ms = int(self.shape.chapter_seconds * 1000)
        chapter = self.voice.playhead_ms // chapter_ms
        if chapter == self._chapter:
            return
        if self._chapter is not None:
            yield self.voice.say(closing)
        self._chapter = chapter
        offset_ms = chapter * chapter_ms
        length_ms = min(chapter_ms, self.title.length_ms - offset_ms)
        params = chapter_params(number=chapter + 1, offset_ms=offset_ms, length_ms=length_ms)
        yield self.voice.say(EventType.CHAPTER_START, params, custom_metadata={"mood": self.random.choice(("calm", "tense"))})

    def _leave(self) -> Iterator[Said]:
        """Close what is open, in the order of Adobe's players; who vanishes says nothing."""
        if self._vanishes:
            return
        if self._is_in_ad:
            yield self.voice.say(EventType.AD_SKIP)
        if self._is_in_break:
            yield self.voice.say(EventType.AD_BREAK_COMPLETE)
        if self._chapter is not None:
            yield self.voice.say(EventType.CHAPTER_SKIP)
        yield self.voice.say(EventType.SESSION_END)

    # --- ads --------------------------------------------------------------------------------------------------------------------

    def _sit_through_break(self) -> Generator[Said, None, bool]:
        """Watch or skip a few ads: true when the player left over them. The caller says `play`."""
        leaves = self._leaves and self.random.random() < _LEAVES_IN_AD_SHARE
        ad_count = self.random.randint(1, self.shape.break_ads_max)
        self._break_count += 1
        self._is_in_break = True
        yield self.voice.say(EventType.AD_BREAK_START, ad_break_params(index=self._break_count, playhead_ms=self.voice.playhead_ms))
        for position in range(1, ad_count + 1):
            length_ms = int(self.random.uniform(self.shape.ad_seconds_min, self.shape.ad_seconds_max) * 1000)
            is_skipped = self.random.random() < self.shape.ad_skip_share
            params, custom_metadata = draw_ad(self.random, position=position, length_ms=length_ms)
            self._is_in_ad = True
            yield self.voice.say(EventType.AD_START, params, custom_metadata=custom_metadata)
            yield self.voice.say(EventType.PLAY)  # players say it after each adStart; none may stand before the first
            if self.random.random() < self.shape.ad_pause_share:
                yield from self._pause()
            watched_ms = self.random.randrange(length_ms) if is_skipped or leaves else length_ms
            yield from self._stay(watched_ms, self._ad_ping_ms)
            if leaves:
                return True
            self._is_in_ad = False
            yield self.voice.say(EventType.AD_SKIP if is_skipped else EventType.AD_COMPLETE)
        self._is_in_break = False
        yield self.voice.say(EventType.AD_BREAK_COMPLETE)
        return False

    # --- interruptions ----------------------------------------------------------------------------------------------------------

    def _until_interruption_ms(self) -> float:
        per_hour = sum(self._interruptions.values())
        return float(int(self.random.expovariate(per_hour / HOUR_MS))) if per_hour else math.inf

    def _be_interrupted(self) -> Iterator[Said]:
        kinds, weights = list(self._interruptions), list(self._interruptions.values())
        return self.random.choices(kinds, weights)[0]()

    def _pause(self) -> Iterator[Said]:
        yield self.voice.say(EventType.PAUSE_START)
        yield from self._stay(int(self.random.uniform(0, self.shape.pause_seconds_max) * 1000), self._ping_ms)
        yield self.voice.say(EventType.PLAY)

    def _buffer(self) -> Iterator[Said]:
        yield self.voice.say(EventType.BUFFER_START, quality=self.voice.quality())
        yield from self._stay(int(self.random.uniform(0, self.shape.buffer_seconds_max) * 1000), self._ping_ms)
        yield self.voice.say(EventType.PLAY)

    def _seek(self) -> Iterator[Said]:
        """Jump, backward too: the API has no event of its own for it."""
        yield self.voice.say(EventType.PAUSE_START)
        distance_ms = self.random.randrange(1_000, _SEEK_MS_MAX)
        if self.random.random() < _SEEK_BACK_SHARE:
            distance_ms = -distance_ms
        last_ms = max(0, self.title.length_ms - 1_000)
        self.voice.playhead_ms = min(max(0, self.voice.playhead_ms + distance_ms), last_ms)
        self.voice.at_ms += self.random.randrange(100, 2_000)
        yield from self._follow_chapter(EventType.CHAPTER_SKIP)
        yield self.voice.say(EventType.PLAY)

    def _change_states(self) -> Iterator[Said]:
        state_count = self.random.choices((1, 2, 3), _STATES_AT_ONCE_WEIGHTS)[0]
        for state in self.random.sample(_STATES, state_count):
            is_on = state in self._states_on
            self._states_on.symmetric_difference_update((state,))
            yield self.voice.say(EventType.STATE_END if is_on else EventType.STATE_START, {"media.state.name": state})

    def _change_bitrate(self) -> Iterator[Said]:
        self.voice.bitrate = self.random.choice([bitrate for bitrate in BITRATES if bitrate != self.voice.bitrate])
        yield self.voice.say(EventType.BITRATE_CHANGE, quality=self.voice.quality())

    def _meet_error(self) -> Iterator[Said]:
        source = self.random.choice(("player", "external"))
        yield self.voice.say(EventType.ERROR, quality={"media.qoe.errorID": self.random.choice(_ERRORS), "media.qoe.errorSource": source})


def play(session_key: str, random: Random, shape: Shape, began_ms: int) -> Iterator[Said]:
    """One session from its begin, in order; with hostile records between its events where the shape asks for them."""
    player = Player(session_key, random, shape, began_ms)
    for said in itertools.islice(player.watch(), shape.events_max):
        yield said
        while shape.hostile_share and random.random() < shape.hostile_share:
            yield player.voice.say_poison()
