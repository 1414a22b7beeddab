"""Producing: what is in the topic is what was said, and the manifest is what is in the topic."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message

from relay.errors import SettingsError, Unreachable
from relay.sandbox.crowd import crowd
from relay.sandbox.manifest import Confirmed, Manifest, ManifestFile
from relay.sandbox.producing import Producing
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape

ReadTopic = Callable[..., list[Message]]

TOPIC = "player-events"
BEGAN_MS = 1_700_000_000_000
SHORT = Shape().having(content_seconds_max=200)


def test_the_manifest_is_what_a_consumer_reads_back(bootstrap_servers: str, read_topic: ReadTopic) -> None:
    """Each confirmed record lies where the manifest says, poison included, and nothing else does."""
    said = list(crowd(40, 1, SHORT.having(hostile_share=0.05, oversize_bytes=20_000), began_ms=BEGAN_MS))
    by_place, manifest, producing = produce(bootstrap_servers, said)
    assert (producing.produced, producing.confirmed, producing.failed) == (len(said), len(said), 0)
    confirmed = [one for session in manifest.by_session.values() for one in session]
    read = {(message.partition(), message.offset()): message for message in read_topic(bootstrap_servers, len(said))}
    assert {(one.partition, one.offset) for one in confirmed} == set(read)
    for place, what in by_place.items():
        assert (read[place].key(), read[place].value()) == (what.record_key, what.value)


def produce(address: str, said: list[Said]) -> tuple[dict[tuple[int, int], Said], Manifest, Producing]:
    """Produce it all; also say which record lies where."""
    manifest = Manifest()
    known = {(one.key, one.ts): one for one in said}
    by_place: dict[tuple[int, int], Said] = {}

    def confirm(confirmed: Confirmed) -> None:
        manifest.add(confirmed)
        by_place[confirmed.partition, confirmed.offset] = known[confirmed.session, confirmed.ts]

    async def work() -> Producing:
        with Producing(bootstrap_servers=address, topic=TOPIC, on_confirmed=confirm) as producing:
            assert await producing.connect() == 4
            await producing.run(said)
            return producing

    return by_place, manifest, asyncio.run(work())


def test_a_session_lies_in_one_partition_in_its_order(bootstrap_servers: str) -> None:
    """Offsets of a session grow with its ts."""
    _, manifest, _ = produce(bootstrap_servers, list(crowd(30, 2, SHORT, began_ms=BEGAN_MS)))
    assert len(manifest.by_session) == 30
    for key in manifest.by_session:
        events = manifest.events(key)
        assert len({event.partition for event in events}) == 1
        assert all(later.offset > earlier.offset and later.ts > earlier.ts for earlier, later in itertools.pairwise(events))


def test_keys_are_placed_as_java_clients_place_them(bootstrap_servers: str) -> None:
    """By murmur2, so that one session stays in one partition whoever produces for it."""
    said = list(crowd(8, 1, Shape().having(events_exactly=2), began_ms=BEGAN_MS))
    _, manifest, _ = produce(bootstrap_servers, said)
    for key, session in manifest.by_session.items():
        assert {one.partition for one in session} == {(murmur2(key.encode()) & 0x7FFFFFFF) % 4}


def murmur2(data: bytes) -> int:
    """Hash as Kafka's default partitioner does."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    mixed = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        mixed = mixed * multiplier & mask ^ word
    if rest := data[whole:]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * multiplier & mask
    mixed = (mixed ^ mixed >> 13) * multiplier & mask
    return mixed ^ mixed >> 15


def test_a_record_of_five_megabytes_arrives(bootstrap_servers: str, read_topic: ReadTopic) -> None:
    """As large as the shapes' default for poison."""
    large = Said("large", 0.0, b"x" * 5_000_000, "oversize", BEGAN_MS, b"large", is_poison=True)
    produce(bootstrap_servers, [large])
    (message,) = read_topic(bootstrap_servers, 1)
    assert len(message.value()) == 5_000_000


def test_a_record_beyond_the_client_limit_is_counted_and_passed_over(bootstrap_servers: str) -> None:
    """The others are produced all the same, and the account says what was wrong."""
    large = Said("large", 0.0, b"x" * 12_000_000, "oversize", BEGAN_MS, b"large", is_poison=True)
    others = list(crowd(3, 1, Shape().having(events_exactly=3), began_ms=BEGAN_MS))
    _, _, producing = produce(bootstrap_servers, [large, *others])
    assert (producing.produced, producing.confirmed, producing.failed) == (10, 9, 1)
    assert "size" in producing.failure


def test_the_manifest_file_has_a_line_for_each_record(bootstrap_servers: str, tmp_path: Path) -> None:
    """JSON lines with the names that are promised; poison is marked, events are not."""
    said = list(crowd(5, 1, SHORT.having(hostile_share=0.2, oversize_bytes=1_000), began_ms=BEGAN_MS))

    async def work() -> None:
        with (
            ManifestFile(tmp_path / "manifest.jsonl") as file,
            Producing(bootstrap_servers=bootstrap_servers, topic=TOPIC, on_confirmed=file.add) as producing,
        ):
            await producing.run(said)

    asyncio.run(work())
    lines = [msgspec.json.decode(line) for line in (tmp_path / "manifest.jsonl").read_bytes().splitlines()]
    names = {"session", "ts", "eventType", "topic", "partition", "offset"}
    assert all(set(line) - {"isPoison"} == names for line in lines)
    counted = Counter((line["session"], line["ts"], line["eventType"], line.get("isPoison", False)) for line in lines)
    assert counted == Counter((one.key, one.ts, one.event_type, one.is_poison) for one in said)


def test_a_run_that_is_told_to_stop_confirms_what_it_has_produced(bootstrap_servers: str, read_topic: ReadTopic) -> None:
    """Nothing is left in doubt: produced, confirmed and read are the same number."""

    async def work() -> Producing:
        confirmed = asyncio.Event()
        with Producing(bootstrap_servers=bootstrap_servers, topic=TOPIC, on_confirmed=lambda _: confirmed.set()) as producing:
            running = asyncio.create_task(producing.run(crowd(1_000, 1, Shape(), began_ms=BEGAN_MS), events_per_second=500))
            await asyncio.wait_for(confirmed.wait(), 10)
            producing.stop()
            await asyncio.wait_for(running, 10)
            return producing

    producing = asyncio.run(work())
    assert producing.failed == 0
    assert len(read_topic(bootstrap_servers, producing.produced)) == producing.confirmed


@pytest.mark.parametrize("pace", [{"events_per_second": 0.001}, {"speed": 0.00001}])
def test_a_pace_holds_back_what_is_not_due(bootstrap_servers: str, pace: dict[str, float]) -> None:
    """The first record leaves at once, the second one waits for its time, and stopping does not wait for it."""

    async def work() -> int:
        confirmed = asyncio.Event()
        with Producing(bootstrap_servers=bootstrap_servers, topic=TOPIC, on_confirmed=lambda _: confirmed.set()) as producing:
            running = asyncio.create_task(producing.run(crowd(1, 1, Shape(), began_ms=BEGAN_MS), **pace))
            await asyncio.wait_for(confirmed.wait(), 10)
            producing.stop()
            await asyncio.wait_for(running, 10)
            return producing.produced

    assert asyncio.run(work()) == 1


def test_others_in_the_loop_get_their_turn(bootstrap_servers: str) -> None:
    """Even without a pace a run gives the loop back between bursts."""

    async def work() -> set[int]:
        seen: set[int] = set()

        async def look(producing: Producing) -> None:
            while True:
                seen.add(producing.produced)
                await asyncio.sleep(0)

        with Producing(bootstrap_servers=bootstrap_servers, topic=TOPIC) as producing:
            looking = asyncio.create_task(look(producing))
            await producing.run(crowd(100, 1, Shape().having(events_exactly=50), began_ms=BEGAN_MS))
            looking.cancel()
        return seen

    assert len(asyncio.run(work())) >= 10


def test_a_broker_that_is_not_there_is_reported_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Without librdkafka's own complaints on stderr."""

    async def work() -> None:
        with Producing(bootstrap_servers="127.0.0.1:1", topic=TOPIC) as producing:
            await producing.connect(within_seconds=0.5)

    with pytest.raises(Unreachable, match=r"cannot reach Kafka at 127\.0\.0\.1:1") as refused:
        asyncio.run(work())
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("client", [{"no.such.property": 1}, {"acks": "some"}])
def test_properties_that_librdkafka_does_not_know_are_refused(client: dict[str, str | int]) -> None:
    """With its own words, which name the property."""
    with pytest.raises(SettingsError, match=next(iter(client))):
        Producing(bootstrap_servers="127.0.0.1:1", topic=TOPIC, client=client)
