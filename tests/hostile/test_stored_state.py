"""What stands in Kafka of the relay's own may have been written by anybody: whatever it says, it is lived with or passed over.

Memoirs of the state topic, receipts beside commits, marks of a replay on records, dead letters: damaged, foreign, of a future version, with
numbers that no computer has and texts that are bombs. Nothing of it stops a relay or a command.
"""

import json
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hostile.tampering import places, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.api.collection import MediaCollection
from relay.api.edge import MediaEdge
from relay.core import memoir
from relay.core.assignment import Assignment
from relay.core.backoff import Backoff
from relay.core.commands import OpenSession, SendEvent, SetAside
from relay.core.events import ApiSessionId, EventType, Fact, Facts, PlayerEvent, Record, SessionKey, StateRules
from relay.core.inputs import Accepted, Answered, Arrived, ArrivedAsFacts, Assigned, Lost, Opened, StoredAside, Unreadable
from relay.core.ledger import Ledger
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.reasons import Reason
from relay.core.replays import END_HEADER, ORIGIN_HEADER, ROUND_HEADER, START_HEADER
from relay.core.router import Router
from relay.core.silence import KeepAlive
from relay.core.starts import Starts
from relay.letters import shapes, stored

MANY: Final = settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
WHOLE: Final[dict[str, Any]] = {
    "v": 1,
    "at": 5,
    "done": 5,
    "standing": "open",
    "id": "abc",
    "route": "va6",
    "start": {"p": {"media.id": "x"}, "m": {"a": "b"}},
    "chapter": {"p": {"media.chapter.index": 1}},
    "brk": {"p": {}},
    "ad": {"p": {"media.ad.id": "a"}},
    "states": {"mute": {"p": {"media.state.name": "mute"}}},
    "playing": "play",
    "playhead": 12.5,
    "ts": 1_700_000_000_000,
    "asides": [[4, "rejected"], [6, "rejected"]],
    "untold": True,
    "told": 1,
    "derived": {"p": 1, "b": "play", "d": "play", "t": 1, "n": 2, "e": 1.5, "a": 7, "s": ["mute"], "m": "x"},
    "opened": 1_700_000_000.0,
    "silent": [1_700_000_000.0, 1_700_000_000_000, 12.5],
    "suspended": False,
    "split": [6, 1, 1],
}
BOMBS: Final = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"v":1,"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b"\xff\xfe\x00",
    b"9" * 5_000,
    b'"\\ud800"',
)
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(
        [10**30, -(10**400), 2**63, -1, 1.7e308, "../x", "a\r\nX-Evil: 1", "play", "sessionEnd", "open", "lost", [], {}, [[]], "x" * 129]
    ),
)


class Bench:
    """A router with one partition, an API that forgets each session once, and dialects that write what goes out."""

    def __init__(self) -> None:
        """Begin at offset 6."""
        rules = Rules(backoff=Backoff(0.5, 2.0, 15.0), keep_alive=KeepAlive(1.0, 60.0, 86_340.0, 0.7))
        self.router = Router(limits=Limits(), rules=rules, starts=Starts(required=frozenset()))
        self.assignment = Assignment("events", 0, ledger=Ledger(), starts_at=6)
        self.dialects = (MediaCollection(), MediaEdge("stream"))
        self.sent: list[str] = []
        self.now = 100.0
        self._forgets = True
        self.carry_out(self.router.handle(Assigned(self.assignment), self.now))

    def carry_out(self, commands: Any) -> None:
        """Do what is asked for, at once."""
        for command in commands:
            if isinstance(command, OpenSession | SendEvent):
                self.call(command)
            elif isinstance(command, SetAside):
                self.carry_out(self.router.handle(StoredAside(command.assignment, command.record.offset, command.key), self.now))

    def call(self, command: OpenSession | SendEvent) -> None:
        """Write the request in both dialects, and answer it."""
        for dialect in self.dialects:
            written = dialect.opening(command) if isinstance(command, OpenSession) else dialect.sending(command)
            assert written.target.isascii()
            assert not set(b"\r\n ") & set(written.target)
            assert b".." not in written.target
            json.loads(written.body)
        verdict: Any = Opened(ApiSessionId("new")) if isinstance(command, OpenSession) else Accepted()
        if isinstance(command, SendEvent):
            self.sent.append(str(command.event.event_type))
            if self._forgets:
                self._forgets, verdict = False, Lost(404)
        self.carry_out(self.router.handle(Answered(command.lane, verdict, 0.01), self.now))

    def go_on(self) -> None:
        """Turns, for a while."""
        for _ in range(40):
            self.now += 1.5
            self.carry_out(self.router.turns(self.now))
            self.assignment.is_read_up = True
            self.router.look_for_silence(self.now)
            for lane in list(self.router.lanes()):
                memoir.write(lane, 1_700_000_000.0)


@MANY
@given(data=st.data())
def test_whatever_a_memoir_says_its_session_goes_on(data: st.DataObject) -> None:
    """Told again what it says is open, kept alive from where it says that it stood, derived on from what it remembers: nothing stops."""
    said = WHOLE
    for _ in range(data.draw(st.integers(1, 3))):
        said = replaced(said, data.draw(st.sampled_from(places(said))), data.draw(odd_values))
    try:
        read = memoir.read(json.dumps(said).encode())
    except memoir.NoMemoir:
        return
    bench = Bench()
    key = SessionKey("player")
    bench.router.restore(bench.assignment, key, read, bench.now, 1_700_000_000.0)
    record = Record(6, b"player", b"{}", timestamp_ms=1, appended_at=bench.now)
    facts = tuple(
        Fact(str(kind), PlayerEvent(kind, 1.0, 1_700_000_100_000, record=record))
        for kind in (EventType.PING, EventType.PAUSE_START, EventType.AD_COMPLETE)
    )
    bench.carry_out(bench.router.handle(ArrivedAsFacts(bench.assignment, key, Facts(facts, StateRules())), bench.now))
    later = Record(7, b"player", b"{}", timestamp_ms=1, appended_at=bench.now)
    event = PlayerEvent(EventType.PING, 2.0, 1_700_000_101_000, record=later)
    bench.carry_out(bench.router.handle(Arrived(bench.assignment, key, event), bench.now))
    bench.go_on()
    assert bench.assignment.ledger.safe == 8 or bench.router.unfinished_count == 0


@pytest.mark.parametrize("value", BOMBS, ids=lambda value: str(value[:12]))
def test_no_memoir_is_a_bomb(value: bytes) -> None:
    """What cannot be read is no memoir, and no other exception."""
    with pytest.raises(memoir.NoMemoir):
        memoir.read(value)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda value: str(value[:12]))
@pytest.mark.parametrize("header", [END_HEADER, START_HEADER, ROUND_HEADER, ORIGIN_HEADER])
def test_no_mark_of_a_replay_is_a_bomb(header: str, bomb: bytes) -> None:
    """Whoever may write to the topic may write such headers as well: a mark that is not understood is none."""
    bench = Bench()
    inner = b'{"session":"player","playhead":1,"ts":1,"params":{},"resume":true,"x":' + bomb + b"}"
    for offset, text in enumerate((bomb, inner), start=6):
        headers = ((header, text), (ROUND_HEADER, b"1")) if header != ROUND_HEADER else ((header, text),)
        empty = Record(2 * offset, b"player", None, timestamp_ms=1, appended_at=bench.now, headers=headers)
        bench.carry_out(bench.router.handle(Unreadable(bench.assignment, empty, Reason.EMPTY_VALUE, "", SessionKey("player")), bench.now))
        record = Record(2 * offset + 1, b"player", b"{}", timestamp_ms=1, appended_at=bench.now, headers=headers)
        event = PlayerEvent(EventType.PING, 2.0, 1_700_000_101_000, record=record)
        bench.carry_out(bench.router.handle(Arrived(bench.assignment, SessionKey("player"), event), bench.now))
    bench.go_on()
    assert bench.router.unfinished_count == 0


@pytest.mark.parametrize(
    "end",
    [
        b'{"session":"","playhead":1,"ts":1}',
        b'{"session":"%s","playhead":1,"ts":1}' % (b"x" * 1_025),
        b'{"session":"player","playhead":1,"ts":%s}' % (b"9" * 30),
        b'{"session":"player","playhead":%s,"ts":1}' % (b"9" * 400),
        b'{"session":"player","playhead":1e308,"ts":-9223372036854775808}',
        b'{"session":"../../x\\r\\nX-Evil: 1","playhead":-1,"ts":1}',
    ],
    ids=lambda end: str(end[:40]),
)
def test_the_end_of_a_replay_by_somebody_else(end: bytes) -> None:
    """It ends a session of its partition, or is set aside as the empty record that it is."""
    bench = Bench()
    start = PlayerEvent(EventType.SESSION_START, 1.0, 1, record=Record(6, b"player", b"{}", timestamp_ms=1, appended_at=bench.now))
    bench.carry_out(bench.router.handle(Arrived(bench.assignment, SessionKey("player"), start), bench.now))
    bench.go_on()
    record = Record(7, b"player", None, timestamp_ms=1, appended_at=bench.now, headers=((END_HEADER, end),))
    bench.carry_out(bench.router.handle(Unreadable(bench.assignment, record, Reason.EMPTY_VALUE, "", SessionKey("player")), bench.now))
    bench.go_on()
    assert bench.router.unfinished_count == 0


# --- dead letters ----------------------------------------------------------------------------------------------------------------------


def message(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> Any:
    """A message of the dead-letter topic."""
    return SimpleNamespace(
        value=lambda: value,
        key=lambda: b"player",
        headers=lambda: headers,
        partition=lambda: 0,
        offset=lambda: 5,
        timestamp=lambda: (1, 1_700_000_000_000),
        topic=lambda: "relay.dead-letters",
    )


NUMBERS: Final = ("partition", "offset", "timestamp", "attempts", "status", "first_tried_at", "set_aside_at")
odd_texts = st.one_of(
    st.binary(max_size=20), st.sampled_from([b"9" * 5_000, b"9" * 19, b"-1", "\u00b2".encode(), "\u0663".encode(), b"1e9", *BOMBS])
)


@MANY
@given(
    numbers=st.dictionaries(st.sampled_from(NUMBERS), odd_texts | st.none()),
    texts=st.dictionaries(
        st.sampled_from(["topic", "session", "detail", "version", "left_out", "replayed", "reason"]), odd_texts | st.none()
    ),
    marks=st.dictionaries(st.sampled_from([ROUND_HEADER, ORIGIN_HEADER, START_HEADER]), odd_texts),
    value=st.none() | odd_texts,
)
def test_any_message_is_a_letter_a_note_or_neither(numbers: Any, texts: Any, marks: Any, value: bytes | None) -> None:
    """What is read of it can be listed, shown and exported, and its numbers are such as Kafka has."""
    headers = [*marks.items(), ("relay.reason", b"rejected"), *((f"relay.{name}", text) for name, text in (numbers | texts).items())]
    letter = stored.read(message(value, headers))
    if not isinstance(letter, stored.StoredLetter):
        return
    assert 0 <= letter.partition < 2**31
    assert all(0 <= number < 2**63 for number in (letter.record.offset, letter.origin, letter.round, letter.timestamp, letter.set_aside_at))
    for is_unmasked in (False, True):
        json.dumps(shapes.shown(letter, is_replayed=False, hashed=str, is_unmasked=is_unmasked))
    json.dumps(shapes.exported(letter))


@pytest.mark.parametrize("depth", [10, 100, 400, 700, 980, 100_000])
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"mk3key":', b"}")])
def test_a_letter_of_any_depth_is_shown(depth: int, pair: tuple[bytes, bytes]) -> None:
    """Deep values are what ends in the dead letters; masked, nothing of them is seen but names."""
    value = pair[0] * depth + b'"mk4param"' + pair[1] * depth
    letter = stored.read(message(value, [("relay.reason", b"invalid_event")]))
    assert isinstance(letter, stored.StoredLetter)
    assert "mk4param" in json.dumps(shapes.shown(letter, is_replayed=False, hashed=str, is_unmasked=True))
    assert "mk4param" not in json.dumps(shapes.shown(letter, is_replayed=False, hashed=str, is_unmasked=False))
    json.dumps(shapes.exported(letter))
