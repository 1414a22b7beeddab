"""Dead letters, on either Kafka: what is written, when it is confirmed, and what happens when it cannot be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.kafka import dead_letters
from relay.kafka.dead_letters import DeadLetter, DeadLetters
from relay.kafka.letter import VALUE_BYTES_MAX, write

FULL = DeadLetter(
    topic="player-events",
    partition=3,
    record=Record(
        offset=41,
        key=b"\xffsession",
        value=b"\x00\xff{",
        headers=(("trace", b"\x01"), ("none", None), ("trace", b"")),
        timestamp_ms=1_700_000_000_123,
    ),
    reason=Reason.REJECTED,
    detail="the API's words:\r\n\x1b[31mnö\x00 " + "x" * 2000,
    session="häns\ud800",
    attempts=3,
    status=400,
    first_tried_at=1_700_000_001_000,
    set_aside_at=1_700_000_002_000,
)


def letter(number: int, key: bytes | None = b"session", *, size: int = 10) -> DeadLetter:
    """A plain letter whose value begins with its number."""
    return DeadLetter("player-events", 0, Record(offset=number, key=key, value=b"%08d" % number + b"x" * (size - 8)), Reason.NOT_JSON)


@asynccontextmanager
async def writing(kafka: Any, topic: str) -> AsyncIterator[DeadLetters]:
    """Dead letters that are closed at the end."""
    letters = DeadLetters(bootstrap_servers=kafka.bootstrap, topic=topic, version="1.2.3", loop=asyncio.get_running_loop())
    try:
        yield letters
    finally:
        letters.close()


async def until(fact: Callable[[], bool], name: str, seconds: float = 20) -> None:
    """Wait for a named fact."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not fact():
        assert loop.time() < deadline, f"not within {seconds} s: {name}"
        await asyncio.sleep(0.01)


def test_a_letter_says_where_it_came_from_and_why(kafka: Any, run: Any) -> None:
    """Key, value and headers are the record's own; the pinned headers follow; it is reported once, after it is stored."""
    topic = kafka.new_topic(max_message_bytes="12582912") if kafka.is_real else kafka.new_topic()
    stored: list[str] = []

    async def scenario() -> None:
        async with writing(kafka, topic) as letters:
            letters.put(FULL, lambda: stored.append("stored"))
            assert (stored, letters.pending_count) == ([], 1)
            assert letters.pending_bytes > len(b"\xffsession\x00\xff{")
            assert await letters.flush(20)
            assert (stored, letters.pending_count, letters.pending_bytes, letters.is_failing, letters.failure) == (
                ["stored"],
                0,
                0,
                False,
                "",
            )

    run(scenario())
    [message] = kafka.read(topic, 1)
    assert (message.key(), message.value()) == (b"\xffsession", b"\x00\xff{")
    headers = message.headers()
    assert headers[:3] == [("trace", b"\x01"), ("none", None), ("trace", b"")]
    own = dict(headers[3:])
    assert len(own) == len(headers) - 3
    detail = own.pop("relay.detail").decode()
    assert detail.startswith("the API's words: [31mnö  xxx")
    assert len(detail) == 1000
    assert own == {
        "relay.reason": b"rejected",
        "relay.topic": b"player-events",
        "relay.partition": b"3",
        "relay.offset": b"41",
        "relay.timestamp": b"1700000000123",
        "relay.session": "häns?".encode(),
        "relay.attempts": b"3",
        "relay.status": b"400",
        "relay.first_tried_at": b"1700000001000",
        "relay.set_aside_at": b"1700000002000",
        "relay.version": b"1.2.3",
    }


def test_what_was_not_there_has_no_header(kafka: Any, run: Any) -> None:
    """Session, attempts, status and first try are left out where there was none; null stays null."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with writing(kafka, topic) as letters:
            letters.put(DeadLetter("t", 0, Record(offset=0), Reason.EMPTY_VALUE), lambda: None)
            assert await letters.flush(20)

    run(scenario())
    [message] = kafka.read(topic, 1)
    assert (message.key(), message.value()) == (None, None)
    assert [name for name, _ in message.headers()] == [
        f"relay.{name}" for name in ("reason", "detail", "topic", "partition", "offset", "timestamp", "set_aside_at", "version")
    ]


def test_letters_of_a_session_keep_their_order(kafka: Any, run: Any) -> None:
    """Letters of one key land in the order in which they were put, and are reported in it; keys do not wait for each other."""
    topic = kafka.new_topic()
    stored: list[int] = []

    async def scenario() -> None:
        async with writing(kafka, topic) as letters:
            for number in range(300):
                letters.put(letter(number, b"session %d" % (number % 30)), lambda number=number: stored.append(number))
            for number in range(300, 400):
                letters.put(letter(number, None), lambda number=number: stored.append(number))
            assert await letters.flush(20)

    run(scenario())
    by_key: dict[bytes | None, list[int]] = {}
    for message in kafka.read(topic, 400):
        by_key.setdefault(message.key(), []).append(int(message.value()[:8]))
    assert len(by_key) == 31
    for number in range(30):
        assert by_key[b"session %d" % number] == list(range(number, 300, 30))
        assert [one for one in stored if one < 300 and one % 30 == number] == list(range(number, 300, 30))
    assert sorted(stored) == list(range(400))


def test_a_value_of_ten_megabytes_stays_whole(kafka: Any, run: Any) -> None:
    """The largest value that is promised is stored whole; a larger one is left out, and the letter says so and where the record is."""
    topic = kafka.new_topic(max_message_bytes="12582912") if kafka.is_real else kafka.new_topic()
    records = [Record(offset=number, key=b"k", value=b"v" * (VALUE_BYTES_MAX + number), headers=(("own", b"1"),)) for number in (0, 1)]

    async def scenario() -> None:
        async with writing(kafka, topic) as letters:
            letters.put(DeadLetter("t", 0, records[1], Reason.RECORD_TOO_LARGE), lambda: None)
            if kafka.is_real:  # the embedded broker keeps five megabytes
                letters.put(DeadLetter("t", 0, records[0], Reason.RECORD_TOO_LARGE), lambda: None)
            assert await letters.flush(30)

    run(scenario())
    found = kafka.read(topic, 2 if kafka.is_real else 1)
    larger = found[0]
    assert (larger.key(), larger.value()) == (b"k", None)
    assert dict(larger.headers())["relay.left_out"] == b"value"
    assert dict(larger.headers())["own"] == b"1"
    if kafka.is_real:
        assert found[1].value() == records[0].value
        assert "relay.left_out" not in dict(found[1].headers())


def test_nothing_is_too_large_for_a_letter() -> None:
    """However large key and headers are, there is a letter that fits."""
    huge = b"x" * (20 * 2**20)
    cases = [
        (Record(offset=0, key=b"k", value=b"v" * VALUE_BYTES_MAX, headers=(("h", huge),)), "headers"),
        (Record(offset=0, key=b"k", value=huge, headers=(("h", huge),)), "value,headers"),
        (Record(offset=0, key=huge, value=b"v"), "headers,key"),
    ]
    for record, left_out in cases:
        written = write(DeadLetter("t", 0, record, Reason.RECORD_TOO_LARGE), "1")
        assert dict(written.headers)["relay.left_out"] == left_out
        assert len(written.key or b"") + len(written.value or b"") < 11 * 2**20


def test_a_full_queue_does_not_block(kafka: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the producer takes no more the letters wait with us, and all of them are stored in the end."""
    monkeypatch.setattr(dead_letters, "_OURS", {**dead_letters._OURS, "queue.buffering.max.messages": 3})
    topic = kafka.new_topic()
    stored: list[int] = []

    async def scenario() -> None:
        async with writing(kafka, topic) as letters:
            for number in range(50):
                letters.put(letter(number, None), lambda number=number: stored.append(number))
            assert await letters.flush(20)

    run(scenario())
    assert sorted(stored) == list(range(50))


@pytest.mark.kafka
def test_a_missing_topic_is_waited_for(broker: Any, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """While the topic is missing letters are kept, loudly; once it is there they are stored, in order, and nothing fails any more."""
    monkeypatch.setattr(dead_letters, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(dead_letters, "_OURS", {**dead_letters._OURS, "topic.metadata.propagation.max.ms": 500})
    topic = broker.name()
    stored: list[int] = []

    async def scenario() -> None:
        async with writing(broker, topic) as letters:
            for number in range(20):
                letters.put(letter(number, b"session"), lambda number=number: stored.append(number))
            await until(lambda: letters.is_failing, "it fails")
            assert "topic" in letters.failure
            assert (stored, letters.pending_count) == ([], 20)
            await until(lambda: any(record.levelname == "ERROR" for record in caplog.records), "it is logged")
            broker.create(topic)
            await until(lambda: letters.pending_count == 0, "all are stored")
            assert not letters.is_failing

    run(scenario())
    assert stored == list(range(20))
    assert [int(message.value()[:8]) for message in broker.read(topic, 20)] == list(range(20))
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


@pytest.mark.kafka
def test_one_that_is_refused_holds_back_its_session_only(broker: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter that the topic does not take stays, and so do those behind it; other sessions go on."""
    monkeypatch.setattr(dead_letters, "RETRY_SECONDS", 0.2)
    topic = broker.new_topic(max_message_bytes="2000")
    stored: list[int] = []

    async def scenario() -> None:
        async with writing(broker, topic) as letters:
            letters.put(letter(0, b"a", size=5000), lambda: stored.append(0))
            letters.put(letter(1, b"a"), lambda: stored.append(1))
            for number in range(2, 200):
                letters.put(letter(number, b"%d" % number), lambda number=number: stored.append(number))
            await until(lambda: letters.is_failing and len(stored) == 198, "one fails, the others are stored")
            assert letters.pending_count == 2
            assert "large" in letters.failure
            letters.put(letter(200, None), lambda: stored.append(200))
            await until(lambda: 200 in stored, "another one is stored meanwhile")

    run(scenario())
    assert sorted(stored) == list(range(2, 201))


def test_without_a_broker_nothing_is_stored_and_closing_is_quick(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that nobody takes are pending and failing, and do not hold up the end."""
    monkeypatch.setattr(dead_letters, "SLOW_SECONDS", 0.3)
    stored: list[int] = []

    async def scenario() -> None:
        letters = DeadLetters(bootstrap_servers="127.0.0.1:1", topic="t", version="1", loop=asyncio.get_running_loop())
        letters.put(letter(1), lambda: stored.append(1))
        await until(lambda: letters.is_failing, "it fails")
        assert letters.failure.startswith("no confirmation from Kafka")
        assert not await letters.flush(0.1)
        letters.close()
        letters.close()

    run(scenario())
    assert stored == []
