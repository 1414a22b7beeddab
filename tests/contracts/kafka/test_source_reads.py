"""What the source hands over, on either Kafka."""

import json
import os
import time
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, TopicPartition

from relay.core.events import Record
from relay.kafka import beginnings, member
from relay.kafka.member import HUNG_SECONDS
from relay.kafka.reading import read
from relay.kafka.source import CommitPoint, Committed, Fetched


def hold(listener: Any) -> None:
    """Have what is assigned wait until the test releases it."""
    listener.must_release = False


def test_records_come_in_order(kafka: Any, listening: Any, run: Any) -> None:
    """Every record of every partition comes once, in the order of the log."""
    topic = kafka.new_topic()
    kafka.fill(topic, 1500)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            await listener.until(lambda: listener.count >= 6000, "all records are read")
            for partition in range(4):
                assert [record.value for record in listener.records[topic, partition]] == [b"%d" % number for number in range(1500)]
                assert listener.offsets((topic, partition)) == list(range(1500))
            assert listener.source.consumed_records == 6000

    run(scenario())


def test_a_backlog_is_read_from_all_partitions(kafka: Any, listening: Any, run: Any) -> None:
    """They come side by side, not one after the other: else few sessions would be at hand, and the rest of them late."""
    topic = kafka.new_topic()
    for _ in range(20):
        for number in range(400):
            kafka.produce(topic, b"x" * 500, partition=number % 4)
        kafka.flush()  # a batch that a producer wrote comes whole

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            await listener.until(lambda: listener.count >= 3000, "some of them are read")
            assert max(len(records) for records in listener.records.values()) < 0.5 * listener.count
            await listener.until(lambda: listener.count == 8000, "all are read")

    run(scenario())


def test_a_client_that_goes_back_is_sent_forward(kafka: Any, listening: Any, run: Any) -> None:
    """When the client begins to read too early, nothing comes twice, and what follows comes once."""
    topic, group = kafka.new_topic(), kafka.name()
    place = (topic, 0)

    async def scenario() -> None:
        kafka.fill(topic, 50)
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: len(listener.offsets(place)) == 50, "the first records are read")
            listener.source._member.request(lambda consumer: consumer.seek(TopicPartition(topic, 0, 10)))
            kafka.fill(topic, 50, start=50)
            await listener.until(lambda: len(listener.offsets(place)) >= 100, "the others are read")
            assert listener.offsets(place) == list(range(100))
            listener.points = lambda places: [CommitPoint(*one, 100, "") for one in places]

        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: place in listener.assigned, "the partition is assigned")
            assert listener.assigned[place].offset == 100
            listener.source._member.request(lambda consumer: consumer.seek(TopicPartition(topic, 0, 0)))
            kafka.fill(topic, 10, start=100)
            await listener.until(lambda: len(listener.offsets(place)) >= 10, "what was not committed is read")
            assert listener.offsets(place) == list(range(100, 110))

    run(scenario())


def test_bytes_stay_what_they_are(kafka: Any, listening: Any, run: Any) -> None:
    """Key, value and headers come as they are: null, empty, not UTF-8, repeated."""
    topic = kafka.new_topic()
    kafka.produce(topic, b"value", key=b"key", headers=[("a", b"1"), ("a", None), ("b", b"\xff\x00"), ("c", b"")])
    kafka.produce(topic, None, key=None)
    kafka.produce(topic, b"", key=b"")
    kafka.produce(topic, b"\xff\xfe", key=b"\xc3\x28")
    kafka.flush()

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            await listener.until(lambda: listener.count == 4, "four records are read")
            records = listener.records[topic, 0]
            assert [(record.key, record.value) for record in records] == [
                (b"key", b"value"),
                (None, None),
                (b"", b""),
                (b"\xc3\x28", b"\xff\xfe"),
            ]
            assert records[0].headers == (("a", b"1"), ("a", None), ("b", b"\xff\x00"), ("c", b""))
            assert records[1].headers == ()
            assert listener.source.consumed_bytes == 3 + 5 + 2 + 2

    run(scenario())


def test_time_is_on_both_clocks(kafka: Any, listening: Any, run: Any) -> None:
    """A record carries Kafka's timestamp and the same moment on the core's clock, never later than now."""
    topic = kafka.new_topic()
    wall = int(time.time() * 1000)
    kafka.produce(topic, b"past", timestamp=wall - 60_000)
    kafka.produce(topic, b"future", timestamp=wall + 60_000)
    kafka.flush()

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            await listener.until(lambda: listener.count == 2, "two records are read")
            past, future = listener.records[topic, 0]
            assert (past.timestamp_ms, future.timestamp_ms) == (wall - 60_000, wall + 60_000)
            assert future.appended_at <= time.monotonic()
            assert 55 < future.appended_at - past.appended_at < 120

    run(scenario())


def test_a_held_partition_is_not_read(kafka: Any, listening: Any, run: Any) -> None:
    """Nothing comes from a new partition before it is released, and then everything from its beginning."""
    topic = kafka.new_topic()
    kafka.fill(topic, 100)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name(), prepare=hold) as listener:
            await listener.until(lambda: len(listener.assigned) == 4, "partitions are assigned")
            listener.source.release([(topic, 1), (topic, 2)])
            await listener.until(lambda: listener.count >= 200, "two partitions are read")
            assert set(listener.records) == {(topic, 1), (topic, 2)}
            listener.source.release([(topic, 0), (topic, 3)])
            await listener.until(lambda: listener.count >= 400, "the others are read")
            assert all(listener.offsets((topic, partition)) == list(range(100)) for partition in range(4))

    run(scenario())


def test_what_is_held_is_not_fetched(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """What the client fetched before it is told to hold a partition back would be thrown away, and fetched again."""
    topic = kafka.new_topic()
    for number in range(400):
        kafka.produce(topic, os.urandom(1000), partition=number % 4)
    kafka.flush()
    told: list[dict[str, Any]] = []

    class Telling(Consumer):
        def __init__(self, properties: Any) -> None:
            super().__init__(properties | {"statistics.interval.ms": 100, "stats_cb": lambda text: told.append(json.loads(text))})

        def incremental_assign(self, partitions: Any) -> None:
            super().incremental_assign(partitions)
            time.sleep(0.5)  # it could fetch now

    def fetched() -> int:
        return sum(broker["rxbytes"] for broker in told[-1]["brokers"].values())

    monkeypatch.setattr(member, "Consumer", Telling)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name(), prepare=hold) as listener:
            await listener.until(lambda: len(listener.assigned) == 4, "partitions are assigned")
            so_far = len(told)
            await listener.until(lambda: len(told) >= so_far + 5, "the client tells of a time in which they were held")
            assert fetched() < 50_000
            listener.source.release([(topic, partition) for partition in range(4)])
            await listener.until(lambda: listener.count == 400, "all is read")
            so_far = len(told)
            await listener.until(lambda: len(told) > so_far, "the client tells of it")
            assert 400_000 < fetched() < 500_000

    run(scenario())


def test_what_is_released_is_asked_for_at_once(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """A client with nothing to fetch looks once a second whether that has changed: it is woken, by a question to the brokers."""
    topic = kafka.new_topic()
    kafka.fill(topic, 10)
    told: list[tuple[str, list[int]]] = []

    class Watched(Consumer):
        def resume(self, partitions: Any) -> None:
            told.append(("resume", sorted(one.partition for one in partitions)))
            super().resume(partitions)

        def offsets_for_times(self, partitions: Any, timeout: float) -> Any:
            told.append(("ask", sorted(one.partition for one in partitions)))
            return super().offsets_for_times(partitions, timeout=timeout)

    monkeypatch.setattr(member, "Consumer", Watched)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            await listener.until(lambda: listener.count == 40, "all is read")
            resumed = told.index(("resume", [0, 1, 2, 3]))
            assert told[resumed + 1] == ("ask", [0, 1, 2, 3])

    run(scenario())


def test_a_partition_that_the_client_forgets_is_read(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """A partition that the client never begins to read is told to it again, and read from its beginning; the others are left alone."""
    monkeypatch.setattr(beginnings, "SILENT_SECONDS", 1.0)
    topic = kafka.new_topic()
    kafka.fill(topic, 100)
    told: list[list[int]] = []

    class Forgetful(Consumer):
        def incremental_assign(self, partitions: Any) -> None:
            told.append(sorted(one.partition for one in partitions))
            super().incremental_assign([one for one in partitions if one.partition != 2 or len(told) > 1])

    monkeypatch.setattr(member, "Consumer", Forgetful)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            await listener.until(lambda: listener.count >= 400, "all partitions are read")
            assert all(listener.offsets((topic, partition)) == list(range(100)) for partition in range(4))
            assert told == [[0, 1, 2, 3], [2]]

    run(scenario())


def test_a_quiet_partition_is_asked_after_once(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """Where nothing is to be read the client is asked once, and what comes later is read from where it begins."""
    monkeypatch.setattr(beginnings, "SILENT_SECONDS", 1.0)
    topic, group = kafka.new_topic(), kafka.name()
    kafka.fill(topic, 20, partitions=1)
    asked: list[tuple[int, int]] = []

    class Watched(Consumer):
        def seek(self, partition: Any) -> None:
            asked.append((partition.partition, partition.offset))
            super().seek(partition)

    monkeypatch.setattr(member, "Consumer", Watched)

    async def scenario() -> None:
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.count == 20, "the first partition is read")
            listener.points = lambda places: [CommitPoint(*place, 20, "") for place in places if place == (topic, 0)]
            polled = listener.source.last_poll_at
            await listener.until(lambda: listener.source.last_poll_at > polled + 2.5, "it has polled for long")
            assert sorted(asked) == [(partition, 0) for partition in (1, 2, 3)]
            kafka.fill(topic, 5, start=20)
            await listener.until(lambda: listener.count >= 40, "what is new is read")
            assert [len(listener.offsets((topic, partition))) for partition in range(4)] == [25, 5, 5, 5]
            asked.clear()
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.count >= 20, "what was not committed is read")
            polled = listener.source.last_poll_at
            await listener.until(lambda: listener.source.last_poll_at > polled + 2.5, "it has polled for long")
            assert listener.offsets((topic, 0)) == list(range(20, 25))
            assert asked == []

    run(scenario())


def test_what_comes_before_its_release_comes_again(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """Where the client loses the order to hold a partition back, its records wait all the same."""
    topic = kafka.new_topic()
    kafka.fill(topic, 100)
    paused: list[int] = []

    class Deaf(Consumer):
        def pause(self, partitions: Any) -> None:
            paused.append(len(partitions))
            if len(paused) > 1:  # it is told before it is assigned
                super().pause(partitions)

    monkeypatch.setattr(member, "Consumer", Deaf)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name(), prepare=hold) as listener:
            await listener.until(lambda: len(paused) >= 5, "each partition is held back again")
            assert listener.count == 0
            kafka.fill(topic, 10, start=100)
            listener.source.release([(topic, partition) for partition in range(4)])
            await listener.until(lambda: listener.count >= 440, "all is read")
            assert all(listener.offsets((topic, partition)) == list(range(110)) for partition in range(4))

    run(scenario())


def test_a_short_pause_costs_nothing(kafka: Any, listening: Any, run: Any) -> None:
    """Pausing for a moment and often neither loses nor repeats a record."""
    topic = kafka.new_topic()
    kafka.fill(topic, 3000)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            for goal in range(500, 12_000, 1500):
                await listener.until(lambda goal=goal: listener.count >= goal, f"{goal} records are read")
                listener.source.pause()
                seen = len(listener.all(Fetched))
                await listener.until(lambda: True, "the loop turns")
                listener.source.resume()
                assert len(listener.all(Fetched)) - seen <= 4
            await listener.until(lambda: listener.count >= 12_000, "all records are read")
            assert all(listener.offsets((topic, partition)) == list(range(3000)) for partition in range(4))

    run(scenario())


def test_a_pause_throws_nothing_away(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """While paused, for the first minute, a record comes now and then, and with it word of commits; the client is not paused."""
    topic = kafka.new_topic()
    kafka.fill(topic, 2000)
    paused: list[object] = []

    class Watched(Consumer):
        def pause(self, partitions: Any) -> None:
            paused.append(partitions)
            super().pause(partitions)

    monkeypatch.setattr(member, "Consumer", Watched)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            source, place = listener.source, (topic, 0)
            await listener.until(lambda: len(listener.offsets(place)) >= 10, "some records are read")
            source.pause()
            await listener.until(lambda: True, "the loop turns")
            paused.clear()
            seen = listener.count
            source.commit([CommitPoint(*place, 10, "")])
            await listener.until(lambda: any(one.points for one in listener.all(Committed)), "the commit is confirmed")
            polled = source.last_poll_at
            await listener.until(lambda: source.last_poll_at > polled + HUNG_SECONDS + 0.3, "it has polled more")
            assert listener.count - seen <= 2000 + 10  # batches that were on their way, and a sip in a fifth of a second
            assert listener.count < 8000
            assert not paused
            source.resume()
            await listener.until(lambda: listener.count >= 8000, "all records are read")
            assert all(listener.offsets((topic, partition)) == list(range(2000)) for partition in range(4))

    run(scenario())


def test_a_long_pause_loses_and_repeats_nothing(kafka: Any, listening: Any, run: Any, monkeypatch: Any) -> None:
    """Paused for long the source polls on and hands nothing over; afterwards it goes on where it was, and counts the lag meanwhile."""
    monkeypatch.setattr(member, "PATIENCE_SECONDS", 1.0)
    topic = kafka.new_topic()
    kafka.fill(topic, 2000)

    async def scenario() -> None:
        async with listening(kafka, topic, kafka.name()) as listener:
            source = listener.source
            await listener.until(lambda: listener.count >= 500, "some records are read")
            source.pause()
            started = source.last_poll_at
            await listener.until(lambda: source.last_poll_at > started + member.PATIENCE_SECONDS + 0.5, "it polls although it is paused")
            seen = listener.count
            kafka.fill(topic, 50, start=2000)
            polled = source.last_poll_at
            await listener.until(lambda: source.last_poll_at > polled + 0.3, "it has polled more")
            assert listener.count == seen
            assert seen < 8000
            await listener.until(lambda: sum(source.lag().values()) == 8200, "the lag includes what came meanwhile")
            source.resume()
            await listener.until(lambda: listener.count >= 8200, "all records are read")
            assert all(listener.offsets((topic, partition)) == list(range(2050)) for partition in range(4))

    run(scenario())


def test_the_loop_is_not_flooded(kafka: Any, listening: Any, run: Any) -> None:
    """A loop that takes nothing gets a few batches and no more; when it takes them, everything comes."""
    topic = kafka.new_topic()
    kafka.fill(topic, 3000)

    async def scenario() -> None:
        def take_nothing(listener: Any) -> None:
            listener.must_take = False

        async with listening(kafka, topic, kafka.name(), prepare=take_nothing) as listener:
            await listener.until(lambda: len(listener.all(Fetched)) == 4, "four batches have come")
            started = listener.source.last_poll_at
            await listener.until(lambda: listener.source.last_poll_at > started + HUNG_SECONDS + 0.2, "it polls on")
            assert len(listener.all(Fetched)) == 4
            listener.must_take = True
            for _ in range(4):
                listener.source.taken()
            await listener.until(lambda: listener.count >= 12_000, "all records are read")
            assert all(listener.offsets((topic, partition)) == list(range(3000)) for partition in range(4))

    run(scenario())


class _BadlyNamed:
    """A message with a header whose name is not UTF-8, as the client shows it: asking for headers fails."""

    def headers(self) -> None:
        raise SystemError("returned a result with an exception set")

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_NOT_AVAILABLE, -1

    def offset(self) -> int:
        return 7

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"value"

    def topic(self) -> str:
        return "topic"

    def partition(self) -> int:
        return 0


def test_headers_that_cannot_be_read_are_left_out() -> None:
    """A header name that is not UTF-8 costs the record its headers and nothing else; without a timestamp it is as old as its arrival."""
    batches, byte_count = read([_BadlyNamed()], now=5.0)  # type: ignore[list-item]
    assert batches == [("topic", 0, [Record(offset=7, key=b"key", value=b"value", headers=(), timestamp_ms=0, appended_at=5.0)])]
    assert byte_count == 8
