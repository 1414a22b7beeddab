"""What the players of a world say: sessions as real ones report them, some of them odd, and records that nobody can read.

In: a random number generator. Out: `Said`, one for each event, which also keeps what became of it.
"""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from relay.core.reasons import Reason

Object = dict[str, Any]

START_PARAMS: Final[Object] = {
    "analytics.trackingServer": "tracking.example",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org@AdobeOrg",
    "media.length": 1200.5,
    "media.contentType": "vod",
    "media.playerName": "simulated",
    "media.channel": "channel",
}
_POISONS: Final = (
    (b"{", Reason.NOT_JSON),
    (None, Reason.EMPTY_VALUE),
    (b"[]", Reason.INVALID_EVENT),
    (b'{"eventType":"dance","playerTime":{"playhead":0,"ts":1}}', Reason.UNKNOWN_EVENT_TYPE),
    (b'{"eventType":"ping","playerTime":{"playhead":"0","ts":1}}', Reason.INVALID_EVENT),
)


@dataclass(eq=False)
class Said:
    """One thing that is said, mostly by a record of its own, and what became of it."""

    key: str
    kind: str
    ts: int
    playhead: float
    params: Object = field(default_factory=dict)
    qoe: Object = field(default_factory=dict)
    metadata: Object = field(default_factory=dict)
    start: Object | None = None
    poison: Reason | None = None
    value: bytes | None = b""
    is_bad: bool = False
    is_cursed: bool = False
    is_stuck: bool = False
    is_derived: bool = False  # from what its player reports of its states
    is_silent: bool = False  # a record that comes to nothing

    siblings: list["Said"] = field(default_factory=list)  # all that its record says, where that is several things

    # Its place in the log.
    partition: int = -1
    offset: int = -1
    place: int = -1  # within its session

    # What became of it.
    appended_at: float = 0.0
    acceptances: list[Any] = field(default_factory=list)  # of Flight
    refusals: list[int] = field(default_factory=list)  # statuses that the API answered to it, in any process
    openings: int = 0  # API sessions that were opened while it stood at the head
    put_by: list[Any] = field(default_factory=list)  # of Tenure
    letters: list[Reason] = field(default_factory=list)
    failed_since: float | None = None  # when the first call failed for the moment while it stood at the head
    was_parked: bool = False
    was_joined_at: bool = False  # a session was opened for it, since none was known
    was_unanswered_by: Any = None  # the Tenure in which its answer was lost last
    was_skipped: bool = False  # its answer was lost, and its kind does not go again
    was_found_gone: bool = False  # 404 or 410 was the answer to it

    @property
    def is_settled(self) -> bool:
        """It needs nothing more, as far as anybody outside can see."""
        is_in_a_letter = any(one.letters for one in self.siblings)
        return (
            bool(self.acceptances or self.letters or self.was_skipped)
            or is_in_a_letter
            or (self.kind == "sessionEnd" and self.was_found_gone)
        )

    @property
    def parts(self) -> list["Said"]:
        """All that its record says."""
        return [] if self.is_silent else self.siblings or [self]

    def __repr__(self) -> str:
        """Name it as a trace does."""
        return f"{self.key}:{self.kind}@{self.partition}/{self.offset}"


class Storyteller:
    """Tells the stories of a world."""

    def __init__(self, random: Random) -> None:
        """Every event of a world has a `ts` of its own."""
        self._random = random
        self._ts = 1_700_000_000_000

    def story(self, key: str) -> list[Said]:
        """All that one player session says."""
        random = self._random
        kind = random.choice(("whole", "whole", "whole", "left", "complete", "restarted", "late", "joined", "orphan", "again"))
        said: list[Said] = []
        if kind in ("joined", "orphan"):
            said += self._middle(key)
            if kind == "joined":
                start = {"params": START_PARAMS | {"media.id": key}, "customMetadata": {"plan": "joined"}}
                for one in said:
                    one.start = start
            if random.random() < 0.5:
                said += [self._start(key), *self._middle(key)]
        else:
            said += [self._start(key), *self._middle(key)]
        if kind == "restarted":
            said += [self._start(key), *self._middle(key)]
        if kind in ("complete", "again") or random.random() < 0.3:
            said.append(self._say(key, "sessionComplete"))
        if kind not in ("left", "complete"):
            said.append(self._say(key, "sessionEnd"))
        if kind == "late":
            said += [self._say(key, random.choice(("ping", "play", "sessionEnd"))) for _ in range(random.randrange(1, 4))]
        if kind == "again":
            said += [self._start(key), *self._middle(key), self._say(key, "sessionEnd")]
        return self._together([self._encoded(one) for one in said])

    def _together(self, said: list[Said]) -> list[Said]:
        """In some stories, a record says several things now and then: an array."""
        if self._random.random() < 0.5:
            return said
        rest = list(said)
        while rest:
            count = self._random.choice((1, 1, 2, 3))
            group, rest = rest[:count], rest[count:]
            if len(group) > 1:
                value = b"[" + b",".join(one.value or b"" for one in group) + b"]"
                for one in group:
                    one.siblings, one.value = group, value
        return said

    def simple(self, key: str, count: int) -> list[Said]:
        """A start, pings, an end."""
        said = [self._start(key), *(self._say(key, "ping") for _ in range(count - 2)), self._say(key, "sessionEnd")]
        return [self._encoded(one) for one in said]

    def poison(self, key: str) -> Said:
        """A record that is no event."""
        value, reason = self._random.choice(_POISONS)
        return Said(key, "poison", 0, 0.0, poison=reason, value=value)

    def moment(self, after: int = 0) -> int:
        """The next moment of the players' clock, so much later at least."""
        self._ts += after + self._random.randrange(1, 5_000)
        return self._ts

    def _say(self, key: str, kind: str, **more: Any) -> Said:
        self.moment()
        playhead = self._random.randrange(1000) if self._random.random() < 0.3 else round(self._random.random() * 1000, 3)
        qoe = {"media.qoe.bitrate": self._random.randrange(100_000)} if self._random.random() < 0.2 else {}
        return Said(key, kind, self._ts, playhead, qoe=qoe, **more)

    def _start(self, key: str) -> Said:
        metadata = {"plan": "gold"} if self._random.random() < 0.5 else {}
        return self._say(key, "sessionStart", params=START_PARAMS | {"media.id": f"{key}-{self._ts}"}, metadata=metadata)

    def _middle(self, key: str) -> list[Said]:
        random = self._random
        said: list[Said] = []
        for index in range(random.randrange(1, 6)):
            part = random.choice(("play", "pings", "break", "chapter", "state", "pause", "buffer", "quality"))
            if part == "play":
                said.append(self._say(key, "play"))
            elif part == "pings":
                said += [self._say(key, "ping") for _ in range(random.randrange(1, 5))]
            elif part == "break":
                said += self._ad_break(key, index)
            elif part == "chapter":
                params = {"media.chapter.index": index + 1, "media.chapter.offset": 1.5, "media.chapter.length": 60}
                said.append(self._say(key, "chapterStart", params=params, metadata={"c": "x"} if random.random() < 0.5 else {}))
                if random.random() < 0.6:
                    said += [self._say(key, "ping"), self._say(key, random.choice(("chapterComplete", "chapterSkip")))]
            elif part == "state":
                name = {"media.state.name": random.choice(("mute", "fullscreen", "custom_1"))}
                said.append(self._say(key, random.choice(("stateStart", "stateStart", "stateEnd")), params=name))
            elif part == "quality":
                said += [self._say(key, "bitrateChange"), self._say(key, "error")]
            else:
                said += [self._say(key, "pauseStart" if part == "pause" else "bufferStart"), self._say(key, "ping")]
                if random.random() < 0.7:
                    said.append(self._say(key, "play"))
        return said

    def _ad_break(self, key: str, index: int) -> list[Said]:
        random = self._random
        said = [self._say(key, "adBreakStart", params={"media.ad.podIndex": index, "media.ad.podSecond": 0.5})]
        for position in range(random.randrange(1, 3)):
            params = {
                "media.ad.id": f"ad-{position}",
                "media.ad.length": 15,
                "media.ad.podPosition": position + 1,
                "media.ad.playerName": "s",
            }
            said += [self._say(key, "adStart", params=params), self._say(key, "ping")]
            if random.random() < 0.8:
                said.append(self._say(key, random.choice(("adComplete", "adSkip"))))
        if random.random() < 0.8:
            said.append(self._say(key, "adBreakComplete"))
        return said

    @staticmethod
    def _encoded(said: Said) -> Said:
        event: Object = {"eventType": said.kind, "playerTime": {"playhead": said.playhead, "ts": said.ts}}
        for name, member in (("params", said.params), ("qoeData", said.qoe), ("customMetadata", said.metadata), ("start", said.start)):
            if member:
                event[name] = member
        said.value = json.dumps(event).encode()
        return said
