"""Players that report states instead of events: what their records come to follows from all that came before them.

In: a random number generator. Out: `Said`, as of any other player: what each record must come to, worked out here once, from the first
record to the last. A relay works it out between crashes, from what its memoirs remember, and must arrive at the same.

How states become events has its own tests (`tests/core/test_derivation.py`); here they are the rule that no crash may bend.
"""

import json
from random import Random
from typing import Final

from simulation.stories import START_PARAMS, Object, Said, Storyteller

from relay.core.derivation import BUFFER_COMPLETE, SEEK_COMPLETE, SEEK_START, TICK, derive
from relay.core.events import Derived, Details, EventType, Fact, Facts, PlayerEvent, Record, StateRules

E = EventType
SHOWS_AS: Final = {TICK: E.PING, SEEK_START: E.PAUSE_START, SEEK_COMPLETE: E.PLAY, BUFFER_COMPLETE: E.PLAY}
MARK: Final = b'{"facts":'
_PLAYBACK: Final = (E.PLAY, E.PAUSE_START, E.BUFFER_START, BUFFER_COMPLETE, SEEK_START, SEEK_COMPLETE)
_QUIET_MILLISECONDS: Final = 60_000


def read_facts(value: bytes, record: Record) -> Facts:
    """What a record says of its player."""
    said = json.loads(value)
    return Facts(tuple(_fact(one, record) for one in said["facts"]), StateRules(**said["rules"]))


def _fact(said: Object, record: Record) -> Fact:
    kind = said["kind"]
    params, start = said.get("params", {}), said.get("start")
    details = None if start is None else Details(_json(start["params"]), _json(start["customMetadata"]))
    event = PlayerEvent(
        SHOWS_AS.get(kind) or EventType(kind),
        said["playhead"],
        said["ts"],
        _json(params),
        _json(said.get("qoe", {})),
        _json(said.get("metadata", {})),
        params.get("media.state.name", ""),
        start=details,
        record=record,
    )
    return Fact(kind, event)


def _json(members: Object) -> bytes:
    return json.dumps(members).encode() if members else b""


class StateTeller:
    """Tells stories of states."""

    def __init__(self, random: Random, storyteller: Storyteller) -> None:
        """The clock of all players is one: no two of them ever say something at the same moment."""
        self._random = random
        self._storyteller = storyteller
        self._playhead = 0.0

    def story(self, key: str) -> list[Said]:
        """All that one player reports, record by record; one that comes to nothing is `is_silent`."""
        random = self._random
        self._playhead = 0.0
        self._rules: Object = {
            "ping_milliseconds": random.choice((0, 10_000)),
            "silence_milliseconds": random.choice((0, _QUIET_MILLISECONDS)),
            "ends_on_new_media": random.random() < 0.3,
        }
        self._media, self._brings_start = f"{key}-film", random.random() < 0.6
        facts = [self._fact(E.PLAY, start=self._start())]
        facts += [self._any_fact() for _ in range(random.randrange(4, 25))]
        if random.random() < 0.7:
            facts += [self._fact(E.SESSION_COMPLETE)] if random.random() < 0.5 else []
            facts.append(self._fact(E.SESSION_END))
        return self._records(key, facts)

    def _any_fact(self) -> Object:
        """Anything, in no sensible order: which of it is worth an event is for the relay to say."""
        random = self._random
        kind = random.choice((*([TICK] * 6), *_PLAYBACK, *_PLAYBACK, "chapter", "break", "ad", "state", E.BITRATE_CHANGE, "pause", "media"))
        if kind == "chapter":
            return self._opened_or_closed(E.CHAPTER_START, (E.CHAPTER_COMPLETE, E.CHAPTER_SKIP), "media.chapter.index")
        if kind == "break":
            return self._opened_or_closed(E.AD_BREAK_START, (E.AD_BREAK_COMPLETE,), "media.ad.podIndex")
        if kind == "ad":
            return self._opened_or_closed(E.AD_START, (E.AD_COMPLETE, E.AD_SKIP), "media.ad.podPosition")
        return self._simple_fact(kind)

    def _simple_fact(self, kind: str) -> Object:
        random = self._random
        if kind == "state":
            name = {"media.state.name": random.choice(("mute", "fullScreen"))}
            return self._fact(random.choice((E.STATE_START, E.STATE_END)), params=name)
        if kind == "pause":
            return self._fact(E.PLAY, after=_QUIET_MILLISECONDS + 1)
        if kind == "media":
            self._media = f"{self._media[:-1]}{random.randrange(3)}"
            return self._fact(E.PLAY, start=self._start())
        return self._fact(kind)

    def _opened_or_closed(self, opening: EventType, closings: tuple[EventType, ...], name: str) -> Object:
        if self._random.random() < 0.6:
            return self._fact(
                opening, params={name: self._random.randrange(1, 3)}, metadata={"m": "x"} if self._random.random() < 0.3 else {}
            )
        return self._fact(self._random.choice(closings))

    def _start(self) -> Object:
        return {"params": START_PARAMS | {"media.id": self._media}, "customMetadata": {"plan": "gold"}}

    def _fact(self, kind: str, *, after: int = 0, start: Object | None = None, **more: Object) -> Object:
        self._playhead = round(self._playhead + self._random.random() * 9, 3)
        fact: Object = {"kind": str(kind), "playhead": self._playhead, "ts": self._storyteller.moment(after), **more}
        if start is not None or self._brings_start:
            fact["start"] = start or self._start()
        return fact

    def _records(self, key: str, facts: list[Object]) -> list[Said]:
        state, story = Derived(), []
        while facts:
            count = self._random.choice((1, 1, 1, 2, 3))
            value = json.dumps({"facts": facts[:count], "rules": self._rules}, separators=(",", ":")).encode()
            del facts[:count]
            known = read_facts(value, Record(0, b"", b"", timestamp_ms=0, appended_at=0.0))
            state, events = derive(state, known.facts, known.rules)
            parts = [_said(key, event, value) for event in events]
            for part in parts:
                part.siblings = parts
            story += parts or [Said(key, "nothing", 0, 0.0, value=value, is_silent=True)]
        return story


def _said(key: str, event: PlayerEvent, value: bytes) -> Said:
    start = event.start
    brought = None if start is None else {"params": _members(start.params), "customMetadata": _members(start.custom_metadata)}
    return Said(
        key,
        str(event.event_type),
        event.ts,
        event.playhead,
        params=_members(event.params),
        qoe=_members(event.qoe_data),
        metadata=_members(event.custom_metadata),
        start=brought,
        value=value,
        is_derived=True,
    )


def _members(text: bytes) -> Object:
    return json.loads(text) if text else {}
