"""`relay tap`: what is shown of a topic, to whom, and that nobody notices."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from relay.api.edge_words import VOCABULARY
from relay.cli import main
from relay.cli import tap as tap_command
from relay.core.events import EventType, Nothing, PlayerEvent, Record, Said, SessionKey
from relay.input.decoding import Awaited, Unreadable
from relay.input.native import NativeInput
from relay.kafka.tap import Tap
from relay.observe.logs import hashed
from relay.sandbox.broker import embedded_broker
from relay.tap.following import follow
from relay.tap.lines import Filter, Line, Lines

Capture = pytest.CaptureFixture[str]
TOPIC = "player-events"
START = {
    "eventType": "sessionStart",
    "playerTime": {"playhead": 0, "ts": 1_700_000_000_000},
    "params": {"media.id": "geheim", "media.length": 3600, "media.resume": True, "geheim": "geheim", "visitor.customerIDs": {"geheim": {}}},
    "customMetadata": {"geheim": "geheim", "more": "geheim"},
}
PING = {"eventType": "ping", "playerTime": {"playhead": 12.5, "ts": 1_700_000_012_500}}


def record(value: object, *, key: str = "geheim-1", offset: int = 7) -> Record:
    """A record as it comes."""
    return Record(offset, key.encode(), value if isinstance(value, bytes) else json.dumps(value).encode(), timestamp_ms=1_700_000_001_234)


def lines_of(*records: Record, wanted: Filter | None = None, is_masked: bool = True) -> list[Line]:
    """What is shown of records."""
    lines = Lines(NativeInput(), words=VOCABULARY, wanted=wanted or Filter(), is_masked=is_masked)
    return [line for one in records for line in lines.of(TOPIC, 3, one)]


def test_values_are_masked() -> None:
    """Names of the APIs, kinds, playhead and times are shown, and nothing that a player or a title is called."""
    (line,) = lines_of(record(START))
    shown = json.loads(msgspec.json.encode(line))
    assert shown == {
        "time": "2023-11-14T22:13:21.234Z",
        "topic": TOPIC,
        "partition": 3,
        "offset": 7,
        "session": hashed("geheim-1"),
        "event": "sessionStart",
        "playhead": 0,
        "ts": 1_700_000_000_000,
        "params": {
            "media.id": "text(6)",
            "media.length": "number",
            "media.resume": "flag",
            "visitor.customerIDs": "object(1)",
            "*": "1 more",
        },
        "customMetadata": {"*": "2 more"},
    }
    (line,) = lines_of(record(PING | {"start": {"params": {"media.id": "geheim"}, "customMetadata": {"geheim": "1"}}}))
    assert line.start == {"params": {"media.id": "text(6)"}, "customMetadata": {"*": "1 more"}}


def test_unmasked_shows_everything() -> None:
    """As it came in."""
    (line,) = lines_of(record(START), is_masked=False)
    assert (line.session, line.params, line.custom_metadata) == ("geheim-1", START["params"], START["customMetadata"])


def test_what_nobody_can_read_is_told_with_the_reason() -> None:
    """Masked by path and kind; the detail quotes what came in, so it is for those who may see it."""
    bad = [record(b'{"geheim'), record(PING | {"params": {"geheim": []}}), Record(9, b"\xff", b"{}"), Record(10, b"k", None)]
    assert [(line.reason, line.path, line.problem) for line in lines_of(*bad)] == [
        ("not_json", "", "not_json"),
        ("invalid_event", "$.params[*]", "wrong_type"),
        ("invalid_key", "", "other"),
        ("empty_value", "", "empty"),
    ]
    assert "geheim" not in str(lines_of(*bad))
    assert "geheim" in lines_of(bad[1], is_masked=False)[0].detail


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Filter(), [1, 2, 3, 4]),
        (Filter(session="geheim-1"), [1, 2, 4]),
        (Filter(session=hashed("geheim-2")), [3]),
        (Filter(session="geheim"), []),
        (Filter(types={"ping"}), [2, 3]),
        (Filter(session="geheim-1", types={"ping", "play"}), [2]),
        (Filter(unreadable_only=True), [4]),
        (Filter(session="geheim-2", unreadable_only=True), []),
    ],
    ids=repr,
)
def test_a_filter_chooses(wanted: Filter, offsets: list[int]) -> None:
    """By session (its key or its name in the log), by type, or what cannot be read."""
    records = [record(START, offset=1), record(PING, offset=2), record(PING, key="geheim-2", offset=3), record(b"{", offset=4)]
    assert [line.offset for line in lines_of(*records, wanted=wanted)] == offsets


class Reader:
    """Reads as a mapping may: several events from a record, or none; and a schema may have to be fetched."""

    def __init__(self, *answers: Said | Exception) -> None:
        """Answer so, one after the other; the last for ever."""
        self.answers = list(answers)

    def read(self, _: Record) -> tuple[SessionKey, Said]:
        """Answer."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SessionKey("k"), answer


class Once:
    """A tap with one batch."""

    def __init__(self, *records: Record) -> None:
        """Hold these."""
        self.batches: list[Sequence[Record]] = [records]

    def read(self) -> list[tuple[str, int, Record]]:
        """The batch, then nothing more."""
        return [(TOPIC, 0, one) for one in (self.batches.pop() if self.batches else ())]


def followed(reader: Reader, *, count: int) -> list[Line]:
    """Follow until so many lines were shown."""
    shown: list[Line] = []
    lines = Lines(reader, words=VOCABULARY, wanted=Filter(), is_masked=True)
    asyncio.run(follow(Once(record(PING)), lines, shown.append, count_max=count, seconds_max=None))
    return shown


def test_a_record_may_say_several_things_or_nothing() -> None:
    """A line for each; what a rule leaves out is told by its word."""
    events = tuple(PlayerEvent(kind, 1, 2) for kind in (EventType.PLAY, EventType.PING))
    assert [line.event for line in followed(Reader(events), count=2)] == ["play", "ping"]
    (line,) = followed(Reader(Nothing("heartbeat")), count=1)
    assert (line.is_left_out, line.reason) == (True, "heartbeat")


def test_a_record_that_must_wait_for_its_schema_is_read_again() -> None:
    """It keeps its place."""
    (line,) = followed(Reader(Awaited(), Awaited(), PlayerEvent(EventType.PLAY, 1, 2)), count=1)
    assert line.event == "play"


def test_unreadable_is_what_the_input_says() -> None:
    """The reasons are those of the dead letters."""
    from relay.core.reasons import Reason  # noqa: PLC0415  # only here

    (line,) = followed(Reader(Unreadable(Reason.NOT_JSON, "x")), count=1)
    assert line.reason == "not_json"


# --- on a broker ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker with the players' topic and some records in it."""
    with embedded_broker([TOPIC, "other"], partitions=2) as address:
        monkeypatch.setenv("RELAY_KAFKA__BOOTSTRAP_SERVERS", address)
        monkeypatch.setenv("RELAY_API__URL", "https://api.example")
        producer = Producer({"bootstrap.servers": address, "logger": logging.getLogger("tests.silent")})
        for number in range(3):
            producer.produce(TOPIC, key=b"geheim-1", value=json.dumps(PING).encode(), partition=number % 2)
        producer.produce(TOPIC, key=b"geheim-2", value=b"{", partition=1)
        assert producer.flush(10) == 0
        yield address


@pytest.mark.usefixtures("bootstrap")
def test_a_topic_is_followed_from_its_beginning(capsys: Capture) -> None:
    """JSON lines on standard output, masked."""
    assert main(["tap", "--since", "beginning", "--count", "4", "--json"]) == 0
    printed = capsys.readouterr()
    shown = [json.loads(line) for line in printed.out.splitlines()]
    assert sorted((line["partition"], line["offset"]) for line in shown) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert printed.err == "following 2 partitions; Ctrl-C ends it\n"
    assert "geheim" not in printed.out


@pytest.mark.usefixtures("bootstrap")
def test_lines_for_people(capsys: Capture) -> None:
    """Where, who, what; nothing of it breaks a line or moves the cursor."""
    assert main(["tap", "--since", "beginning", "--count", "1", "--type", "ping", "--partition", "1", "--unmasked"]) == 0
    line = capsys.readouterr().out
    assert f"{TOPIC}/1@0  geheim-1  ping 12.5 s\n" in line
    assert main(["tap", "--since", "beginning", "--count", "1", "--unreadable"]) == 0
    assert f"{hashed('geheim-2')}  unreadable: not_json  not_json\n" in capsys.readouterr().out


def test_it_begins_at_the_end(bootstrap: str) -> None:
    """What was there before is not shown, what comes later is."""
    tap = Tap(bootstrap_servers=bootstrap, client={})
    try:
        assert tap.open([TOPIC]) == 2
        assert tap.read() == []
        producer = Producer({"bootstrap.servers": bootstrap, "logger": logging.getLogger("tests.silent")})
        producer.produce(TOPIC, key=b"k", value=b"new", partition=0)
        assert producer.flush(10) == 0
        found: list[tuple[str, int, Record]] = []
        for _ in range(100):
            found += tap.read()
            if found:
                break
        assert [one.value for _, _, one in found] == [b"new"]
    finally:
        tap.close()


@pytest.mark.usefixtures("bootstrap")
def test_it_ends_in_time(capsys: Capture) -> None:
    """Though nothing comes."""
    assert main(["tap", "--topic", "other", "--seconds", "0.1"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("bootstrap")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--since", "soon"], 2, "is no time"),
        (["--count", "0"], 2, "is no count"),
        (["--type", "pong"], 2, "there is no type 'pong'"),
        (["--topic", "none"], 3, "there is no topic none"),
        (["--topic", "^none.*"], 3, "there is no topic ^none"),
        (["--partition", "9"], 3, "with a partition 9"),
    ],
)
def test_what_cannot_be_followed_is_said(arguments: list[str], code: int, words: str, capsys: Capture) -> None:
    """In one line, with the exit code of its kind."""
    assert main(["tap", *arguments]) == code
    assert words in capsys.readouterr().err


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """4, with what to check."""
    monkeypatch.setenv("RELAY_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("RELAY_API__URL", "https://api.example")
    monkeypatch.setattr("relay.kafka.tap.ANSWER_SECONDS", 0.3)
    assert main(["tap"]) == 4
    assert "RELAY_KAFKA__BOOTSTRAP_SERVERS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "ms"),
    [("beginning", 0), ("2026-11-21T14:00:00Z", 1_795_269_600_000), ("2026-11-21T15:00:00+01:00", 1_795_269_600_000), ("1969-01-01", 1)],
)
def test_a_moment_is_read(text: str, ms: int) -> None:
    """In any zone; without one it is UTC."""
    assert tap_command._since(text) == ms


def test_a_while_ago_is_read() -> None:
    """In seconds, minutes, hours or days."""
    now = time.time() * 1000
    for text, seconds in (("90s", 90), ("10m", 600), ("2h", 7_200), ("1d", 86_400)):
        assert abs(now - seconds * 1000 - tap_command._since(text)) < 60_000


@pytest.mark.kafka
def test_on_a_real_kafka_it_begins_at_a_moment_and_leaves_no_trace(real_kafka: str) -> None:
    """Partitions without a record since then begin at their end; no group comes of it."""
    quiet = {"bootstrap.servers": real_kafka, "logger": logging.getLogger("tests.silent")}
    ordered = {**quiet, "max.in.flight.requests.per.connection": 1}
    admin, producer, topic = AdminClient(quiet), Producer(ordered), f"tap-{time.time_ns()}"
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)
    for number in range(10):
        producer.produce(topic, key=b"k", value=b"%d" % number, partition=0, timestamp=1_700_000_000_000 + number)
    producer.produce(topic, key=b"k", value=b"old", partition=1, timestamp=1_600_000_000_000)
    assert producer.flush(20) == 0
    tap = Tap(bootstrap_servers=real_kafka, client={})
    try:
        assert tap.open([topic], since_ms=1_700_000_000_004) == 2
        found: list[bytes | None] = []
        end = time.monotonic() + 20
        while len(found) < 6 and time.monotonic() < end:
            found += [one.value for _, _, one in tap.read()]
        assert found == [b"%d" % number for number in range(4, 10)]
        assert tap.read() == []
    finally:
        tap.close()
    assert "relay-tap" not in {group.group_id for group in admin.list_consumer_groups(request_timeout=5).result().valid}
