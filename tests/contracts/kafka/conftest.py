"""The two Kafkas that the contract is held against, and a listener that stands where the pump would."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from relay.core.events import Record
from relay.kafka.source import (
    CommitFailed,
    CommitPoint,
    Committed,
    CommittedPosition,
    Fetched,
    PartitionsAssigned,
    PartitionsLeaving,
    PartitionsLost,
    Source,
    SourceFailed,
    SourceMessage,
)

PARTITIONS = 4  # what the embedded broker gives a topic that appears by itself


class Kafka:
    """A Kafka to test against: topics, records, and what a group has committed."""

    def __init__(self, bootstrap: str, *, is_real: bool) -> None:
        """Reach a broker that runs."""
        self.bootstrap = bootstrap
        self.is_real = is_real
        quiet = {"bootstrap.servers": bootstrap, "logger": logging.getLogger("tests.silent")}
        self.admin = AdminClient(quiet)
        # One request at a time: with several, one that a new topic's leader refused comes after the next.
        self.producer = Producer({**quiet, "linger.ms": 1, "message.max.bytes": 15_000_000, "max.in.flight.requests.per.connection": 1})
        self._count = 0

    def name(self) -> str:
        """A name that nobody had before, for a topic or a group."""
        self._count += 1
        return f"test-{time.time_ns()}-{self._count}"

    def new_topic(self, partitions: int = PARTITIONS, **config: str) -> str:
        """A topic of its own for a test."""
        topic = self.name()
        if self.is_real:
            self.create(topic, partitions, **config)
        else:
            assert (partitions, config) == (PARTITIONS, {}), "the embedded broker cannot"
            self.producer.list_topics(topic, timeout=5)
        return topic

    def create(self, topic: str, partitions: int = PARTITIONS, **config: str) -> None:
        """Create a topic, with underscores for the dots of its configuration."""
        configuration = {name.replace("_", "."): value for name, value in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=configuration)])[topic].result(20)

    def produce(self, topic: str, value: bytes | None, *, partition: int = 0, **more: Any) -> None:
        """Write a record; it is there after `flush`."""
        self.producer.produce(topic, value=value, partition=partition, **more)

    def flush(self) -> None:
        """Wait until everything is written."""
        assert self.producer.flush(20) == 0

    def fill(self, topic: str, count: int, partitions: int = PARTITIONS, *, start: int = 0) -> None:
        """The same number of records in each partition; the value is the number of the record."""
        for number in range(start, start + count):
            for partition in range(partitions):
                self.produce(topic, b"%d" % number, partition=partition)
        self.flush()

    def committed(self, group: str, topic: str, partition: int = 0) -> tuple[int, str]:
        """What a group has committed: the offset, negative when there is none, and the text."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            found = consumer.committed([TopicPartition(topic, partition)], timeout=10)[0]
            return found.offset, found.metadata or ""
        finally:
            consumer.close()

    def read(self, topic: str, count: int) -> list[Any]:
        """So many messages of a topic, from its beginning."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.name(), "enable.auto.commit": False})
        try:
            partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            found: list[Any] = []
            deadline = time.monotonic() + 20
            while len(found) < count:
                assert time.monotonic() < deadline, f"{len(found)} of {count} messages in {topic}"
                found += [message for message in consumer.consume(count - len(found), 0.1) if message.error() is None]
            return found
        finally:
            consumer.close()


class Listener:
    """Stands where the pump would: keeps what the source says, releases, takes, and replies when partitions leave."""

    def __init__(self) -> None:
        """Release, take and reply at once; a test changes what it wants otherwise."""
        self.messages: list[SourceMessage] = []
        self.records: dict[tuple[str, int], list[Record]] = {}
        self.assigned: dict[tuple[str, int], CommittedPosition] = {}
        self.source: Source | None = None
        self.must_release = True
        self.must_take = True
        self.must_reply = True
        self.points: Callable[[list[tuple[str, int]]], list[CommitPoint]] = lambda _places: []
        self._news: asyncio.Event = asyncio.Event()

    def deliver(self, message: SourceMessage) -> None:
        """Hear the source."""
        self.messages.append(message)
        assert self.source is not None
        match message:
            case PartitionsAssigned(positions):
                self.assigned.update({(one.topic, one.partition): one for one in positions})
                if self.must_release:
                    self.source.release([(one.topic, one.partition) for one in positions])
            case Fetched(batches):
                for topic, partition, records in batches:
                    assert (topic, partition) in self.assigned, "a record of a partition that is not ours"
                    self.records.setdefault((topic, partition), []).extend(records)
                if self.must_take:
                    self.source.taken()
            case PartitionsLeaving(places, reply):
                if self.must_reply:
                    reply(self.points(places))
                    self._forget(places)
            case PartitionsLost(places):
                self._forget(places)
            case Committed() | CommitFailed() | SourceFailed():
                pass
        self._news.set()

    def _forget(self, places: list[tuple[str, int]]) -> None:
        for place in places:
            self.assigned.pop(place, None)

    def all(self, kind: type[Any]) -> list[Any]:
        """The messages of one kind, in order."""
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def count(self) -> int:
        """How many records have come."""
        return sum(len(records) for records in self.records.values())

    def offsets(self, place: tuple[str, int]) -> list[int]:
        """The offsets that have come from a partition, in order."""
        return [record.offset for record in self.records.get(place, [])]

    def _so_far(self) -> str:
        """What has come, for whoever wonders what has not."""
        heard = [type(message).__name__ for message in self.messages if not isinstance(message, Fetched)]
        came = {f"{topic}/{partition}": len(records) for (topic, partition), records in self.records.items()}
        polled = "never" if self.source is None else f"{time.monotonic() - self.source.last_poll_at:.1f} s ago"
        return f"heard {heard}, ours {sorted(self.assigned)}, records {came}, polled {polled}"

    async def until(self, fact: Callable[[], bool], name: str, seconds: float = 20) -> None:
        """Wait for a named fact."""
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, f"not within {seconds} s: {name}; {self._so_far()}"
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), 0.05)
            except TimeoutError:
                continue


@pytest.fixture(scope="session")
def embedded_bootstrap() -> Iterator[str]:
    """Librdkafka's own stand-in, alive as long as its producer."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "replaced", "log_level": 0})
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del producer


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def kafka(request: pytest.FixtureRequest) -> Iterator[Kafka]:
    """Either Kafka: what holds for one must hold for the other."""
    is_real = request.param == "real"
    kafka = Kafka(request.getfixturevalue("real_kafka" if is_real else "embedded_bootstrap"), is_real=is_real)
    yield kafka
    kafka.producer.close()


@pytest.fixture
def broker(real_kafka: str) -> Iterator[Kafka]:
    """A real broker only, for what the embedded one does not do."""
    kafka = Kafka(real_kafka, is_real=True)
    yield kafka
    kafka.producer.close()


@pytest.fixture
def listening() -> Callable[..., Any]:
    """Open a source whose listener is what `async with` gives."""

    @asynccontextmanager
    async def listen(
        kafka: Kafka, topic: str, group: str, *, prepare: Callable[[Listener], None] | None = None, **settings: Any
    ) -> AsyncIterator[Listener]:
        listener = Listener()
        if prepare:
            prepare(listener)
        # The embedded broker never gives a classic group to its second member.
        given = {"group_protocol": "classic" if kafka.is_real else "consumer", "revoke_seconds_max": 5.0, **settings}
        if given["group_protocol"] == "classic":  # a rebalance is noticed with the next heartbeat
            given["client"] = {"heartbeat.interval.ms": 300, "session.timeout.ms": 6000}
        source = listener.source = Source(
            bootstrap_servers=kafka.bootstrap, topics=[topic], group_id=group, deliver=listener.deliver, **given
        )
        source.start()
        try:
            yield listener
        finally:
            assert await source.close(), "the source did not leave in time"

    return listen


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test that waits."""
    return asyncio.run
