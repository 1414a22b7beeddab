"""How a simulated player puts into words what happens: native events with their time, and now and then a record that is none.

In: what happens, in the order in which it does. Out: `Said`, one record for the topic each.

Time is counted in whole milliseconds and each event takes one, so that the `ts` of a session never stands still.
"""

from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec

from relay.core.events import EventType
from relay.sandbox.poison import POISONS, poison_record
from relay.sandbox.shapes import Shape
from relay.sandbox.titles import Object, draw_title

BITRATES: Final = (400_000, 800_000, 1_800_000, 3_500_000, 6_000_000)

_ENCODE: Final = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True, gc=False):
    """One record for the topic. For poison, `event_type` names what is wrong with it, and `key` the session that it stands in."""

    key: str
    at_seconds: float  # since the session began
    value: bytes | None
    event_type: str
    ts: int
    record_key: bytes | None
    is_poison: bool = False


class Voice:
    """The clock, the playhead and the words of one session. The player moves the first two."""

    def __init__(self, session_key: str, random: Random, shape: Shape, began_ms: int) -> None:
        """Nothing has been said yet."""
        self.at_ms = -1  # the first event is at 0
        self.playhead_ms = 0
        self.title = draw_title(session_key, random, shape)
        self.bitrate = random.choice(BITRATES)
        self._key = session_key
        self._record_key = session_key.encode()
        self._random = random
        self._shape = shape
        self._began_ms = began_ms
        self._frames_dropped = 0
        self._start = msgspec.Raw(_ENCODE({"params": self.title.params, "customMetadata": self.title.custom_metadata}))

    def say(
        self,
        event_type: EventType,
        params: Object | None = None,
        *,
        quality: Mapping[str, object] | None = None,
        custom_metadata: Mapping[str, str] | None = None,
    ) -> Said:
        """Say one event here and now."""
        self.at_ms += 1
        ts = self._began_ms + self.at_ms
        event: Object = {"eventType": event_type, "playerTime": {"playhead": self.playhead_ms / 1000, "ts": ts}}
        if params is not None:
            event["params"] = params
        if quality is not None:
            event["qoeData"] = quality
        if custom_metadata is not None:
            event["customMetadata"] = custom_metadata
        share = self._shape.start_object_share
        if share and event_type is not EventType.SESSION_START and self._random.random() < share:
            event["start"] = self._start
        return Said(self._key, self.at_ms / 1000, _ENCODE(event), event_type, ts, self._record_key)

    def say_start(self) -> Said:
        """Say what is watched."""
        return self.say(EventType.SESSION_START, self.title.params, custom_metadata=self.title.custom_metadata)

    def say_ping(self) -> Said:
        """Say that the player is still there."""
        share = self._shape.ping_quality_share
        return self.say(EventType.PING, quality=self.quality() if share and self._random.random() < share else None)

    def quality(self) -> Object:
        """Measure the stream."""
        self._frames_dropped += self._random.randrange(5)  # a running total, never a difference
        return {
            "media.qoe.bitrate": self.bitrate,
            "media.qoe.droppedFrames": self._frames_dropped,
            "media.qoe.framesPerSecond": self._random.choice((24, 25, 30, 50, 60)),
        }

    def say_poison(self) -> Said:
        """Say something that is no event."""
        self.at_ms += 1
        ts = self._began_ms + self.at_ms
        kind = self._random.choice(POISONS)
        record_key, value = poison_record(
            kind,
            self._random,
            key=self._record_key,
            player_time={"playhead": self.playhead_ms / 1000, "ts": ts},
            oversize_bytes=self._shape.oversize_bytes,
        )
        return Said(self._key, self.at_ms / 1000, value, kind, ts, record_key, is_poison=True)
