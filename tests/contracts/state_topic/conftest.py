"""The two Kafkas that the contract is held against, and a state topic that a test can wait for."""

import asyncio
import ctypes
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from relay.core.events import SessionKey
from relay.core.memoir import Memoir
from relay.kafka.state_topic import StateTopic
from relay.sandbox.broker import EmbeddedBroker

GROUP = "relay"
EMBEDDED_TOPICS = [f"sessions-{number}" for number in range(18)]  # it takes its time over each


class Kafka:
    """A Kafka to test against."""

    def __init__(self, bootstrap: str, embedded: EmbeddedBroker | None) -> None:
        """Name it; the embedded one can be told to misbehave."""
        self.bootstrap = bootstrap
        self.embedded = embedded
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self.producer = Producer(
            {"bootstrap.servers": bootstrap, "log_level": 0, "linger.ms": 1, "max.in.flight.requests.per.connection": 1}
        )
        self._unused = list(EMBEDDED_TOPICS)

    def new_topic(self, partitions: int = 4, **config: str) -> str:
        """The name of a state topic that nobody has used."""
        if self.embedded is not None:
            assert (partitions, config) == (4, {}), "the embedded broker cannot"
            return self._unused.pop()
        name = f"sessions-{time.time_ns()}"
        self.create(name, partitions, **config)
        return name

    def create(self, name: str, partitions: int = 4, **config: str) -> None:
        """Create a topic, compacted unless told otherwise."""
        wanted = {"cleanup.policy": "compact"} | {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(name, partitions, 1, config=wanted)])[name].result(20)

    def delete(self, name: str) -> None:
        """Delete a topic."""
        self.admin.delete_topics([name])[name].result(20)

    def put(self, topic: str, key: bytes | None, value: bytes | None, *, partition: int = 0, group: str | None = GROUP) -> None:
        """A record that somebody wrote."""
        headers: list[tuple[str, str | bytes | None]] = [("relay.group", group)] if group is not None else []
        self.producer.produce(topic, key=key, value=value, partition=partition, headers=headers)
        assert self.producer.flush(20) == 0

    def records(self, topic: str, partition: int = 0) -> list[Any]:
        """All records of a partition."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": "look", "enable.partition.eof": True, "enable.auto.commit": False}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(topic, partition, 0)])
        found: list[Any] = []
        try:
            while True:
                for message in consumer.consume(1, 10):
                    if message.error() is not None:
                        return found
                    found.append(message)
        finally:
            consumer.close()

    def refuse_next(self, request: int, error: int) -> None:
        """The embedded broker answers the next request of a kind with an error."""
        assert self.embedded is not None
        library = self.embedded._librdkafka
        assert library is not None
        push = library.rd_kafka_mock_push_request_errors_array
        push.argtypes = (ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int))
        push.restype = None
        push(self.embedded._cluster, request, 1, (ctypes.c_int * 1)(error))

    def close(self) -> None:
        """Let go of the producer."""
        self.producer.close()


class Keeper:
    """A state topic, and what a test wants to know of it."""

    def __init__(self, kafka: Kafka, topic: str, **settings: Any) -> None:
        """Open it."""
        self.skipped: Counter[str] = Counter()
        given = {"group_id": GROUP, "name_of": lambda _source: topic, "skipped": self._count, **settings}
        self.state = StateTopic(bootstrap_servers=kafka.bootstrap, loop=asyncio.get_running_loop(), **given)

    def _count(self, cause: str) -> None:
        self.skipped[cause] += 1

    def write(self, key: str, memoir: bytes | None, *, partition: int = 0) -> None:
        """Write a memoir, or a tombstone."""
        self.state.write("source", partition, SessionKey(key), memoir)

    async def written(self, *, partition: int = 0, seconds: float = 30) -> None:
        """Wait until all that was written is confirmed."""
        is_written = asyncio.Event()
        self.state.after_written("source", partition, is_written.set)
        await asyncio.wait_for(is_written.wait(), seconds)

    async def restored(self, *partitions: int, seconds: float = 30) -> dict[str, Memoir]:
        """The sessions in some partitions; each is found only once."""
        found: dict[str, Memoir] = {}
        left = set(partitions or (0,))
        is_done = asyncio.Event()

        def take(entries: list[tuple[SessionKey, Memoir | None]]) -> None:
            for key, memoir in entries:
                assert memoir is not None
                assert key not in found, "a session was found twice"
                found[key] = memoir

        def done(partition: int) -> None:
            left.remove(partition)
            if not left:
                is_done.set()

        for partition in list(left):
            self.state.restore("source", partition, take, lambda partition=partition: done(partition))
        await asyncio.wait_for(is_done.wait(), seconds)
        return found

    async def until(self, fact: Callable[[], bool], name: str, seconds: float = 30) -> None:
        """Wait for a named fact."""
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, f"not within {seconds} s: {name}"
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def embedded() -> Iterator[Kafka]:
    """The broker inside this process."""
    broker = EmbeddedBroker()
    kafka = Kafka(broker.start(EMBEDDED_TOPICS), broker)
    yield kafka
    kafka.close()
    broker.stop()


@pytest.fixture(scope="session")
def real(real_kafka: str) -> Iterator[Kafka]:
    """A real broker."""
    kafka = Kafka(real_kafka, None)
    yield kafka
    kafka.close()


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def kafka(request: pytest.FixtureRequest) -> Any:
    """Either Kafka: what holds for one must hold for the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def opened() -> Callable[..., Any]:
    """Open a state topic, and close it at the end of `async with`."""

    @asynccontextmanager
    async def open_topic(kafka: Kafka, topic: str, **settings: Any) -> AsyncIterator[Keeper]:
        keeper = Keeper(kafka, topic, **settings)
        try:
            yield keeper
        finally:
            keeper.state.close(0.5)

    return open_topic


@pytest.fixture
def memoir() -> Callable[..., bytes]:
    """The memoir of an open session, at a place in the log."""

    def make(at: int, session: str = "abc", version: int = 1) -> bytes:
        return json.dumps({"v": version, "at": at, "done": at, "standing": "open", "id": session, "start": {"p": {}}}).encode()

    return make


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test that waits."""
    return asyncio.run
