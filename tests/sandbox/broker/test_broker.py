"""The embedded broker: what it promises to those who use it in a demo or a test."""

import contextlib
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from relay.sandbox.broker import EmbeddedBroker, NoEmbeddedBroker, embedded_broker

DEADLINE_SECONDS = 20


def partition_count(address: str, topic: str) -> int:
    """Count the partitions of a topic, as any client would."""
    with contextlib.closing(Producer({"bootstrap.servers": address})) as producer:
        return len(producer.list_topics(topic, 10).topics[topic].partitions)


def topics_of(address: str) -> set[str]:
    """Name all topics."""
    with contextlib.closing(Producer({"bootstrap.servers": address})) as producer:
        return set(producer.list_topics(timeout=10).topics)


@pytest.mark.parametrize("partitions", [1, 4, 12])
def test_topics_have_the_partitions_that_were_asked_for(partitions: int) -> None:
    """They exist before anybody produces."""
    with embedded_broker(["one", "two"], partitions=partitions) as address:
        assert (partition_count(address, "one"), partition_count(address, "two")) == (partitions, partitions)


def test_other_topics_appear_when_somebody_asks_for_them(bootstrap_servers: str) -> None:
    """With four partitions, whatever the others have."""
    assert partition_count(bootstrap_servers, "somewhere-else") == 4


def test_it_listens_on_loopback_only(bootstrap_servers: str) -> None:
    """Nobody else can reach it."""
    assert bootstrap_servers.startswith("127.0.0.1:")


CLASSIC = {"session.timeout.ms": 1_200}  # the broker holds a group that changes for this less a second
CONSUMER = {"group.protocol": "consumer"}


@pytest.mark.parametrize("protocol", [CLASSIC, CONSUMER], ids=["classic", "consumer"])
def test_a_group_reads_what_was_produced_and_goes_on_where_it_committed(bootstrap_servers: str, protocol: dict[str, str | int]) -> None:
    """Records come in order within a partition; a second consumer of the group continues, in either protocol."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for number in range(100):
        producer.produce("player-events", key=b"somebody", value=str(number).encode())
    assert producer.flush(10) == 0
    producer.close()
    first = consume_in_group(bootstrap_servers, protocol, 60)
    rest = consume_in_group(bootstrap_servers, protocol, 40)
    assert [int(value) for value in first + rest] == list(range(100))


def consume_in_group(address: str, protocol: dict[str, str | int], count: int) -> list[bytes]:
    """Read so many records, commit, and leave."""
    values: list[bytes] = []
    consumer = Consumer(
        protocol
        | {
            "bootstrap.servers": address,
            "group.id": "relay",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    with contextlib.closing(consumer):
        consumer.subscribe(["player-events"])
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(values) < count and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is not None:
                assert message.error() is None
                values.append(message.value() or b"")
                consumer.commit(offsets=[after(message.topic(), message.partition(), message.offset())], asynchronous=False)
    assert len(values) == count
    return values


def after(topic: str | None, partition: int | None, offset: int | None) -> TopicPartition:
    """Say what to commit once this record is done."""
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return TopicPartition(topic, partition, offset + 1)


def test_it_can_be_started_again_after_it_was_stopped() -> None:
    """Nothing of the first life is left."""
    broker = EmbeddedBroker()
    broker.start(["old"], partitions=2)
    broker.stop()
    address = broker.start(["new"], partitions=2)
    try:
        assert topics_of(address) == {"new"}
    finally:
        broker.stop()
        broker.stop()  # once more does no harm


def test_two_brokers_know_nothing_of_each_other() -> None:
    """Each has its own port and its own topics."""
    with embedded_broker(["mine"]) as one, embedded_broker(["yours"]) as other:
        assert one != other
        assert topics_of(one) == {"mine"}


@pytest.mark.parametrize("partitions", [0, -1, 1_001])
def test_a_number_of_partitions_out_of_bounds_is_refused(partitions: int) -> None:
    """Before anything runs."""
    with pytest.raises(NoEmbeddedBroker, match="partitions"), embedded_broker(["one"], partitions=partitions):
        pass


def test_a_topic_named_twice_is_refused() -> None:
    """And the port is closed again."""
    broker = EmbeddedBroker()
    with pytest.raises(NoEmbeddedBroker, match="named twice"):
        broker.start(["one", "one"])
    broker.start(["one"])
    broker.stop()


def test_starting_twice_is_refused() -> None:
    """One object is one broker."""
    broker = EmbeddedBroker()
    broker.start()
    try:
        with pytest.raises(NoEmbeddedBroker, match="already"):
            broker.start()
    finally:
        broker.stop()


def test_it_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither when it starts and stops, nor when its client leaves."""
    with embedded_broker(["one"]) as address:
        assert partition_count(address, "one") == 4
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
