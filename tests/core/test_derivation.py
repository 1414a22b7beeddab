"""Player states to API events: only what changes is sent, and what is open is closed before what ends it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.derivation import derive
from relay.core.events import Derived, Details, EventType, Fact, Facts, PlayerEvent, Record, SessionKey, StateRules
from relay.core.inputs import Accepted, Answered, ArrivedAsFacts, Lost
from relay.core.memoir import read, write

if TYPE_CHECKING:
    from conftest import Driver

START = Details(params=b'{"media.id":"film"}')
OTHER = Details(params=b'{"media.id":"other"}')
TYPES = {
    "seek": ("seekStart", EventType.PAUSE_START),
    "sought": ("seekComplete", EventType.PLAY),
    "buffered": ("bufferComplete", EventType.PLAY),
    "tick": ("tick", EventType.PING),
    "pause": ("pauseStart", EventType.PAUSE_START),
    "buffer": ("bufferStart", EventType.BUFFER_START),
    "break": ("adBreakStart", EventType.AD_BREAK_START),
    "ad": ("adStart", EventType.AD_START),
    "chapter": ("chapterStart", EventType.CHAPTER_START),
    "on": ("stateStart", EventType.STATE_START),
    "off": ("stateEnd", EventType.STATE_END),
    "done": ("sessionComplete", EventType.SESSION_COMPLETE),
    "end": ("sessionEnd", EventType.SESSION_END),
    "start": ("sessionStart", EventType.SESSION_START),
}


def fact(word: str, second: float, *, start: Details | None = START, record: Record | None = None) -> Fact:
    """A fact in a word: its kind, and what is after a colon tells it from others."""
    name, _, which = word.partition(":")
    kind, event_type = TYPES.get(name) or (name, EventType(name))
    params = b'{"which":"%s"}' % which.encode() if which else b""
    is_start = event_type is EventType.SESSION_START
    return Fact(
        kind,
        PlayerEvent(
            event_type,
            playhead=second,
            ts=round(second * 1000),
            params=(start or START).params if is_start else params,
            state_name=which if name in {"on", "off"} else "",
            start=None if is_start else start,
            record=record,
        ),
    )


def said(*words: str, rules: StateRules | None = None, seconds: float = 1.0) -> str:
    """What comes of facts a second apart, each a record; `@30` moves the clock on."""
    state, now, told = Derived(), 0.0, list[str]()
    for word in words:
        if word.startswith("@"):
            now += float(word[1:])
            continue
        state, events = derive(state, (fact(word, now),), rules or StateRules())
        told += [str(event.event_type) for event in events]
        now += seconds
    return " ".join(told)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ("play play play", "sessionStart play"),
        ("play pause pause play", "sessionStart play pauseStart play"),
        ("play seek sought", "sessionStart play pauseStart play"),
        ("pause seek sought", "sessionStart pauseStart"),
        ("play buffer seek sought buffered", "sessionStart play bufferStart play"),
        ("play seek buffer buffered sought", "sessionStart play pauseStart bufferStart pauseStart play"),
        ("play buffer pause buffered", "sessionStart play bufferStart pauseStart"),
        ("play seek pause sought play", "sessionStart play pauseStart play"),
        ("play buffer play", "sessionStart play bufferStart play"),
        ("buffer buffered play", "sessionStart bufferStart pauseStart play"),
        ("tick play", "sessionStart play"),
        ("start play start", "sessionStart play"),
        (
            "play break:1 ad:1 ad:1 adComplete adBreakComplete",
            "sessionStart play adBreakStart adStart play adComplete adBreakComplete play",
        ),
        ("play break:1 ad:1 ad:2", "sessionStart play adBreakStart adStart play adSkip adStart play"),
        ("play break:1 break:1 ad:1 break:2", "sessionStart play adBreakStart adStart play adSkip adBreakComplete adBreakStart"),
        ("play break:1 ad:1 adBreakComplete", "sessionStart play adBreakStart adStart play adSkip adBreakComplete play"),
        ("break:1 ad:1 pause", "sessionStart adBreakStart adStart play pauseStart"),
        ("play break:1 pause ad:1", "sessionStart play adBreakStart adStart pauseStart"),
        ("play adComplete adBreakComplete chapterComplete", "sessionStart play"),
        ("play chapter:1 chapter:1 chapter:2 chapterComplete", "sessionStart play chapterStart chapterSkip chapterStart chapterComplete"),
        ("play on:mute on:mute off:mute off:mute", "sessionStart play stateStart stateEnd"),
        ("play on:mute on:full off:mute on:full off:full", "sessionStart play stateStart stateStart stateEnd stateEnd"),
        (
            "play chapter break ad ad adComplete adBreakComplete",
            "sessionStart play chapterStart adBreakStart adStart play adComplete adBreakComplete play",
        ),
        ("play ad:1 adSkip ad:1 chapter:1 chapterSkip", "sessionStart play adStart play adSkip adStart play chapterStart chapterSkip"),
        ("play ad:1 end", "sessionStart play adStart play adSkip sessionEnd"),
        ("play done start", "sessionStart play sessionComplete sessionEnd sessionStart"),
        ("buffer ad:1 buffered", "sessionStart bufferStart adStart bufferStart play"),
        ("play chapter:1 chapterComplete chapterComplete chapter:1", "sessionStart play chapterStart chapterComplete chapterStart"),
        (
            "play chapter:1 break:1 ad:1 end",
            "sessionStart play chapterStart adBreakStart adStart play adSkip adBreakComplete chapterSkip sessionEnd",
        ),
        ("play chapter:1 done end", "sessionStart play chapterStart chapterSkip sessionComplete sessionEnd"),
        ("play end tick pause end", "sessionStart play sessionEnd"),
        ("play end play", "sessionStart play sessionEnd sessionStart play"),
        ("play done play", "sessionStart play sessionComplete sessionEnd sessionStart play"),
        ("play done pause", "sessionStart play sessionComplete"),
        ("end done adComplete error off:mute", ""),
        ("play error bitrateChange", "sessionStart play error bitrateChange"),
    ],
)
def test_facts_come_to_events(facts: str, expected: str) -> None:
    """By the rules of Adobe's own clients."""
    assert said(*facts.split()) == expected


def test_pings_follow_from_event_time() -> None:
    """When nothing was said of playback for ten seconds, the next fact brings one along; a change of playback is one by itself."""
    assert said("play", *["tick"] * 21) == "sessionStart play ping ping"
    assert said("play", *["play"] * 10) == "sessionStart play ping"
    assert said("play", *["tick"] * 9, "pause", *["tick"] * 10) == "sessionStart play pauseStart ping"
    assert said("play", "@60", "tick") == "sessionStart play ping"
    assert said("play", *["tick"] * 30, rules=StateRules(ping_milliseconds=0)) == "sessionStart play"
    assert said("play", *["play"] * 30, rules=StateRules(ping_milliseconds=0)) == "sessionStart play"
    assert said("play", "ping", "tick", "ping") == "sessionStart play ping ping"
    assert said("play", "@8", "ping", "tick", "tick") == "sessionStart play ping"
    assert said("@1000", "tick", "tick", "tick") == "sessionStart"
    assert said("@1000", "play", "play", "play") == "sessionStart play"


def test_a_tick_is_a_fact_among_others() -> None:
    """What stands beside it in its record is heard; and it begins a session as any other fact."""
    state, events = derive(Derived(), (fact("tick", 1),), StateRules())
    assert [str(event.event_type) for event in events] == ["sessionStart"]
    _, events = derive(state, (fact("tick", 2), fact("pause", 2)), StateRules())
    assert [str(event.event_type) for event in events] == ["pauseStart"]


def test_silence_ends_a_session_where_it_was_last_seen() -> None:
    """By event time: with the next fact, however late it comes, another session begins."""
    rules = StateRules(silence_milliseconds=60_000)
    state = Derived()
    for second, word in ((0, "play"), (1, "chapter:1"), (100, "play")):
        state, events = derive(state, (fact(word, second),), rules)
    assert [(str(event.event_type), event.ts, event.playhead) for event in events] == [
        ("chapterSkip", 1_000, 1),
        ("sessionEnd", 1_000, 1),
        ("sessionStart", 100_000, 100),
        ("play", 100_000, 100),
    ]


def heard(*words: tuple[float, str], rules: StateRules) -> list[tuple[str, int]]:
    """What comes of facts at their seconds: the events of the last one, with the seconds that they carry."""
    state, events = Derived(), list[PlayerEvent]()
    for second, word in words:
        state, events = derive(state, (fact(word, second),), rules)
    assert all(event.ts == event.playhead * 1000 for event in events)
    return [(str(event.event_type), event.ts // 1000) for event in events]


SILENCE = StateRules(ping_milliseconds=0, silence_milliseconds=60_000)


def test_all_that_is_open_is_closed_where_it_was_seen() -> None:
    """Ad, ad break and chapter, in this order, at the last moment that was told."""
    opened = [(1_000, "play"), (1_001, "chapter:1"), (1_002, "break:1"), (1_003, "ad:1")]
    assert heard(*opened, (1_100, "tick"), rules=SILENCE) == [
        ("adSkip", 1_003),
        ("adBreakComplete", 1_003),
        ("chapterSkip", 1_003),
        ("sessionEnd", 1_003),
        ("sessionStart", 1_100),
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([(1_000, "play")], [("sessionStart", 1_000), ("play", 1_000)]),  # silence before anything was said is none
        ([(1_000, "play"), (1_060, "pause")], [("pauseStart", 1_060)]),  # as long as it may be
        ([(1_000, "play"), (1_061, "pause")], [("sessionEnd", 1_000), ("sessionStart", 1_061), ("pauseStart", 1_061)]),
        ([(1_000, "play"), (1_061, "tick")], [("sessionEnd", 1_000), ("sessionStart", 1_061)]),
        ([(1_000, "play"), (1_061, "error")], [("sessionEnd", 1_000)]),  # that begins nothing
        ([(1_000, "play"), (1_001, "done"), (1_062, "pause")], [("sessionEnd", 1_001)]),  # completed, and begun by `play` only
        ([(1_000, "play"), (1_001, "done"), (1_062, "play")], [("sessionEnd", 1_001), ("sessionStart", 1_062), ("play", 1_062)]),
        ([(1_000, "play"), (1_001, "end"), (1_062, "pause")], []),
        ([(1_000, "play"), (1_001, "end"), (1_062, "play")], [("sessionStart", 1_062), ("play", 1_062)]),
    ],
)
def test_silence_by_the_moment(words: list[tuple[float, str]], expected: list[tuple[str, int]]) -> None:
    """More than so many seconds of event time: what was open ends, and goes on as another session if the fact begins one."""
    assert heard(*words, rules=SILENCE) == expected


def carrying(kind: str, event_type: EventType, *, start: Details | None = START, params: bytes = b"") -> Fact:
    """A fact that brings along all that one can."""
    event = PlayerEvent(event_type, 1.0, 1_000, params, b'{"media.qoe.bitrate":1}', b'{"a":"b"}', start=start, record=Record(7))
    return Fact(kind, event)


def carried(events: list[PlayerEvent]) -> list[tuple[str, bytes, bytes, bytes, bool]]:
    """Kind, params, quality and metadata, and whether it brings a start along."""
    assert all(event.record == Record(7) for event in events)
    return [(str(event.event_type), event.params, event.qoe_data, event.custom_metadata, event.start is not None) for event in events]


def test_a_derived_event_carries_what_belongs_to_it() -> None:
    """The start says what a start says, the fact's quality goes with what the fact itself says, and the rest goes bare."""
    quality, start = b'{"media.qoe.bitrate":1}', Details(START.params, b'{"c":"d"}')
    state, events = derive(Derived(), (carrying("play", EventType.PLAY, start=start),), StateRules())
    assert carried(events) == [("sessionStart", START.params, b"", b'{"c":"d"}', False), ("play", b"", quality, b"", True)]
    state, events = derive(state, (carrying("adBreakStart", EventType.AD_BREAK_START, params=b"{}"),), StateRules())
    assert carried(events) == [("adBreakStart", b"{}", quality, b'{"a":"b"}', True)]
    state, events = derive(state, (carrying("adStart", EventType.AD_START, params=b"{}"),), StateRules())
    assert carried(events) == [("adStart", b"{}", quality, b'{"a":"b"}', True), ("play", b"", b"", b"", True)]
    state, events = derive(state, (carrying("ping", EventType.PING, start=None),), StateRules())
    assert carried(events) == [("ping", b"", quality, b"", False)]
    state, events = derive(Derived(), (carrying("sessionStart", EventType.SESSION_START, start=None, params=START.params),), StateRules())
    assert carried(events) == [("sessionStart", START.params, quality, b'{"a":"b"}', False)]


def test_a_ping_brings_the_quality_along() -> None:
    """It is how the API hears of it where nothing changes."""
    state, _ = derive(Derived(), (carrying("play", EventType.PLAY),), StateRules())
    later = msgspec.structs.replace(carrying("tick", EventType.PING).event, ts=11_000)
    _, events = derive(state, (Fact("tick", later),), StateRules())
    assert carried(events) == [("ping", b"", b'{"media.qoe.bitrate":1}', b"", True)]


@pytest.mark.parametrize(
    ("phase", "word", "expected"),
    [
        (0, "pause", ["sessionStart", "pauseStart"]),
        (1, "pause", ["pauseStart"]),
        (2, "pause", []),
        (2, "end", ["sessionEnd"]),
        (3, "pause", []),
        (3, "end", []),
        (3, "play", ["sessionStart", "play"]),
    ],
)
def test_what_a_memoir_says_of_a_session_is_understood_after_an_update(phase: int, word: str, expected: list[str]) -> None:
    """New, open, completed, ended: 0 to 3, for memoirs lie in Kafka."""
    _, events = derive(Derived(phase=phase, media="film"), (fact(word, 0),), StateRules())
    assert [str(event.event_type) for event in events] == expected


def test_a_memoir_says_it_in_the_same_figures() -> None:
    """As it is read."""
    state, phases = Derived(), [0]
    for second, word in enumerate(("play", "done", "end")):
        state, _ = derive(state, (fact(word, second),), StateRules())
        phases.append(state.phase)
    assert phases == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("first", "then", "ends"),
    [
        (START, OTHER, True),
        (START, START, False),
        (START, None, False),  # says nothing of media
        (START, Details(params=b"{}"), False),
        (START, Details(params=b'{"media.id":7}'), False),
        (Details(params=b"{}"), START, False),  # nobody knows what it was about
    ],
)
def test_only_media_that_are_known_to_be_others_end_a_session(first: Details, then: Details | None, *, ends: bool) -> None:
    """Both have to say what they are about."""
    rules = StateRules(ends_on_new_media=True)
    for word in ("tick", "chapter:1"):
        state, _ = derive(Derived(), (fact("play", 0, start=first),), rules)
        _, events = derive(state, (fact(word, 1, start=then),), rules)
        assert ("sessionEnd" in [str(event.event_type) for event in events]) is ends


def test_a_start_of_other_media_ends_what_was_completed() -> None:
    """Once."""
    for rules in (StateRules(), StateRules(ends_on_new_media=True)):
        state, _ = derive(Derived(), (fact("play", 0), fact("done", 1)), rules)
        _, events = derive(state, (fact("start", 2, start=OTHER),), rules)
        assert [str(event.event_type) for event in events] == ["sessionEnd", "sessionStart"]


def test_other_media_may_end_a_session() -> None:
    """Where the mapping wants it; a sessionStart of other media always does."""
    for ends, expected in ((True, ["sessionEnd", "sessionStart", "ping"]), (False, ["ping"])):
        state, _ = derive(Derived(), (fact("play", 0),), StateRules())
        state, events = derive(state, (fact("ping", 1, start=OTHER),), StateRules(ends_on_new_media=ends))
        assert [str(event.event_type) for event in events] == expected
    state, _ = derive(Derived(), (fact("play", 0),), StateRules())
    _, events = derive(state, (fact("start", 1, start=OTHER),), StateRules())
    assert [str(event.event_type) for event in events] == ["sessionEnd", "sessionStart"]


def test_without_a_start_nothing_is_derived() -> None:
    """Whether the session may be opened is for others to decide; the fact goes on as it is."""
    state, events = derive(Derived(), (fact("play", 0, start=None), fact("tick", 1, start=None)), StateRules())
    assert state == Derived()
    assert [str(event.event_type) for event in events] == ["play"]


def test_what_changes_nothing_is_the_same_object() -> None:
    """So that it costs no memoir."""
    state, _ = derive(Derived(), (fact("play", 0),), StateRules())
    for word in ("tick", "play"):
        assert derive(state, (fact(word, 1),), StateRules()).after is state


# --- in the router ------------------------------------------------------------------------------------------------------------------------

PLAYBACK = ["play", "pause", "buffer", "buffered", "seek", "sought", "tick", "tick", "tick"]
WORDS = [*PLAYBACK, "break:1", "ad:1", "adComplete", "adBreakComplete", "chapter:1", "on:mute", "off:mute", "done", "end"]


def arrive(driver: Driver, offset: int, *words: str, second: float | None = None) -> None:
    """A record with these facts."""
    record = Record(offset, key=b"a", value=b"x" * 10, appended_at=driver.now)
    facts = tuple(fact(word, offset if second is None else second, record=record) for word in words)
    driver.handle(ArrivedAsFacts(driver.assignment, SessionKey("a"), Facts(facts, StateRules())))


def test_facts_wait_in_the_lane_like_events(driver: Driver) -> None:
    """A record is finished with the last event that was derived from it; one that says nothing new at once, and both in order."""
    arrive(driver, 0, "play", "chapter:1")
    arrive(driver, 1, "tick")
    arrive(driver, 2, "pause")
    assert driver.dropped == [(1, "unchanged")]
    driver.accept(2)
    assert driver.assignment.ledger.safe == 0
    driver.accept_all()
    assert driver.sent() == ["open", "play", "chapterStart", "pauseStart"]
    assert driver.assignment.ledger.safe == 3


def test_what_is_remembered_without_a_word_keeps_its_place(driver: Driver) -> None:
    """A pause while buffering sends nothing, and yet must not be forgotten, nor known before what stands ahead of it has left."""
    arrive(driver, 0, "play", "buffer")
    arrive(driver, 1, "pause")
    assert driver.assignment.ledger.safe == 0
    driver.accept(2)
    assert driver.lane().derived is None or driver.lane().derived.base == "", "what is under way is not done with"  # type: ignore[union-attr]
    driver.accept_all()
    assert driver.assignment.ledger.safe == 2
    driver.restart(from_offset=2)
    since = len(driver.calls)
    arrive(driver, 2, "buffered")
    driver.accept_all()
    assert driver.sent(since=since) == ["pauseStart"]


def test_what_follows_a_silent_record_goes_on(driver: Driver) -> None:
    """Nothing is sent for the one that is only remembered; its memoir is due, and what waits behind it has its turn."""
    arrive(driver, 0, "play", "buffer")
    arrive(driver, 1, "pause")
    arrive(driver, 2, "buffered")
    driver.accept(2)
    call = driver.flying.pop()
    driver.carry_out(driver.router.handle(Answered(call.lane, Accepted()), driver.now))
    driver.assignment.changed.clear()  # a receipt was written before the next turn
    driver.turn()
    assert driver.dropped == [(1, "unchanged")]
    assert driver.lane() in driver.assignment.changed
    assert driver.sent() == ["open", "play", "bufferStart", "pauseStart"]
    driver.accept()
    assert driver.assignment.ledger.safe == 3


def test_a_derived_event_that_finds_its_session_gone_goes_again(driver: Driver) -> None:
    """What was derived stays derived."""
    arrive(driver, 0, "play", "chapter:1")
    driver.accept_all()
    arrive(driver, 1, "pause")
    driver.answer(Lost(410))
    driver.accept_all()
    assert driver.sent() == ["open", "play", "chapterStart", "pauseStart", "open again", "chapterStart", "pauseStart"]


@pytest.mark.parametrize("seed", range(60))
def test_a_restart_goes_on_as_if_nothing_had_happened(driver: Driver, seed: int) -> None:
    """With any facts, and restarts anywhere, between parts too, the API hears what it would have heard without."""
    draw = random.Random(seed)  # noqa: S311  # a test, no secret
    records = [tuple(draw.choice(WORDS) for _ in range(draw.choice((1, 1, 2, 3)))) for _ in range(25)]
    expected = [str(event.event_type) for event in _derive_all(records)]
    heard: list[str] = []
    offset = 0
    while offset < len(records):
        count = draw.choice((1, 2, 3))
        for place in range(offset, min(offset + count, len(records))):
            arrive(driver, place, *records[place])
        for _ in range(draw.randrange(12)):
            if driver.flying:
                heard.append(_name(driver))
                driver.accept()
        if draw.random() < 0.5:
            safe = driver.assignment.ledger.safe
            assert safe is not None
            if not driver.assignment.lanes or write(driver.lane()) is None:
                while driver.flying:
                    heard.append(_name(driver))
                    driver.accept()
                safe = driver.assignment.ledger.safe or 0
            offset = safe
            driver.restart(from_offset=offset)
        else:
            while driver.flying:
                heard.append(_name(driver))
                driver.accept()
            offset += count
    while driver.flying:
        heard.append(_name(driver))
        driver.accept()
    assert heard == expected


def _name(driver: Driver) -> str:
    call = driver.flying[0]
    return str(call.event.event_type) if hasattr(call, "event") else "sessionStart"


def _derive_all(records: list[tuple[str, ...]]) -> list[PlayerEvent]:
    state, events = Derived(), list[PlayerEvent]()
    for offset, words in enumerate(records):
        state, derived = derive(state, tuple(fact(word, offset) for word in words), StateRules())
        events += derived
    return events


def test_the_memoir_of_an_older_relay_has_nothing_derived() -> None:
    """And is read all the same."""
    assert read(b'{"v":1,"at":5,"done":5,"standing":"ended"}').derived is None
