"""What the tests around the embedded broker share: a broker of their own, and a reader of whole topics."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from relay.sandbox.broker import embedded_broker

TOPIC = "player-events"
DEADLINE_SECONDS = 20


@pytest.fixture
def bootstrap_servers() -> Iterator[str]:
    """Run a broker with the players' topic for one test."""
    with embedded_broker([TOPIC]) as address:
        yield address


@pytest.fixture(scope="session")
def read_topic() -> Callable[..., list[Message]]:
    """Read so many records from all partitions of a topic; fail when they do not come."""

    def read(bootstrap_servers: str, count: int, topic: str = TOPIC) -> list[Message]:
        consumer = Consumer({
            "bootstrap.servers": bootstrap_servers,
            "group.id": "reader",
            "fetch.message.max.bytes": 11_000_000,
            "logger": logging.getLogger("tests.silent"),
        })  # fmt: skip
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
            read: list[Message] = []
            deadline = time.monotonic() + DEADLINE_SECONDS
            while len(read) < count and time.monotonic() < deadline:
                read += consumer.consume(count, 0.1)
        finally:
            consumer.close()
        assert len(read) == count
        assert all(message.error() is None for message in read)
        return read

    return read
