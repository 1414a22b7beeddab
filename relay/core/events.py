"""The nouns that everybody shares: what a player said, and the record it came in.

In: nothing. Out: `PlayerEvent`, `Record`, `Details`, `Part`, `Nothing` and the identifiers, as frozen values.
"""

import re
from enum import StrEnum
from typing import Final, NewType, TypeAlias

import msgspec

SessionKey = NewType("SessionKey", str)
"""The player's own name for its session: the record's key."""

ApiSessionId = NewType("ApiSessionId", str)
"""The API's name for the session that it keeps for us. Made only by `as_session_id`."""

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def as_session_id(text: str) -> ApiSessionId | None:
    """The text as an id, or None. An id becomes part of URLs and log lines, so nothing else may pass as one."""
    return ApiSessionId(text) if _SESSION_ID.fullmatch(text) else None


class EventType(StrEnum):
    """The nineteen types of the classic API: the vocabulary of the relay, whichever dialect goes out."""

    SESSION_START = "sessionStart"
    SESSION_COMPLETE = "sessionComplete"
    SESSION_END = "sessionEnd"
    PLAY = "play"
    PING = "ping"
    PAUSE_START = "pauseStart"
    BUFFER_START = "bufferStart"
    BITRATE_CHANGE = "bitrateChange"
    ERROR = "error"
    AD_BREAK_START = "adBreakStart"
    AD_BREAK_COMPLETE = "adBreakComplete"
    AD_START = "adStart"
    AD_COMPLETE = "adComplete"
    AD_SKIP = "adSkip"
    CHAPTER_START = "chapterStart"
    CHAPTER_COMPLETE = "chapterComplete"
    CHAPTER_SKIP = "chapterSkip"
    STATE_START = "stateStart"
    STATE_END = "stateEnd"


class Record(msgspec.Struct, frozen=True, gc=False):
    """Bytes from Kafka, kept as they came so that a dead letter can hold the original."""

    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = 0  # Unix milliseconds, as Kafka has it
    appended_at: float = 0.0  # the same moment on the core's clock, in seconds


class Details(msgspec.Struct, frozen=True, gc=False):
    """What an event carries besides its time: JSON objects as bytes, empty when there is none."""

    params: bytes = b""
    custom_metadata: bytes = b""


class Part(msgspec.Struct, frozen=True, gc=False):
    """Which part of its record an event is, where a record says several things."""

    number: int  # from 1
    count: int
    after: "Derived | None" = None  # with the last part: what is derived from player states once it has left
    is_silent: bool = False  # it only moves that on, and nothing is sent for it

    @property
    def is_last(self) -> bool:
        """Whether the record says nothing after it."""
        return self.number == self.count


class Derived(
    msgspec.Struct,
    gc=False,
    omit_defaults=True,
    rename={
        "phase": "p",
        "base": "b",
        "buffering": "w",
        "seeking": "k",
        "ad_break": "r",
        "ad": "a",
        "chapter": "c",
        "states": "s",
        "said": "d",
        "said_at": "t",
        "seen_at": "n",
        "seen": "e",
        "media": "m",
    },
):
    """What is remembered of a player's states, to derive what comes next. Never changed once it was handed on; short names, for memoirs."""

    phase: int = 0  # of the session: new, open, completed, ended
    base: str = ""  # play or pauseStart, below buffering and seeking
    buffering: bool = False
    seeking: bool = False
    ad_break: int = 0  # of what is open, a number that tells it from others
    ad: int = 0
    chapter: int = 0
    states: tuple[str, ...] = ()
    said: str = ""  # what the API heard last of playback
    said_at: int = 0  # when, pings included
    seen_at: int = 0  # when anything was said last, and where
    seen: float = 0
    media: str = ""


class PlayerEvent(msgspec.Struct, frozen=True, gc=False):
    """One thing that a player said. The three objects are JSON as it came in, byte for byte, and empty when there was none."""

    event_type: EventType
    playhead: float  # seconds; an int that came in stays an int
    ts: int  # the player's clock, Unix milliseconds; never altered
    params: bytes = b""
    qoe_data: bytes = b""
    custom_metadata: bytes = b""
    state_name: str = ""  # media.state.name, for stateStart and stateEnd
    start: Details | None = None  # what a sessionStart would carry, where the event brought it along
    record: Record | None = None  # None for what the relay itself says again
    part: Part | None = None  # None for all that its record says


class StateRules(msgspec.Struct, frozen=True, gc=False):
    """How events are derived from player states; event time in milliseconds, 0 for never."""

    ping_milliseconds: int = 10_000
    silence_milliseconds: int = 0
    ends_on_new_media: bool = False


class Fact(msgspec.Struct, frozen=True, gc=False):
    """What a raw event says of the player. The kind is an event type or one of those that `derivation.py` knows besides."""

    kind: str
    event: PlayerEvent


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What a record says of the player; which events that comes to depends on what was said before."""

    facts: tuple[Fact, ...]
    rules: StateRules


class Nothing(msgspec.Struct, frozen=True, gc=False):
    """What a record says that a rule leaves out."""

    reason: str  # the rule's own word, from a closed list: fit for a metric's label


Said: TypeAlias = PlayerEvent | tuple[PlayerEvent, ...] | Facts | Nothing
"""What a record says: one event, as nearly always; several, in their order; facts of which events are to be derived; or nothing."""
